"""Answers to real-or-synthetic questions in the form of iMRMC, the FDA's program for many readers and cases."""

import hashlib
import re
from collections import Counter
from collections.abc import Iterable

from pathosynth.reader.analysis.kinds import CONFIDENCE, ORIGINS, as_origin
from pathosynth.reader.results import Rating
from pathosynth.reader.study import Question

TRUTH = "-1"
"""The reader who knows what a case is."""


def detection_scale(question: Question) -> tuple[str, ...]:
    """The answers of a question that asks real or synthetic, by how synthetic a case seems; empty for any other."""
    words = {as_origin(option.value) for option in question.options} if question.kind in ("scale", "choice") else set()
    return next((scale for scale in (CONFIDENCE, ORIGINS) if words and words <= set(scale)), ())


def imrmc_text(question: Question, ratings: Iterable[Rating]) -> str:
    """Input of iMRMC: some lines of text, ``BEGIN DATA:``, then ``reader,case,modality,score`` with the truth first.

    A modality is a synthetic arm; the real cases stand in every one of them, as what it is told from. First readings
    only: iMRMC takes one score of a reader, case and modality. Form as in InputFile.java and inputFiles/ of
    https://github.com/DIDSR/iMRMC: blanks are dropped and nothing is quoted.

    Args:
        question: one with a `detection_scale`.
        ratings: of any question.
    """
    scale = detection_scale(question)
    read = [one for one in ratings if one.question == question.id and one.repeat == 0]
    names = _names({one.truth.case for one in read})
    truth = {one.truth.case: int(one.truth.origin == "synthetic") for one in read}
    arms = sorted({one.truth.arm for one in read if truth[one.truth.case]})
    rows = [f"{TRUTH},{names[case]},truth,{synthetic}" for case, synthetic in sorted(truth.items())]
    for one in read:
        score = scale.index(as_origin(str(one.value)))
        shown = [one.truth.arm] if truth[one.truth.case] else arms
        rows += [f"{one.reader},{names[one.truth.case]},{arm},{score}" for arm in shown]
    ones = sum(truth.values())
    head = [
        f"pathosynth reader study, question {question.id}",
        f"Scores from 0: {', '.join(scale)}. Truth: 0 real, 1 synthetic.",
        "Modality: a synthetic arm, with the real images.",
        f"NR: {len({one.reader for one in read})}", f"N0: {len(truth) - ones}", f"N1: {ones}", f"NM: {len(arms)}",
        "BEGIN DATA:",
    ]  # fmt: skip
    return "\n".join([*head, *rows]) + "\n"


def _names(cases: set[str]) -> dict[str, str]:
    """Names of cases without commas and blanks; with a hash where two would be one."""
    plain = {case: re.sub(r"[\s,]+", "_", case) for case in cases}
    counts = Counter(plain.values())
    return {
        case: name if counts[name] == 1 else f"{name}_{hashlib.sha256(case.encode()).hexdigest()[:8]}"
        for case, name in plain.items()
    }
