"""What readers answered, joined with the truth; read from the database, whose chain is checked first."""

import fcntl
import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Row, select
from sqlalchemy.exc import SQLAlchemyError

from pathosynth.reader.folder import Opened, Truth, TruthFile
from pathosynth.reader.log import all_rows, fault, head, people
from pathosynth.reader.plan import Place, places_of
from pathosynth.reader.store import connect, shown_url, sqlite_url
from pathosynth.runs.errors import InputError


@dataclass(frozen=True)
class Answers:
    """Everything the database holds, checked.

    Attributes:
        rows: of the log, in order.
        places: name of a reader to his place in the plan.
        head_sha256: hash of the last row, which stands for all of them.
    """

    rows: list[Row[Any]]
    places: dict[str, int]
    head_sha256: str


@dataclass(frozen=True)
class Rating:
    """One answer that stands.

    Attributes:
        reader: who gave it.
        truth: what the image is.
        question: what was asked.
        repeat: 0 at the first showing, 1 at the second.
        value: text, or a list for ticks.
        elapsed_ms: time it took, as the browser measured it; None where an older answer came back by an undo, or
            where boxes were never touched.
        answered_at: UTC.
        position: of the image in the reader's order, from 0.
        block: the sitting.
        training: whether it belongs to the training.
        complete: whether the reader closed the image.
    """

    reader: str
    truth: Truth
    question: str
    repeat: int
    value: str | list[str]
    elapsed_ms: int | None
    answered_at: str
    position: int
    block: str
    training: bool
    complete: bool


def read_answers(opened: Opened, database: str) -> Answers:
    """Read all answers; a server may be running.

    Raises:
        InputError: there are none, or a row was changed, removed or put in.
    """
    try:
        with _reading(opened, database) as connection:
            rows, last = all_rows(connection), connection.execute(select(head)).one()
            places = {row.name: row.place for row in connection.execute(select(people)) if row.place is not None}
    except SQLAlchemyError as error:
        raise InputError(f"{_where(opened, database)}: cannot be read ({_first_line(error)}). Was it served?") from None
    wrong = fault([row._asdict() for row in rows], last, opened.protocol_sha256)
    if wrong:
        raise InputError(
            f"{_where(opened, database)}: {wrong}. The answers were changed outside the server; restore a backup."
        )
    return Answers(rows, places, last.sha256)


def standing(opened: Opened, answers: Answers, truth: TruthFile) -> list[Rating]:
    """The answers that stand, by reader, order and question.

    What was taken back is left out, and so is the empty, but for ticks of a closed image: none of them is an answer,
    whether the reader touched a box or not, and is an empty list here.
    """
    plan = places_of(opened.plan)
    found = {reader: {place.slot.slot: place for place in plan[index]} for reader, index in answers.places.items()}
    repeats = {reader: _repeats(plan[index]) for reader, index in answers.places.items()}
    order = {question.id: number for number, question in enumerate(opened.protocol.questions)}
    ticks = {question.id for question in opened.protocol.questions if question.kind == "ticks"}
    closing = {(row.reader, row.slot): row for row in answers.rows if row.kind == "complete"}
    last = {(row.reader, row.slot, row.question): row for row in answers.rows if row.kind in ("answer", "undo")}
    for (reader, slot), row in closing.items():
        for question in ticks:
            last.setdefault((reader, slot, question), row)

    ratings = []
    for (reader, slot, question), row in last.items():
        place, complete, answered = found[reader][slot], (reader, slot) in closing, row.kind != "complete"
        unticked = complete and question in ticks
        value = (json.loads(row.value) if answered else None) or ([] if unticked else None)
        if value is None:
            continue
        ratings.append(Rating(
            reader=reader, truth=truth.images[place.slot.file], question=question,
            repeat=repeats[reader][place.position], value=value, elapsed_ms=row.elapsed_ms if answered else None,
            answered_at=row.at, position=place.position, block=place.block.name,
            training=place.block.kind == "training", complete=complete,
        ))  # fmt: skip
    return sorted(ratings, key=lambda one: (answers.places[one.reader], one.position, order[one.question]))


def reader_progress(opened: Opened, answers: Answers) -> list[dict[str, Any]]:
    """Images done, images in all and time of the last answer, for every reader who has logged in."""
    plan = places_of(opened.plan)
    rows = []
    for name, place in sorted(answers.places.items(), key=lambda item: item[1]):
        own = [row for row in answers.rows if row.reader == name]
        done = sum(row.kind == "complete" for row in own)
        rows.append({"name": name, "done": done, "total": len(plan[place]), "last": own[-1].at if own else None})
    return rows


def backup(opened: Opened, target: Path) -> None:
    """Copy the SQLite file while a server may be writing to it: the copy is of one moment.

    Raises:
        InputError: there is nothing to copy, or the target exists.
    """
    if target.exists():
        raise InputError(f"{target}: exists already. Choose another --output.")
    with _reading(opened, "") as connection:
        source: Any = connection.connection.driver_connection
        connection.rollback()
        with sqlite3.connect(target) as copy:
            source.backup(copy)


def _repeats(places: list[Place]) -> list[int]:
    """How often the image of every slot was shown to this reader before."""
    seen: dict[str, int] = {}
    numbers = []
    for place in places:
        numbers.append(seen.get(place.slot.file, 0))
        seen[place.slot.file] = numbers[-1] + 1
    return numbers


@contextmanager
def _reading(opened: Opened, database: str) -> Iterator[Connection]:
    """A connection that only reads. Where no server runs, none can start meanwhile."""
    path = opened.folder.database
    if not database and not path.is_file():
        raise InputError(f"{path}: there are no answers yet. Serve the study first.")
    engine = connect(database or sqlite_url(path), read_only=True)
    with opened.folder.lock.open("w") as stream:
        with suppress(OSError):  # a server that runs has it, and its connection is the one that writes
            fcntl.flock(stream, fcntl.LOCK_SH | fcntl.LOCK_NB)
        try:
            with engine.connect() as connection:
                yield connection
        finally:
            engine.dispose()


def _where(opened: Opened, database: str) -> str:
    return shown_url(database) if database else str(opened.folder.database)


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0]
