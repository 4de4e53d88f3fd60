"""A small brain: in a small head, in a head of normal size, or anything between, by one knob (`head_share`)."""

from typing import Self

import numpy as np
import pydantic

from pathosynth.data.labels import LabelScheme
from pathosynth.data.norms import load_norm
from pathosynth.data.volume import Spacing
from pathosynth.morphing import Morphed, biometry
from pathosynth.morphing.classes import Part
from pathosynth.morphing.parts import present_ml
from pathosynth.morphing.plan import Lengths, Plan, check_labels
from pathosynth.pathologies.hindbrain import Age
from pathosynth.pathologies.settings import (
    Fold,
    Payment,
    Positive,
    Share,
    ZScore,
    carry_out,
    exactly_one,
    needed_age,
    with_targets,
)
from pathosynth.runs.errors import InputError

_BRAIN = "brain"
_TARGETS = ("brain_ml", "brain_fold", "brain_z", "head_circumference_mm", "head_circumference_z")


class Config(Payment):
    """Settings of microcephaly. Give exactly one of the five targets."""

    brain_ml: Positive | None = None
    """Wanted volume of all brain tissue in mL."""
    brain_fold: Fold | None = None
    """Wanted volume of all brain tissue as a multiple of the present one."""
    brain_z: ZScore | None = None
    """Wanted z-score of the tissue volume for the age; the present volume counts as normal (z = 0)."""
    head_circumference_mm: Positive | None = None
    """Wanted circumference of the inside of the skull in mm."""
    head_circumference_z: ZScore | None = None
    """Wanted z-score of that circumference for the age (INTERGROWTH-21st)."""
    age_weeks: Age | None = None
    """Gestational age, for z-scores; taken from the case table where it has one."""
    head_share: Share = 1.0
    """1: the head shrinks by all the brain loses; 0: the head stays and external CSF fills the gap."""
    ventricles_fold: Positive | None = None
    """Wanted volume of the ventricles as a multiple; without it they shrink with the brain."""
    skull_share: Share = 0.0
    """Not used here: `head_share` says it."""

    @pydantic.model_validator(mode="after")
    def _one_target(self) -> Self:
        name = exactly_one(self, _TARGETS)
        if name.startswith("head") and self.head_share == 0:
            raise ValueError(f"{name} contradicts head_share=0, which keeps the head; give a brain target")
        if "skull_share" in self.model_fields_set:
            raise ValueError("give head_share instead of skull_share")
        return self


def morph(
    labels: np.ndarray, scheme: LabelScheme, spacing_mm: Spacing, config: Config, rng: np.random.Generator
) -> Morphed:
    """Shrink the brain.

    Args:
        labels: (I, J, K) unsigned integers in RAS orientation; not changed.
        scheme: its legend; needs the group ``tissue``.
        spacing_mm: voxel edge lengths.
        config: severity, and how far the head follows.
        rng: not used; nothing is random.

    Raises:
        InputError: the map cannot be used, or a z-score lacks an age.
        MorphError: the request cannot be met.
    """
    check_labels(labels, scheme, spacing_mm)
    if not scheme.has("ventricles"):
        raise InputError(
            f"Scheme '{scheme.name}' does not tell ventricles from other fluid, so nothing says what is brain. Morph "
            "the full label map first, then remap it to this scheme."
        )
    now = present_ml(labels, scheme, spacing_mm, "tissue")
    fluid = float(scheme.mask(labels, "ventricles").sum()) * float(np.prod(spacing_mm)) / 1000.0
    name, wanted = _target(config, now)
    parts, lengths, follows = {}, None, config.ventricles_fold is None
    values = scheme.group("tissue") + (scheme.group("ventricles") if follows else ())
    if name == "brain_ml":
        parts[_BRAIN] = Part(values, wanted * (now + fluid) / now if follows else wanted)
    else:
        parts[_BRAIN] = Part(values)
        lengths = Lengths(
            "head circumference",
            {_BRAIN: wanted},
            lambda array: {_BRAIN: biometry.head_size_mm(array, scheme, spacing_mm).head_circumference_mm},
        )
    plan = Plan(
        parts,
        lengths,
        {} if follows else dict.fromkeys(scheme.group("ventricles"), config.ventricles_fold or 1.0),
        skull_share=config.head_share,
        sulcal_flattening=config.sulcal_flattening,
        ell_mm=config.ell_mm,
    )
    morphed = carry_out("microcephaly", labels, scheme, spacing_mm, plan)
    return with_targets(morphed, config, {name: wanted}, severity(morphed.labels, scheme, spacing_mm))


def severity(labels: np.ndarray, scheme: LabelScheme, spacing_mm: Spacing) -> dict[str, float]:
    """Volumes (mL) of brain tissue and of the inside of the skull; its diameters and circumference (mm)."""
    voxel_ml = float(np.prod(spacing_mm)) / 1000.0
    found = {
        "brain_ml": float(scheme.mask(labels, "tissue").sum()) * voxel_ml,
        "intracranial_ml": float(scheme.mask(labels, "intracranial").sum()) * voxel_ml,
    }
    return found | vars(biometry.head_size_mm(labels, scheme, spacing_mm))


def _target(config: Config, now_ml: float) -> tuple[str, float]:
    """Measure that is wanted, named as in `severity`, and its value."""
    if config.head_circumference_mm is not None:
        return "head_circumference_mm", config.head_circumference_mm
    if config.head_circumference_z is not None:
        norm = load_norm("head_circumference_mm")
        return "head_circumference_mm", norm.value(config.head_circumference_z, needed_age(config))
    if config.brain_ml is not None:
        return "brain_ml", config.brain_ml
    if config.brain_fold is not None:
        return "brain_ml", config.brain_fold * now_ml
    return "brain_ml", now_ml * load_norm("parenchyma_ml").fold_at_z(config.brain_z or 0.0, needed_age(config))
