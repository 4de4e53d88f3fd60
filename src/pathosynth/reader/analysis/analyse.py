"""All that ratings say: for every question agreement, repeats, distributions, and what its kind allows besides."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from pathosynth.metrics.statistics import holm
from pathosynth.reader.analysis.agreement import NAMES, agreement, options
from pathosynth.reader.analysis.caveats import caveats
from pathosynth.reader.analysis.comparison import compare
from pathosynth.reader.analysis.detection import detect
from pathosynth.reader.analysis.distribution import distribution
from pathosynth.reader.analysis.estimate import LEVEL, Estimate, undefined
from pathosynth.reader.analysis.intra import within_readers
from pathosynth.reader.analysis.kinds import CONFIDENCE
from pathosynth.reader.analysis.modalities import compare_arms
from pathosynth.reader.analysis.ratings import Question
from pathosynth.reader.analysis.settings import Settings
from pathosynth.reader.analysis.units import number_of

FORMAT = 1
"""Of the JSON."""

NO_LIMIT = "No grade is said to mean positive; say above which with --positive-above."


def analyse(questions: Sequence[Question], settings: Settings) -> dict[str, Any]:
    """Everything about every question, with `Estimate` where a number has an interval.

    Where exactly one question can be rated (text apart), its agreement also stands at the top, name by name; where
    there is text alone, a sentence.
    """
    found = {question.name: _question(question, settings) for question in questions}
    rated = [one["agreement"] for one in found.values() if one["kind"] != "text"]
    rated = rated or [one["agreement"] for one in found.values()][:1]
    top = {name: rated[0][name] for name in NAMES} if len(rated) == 1 else {}
    return {"format": FORMAT, "level": LEVEL, **top, "caveats": caveats(found), "questions": found}


def _question(question: Question, settings: Settings) -> dict[str, Any]:
    kind, values = question.kind, question.values
    found: dict[str, Any] = {
        "kind": kind,
        "readers": list(question.readers),
        "cases": len(question.cases),
        "arms": {arm: int(question.of_arm(arm).sum()) for arm in question.arms},
        "ratings": int(np.isfinite(values).sum()),
        "missing": question.missing,
        "late_first_readings": question.late,
        "open_images": question.open,
        "units": number_of(question.units),
        "agreement": agreement(values, kind, settings.weights, question.units),
    }
    if kind == "text":
        return found
    if kind == "graded" and question.coded.names:
        found["scale"] = list(question.coded.names)
    if len(question.arms) > 1:
        own = {arm: question.of_arm(arm) for arm in question.arms}
        found["agreement_by_arm"] = {
            arm: agreement(values[cases], kind, settings.weights, question.units[cases]) for arm, cases in own.items()
        }
    found["within_readers"] = _within(question, settings.weights)
    found["distribution"] = distribution(question)
    if kind == "ticks":
        found["options"] = options(question)
    if kind == "graded":
        found["comparisons"] = _comparisons(question, settings)
    if kind == "detection":
        found["detection"] = _detection(question)
    if kind == "graded" and question.positive is not None:
        found["detection"] = _judged_by_grades(question, question.positive, settings.positive_above)
    if _has_modalities(question):
        found["mrmc"] = compare_arms(question)
    return found


def _has_modalities(question: Question) -> bool:
    """Whether arms can be compared by an AUC each."""
    if question.positive is not None:
        return question.kind in ("graded", "detection")
    return question.kind == "detection" and question.tells and len(question.compared()) > 1


def _within(question: Question, weights: str) -> dict[str, Any]:
    ordered = question.kind in ("graded", "detection")
    found = within_readers(question.repeated, question.readers, weights if ordered else "none")
    return {"pooled": found.pop(""), "readers": found}


def _comparisons(question: Question, settings: Settings) -> dict[str, Any]:
    """Every arm against the reference."""
    if question.positive is not None:
        return {}
    name, reference = question.reference()
    found = {}
    for arm, own in question.compared().items():
        kept = own | reference
        found[arm] = {
            "reference": name, "reference_is_real": question.tells,
            **compare(question.values[kept], own[kept], question.units[kept], settings.seed, settings.margin),
        }  # fmt: skip
    _adjust(found)
    return found


def _adjust(comparisons: Mapping[str, dict[str, Any]]) -> None:
    """Add the p of the main test corrected by Holm over arms."""
    main = [one["tests"].get("readers_and_cases") for one in comparisons.values()]
    for test, p in zip(main, holm([test["p"] if test else None for test in main]), strict=True):
        if test:
            test["p_holm"] = p


def _detection(question: Question) -> dict[str, Any]:
    """How well real and synthetic cases are told apart: all synthetic arms together, and each alone."""
    threshold = 1.5 if question.coded.names == CONFIDENCE else 0.5
    if question.positive is not None:
        own = {arm: question.of_arm(arm) for arm in question.arms}
        return {"real": None, **_detections(question, question.positive, threshold, own)}
    if question.real is None or not question.tells:
        arms = ", ".join(f"'{arm}'" for arm in question.arms)
        why = f"Needs real cases and others; found the arms {arms}. Say with --real which arm is real."
        return {"real": None, "why": why}
    name, real = question.reference()
    own = {arm: real | cases for arm, cases in question.compared().items()}
    return {"real": name, **_detections(question, ~real, threshold, own)}


def _judged_by_grades(question: Question, positive: np.ndarray, above: float | None) -> dict[str, Any]:
    """How well grades tell positive cases; without a limit the AUC alone."""
    arms = {arm: question.of_arm(arm) for arm in question.arms}
    found = {"real": None, **_detections(question, positive, 0.0 if above is None else above, arms)}
    if above is not None:
        return found
    blocks = [found, *found.get("arms", {}).values()]
    for block in blocks:
        block["pooled"] = _auc_alone(block["pooled"])
        block["readers"] = {name: _auc_alone(own) for name, own in block["readers"].items()}
    return found


def _auc_alone(statistics: Mapping[str, Estimate]) -> dict[str, Estimate]:
    return {name: one if name == "auc" else undefined(NO_LIMIT) for name, one in statistics.items()}


def _detections(
    question: Question, positive: np.ndarray, threshold: float, arms: Mapping[str, np.ndarray]
) -> dict[str, Any]:
    """Of all cases, and of those of each arm where there are several."""

    def told(cases: np.ndarray) -> dict[str, Any]:
        units = question.units[cases]
        return dict(detect(question.values[cases], positive[cases], threshold, question.readers, units))

    found = told(np.ones(len(positive), bool))
    return found | {"arms": {arm: told(cases) for arm, cases in arms.items()}} if len(arms) > 1 else found


def as_json(content: Any) -> Any:
    """The same with plain objects in place of `Estimate`."""
    if isinstance(content, Estimate):
        return content.as_json()
    if isinstance(content, Mapping):
        return {str(key): as_json(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [as_json(value) for value in content]
    return content
