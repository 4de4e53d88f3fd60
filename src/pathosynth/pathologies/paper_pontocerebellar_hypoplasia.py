"""Thin brainstem and small cerebellum by scaling both: the recipe of Fetal&Neonatal-DDPM, as a baseline.

Facts from arXiv 2501.19338 and its published code: a copy of the label map is scaled by s ~ U(0.5, 1) in-plane (x and
y; z is kept) and its brainstem used, sheared back slice by slice to keep its tilt and anchored again; the fourth
ventricle is what of the ventricles lies within 5 dilations of cerebellum or brainstem; the cerebellum is grown again
(Gaussian of 6 voxels, threshold 0.3) and shrunk by f = 3 - 2 s as in the paper's cerebellar hypoplasia; the freed space
becomes external CSF. Where the facts are silent: scaling and shear fix the brainstem's own axis, the straight line
fitted to its voxels; the fourth ventricle goes with the brainstem behind which it lies; both are painted only where
one of them was; the cerebellum grows only into what they freed and, shrunk, is pasted over what lies there. Where a
scheme does not name the fourth ventricle, the rule also takes the nearby part of the third. There is no deformation.
Dilations, Gaussian and anchor are in voxels, so severity depends on the voxel size. Unlike the original it is seeded.
"""

from typing import Annotated

import numpy as np
import pydantic
import scipy.ndimage as ndi

from pathosynth.data.labels import LabelScheme
from pathosynth.data.volume import Spacing
from pathosynth.morphing import Morphed, edits, measure
from pathosynth.morphing.plan import check_labels
from pathosynth.pathologies.hindbrain import hindbrain_severity
from pathosynth.pathologies.settings import edited
from pathosynth.runs.config import Config as BaseConfig

Scale = Annotated[float, pydantic.Field(ge=0.3, le=1)]

REPAINTS = True
"""Labels are painted anew and nothing moves."""


class Config(BaseConfig):
    """Settings of the paper's pontocerebellar hypoplasia. Without `scale` it is drawn at random."""

    scale: Scale | None = None
    """s: width and depth of the brainstem are multiplied by this; lengths of the cerebellum are divided by 3 - 2 s."""
    smallest_scale: Scale = 0.5
    """A random s is uniform between this and 1."""
    forward_voxels: Annotated[float, pydantic.Field(ge=-20, le=20)] = 3.0
    """How far in front of the contact point the fixed point of the cerebellum's scaling lies, in voxels."""
    fourth_ventricle_dilations: Annotated[int, pydantic.Field(ge=1, le=50)] = 5
    """Ventricle this many voxels around cerebellum and brainstem is the fourth, unless the scheme names it."""
    smoothing_voxels: Annotated[float, pydantic.Field(gt=0)] = 6.0
    """Standard deviation of the Gaussian by which the cerebellum grows towards the thinner brainstem."""
    threshold: Annotated[float, pydantic.Field(gt=0, lt=1)] = 0.3
    """Where the grown cerebellum ends."""


def morph(
    labels: np.ndarray, scheme: LabelScheme, spacing_mm: Spacing, config: Config, rng: np.random.Generator
) -> Morphed:
    """Thin the brainstem and shrink the cerebellum towards it.

    Args:
        labels: (I, J, K) unsigned integers in RAS orientation; not changed.
        scheme: its legend; needs ``cerebellum``, ``brainstem``, ``ventricles`` and ``external_csf``.
        spacing_mm: voxel edge lengths, used for the report only.
        config: see there.
        rng: the scale where it is not given.

    Raises:
        InputError: a group is missing from the scheme or from the map.
        MorphError: nothing is left of the cerebellum.
    """
    check_labels(labels, scheme, spacing_mm)
    cerebellum, stem, _ = (
        edits.occupied(labels, scheme, group) for group in ("cerebellum", "brainstem", "external_csf")
    )
    scale, filler = draw_scale(config, rng), scheme.group("external_csf")[0]
    fourth = fourth_ventricle(labels, scheme, config.fourth_ventricle_dilations)
    out = thinned(labels, stem, fourth, scale, filler)
    freed = (stem | fourth) & (out == filler)
    grown = regrown(out, cerebellum, freed, config)
    whole = cerebellum | (grown != out)
    divisor = 3.0 - 2.0 * scale
    out = edits.shrink_to_contact(grown, whole, scheme.mask(grown, "brainstem"), divisor, config.forward_voxels, filler)
    facts = {
        "pathology": "paper_pontocerebellar_hypoplasia",
        "drawn": {"scale": scale, "divisor": divisor},
        "severity": severity(out, scheme, spacing_mm),
        "warnings": edits.lost_labels(labels, out, scheme),
    }
    return edited(labels, out, scheme, spacing_mm, config, facts)


