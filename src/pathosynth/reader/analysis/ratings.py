"""Ratings made one table for each question."""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pathosynth.reader.analysis.kinds import KINDS, Coded, asked_kind, code, infer_kind, missing
from pathosynth.reader.analysis.origins import Case, real_cases
from pathosynth.reader.analysis.rows import OPTIONS, QUESTION_KIND, SUBJECT, Row
from pathosynth.runs.errors import ConfigError, InputError

_NUMBER, _DECIMAL_COMMA = re.compile(r"[+-]?\d+([.,]\d+)?"), re.compile(r"[+-]?\d+,\d+")


@dataclass(frozen=True)
class Question:
    """The answers to one question as a table.

    Attributes:
        name: of the question.
        kind: key of `KINDS`.
        readers: columns of the table, sorted.
        cases: (case, arm) of the rows of the table, by arm in order of appearance, then case.
        coded: what the numbers of the table mean.
        values: (cases, readers) first readings, NaN where there is none. The first is the one with the lowest number of
            that reader and case.
        ticked: (options, cases, readers) 1 ticked, 0 not, NaN not answered; of questions with ticks only.
        repeated: (readings, 4): case, reader, first value and the value of a repeat, as indices and codes.
        positive: (cases,) truth of the cases, where a column says it.
        real: (cases,) whether a case is real; None where nothing says so.
        units: (cases,) what is independent, as numbers: images of one subject, and the same name in two arms.
        missing: answers that are empty; with ticks that is an answer.
        late: first readings whose number says that another came before, which is not there.
        open: answers to images that the reader never closed.
    """

    name: str
    kind: str
    readers: tuple[str, ...]
    cases: tuple[tuple[str, str], ...]
    coded: Coded
    values: np.ndarray
    ticked: np.ndarray
    repeated: np.ndarray
    positive: np.ndarray | None
    real: np.ndarray | None
    units: np.ndarray
    missing: int
    late: int = 0
    open: int = 0

    @property
    def arms(self) -> tuple[str, ...]:
        """In order of appearance."""
        return tuple(dict.fromkeys(arm for _, arm in self.cases))

    def of_arm(self, arm: str) -> np.ndarray:
        """(cases,) whether a case belongs to an arm."""
        return np.array([own == arm for _, own in self.cases], bool)

    def reference(self) -> tuple[str, np.ndarray]:
        """Name and (cases,) of what arms are compared with: the real cases, or without those the first arm."""
        if self.real is None or not self.tells:
            return self.arms[0], self.of_arm(self.arms[0])
        arms = dict.fromkeys(arm for (_, arm), real in zip(self.cases, self.real, strict=True) if real)
        mixed = any((self.of_arm(arm) & ~self.real).any() for arm in arms)
        return "real cases" if mixed else " + ".join(arms), self.real

    def compared(self) -> dict[str, np.ndarray]:
        """Arms that are compared with the reference, and (cases,) which cases of each are."""
        _, reference = self.reference()
        own = {arm: self.of_arm(arm) & ~reference for arm in self.arms}
        return {arm: cases for arm, cases in own.items() if cases.any()}

    @property
    def tells(self) -> bool:
        """Whether there are cases that are known to be real, and others."""
        return self.real is not None and bool(self.real.any()) and not self.real.all()


def questions(
    path: Path,
    rows: Sequence[Row],
    kinds: Mapping[str, str],
    scales: Mapping[str, Sequence[str]] | None = None,
    real: Sequence[str] = (),
) -> list[Question]:
    """One table for each question, in order of appearance.

    Args:
        path: named in errors.
        rows: of the file.
        kinds: kinds of questions by name; else what the file says, and where it says nothing what the values look like.
        scales: grades in words by question, from lowest to highest; such a question is graded.
        real: arms that are real, where the file does not say so of its cases.

    Raises:
        ConfigError: a kind is unknown, or a kind, scale or arm is named that is not in the file.
        InputError: a value is not of the kind of its question, or the file contradicts itself.
    """
    scales = scales or {}
    names = list(dict.fromkeys(row.question for row in rows))
    for option, stated in (("kind", kinds), ("scale", scales)):
        for name in stated:
            if name not in names:
                raise ConfigError(f"--{option} {name}=…: no such question. {path} has {', '.join(names)}.")
    for name, kind in kinds.items():
        if kind not in KINDS or (name in scales and kind != "graded"):
            expected = "graded, as it has a --scale" if name in scales else f"one of {', '.join(KINDS)}"
            raise ConfigError(f"--kind {name}={kind}: expected {expected}.")
    for name, scale in scales.items():
        if len(set(scale)) < max(len(scale), 2) or "" in scale:
            raise ConfigError(f"--scale {name}={','.join(scale)}: expected two grades or more, each once.")
    told = dict.fromkeys(scales, "graded") | dict(kinds)
    known = real_cases(path, rows, real)
    return [
        _question(path, [row for row in rows if row.question == name], told.get(name), scales.get(name, ()), known)
        for name in names
    ]


