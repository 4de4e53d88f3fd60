"""Sudden intensity shifts from slice to slice, as slice-wise processing leaves them.

Anatomy also changes from slice to slice, so only voxels whose neighbour has the same label are compared, tissue by
tissue, and only what at least three quarters of the tissues share counts as a shift of the slice.
"""

import numpy as np
import pydantic
from numpy.lib.stride_tricks import sliding_window_view

from pathosynth.data.findings import CheckInput, Finding, rejected
from pathosynth.runs.config import Config as BaseConfig

AXES = ("left-right", "posterior-anterior", "inferior-superior")
DETREND_SLICES = 9
FEWEST_STEPS = 8
REFERENCE_MM = 0.8
FEWEST_TISSUES = (4, 3, 3)
"""Per axis. The outermost sagittal slices show only three tissues, which share steps of 2 % in good renderings."""


class Config(BaseConfig):
    """When a shift is too large."""

    shift_percent: float = pydantic.Field(1.0, gt=0)
    """Largest shift of one slice against its neighbours, in percent of the robust intensity range of the brain, at
    slices of 0.8 mm or less; in proportion for thicker ones, between which anatomy changes more. Measured on 24
    fetal atlas images of 0.8 mm: 23 reach 0.46 at most, one 1.2; with one slice 2 % off, 1.1 and more."""
    tissue_mm2: float = pydantic.Field(40.0, gt=0)
    """Smallest area of one tissue, present in both of two neighbouring slices, that is compared."""
    midline_mm: float = pydantic.Field(6.0, ge=0)
    """Half-width of the zone about the middle that is left out along the left-right axis, where falx, third ventricle
    and interhemispheric fissure really make steps."""
    slice_share: float = pydantic.Field(0.2, ge=0, le=1)
    """Slices with less comparable area than this share of the fullest slice are left out: tips of the brain."""


def check(case: CheckInput, config: Config) -> Finding:
    """Largest shift of a slice along any axis, in percent of the 0.5 to 99.5 percentile range inside the labels."""
    limit = config.shift_percent * max(1.0, max(case.spacing_mm) / REFERENCE_MM)
    reason = case.unusable(image=True, labels=True)
    if reason or case.image is None or case.labels is None:
        return rejected("slice_steps", limit, reason)
    low, high = np.percentile(case.image[case.labels > 0], [0.5, 99.5])
    if not high > low:
        return rejected("slice_steps", limit, "more than 99 % of the brain have one intensity")
    index = case.scheme.indices(case.labels)
    worst, where = -1.0, ""
    for axis, name in enumerate(AXES):
        shifts = _slice_shifts(case.image, index, axis, case, config) * 100 / (high - low)
        if shifts.size and shifts.max() > worst:
            worst, where = float(shifts.max()), name
    if worst < 0:
        return rejected("slice_steps", limit, "no axis has enough slices with tissue to compare")
    detail = f"largest slice shift {worst:.2f} % of the intensity range, {where}"
    return Finding("slice_steps", worst, limit, worst <= limit, detail)


def _slice_shifts(image: np.ndarray, index: np.ndarray, axis: int, case: CheckInput, config: Config) -> np.ndarray:
    """Shift of every inner slice against both neighbours: half the second difference of the shared steps.

    A slice shifted by s gives s, or up to a third less in noise; a shift that stays gives half of
    that. Empty where there are too few slices.
    """
    area = float(np.prod(case.spacing_mm)) / case.spacing_mm[axis]
    means, counts = _tissue_steps(np.moveaxis(image, axis, 0), np.moveaxis(index, axis, 0))
    enough = counts * area >= config.tissue_mm2
    enough &= (counts.sum(axis=1) >= config.slice_share * counts.sum(axis=1).max())[:, None]
    shared = _shared_step(means, enough, FEWEST_TISSUES[axis])
    if axis == 0:
        slices = np.flatnonzero((index > 0).any(axis=(1, 2)))
        away = np.abs(np.arange(shared.size) + 0.5 - (slices[0] + slices[-1]) / 2) * case.spacing_mm[0]
        shared[away < config.midline_mm] = np.nan
    if np.isfinite(shared).sum() < FEWEST_STEPS:
        return np.empty(0)
    return np.asarray(np.abs(np.diff(np.nan_to_num(shared))) / 2)


def _tissue_steps(image: np.ndarray, index: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean step (slices - 1, labels) of each tissue to the next slice, and the number of voxels behind it.

    Single voxels are cut at the 95th percentile of all steps, so that edges inside a label do not decide.
    """
    same = (index[1:] == index[:-1]) & (index[1:] > 0)
    difference = (image[1:] - image[:-1])[same]
    labels = int(index.max())
    shape = (image.shape[0] - 1, labels)
    if difference.size == 0:
        return np.zeros(shape), np.zeros(shape)
    cut = np.quantile(np.abs(difference), 0.95)
    row = np.nonzero(same)[0] * labels + index[1:][same] - 1
    counts = np.bincount(row, minlength=shape[0] * labels).reshape(shape)
    sums = np.bincount(row, np.clip(difference, -cut, cut), minlength=shape[0] * labels).reshape(shape)
    return sums / np.maximum(counts, 1), counts


def _shared_step(means: np.ndarray, enough: np.ndarray, fewest: int) -> np.ndarray:
    """The step that at least three quarters of the tissues make or exceed, 0 where they disagree on its direction.

    Slow changes (coil sensitivity) are taken off each tissue first by a running median over the slices that show
    enough of it; a tissue that most slices of the window lack is left out. NaN where fewer than `fewest` tissues can
    be compared.
    """
    known = np.pad(np.where(enough, means, np.nan), ((DETREND_SLICES // 2,) * 2, (0, 0)), constant_values=np.nan)
    window = sliding_window_view(known, DETREND_SLICES, axis=0)
    enough = enough & (np.isfinite(window).sum(axis=-1) > DETREND_SLICES // 2)
    fast = np.zeros(means.shape)
    fast[enough] = means[enough] - np.nanmedian(window[enough], axis=-1)
    shared = np.full(len(means), np.nan)
    for k in np.flatnonzero(enough.sum(axis=1) >= fewest):
        low, high = np.quantile(fast[k, enough[k]], [0.25, 0.75])
        shared[k] = max(low, 0.0) + min(high, 0.0)
    return shared
