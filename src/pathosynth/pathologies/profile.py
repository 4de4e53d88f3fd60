"""Any volumes at once: "the volumes of this other brain", or a table of labels and groups with millilitres or folds."""

import csv
import io
from collections import Counter
from pathlib import Path
from typing import Self

import numpy as np
import pydantic

from pathosynth.data.labels import LabelScheme
from pathosynth.data.nifti import read_labels
from pathosynth.data.volume import Spacing
from pathosynth.morphing import Morphed
from pathosynth.morphing.classes import Part
from pathosynth.morphing.measure import volumes_ml
from pathosynth.morphing.parts import check_size
from pathosynth.morphing.plan import Plan, check_labels
from pathosynth.pathologies.settings import Payment, Positive, Share, carry_out, with_targets
from pathosynth.runs.errors import InputError

_EFFACED_FOLD = 0.3


class Config(Payment):
    """Settings of a profile: at least one of `volumes_ml`, `folds`, `like` and `table`."""

    volumes_ml: dict[str, Positive] = pydantic.Field(default_factory=dict)
    """Wanted volume in mL by name of a label or a group; the labels of a group keep their proportions."""
    folds: dict[str, Positive] = pydantic.Field(default_factory=dict)
    """Wanted volume as a multiple of the present one, by name of a label or a group."""
    like: Path | None = None
    """Label map of another brain in the same scheme, whose volume every label takes."""
    table: Path | None = None
    """CSV or TSV with the columns ``name`` and ``volume_ml`` or ``fold``."""
    skull_share: Share = 1.0
    """Part of the net gain by which the head grows or shrinks; the rest is external CSF, where that has no target."""

    @pydantic.model_validator(mode="after")
    def _some_target(self) -> Self:
        if not (self.volumes_ml or self.folds or self.like or self.table):
            raise ValueError("give volumes_ml, folds, like or table; found none")
        if self.like and (self.volumes_ml or self.folds or self.table):
            raise ValueError("like sets every label; remove volumes_ml, folds and table")
        return self


def morph(
    labels: np.ndarray, scheme: LabelScheme, spacing_mm: Spacing, config: Config, rng: np.random.Generator
) -> Morphed:
    """Give labels the volumes of a profile; what has no target is kept.

    Args:
        labels: (I, J, K) unsigned integers in RAS orientation; not changed.
        scheme: its legend.
        spacing_mm: voxel edge lengths.
        config: the profile.
        rng: not used; nothing is random.

    Raises:
        InputError: a name is no label or group, two targets name the same label, or a label is missing.
        MorphError: the request cannot be met.
    """
    check_labels(labels, scheme, spacing_mm)
    now = volumes_ml(labels, spacing_mm)
    wanted = _wanted(config, scheme, now)
    folds = _label_folds(wanted, scheme, now)
    for name in wanted if config.like is None else ():
        values = _values(name, scheme)
        check_size(name, values, sum(now.get(value, 0.0) for value in values), scheme, spacing_mm)
    outer = scheme.group("external_csf") if scheme.has("external_csf") else ()
    effaced = tuple(v for v in outer if folds.get(v, 1.0) < _EFFACED_FOLD)
    plan = Plan(
        {scheme[value].name: Part((value,), now[value] * fold) for value, fold in folds.items()},
        skull_share=config.skull_share,
        sulcal_flattening=config.sulcal_flattening,
        ell_mm=config.ell_mm,
        effaced=effaced,
    )
    morphed = carry_out("profile", labels, scheme, spacing_mm, plan)
    after = severity(morphed.labels, scheme, spacing_mm)
    return with_targets(morphed, config, {f"{name}_ml": ml for name, ml in wanted.items()}, after)


