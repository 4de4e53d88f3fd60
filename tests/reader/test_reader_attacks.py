"""Attacks that servers of this kind have fallen to: hostile texts end to end, and one test for each class of fault."""

import asyncio
import csv
import itertools
import json
import logging
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from reader_browser import Browser
from reader_hostile import ask, hostile_texts, refused_texts
from reader_served import Served, begin

from pathosynth.reader import ratings
from pathosynth.reader.analysis.report import analyse_file, page
from pathosynth.reader.analysis.settings import Settings
from pathosynth.reader.export import export
from pathosynth.reader.folder import open_truth
from pathosynth.reader.invites import invite
from pathosynth.runs.errors import InputError

ASKED = 80
"""Comments on every image."""

EVIL = "https://evil.example"


@pytest.fixture
def talkative(tmp_path: Path, serve: Callable[..., Served]) -> Served:
    """A study of 8 images with many questions for a text, so that over 500 texts stand at once."""
    questions = "".join(f'[[questions]]\nid = "t{n}"\nkind = "text"\nprompt = "?"\n' for n in range(ASKED))
    return serve(begin(tmp_path, each=4, size=8, readers=1, extra=f"repeats = {{share = 0}}\n{questions}"))


def shielded(text: str) -> str:
    """As a spreadsheet must see it: nothing that a cell could begin a formula with comes first."""
    return f"'{text}" if text.lstrip()[:1] in tuple("=+-@＝＋－＠") or text[:1] == "\t" else text


class Shape(HTMLParser):
    """A page's tags with their attributes, and its text apart."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[Any] = []
        self.headings: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, attrs))
        if tag == "h2":
            self.headings.append("")

    def handle_data(self, data: str) -> None:
        if self.tags and self.tags[-1][0] == "h2":
            self.headings[-1] += data

    def handle_endtag(self, tag: str) -> None:
        self.tags.append((f"/{tag}", []))


# Stored scripts, as in CVE-2026-44727, and everything else that a comment may hold
def test_hostile_comments_come_back_as_they_were_and_do_nothing(talkative: Served, tmp_path: Path) -> None:
    """Through the API, into the tables and the JSON: each sign is there, and none begins a formula."""
    texts = [text for text in hostile_texts() if text]
    assert len(texts) >= 500
    browser, rest = talkative.browser("R1"), iter(texts)
    while slot := browser.current():
        for question, text in zip([f"t{n}" for n in range(ASKED)], rest, strict=False):
            stored = browser.answer(slot, question, text)
            assert stored.status_code == 200, (text, stored.text)
            assert stored.json()["answers"][question] == text
        shown = browser.http.get(f"/api/slots/{slot}")
        assert (shown.headers["content-type"], shown.headers["x-content-type-options"]) == (
            "application/json",
            "nosniff",
        )
        browser.complete(slot)
    out = tmp_path / "out"
    export(talkative.opened, open_truth(talkative.opened, None), "", out)
    content = json.loads((out / "ratings.json").read_text(encoding="utf-8"))
    assert [one["value"] for one in content["ratings"]] == texts
    rows = list(csv.DictReader((out / "ratings.csv").open(newline="", encoding="utf-8")))
    assert [row["value"] for row in rows] == [shielded(text) for text in texts]
    cells = (out / "bids" / "phenotype" / "reader_R1.tsv").read_text(encoding="utf-8").split("\n")
    assert {line.count("\t") for line in cells[:-1]} == {cells[0].count("\t")}
    assert not [cell for line in cells[1:] for cell in line.split("\t") if cell != shielded(cell)]
    assert analyse_file(out / "ratings.csv", Settings()).source["rows"] == len(texts)


def test_what_a_comment_cannot_hold_is_refused_in_a_sentence(served: Served) -> None:
    browser = served.browser("R1")
    slot = browser.current()
    for text in refused_texts():
        refused = browser.answer(slot, "comment", text)
        assert refused.status_code == 422
        assert re.fullmatch(r"Question 'comment': expected a text [a-z0-9 ]+\.", refused.json()["error"])
    assert browser.get(f"/api/slots/{slot}")["answers"] == {}


def test_hostile_names_stay_text_in_the_page_of_an_analysis(tmp_path: Path) -> None:
    """As questions, arms, readers and answers of a file: no tag and no attribute differs from a page of plain words.

    Names have one line, and those with more are refused; answers may have several.
    """
    texts = [text for text in dict.fromkeys(text.strip() for text in hostile_texts()) if text]
    broken = [text for text in texts if in_one_line(text) != text]
    with pytest.raises(InputError, match="in one line, found a line break"):
        analysed(tmp_path / "broken.csv", broken, names=broken)
    lines = {in_one_line(text): text for text in texts}
    texts = list(lines)
    told = analysed(tmp_path / "hostile.csv", list(lines.values()))
    plain = analysed(tmp_path / "hostile.csv", [f"word{n}" for n in range(len(texts))])
    assert told.headings[: len(texts)] == texts
    assert told.tags == plain.tags


def in_one_line(text: str) -> str:
    return re.sub(r"[\r\n]+", " ", text)


def analysed(path: Path, answers: list[str], names: list[str] | None = None) -> Shape:
    """The page of a file in which a question, its one arm and reader have the name of the answer, in one line."""
    names = names or list(map(in_one_line, answers))
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(["reader", "case", "arm", "question", "repeat", "value"])
        writer.writerows([name, "case", name, name, 0, text] for name, text in zip(names, answers, strict=True))
    found = analyse_file(path, Settings(kinds=dict.fromkeys(names, "text")))
    return Shape(page(found, {name: {} for name in names}, [], "command"))


STARTS = ("//", "/\\", "/%5c", "/%2f", "///", "/.//", "/login//", "/@", "/read/%2e%2e//", "/static//", "http://", "")


# Open redirects, as in CVE-2023-39968 and CVE-2025-61669
def test_no_redirect_leads_to_another_site(served: Served) -> None:
    """Whatever a path or a parameter says, and whoever asks, a redirect stays on this host."""
    paths = [f"{start}evil.example{end}" for start in STARTS for end in ("", "/", "/login", "/login/", "/%2e%2e/")]
    names = ("next", "url", "redirect", "return_to", "continue", "to")
    queries = ["", *(f"?{name}={target}" for name in names for target in (EVIL, "//evil.example", "/%5cevil.example"))]
    everybody = [{}, served.browser("R1").identity(), served.browser("boss", "admin").identity()]

    async def targets() -> list[str]:
        asked = itertools.product(["/", "/read", "/admin", "/login/", "/static", *paths], queries, everybody)
        return [
            (await ask(served.app, "GET", path + query, who)).headers.get("location", "") for path, query, who in asked
        ]

    found = {urlsplit(target) for target in asyncio.run(targets())}
    assert {"/login", "/read", "/admin"} <= {target.path for target in found}
    assert {target.netloc for target in found} <= {"", "127.0.0.1"}
    assert not [target for target in found if re.match(r"[/\\]{2}|.*\\", target.path)]


# Tracebacks told to the client, as in CVE-2023-49080
def test_errors_tell_no_insides(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fault in the server is one plain sentence; its traceback stays in the log."""
    break_progress(monkeypatch)
    response = served.browser("R1").http.get("/api/progress")
    assert response.status_code == 500
    assert response.json() == {"error": "Something went wrong; the server's log tells what."}


