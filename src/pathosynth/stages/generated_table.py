"""``generated.csv``: what was asked of every generated label map and what it measures, one row per case."""

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pathosynth.runs.files import write_text
from pathosynth.runs.record import RunRecord

TABLE = "generated.csv"

_FIRST = ("case", "outcome", "seed", "guidance")
_LAST = ("error", "beyond", "attempts", "draws", "morphed_ml", "decided_ml", "reason")


def write(out: Path, record: RunRecord, asked: Mapping[str, Mapping[str, float]], measured: Sequence[str]) -> None:
    """Write the table of all cases, whatever became of them, in the order of the plan.

    Args:
        out: output folder.
        record: how every case ended.
        asked: case to its request; the order is that of the rows.
        measured: names that every map was measured by.
    """
    names = sorted({name for request in asked.values() for name in request})
    columns = [*_FIRST, *(f"asked_{name}" for name in names), *(f"got_{name}" for name in measured), *_LAST]
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, columns, lineterminator="\n", extrasaction="ignore")
    writer.writeheader()
    for case, request in asked.items():
        writer.writerow(row(case, request, record.content["cases"].get(case, {})))
    write_text(out / TABLE, text.getvalue())


def row(case: str, asked: Mapping[str, float], entry: Mapping[str, Any]) -> dict[str, str]:
    """The row of one case.

    Args:
        case: its name.
        asked: what was asked, also where `c` stands for a ratio.
        entry: how it ended, from the run record.
    """
    got = entry.get("got", {})
    cells = {
        "case": case,
        "outcome": entry.get("outcome", ""),
        "reason": entry.get("message", ""),
        "error": _cell(entry.get("error")),
        "beyond": " ".join(entry.get("beyond", [])),
        **{name: _cell(entry.get(name)) for name in ("morphed_ml", "decided_ml")},
        **{name: str(entry.get(name, "")) for name in ("seed", "attempts", "draws", "guidance")},
    }
    cells |= {f"asked_{name}": _cell(value) for name, value in asked.items()}
    return cells | {f"got_{name}": _cell(value) for name, value in got.items()}


def _cell(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}"
