"""What a reader can do, through the routes: answers, undo, completing, training, washout, coming back."""

import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from reader_browser import Browser
from reader_served import Served
from sqlalchemy import func, select

from pathosynth.reader.encode import HEADER_BYTES
from pathosynth.reader.log import views


def read(browser: Browser, number: int) -> list[str]:
    """Complete so many images; returns their slots."""
    slots = []
    for _ in range(number):
        slots.append(browser.current())
        browser.rate(slots[-1])
    return slots


def test_a_reader_is_told_the_study(served: Served) -> None:
    told = served.browser("R1").get("/api/me")
    assert (told["name"], told["role"], told["study"]["title"]) == ("R1", "reader", "Toy study")
    assert [question["id"] for question in told["study"]["questions"]] == [
        "quality",
        "diagnostic",
        "origin",
        "artefacts",
        "comment",
    ]
    assert set(told["study"]) == {"title", "instructions", "convention", "questions", "windows"}
    assert all(0 <= window["low"] < window["high"] <= 1 for window in told["study"]["windows"])


def test_a_whole_study(served: Served) -> None:
    """Training with feedback, two blocks with a washout between them, and the end."""
    browser = served.browser("R1")
    first = browser.get("/api/progress")
    assert (first["done"], first["total"], first["block"]["kind"]) == (0, 14, "training")
    told = [browser.rate(browser.current()) for _ in range(2)]
    assert sorted(one["feedback"]["text"] for one in told) == ["This image is real.", "This image is synthetic."]
    assert browser.get("/api/progress")["block"] == {"name": "block 1", "kind": "reading", "done": 0, "total": 6}
    ends = [browser.rate(browser.current()) for _ in range(6)]
    assert all(one["feedback"] is None for one in ends)
    assert [one["next"] is None for one in ends] == [False] * 5 + [True]
    waiting = browser.get("/api/progress")
    assert waiting["locked_until"] == "2026-01-15T09:00:00.000Z"
    assert (waiting["current"], waiting["finished"]) == (None, False)
    served.wait(9.9)
    assert browser.current() is None
    served.wait(0.1)
    read(browser, 6)
    end = browser.get("/api/progress")
    assert (end["done"], end["finished"], end["current"]) == (14, True, None)


def test_nothing_of_a_locked_block_can_be_had(served: Served) -> None:
    """Neither the slot nor its image, though the browser might guess that they come next."""
    browser = served.browser("R1")
    read(browser, 8)
    (ahead,) = [block for block in served.opened.plan.readers[0] if block.name == "block 2"]
    for path in (f"/api/slots/{ahead.slots[0].slot}", f"/api/volumes/{ahead.slots[0].volume}"):
        assert browser.http.get(path).status_code == 409
    assert browser.answer(ahead.slots[0].slot, "quality", "1").status_code == 409
    assert browser.complete(ahead.slots[0].slot).status_code == 409
    served.wait(10)
    assert browser.http.get(f"/api/volumes/{ahead.slots[0].volume}").status_code == 200


def test_an_answer_counts_once_however_often_it_is_sent(served: Served) -> None:
    browser = served.browser("R1")
    slot = browser.current()
    key = str(uuid.uuid4())
    for _ in range(3):
        assert browser.answer(slot, "quality", "2", key).json() == {"answers": {"quality": "2"}}
    assert browser.answer(slot, "quality", "3", key).status_code == 409
    assert browser.answer(slot, "diagnostic", "2", key).status_code == 409
    assert browser.undo(slot).json() == {"answers": {"quality": None}}
    assert browser.undo(slot).status_code == 409


