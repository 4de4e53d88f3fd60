"""Ratings in long format as a file holds them: one row for each answer, checked."""

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pathosynth.reader.analysis.kinds import ASKED
from pathosynth.runs.errors import InputError

COLUMNS = ("reader", "case", "arm", "question", "repeat", "value")
"""Columns a file must have, in any order."""

ORIGIN, SUBJECT, COMPLETE = "image_origin", "subject", "complete"
"""Columns of an export that say whether an image is real or synthetic, whom it stems from, and whether the reader
closed it. May be absent."""

QUESTION_KIND, OPTIONS = "question_kind", "options"
"""Columns of an export that say what a question is and which answers it has, joined by ``;``; the second is read where
the first says something. May be absent. Other columns are ignored."""

MOST_DIGITS = 9
"""Of the number of a reading."""

SEPARATORS = ",;\t"
"""What may stand between cells; the header shows which."""

TRUTHS = {
    "1": True,
    "true": True,
    "yes": True,
    "synthetic": True,
    "0": False,
    "false": False,
    "no": False,
    "real": False,
}
"""What a column of truths may say: whether a case is positive."""


@dataclass(frozen=True)
class Row:
    """One answer.

    Attributes:
        line: where it ends in the file.
        reader: who answered.
        case: what was shown.
        arm: where the case comes from, e.g. real or synthetic; may be empty.
        question: what was asked.
        repeat: 0 for the first reading, 1 and more for hidden repeats.
        value: the answer as text.
        truth: whether the case is positive, where a column says so.
        origin: what `ORIGIN` says of the image; empty where there is no such column.
        subject: what `SUBJECT` says; empty where there is no such column.
        complete: whether the reader closed the image, as `COMPLETE` says; without that column all are.
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
    subject: str = ""
    complete: bool = True
    asked: str = ""
    options: tuple[str, ...] = ()


def read_ratings(path: Path, *, truth: str = "") -> list[Row]:
    """Rows of a CSV file.

    Args:
        path: of the file, UTF-8, with a header; cells stand between commas, or between semicolons or tabs throughout.
        truth: column that says whether a case is positive (a key of `TRUTHS`); none if empty.

    Raises:
        InputError: no such file, a column is missing or there twice, or a row is not what its column needs; the line
            is named.
    """
    text = _text(path)
    first = text.lstrip("\r\n").split("\n", 1)[0]
    separator = next((sign for sign in SEPARATORS if sign in first), ",")
    lines = _cells(path, text, separator)
    header = [name.strip() for name in next(lines, (0, []))[1]]
    _refuse_header(path, header, [*COLUMNS, *([truth] if truth else [])])
    found = list(lines)
    if not found:
        raise InputError(f"{path}: expected one row for each rating, found a header alone.")
    rows = [_row(path, line, _by_column(path, line, header, cells), truth) for line, cells in found]
    _refuse_swallowed_rows(path, header, found, separator)
    _refuse_duplicates(path, rows)
    return rows


def _text(path: Path) -> str:
    """The file as text; what else than UTF-8 it seems to be is told."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: expected a CSV file in UTF-8, found none that can be read ({error}).") from None
    if content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise InputError(f"{path}: expected a CSV file in UTF-8, found UTF-16. Save it as “CSV UTF-8”.")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise InputError(
            f"{path}, line {line}: expected a CSV file in UTF-8, found the byte 0x{content[error.start]:02x}, which is "
            f"not; a spreadsheet's plain “CSV” is often Latin-1. Save it as “CSV UTF-8”."
        ) from None


def _cells(path: Path, text: str, separator: str) -> Iterator[tuple[int, list[str]]]:
    """Rows that are not blank, with the lines they end in."""
    # str.splitlines would end a row at U+2028 in a comment too
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    begun = 1
    try:
        for cells in reader:
            if cells:
                yield reader.line_num, cells
            begun = reader.line_num + 1
    except csv.Error as error:
        raise InputError(
            f"{path}, line {begun}: expected a row of cells, found one that cannot be read ({error}). Pair its "
            f'quotation marks: "a ""quoted"" word". A single one takes in all that follows.'
        ) from None


def _refuse_header(path: Path, header: Sequence[str], wanted: Sequence[str]) -> None:
    twice = sorted({name for name in header if name and header.count(name) > 1})
    if twice:
        raise InputError(f"{path}: expected every column once, found {', '.join(twice)} again. Rename or remove one.")
    absent = [name for name in wanted if name not in header]
    if absent:
        raise InputError(
            f"{path}: expected the columns {','.join(wanted)}; {', '.join(absent)} is not among those found: "
            f"{','.join(header) or 'none'}. Add it; --help says what each column holds."
        )


def _by_column(path: Path, line: int, header: Sequence[str], cells: Sequence[str]) -> dict[str, str]:
    if len(cells) != len(header):
        raise InputError(
            f"{path}, line {line}: expected as many cells as the header has, {len(header)}; found {len(cells)}. Quote "
            f"values with the sign between cells in them."
        )
    return {name: cell.strip() for name, cell in zip(header, cells, strict=True)}


def _row(path: Path, line: int, cells: Mapping[str, str], truth: str) -> Row:
    for name in ("reader", "case", "question"):
        if not cells[name]:
            raise InputError(f"{path}, line {line}: expected a {name}, found an empty cell. Name it.")
    for name in ("reader", "case", "arm", "question"):
        if "\n" in cells[name] or "\r" in cells[name]:
            raise InputError(
                f"{path}, line {line}: expected a {name} in one line, found a line break in it. Is a quotation mark "
                f"missing or too many?"
            )
    repeat = cells["repeat"]
    if not repeat.isascii() or not repeat.isdigit() or len(repeat) > MOST_DIGITS:
        raise InputError(f"{path}, line {line}: expected repeat 0, 1, 2 …, found '{repeat}'. 0 is the first reading.")
    asked = cells.get(QUESTION_KIND, "")
    if asked and asked not in ASKED:
        raise InputError(
            f"{path}, line {line}: expected a {QUESTION_KIND} of {', '.join(ASKED)} or nothing, found '{asked}'."
        )
    options = tuple(cells[OPTIONS].split(";")) if asked and cells.get(OPTIONS) else ()
    return Row(
        line, cells["reader"], cells["case"], cells["arm"], cells["question"], int(repeat), cells["value"],
        _truth(path, line, cells[truth]) if truth else None, cells.get(ORIGIN, "").lower(), cells.get(SUBJECT, ""),
        cells.get(COMPLETE) != "0", asked, options,
    )  # fmt: skip


def _truth(path: Path, line: int, text: str) -> bool:
    if text.lower() not in TRUTHS:
        raise InputError(f"{path}, line {line}: expected a truth of {', '.join(TRUTHS)}, found '{text}'.")
    return TRUTHS[text.lower()]


def _refuse_swallowed_rows(
    path: Path, header: Sequence[str], found: Sequence[tuple[int, list[str]]], separator: str
) -> None:
    """Two stray quotation marks make one cell of all rows between them, which nothing else would notice."""
    place = header.index("reader")
    readers = {cells[place].strip() for _, cells in found}
    for line, cells in found:
        for column, cell in enumerate(cells):
            for inner in cell.split("\n")[1:]:
                parts = inner.split(separator)
                if len(parts) > max(column, place) and parts[place].strip() in readers:
                    raise InputError(
                        f"{path}, line {line}: expected one row, found one with whole rows in its column "
                        f"'{header[column]}'. Remove the quotation mark that begins it, or double it."
                    )


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
