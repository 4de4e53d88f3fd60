"""Enlarged ventricles by label-volume flow: tissue is pushed, not eaten, and the severity is met exactly.

Severity is set as a volume, a fold or an atrial width, for both sides together or for each; inferior horns, third and
fourth ventricle can be set apart where the scheme tells them apart. What the ventricles gain is paid by the external
CSF, by the skull (`skull_share`) and by tissue with a fold below 1 (hydrocephalus that thins the mantle; atrophy).
"""

import math
from typing import Annotated, Literal, Self

import numpy as np
import pydantic

from pathosynth.data.labels import LabelScheme
from pathosynth.data.volume import Spacing
from pathosynth.morphing import Morphed, measure, weights
from pathosynth.morphing.classes import Part
from pathosynth.morphing.measure import SIDES
from pathosynth.morphing.parts import present_ml, side_parts, sides_ml, whole_part
from pathosynth.morphing.plan import Lengths, Plan, check_labels
from pathosynth.pathologies.settings import (
    Fold,
    Payment,
    Positive,
    Sides,
    carry_out,
    tissue_folds,
    unit_of,
    with_targets,
)
from pathosynth.runs.errors import InputError, MorphError

_SOURCE_LENGTH_MM = 6.5
_APART = ("inferior_horns", "third_ventricle", "fourth_ventricle")


class Config(Payment):
    """Settings of ventriculomegaly. Give exactly one of the three targets, or `sample`."""

    ventricle_ml: Positive | Sides | None = None
    """Wanted ventricle volume in mL: of both sides together, or {left, right}."""
    ventricle_fold: Positive | Sides | None = None
    """Wanted ventricle volume as a multiple of the present one."""
    atrial_width_mm: Positive | Sides | None = None
    """Wanted atrial width in mm: the wider side (both, without asymmetry), or {left, right}."""
    sample: Literal["none", "mild", "moderate", "severe"] = "none"
    """Draw width and every setting that is not given at random, width from this class."""
    class_limits_mm: tuple[Positive, Positive, Positive, Positive] = (10.0, 12.0, 15.0, 20.0)
    """Where mild, moderate and severe begin and where sampled severe ends, in mm."""
    max_draws: Annotated[int, pydantic.Field(ge=1, le=100)] = 8
    """Draws of `sample` before giving up; a draw whose result is not valid is rejected and counted."""
    asymmetry: Annotated[float, pydantic.Field(ge=-0.8, le=0.8)] = 0.0
    """Relative difference of the sides' gain; above 0 the right side gains more."""
    inferior_horns_fold: Positive | None = None
    """Wanted volume of the inferior (temporal) horns as a multiple; without it they grow with the others."""
    third_ventricle_fold: Positive | None = None
    """Wanted volume of the third ventricle as a multiple, where the scheme has it apart; without it, it is kept."""
    fourth_ventricle_fold: Positive | None = None
    """Wanted volume of the fourth ventricle as a multiple, where the scheme has it apart; without it, it is kept."""
    posterior_bias: Annotated[float, pydantic.Field(ge=-2.5, le=2.5)] = 0.0
    """Above 0 the occipital horns grow more (colpocephaly), below 0 the frontal ones."""
    midline_mm: Annotated[float, pydantic.Field(ge=0, le=20)] = 3.0
    """Half-width of the zone at the midline that hardly grows, where all ventricles are one label; 0 is none."""
    white_matter: Fold = 1.0
    """Wanted white matter volume as a multiple of the present one."""
    cortex: Fold = 1.0
    """Wanted cortex volume as a multiple of the present one."""
    deep_grey_matter: Fold = 1.0
    """Wanted deep grey matter volume as a multiple of the present one."""
    cerebellum: Fold = 1.0
    """Wanted cerebellum volume as a multiple of the present one."""
    brainstem: Fold = 1.0
    """Wanted brainstem volume as a multiple of the present one."""
    corpus_callosum: Fold = 1.0
    """Wanted corpus callosum volume as a multiple of the present one."""
    source_variation: Annotated[float, pydantic.Field(ge=0, le=1.5)] = 0.0
    """Strength of a smooth random map of where the ventricles grow more; 0 is none, 0.6 is strong."""

    @pydantic.model_validator(mode="after")
    def _one_target(self) -> Self:
        targets = ("ventricle_ml", "ventricle_fold", "atrial_width_mm")
        given = [name for name in targets if getattr(self, name) is not None]
        if self.sample != "none" and given:
            raise ValueError(f"sample='{self.sample}' draws the severity; remove {' and '.join(given)}")
        if self.sample == "none" and len(given) != 1:
            raise ValueError(f"give exactly one of {', '.join(targets)} (or sample); found {given or 'none'}")
        if list(self.class_limits_mm) != sorted(self.class_limits_mm):
            raise ValueError("class_limits_mm must ascend")
        if self.asymmetry and given and isinstance(getattr(self, given[0]), Sides):
            raise ValueError(f"asymmetry contradicts {given[0]} given for each side; remove one of them")
        return self


