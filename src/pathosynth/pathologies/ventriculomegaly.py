"""Enlarged ventricles by label-volume flow: tissue is pushed, not eaten, and the severity is met exactly.

Severity is set as a volume, a fold or an atrial width, for both sides together or for each. What the ventricles gain
is paid by the external CSF, by the skull (`skull_share`) and by tissue with a fold below 1.
"""

from typing import Annotated, Literal, Self

import numpy as np
import pydantic

from pathosynth.data.labels import LabelScheme
from pathosynth.data.volume import Spacing
from pathosynth.morphing import Morphed, measure, weights
from pathosynth.morphing.measure import measured_widths_mm
from pathosynth.morphing.plan import Plan, check_labels
from pathosynth.morphing.reshape import reshape
from pathosynth.runs.config import Config as BaseConfig
from pathosynth.runs.errors import InputError, MorphError

Positive = Annotated[float, pydantic.Field(gt=0, allow_inf_nan=False)]
Share = Annotated[float, pydantic.Field(ge=0, le=1)]
Fold = Annotated[float, pydantic.Field(gt=0, le=3)]

_SMALLEST_ML = 0.3
_SMALLEST_VOXELS = 100
_TISSUES = ("white_matter", "cortex", "deep_grey_matter", "cerebellum", "brainstem")
_SOURCE_LENGTH_MM = 6.5


class Sides(BaseConfig):
    """One value for each side."""

    left: Positive
    right: Positive


class Config(BaseConfig):
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
    posterior_bias: Annotated[float, pydantic.Field(ge=-2.5, le=2.5)] = 0.0
    """Above 0 the occipital horns grow more (colpocephaly), below 0 the frontal ones."""
    midline_mm: Annotated[float, pydantic.Field(ge=0, le=20)] = 3.0
    """Half-width of the zone at the midline that hardly grows (third and fourth ventricle); 0 switches it off."""
    skull_share: Share = 0.0
    """Part of the net gain by which the head grows instead of draining external CSF."""
    sulcal_flattening: Share = 0.0
    """How much more easily the sulci are drained than the rest of the external CSF."""
    ell_mm: Annotated[float, pydantic.Field(gt=0, le=100)] = 12.0
    """How far the displacement spreads into the external CSF before it is taken up."""
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
    now = _present(labels, scheme, spacing_mm)
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
    """Ventricle volume (mL) and atrial widths (mm) of a label map, from its integer labels."""
    return measure.ventricle_severity(labels, scheme, spacing_mm)


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


def _group(scheme: LabelScheme) -> str:
    """The group that grows; schemes that merge ventricles with other fluid are refused."""
    if not scheme.has("ventricles"):
        raise InputError(
            f"Scheme '{scheme.name}' does not tell ventricles from other fluid (no group 'ventricles'; it has "
            f"{', '.join(sorted(scheme.groups))}), so nothing says what should grow. Morph the full label map first, "
            "then remap it to this scheme."
        )
    return measure.lateral_ventricle_group(scheme)


def _present(labels: np.ndarray, scheme: LabelScheme, spacing_mm: Spacing) -> dict[str, float]:
    """Present volume of each side in mL.

    Raises:
        InputError: there is no ventricle, too little of it, or only one side.
    """
    group = _group(scheme)
    mask = scheme.mask(labels, group)
    voxels, voxel_ml = int(mask.sum()), float(np.prod(spacing_mm)) / 1000.0
    legend = ", ".join(f"{value} {scheme[value].name}" for value in scheme.group(group))
    if voxels == 0:
        raise InputError(f"No ventricle: the label map has no voxel of '{group}' ({legend}). Check --scheme.")
    if voxels < _SMALLEST_VOXELS or voxels * voxel_ml < _SMALLEST_ML:
        raise InputError(
            f"The ventricles ({legend}) have {voxels} voxels, {voxels * voxel_ml:.3f} mL; at least {_SMALLEST_VOXELS} "
            f"voxels and {_SMALLEST_ML} mL are needed to know their shape. Check the label map."
        )
    sides = measure.side_masks(labels, scheme, group)
    empty = [side for side, found in sides.items() if not found.any()]
    if empty:
        raise InputError(f"No ventricle on the {empty[0]} side ({legend}). Check orientation (RAS) and the label map.")
    return {side: float(found.sum()) * voxel_ml for side, found in sides.items()}


def _morph_once(
    labels: np.ndarray,
    scheme: LabelScheme,
    spacing_mm: Spacing,
    config: Config,
    now_ml: dict[str, float],
    rng: np.random.Generator,
) -> Morphed:
    """One set of settings, carried out."""
    plan, warnings = _plan(labels, scheme, spacing_mm, config, now_ml, rng)
    morphed = reshape(labels, scheme, spacing_mm, plan)
    after = severity(morphed.labels, scheme, spacing_mm)
    morphed.report["warnings"] = warnings + morphed.report["warnings"]
    report = {
        "pathology": "ventriculomegaly",
        "request": config.model_dump(exclude_none=True),
        "severity": after,
        "class": severity_class(after["atrial_width_mm"], config.class_limits_mm),
    }
    return Morphed(morphed.labels, morphed.displacement, report | morphed.report)


def _plan(
    labels: np.ndarray,
    scheme: LabelScheme,
    spacing_mm: Spacing,
    config: Config,
    now_ml: dict[str, float],
    rng: np.random.Generator,
) -> tuple[Plan, list[str]]:
    """Settings as a plan for the engine, and warnings."""
    volumes = widths = None
    if config.atrial_width_mm is not None:
        present = measured_widths_mm(labels, scheme, spacing_mm)
        widths, unit = _split(config.atrial_width_mm, present, config.asymmetry, largest=True), "mm"
        wanted = widths
    else:
        present, unit = now_ml, "mL"
        volumes = wanted = _wanted_volumes(config, now_ml)
    warnings = [
        f"{side}: the target {wanted[side]:.2f} {unit} is below the present {present[side]:.2f} {unit}"
        for side in wanted
        if wanted[side] < present[side]
    ]
    folds = {
        value: fold for tissue in _TISSUES if (fold := getattr(config, tissue)) != 1.0 for value in scheme.group(tissue)
    }
    source = None
    if config.source_variation > 0:
        source = weights.random_weight(labels.shape, spacing_mm, config.source_variation, _SOURCE_LENGTH_MM, rng)
    plan = Plan(
        _group(scheme),
        volumes_ml=volumes,
        widths_mm=widths,
        folds=folds,
        skull_share=config.skull_share,
        sulcal_flattening=config.sulcal_flattening,
        posterior_bias=config.posterior_bias,
        midline_mm=config.midline_mm,
        ell_mm=config.ell_mm,
        source_map=source,
    )
    return plan, warnings


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
