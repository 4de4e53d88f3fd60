"""Ratings in long format: one row for each answer, checked, and made one table for each question."""

import csv
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pathosynth.reader.analysis.kinds import ASKED, KINDS, Coded, asked_kind, code, infer_kind, missing
from pathosynth.runs.errors import ConfigError, InputError

COLUMNS = ("reader", "case", "arm", "question", "repeat", "value")
"""Columns a file must have, in any order."""
ORIGIN = "image_origin"
"""Column of an export that says whether an image is real or synthetic; may be absent."""
QUESTION_KIND, OPTIONS = "question_kind", "options"
"""Columns of an export that say what a question is and which answers it has, joined by ``;``; the second is read where
the first says something. Both may be absent. Other columns are ignored."""


@dataclass(frozen=True)
class Row:
    """One answer.

    Attributes:
        line: where it stands in the file.
        reader: who answered.
        case: what was shown.
        arm: where the case comes from, e.g. real or synthetic; may be empty.
        question: what was asked.
        repeat: 0 for the first reading, 1 and more for hidden repeats.
        value: the answer as text.
        truth: whether the case is positive, where a column says so.
        origin: what `ORIGIN` says of the image; empty where there is no such column.
        asked: key of `ASKED`, what a study says of the question; empty where it does not.
        options: possible answers, where a study says them.
    """

    line: int
    reader: str
    case: str
    arm: str
    question: str
    repeat: int
    value: str
    truth: bool | None = None
    origin: str = ""
    asked: str = ""
    options: tuple[str, ...] = ()


@dataclass(frozen=True)
class Question:
    """The answers to one question as a table.

    Attributes:
        name: of the question.
        kind: key of `KINDS`.
        readers: columns of the table, sorted.
        cases: (case, arm) of the rows of the table, by arm in order of appearance, then case.
        coded: what the numbers of the table mean.
        values: (cases, readers) first readings, NaN where there is none.
        ticked: (options, cases, readers) 1 ticked, 0 not, NaN not answered; of questions with ticks only.
        repeated: (readings, 4): case, reader, first value and the value of a repeat, as indices and codes.
        positive: (cases,) truth of the cases, where a column says it.
        missing: answers that are empty; with ticks that is an answer.
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
    missing: int

    @property
    def arms(self) -> tuple[str, ...]:
        """In order of appearance."""
        return tuple(dict.fromkeys(arm for _, arm in self.cases))

    def of_arm(self, arm: str) -> np.ndarray:
        """(cases,) whether a case belongs to an arm."""
        return np.array([own == arm for _, own in self.cases], bool)


def read_ratings(path: Path, *, truth: str = "") -> list[Row]:
    """Rows of a CSV file.

    Args:
        path: of the file, UTF-8, with a header.
        truth: column that says whether a case is positive (1, true, yes) or not (0, false, no); none if empty.

    Raises:
        InputError: no such file, a column is missing, or a row is not what its column needs; the line is named.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: expected a CSV file in UTF-8, found none that can be read ({error}).") from None
    reader = csv.DictReader(io.StringIO(text, newline=""))  # str.splitlines would end a row at U+2028 in a comment too
    header = [name.strip() for name in reader.fieldnames or []]
    reader.fieldnames = header
    wanted = [*COLUMNS, *([truth] if truth else [])]
    absent = [name for name in wanted if name not in header]
    if absent:
        raise InputError(
            f"{path}: expected the columns {','.join(wanted)}; {', '.join(absent)} is not among those found: "
            f"{','.join(header) or 'none'}. Add it; --help says what each column holds."
        )
    rows = [_row(path, reader.line_num, cells, truth) for cells in reader]
    if not rows:
        raise InputError(f"{path}: expected one row for each rating, found a header alone.")
    _refuse_duplicates(path, rows)
    return rows


def real_arm(rows: Sequence[Row]) -> str | None:
    """The arm whose images are real as the file itself says, or None where it does not, or of several."""
    origins: dict[str, set[str]] = {}
    for row in rows:
        origins.setdefault(row.arm, set()).add(row.origin)
    real = [arm for arm, found in origins.items() if found == {"real"}]
    return real[0] if len(real) == 1 else None


