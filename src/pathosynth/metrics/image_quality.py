"""Quality of one image with labels, no second image needed: noise, sharpness, contrast, how well labels explain it.

After measures of MRIQC (Esteban et al. 2017, https://doi.org/10.1371/journal.pone.0184661) made to work on
skull-stripped images: intensities are scaled robustly inside the labels first (`data.intensity`), so unit and offset
drop out. NaN is what an image or a label scheme does not define.
"""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass

import cc3d
import numpy as np
from scipy import ndimage

from pathosynth.data.intensity import robust_scale
from pathosynth.data.labels import LabelScheme
from pathosynth.data.volume import Spacing
from pathosynth.metrics.surfaces import bounding_box

MEASURES: Mapping[str, str] = {
    "noise": "standard deviation of white noise, share of the intensity range; its reciprocal is the SNR",
    "sharpness": "root mean square step between neighbouring voxels inside the head, noise taken off, over that of the "
    "labels painted with their medians at a usual resolution",
    "cjv": "spread within grey and white matter over the distance of their medians",
    "contrast": "distance of the medians of grey and white matter, share of the intensity range",
    "unexplained": "share of the image's variance inside the head that the labels do not explain",
    "offset": "distance by which labels would have to move to explain the image best, in voxels, at most 2",
    "misfit": "largest distance of a spot of 3 mm inside a label from its median, for every label, share of the range",
    "edgeless": "largest piece of border between two labels that the image does not show, in mm2, for every two labels "
    "that touch and differ",
    "efc": "entropy focus criterion of image and air, 0 to 1; only where there is air",
    "fber": "energy of the head over that of the air, decimal logarithm; only where there is air",
}
"""Name to meaning, in the order they are reported; `misfit` is one measure for every label, ``misfit LABEL``, and
`edgeless` for every two, ``edgeless LABEL|LABEL``."""

SPOT_MM = 1.5
"""Standard deviation of the Gaussian that `misfit` and `edgeless` average with, inside one label."""
FEWEST_VOXELS = 50
"""Labels with fewer voxels away from their border have no misfit, borders with fewer are not looked at."""
DIFFERENT = 0.1
"""Labels whose medians lie nearer than this share of the range have no border that an image could show."""
SHOWN = 0.15
"""Part of what two labels differ by, over all, that they must differ by where they touch. White matter of 0.3 mL and
more that is called ventricle has a piece of 50 to 350 mm2 below it (18 fetal and 13 adult maps; 15 in one), the maps
themselves 0 in fetuses and up to 22 in adults."""
RESOLUTION_MM = 0.8
"""Standard deviation of the blur of the painted labels that `sharpness` compares with."""
REACH_VOXELS = 2
"""How far the labels are moved to find their offset."""
_MAD = 0.6745
"""Median absolute deviation of a standard normal variable."""


def measure(image: np.ndarray, labels: np.ndarray, scheme: LabelScheme, spacing_mm: Spacing) -> dict[str, float]:
    """Every one of `MEASURES`.

    Args:
        image: (I, J, K) finite intensities, any unit.
        labels: (I, J, K) unsigned integers of `scheme`, 0 is background.
        scheme: legend.
        spacing_mm: voxel edge lengths.

    Raises:
        InputError: no labelled voxel, or nothing to scale the intensities by.
    """
    head = labels > 0
    scaled, _, _ = robust_scale(image, head)
    box = bounding_box(head)
    inner, kept, own = scaled[box], head[box], labels[box]
    sigma = noise(inner, kept)
    dense = scheme.indices(own)
    return {
        "noise": sigma,
        "sharpness": sharpness(inner, dense, spacing_mm, sigma),
        **_grey_and_white(inner, own, scheme),
        "unexplained": unexplained(inner, dense),
        "offset": offset(inner, dense),
        **_air(scaled[head], scaled[~head]),
        **_misfits(inner, own, scheme, spacing_mm),
        **edgeless(inner, own, scheme, spacing_mm),
    }


def noise(image: np.ndarray, mask: np.ndarray) -> float:
    """Standard deviation of white noise inside a mask, from the finest diagonal Haar wavelet (Donoho & Johnstone 1994).

    Every 2 x 2 x 2 block inside the mask gives one coefficient, the alternating sum over sqrt(8), which smooth anatomy
    and edges along an axis leave at 0; their median absolute value over 0.6745 is the estimate. NaN without a block.
    """
    inside, change = mask, image.astype(np.float64)
    for axis in range(3):
        change = np.diff(change, axis=axis)
        here = np.moveaxis(inside, axis, 0)
        inside = np.moveaxis(here[1:] & here[:-1], 0, axis)
    found = change[inside]
    return float(np.median(np.abs(found)) / _MAD / np.sqrt(8)) if found.size else float("nan")


