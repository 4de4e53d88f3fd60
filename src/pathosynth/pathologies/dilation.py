"""Enlarged ventricles by dilating them into white matter: the recipe of Fetal&Neonatal-DDPM, as a baseline.

Facts from arXiv 2501.19338 and its published code: each hemisphere is found by k-means, its ventricle is dilated voxel
by voxel into white matter only, a band next to cortex, external CSF and background is left out, the result is
smoothed and the original ventricle pasted back. White matter is consumed and nothing moves, so there is no
deformation. Lengths are in voxels, so the severity depends on the voxel size. Unlike the original it is seeded.
"""

from typing import Annotated, Self

import numpy as np
import pydantic
import scipy.ndimage as ndi

from pathosynth.data.labels import LabelScheme
from pathosynth.data.volume import Spacing
from pathosynth.morphing import Morphed, measure
from pathosynth.morphing.plan import check_labels
from pathosynth.pathologies.settings import edited
from pathosynth.runs.config import Config as BaseConfig
from pathosynth.runs.errors import InputError, MorphError

Count = Annotated[int, pydantic.Field(ge=0)]

REPAINTS = True
"""Labels are painted anew and nothing moves."""

_MOST_ITERATIONS = 60
_MEANS_STARTS = 4


class Iterations(BaseConfig):
    """Dilations of each side."""

    left: Count
    right: Count


class Config(BaseConfig):
    """Settings of the dilation baseline. Without `iterations` and `ventricle_ml` the iterations are drawn at random."""

    iterations: Count | Iterations | None = None
    """Dilations by one voxel, for both sides or {left, right}."""
    ventricle_ml: Annotated[float, pydantic.Field(gt=0)] | None = None
    """Ventricle volume in mL to come as near to as whole iterations (the same on both sides) allow."""
    largest_fraction: Annotated[float, pydantic.Field(gt=0, lt=1)] = 0.65
    """A random draw stops before ventricle / (ventricle + white matter) of a side reaches this."""
    same_both_sides: Annotated[float, pydantic.Field(ge=0, le=1)] = 0.5
    """Probability that a random draw uses one count for both sides."""
    guard_voxels: Annotated[int, pydantic.Field(ge=0)] = 2
    """Width of the band next to cortex, external CSF and background that dilation leaves out."""
    smoothing_voxels: Annotated[float, pydantic.Field(gt=0)] = 5.0
    """Standard deviation of the Gaussian that smooths the dilated ventricle."""
    threshold: Annotated[float, pydantic.Field(gt=0, lt=1)] = 0.3
    """Where the smoothed ventricle ends."""

    @pydantic.model_validator(mode="after")
    def _one_target(self) -> Self:
        if self.iterations is not None and self.ventricle_ml is not None:
            raise ValueError("give iterations or ventricle_ml, not both")
        return self


def morph(
    labels: np.ndarray, scheme: LabelScheme, spacing_mm: Spacing, config: Config, rng: np.random.Generator
) -> Morphed:
    """Dilate the ventricles into the white matter.

    Args:
        labels: (I, J, K) unsigned integers in RAS orientation; not changed.
        scheme: its legend; needs ``ventricles``, ``white_matter``, ``cortex`` and ``external_csf``.
        spacing_mm: voxel edge lengths, used for the report and for `ventricle_ml`.
        config: see there.
        rng: start of the k-means, and the iterations where they are not given.

    Raises:
        InputError: a group is missing from the scheme or from the map.
        MorphError: `ventricle_ml` lies outside what dilation can reach.
    """
    check_labels(labels, scheme, spacing_mm)
    ventricles, white = scheme.mask(labels, "ventricles"), scheme.mask(labels, "white_matter")
    if ventricles.sum() < 2 or not white.any():
        raise InputError("Dilation needs ventricles and white matter; the label map lacks one of them. Check --scheme.")
    box = measure.bounding_box(labels > 0, 1)
    brain = white | ventricles
    if scheme.has("deep_grey_matter"):
        brain = brain | scheme.mask(labels, "deep_grey_matter")
    hemispheres = [split_sides(mask[box], rng) for mask in (brain, ventricles)]
    sides = [(v, white[box] & h) for h, v in zip(*hemispheres, strict=True)]
    guard = ndi.binary_dilation(
        ~np.isin(labels[box], _inner_values(scheme)), measure.SIX, iterations=max(config.guard_voxels, 1)
    )
    allowed = white[box] & ~guard if config.guard_voxels else white[box]
    counts, most = _counts(config, sides, allowed, float(np.prod(spacing_mm)) / 1000.0, rng)
    grown = _smoothed(sides, counts, allowed, config) & white[box]
    out = labels.copy()
    out[box][grown] = scheme.group("ventricles")[0]
    facts = {
        "pathology": "dilation",
        "iterations": {"left": counts[0], "right": counts[1]},
        "most_iterations": {"left": most[0], "right": most[1]},
        "severity": severity(out, scheme, spacing_mm),
        "warnings": [],
    }
    return edited(labels, out, scheme, spacing_mm, config, facts)


def severity(labels: np.ndarray, scheme: LabelScheme, spacing_mm: Spacing) -> dict[str, float]:
    """Ventricle volume (mL) and atrial widths (mm) of a label map, from its integer labels."""
    return measure.ventricle_severity(labels, scheme, spacing_mm)