def _asked(path: Path, name: str, rows: Sequence[Row]) -> tuple[str, tuple[str, ...]]:
    """What the file says of a question: its kind, as inferred where it says nothing, and its options."""
    for row in rows:
        if (row.asked, row.options) != (rows[0].asked, rows[0].options):
            raise InputError(
                f"{path}, line {row.line}: expected the {QUESTION_KIND} and {OPTIONS} of question '{name}' to be those "
                f"of line {rows[0].line}, found others. Analyse studies with other questions apart, or rename one."
            )
    asked, options = rows[0].asked, rows[0].options
    if asked:
        return asked_kind(asked, options, [row.value for row in rows]), options
    _refuse_decimal_commas(path, name, rows)
    return infer_kind([row.value for row in rows]), options


def _refuse_decimal_commas(path: Path, name: str, rows: Sequence[Row]) -> None:
    """``2,5`` would be the ticks 2 and 5; among numbers alone it is neither taken for that nor repaired."""
    given = [row for row in rows if not missing(row.value)]
    with_comma = [row for row in given if _DECIMAL_COMMA.fullmatch(row.value)]
    if with_comma and all(_NUMBER.fullmatch(row.value) for row in given):
        row = with_comma[0]
        raise InputError(
            f"{path}, line {row.line}: expected a number with a point as answer to '{name}', found '{row.value}'. "
            f"Write {row.value.replace(',', '.')}; if these are two ticks say so with --kind {name}=ticks."
        )


def _question(
    path: Path, rows: Sequence[Row], stated: str | None, scale: Sequence[str], real: set[Case] | None
) -> Question:
    name = rows[0].question
    kind, options = (stated, rows[0].options) if stated else _asked(path, name, rows)
    options = tuple(scale or options)
    coded = code(path, name, kind, [(row.line, row.value) for row in rows], options)
    readers = tuple(sorted({row.reader for row in rows}))
    arms = list(dict.fromkeys(row.arm for row in rows))
    cases = tuple(sorted({(row.case, row.arm) for row in rows}, key=lambda one: (arms.index(one[1]), one[0])))
    place = {case: i for i, case in enumerate(cases)}, {reader: i for i, reader in enumerate(readers)}
    at = [(place[0][row.case, row.arm], place[1][row.reader]) for row in rows]
    first: dict[tuple[int, int], int] = {}
    for row, cell in zip(rows, at, strict=True):
        first[cell] = min(row.repeat, first.get(cell, row.repeat))
    values = np.full((len(cases), len(readers)), math.nan)
    ticked = np.full((len(coded.options), *values.shape), math.nan)
    for row, cell, number in zip(rows, at, coded.numbers, strict=True):
        if row.repeat == first[cell]:
            values[cell] = number
            if coded.options:
                ticked[:, cell[0], cell[1]] = [option in coded.ticks[row.line] for option in coded.options]
    repeated = [
        (*cell, values[cell], number)
        for row, cell, number in zip(rows, at, coded.numbers, strict=True) if row.repeat > first[cell]
    ]  # fmt: skip
    lowest = min(first.values())  # files made elsewhere may count from 1
    return Question(
        name, kind, readers, cases, coded, values, ticked, np.array(repeated, float).reshape(-1, 4),
        positive=_positive(path, rows, cases),
        real=None if real is None else np.array([case in real for case in cases], bool),
        units=_units(path, rows, cases),
        missing=0 if kind == "ticks" else sum(missing(row.value) and row.value not in options for row in rows),
        late=sum(number > lowest for number in first.values()),
        open=sum(not row.complete for row in rows),
    )  # fmt: skip


def _positive(path: Path, rows: Iterable[Row], cases: Sequence[tuple[str, str]]) -> np.ndarray | None:
    """Truth of every case, if a column says it."""
    known: dict[str, bool] = {}
    for row in rows:
        if row.truth is None:
            return None
        if known.setdefault(row.case, row.truth) != row.truth:
            raise InputError(f"{path}, line {row.line}: case '{row.case}' has another truth in an earlier line.")
    return np.array([known[case] for case, _ in cases], bool)


def _units(path: Path, rows: Iterable[Row], cases: Sequence[Case]) -> np.ndarray:
    """Subject of every case, or its name where the file does not say whom it stems from, as numbers."""
    subjects: dict[Case, str] = {}
    for row in rows:
        if subjects.setdefault((row.case, row.arm), row.subject) != row.subject:
            raise InputError(
                f"{path}, line {row.line}: expected one {SUBJECT} of case '{row.case}', found another in an earlier "
                f"line. Correct one."
            )
    named = [f"subject {subjects[case]}" if subjects[case] else f"case {case[0]}" for case in cases]
    return np.asarray(np.unique(named, return_inverse=True)[1])