def _row(path: Path, line: int, cells: Mapping[str, str | None], truth: str) -> Row:
    found = {name: (cells.get(name) or "").strip() for name in (*COLUMNS, truth) if name}
    if None in cells or None in cells.values():
        raise InputError(f"{path}, line {line}: expected as many cells as the header has. Quote values with commas.")
    for name in ("reader", "case", "question"):
        if not found[name]:
            raise InputError(f"{path}, line {line}: expected a {name}, found an empty cell. Name it.")
    repeat = found["repeat"]
    if not repeat.isascii() or not repeat.isdigit():
        raise InputError(f"{path}, line {line}: expected repeat 0, 1, 2 …, found '{repeat}'. 0 is the first reading.")
    asked = (cells.get(QUESTION_KIND) or "").strip()
    if asked and asked not in ASKED:
        raise InputError(
            f"{path}, line {line}: expected a {QUESTION_KIND} of {', '.join(ASKED)} or nothing, found '{asked}'."
        )
    options = tuple((cells.get(OPTIONS) or "").split(";")) if asked and cells.get(OPTIONS) else ()
    return Row(
        line, found["reader"], found["case"], found["arm"], found["question"], int(repeat), found["value"],
        _truth(path, line, found[truth]) if truth else None, (cells.get(ORIGIN) or "").strip(), asked, options,
    )  # fmt: skip


def _truth(path: Path, line: int, text: str) -> bool:
    known = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}
    if text.lower() not in known:
        raise InputError(f"{path}, line {line}: expected a truth of {', '.join(known)}, found '{text}'.")
    return known[text.lower()]


def _refuse_duplicates(path: Path, rows: Sequence[Row]) -> None:
    seen: dict[tuple[object, ...], int] = {}
    for row in rows:
        key = (row.reader, row.case, row.arm, row.question, row.repeat)
        if key in seen:
            raise InputError(
                f"{path}, line {row.line}: reader '{row.reader}' rated case '{row.case}' on '{row.question}' as repeat "
                f"{row.repeat} in line {seen[key]} already. Number second readings 1, 2 … or remove one."
            )
        seen[key] = row.line


def questions(
    path: Path, rows: Sequence[Row], kinds: Mapping[str, str], scales: Mapping[str, Sequence[str]] | None = None
) -> list[Question]:
    """One table for each question, in order of appearance.

    Args:
        path: named in errors.
        rows: of the file.
        kinds: kinds of questions by name; else what the file says, and where it says nothing what the values look like.
        scales: grades in words by question, from lowest to highest; such a question is graded.

    Raises:
        ConfigError: a kind is unknown, or a kind or scale is given for a question that is not in the file.
        InputError: a value is not of the kind of its question.
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
    return [
        _question(path, name, [row for row in rows if row.question == name], told.get(name), scales.get(name))
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
    values = [row.value for row in rows]
    asked, options = rows[0].asked, rows[0].options
    return asked_kind(asked, options, values) if asked else infer_kind(values), options


def _question(path: Path, name: str, rows: Sequence[Row], stated: str | None, scale: Sequence[str] | None) -> Question:
    seen, options = _asked(path, name, rows)
    kind, options = stated or seen, tuple(scale or options)
    coded = code(path, name, kind, [(row.line, row.value) for row in rows], options)
    readers = tuple(sorted({row.reader for row in rows}))
    arms = list(dict.fromkeys(row.arm for row in rows))
    cases = tuple(sorted({(row.case, row.arm) for row in rows}, key=lambda one: (arms.index(one[1]), one[0])))
    place = {case: i for i, case in enumerate(cases)}, {reader: i for i, reader in enumerate(readers)}
    values = np.full((len(cases), len(readers)), math.nan)
    ticked = np.full((len(coded.options), *values.shape), math.nan)
    first = min(row.repeat for row in rows)  # files made elsewhere may count from 1
    for row, number in zip(rows, coded.numbers, strict=True):
        if row.repeat == first:
            at = place[0][row.case, row.arm], place[1][row.reader]
            values[at] = number
            if coded.options:
                ticked[:, at[0], at[1]] = [option in coded.ticks[row.line] for option in coded.options]
    repeated = [
        (
            place[0][row.case, row.arm],
            place[1][row.reader],
            values[place[0][row.case, row.arm], place[1][row.reader]],
            n,
        )
        for row, n in zip(rows, coded.numbers, strict=True)
        if row.repeat > first
    ]
    empty = 0 if kind == "ticks" else sum(missing(row.value) and row.value not in options for row in rows)
    return Question(
        name, kind, readers, cases, coded, values, ticked, np.array(repeated, float).reshape(-1, 4),
        _positive(path, rows, cases), empty,
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