def test_undo_gives_back_what_stood_before(served: Served) -> None:
    browser = served.browser("R1")
    slot = browser.current()
    for question, value in (("quality", "1"), ("artefacts", ["blur"]), ("quality", "3"), ("artefacts", [])):
        browser.answer(slot, question, value)
    seen = [browser.undo(slot).json()["answers"] for _ in range(4)]
    assert seen == [
        {"quality": "3", "artefacts": ["blur"]},
        {"quality": "1", "artefacts": ["blur"]},
        {"quality": "1", "artefacts": None},
        {"quality": None, "artefacts": None},
    ]
    browser.answer(slot, "quality", "0")
    assert browser.undo(slot).json()["answers"]["quality"] is None


def test_an_undo_sent_twice_takes_one_answer_back(served: Served) -> None:
    browser = served.browser("R1")
    slot = browser.current()
    browser.answer(slot, "quality", "1")
    browser.answer(slot, "quality", "2")
    body = {"key": str(uuid.uuid4())}
    for _ in range(2):
        response = browser.http.post(f"/api/slots/{slot}/undo", json=body)
        assert response.json() == {"answers": {"quality": "1"}}


def test_an_image_is_closed_only_when_all_is_answered(served: Served) -> None:
    browser = served.browser("R1")
    slot = browser.current()
    browser.answer(slot, "quality", "1")
    refused = browser.complete(slot)
    assert refused.status_code == 409
    assert refused.json()["error"] == "Still to be answered: Diagnostic value, Real or synthetic?."
    body = {"key": str(uuid.uuid4()), "elapsed_ms": 5}
    browser.answer(slot, "diagnostic", "1")
    browser.answer(slot, "origin", "real-sure")
    closed = [browser.http.post(f"/api/slots/{slot}/complete", json=body).json() for _ in range(2)]
    assert closed[0] == closed[1]
    assert closed[0]["next"] == browser.current() != slot
    assert browser.answer(slot, "quality", "3").status_code == 409
    assert browser.undo(slot).status_code == 409
    assert browser.get(f"/api/slots/{slot}")["complete"] is True


@pytest.mark.parametrize(
    ("question", "value"),
    [
        ("quality", "4"),
        ("quality", ["1"]),
        ("origin", "real"),
        ("artefacts", "blur"),
        ("artefacts", ["blur", "blur"]),
        ("artefacts", ["hat"]),
        ("comment", "x" * 4001),
        ("comment", "\x00"),
        ("comment", "\ud800"),
        ("comment", None),
        ("quality", 2),
    ],
)
def test_what_is_not_an_answer_is_refused(served: Served, question: str, value: Any) -> None:
    browser = served.browser("R1")
    response = browser.answer(browser.current(), question, value)
    assert response.status_code == 422
    assert set(response.json()) == {"error"}


@pytest.mark.parametrize(
    "view", ['{"a": NaN}', '{"a": "\\ud800"}', '{"\\udfff": 1}', '{"a": "' + "x" * 5000 + '"}', "[]"]
)
def test_a_view_that_could_not_be_given_back_is_refused(served: Served, view: str) -> None:
    browser = served.browser("R1")
    slot = browser.current()
    head = {"Content-Type": "application/json"}
    response = browser.http.put(f"/api/slots/{slot}/view", content=f'{{"view": {view}}}', headers=head)
    assert response.status_code == 422
    assert browser.get(f"/api/slots/{slot}")["view"] is None


def test_a_view_of_a_closed_image_is_nothing_to_do(served: Served) -> None:
    """It may come late, after training or a block has ended too; one of an image to come or of another is refused."""
    browser, other = served.browser("R1"), served.browser("R2")
    slots = [slot.slot for block in served.opened.plan.readers[0] for slot in block.slots]
    first, late = {"view": {"cursor": [1, 2, 3]}}, {"view": {"cursor": [4, 5, 6]}}
    assert browser.http.put(f"/api/slots/{slots[0]}/view", json=first).status_code == 204
    read(browser, 1)
    assert browser.http.put(f"/api/slots/{slots[0]}/view", json=late).status_code == 204
    assert browser.get(f"/api/slots/{slots[0]}")["view"] == first["view"]
    for done in (2, 8):  # the end of the training, and of the first block with the second one locked
        read(browser, done - browser.get("/api/progress")["done"])
        assert browser.http.put(f"/api/slots/{slots[done - 1]}/view", json=late).status_code == 204
    statuses = [browser.http.put(f"/api/slots/{slot}/view", json=late).status_code for slot in slots]
    assert statuses == [204] * 8 + [409] * 6
    assert other.http.put(f"/api/slots/{slots[0]}/view", json=late).status_code == 404
    assert stored_views(served) == 1


