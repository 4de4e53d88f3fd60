"""The life of a study, walked at random: the real server, its database and its export against a list of rows."""

import csv
import json
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from reader_browser import Browser
from reader_served import begin, serve_study

from pathosynth.reader.export import export
from pathosynth.reader.folder import open_truth
from pathosynth.reader.invites import invite
from pathosynth.reader.results import read_answers

SMALL = "training = {cases = 2}\nrepeats = {share = 0.5, distance = 1}\nblocks = 2\nwashout_days = 10\n"
"""3 images per arm: 2 to train with, and two blocks of 2 with one repeat each."""

REQUIRED = ("quality", "diagnostic", "origin")
ANSWERS = (("quality", "0"), ("quality", "3"), ("origin", "real-sure"), ("artefacts", ["noise", "blur"]),
           ("artefacts", []), ("comment", "=1+1\n<b>"), ("comment", ""))  # fmt: skip
WRONG = ("quality", "9")
"""No grade of the scale."""

NUMBERS = st.integers(0, 10_000)


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


class LifeOfAStudy(RuleBasedStateMachine):
    """Readers come, answer, change their minds, send again and come back; the server is stopped and killed.

    The model is `rows`, what was confirmed in its order, and `ended`, when each reader completed his images. All that
    the server says and keeps is worked out from them anew.
    """

    origin: ClassVar[Path]
    happened: ClassVar[Counter[Any]]
    names = Bundle("names")

    def __init__(self) -> None:
        super().__init__()
        self.home = tempfile.TemporaryDirectory()
        self.lives = 0
        shutil.copytree(self.origin, self.folder)
        self.served = serve_study(self.folder)
        self.browsers: dict[str, Browser] = {}
        self.rows: list[Request] = []
        self.ended: dict[str, list[datetime]] = {}
        self.keys = 0

    @property
    def folder(self) -> Path:
        return Path(self.home.name) / f"life{self.lives}"

    async def forward(self, *asgi: Any) -> None:
        """Browsers stay open while the server behind their address is another one."""
        await self.served.app(*asgi)

    # The model

    def places(self, name: str) -> list[Any]:
        """(block, slot) of a reader in order; readers take the plan's places as they are invited."""
        blocks = self.served.opened.plan.readers[list(self.ended).index(name)]
        return [(block, slot) for block in blocks for slot in block.slots]

    def locked(self, name: str) -> bool:
        """Whether the reader has to wait between two blocks that are not training."""
        places, done = self.places(name), len(self.ended[name])
        if done in (0, len(places)) or places[done - 1][0] in (places[done][0], self.training(name)):
            return False
        return self.served.now < self.ended[name][-1] + timedelta(days=10)

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

    def send(self, request: Request) -> None:
        """Send a request and hold the server's answer against the model."""
        wanted, again = self.status(request), request in self.rows
        response = self.browsers[request.name].http.request(**request.sent)
        assert response.status_code == wanted, (request, response.text)
        self.happened[request.kind, wanted, "again" if again else "new"] += 1
        if wanted != 200:
            assert set(response.json()) == {"error"}
            return
        if not again:
            self.rows.append(request)
            if request.kind == "complete":
                self.ended[request.name].append(self.served.now)
        if request.kind == "complete":
            assert response.json()["next"] == self.current(request.name)
        else:
            assert response.json() == {"answers": self.standing(request.name, request.slot)}
        if not again and self.keys % 3 == 0:  # the confirmation gets lost on its way
            self.send(request)

    def key(self) -> str:
        self.keys += 1
        return f"key-{self.keys:06d}"

    def here(self, name: str) -> str:
        """The slot a reader is at; the last one when there is none."""
        return self.current(name) or self.places(name)[-1][1].slot

    # What may happen

    @initialize(target=names)
    def first_reader(self) -> str:
        """He answers, changes his mind and forgets something, then reads training and an image more."""
        self.log_in("R1")
        self.answer("R1", [*ANSWERS[:2], WRONG])
        self.undo("R1", 3)
        self.complete("R1")
        self.read_on("R1", "2", 3)
        return "R1"

    @rule(target=names, name=st.sampled_from(["R1", "R2"]))
    def reader_logs_in(self, name: str) -> str:
        return self.log_in(name)

    def log_in(self, name: str) -> str:
        before = self.browsers.get(name)
        self.ended.setdefault(name, [])
        self.browsers[name] = Browser(self.forward, invite(self.served.opened, name, "reader"))
        if before is not None:
            assert before.http.get("/api/me").status_code == 401
            before.close()
        self.happened["second reader"] += len(self.ended) > 1
        return name

    @rule(name=names, given=st.lists(st.sampled_from([*ANSWERS, WRONG]), min_size=1, max_size=5))
    def answer(self, name: str, given: list[tuple[str, Any]]) -> None:
        for one in given:
            self.send(Request(name, self.here(name), "answer", self.key(), *one))

    @rule(name=names, number=NUMBERS, given=st.sampled_from(ANSWERS))
    def answer_anywhere(self, name: str, number: int, given: tuple[str, Any]) -> None:
        """At any slot of anybody: done, to come, or another reader's."""
        slots = [slot.slot for other in self.ended for _, slot in self.places(other)]
        self.send(Request(name, slots[number % len(slots)], "answer", self.key(), *given))

    @rule(name=names, times=st.integers(1, 3))
    def undo(self, name: str, times: int) -> None:
        for _ in range(times):
            self.send(Request(name, self.here(name), "undo", self.key()))

    @rule(name=names)
    def complete(self, name: str) -> None:
        self.send(Request(name, self.here(name), "complete", self.key()))

    @rule(name=names, grade=st.sampled_from("0123"), images=st.integers(1, 5))
    def read_on(self, name: str, grade: str, images: int) -> None:
        """All that is required, then the end of the image, and the next one."""
        for _ in range(images if self.current(name) else 1):
            slot = self.here(name)
            for question, value in zip(REQUIRED, (grade, grade, "synthetic-unsure"), strict=True):
                self.send(Request(name, slot, "answer", self.key(), question, value))
            self.send(Request(name, slot, "complete", self.key()))

    @precondition(lambda self: self.rows)
    @rule(number=NUMBERS)
    def send_again(self, number: int) -> None:
        """A browser that comes back late with what was confirmed long ago."""
        self.send(self.rows[-1 - number % len(self.rows)])

    @precondition(lambda self: self.rows)
    @rule(number=NUMBERS, given=st.sampled_from(ANSWERS))
    def use_a_key_for_something_else(self, number: int, given: tuple[str, Any]) -> None:
        old = self.rows[-1 - number % len(self.rows)]
        self.send(replace(old, slot=self.here(old.name), kind="answer", question=given[0], value=given[1]))

    @precondition(lambda self: any(map(self.locked, self.ended)))
    @rule(days=st.sampled_from([6, 10]))
    def days_pass(self, days: int) -> None:
        self.served.wait(days)
        self.happened["days pass"] += 1

    @rule(killed=st.sampled_from([True, True, False]))
    def server_starts_again(self, killed: bool) -> None:
        """Killed: what lies on the disk at this moment is all that the next server finds."""
        old, before = self.served, self.folder
        if killed:
            self.lives += 1
            shutil.copytree(before, self.folder)
        old.close()
        self.served = serve_study(self.folder)
        self.served.now = old.now
        self.happened["killed" if killed else "stopped"] += 1

    @rule()
    def export_says_who_saw_what(self) -> None:
        opened, out = self.served.opened, Path(self.home.name) / "out"
        truth = open_truth(opened, None)
        export(opened, truth, "", out)
        content = json.loads((out / "ratings.json").read_text())
        assert [row["key"] for row in content["log"]] == [row.key for row in self.rows]
        told = [(one["reader"], one["position"], one["question"], one["case"], one["value"], one["complete"])
                for one in [*content["ratings"], *content["training"]]]  # fmt: skip
        wanted = list(self.to_be_exported({file: image.case for file, image in truth.images.items()}))
        assert sorted(told, key=str) == sorted(wanted, key=str)
        rows = [row for name in ("ratings.csv", "training.csv") for row in csv.reader((out / name).open(newline=""))]
        assert len(rows) == 2 + len(wanted)

    def to_be_exported(self, cases: dict[str, str]) -> Iterator[tuple[Any, ...]]:
        for name, ended in self.ended.items():
            for position, (_, slot) in enumerate(self.places(name)):
                for question, value in self.standing(name, slot.slot).items():
                    if value:  # what was taken back or left empty is in the log alone
                        yield name, position, question, cases[slot.file], value, int(position < len(ended))

    # What always holds

    @invariant()
    def log_holds_what_was_confirmed_and_nothing_else(self) -> None:
        """In its order, every row, also of what was taken back; reading it checks the chain of hashes."""
        found = read_answers(self.served.opened, "").rows
        assert [(row.reader, row.slot, row.kind, row.key) for row in found] == [
            (row.name, row.slot, row.kind, row.key) for row in self.rows
        ]
        answers = [(row.question, json.loads(row.value)) for row in found if row.kind == "answer"]
        assert answers == [(row.question, row.value) for row in self.rows if row.kind == "answer"]

    @invariant()
    def everybody_is_where_he_was(self) -> None:
        for name, browser in self.browsers.items():
            told = browser.get("/api/progress")
            assert (told["done"], told["current"]) == (len(self.ended[name]), self.current(name))

    def teardown(self) -> None:
        if self.rows:
            self.export_says_who_saw_what()
        for browser in self.browsers.values():
            browser.close()
        self.served.close()
        self.home.cleanup()