def morph(
    labels: np.ndarray, scheme: LabelScheme, spacing_mm: Spacing, config: Config, rng: np.random.Generator
) -> Morphed:
    """Enlarge (or shrink) the ventricles.

    Args:
        labels: (I, J, K) unsigned integers in RAS orientation; not changed.
        scheme: its legend; needs the group ``ventricles``.
        spacing_mm: voxel edge lengths.
        config: severity and who pays.
        rng: decides `sample` and `source_variation` only.

    Raises:
        InputError: the map cannot be used (no, too few or ambiguous ventricles).
        MorphError: the request cannot be met; nothing is returned in part.
    """
    check_labels(labels, scheme, spacing_mm)
    now = sides_ml(labels, scheme, spacing_mm, measure.lateral_ventricle_group(scheme))
    if config.sample == "none":
        return _morph_once(labels, scheme, spacing_mm, config, now, rng)
    problems: list[str] = []
    for draw in range(1, config.max_draws + 1):
        drawn = draw_config(config, rng)
        try:
            morphed = _morph_once(labels, scheme, spacing_mm, drawn, now, rng)
        except MorphError as error:
            problems.append(str(error))
            continue
        morphed.report["draws"] = {"used": draw, "rejected": problems}
        return morphed
    raise MorphError(
        f"None of {config.max_draws} random draws of {config.sample} ventriculomegaly gave a valid map. The last: "
        f"{problems[-1]} Raise skull_share or max_draws, or choose a milder class."
    )


def severity(labels: np.ndarray, scheme: LabelScheme, spacing_mm: Spacing) -> dict[str, float]:
    """Volumes (mL) of the ventricles, of each side and of each ventricle the scheme tells apart; atrial widths (mm)."""
    group, voxel_ml = measure.lateral_ventricle_group(scheme), float(np.prod(spacing_mm)) / 1000.0
    found = measure.ventricle_severity(labels, scheme, spacing_mm)
    for side, mask in measure.side_masks(labels, scheme, group).items():
        found[f"ventricle_{side}_ml"] = float(mask.sum()) * voxel_ml
    for name in _APART:
        if scheme.has(name):
            found[f"{name}_ml"] = float(scheme.mask(labels, name).sum()) * voxel_ml
    return found


def severity_class(width_mm: float, limits_mm: tuple[float, float, float, float]) -> str:
    """Clinical class of a width: normal, mild, moderate or severe."""
    return ("normal", "mild", "moderate", "severe")[sum(width_mm >= limit for limit in limits_mm[:3])]


def draw_config(config: Config, rng: np.random.Generator) -> Config:
    """Random settings of one class; settings the user gave are kept.

    Distributions: width uniform in the class, asymmetry N(0, 0.3), posterior bias N(0, 1), midline U(0, 4) mm, ell
    log-normal around 12 mm, skull share U(0, 0.8), flattening U(0, 1), white matter U(0.85, 1), variation 0.6.
    """
    first = ("mild", "moderate", "severe").index(config.sample)
    low, high = config.class_limits_mm[first : first + 2]
    drawn: dict[str, float] = {
        "asymmetry": float(np.clip(rng.normal(0.0, 0.3), -0.8, 0.8)),
        "posterior_bias": float(np.clip(rng.normal(0.0, 1.0), -2.5, 2.5)),
        "midline_mm": rng.uniform(0.0, 4.0),
        "ell_mm": float(np.clip(12.0 * np.exp(rng.normal(0.0, 0.4)), 4.0, 36.0)),
        "skull_share": rng.uniform(0.0, 0.8),
        "sulcal_flattening": rng.uniform(0.0, 1.0),
        "white_matter": rng.uniform(0.85, 1.0),
        "source_variation": 0.6,
    }
    width = rng.uniform(low, high)
    kept = config.model_dump(include=config.model_fields_set - {"sample"})
    return Config(**{**drawn, **kept, "atrial_width_mm": width})


def _morph_once(
    labels: np.ndarray,
    scheme: LabelScheme,
    spacing_mm: Spacing,
    config: Config,
    now_ml: dict[str, float],
    rng: np.random.Generator,
) -> Morphed:
    """One set of settings, carried out."""
    for name in _APART:
        if getattr(config, f"{name}_fold") is not None:
            present_ml(labels, scheme, spacing_mm, name)  # says what is missing
    before = severity(labels, scheme, spacing_mm)
    asked = _asked(config, now_ml, before)
    plan = _plan(labels, scheme, spacing_mm, config, asked, rng)
    morphed = carry_out("ventriculomegaly", labels, scheme, spacing_mm, plan)
    morphed.report["warnings"] = [
        f"{name}: the target {value:.2f} {unit_of(name)} is below the present {before[name]:.2f} {unit_of(name)}"
        for name, value in asked.items()
        if value < before[name]
    ] + morphed.report["warnings"]
    after = severity(morphed.labels, scheme, spacing_mm)
    morphed.report["class"] = severity_class(after["atrial_width_mm"], config.class_limits_mm)
    return with_targets(morphed, config, asked, after)


