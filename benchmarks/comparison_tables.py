"""Markdown tables of made maps against real patients, from the records that the headline_* comparisons collect."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np


@dataclass(frozen=True)
class Record:
    """One made map against one patient.

    Attributes:
        case: the patient.
        unit: what arms must have in common to be compared: the patient, or the patient and the parent.
        arm: how the map was made.
        draw: which random draw, or which parent.
        bound: whether the arm was told what the patient measures; such arms do not compete.
        refused: why there is no map; empty if there is one.
        values: measures of the made map.
        real: the same of the patient, where that is not simply a ratio or Dice of 1 or a distance of 0.
        seconds: wall time to make the map.
    """

    case: str
    unit: str
    arm: str
    draw: str
    bound: bool = False
    refused: str = ""
    values: dict[str, float] = field(default_factory=dict)
    real: dict[str, float] = field(default_factory=dict)
    seconds: float = 0.0


@dataclass(frozen=True)
class Row:
    """One measure.

    A ratio is far off by |ln ratio|, a difference by |made - real|; a distance is one; a score is best when high.
    """

    key: str
    title: str
    kind: Literal["ratio", "difference", "distance", "score"]
    digits: int = 2

    def off(self, record: Record) -> float:
        """How far a record is from its patient (a score: itself)."""
        value = record.values[self.key]
        if self.kind == "ratio":
            return abs(float(np.log(value)))
        return value if self.kind == "score" else abs(value - record.real.get(self.key, 0.0))

    def mean_off(self, records: Sequence[Record]) -> float:
        return float(np.mean([self.off(r) for r in records]))

    def mean_value(self, records: Sequence[Record]) -> float:
        """Arithmetic mean of what was measured; geometric for ratios."""
        values = [r.values[self.key] for r in records]
        return float(np.exp(np.mean(np.log(values)))) if self.kind == "ratio" else float(np.mean(values))

    def best(self, off: dict[str, float]) -> str:
        """The arm that is nearest to the patient; empty without arms."""
        known = {arm: value for arm, value in off.items() if np.isfinite(value)}
        pick = max if self.kind == "score" else min
        return pick(known, key=known.__getitem__) if known else ""


_ROWS = (
    Row("ln_ratio", "mean abs ln volume ratio over labels", "distance"),
    Row("dice_ventricles", "ventricle Dice", "score", 3),
    Row("dice_labels", "mean Dice over labels", "score", 3),
    Row("mantle_quantiles_mm", "mantle, distribution (Wasserstein-1), mm", "distance"),
    Row("mantle_points_mm", "mantle, point by point, mm", "distance"),
    Row("atrial_width_mm", "atrial width (mean of both sides), mm", "difference", 1),
    Row("contact_faces", "ventricle-cortex faces", "difference", 0),
    Row("hindbrain_csf_ml", "CSF within 5 mm of the hindbrain, mL", "difference"),
    Row("hindbrain_csf_percent", "the same, % of that shell", "difference", 1),
    Row("transcerebellar_diameter_mm", "transcerebellar diameter, mm", "difference", 1),
    Row("cerebellum_lowest_mm", "lowest point of the cerebellum, made - real, mm", "difference", 1),
    Row("brainstem_lowest_mm", "lowest point of the brainstem, made - real, mm", "difference", 1),
)


def rows(records: Sequence[Record]) -> list[Row]:
    """Every measure that was taken, in the order of the tables: first a volume ratio for every label."""
    keys = next((r.values for r in records if r.values), {})
    ratios = [
        Row(key, f"{key[6:].replace('_', ' ')}, made / real", "ratio") for key in keys if key.startswith("ratio_")
    ]
    return [*ratios, *(row for row in _ROWS if row.key in keys)]


def case_tables(records: Sequence[Record]) -> str:
    """What was measured: one table per patient, the nearest competing arm in bold."""
    shared = common_units(records)
    note = "Every patient: means of what was made (geometric for ratios); in bold what is nearest, by mean distance."
    tables = [_case_table([r for r in records if r.case == case], shared) for case in _unique(records, "case")]
    return "\n\n".join([note, *tables])


def summary(records: Sequence[Record]) -> str:
    """Mean distance to the patient, measures by arms, over the units that every competing arm could make."""
    shared = common_units(records)
    made = [r for r in records if not r.refused and r.unit in shared]
    arms, cases = _arms(made), _unique(made, "case")
    lines = [
        f"Mean distance to the real patient over {len(shared)} of {len(_unique(records, 'unit'))} comparisons "
        "(ratios as abs ln; Dice as it is). † was told the patient's volumes and does not compete.",
        "",
        "| measure | " + " | ".join(arms.values()) + " | best | best in |",
        "| --- " * (len(arms) + 3) + "|",
    ]
    for row in rows(made):
        off = {arm: row.mean_off(mine) for arm in arms if (mine := [r for r in made if r.arm == arm])}
        best = row.best({arm: value for arm, value in off.items() if arm in _competing(made)})
        won = sum(_best_in(row, [r for r in made if r.case == case]) == best for case in cases)
        cells = [_cell(off[arm], max(row.digits, 1), arm == best) for arm in arms]
        title = row.title.replace(", made / real", " volume").replace(", made - real", "")
        lines.append(f"| {title} | {' | '.join(cells)} | {best} | {won} of {len(cases)} |")
    return "\n".join(lines)


def refusals(records: Sequence[Record]) -> str:
    """Which maps could not be made, and why."""
    refused = [r for r in records if r.refused]
    lines = [f"- {r.case}, {r.arm}, {r.draw}: {r.refused[:300]}" for r in refused]
    return "\n".join([f"Refused: {len(refused)} of {len(records)} maps.", *lines])


def common_units(records: Sequence[Record]) -> set[str]:
    """Units of which every competing arm made at least one map; arms that made none at all do not count."""
    made = [r for r in records if not r.refused]
    units = {r.unit for r in made}
    for arm in _competing(made):
        units &= {r.unit for r in made if r.arm == arm}
    return units


def save(records: Sequence[Record], path: Path) -> None:
    path.write_text(json.dumps([asdict(r) for r in records], indent=1) + "\n", encoding="utf-8")


def load(paths: Sequence[Path]) -> list[Record]:
    return [Record(**entry) for path in paths for entry in json.loads(path.read_text(encoding="utf-8"))]


def _case_table(records: Sequence[Record], shared: set[str]) -> str:
    """One patient: values of the made maps (means over draws) beside the patient's own."""
    made = [r for r in records if not r.refused and r.unit in shared]
    if not made:
        return f"### {records[0].case}\n\nNo map of every arm."
    arms = _arms(made)
    lines = [f"### {records[0].case}", "", "| measure | real | " + " | ".join(arms.values()) + " |"]
    lines.append("| --- " * (len(arms) + 2) + "|")
    for row in rows(made):
        best, real = _best_in(row, made), made[0].real.get(row.key)
        own = "" if real is None else _cell(real, row.digits, False)
        cells = [_cell(row.mean_value([r for r in made if r.arm == a]), row.digits, a == best) for a in arms]
        lines.append(f"| {row.title} | {own} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _best_in(row: Row, made: Sequence[Record]) -> str:
    competing = _competing(made)
    return row.best({arm: row.mean_off([r for r in made if r.arm == arm]) for arm in competing})


def _competing(made: Sequence[Record]) -> list[str]:
    return [arm for arm in _unique(made, "arm") if not next(r for r in made if r.arm == arm).bound]


def _arms(made: Sequence[Record]) -> dict[str, str]:
    """Arms and their column titles."""
    return {arm: arm if arm in _competing(made) else f"{arm} †" for arm in _unique(made, "arm")}


def _unique(records: Sequence[Record], attribute: str) -> list[str]:
    return list(dict.fromkeys(getattr(r, attribute) for r in records))


def _cell(value: float, digits: int, bold: bool) -> str:
    text = f"{value:.{digits}f}" if np.isfinite(value) else "-"
    return f"**{text}**" if bold else text