def stored_views(served: Served) -> int:
    """How many views the database keeps."""
    count = select(func.count()).select_from(views)
    return served.store.run(lambda connection: connection.execute(count).scalar_one()).result()


def test_coming_back_after_a_crash(toy: Path, serve: Callable[..., Served]) -> None:
    """Another server on the same folder, the same cookie: the same image, answers and view."""
    before = serve(toy)
    browser = before.browser("R1")
    read(browser, 3)
    slot = browser.current()
    browser.answer(slot, "quality", "3")
    view = {"cursor": [1, 2, 3.5], "window": "full"}
    assert browser.http.put(f"/api/slots/{slot}/view", json={"view": view}).status_code == 204
    before.store.close()
    after = Browser(serve(toy).app)
    after.http.cookies, after.http.headers = browser.http.cookies, browser.http.headers
    assert after.current() == slot
    told = after.get(f"/api/slots/{slot}")
    assert (told["answers"], told["view"], told["position"]) == ({"quality": "3"}, view, 3)


def test_the_next_image_can_be_had_beforehand_and_no_other(served: Served) -> None:
    browser = served.browser("R1")
    read(browser, 2)
    slots = [slot for block in served.opened.plan.readers[0] for slot in block.slots]
    told = browser.get(f"/api/slots/{slots[2].slot}")
    assert told["next_volume"] == f"/api/volumes/{slots[3].volume}"
    statuses = [browser.http.get(f"/api/volumes/{slot.volume}").status_code for slot in slots]
    assert statuses == [409, 409, 200, 200] + [409] * 10


def test_images_differ_in_their_voxels_only(served: Served) -> None:
    """Every header of the response and of the file is the same for all."""
    browser = served.browser("R1")
    heads, bodies = set(), set()
    for _ in range(8):
        slot = browser.current()
        response = browser.http.get(browser.get(f"/api/slots/{slot}")["volume"])
        heads.add((str(sorted(response.headers.items())), response.content[:HEADER_BYTES]))
        bodies.add(response.content)
        browser.rate(slot)
    assert len(heads) == 1
    assert len(bodies) == 7  # one was a repeat
    assert not {"etag", "last-modified"} & set(response.headers)


def test_admins_see_progress_and_no_answers(served: Served) -> None:
    read(served.browser("R1"), 3)
    served.browser("R2")
    rows = served.browser("boss", "admin").get("/api/admin/progress")["readers"]
    assert rows == [
        {"name": "R1", "done": 3, "total": 14, "last": "2026-01-05T09:00:00.000Z"},
        {"name": "R2", "done": 0, "total": 14, "last": None},
    ]


def test_where_people_are_sent(toy: Path, serve: Callable[..., Served], tmp_path: Path) -> None:
    for name in ("login", "read", "admin"):
        (tmp_path / f"{name}.html").write_text(name)
    served = serve(toy, static=tmp_path)
    nobody, reader, admin = Browser(served.app), served.browser("R1"), served.browser("boss", "admin")
    for browser, home in ((nobody, "/login"), (reader, "/read"), (admin, "/admin")):
        assert browser.http.get("/").headers["location"] == home
        assert browser.http.get(home).text == home[1:]
        for other in {"/read", "/admin"} - {home}:
            response = browser.http.get(other)
            assert (response.status_code, response.headers["location"]) == (303, home)
