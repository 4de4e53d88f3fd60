"""What was asked of a label generator against what its maps measure, with error bands, inside and beyond its range."""

import csv
import functools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pydantic

from pathosynth.data.measurements import RATIO, unit
from pathosynth.runs.config import Config as BaseConfig
from pathosynth.runs.errors import InputError
from pathosynth.runs.record import RunRecord
from pathosynth.stages.batch import Options, Plan, Result
from pathosynth.stages.generated_table import TABLE
from pathosynth.stages.report.asked_figure import draw
from pathosynth.stages.report.errors import errors
from pathosynth.stages.report.files import publish
from pathosynth.stages.report.source import Source
from pathosynth.stages.wishes import SCALED

NAME = "asked"
ASKED, GOT = "asked_", "got_"
Row = Mapping[str, Any]


class Config(BaseConfig):
    """Settings of asked against got."""

    measure: tuple[str, ...] = ()
    """Conditions shown, one row each; by default all that were asked for and can be measured."""
    bins: int = pydantic.Field(8, ge=1, le=100)
    """Bins of what was asked, each with a mean error and a band."""


@dataclass(frozen=True)
class Table:
    """One folder of generated maps."""

    case: str
    path: Path

    @property
    def source(self) -> str:
        """The set itself."""
        return self.case


def plan(sources: Sequence[Source], config: Config, options: Options) -> Plan:
    """Read every ``generated.csv``, then draw.

    Raises:
        InputError: a folder has none.
    """
    tables = [Table(source.name, source.path / TABLE) for source in sources]
    for table in tables:
        if not table.path.is_file():
            raise InputError(f"{table.path}: expected the table `generate-labels` writes, found none. Check the path.")
    return Plan(
        command=f"report {NAME}",
        config={"sets": [table.case for table in tables], **config.model_dump(mode="json")},
        inputs=[table.path for table in tables],
        tasks=tables,
        work=functools.partial(_work, names=config.measure),
        finish=functools.partial(_finish, sets=[table.case for table in tables], bins=config.bins),
        memory_gib=0.3,
        makes=f"{NAME}.png, .csv and .json of {len(tables)} sets",
    )


def _work(task: Table, *, names: tuple[str, ...]) -> Result:
    rows, left_out = read_table(task.path, names)
    return Result("done", facts={"pairs": rows, "left_out": left_out})


def read_table(path: Path, names: Sequence[str] = ()) -> tuple[list[dict[str, Any]], int]:
    """Pairs of asked and got in a ``generated.csv``.

    Args:
        path: the table.
        names: conditions; all that were asked for and measured where empty.

    Returns:
        One row per case and condition, and how many cases were left out because no map of them was taken.

    Raises:
        InputError: columns are missing, a cell is no number, or nothing was asked of a map that was taken.
    """
    with path.open(encoding="utf-8", newline="") as stream:
        reader = csv.DictReader(stream)
        cases, columns = list(reader), tuple(reader.fieldnames or ())
    wanted = tuple(names) or _both(columns)
    needed = ["case", "outcome", "beyond", *(f"{end}{name}" for name in wanted for end in (ASKED, GOT))]
    missing = [name for name in needed if name not in columns]
    if missing or not wanted:
        raise InputError(
            f"{path}: expected columns {', '.join(missing) or 'asked_NAME and got_NAME'}, found "
            f"{', '.join(columns) or 'none'}. Give a folder that `generate-labels` wrote, and --measure of its columns."
        )
    taken = [case for case in cases if case["outcome"] == "done"]
    pairs = [pair for case in taken for name in wanted if (pair := _pair(path, case, name))]
    if not pairs:
        raise InputError(
            f"{path}: expected at least one map that was taken and of which {' or '.join(wanted)} was asked, found "
            f"none among {len(cases)} cases. See its column 'reason'."
        )
    return pairs, len(cases) - len(taken)


def _both(columns: Sequence[str]) -> tuple[str, ...]:
    """Conditions with both columns; `c` says the same as the ratio, which has a unit of its own."""
    names = [column.removeprefix(ASKED) for column in columns if column.startswith(ASKED)]
    found = [name for name in names if f"{GOT}{name}" in columns]
    return tuple(name for name in found if name != SCALED or RATIO not in found)


