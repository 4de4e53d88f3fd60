"""How often each answer was given, per arm and reader: what stands behind every coefficient."""

from typing import Any

import numpy as np

from pathosynth.reader.analysis.ratings import Question

MOST_VALUES = 30
"""Above so many different values they are measures, not grades, and are not counted one by one."""


def distribution(question: Question) -> dict[str, dict[str, Any]]:
    """For each arm: ratings, mean, SD, median and counts of every value, of all readers and of each."""
    used = np.unique(question.values[np.isfinite(question.values)])
    counted = used if len(used) <= MOST_VALUES else used[:0]
    return {arm: _of_arm(question, question.values[question.of_arm(arm)], counted) for arm in question.arms}


def _of_arm(question: Question, values: np.ndarray, used: np.ndarray) -> dict[str, Any]:
    readers = {name: _counts(question, values[:, i], used) for i, name in enumerate(question.readers)}
    return {"cases": len(values), **_moments(question, values), "counts": _counts(question, values, used),
            "readers": readers}  # fmt: skip


def _counts(question: Question, values: np.ndarray, used: np.ndarray) -> dict[str, int]:
    return {question.coded.name(value): int((values == value).sum()) for value in used}


def _moments(question: Question, values: np.ndarray) -> dict[str, float | int | None]:
    """Mean, SD (of a sample) and median; none of names, whose numbers mean nothing."""
    known = values[np.isfinite(values)]
    measured = len(known) if question.kind in ("graded", "detection") else 0
    return {
        "ratings": len(known),
        "mean": float(known.mean()) if measured else None,
        "sd": float(known.std(ddof=1)) if measured > 1 else None,
        "median": float(np.median(known)) if measured else None,
    }