def severity(labels: np.ndarray, scheme: LabelScheme, spacing_mm: Spacing) -> dict[str, float]:
    """Volume (mL) of every label that occurs and of every group."""
    now = volumes_ml(labels, spacing_mm)
    groups = {f"{name}_ml": sum(now.get(v, 0.0) for v in values) for name, values in scheme.groups.items()}
    return groups | {f"{scheme[value].name}_ml": ml for value, ml in now.items() if value in scheme.values}


def _wanted(config: Config, scheme: LabelScheme, now: dict[int, float]) -> dict[str, float]:
    """Wanted volume of each named label or group in mL."""
    if config.like is not None:
        other = read_labels(config.like, scheme)
        found = volumes_ml(other.array, other.spacing_mm)
        lacking = [scheme[value].name for value in now if value not in found]
        if lacking:
            raise InputError(
                f"{config.like}: no voxel of {', '.join(lacking)}, which the morphed map has. Give volumes."
            )
        return {scheme[value].name: found[value] for value in now}
    volumes, folds = dict(config.volumes_ml), dict(config.folds)
    more_volumes, more_folds = ({}, {}) if config.table is None else _read_table(config.table)
    given = Counter([*volumes, *folds, *more_volumes, *more_folds])
    twice = [name for name, count in given.items() if count > 1]
    if twice:
        raise InputError(f"Profile: {', '.join(twice)} has two targets, in volumes_ml, folds or table. Leave one out.")
    volumes, folds = volumes | more_volumes, folds | more_folds
    present = {name: sum(now.get(value, 0.0) for value in _values(name, scheme)) for name in (*volumes, *folds)}
    return volumes | {name: fold * present[name] for name, fold in folds.items()}


def _label_folds(wanted: dict[str, float], scheme: LabelScheme, now: dict[int, float]) -> dict[int, float]:
    """Fold of each label that has a target."""
    folds: dict[int, float] = {}
    for name, ml in wanted.items():
        values = [value for value in _values(name, scheme) if value in now]
        if not values:
            raise InputError(f"No {name}: the label map has no voxel of it. Check --scheme or leave it out.")
        twice = [scheme[value].name for value in values if value in folds]
        if twice:
            raise InputError(f"Profile: {', '.join(twice)} has two targets, one through '{name}'. Leave one out.")
        folds |= dict.fromkeys(values, ml / sum(now[value] for value in values))
    return folds


def _values(name: str, scheme: LabelScheme) -> tuple[int, ...]:
    """Values of a label or a group by name; a label's own name comes first."""
    for label in scheme.labels:
        if label.name == name:
            return (label.value,)
    if not scheme.has(name):
        raise InputError(
            f"Profile: '{name}' is neither a label nor a group of scheme '{scheme.name}'. Labels: "
            f"{', '.join(label.name for label in scheme.labels)}. Groups: {', '.join(sorted(scheme.groups))}."
        )
    return scheme.group(name)


def _read_table(path: Path) -> tuple[dict[str, float], dict[str, float]]:
    """Volumes and folds of a table.

    Raises:
        InputError: it cannot be read, a column is missing, or a cell is not a number above 0.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read ({error}). Give a CSV or TSV in UTF-8.") from None
    rows = list(csv.DictReader(io.StringIO(text), dialect=csv.excel_tab if "\t" in text else csv.excel))
    volumes: dict[str, float] = {}
    folds: dict[str, float] = {}
    for number, row in enumerate(rows, start=2):
        given = {key: row[key] for key in ("volume_ml", "fold") if row.get(key)}
        try:
            (key, value), name = *((k, float(v)) for k, v in given.items()), row["name"]
            if not name or name in volumes or name in folds or not 0 < value < float("inf"):
                raise ValueError
        except (KeyError, TypeError, ValueError):
            raise InputError(
                f"{path}, line {number}: expected a new name and one of volume_ml and fold, a number above 0; found "
                f"{row}. Correct the line."
            ) from None
        (volumes if key == "volume_ml" else folds)[name] = value
    if not rows:
        raise InputError(f"{path}: expected columns name and volume_ml or fold, and at least one row; found none.")
    return volumes, folds
