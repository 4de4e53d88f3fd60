"""The life of a study, walked at random: the real server, its database and its export against a model of it."""

import csv
import json
import shutil
import tempfile
from collections import Counter
from dataclasses import replace
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
from reader_model import REQUIRED, WASHOUT_DAYS, WRONG, Model, Request
from reader_served import begin, serve_study

from pathosynth.reader.export import export
from pathosynth.reader.folder import open_truth
from pathosynth.reader.invites import invite
from pathosynth.reader.results import read_answers

SMALL = f"""
training = {{cases = 2}}
repeats = {{share = 0.5, distance = 1}}
blocks = 2
washout_days = {WASHOUT_DAYS}
"""
"""3 images per arm: 2 to train with, and two blocks of 2 with one repeat each."""

ANSWERS = (("quality", "0"), ("quality", "3"), ("origin", "real-sure"), ("artefacts", ["noise", "blur"]),
           ("artefacts", []), ("comment", "=1+1\n<b>"), ("comment", ""))  # fmt: skip
NUMBERS = st.integers(0, 10_000)


class LifeOfAStudy(RuleBasedStateMachine):
    """Readers come, answer, change their minds, send again and come back; the server is stopped and killed.

    What the server answers, keeps and exports is held against a `Model`.
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
        self.model = Model(self.served.opened.plan.readers, self.served.now)
        self.keys = 0

    @property
    def folder(self) -> Path:
        return Path(self.home.name) / f"life{self.lives}"

    async def forward(self, *asgi: Any) -> None:
        """Browsers stay open while the server behind their address is another one."""
        await self.served.app(*asgi)

    def send(self, request: Request) -> None:
        """Send a request and hold the server's answer against the model."""
        wanted, again = self.model.status(request), request in self.model.rows
        response = self.browsers[request.name].http.request(**request.sent)
        assert response.status_code == wanted, (request, response.text)
        self.happened[request.kind, wanted, "again" if again else "new"] += 1
        if wanted != 200:
            assert set(response.json()) == {"error"}
            return
        if not again:
            self.model.confirm(request)
        if request.kind == "complete":
            assert response.json()["next"] == self.model.current(request.name)
        else:
            assert response.json() == {"answers": self.model.standing(request.name, request.slot)}
        if not again and self.keys % 3 == 0:  # the confirmation gets lost on its way
            self.send(request)

    def key(self) -> str:
        self.keys += 1
        return f"key-{self.keys:06d}"

    # What may happen

    @initialize(target=names)
    def first_reader(self) -> str:
        """He answers, changes his mind, forgets something, reads on, and answers once more what is closed."""
        self.log_in("R1")
        self.answer("R1", [*ANSWERS[:2], WRONG])
        self.undo("R1", 3)
        self.complete("R1")
        self.read_on("R1", "2", 3)
        self.answer_what_is_done("R1", ANSWERS[0])
        return "R1"

    @rule(target=names, name=st.sampled_from(["R1", "R2"]))
    def reader_logs_in(self, name: str) -> str:
        return self.log_in(name)

    def log_in(self, name: str) -> str:
        before = self.browsers.get(name)
        self.model.ended.setdefault(name, [])
        self.browsers[name] = Browser(self.forward, invite(self.served.opened, name, "reader"))
        if before is not None:
            assert before.http.get("/api/me").status_code == 401
            before.close()
        self.happened["second reader"] += len(self.model.ended) > 1
        return name

    @rule(name=names, given=st.lists(st.sampled_from([*ANSWERS, WRONG]), min_size=1, max_size=5))
    def answer(self, name: str, given: list[tuple[str, Any]]) -> None:
        for one in given:
            self.send(Request(name, self.model.here(name), "answer", self.key(), *one))

    @rule(name=names, given=st.sampled_from(ANSWERS))
    def answer_what_is_done(self, name: str, given: tuple[str, Any]) -> None:
        last = max(len(self.model.ended[name]) - 1, 0)
        self.send(Request(name, self.model.places(name)[last][1].slot, "answer", self.key(), *given))

    @rule(name=names, number=NUMBERS, given=st.sampled_from(ANSWERS))
    def answer_anywhere(self, name: str, number: int, given: tuple[str, Any]) -> None:
        """At any slot of anybody: done, to come, or another reader's."""
        slots = [slot.slot for other in self.model.ended for _, slot in self.model.places(other)]
        self.send(Request(name, slots[number % len(slots)], "answer", self.key(), *given))

    @rule(name=names, times=st.integers(1, 3))
    def undo(self, name: str, times: int) -> None:
        for _ in range(times):
            self.send(Request(name, self.model.here(name), "undo", self.key()))

    @rule(name=names)
    def complete(self, name: str) -> None:
        self.send(Request(name, self.model.here(name), "complete", self.key()))

    @rule(name=names, grade=st.sampled_from("0123"), images=st.integers(1, 5))
    def read_on(self, name: str, grade: str, images: int) -> None:
        """All that is required, then the end of the image, and the next one."""
        for _ in range(images if self.model.current(name) else 1):
            slot = self.model.here(name)
            for question, value in zip(REQUIRED, (grade, grade, "synthetic-unsure"), strict=True):
                self.send(Request(name, slot, "answer", self.key(), question, value))
            self.send(Request(name, slot, "complete", self.key()))

    @precondition(lambda self: self.model.rows)
    @rule(number=NUMBERS)
    def send_again(self, number: int) -> None:
        """A browser that comes back late with what was confirmed long ago."""
        self.send(self.model.rows[-1 - number % len(self.model.rows)])

    @precondition(lambda self: self.model.rows)
    @rule(number=NUMBERS, given=st.sampled_from(ANSWERS))
    def use_a_key_for_something_else(self, number: int, given: tuple[str, Any]) -> None:
        old = self.model.rows[-1 - number % len(self.model.rows)]
        self.send(replace(old, slot=self.model.here(old.name), kind="answer", question=given[0], value=given[1]))

    @precondition(lambda self: any(map(self.model.locked, self.model.ended)))
    @rule(days=st.sampled_from([6, 10]))
    def days_pass(self, days: int) -> None:
        self.served.wait(days)
        self.model.now = self.served.now
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
        assert [row["key"] for row in content["log"]] == [row.key for row in self.model.rows]
        told = [(one["reader"], one["position"], one["question"], one["case"], one["value"], one["complete"])
                for one in [*content["ratings"], *content["training"]]]  # fmt: skip
        wanted = list(self.model.to_be_exported({file: image.case for file, image in truth.images.items()}))
        assert sorted(told, key=str) == sorted(wanted, key=str)
        rows = [row for name in ("ratings.csv", "training.csv") for row in csv.reader((out / name).open(newline=""))]
        assert len(rows) == 2 + len(wanted)

    # What always holds

    @invariant()
    def log_holds_what_was_confirmed_and_nothing_else(self) -> None:
        """In its order, every row, also of what was taken back; reading it checks the chain of hashes."""
        found = read_answers(self.served.opened, "").rows
        assert [(row.reader, row.slot, row.kind, row.key) for row in found] == [
            (row.name, row.slot, row.kind, row.key) for row in self.model.rows
        ]
        answers = [(row.question, json.loads(row.value)) for row in found if row.kind == "answer"]
        assert answers == [(row.question, row.value) for row in self.model.rows if row.kind == "answer"]

    @invariant()
    def everybody_is_where_he_was(self) -> None:
        for name, browser in self.browsers.items():
            told = browser.get("/api/progress")
            assert (told["done"], told["current"]) == (len(self.model.ended[name]), self.model.current(name))

    def teardown(self) -> None:
        if self.model.rows:
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
