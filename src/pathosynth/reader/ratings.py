"""What readers do: where they are, their answers, taking one back, completing an image. All inside one transaction."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, bindparam, func, insert, select, update

from pathosynth.reader.folder import Protocol
from pathosynth.reader.log import append, log, people, views
from pathosynth.reader.plan import Place
from pathosynth.reader.refusals import Refused, unknown

MAX_VIEW_BYTES = 4096

# Statements are built once: building one takes as long as having SQLite do it, and every request needs several.
_MINE = log.c.reader == bindparam("reader")
_DONE = select(func.count()).select_from(log).where(_MINE, log.c.kind == "complete")
_ROWS = select(log).where(_MINE, log.c.slot == bindparam("slot")).order_by(log.c.seq)
_WRITTEN = select(log).where(_MINE, log.c.key == bindparam("key"))
_THIS_VIEW = (views.c.name == bindparam("reader"), views.c.slot == bindparam("on"))
_VIEW = select(views.c.view).where(*_THIS_VIEW)
_KEEP_VIEW = update(views).where(*_THIS_VIEW)


@dataclass(frozen=True)
class Asking:
    """One request of a reader.

    Attributes:
        connection: in a transaction.
        name: of the reader.
        now: time, UTC.
        places: the reader's slots in order.
        protocol: of the study.
    """

    connection: Connection
    name: str
    now: datetime
    places: list[Place]
    protocol: Protocol

    def done(self) -> int:
        """Images the reader has completed; they are always the first ones of the plan."""
        return int(self.connection.execute(_DONE, {"reader": self.name}).scalar_one())

    def rows(self, slot: str) -> list[Row[Any]]:
        """The reader's rows about a slot, in order."""
        return list(self.connection.execute(_ROWS, {"reader": self.name, "slot": slot}))

    def written(self, key: str) -> Row[Any] | None:
        """The row of an idempotency key."""
        return self.connection.execute(_WRITTEN, {"reader": self.name, "key": key}).first()

    def append(self, **values: Any) -> None:
        """Add a row of this reader."""
        append(self.connection, at=stamp(self.now), reader=self.name, **values)


def stamp(now: datetime) -> str:
    """Time as it is stored: UTC, milliseconds."""
    return now.strftime("%Y-%m-%dT%H:%M:%S.") + f"{now.microsecond // 1000:03d}Z"


def progress(asking: Asking) -> dict[str, Any]:
    """How far a reader is, and what is open to him now."""
    done = asking.done()
    total = len(asking.places)
    place = asking.places[min(done, total - 1)]
    locked = _locked_until(asking, place) if done < total else None
    block = {
        "name": place.block.name, "kind": place.block.kind,
        "done": done - place.first, "total": len(place.block.slots),
    }  # fmt: skip
    return {
        "done": done, "total": total, "block": block, "finished": done == total,
        "locked_until": stamp(locked) if locked else None,
        "current": place.slot.slot if done < total and locked is None else None,
    }  # fmt: skip


def slot(asking: Asking, name: str) -> dict[str, Any]:
    """One of the reader's slots: the current one, or an earlier one of the same block to look at.

    Raises:
        Refused: it is not his, or not open now.
    """
    place, done = _open_place(asking, name, ahead=0)
    view = asking.connection.execute(_VIEW, {"reader": asking.name, "on": name}).scalar()
    following = asking.places[place.position + 1 : place.first + len(place.block.slots)][:1]
    return {
        "slot": name, "position": place.position, "total": len(asking.places), "block_kind": place.block.kind,
        "volume": f"/api/volumes/{place.slot.volume}", "answers": answers(asking, name),
        "view": json.loads(view) if view else None, "complete": place.position < done,
        "next_volume": f"/api/volumes/{following[0].slot.volume}" if following else None,
    }  # fmt: skip


def volume(asking: Asking, name: str) -> str:
    """File of an image that the reader may load: of an open slot, or of the one after it.

    Raises:
        Refused: it is not his, or not open now.
    """
    found = next((place for place in asking.places if place.slot.volume == name), None)
    if found is None:
        raise unknown()
    _open_place(asking, found.slot.slot, ahead=1)
    return found.slot.file


def answers(asking: Asking, name: str) -> dict[str, Any]:
    """The answers that stand for a slot; None where one was taken back."""
    rows = asking.rows(name)
    return {row.question: json.loads(row.value) for row in rows if row.kind in ("answer", "undo")}


def answer(asking: Asking, name: str, question: str, value: Any, key: str, elapsed_ms: int) -> dict[str, Any]:
    """Add an answer; the same key again changes nothing.

    Raises:
        Refused: the slot is not the current one, there is no such question, the answer is not one of its options, or
            the key was used for something else.
    """
    asked = next((one for one in asking.protocol.questions if one.id == question), None)
    place, done = _open_place(asking, name, ahead=0)
    if asked is None:
        raise unknown()
    wrong = asked.fault(value)
    if wrong:
        raise Refused(422, f"Question '{question}': {wrong}.")
    text = json.dumps(value, ensure_ascii=True)
    if not _repeated(asking, key, slot=name, kind="answer", question=question, value=text):
        _refuse_unless_current(place, done)
        asking.append(slot=name, kind="answer", question=question, value=text, key=key, elapsed_ms=elapsed_ms)
    return answers(asking, name)