def break_progress(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> None:
        raise RuntimeError("/srv/secret/path")

    monkeypatch.setattr(ratings, "progress", broken)


# Origins let in by a loose pattern, as in CVE-2026-40110
@pytest.mark.parametrize("origin", [
    "http://127.0.0.1.evil.example", "http://evil-127.0.0.1", "http://127.0.0.1@evil.example", "http://127x0x0x1",
    "http://127.0.0.1:80", "http://127.0.0.1/", "http://127.0.0.1\u0000.evil.example", "https://evil.example#127.0.0.1",
    "http://localhost", "ftp://127.0.0.1", "null", "*", "", EVIL,
])  # fmt: skip
def test_no_other_origin_is_let_in(served: Served, origin: str) -> None:
    """Nothing is ever shared across origins, and a change is taken from exactly the page's own."""
    browser, headers = served.browser("R1"), {"Origin": origin.encode()}
    slot = browser.current()
    body = {"value": "1", "key": "12345678", "elapsed_ms": 1}
    path = f"/api/slots/{slot}/answers/quality"
    assert browser.http.put(path, json=body, headers=headers).status_code == 403
    asked = {**headers, "Access-Control-Request-Method": "PUT", "Access-Control-Request-Headers": "x-csrf-token"}
    for response in (browser.http.get("/api/me", headers=headers), browser.http.options(path, headers=asked)):
        assert not [name for name in response.headers if name.startswith("access-control-")]
    assert browser.get(f"/api/slots/{slot}")["answers"] == {}
    assert browser.http.put(path, json=body, headers={"Origin": "http://127.0.0.1"}).status_code == 200


def test_refusals_are_logged_a_line_each(served: Served, caplog: pytest.LogCaptureFixture) -> None:
    """Failed log-ins and refused requests: time, what, who where he is known, from where; no token and no answer."""
    token = invite(served.opened, "R1", "reader")
    reader = served.browsers["R1"] = Browser(served.app, token)
    admin, nobody = served.browser("boss", "admin"), Browser(served.app)
    slot, hidden = reader.current(), "a comment of his"
    caplog.clear()
    nobody.http.post("/api/session", json={"token": "guessed"})
    nobody.http.post("/api/session", json={"token": token})
    reader.http.get("/api/admin/progress")
    reader.http.put(f"/api/slots/{slot}/view", json={"view": {}}, headers={"X-CSRF-Token": "no"})
    reader.answer(slot, "comment", [hidden])
    reader.complete(slot)
    reader.http.put(f"/api/slots/{slot}/answers/comment", json={hidden: hidden})
    admin.http.get(f"/api/slots/{slot}")
    nobody.http.get(f"/{token}?token={token}")
    nobody.http.get("/", headers={"Host": "evil.example"})
    nobody.http.post("/api/session", json={"token": token}, headers={"Origin": EVIL})
    for _ in range(9):
        nobody.http.post("/api/session", json={"token": "guessed"})
    known = "/api/slots/{slot}"
    expected = [
        "401 POST /api/session, reader -",
        "401 POST /api/session, reader R1",
        "403 GET /api/admin/progress, reader R1",
        f"403 PUT {known}/view, reader -",
        f"422 PUT {known}/answers/{{question}}, reader R1",
        f"409 POST {known}/complete, reader R1",
        f"422 PUT {known}/answers/{{question}}, reader -",
        f"403 GET {known}, reader boss",
        "404 GET (no route), reader -",
        "421 GET (no route), reader -",
        "403 POST (no route), reader -",
        *["401 POST /api/session, reader -"] * 8,
        "429 POST /api/session, reader -",
    ]
    assert refusals(caplog) == [f"2026-01-05T09:00:00+00:00 refused {line}, from testclient" for line in expected]
    assert not [secret for secret in (token, hidden, "guessed", slot) if secret in caplog.text]


def refusals(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Lines about refused requests."""
    return [record.getMessage() for record in caplog.records if record.name == "pathosynth.reader.journal"]


@pytest.mark.parametrize(
    "address", ["::1\n2026-01-05 refused", "1.2.3.4, from 127.0.0.1", "\x1b[2J", "\u2028\u202e", "x" * 5000, "", None]
)
def test_nothing_that_is_sent_can_look_like_another_line(
    served: Served, caplog: pytest.LogCaptureFixture, address: str | None
) -> None:
    """Neither by method or path nor by the address, which is a header's where a proxy sets it."""

    async def call(method: str, path: str) -> None:
        async def receive() -> Any:
            return {"type": "http.request", "body": b""}

        async def send(message: Any) -> None:
            pass

        scope = {"type": "http", "method": method, "path": path, "raw_path": b"/", "query_string": b"",
                 "client": None if address is None else (address, 1), "server": ("127.0.0.1", 80), "scheme": "http",
                 "root_path": "", "http_version": "1.1", "headers": [(b"host", b"127.0.0.1")]}  # fmt: skip
        await served.app(scope, receive, send)

    asyncio.run(call("GET\r\nX", "/api/me\n2026-01-05 refused"))
    (line,) = refusals(caplog)
    told = r"2026-01-05T09:00:00\+00:00 refused 404 GET\?\?X \(no route\), reader -, from "
    assert re.fullmatch(told + r"[A-Za-z0-9.:?\[-]{1,64}", line)


# Secrets in the log of a failed request, as in CVE-2026-86049
def test_the_log_of_a_fault_holds_no_token_and_no_answer(
    served: Served, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Token, cookie and CSRF token in headers and addresses, an answer in the body; the server fails in two ways."""
    token = invite(served.opened, "R1", "reader")
    browser = served.browsers["R1"] = Browser(served.app, token)
    secrets = [
        token,
        browser.http.cookies["pathosynth_session"],
        browser.http.headers["X-CSRF-Token"],
        "a comment of his",
    ]
    slot = browser.current()
    referer = {"Referer": f"http://127.0.0.1/login?token={token}#{token}"}
    full = "CREATE TRIGGER full BEFORE INSERT ON log BEGIN SELECT RAISE(ABORT, 'no room'); END"
    served.store.run(lambda connection: connection.exec_driver_sql(full)).result()
    break_progress(monkeypatch)
    body = {"value": secrets[-1], "key": "12345678", "elapsed_ms": 1}
    with caplog.at_level(logging.DEBUG):
        told = [browser.http.put(f"/api/slots/{slot}/answers/comment?token={token}", json=body, headers=referer),
                browser.http.get(f"/api/progress?token={token}", headers=referer)]  # fmt: skip
    assert [response.status_code for response in told] == [503, 500]
    ours = [record for record in caplog.records if record.name.startswith("pathosynth")]
    logged = "\n".join(logging.Formatter().format(record) for record in ours)
    assert "no room" in logged
    assert "RuntimeError" in logged
    assert not [secret for secret in secrets if secret in logged]