severity = hindbrain_severity


def draw_scale(config: Config, rng: np.random.Generator) -> float:
    """The given s, or s ~ U(`smallest_scale`, 1)."""
    return config.scale if config.scale is not None else float(rng.uniform(config.smallest_scale, 1.0))


def fourth_ventricle(labels: np.ndarray, scheme: LabelScheme, dilations: int) -> np.ndarray:
    """The group ``fourth_ventricle``, or where a scheme has none, the ventricle near cerebellum and brainstem.

    Args:
        labels: (I, J, K) integers.
        scheme: its legend.
        dilations: how many voxels (city block) count as near.

    Returns:
        (I, J, K) bool; empty where the map has no such voxel.
    """
    if scheme.has("fourth_ventricle"):
        return scheme.mask(labels, "fourth_ventricle")
    hindbrain = scheme.mask(labels, "cerebellum") | scheme.mask(labels, "brainstem")
    near = ndi.binary_dilation(hindbrain, measure.SIX, iterations=dilations)
    return np.asarray(scheme.mask(labels, "ventricles") & near)


def axis_slopes(mask: np.ndarray) -> tuple[float, float]:
    """Tilt of a structure: voxels by which x and y change per voxel of z, by least squares over its voxels."""
    points = np.argwhere(mask)
    x, y, z = (points - points.mean(axis=0)).T
    spread = float(z @ z)
    return (float(x @ z) / spread, float(y @ z) / spread) if spread else (0.0, 0.0)


def regrown(labels: np.ndarray, cerebellum: np.ndarray, freed: np.ndarray, config: Config) -> np.ndarray:
    """Let the cerebellum grow into freed space; each new voxel takes the label of the nearest cerebellar one.

    Against a flat border it grows by `smoothing_voxels` times the normal quantile of 1 - `threshold`: 3.1 voxels.

    Args:
        labels: (I, J, K) integers; not changed.
        cerebellum: (I, J, K) bool.
        freed: (I, J, K) bool, where it may grow.
        config: Gaussian and threshold.

    Returns:
        The edited map.
    """
    box = measure.bounding_box(cerebellum | freed, int(np.ceil(3 * config.smoothing_voxels)))
    near = ndi.gaussian_filter(cerebellum[box].astype(np.float32), config.smoothing_voxels) > config.threshold
    nearest = ndi.distance_transform_edt(~cerebellum[box], return_distances=False, return_indices=True)
    out = labels.copy()
    new = near & freed[box]
    out[box][new] = labels[box][tuple(nearest)][new]
    return out


def thinned(labels: np.ndarray, stem: np.ndarray, fourth: np.ndarray, scale: float, filler: int) -> np.ndarray:
    """Scale each slice of brainstem and fourth ventricle about the brainstem's axis; freed space becomes `filler`.

    Args:
        labels: (I, J, K) integers in RAS orientation; not changed.
        stem: (I, J, K) bool, not empty.
        fourth: (I, J, K) bool.
        scale: s, of width and depth.
        filler: label of the freed space.

    Returns:
        The edited map; only voxels of `stem` and `fourth` change.
    """
    inward = 1.0 / scale
    slope_x, slope_y = axis_slopes(stem)
    # A slice at height z is scaled about centre + slope z: scaling in x and y, and the shear that keeps the tilt.
    matrix = np.array([[inward, 0, (1 - inward) * slope_x], [0, inward, (1 - inward) * slope_y], [0, 0, 1]])
    region = stem | fourth
    box = measure.bounding_box(region)
    moved = edits.resampled(np.where(region, labels, 0)[box], matrix, np.argwhere(stem[box]).mean(axis=0))
    out = labels.copy()
    out[box][region[box]] = np.where(moved > 0, moved, filler)[region[box]]
    return out
