"""The control curves in numbers: per strength of guidance and per requested c."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from pathosynth.data.measurements import RATIO, VENTRICLES
from pathosynth.stages.report.describe import describe, spearman
from pathosynth.stages.report.errors import errors

Rows = Sequence[Mapping[str, Any]]


def summary(
    rows: Rows, references: Rows, trained: tuple[float, float], *, failed: int, stray_limit_mm3: float
) -> dict[str, Any]:
    """All numbers of the figure.

    Args:
        rows: one for each map.
        references: one for each real map.
        trained: ratio at c = 0 and at c = 1.
        failed: maps or cases of which nothing could be measured.
        stray_limit_mm3: volume of islands, holes and loose parts above which a map fails its check.

    Returns:
        ``guidance``: a list with, per G, Spearman's correlation of c with ratio and volume, errors inside and beyond
        the trained range, and ``points`` per c; ``references``: share passed and stray volume per set of real maps.
    """
    strengths = sorted({row["guidance"] for row in rows})
    sets = list(dict.fromkeys(row["set"] for row in references))
    return {
        "figure": "control",
        "maps": len(rows),
        "failed": failed,
        "trained_ratio": list(trained),
        "stray_limit_mm3": stray_limit_mm3,
        "guidance": [_strength([row for row in rows if row["guidance"] == g]) for g in strengths],
        "references": {name: _quality([row for row in references if row["set"] == name]) for name in sets},
    }


def _strength(rows: Rows) -> dict[str, Any]:
    inside = [row for row in rows if not row["beyond"]]
    beyond = [row for row in rows if row["beyond"]]
    requested = sorted({row["c"] for row in rows})
    return {
        "G": rows[0]["guidance"],
        "spearman": {"all": _correlations(rows), "inside": _correlations(inside)},
        "inside": _missed(inside),
        "beyond": _missed(beyond),
        "points": [{"c": c, **_point([row for row in rows if row["c"] == c])} for c in requested],
    }


def _correlations(rows: Rows) -> dict[str, float | None]:
    c = _column(rows, "c")
    return {name: spearman(c, _column(rows, name)) for name in (RATIO, VENTRICLES)}


def _missed(rows: Rows) -> dict[str, Any]:
    """Errors of the ratio, the same in mL of each map's own intracranial volume, and the quality of the maps."""
    zero = np.zeros(len(rows))
    ratio = errors(_column(rows, "asked_ratio"), _column(rows, RATIO))
    return {RATIO: ratio, "ml": errors(zero, _column(rows, "error_ml")), **_quality(rows)}


def _point(rows: Rows) -> dict[str, Any]:
    found = {name: describe(_column(rows, name)) for name in ("c_got", RATIO, VENTRICLES)}
    few = {name: {key: values[key] for key in ("mean", "sd", "min", "max")} for name, values in found.items()}
    return {**few, **_quality(rows)}


def _quality(rows: Rows) -> dict[str, Any]:
    """How many maps passed the checks, and the volume of what lies loose in them; None without any map."""
    stray = np.array([row["stray_mm3"] for row in rows if row["stray_mm3"] is not None])
    return {
        "n": len(rows),
        "passed": sum(row["passed"] for row in rows) / len(rows) if rows else None,
        "stray_mm3": {"median": float(np.median(stray)), "max": float(stray.max())} if len(stray) else None,
    }


def _column(rows: Rows, name: str) -> np.ndarray:
    return np.array([row[name] for row in rows], dtype=float)
