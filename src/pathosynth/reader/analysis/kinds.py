"""What kind of question was asked, as its answers show it, and answers as numbers."""

import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pathosynth.runs.errors import InputError

KINDS = ("graded", "detection", "nominal", "ticks", "text")
"""Numbers on a scale; real or synthetic; names without order; any number of ticks; words, which are not analysed."""

CONFIDENCE = ("real-sure", "real-unsure", "synthetic-unsure", "synthetic-sure")
"""Answers of a detection with confidence, by how synthetic a case seems: 0 to 3."""

ORIGINS = ("real", "synthetic")
"""Answers of a detection without."""

ABSENT = ("", "na", "n/a", "nan", "null", ".", "*")
"""Values, whatever their case, that stand for no answer."""

LARGEST = 1e50
"""Of a grade: fourth powers of much larger ones, and of one over them, leave the range of numbers."""

ASKED = {"scale": "graded", "choice": "nominal", "ticks": "ticks", "text": "text"}
"""What a study calls its questions; a scale or choice of real and synthetic is a detection."""

_MOST_NAMES, _LONGEST_NAME = 20, 40


@dataclass(frozen=True)
class Coded:
    """Answers as numbers.

    Attributes:
        numbers: one for each answer; NaN for none and for text.
        names: what 0, 1, 2 … stand for; empty where numbers are themselves.
        options: what can be ticked.
        ticks: line of the file to what is ticked there.
    """

    numbers: tuple[float, ...]
    names: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    ticks: dict[int, frozenset[str]] = field(default_factory=dict)

    def name(self, number: float) -> str:
        """A value as people read it."""
        return self.names[int(number)] if self.names else f"{number:.15g}"


def missing(value: str) -> bool:
    """Whether a value stands for no answer."""
    return value.lower() in ABSENT


def infer_kind(values: Sequence[str]) -> str:
    """The kind that the answers look like.

    Numbers, at least half of them: graded. Real and synthetic, with or without confidence: detection. Lists with
    commas, semicolons or bars, or in brackets, of few short words: ticks. Few short words that recur: nominal. Else
    text.
    """
    given = [value for value in values if not missing(value)]
    if not given or sum(_number(value) is not None for value in given) * 2 >= len(given):
        return "graded"
    if all(as_origin(value) in (*CONFIDENCE, *ORIGINS) for value in given):
        return "detection"
    lists = [_ticked(value) for value in given]
    words = {word for one in lists for word in one}
    if any(len(one) > 1 for one in lists) or any(value.startswith("[") for value in given):
        return "ticks" if _recur(words, max(2, len(given) // 2)) else "text"
    return "nominal" if _recur(set(given), len(given) // 2) else "text"


def asked_kind(asked: str, options: Sequence[str], values: Sequence[str]) -> str:
    """The kind of a question of which a study says what it is.

    Args:
        asked: key of `ASKED`.
        options: its possible answers; where they are unknown those that were given are taken.
        values: given.
    """
    words = {as_origin(word) for word in options or [value for value in values if not missing(value)]}
    tells = any(words and words <= set(scale) for scale in (CONFIDENCE, ORIGINS))
    return "detection" if tells and asked in ("scale", "choice") else ASKED[asked]


def _recur(words: set[str], most: int) -> bool:
    return len(words) <= min(most, _MOST_NAMES) and all(len(word) <= _LONGEST_NAME for word in words)


def code(
    path: Path, question: str, kind: str, answers: Sequence[tuple[int, str]], options: Sequence[str] = ()
) -> Coded:
    """Answers of a question as numbers.

    Args:
        path: named in errors.
        question: named in errors.
        kind: one of `KINDS`.
        answers: line of the file and value.
        options: possible answers where they are known: of a scale in its order, numbers or words; of ticks all of them.

    Raises:
        InputError: a value is not of that kind; the line is named.
    """
    if kind == "graded" and any(_number(option) is None for option in options):
        return _scaled(path, question, answers, tuple(options))
    if kind == "graded":
        return Coded(tuple(_graded(path, question, line, value) for line, value in answers))
    if kind == "detection":
        return _detection(path, question, answers)
    if kind == "nominal":
        names = tuple(sorted({value for _, value in answers if not missing(value)}))
        return Coded(tuple(math.nan if missing(value) else float(names.index(value)) for _, value in answers), names)
    if kind == "ticks":
        ticks = {line: frozenset() if missing(value) else _ticked(value) for line, value in answers}
        ticked = {word for one in ticks.values() for word in one}
        options = (*options, *sorted(ticked - set(options)))
        sets = sorted(set(ticks.values()), key=sorted)
        names = tuple(", ".join(sorted(one)) or "none" for one in sets)
        return Coded(tuple(float(sets.index(ticks[line])) for line, _ in answers), names, tuple(options), ticks)
    return Coded((math.nan,) * len(answers))


def _graded(path: Path, question: str, line: int, value: str) -> float:
    if missing(value):
        return math.nan
    number = _number(value)
    if number is not None and math.isfinite(number) and number and not 1 / LARGEST <= abs(number) <= LARGEST:
        raise InputError(
            f"{path}, line {line}: expected a number between {1 / LARGEST:g} and {LARGEST:g} in size as answer to "
            f"'{question}', found '{value}'. Give it in another unit."
        )
    if number is None or not math.isfinite(number):
        raise InputError(
            f"{path}, line {line}: expected a finite number as most answers to '{question}' are, found '{value}'. "
            f"Correct it, leave it empty, or say what is asked: --scale {question}=LOWEST,…,HIGHEST for grades in "
            f"words, --kind {question}={'|'.join(KINDS[1:])} for anything else."
        )
    return number


def _scaled(path: Path, question: str, answers: Sequence[tuple[int, str]], scale: tuple[str, ...]) -> Coded:
    """Grades in words: their places on the scale, from 0."""
    numbers = []
    for line, value in answers:
        if value not in scale and not missing(value):
            raise InputError(
                f"{path}, line {line}: expected one of {', '.join(scale)} as answer to '{question}', found '{value}'. "
                f"Correct it, or name every grade from lowest to highest with --scale {question}=…."
            )
        numbers.append(float(scale.index(value)) if value in scale else math.nan)
    return Coded(tuple(numbers), scale)


def _detection(path: Path, question: str, answers: Sequence[tuple[int, str]]) -> Coded:
    found = [(line, as_origin(value)) for line, value in answers if not missing(value)]
    scale = ORIGINS if found and all(word in ORIGINS for _, word in found) else CONFIDENCE
    for line, word in found:
        if word not in scale:
            raise InputError(
                f"{path}, line {line}: expected one of {', '.join(scale)} as answer to '{question}', or real and "
                f"synthetic throughout; found '{word}'. Use one scale for a question."
            )
    return Coded(
        tuple(math.nan if missing(value) else float(scale.index(as_origin(value))) for _, value in answers), scale
    )


def _number(value: str) -> float | None:
    try:
        return float(value)
    except ValueError:
        return None


def as_origin(value: str) -> str:
    """An answer to real or synthetic as `CONFIDENCE` and `ORIGINS` write it, e.g. ``real-sure`` for ``Real sure``."""
    return re.sub(r"[\s_]+", "-", value.lower())


def _ticked(value: str) -> frozenset[str]:
    """What a list names: ``["a", "b"]``, or words between commas, semicolons or bars."""
    if value.startswith("["):
        try:
            return frozenset(str(word).strip() for word in json.loads(value))
        except json.JSONDecodeError:
            value = value.strip("[]")
    return frozenset(word for word in (part.strip(" '\"") for part in re.split(r"[,;|]", value)) if word)