def sharpness(image: np.ndarray, dense: np.ndarray, spacing_mm: Spacing, sigma: float) -> float:
    """Root mean square step between neighbouring voxels inside the labels over the one expected of these labels.

    Expected is what the labels show when each is painted with its median and blurred by `RESOLUTION_MM`, so that
    neither the contrast nor how much border a head has counts: small heads have more for their volume, and brains
    without fluid around them less. In healthy fetuses a blur of 0.6 voxels is three standard deviations of it (of the
    step alone less than two), and patients made of them lie nearer to the healthy.

    Args:
        image: (I, J, K).
        dense: (I, J, K) label indices, 0 is outside.
        spacing_mm: voxel edge lengths.
        sigma: standard deviation of the noise, which is taken off.

    Returns:
        1 where the image is as sharp as that; NaN where the labels do not differ or no two voxels touch.
    """
    inside = dense > 0
    medians = ndimage.median(image, dense, np.arange(dense.max() + 1))
    width = [RESOLUTION_MM / edge for edge in spacing_mm]
    weight = ndimage.gaussian_filter(inside.astype(np.float32), width)
    painted = ndimage.gaussian_filter(np.where(inside, medians[dense], 0).astype(np.float32), width)
    expected = step(painted / np.maximum(weight, 0.02), inside, spacing_mm, 0.0)
    return step(image, inside, spacing_mm, sigma) / expected if expected > 1e-6 else float("nan")


def step(image: np.ndarray, mask: np.ndarray, spacing_mm: Spacing, sigma: float) -> float:
    """Root mean square step between face neighbours inside a mask, per mm, less what noise of `sigma` makes."""
    squares = []
    for axis, edge in enumerate(spacing_mm):
        here, inside = np.moveaxis(image, axis, 0), np.moveaxis(mask, axis, 0)
        steps = (here[1:] - here[:-1])[inside[1:] & inside[:-1]].astype(np.float64)
        if steps.size:
            squares.append(max(float((steps**2).mean()) - 2 * sigma**2, 0.0) / edge**2)
    return float(np.sqrt(np.mean(squares))) if squares else float("nan")


def unexplained(image: np.ndarray, dense: np.ndarray) -> float:
    """Share of the variance inside the labels that is within labels: 1 - eta squared. NaN for a constant image.

    Args:
        image: (I, J, K).
        dense: (I, J, K) label indices, 0 is outside.
    """
    inside = dense > 0
    values, label = image[inside].astype(np.float64), dense[inside]
    counts, sums = np.bincount(label), np.bincount(label, values)
    squares = float((values**2).sum())
    between = float((sums**2 / np.maximum(counts, 1)).sum())
    total = squares - float(values.sum()) ** 2 / values.size
    return (squares - between) / total if total > 1e-12 * squares else float("nan")


def offset(image: np.ndarray, dense: np.ndarray) -> float:
    """How far labels have to be moved, in voxels, so that they leave least of the image unexplained.

    Along every axis the labels are moved by whole voxels up to `REACH_VOXELS`; a parabola through the three lowest
    values gives the place of the minimum between them, and the farthest of the three places is the answer. Labels that
    were drawn on the image are within a tenth of a voxel (18 fetal and 26 adult maps), whatever the scanner.
    """
    pad = REACH_VOXELS
    around, padded = np.pad(image, pad, mode="edge"), np.pad(dense, pad)
    found = []
    for axis in range(3):
        moves = range(-pad, pad + 1)
        left = np.array([unexplained(around, np.roll(padded, move, axis)) for move in moves])
        best = int(np.nanargmin(left)) if np.isfinite(left).any() else pad
        place = float(best - pad)
        if 0 < best < 2 * pad:
            before, here, after = left[best - 1 : best + 2]
            place += 0.5 * (before - after) / max(before - 2 * here + after, 1e-12)
        found.append(place)
    return float(np.abs(found).max())


def _misfits(image: np.ndarray, labels: np.ndarray, scheme: LabelScheme, spacing_mm: Spacing) -> dict[str, float]:
    """For every label the largest distance of a spot inside it from the label's median.

    Voxels at the border of a label are left out: how far they are mixed with the neighbour depends on the scanner and
    on who drew the border, and made real patients of another site fail (`benchmarks/headline_defects.py`).
    """
    found = {}
    for label in scheme.labels:
        mask = labels == label.value
        if not mask.any():
            continue
        box = ndimage.find_objects(mask.astype(np.uint8))[0]
        whole, values = mask[box], image[box]
        inside = ndimage.binary_erosion(whole)
        if int(inside.sum()) < FEWEST_VOXELS:
            continue
        residual = np.where(inside, values - np.median(values[whole]), 0).astype(np.float32)
        width = [SPOT_MM / edge for edge in spacing_mm]
        weight = ndimage.gaussian_filter(inside.astype(np.float32), width)
        spots = ndimage.gaussian_filter(residual, width)[inside] / np.maximum(weight[inside], 0.3)
        found[f"misfit {label.name}"] = float(np.abs(spots).max())
    return found


