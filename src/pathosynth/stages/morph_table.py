"""``morphs.csv``: what was asked of every case and what was reached, one row per case and target."""

import csv
import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pathosynth.runs.files import write_text
from pathosynth.runs.record import RunRecord
from pathosynth.stages.cohort import Variant

TABLE = "morphs.csv"
FIGURE = "distributions.png"

COLUMNS = (
    "case", "parent", "kind", "pathology", "measure", "unit", "asked", "reached", "outcome", "draws", "corrections",
    "warnings", "settings", "reason",
)  # fmt: skip


def write(out: Path, record: RunRecord, tasks: Sequence[Variant]) -> None:
    """Write the table of all variants, whatever became of them, in the order of the plan."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    for task in tasks:
        writer.writerows(rows(task, record.content["cases"].get(task.case, {})))
    write_text(out / TABLE, text.getvalue())


def rows(task: Variant, entry: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Rows of one variant: one per target, and one for a pathology without any or for one that failed.

    Args:
        task: the variant.
        entry: how it ended, from the run record.
    """
    met = "targets" in entry
    shared = {
        "case": task.case,
        "parent": task.source,
        "kind": task.kind,
        "outcome": entry.get("outcome", ""),
        "draws": len(entry["refused"]) + 1 if met else "",
        "corrections": entry.get("corrections", ""),
        "warnings": entry.get("warnings", ""),
        "reason": entry.get("message", ""),
    }
    for asked in entry.get("asked", [asdict(one) for one in task.asked]):
        own = {"pathology": asked["pathology"], "settings": json.dumps(asked["settings"], sort_keys=True)}
        targets = [target for target in entry.get("targets", []) if target["pathology"] == asked["pathology"]]
        for target in targets or [{}]:
            numbers = {key: f"{target[key]:.6g}" for key in ("asked", "reached") if key in target}
            named = {key: target[key] for key in ("measure", "unit") if key in target}
            yield {**shared, **own, **named, **numbers}