def split_sides(mask: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Left and right part of a mask by 2-means on the left-right and inferior-superior coordinates of its voxels.

    Args:
        mask: (I, J, K) bool, RAS.
        rng: picks the starting points; the best of four starts counts.

    Returns:
        Two (I, J, K) masks; left is the one with the smaller first coordinate.
    """
    weight = mask.sum(axis=1)
    points = np.stack(np.nonzero(weight), axis=1).astype(float)
    mass = weight[weight > 0].astype(float)
    runs = [_two_means(points, mass, rng) for _ in range(_MEANS_STARTS)]
    centres, nearest, _ = min(runs, key=lambda run: run[2])
    is_left = np.zeros(weight.shape, bool)
    is_left[weight > 0] = nearest == int(centres[:, 0].argmin())
    return mask & is_left[:, None, :], mask & ~is_left[:, None, :]


def _two_means(points: np.ndarray, mass: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, float]:
    """Lloyd's iterations from one random start (k-means++): centres (2, 2), cluster of each point, spread."""
    first = points[rng.choice(len(points), p=mass / mass.sum())]
    far = mass * ((points - first) ** 2).sum(axis=1)
    centres = np.stack([first, points[rng.choice(len(points), p=far / far.sum())]])
    while True:
        distance = ((points[:, None] - centres[None]) ** 2).sum(axis=2)
        nearest = distance.argmin(axis=1)
        moved = np.stack([np.average(points[nearest == c], axis=0, weights=mass[nearest == c]) for c in (0, 1)])
        if np.allclose(moved, centres):
            return centres, nearest, float((mass * distance.min(axis=1)).sum())
        centres = moved


def _inner_values(scheme: LabelScheme) -> list[int]:
    """Labels that need no guard band: all but background, external CSF and cortex."""
    guarded = {*scheme.group("external_csf"), *scheme.group("cortex")}
    return [value for value in scheme.values if value not in guarded]


def _counts(
    config: Config,
    sides: list[tuple[np.ndarray, np.ndarray]],
    allowed: np.ndarray,
    voxel_ml: float,
    rng: np.random.Generator,
) -> tuple[tuple[int, int], list[int]]:
    """Iterations of the left and right side, and the most a random draw may use."""
    most = [_most_iterations(ventricle, white, config.largest_fraction) for ventricle, white in sides]
    if isinstance(config.iterations, Iterations):
        return (config.iterations.left, config.iterations.right), most
    if config.iterations is not None:
        return (config.iterations, config.iterations), most
    if config.ventricle_ml is not None:
        count = _nearest_count(config, sides, allowed, voxel_ml)
        return (count, count), most
    left, right = (int(rng.uniform(1, max(m, 1))) for m in most)
    same = rng.uniform() < config.same_both_sides
    return (left, left if same else right), most


def _most_iterations(ventricle: np.ndarray, white: np.ndarray, fraction: float) -> int:
    """Dilations into white matter until the ventricle holds `fraction` of ventricle and white matter."""
    total, count, now = int(ventricle.sum() + white.sum()), 0, ventricle
    while int(now.sum()) < fraction * total and count < _MOST_ITERATIONS:
        grown = now | (ndi.binary_dilation(now, measure.SIX) & white)
        if np.array_equal(grown, now):
            break
        now, count = grown, count + 1
    return count


def _nearest_count(
    config: Config, sides: list[tuple[np.ndarray, np.ndarray]], allowed: np.ndarray, voxel_ml: float
) -> int:
    """Iterations whose smoothed result is nearest to `ventricle_ml`; the volume grows with the count."""
    wanted = config.ventricle_ml or 0.0
    original = sides[0][0] | sides[1][0]
    white = sides[0][1] | sides[1][1]
    best, best_ml, last_ml = 0, float(original.sum()) * voxel_ml, -1.0
    for count in range(1, _MOST_ITERATIONS):
        now = (_smoothed(sides, (count, count), allowed, config) & white) | original
        ml = float(now.sum()) * voxel_ml
        if abs(ml - wanted) < abs(best_ml - wanted):
            best, best_ml = count, ml
        if ml >= wanted or ml <= last_ml:
            break
        last_ml = ml
    if abs(best_ml - wanted) > 0.25 * wanted:
        raise MorphError(
            f"Dilation comes no nearer to ventricle_ml={wanted:g} than {best_ml:.1f} mL with whole iterations. "
            "Ask for a volume it can reach, or use ventriculomegaly."
        )
    return best


def _smoothed(
    sides: list[tuple[np.ndarray, np.ndarray]], counts: tuple[int, int], allowed: np.ndarray, config: Config
) -> np.ndarray:
    """Dilate each side within `allowed` white matter, smooth, threshold."""
    dilated = np.zeros(allowed.shape, bool)
    for (ventricle, white), count in zip(sides, counts, strict=True):
        grown = ventricle
        if count:
            grown = ndi.binary_dilation(ventricle, measure.SIX, iterations=count, mask=ventricle | white)
        dilated |= (grown & allowed) | ventricle
    if not any(counts):
        return np.zeros_like(dilated)
    return np.asarray(ndi.gaussian_filter(dilated.astype(np.float32), config.smoothing_voxels) > config.threshold)
