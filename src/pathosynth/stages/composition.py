"""Several pathologies in one brain: put in one after the other, measured together, corrected where they drifted."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pathosynth.data import norms
from pathosynth.data.cases import Case
from pathosynth.data.labels import LabelScheme
from pathosynth.data.volume import Volume
from pathosynth.morphing.compose import compose
from pathosynth.morphing.morphed import Morphed
from pathosynth.pathologies import PATHOLOGIES
from pathosynth.runs.config import Config, build_config
from pathosynth.runs.errors import ConfigError, InputError, MorphError
from pathosynth.runs.seeds import numpy_generator
from pathosynth.stages.cohort import Asked

ROUNDS = 2
"""Corrections of a pathology at most."""

TOLERANCES = {"mL": (0.001, 0.005), "mm": (0.3, 0.0)}
"""How far a target may end from what was asked: an amount and a part of it. Other units are not corrected."""

AGES = ("age_weeks", "age_years")

KEPT = (*AGES, "_share", "pattern")
"""Ends of the names of settings that a correction takes over: they say who pays and where, not how much."""


@dataclass(frozen=True)
class Step:
    """One pathology with its checked settings."""

    pathology: str
    config: Config


@dataclass(frozen=True)
class Target:
    """One number a step was asked for, which it met as far as it could when it was put in."""

    step: int
    pathology: str
    measure: str
    unit: str
    asked: float
    reached: float

    def off(self, value: float) -> float:
        """How far a value is from what was asked, in tolerances; 0 for a unit without one."""
        amount, part = TOLERANCES.get(self.unit, (np.inf, 0.0))
        return abs(value - self.asked) / (amount + part * abs(self.asked))


def steps_for(asked: Sequence[Asked], case: Case) -> tuple[Step, ...]:
    """Checked settings; an age that a pathology takes and nobody set comes from the case.

    Raises:
        ConfigError: a setting breaks a rule.
    """
    return tuple(_step(one, case) for one in asked)


def apply(labels: Volume, scheme: LabelScheme, steps: Sequence[Step], seed: int) -> Morphed:
    """Put pathologies into one label map in RAS orientation, one after the other.

    Each step sees the result of the one before. Afterwards all targets are measured again, and a pathology whose target
    a later one moved is applied once more, with what was asked in absolute numbers, `ROUNDS` times at most.

    Returns:
        Labels, the composed displacement (None where a step gave none), and a report: `steps` (one report each),
        `targets` (asked and finally reached, of all), `corrections` and `warnings` of the composition.

    Raises:
        MorphError: a step cannot be met; nothing is returned in part.
    """
    now: Morphed | None = None
    reports: list[dict[str, Any]] = []
    for number, step in enumerate(steps):
        now = _followed_by(now, _morph(labels, scheme, step, now, numpy_generator(seed, number)))
        reports.append(now.report)
    if now is None:
        raise ConfigError("Expected at least one pathology, found none.")
    targets = _targets(steps, reports)
    corrections: list[dict[str, Any]] = []
    for round_ in range(1, ROUNDS + 1 if len(steps) > 1 else 1):
        already = len(corrections)
        for number, step in enumerate(steps):
            drifted = _drifted([t for t in targets if t.step == number], labels.with_array(now.labels), scheme)
            if drifted:
                rng = numpy_generator(seed, number, round_)
                now, told = _corrected(labels, scheme, step, targets, now, rng)
                corrections.append({"round": round_, "pathology": step.pathology, "drifted": drifted, **told})
        if not any(correction["done"] for correction in corrections[already:]):
            break  # another round would try the same on the same map
    return Morphed(now.labels, now.displacement, _report(labels, scheme, now, reports, targets, corrections))


def severity(labels: Volume, scheme: LabelScheme, pathologies: Sequence[str]) -> dict[str, float]:
    """What the pathologies measure on a label map in RAS orientation, together; what cannot be measured is left out."""
    found = {name: value for pathology in pathologies for name, value in _measured(labels, scheme, pathology).items()}
    return {name: float(value) for name, value in found.items() if np.isfinite(value)}


def z_scores(severity: Mapping[str, float], age_weeks: float | None) -> tuple[dict[str, float], list[str]]:
    """How far a severity is from normal for the age, and warnings: nothing without an age or outside a curve's ages."""
    found: dict[str, float] = {}
    missing: list[str] = []
    if age_weeks is None:
        return {}, []
    for measure, value in severity.items():
        try:
            found |= norms.z_scores({measure: value}, age_weeks)
        except InputError:
            missing.append(measure)
    told = f"no z-score at {age_weeks:g} weeks, outside the normal curve, of {', '.join(missing)}"
    return found, [told] if missing else []


def _step(asked: Asked, case: Case) -> Step:
    model = PATHOLOGIES[asked.pathology].Config
    known = {name: age for name in AGES if name in model.model_fields and (age := getattr(case, name)) is not None}
    return Step(asked.pathology, build_config(model, known | asked.settings, f"settings of {asked.pathology}"))


def _morph(labels: Volume, scheme: LabelScheme, step: Step, now: Morphed | None, rng: np.random.Generator) -> Morphed:
    array = labels.array if now is None else now.labels
    morphed: Morphed = PATHOLOGIES[step.pathology].morph(array, scheme, labels.spacing_mm, step.config, rng)
    return morphed


def _followed_by(before: Morphed | None, after: Morphed) -> Morphed:
    """The result of the later step, with the displacement of both."""
    if before is None:
        return after
    if before.displacement is None or after.displacement is None:
        return Morphed(after.labels, None, after.report)
    return Morphed(after.labels, compose(before.displacement, after.displacement), after.report)


