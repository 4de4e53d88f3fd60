"""Settings and report entries that several pathologies share."""

from collections.abc import Mapping
from typing import Annotated, Any

import numpy as np
import pydantic

from pathosynth.data.labels import LabelScheme
from pathosynth.data.volume import Spacing
from pathosynth.morphing import Morphed, measure
from pathosynth.morphing.plan import Plan
from pathosynth.morphing.reshape import reshape
from pathosynth.runs.config import Config
from pathosynth.runs.errors import InputError

Positive = Annotated[float, pydantic.Field(gt=0, allow_inf_nan=False)]
ZScore = Annotated[float, pydantic.Field(allow_inf_nan=False)]
Share = Annotated[float, pydantic.Field(ge=0, le=1)]
Fold = Annotated[float, pydantic.Field(gt=0, le=3)]

TISSUES = ("white_matter", "cortex", "deep_grey_matter", "cerebellum", "brainstem", "corpus_callosum")


class Sides(Config):
    """One value for each side."""

    left: Positive
    right: Positive


class Slack(Config):
    """How the external CSF takes up what a structure gains or leaves."""

    sulcal_flattening: Share = 0.0
    """How much more easily the sulci are drained than the rest of the external CSF."""
    ell_mm: Annotated[float, pydantic.Field(gt=0, le=100)] = 12.0
    """How far the displacement spreads into the external CSF before it is taken up."""


class Payment(Slack):
    """Who takes up what a structure gains or leaves, besides tissue with a fold of its own."""

    skull_share: Share = 0.0
    """Part of the net gain by which the head grows (or shrinks, where the brain shrinks); the rest is external CSF."""


def exactly_one(config: Config, names: tuple[str, ...]) -> str:
    """Name of the one target that is given.

    Raises:
        ValueError: none or several are; as a pydantic validator wants it.
    """
    given = [name for name in names if getattr(config, name) is not None]
    if len(given) != 1:
        raise ValueError(f"give exactly one of {', '.join(names)}; found {' and '.join(given) or 'none'}")
    return given[0]


def needed_age(config: Config) -> float:
    """Age in weeks of a config that cannot do without it.

    Raises:
        InputError: none is known.
    """
    age: float | None = getattr(config, "age_weeks", None)
    if age is None:
        raise InputError(
            "This severity depends on the age, which is not known. Give --set age_weeks=28, or a case table with ages."
        )
    return age


def tissue_folds(config: Config, scheme: LabelScheme, *, leave_out: tuple[str, ...] = ()) -> dict[int, float]:
    """Folds of single labels from the fields of a config that are named like tissues.

    Args:
        config: may have any of the fields in `TISSUES`.
        scheme: whose labels they are.
        leave_out: tissues that the pathology changes by itself.
    """
    folds: dict[int, float] = {}
    for tissue in TISSUES:
        fold = getattr(config, tissue, 1.0)
        if fold != 1.0 and tissue not in leave_out:
            folds |= dict.fromkeys(scheme.group(tissue), fold)
    return folds


def carry_out(
    name: str,
    labels: np.ndarray,
    scheme: LabelScheme,
    spacing_mm: Spacing,
    plan: Plan,
) -> Morphed:
    """Run a plan; the report starts with the pathology's name."""
    morphed = reshape(labels, scheme, spacing_mm, plan)
    return Morphed(morphed.labels, morphed.displacement, {"pathology": name} | morphed.report)


def with_targets(
    morphed: Morphed, config: Config, asked: Mapping[str, float], severity: Mapping[str, float]
) -> Morphed:
    """The morph with its request, its severity and its table of asked and reached values.

    Args:
        morphed: from `carry_out`.
        config: what was requested.
        asked: wanted value of each measure; every measure is one of `severity`.
        severity: measured on the final labels.
    """
    targets = [
        {"measure": name, "unit": unit_of(name), "asked": float(value), "reached": float(severity[name])}
        for name, value in asked.items()
    ]
    told: dict[str, Any] = {
        "request": config.model_dump(mode="json", exclude_none=True),
        "severity": dict(severity),
        "targets": targets,
    }
    return Morphed(morphed.labels, morphed.displacement, morphed.report | told)


def edited(
    labels: np.ndarray,
    out: np.ndarray,
    scheme: LabelScheme,
    spacing_mm: Spacing,
    config: Config,
    facts: dict[str, Any],
) -> Morphed:
    """The morph of a baseline that repaints labels: no displacement, no exact target, `facts` in its report."""
    told: dict[str, Any] = {"request": config.model_dump(exclude_none=True), "targets": []}
    return Morphed(out, None, facts | told | measure.describe(labels, out, scheme, spacing_mm))


def unit_of(measure: str) -> str:
    """Unit of a measure from its name: mL, mm, or none."""
    return {"ml": "mL", "mm": "mm"}.get(measure.rsplit("_", 1)[-1], "")
