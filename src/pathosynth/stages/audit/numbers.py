"""From what was measured on single cases to the verdict of an audit."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from pathosynth.checks import likeness
from pathosynth.metrics.separation import auc, auc_interval, likely_hits, wilson
from pathosynth.stages.audit.asked import Audit, entries
from pathosynth.stages.audit.canaries import Spotted
from pathosynth.stages.audits import FORMAT_VERSION, weights_of

Row = dict[str, Any]

FALSE_ALARMS = 0.01
"""Share of novel cases that may be taken for copies; more flagged cases than this makes likely are too many."""
PARTS = ("labels", "image", "texture")


def rows_of(record: Mapping[str, Any], audit: Audit) -> list[Row]:
    """One row for every case and part: how like a training case it is, and whether that is a copy.

    How like may be known from the training people among themselves or from the held-out people, whichever are more.
    """
    content = dict(record)
    rows = [
        {"role": role, "name": entry["name"], "subject": entry["subject"], **one}
        for role in ("generated", "held-out")
        for entry in entries(content, role)
        for one in entry.get("likeness", [])
    ]
    held_out = [(entry["subject"], one) for entry in entries(content, "held-out") for one in entry.get("likeness", [])]
    for part in PARTS:
        unseen = _by_person((subject, one["similarity"]) for subject, one in held_out if one["part"] == part)
        if unseen.size > len({case.subject for case in audit.training}):
            limits = {"suspect": likeness.limit(unseen, 95.0), "copy": likeness.limit(unseen, 99.5)}
            rows = [row | (limits if row["part"] == part else {}) for row in rows]
    rows = [row | {"copied": _above(row["similarity"], row["copy"])} for row in rows]
    return rows + _texture_rows(content, audit)


def summary(record: Mapping[str, Any], rows: Sequence[Row], found: Sequence[Spotted], audit: Audit) -> Row:
    """The audit in numbers, JSON-able: copies by part and person, membership, canaries, and what is above the limit."""
    content = dict(record)
    parts = {part: _part([row for row in rows if row["part"] == part]) for part in PARTS}
    parts = {part: told for part, told in parts.items() if told["judged"] or told["not_judged"]}
    member = membership(content, audit)
    leaks = [one for one in found if one.shared]
    reasons = [
        f"{told['copies']} of {told['judged']} {_made_of(part)} are copies of training cases, at most "
        f"{told['allowed']} expected by chance"
        for part, told in parts.items()
        if told["copies"] > told["allowed"]
    ]
    if leaks:
        reasons.append(f"{len({one.text for one in leaks})} texts of the training files stand in what is shared")
    return {
        "format_version": FORMAT_VERSION,
        "model": audit.found.identity,
        "weights": weights_of(audit.found.identity),
        "generator": audit.found.generator,
        "training": {"cases": len(audit.own), "people": len({case.subject for case in audit.training})},
        "held_out": {"cases": len(audit.held_out), "people": len({case.subject for case in audit.held_out})},
        "generated": len(entries(content, "generated")),
        "control": audit.control.identity if audit.control else None,
        "rule": f"99.5 % limit of real people; more copies than a false-alarm rate of {FALSE_ALARMS:.0%} makes likely",
        "parts": parts,
        "people": _people(rows),
        "membership": member,
        "canaries": {
            "found": len({one.text for one in leaks}),
            "in_records": len({one.text for one in found if not one.shared}),
            "places": sorted({f"{one.found} ({one.planted})" for one in leaks})[:20],
        },
        "above_limit": reasons,
    }


def membership(record: dict[str, Any], audit: Audit) -> Row | None:
    """How well losses tell training cases from others; None where there is nothing to compare.

    Members are the training cases. Others are the held-out cases under the same model or, without any, the training
    cases under the control, which has not seen them. With both, the control's own AUC says what the choice of cases
    alone tells apart.
    """
    known, others = entries(record, "training"), entries(record, "held-out")
    known = [entry for entry in known if "losses" in entry]
    others = [entry for entry in others if "losses" in entry]
    people = [entry["subject"] for entry in known]
    if not known or not (others or all("control_losses" in entry for entry in known)):
        return None
    told: Row = {"against": "held-out cases" if others else "the control model", "members": len(known)}
    if others:
        strangers = [entry["subject"] for entry in others]
        told |= {"others": len(others), **_auc(known, others, "losses", (people, strangers), audit.seed)}
        if all("control_losses" in entry for entry in (*known, *others)):
            control = _auc(known, others, "control_losses", (people, strangers), audit.seed)
            told |= {f"control_{name}": value for name, value in control.items()}
    else:
        seen, unseen = _levels(known, "losses"), _levels(known, "control_losses")
        told |= {"others": len(known), **_interval(unseen, seen, (people, people), audit.seed)}
    chance = max(0.5, told.get("control_auc") or 0.5)
    low = told["low"]
    return told | {"told_apart": low is not None and low > chance}


def _auc(known: list[Row], others: list[Row], key: str, people: tuple[list[str], list[str]], seed: int) -> Row:
    return _interval(_levels(others, key), _levels(known, key), people[::-1], seed)


def _interval(higher: np.ndarray, lower: np.ndarray, people: tuple[Sequence[str], Sequence[str]], seed: int) -> Row:
    low, high = auc_interval(higher, lower, people, seed)
    return {"auc": _plain(auc(higher, lower)), "low": _plain(low), "high": _plain(high)}


def _levels(found: Sequence[Row], key: str) -> np.ndarray:
    """Mean logarithm of the losses over the noise levels, one number per case."""
    return np.array([float(np.mean(np.log(np.maximum(entry[key], 1e-12)))) for entry in found])


def _texture_rows(record: dict[str, Any], audit: Audit) -> list[Row]:
    """Likeness of rendered images to the image of the label map they were rendered from, and its limit.

    The limit comes from people the model has not seen, or from what the control renders of those it has.
    """
    measured = [
        {"name": entry["name"], "subject": entry["subject"], "case": entry["texture_of"],
         "role": entry.get("texture_role", role), "similarity": entry["texture"],
         "control": entry.get("texture_control")}
        for role in ("training", "held-out", "generated")
        for entry in entries(record, role)
        if entry.get("texture") is not None
    ]  # fmt: skip
    unseen = [(row["subject"], row["similarity"]) for row in measured if row["role"] == "held-out"]
    unseen = unseen or [(row["subject"], row["control"]) for row in measured if row["control"] is not None]
    alike = _by_person(unseen)
    suspect, copy = likeness.limit(alike, 95.0), likeness.limit(alike, 99.5)
    return [
        {"role": "generated" if row["role"] == "training" else "held-out", "name": row["name"],
         "subject": row["subject"], "part": "texture", "similarity": row["similarity"], "case": row["case"],
         "mirror": False, "suspect": suspect, "copy": copy, "copied": _above(row["similarity"], copy)}
        for row in measured
    ]  # fmt: skip


def _by_person(found: Iterable[tuple[str, float]]) -> np.ndarray:
    """(people,) highest similarity of every person."""
    highest: dict[str, float] = {}
    for subject, value in found:
        highest[subject] = max(value, highest.get(subject, -1.0))
    return np.array(list(highest.values()), np.float32)


def _part(rows: Sequence[Row]) -> Row:
    made = [row for row in rows if row["role"] == "generated"]
    real = [row for row in rows if row["role"] == "held-out"]
    judged = [row for row in made if not math.isnan(_number(row["copy"]))]
    copies = [row for row in judged if row["copied"]]
    low, high = wilson(len(copies), len(judged))
    return {
        "judged": len(judged), "not_judged": len(made) - len(judged), "copies": len(copies),
        "share": len(copies) / len(judged) if judged else None, "low": low, "high": high,
        "allowed": likely_hits(len(judged), FALSE_ALARMS), "limit": _plain(rows[0]["copy"]) if rows else None,
        "suspects": sum(_above(row["similarity"], row["suspect"]) for row in judged),
        "median": _median(made), "held_out": len(real), "held_out_copies": sum(row["copied"] for row in real),
        "held_out_median": _median(real),
    }  # fmt: skip


def _people(rows: Sequence[Row]) -> list[Row]:
    """Training people by how often they were copied, those never copied left out."""
    owner: dict[str, Row] = {}
    for row in rows:
        if row["role"] == "generated" and row["copied"]:
            told = owner.setdefault(str(row["subject"]), {"subject": row["subject"], "copies": 0, "similarity": -1.0})
            told["copies"] += 1
            told["similarity"] = max(told["similarity"], row["similarity"])
    return sorted(owner.values(), key=lambda told: (-told["copies"], told["subject"]))


def _made_of(part: str) -> str:
    return {"labels": "label maps", "image": "images", "texture": "rendered images"}[part]


def _above(value: float, limit: float | None) -> bool:
    return limit is not None and not math.isnan(limit) and value > limit


def _number(value: float | None) -> float:
    return float("nan") if value is None else float(value)


def _median(rows: Sequence[Row]) -> float | None:
    return float(np.median([row["similarity"] for row in rows])) if rows else None


def _plain(value: float | None) -> float | None:
    return None if value is None or math.isnan(value) else float(value)