def _pair(path: Path, case: Mapping[str, str], name: str) -> dict[str, Any] | None:
    """Asked and got of one condition; None where this case was not asked for it."""
    if not case[f"{ASKED}{name}"]:
        return None
    asked, got = (_number(path, case, f"{end}{name}") for end in (ASKED, GOT))
    same = {RATIO, SCALED} if name in (RATIO, SCALED) else {name}
    row: dict[str, Any] = {"case": case["case"], "name": name, "unit": unit(name), "asked": asked, "got": got,
                           "beyond": bool(same & set(case["beyond"].split()))}  # fmt: skip
    return row | {"error": got - asked, "error_ml": _error_ml(path, case, row)}


def _error_ml(path: Path, case: Mapping[str, str], row: Row) -> float | None:
    """The error in mL; that of a ratio through the map's own intracranial volume, where the table tells it."""
    if row["unit"] == "mL":
        return float(row["got"] - row["asked"])
    if row["name"] != RATIO or not case.get("got_ventricle_ml") or row["got"] == 0:
        return None
    intracranial_ml = _number(path, case, "got_ventricle_ml") / row["got"]
    return float((row["got"] - row["asked"]) * intracranial_ml)


def _number(path: Path, case: Mapping[str, str], column: str) -> float:
    try:
        value = float(case[column])
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise InputError(f"{path}: case '{case['case']}': {column} is '{case[column]}', expected a number.")
    return value


def _finish(out: Path, record: RunRecord, *, sets: Sequence[str], bins: int) -> None:
    done = [name for name in sets if record.done(name)]
    if not done:
        raise InputError(f"report {NAME}: no table could be read. See {record.path}.")
    facts = {name: record.facts(name) for name in done}
    rows = [{"set": name, **pair} for name in done for pair in facts[name]["pairs"]]
    left_out = {name: facts[name]["left_out"] for name in done}
    found = summary(rows, left_out, bins)
    publish(out, NAME, draw(rows, found), rows, found)


def summary(rows: Sequence[Row], left_out: Mapping[str, int], bins: int) -> dict[str, Any]:
    """Errors per condition and set: all, inside and beyond the trained range, and per bin of what was asked."""
    names = list(dict.fromkeys(row["name"] for row in rows))
    conditions = {}
    for name in names:
        own = [row for row in rows if row["name"] == name]
        edges = _edges(own, bins)
        sets = list(dict.fromkeys(row["set"] for row in own))
        conditions[name] = {
            "unit": own[0]["unit"],
            "sets": {one: _errors([row for row in own if row["set"] == one], edges) for one in sets},
        }
    return {"figure": NAME, "left_out": dict(left_out), "conditions": conditions}


def _errors(rows: Sequence[Row], edges: np.ndarray) -> dict[str, Any]:
    inside = [row for row in rows if not row["beyond"]]
    beyond = [row for row in rows if row["beyond"]]
    groups = {"all": rows, "inside": inside, "beyond": beyond}
    # The last edge belongs to the last bin.
    place = np.clip(np.digitize([row["asked"] for row in rows], edges) - 1, 0, len(edges) - 2)
    binned = [[row for row, at in zip(rows, place, strict=True) if at == i] for i in range(len(edges) - 1)]
    return {
        **{name: {**_error(group, "error"), "ml": _error_in_ml(group)} for name, group in groups.items()},
        "bins": [
            {"from": float(low), "to": float(high), **_error(group, "error")}
            for low, high, group in zip(edges, edges[1:], binned, strict=False)
        ],
    }


def _error(rows: Sequence[Row], column: str) -> dict[str, Any]:
    values = np.array([row[column] for row in rows], dtype=float)
    return errors(np.zeros(len(values)), values)


def _error_in_ml(rows: Sequence[Row]) -> dict[str, Any] | None:
    """The same in mL; None where some row has no volume."""
    return None if any(row["error_ml"] is None for row in rows) else _error(rows, "error_ml")


def _edges(rows: Sequence[Row], bins: int) -> np.ndarray:
    """Equal bins over what was asked; one bin where all asked for the same."""
    asked = np.array([row["asked"] for row in rows])
    low, high = float(asked.min()), float(asked.max())
    return np.linspace(low, high, bins + 1) if high > low else np.array([low, low])