OFTEN = [*((kind, status, "new") for kind in ("answer", "undo", "complete") for status in (200, 409)),
         ("answer", 200, "again"), ("answer", 422, "new"), "killed"]  # fmt: skip
SELDOM = [("undo", 200, "again"), ("complete", 200, "again"), ("answer", 409, "again"), ("answer", 404, "new"),
          "stopped", "second reader", "days pass"]  # fmt: skip


@pytest.mark.parametrize(
    ("lives", "steps", "expected"),
    [
        pytest.param(6, 20, OFTEN, id="short"),
        pytest.param(40, 60, OFTEN + SELDOM, id="long", marks=pytest.mark.slow),
    ],
)
def test_a_study_lives_as_it_should(tmp_path: Path, lives: int, steps: int, expected: list[Any]) -> None:
    LifeOfAStudy.origin = begin(tmp_path, each=3, size=10, readers=2, extra=SMALL)
    LifeOfAStudy.happened = Counter()
    rules = settings(max_examples=lives, stateful_step_count=steps, deadline=None, derandomize=True, database=None,
                     phases=[Phase.generate])  # fmt: skip
    run_state_machine_as_test(LifeOfAStudy, settings=rules)
    assert [event for event in expected if not LifeOfAStudy.happened[event]] == [], "no walk led there"