def undo(asking: Asking, name: str, key: str) -> dict[str, Any]:
    """Take the last answer of a slot back: a new row with the value before it.

    Raises:
        Refused: the slot is not the current one, there is nothing to take back, or the key was used for something else.
    """
    place, done = _open_place(asking, name, ahead=0)
    if _repeated(asking, key, slot=name, kind="undo"):
        return answers(asking, name)
    _refuse_unless_current(place, done)
    rows = asking.rows(name)
    undone = {row.undoes for row in rows}
    standing = [row for row in rows if row.kind == "answer" and row.seq not in undone]
    if not standing:
        raise Refused(409, "There is no answer to take back.")
    last = standing[-1]
    before = [row.value for row in standing[:-1] if row.question == last.question]
    asking.append(
        slot=name, kind="undo", question=last.question, value=before[-1] if before else "null",
        undoes=last.seq, key=key,
    )  # fmt: skip
    return answers(asking, name)


def complete(asking: Asking, name: str, key: str, elapsed_ms: int) -> dict[str, Any]:
    """Close a slot; what comes next, and in training what the image was.

    Raises:
        Refused: the slot is not the current one, an answer is missing, or the key was used for something else.
    """
    place = _own(asking, name)
    if not _repeated(asking, key, slot=name, kind="complete"):
        _refuse_unless_current(*_open_place(asking, name, ahead=0))
        given = answers(asking, name)
        missing = [one.prompt for one in asking.protocol.questions if one.required and given.get(one.id) is None]
        if missing:
            raise Refused(409, f"Still to be answered: {', '.join(missing)}.")
        asking.append(slot=name, kind="complete", key=key, elapsed_ms=elapsed_ms)
    feedback = place.slot.feedback
    return {"next": progress(asking)["current"], "feedback": {"text": feedback} if feedback else None}


def keep_view(asking: Asking, name: str, view: Mapping[str, Any]) -> None:
    """Remember where a reader looks; nothing of an image that he has closed, whose last view may come late.

    Raises:
        Refused: the slot is not his or not open yet, or the view is not small JSON.
    """
    if _own(asking, name).position < asking.done():
        return
    _open_place(asking, name, ahead=0)
    try:
        json.dumps(view, ensure_ascii=False).encode()  # half a surrogate pair is JSON, but cannot be sent back
        text = json.dumps(view, allow_nan=False, ensure_ascii=True)
    except (ValueError, RecursionError):
        raise Refused(422, "The view is not JSON.") from None
    if len(text) > MAX_VIEW_BYTES:
        raise Refused(422, f"The view takes {len(text)} bytes; at most {MAX_VIEW_BYTES} are kept.")
    if not asking.connection.execute(_KEEP_VIEW, {"reader": asking.name, "on": name, "view": text}).rowcount:
        asking.connection.execute(insert(views).values(name=asking.name, slot=name, view=text))


def everybody(connection: Connection, totals: Sequence[int]) -> list[dict[str, Any]]:
    """Progress of all readers who have logged in.

    Args:
        connection: in a transaction.
        totals: slots by place in the plan.
    """
    done = select(log.c.reader, func.count()).where(log.c.kind == "complete").group_by(log.c.reader)
    counted = {row[0]: row[1] for row in connection.execute(done)}
    latest = select(log.c.reader, func.max(log.c.at)).group_by(log.c.reader)
    last = {row[0]: row[1] for row in connection.execute(latest)}
    found = connection.execute(select(people.c.name, people.c.place).where(people.c.role == "reader"))
    return [
        {"name": row.name, "done": counted.get(row.name, 0), "total": totals[row.place], "last": last.get(row.name)}
        for row in sorted(found, key=lambda row: row.place)
    ]


def _own(asking: Asking, name: str) -> Place:
    found = next((place for place in asking.places if place.slot.slot == name), None)
    if found is None:
        raise unknown()
    return found


def _open_place(asking: Asking, name: str, *, ahead: int) -> tuple[Place, int]:
    """A slot of this reader in the block that is open, and how many he has completed.

    Args:
        asking: who asks.
        name: of the slot.
        ahead: how many slots beyond the current one are open too.
    """
    place, done = _own(asking, name), asking.done()
    current = asking.places[done] if done < len(asking.places) else None
    if current is None or place.first != current.first or place.position > done + ahead:
        raise _closed()
    if _locked_until(asking, current):
        raise _closed()
    return place, done


def _refuse_unless_current(place: Place, done: int) -> None:
    if place.position != done:
        raise _closed()


def _closed() -> Refused:
    return Refused(409, "This image is closed or not open yet. Go on with the current one.")


def _locked_until(asking: Asking, place: Place) -> datetime | None:
    """When the block of a place opens, where a washout before it is not over."""
    if place.after is None or place.position != place.first:
        return None
    ended = [row.at for row in asking.rows(place.after) if row.kind == "complete"]
    opens = datetime.fromisoformat(ended[0]) + timedelta(days=asking.protocol.washout_days)
    return opens if asking.now < opens else None


def _repeated(asking: Asking, key: str, **values: Any) -> bool:
    """Whether a request came before: then it was kept and is only confirmed.

    Raises:
        Refused: the key was used for something else.
    """
    row = asking.written(key)
    if row is not None and any(row._mapping[name] != value for name, value in values.items()):
        raise Refused(409, "This key was used for another request. Send a new one.")
    return row is not None
