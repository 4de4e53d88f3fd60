"""A small brain: in a small head, in a head of normal size, or anything between, by one knob (`head_share`)."""

from collections.abc import Callable
from typing import Self

import numpy as np
import pydantic

from pathosynth.data.labels import LabelScheme
from pathosynth.data.norms import load_norm
from pathosynth.data.volume import Spacing
from pathosynth.morphing import Morphed, biometry
from pathosynth.morphing.classes import Part
from pathosynth.morphing.parts import present_ml
from pathosynth.morphing.plan import Plan, check_labels
from pathosynth.pathologies.hindbrain import Age
from pathosynth.pathologies.settings import (
    Fold,
    Positive,
    Share,
    Slack,
    ZScore,
    carry_out,
    exactly_one,
    needed_age,
    with_targets,
)
from pathosynth.runs.errors import InputError, MorphError

_BRAIN = "brain"
_AIM_MM, _MOST_ROUNDS = 0.25, 12  # how near a circumference must come, in how many attempts
_TARGETS = ("brain_ml", "brain_fold", "brain_z", "head_circumference_mm", "head_circumference_z")


class Config(Slack):
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

    @pydantic.model_validator(mode="after")
    def _one_target(self) -> Self:
        name = exactly_one(self, _TARGETS)
        if name.startswith("head") and self.head_share == 0:
            raise ValueError(f"{name} contradicts head_share=0, which keeps the head; give a brain target")
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
    follows = config.ventricles_fold is None
    values = scheme.group("tissue") + (scheme.group("ventricles") if follows else ())

    def shrunk(brain_ml: float) -> Morphed:
        plan = Plan(
            {_BRAIN: Part(values, brain_ml * (now + fluid) / now if follows else brain_ml)},
            None,
            {} if follows else dict.fromkeys(scheme.group("ventricles"), config.ventricles_fold or 1.0),
            skull_share=config.head_share,
            sulcal_flattening=config.sulcal_flattening,
            ell_mm=config.ell_mm,
        )
        return carry_out("microcephaly", labels, scheme, spacing_mm, plan)

    if name == "brain_ml":
        morphed = shrunk(wanted)
    else:
        morphed = _to_circumference(shrunk, wanted, labels, scheme, spacing_mm, config.head_share)
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


def _to_circumference(
    shrunk: Callable[[float], Morphed],
    wanted_mm: float,
    labels: np.ndarray,
    scheme: LabelScheme,
    spacing_mm: Spacing,
    head_share: float,
) -> Morphed:
    """Search the brain volume whose finished map has the wanted circumference.

    The finished map, because the last voxels of the skull move its circumference by more than is allowed to be missed.

    Args:
        shrunk: the map with a brain volume in mL.
        wanted_mm: circumference.
        labels: (I, J, K) before.
        scheme: their legend.
        spacing_mm: voxel edge lengths.
        head_share: part of the brain's loss that the head follows.

    Raises:
        MorphError: no volume leads to it; says how near it came.
    """
    now = severity(labels, scheme, spacing_mm)
    known = [(now["head_circumference_mm"], now["brain_ml"])]
    stretch = wanted_mm / now["head_circumference_mm"]
    brain_ml = now["brain_ml"] - (1.0 - stretch**3) * now["intracranial_ml"] / head_share
    for _ in range(_MOST_ROUNDS):
        brain_ml = float(np.clip(brain_ml, 0.7 * known[-1][1], 1.4 * known[-1][1]))
        morphed = shrunk(brain_ml)
        known.append((biometry.head_size_mm(morphed.labels, scheme, spacing_mm).head_circumference_mm, brain_ml))
        if abs(known[-1][0] - wanted_mm) <= _AIM_MM:
            return morphed
        brain_ml = _next_brain_ml(known, wanted_mm)
    nearest = min(known, key=lambda found: abs(found[0] - wanted_mm))
    raise MorphError(
        f"Head circumference {wanted_mm:g} mm cannot be reached: a brain of {nearest[1]:.1f} mL comes nearest, with "
        f"{nearest[0]:.2f} mm. Ask for brain_ml, or for a circumference nearer to the present "
        f"{now['head_circumference_mm']:.1f} mm, or raise head_share."
    )


def _next_brain_ml(known: list[tuple[float, float]], wanted_mm: float) -> float:
    """Volume to try next: between the nearest that are too small and too large, else on the line through the last two.

    Args:
        known: circumference in mm and brain volume in mL of every map so far.
        wanted_mm: circumference.
    """
    below = max((found for found in known if found[0] < wanted_mm), default=None)
    above = min((found for found in known if found[0] >= wanted_mm), default=None)
    if below is None or above is None:
        below, above = sorted(known)[:2] if below is None else sorted(known)[-2:]
    (low_mm, low_ml), (high_mm, high_ml) = below, above
    share = (wanted_mm - low_mm) / max(high_mm - low_mm, 1e-6)
    return low_ml + (high_ml - low_ml) * (share if not 0 < share < 1 else float(np.clip(share, 0.1, 0.9)))
