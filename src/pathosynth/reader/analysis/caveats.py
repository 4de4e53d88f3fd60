"""What to know before believing a number."""

from collections.abc import Mapping
from typing import Any

from pathosynth.metrics.statistics import FEWEST

Content = Mapping[str, Any]

FEW_CASES = 20
LOW_ICC, HIGH_AGREEMENT = 0.5, 0.7
"""An ICC below the first with more agreeing pairs than the second: grades that hardly vary, not readers who differ."""

MUCH_MISSING = 0.05
"""Share of empty answers above which they are told of."""


def caveats(questions: Mapping[str, Content]) -> list[str]:
    """Sentences, of all questions."""
    return [f"{name}: {text}" for name, one in questions.items() if one["kind"] != "text" for text in _of(one)]


def _of(one: Content) -> list[str]:
    notes = []
    readers, cases = len(one["readers"]), one["cases"]
    if readers == 1:
        notes.append("one reader; nothing here speaks of other readers.")
    elif readers < FEWEST:
        notes.append(f"{readers} readers; what is said of readers in general rests on few, and intervals are wide.")
    if cases < FEW_CASES:
        notes.append(f"{cases} cases; intervals of agreement cover somewhat less than 95 % with so few.")
    if one["units"] < cases:
        notes.append(
            f"{cases} cases are of {one['units']} subjects (or pairs by name), over which intervals and tests are; "
            f"those of ICCs alone take cases for independent and are too narrow."
        )
    asked = one["ratings"] + one["missing"]
    if one["missing"] > MUCH_MISSING * asked:
        notes.append(
            f"{one['missing']} of {asked} answers are empty; what was left out may differ from what was rated."
        )
    if one["late_first_readings"]:
        notes.append(
            f"{one['late_first_readings']} answers are numbered as repeats, but the first reading is not there; they "
            f"count as first readings."
        )
    if one["open_images"]:
        notes.append(f"{one['open_images']} answers are to images that the reader never completed; they count.")
    rating = one["agreement"]["icc2"].readers
    if rating is not None and rating < readers:
        notes.append(f"{readers - rating} of {readers} readers gave no rating at all; ICCs are those of the others.")
    complete = one["agreement"]["icc2"].cases
    if complete is not None and complete < cases and readers > 1:
        notes.append(f"ICCs rest on the {complete} of {cases} cases that every reader rated; α and κ use all of them.")
    if one["agreement"]["icc2"].low == 1:
        notes.append(
            f"readers agree wholly, so that intervals of ICCs have no width, however few the {cases} cases; look at "
            f"those of α, κ and the share of agreeing pairs."
        )
    icc, agreed = one["agreement"]["icc2"].value, one["agreement"]["percent_agreement"].value
    if icc is not None and agreed is not None and icc < LOW_ICC and agreed > HIGH_AGREEMENT:
        notes.append(
            "the ICC is low although most pairs agree: grades hardly vary, so look at the answers, not at the ICC."
        )
    guessed = [found["reference"] for found in one.get("comparisons", {}).values() if not found["reference_is_real"]]
    if guessed:
        notes.append(
            f"'{guessed[0]}' is the reference because it comes first: which cases are real is not known, or all are. "
            f"Say with --real which arm is real."
        )
    if "why" in one.get("detection", {}):
        notes.append(one["detection"]["why"])
    return notes
