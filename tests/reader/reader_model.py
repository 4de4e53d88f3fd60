"""What a study's server must say and keep, worked out anew each time from the requests it confirmed."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

WASHOUT_DAYS = 10
REQUIRED = ("quality", "diagnostic", "origin")
WRONG = ("quality", "9")
"""No grade of the scale."""


@dataclass(frozen=True)
class Request:
    """What a reader's browser sends; a row of the log, once it is confirmed."""

    name: str
    slot: str
    kind: str
    key: str
    question: str = ""
    value: Any = None

    @property
    def sent(self) -> dict[str, Any]:
        """Method, address and body."""
        path = f"/api/slots/{self.slot}/{self.kind}"
        if self.kind == "answer":
            body = {"key": self.key, "elapsed_ms": 5, "value": self.value}
            return {"method": "PUT", "url": f"{path}s/{self.question}", "json": body}
        elapsed = {"elapsed_ms": 9} if self.kind == "complete" else {}
        return {"method": "POST", "url": path, "json": {"key": self.key, **elapsed}}


@dataclass
class Model:
    """The requests that were confirmed, in their order, and when each reader completed his images.

    Attributes:
        plan: blocks of every reader; they take places as they come.
        now: the time.
    """

    plan: Any
    now: datetime
    rows: list[Request] = field(default_factory=list)
    ended: dict[str, list[datetime]] = field(default_factory=dict)

    def confirm(self, request: Request) -> None:
        self.rows.append(request)
        if request.kind == "complete":
            self.ended[request.name].append(self.now)

    def places(self, name: str) -> list[Any]:
        """(block, slot) of a reader in order; readers take the plan's places as they are invited."""
        blocks = self.plan[list(self.ended).index(name)]
        return [(block, slot) for block in blocks for slot in block.slots]

    def locked(self, name: str) -> bool:
        """Whether the reader has to wait between two blocks that are not training."""
        places, done = self.places(name), len(self.ended[name])
        if done in (0, len(places)) or places[done - 1][0] in (places[done][0], self.training(name)):
            return False
        return self.now < self.ended[name][-1] + timedelta(days=WASHOUT_DAYS)

    def training(self, name: str) -> Any:
        return self.places(name)[0][0]

    def current(self, name: str) -> str | None:
        """The slot that takes answers."""
        done = len(self.ended[name])
        finished = done == len(self.places(name))
        return None if finished or self.locked(name) else self.places(name)[done][1].slot

    def standing(self, name: str, slot: str) -> dict[str, Any]:
        """What is left of the answers to a slot: every undo takes the newest off the pile."""
        pile: list[Request] = []
        mine = [row for row in self.rows if (row.name, row.slot) == (name, slot)]
        for row in mine:
            if row.kind == "answer":
                pile.append(row)
            elif row.kind == "undo":
                pile.pop()
        nothing = {row.question: None for row in mine if row.kind == "answer"}
        return nothing | {row.question: row.value for row in pile}

    def status(self, request: Request) -> int:
        """What the server has to answer."""
        slots = [slot.slot for _, slot in self.places(request.name)]
        if request.slot not in slots:
            return 404
        again = request in self.rows
        if again and request.kind == "complete":
            return 200
        if not self.is_open(request.name, slots.index(request.slot)):
            return 409
        if (request.question, request.value) == WRONG:
            return 422
        return 200 if again or self.is_wanted(request) else 409

    def is_open(self, name: str, position: int) -> bool:
        """Whether a slot can be looked at: up to the current one, in its block."""
        places, done = self.places(name), len(self.ended[name])
        return self.current(name) is not None and position <= done and places[position][0] == places[done][0]

    def is_wanted(self, request: Request) -> bool:
        """Whether a new request fits: its key is new, its slot takes answers, and there is what it asks for."""
        used = any((row.name, row.key) == (request.name, request.key) for row in self.rows)
        given = self.standing(request.name, request.slot)
        enough = {
            "answer": True,
            "undo": any(value is not None for value in given.values()),
            "complete": all(given.get(question) is not None for question in REQUIRED),
        }
        return not used and request.slot == self.current(request.name) and enough[request.kind]

    def here(self, name: str) -> str:
        """The slot a reader is at; the last one when there is none."""
        return self.current(name) or self.places(name)[-1][1].slot

    def to_be_exported(self, cases: dict[str, str]) -> Iterator[tuple[Any, ...]]:
        for name, ended in self.ended.items():
            for position, (_, slot) in enumerate(self.places(name)):
                complete, given = position < len(ended), self.standing(name, slot.slot)
                if complete:  # no tick is an answer, whether a box was touched or not
                    given["artefacts"] = given.get("artefacts") or []
                for question, value in given.items():
                    if value or (complete and question == "artefacts"):  # the rest is in the log alone
                        yield name, position, question, cases[slot.file], value, int(complete)