def edgeless(image: np.ndarray, labels: np.ndarray, scheme: LabelScheme, spacing_mm: Spacing) -> dict[str, float]:
    """Largest piece of border that the image does not show, in mm2, for every two labels that touch and differ.

    On both sides of a border the image is averaged over `SPOT_MM` inside the label there; the border is shown where the
    averages differ, in the right direction, by `SHOWN` of what the medians of the two labels differ by. A part of one
    tissue that was given the label of its neighbour has such a border all around, also where its mean could be that
    of something the neighbour holds (white matter in a ventricle is as dark as choroid plexus, and the plexus lies
    inside, away from the wall).

    Args:
        image: (I, J, K), intensities scaled to about 0 to 1.
        labels: (I, J, K) unsigned integers of `scheme`.
        scheme: legend.
        spacing_mm: voxel edge lengths.
    """
    sides = [
        _side(image, labels, label.value, spacing_mm)
        for label in scheme.labels
        if int((labels == label.value).sum()) >= FEWEST_VOXELS
    ]
    face = float(np.prod(spacing_mm)) ** (2 / 3)
    found = {}
    for one, other in itertools.combinations(sides, 2):
        both = tuple(slice(max(a.start, b.start), min(a.stop, b.stop)) for a, b in zip(one.box, other.box, strict=True))
        difference = one.median - other.median
        if abs(difference) < DIFFERENT or any(span.start >= span.stop for span in both):
            continue
        border = one.cut(one.grown, both) & (labels[both] == other.value)
        if int(border.sum()) < FEWEST_VOXELS:
            continue
        shown = (one.cut(one.mean, both) - other.cut(other.mean, both)) / difference
        pieces = cc3d.connected_components(border & (shown < SHOWN), connectivity=26)
        largest = int(np.bincount(pieces.ravel())[1:].max(initial=0))
        found[f"edgeless {scheme[one.value].name}|{scheme[other.value].name}"] = face * largest
    return found


@dataclass(frozen=True, eq=False)
class _Side:
    """One label of a border, in a box around it.

    Attributes:
        value: of the label.
        median: of the image inside it.
        box: place of the two arrays in the grid.
        grown: the label and its face neighbours.
        mean: of the image inside the label, weighted by distance.
    """

    value: int
    median: float
    box: tuple[slice, ...]
    grown: np.ndarray
    mean: np.ndarray

    def cut(self, array: np.ndarray, box: tuple[slice, ...]) -> np.ndarray:
        """Part of `grown` or `mean` in a smaller box of the whole grid."""
        own = zip(box, self.box, strict=True)
        return array[tuple(slice(wanted.start - had.start, wanted.stop - had.start) for wanted, had in own)]


def _side(image: np.ndarray, labels: np.ndarray, value: int, spacing_mm: Spacing) -> _Side:
    width = [SPOT_MM / edge for edge in spacing_mm]
    box = tuple(
        slice(max(span.start - int(np.ceil(2 * sigma)), 0), min(span.stop + int(np.ceil(2 * sigma)), size))
        for span, sigma, size in zip(bounding_box(labels == value), width, labels.shape, strict=True)
    )
    mask = labels[box] == value
    weight = ndimage.gaussian_filter(mask.astype(np.float32), width)
    mean = ndimage.gaussian_filter(np.where(mask, image[box], 0).astype(np.float32), width) / np.maximum(weight, 0.02)
    return _Side(value, float(np.median(image[box][mask])), box, ndimage.binary_dilation(mask), mean)


def _grey_and_white(image: np.ndarray, labels: np.ndarray, scheme: LabelScheme) -> dict[str, float]:
    tissues = {}
    for tissue in ("grey_matter", "white_matter"):
        values = image[np.isin(labels, [label.value for label in scheme.labels if label.tissue == tissue])]
        if values.size == 0:
            return {"cjv": float("nan"), "contrast": float("nan")}
        median = float(np.median(values))
        tissues[tissue] = median, float(np.median(np.abs(values - median)) / _MAD)
    (grey, grey_spread), (white, white_spread) = tissues["grey_matter"], tissues["white_matter"]
    contrast = abs(grey - white)
    return {"cjv": (grey_spread + white_spread) / max(contrast, 1e-3), "contrast": contrast}


def _air(inside: np.ndarray, air: np.ndarray) -> dict[str, float]:
    """EFC (Atkinson 1997) and FBER about the median of the air; NaN where the background is one number or nothing."""
    if air.size == 0 or np.percentile(air, 75) - np.percentile(air, 25) <= 1e-6:
        return {"efc": float("nan"), "fber": float("nan")}
    middle = float(np.median(air))
    energy = float(((air - middle) ** 2).mean())
    every = np.abs(np.concatenate([inside, air]) - middle).astype(np.float64)
    share = every / np.sqrt((every**2).sum())
    entropy = -float((share * np.log(np.maximum(share, 1e-12))).sum())
    most = np.sqrt(every.size) * np.log(np.sqrt(every.size))
    return {"efc": entropy / most, "fber": float(np.log10(((inside - middle) ** 2).mean() / energy))}
