"""What the pathologies of cerebellum and brainstem share: how the cerebellum's size is set, and how it is measured."""

from collections.abc import Callable
from typing import Annotated, Literal, Self

import numpy as np
import pydantic

from pathosynth.data.labels import LabelScheme
from pathosynth.data.norms import load_norm
from pathosynth.data.volume import Spacing
from pathosynth.morphing import biometry, measure, weights
from pathosynth.morphing.classes import Part
from pathosynth.morphing.measure import SIDES
from pathosynth.morphing.parts import present_ml, side_parts, sides_ml, whole_part
from pathosynth.pathologies.settings import Fold, Payment, Positive, ZScore, exactly_one, needed_age

ANCHORED = 0.25
"""Mobility of a structure that should stay where it is while its neighbour shrinks."""

Age = Annotated[float, pydantic.Field(gt=0, lt=60)]
LengthMeasure = Callable[[np.ndarray], float]

_CEREBELLUM_TARGETS = (
    "cerebellum_ml",
    "cerebellum_fold",
    "cerebellum_z",
    "transcerebellar_diameter_mm",
    "transcerebellar_diameter_z",
)


class CerebellumSize(Payment):
    """How small the cerebellum becomes: exactly one of the five targets."""

    cerebellum_ml: Positive | None = None
    """Wanted volume in mL (of the affected side, where only one is)."""
    cerebellum_fold: Fold | None = None
    """Wanted volume as a multiple of the present one."""
    cerebellum_z: ZScore | None = None
    """Wanted z-score of the volume for the age; the present volume counts as normal (z = 0), whatever its protocol."""
    transcerebellar_diameter_mm: Positive | None = None
    """Wanted left-right extent of the cerebellum in mm."""
    transcerebellar_diameter_z: ZScore | None = None
    """Wanted z-score of that extent for the age."""
    age_weeks: Age | None = None
    """Gestational age, for z-scores; taken from the case table where it has one."""
    pattern: Literal["global", "vermian", "left", "right"] = "global"
    """What is small: all of it, mostly the vermis, or one hemisphere."""
    ell_mm: Annotated[float, pydantic.Field(gt=0, le=100)] = 5.0
    """How far from the cerebellum external CSF takes up the space it leaves."""

    @pydantic.model_validator(mode="after")
    def _one_cerebellum_target(self) -> Self:
        name = exactly_one(self, _CEREBELLUM_TARGETS)
        if self.pattern != "global" and name.startswith("transcerebellar"):
            raise ValueError(f"{name} contradicts pattern='{self.pattern}', which leaves a hemisphere; give a volume")
        return self


def cerebellum_target(
    config: CerebellumSize, labels: np.ndarray, scheme: LabelScheme, spacing_mm: Spacing
) -> tuple[str, float]:
    """Measure that is wanted of the cerebellum, named as in `hindbrain_severity`, and its value (mL or mm).

    Where one side is small, the volume of both, because no plane divides a cerebellum whose one half has shrunk.

    Raises:
        InputError: there is no cerebellum, a z-score without an age, or an age outside the norm.
    """
    whole = present_ml(labels, scheme, spacing_mm, "cerebellum")
    if config.transcerebellar_diameter_mm is not None:
        return "transcerebellar_diameter_mm", config.transcerebellar_diameter_mm
    if config.transcerebellar_diameter_z is not None:
        norm = load_norm("transcerebellar_diameter_mm")
        return "transcerebellar_diameter_mm", norm.value(config.transcerebellar_diameter_z, needed_age(config))
    now = whole
    if config.pattern in SIDES:
        now = sides_ml(labels, scheme, spacing_mm, "cerebellum")[config.pattern]
    wanted = config.cerebellum_ml
    if config.cerebellum_fold is not None:
        wanted = now * config.cerebellum_fold
    if wanted is None:
        wanted = now * load_norm("cerebellum_ml").fold_at_z(config.cerebellum_z or 0.0, needed_age(config))
    return "cerebellum_ml", whole - now + wanted


def cerebellum_part(
    name: str, wanted: float, config: CerebellumSize, labels: np.ndarray, scheme: LabelScheme, spacing_mm: Spacing,
    vermis: float = 1.0,
) -> Part:  # fmt: skip
    """The part of the cerebellum that shrinks to a target of `cerebellum_target`.

    Args:
        name: measure from `cerebellum_target`.
        wanted: its value.
        config: for its pattern.
        labels: (I, J, K) in RAS orientation.
        scheme: its legend.
        spacing_mm: voxel edge lengths.
        vermis: how strongly the vermis takes part, next to 1 for the hemispheres.
    """
    volume = wanted if name.endswith("_ml") else None
    if config.pattern in SIDES:
        now = sides_ml(labels, scheme, spacing_mm, "cerebellum")
        small = dict.fromkeys(SIDES, wanted - sum(now.values()) + now[config.pattern])
        return side_parts(labels, scheme, "cerebellum", small)[config.pattern]
    weight = None
    if config.pattern == "vermian":
        weight = weights.vermis_weight(scheme.mask(labels, "cerebellum"), spacing_mm, inside=1.0, outside=0.05)
    elif vermis != 1.0:
        weight = weights.vermis_weight(scheme.mask(labels, "cerebellum"), spacing_mm, inside=vermis, outside=1.0)
    return whole_part(scheme, "cerebellum", volume, weight)


def hindbrain_severity(labels: np.ndarray, scheme: LabelScheme, spacing_mm: Spacing) -> dict[str, float]:
    """Volumes (mL) of cerebellum, its sides and brainstem; transcerebellar diameter, vermis height and pons (mm)."""
    voxel_ml = float(np.prod(spacing_mm)) / 1000.0
    found = {"cerebellum_ml": float(scheme.mask(labels, "cerebellum").sum()) * voxel_ml}
    for side, mask in measure.side_masks(labels, scheme, "cerebellum").items():
        found[f"cerebellum_{side}_ml"] = float(mask.sum()) * voxel_ml
    found["transcerebellar_diameter_mm"] = biometry.transcerebellar_diameter_mm(labels, scheme, spacing_mm)
    found["vermis_height_mm"] = biometry.vermis_height_mm(labels, scheme, spacing_mm)
    if scheme.has("brainstem"):
        found["brainstem_ml"] = float(scheme.mask(labels, "brainstem").sum()) * voxel_ml
        found["pons_ap_mm"] = biometry.pons_ap_mm(labels, scheme, spacing_mm)
    return found