def _asked(config: Config, now_ml: dict[str, float], before: dict[str, float]) -> dict[str, float]:
    """Wanted value of every measure that is set: widths or volumes of each side, volumes of the other ventricles."""
    if config.atrial_width_mm is not None:
        present = {side: before[f"atrial_width_{side}_mm"] for side in now_ml}
        wanted = _split(config.atrial_width_mm, present, config.asymmetry, largest=True)
        asked = {f"atrial_width_{side}_mm": mm for side, mm in wanted.items()}
    else:
        asked = {f"ventricle_{side}_ml": ml for side, ml in _wanted_volumes(config, now_ml).items()}
    for name in _APART:
        fold = getattr(config, f"{name}_fold")
        if fold is not None:
            asked[f"{name}_ml"] = fold * before[f"{name}_ml"]
    return asked


def _plan(
    labels: np.ndarray,
    scheme: LabelScheme,
    spacing_mm: Spacing,
    config: Config,
    asked: dict[str, float],
    rng: np.random.Generator,
) -> Plan:
    """Settings as a plan for the engine."""
    parts, voxel_ml = dict[str, Part](), float(np.prod(spacing_mm)) / 1000.0
    horns_ml = dict.fromkeys(SIDES, 0.0)
    if config.inferior_horns_fold is not None:
        masks = measure.side_masks(labels, scheme, "inferior_horns")
        horns_ml = {side: float(mask.sum()) * voxel_ml * config.inferior_horns_fold for side, mask in masks.items()}
        horns = side_parts(labels, scheme, "inferior_horns", horns_ml)
        parts |= {f"{side} inferior horn": part for side, part in horns.items()}
    for name in ("third_ventricle", "fourth_ventricle"):
        if f"{name}_ml" in asked:
            parts[name] = whole_part(scheme, name, asked[f"{name}_ml"])
    group, widths = measure.lateral_ventricle_group(scheme), config.atrial_width_mm is not None
    volumes = None if widths else {side: asked[f"ventricle_{side}_ml"] - horns_ml[side] for side in SIDES}
    if volumes and min(volumes.values()) <= 0:
        raise InputError(
            f"inferior_horns_fold={config.inferior_horns_fold:g} asks for horns of "
            f"{' and '.join(f'{ml:.2f}' for ml in horns_ml.values())} mL (left, right), no less than the lateral "
            "ventricles they are part of. Lower it, or raise the ventricles' target."
        )
    parts |= side_parts(labels, scheme, group, volumes, _growth(labels, scheme, spacing_mm, config, rng))
    lengths = Lengths(
        "atrial width",
        {side: asked[f"atrial_width_{side}_mm"] for side in SIDES if widths},
        lambda now: measure.measured_widths_mm(now, scheme, spacing_mm),
    )
    return Plan(
        parts,
        lengths if widths else None,
        tissue_folds(config, scheme),
        skull_share=config.skull_share,
        sulcal_flattening=config.sulcal_flattening,
        ell_mm=config.ell_mm,
    )


def _growth(
    labels: np.ndarray, scheme: LabelScheme, spacing_mm: Spacing, config: Config, rng: np.random.Generator
) -> np.ndarray | None:
    """Where the lateral ventricles grow more, broadcastable to the labels; None is evenly."""
    group, factors = measure.lateral_ventricle_group(scheme), []
    if config.midline_mm > 0 and group == "ventricles":
        midline = measure.midline_index(measure.inside_skull(labels, scheme) > 0)
        factors.append(weights.midline_weight(labels.shape, midline, spacing_mm, config.midline_mm))
    if config.posterior_bias:
        factors.append(weights.posterior_weight(scheme.mask(labels, group), config.posterior_bias))
    if config.source_variation > 0:
        factors.append(weights.random_weight(labels.shape, spacing_mm, config.source_variation, _SOURCE_LENGTH_MM, rng))
    return math.prod(factors[1:], start=factors[0]) if factors else None


def _wanted_volumes(config: Config, now_ml: dict[str, float]) -> dict[str, float]:
    """Wanted volume of each side in mL."""
    if config.ventricle_ml is not None:
        return _split(config.ventricle_ml, now_ml, config.asymmetry, largest=False)
    fold = config.ventricle_fold
    if isinstance(fold, Sides):
        return {side: ml * getattr(fold, side) for side, ml in now_ml.items()}
    return _split((fold or 1.0) * sum(now_ml.values()), now_ml, config.asymmetry, largest=False)


def _split(target: float | Sides, now: dict[str, float], asymmetry: float, *, largest: bool) -> dict[str, float]:
    """Target of each side.

    One number is the wider side's width (`largest`) or the sum of both volumes. The sides' gains then stand to each
    other as 1 - asymmetry to 1 + asymmetry, volumes also as the present volumes.
    """
    if isinstance(target, Sides):
        return {"left": target.left, "right": target.right}
    pull = {"left": 1.0 - asymmetry, "right": 1.0 + asymmetry}
    if largest:
        strongest = max(pull.values())
        return {side: now[side] + (target - now[side]) * pull[side] / strongest for side in now}
    weight = {side: now[side] * pull[side] for side in now}
    gain = target - sum(now.values())
    return {side: now[side] + gain * weight[side] / sum(weight.values()) for side in now}
