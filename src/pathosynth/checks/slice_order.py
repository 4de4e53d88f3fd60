"""Is every slice where it belongs? One that was exchanged or moved fits its neighbours worse than those fit theirs.

A slice is compared with the mean of the slices before and after it, voxel by voxel. Anatomy changes slowly along an
axis, so what is left over changes slowly too; a slice out of place stands out against the slices about it.
"""

import numpy as np
import pydantic
from scipy import ndimage

from pathosynth.data.findings import CheckInput, Finding, rejected
from pathosynth.data.intensity import robust_scale
from pathosynth.runs.config import Config as BaseConfig
from pathosynth.runs.errors import InputError

AXES = ("left-right", "posterior-anterior", "inferior-superior")
AROUND = 9
FEWEST_SLICES = 9


class Config(BaseConfig):
    """When a slice stands out."""

    ratio: float = pydantic.Field(1.8, gt=1)
    """Largest ratio of what a slice leaves over to what the slices about it leave over (their median). Real
    ones: at most 1.42 (5 fetal and adult scans); neighbours that were exchanged: 2.7 and more."""
    slice_share: float = pydantic.Field(0.3, ge=0, le=1)
    """Slices with less of the head than this share of the fullest are left out: tips, where anatomy changes fast."""
    midline_mm: float = pydantic.Field(6.0, ge=0)
    """Half-width of the zone about the middle that is left out along the left-right axis, where the falx really makes
    steps."""


def check(case: CheckInput, config: Config) -> Finding:
    """Largest ratio, along any axis, of what a slice leaves over between its neighbours to the slices about it."""
    reason = case.unusable(image=True, labels=True)
    if reason or case.image is None or case.labels is None:
        return rejected("slice_order", config.ratio, reason)
    try:
        scaled, _, _ = robust_scale(case.image, case.labels > 0)
    except InputError as error:
        return rejected("slice_order", config.ratio, str(error))
    worst, where = -1.0, ""
    for axis, name in enumerate(AXES):
        ratios = _ratios(np.moveaxis(scaled, axis, 0), np.moveaxis(case.labels > 0, axis, 0), config)
        if axis == 0:
            ratios = _without_midline(ratios, case, config)
        if np.isfinite(ratios).any() and np.nanmax(ratios) > worst:
            worst, where = float(np.nanmax(ratios)), f"slice {int(np.nanargmax(ratios))} {name}"
    if worst < 0:
        return rejected("slice_order", config.ratio, "no axis has enough slices to compare")
    detail = f"worst: {where}, {worst:.2f} times its surroundings"
    return Finding("slice_order", worst, config.ratio, worst <= config.ratio, detail, span=config.ratio - 1)


def _ratios(image: np.ndarray, head: np.ndarray, config: Config) -> np.ndarray:
    """(slices,) ratio of every slice, NaN where it is not judged."""
    left = np.full(len(image), np.nan)
    inside = head[1:-1] & head[:-2] & head[2:]
    counts = inside.sum(axis=(1, 2))
    off = np.abs(image[1:-1] - (image[:-2] + image[2:]) / 2)
    enough = counts >= max(config.slice_share * counts.max(initial=0), 1)
    sums = (off * inside).sum(axis=(1, 2))
    left[1:-1][enough] = sums[enough] / counts[enough]
    if np.isfinite(left).sum() < FEWEST_SLICES:
        return np.full(len(image), np.nan)
    judged = np.flatnonzero(np.isfinite(left))
    usual = ndimage.median_filter(left[judged], AROUND, mode="nearest")
    left[judged] /= np.maximum(usual, 1e-6)
    return left


def _without_midline(ratios: np.ndarray, case: CheckInput, config: Config) -> np.ndarray:
    slices = np.flatnonzero((np.asarray(case.labels) > 0).any(axis=(1, 2)))
    away = np.abs(np.arange(ratios.size) - (slices[0] + slices[-1]) / 2) * case.spacing_mm[0]
    return np.where(away < config.midline_mm, np.nan, ratios)