def _targets(steps: Sequence[Step], reports: Sequence[dict[str, Any]]) -> list[Target]:
    """Targets of all steps; where several ask for one measure, the last one's word counts."""
    found: dict[str, Target] = {}
    for number, (step, report) in enumerate(zip(steps, reports, strict=True)):
        for told in report.get("targets", []):
            measure, asked, reached = told["measure"], float(told["asked"]), float(told["reached"])
            found.pop(measure, None)
            found[measure] = Target(number, step.pathology, measure, told["unit"], asked, reached)
    return list(found.values())


def _measured(labels: Volume, scheme: LabelScheme, pathology: str) -> dict[str, float]:
    found: dict[str, float] = PATHOLOGIES[pathology].severity(labels.array, scheme, labels.spacing_mm)
    return found


def _drifted(targets: Sequence[Target], labels: Volume, scheme: LabelScheme) -> dict[str, float]:
    """Measures of one step that are out of tolerance now and were better when it was put in, with their values."""
    if not targets:
        return {}
    found = _measured(labels, scheme, targets[0].pathology)
    return {
        target.measure: float(found[target.measure])
        for target in targets
        if target.measure in found and target.off(found[target.measure]) > max(1.0, target.off(target.reached))
    }


def _corrected(
    labels: Volume, scheme: LabelScheme, step: Step, targets: Sequence[Target], now: Morphed, rng: np.random.Generator
) -> tuple[Morphed, dict[str, Any]]:
    """A pathology once more, as a small correction; where that cannot be done or does harm the map stays."""
    asked = {target.measure: target.asked for target in targets if target.pathology == step.pathology}
    try:
        again = Step(step.pathology, in_absolute_numbers(step, asked))
        after = _followed_by(now, _morph(labels, scheme, again, now, rng))
    except (ConfigError, MorphError) as error:
        return now, {"done": False, "why": str(error)}
    before, then = (_worst(targets, labels.with_array(one.labels), scheme) for one in (now, after))
    if then >= before:
        why = f"it would move a target to {then:.2g} tolerances from what was asked; now none is beyond {before:.2g}"
        return now, {"done": False, "why": why}
    return after, {"done": True, "report": after.report}


def _worst(targets: Sequence[Target], labels: Volume, scheme: LabelScheme) -> float:
    """How far the target that is furthest from what was asked is from it, in tolerances."""
    found = {name: _measured(labels, scheme, name) for name in {target.pathology for target in targets}}
    return max(t.off(float(found[t.pathology].get(t.measure, t.reached))) for t in targets)


def in_absolute_numbers(step: Step, asked: Mapping[str, float]) -> Config:
    """Settings that ask for the same targets of a map that already has the pathology, and for no other change.

    A pathology may say so itself in a function `again(config, asked)`. Else the settings named like the measures are
    set (``x_left_mm`` and ``x_right_mm`` are the sides of ``x_mm``), who pays and where (`KEPT`) stays as it was, and
    all other settings are the defaults.

    Raises:
        ConfigError: its settings have no such names, or they do not go together.
    """
    module = PATHOLOGIES[step.pathology]
    if hasattr(module, "again"):
        config: Config = module.again(step.config, dict(asked))
        return config
    model = type(step.config)
    values: dict[str, Any] = {name: value for name, value in asked.items() if name in model.model_fields}
    for name in asked:
        whole = name.replace("_left_", "_").replace("_right_", "_")
        if whole != name and whole in model.model_fields:
            sides = {side: asked[key] for side in ("left", "right") if (key := _of_side(whole, side)) in asked}
            values[whole] = sides if len(sides) == 2 else next(iter(sides.values()))
    if not values:
        raise ConfigError(f"{step.pathology} has no setting named like {', '.join(asked)}.")
    kept = {name: value for name in step.config.model_fields_set if name.endswith(KEPT)
            and (value := getattr(step.config, name)) is not None}  # fmt: skip
    return build_config(model, kept | values, f"correction of {step.pathology}")


def _of_side(measure: str, side: str) -> str:
    """``atrial_width_mm`` of the left is ``atrial_width_left_mm``."""
    name, _, unit = measure.rpartition("_")
    return f"{name}_{side}_{unit}"


def _report(
    labels: Volume, scheme: LabelScheme, now: Morphed, reports: Sequence[dict[str, Any]],
    targets: Sequence[Target], corrections: Sequence[dict[str, Any]],
) -> dict[str, Any]:  # fmt: skip
    """What was done, asked and reached in the end."""
    last, warnings, ends = labels.with_array(now.labels), [], []
    measured: dict[str, dict[str, float]] = {}
    for target in targets:
        if len(reports) > 1 and target.pathology not in measured:
            measured[target.pathology] = _measured(last, scheme, target.pathology)
        value = float(measured.get(target.pathology, {}).get(target.measure, target.reached))
        told = {"pathology": target.pathology, "measure": target.measure, "unit": target.unit}
        ends.append({**told, "asked": target.asked, "reached": value})
        if target.off(value) > max(1.0, target.off(target.reached)):
            warnings.append(
                f"{target.pathology}: {target.measure} ended at {value:.3g} {target.unit}, asked were "
                f"{target.asked:.3g}; another pathology moved it"
            )
    if now.displacement is None and len(reports) > 1:
        warnings.append(
            "no displacement: a pathology edits labels without moving anything, so images cannot be carried"
        )
    return {"steps": list(reports), "targets": ends, "corrections": list(corrections), "warnings": warnings}
