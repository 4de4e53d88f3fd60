"""Who may do what, and what attackers try: every role at every route, paths, foreign pages, host names, scripts."""

import asyncio
import json
import mimetypes
import re
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from fastapi.routing import APIRoute
from reader_browser import Browser
from reader_hostile import ask, opened_files, paths_out
from reader_served import Served

from pathosynth.reader import pages, routes
from pathosynth.reader.app import make_api, make_app
from pathosynth.reader.folder import open_truth
from pathosynth.reader.invites import invite
from pathosynth.reader.security import HEADERS, MAX_BODY_BYTES, Brake
from pathosynth.reader.serve import serve as serve_here
from pathosynth.reader.site import Site
from pathosynth.runs.errors import ConfigError

KEY = {"key": "12345678"}
ANSWER = "/api/slots/{slot}/answers/{question}"
BODIES = {
    "/api/session": {"token": "x"},
    ANSWER: {"value": "1", "elapsed_ms": 1, **KEY},
    "/api/slots/{slot}/undo": KEY,
    "/api/slots/{slot}/view": {"view": {}},
    "/api/slots/{slot}/complete": {"elapsed_ms": 1, **KEY},
}
MATRIX = {
    ("POST", "/api/session"): (401, 401, 401, 401),
    ("DELETE", "/api/session"): (401, 204, 204, 204),
    ("GET", "/api/me"): (401, 200, 200, 200),
    ("GET", "/api/progress"): (401, 200, 200, 403),
    ("GET", "/api/slots/{slot}"): (401, 200, 404, 403),
    ("PUT", ANSWER): (401, 200, 404, 403),
    ("POST", "/api/slots/{slot}/undo"): (401, 409, 404, 403),
    ("PUT", "/api/slots/{slot}/view"): (401, 204, 404, 403),
    ("POST", "/api/slots/{slot}/complete"): (401, 409, 404, 403),
    ("GET", "/api/volumes/{volume}"): (401, 200, 404, 403),
    ("GET", "/api/admin/progress"): (401, 403, 403, 200),
    ("GET", "/"): (303, 303, 303, 303),
    ("GET", "/login"): (200, 200, 200, 200),
    ("GET", "/read"): (303, 200, 200, 303),
    ("GET", "/admin"): (303, 303, 303, 200),
}
"""Status for: nobody, the reader whose slot it is, another reader, an admin."""


def all_routes(site: Site) -> set[tuple[str, str]]:
    """Method and path of every route, as the routers have them and as the schema tells them."""
    routers = [*pages.router.routes, *routes.router.routes]
    found = {(method, route.path) for route in routers if isinstance(route, APIRoute) for method in route.methods}
    told = make_api(site).openapi()["paths"]
    return found | {(method.upper(), path) for path, methods in told.items() for method in methods}


def call(browser: Browser, method: str, path: str, slot: Any, **extra: Any) -> int:
    filled = path.format(slot=slot.slot, question="quality", volume=slot.volume)
    body = {"json": BODIES[path]} if path in BODIES else {}
    return browser.http.request(method, filled, **body, **extra).status_code


def test_every_role_at_every_route(toy: Path, serve: Callable[..., Served], tmp_path: Path) -> None:
    """The matrix names every route there is, and each answers each role as it says."""
    for name in ("login.html", "read.html", "admin.html"):  # whether or not the pages are built here
        (tmp_path / name).write_text("<!DOCTYPE html>")
    served = serve(toy, static=tmp_path)
    assert all_routes(Site(served.opened, served.store)) == set(MATRIX)
    slot = served.opened.plan.readers[0][0].slots[0]
    found = {}
    for route in sorted(MATRIX, key=lambda route: route[0] == "DELETE"):
        everybody = (Browser(served.app), served.browser("R1"), served.browser("R2"), served.browser("boss", "admin"))
        found[route] = tuple(call(browser, *route, slot) for browser in everybody)
    assert found == MATRIX


def test_nobody_changes_anything_from_a_foreign_page(served: Served) -> None:
    """Without the token of the page, with a wrong one, or from another origin, every change is refused."""
    browser = served.browser("R1")
    slot = served.opened.plan.readers[0][0].slots[0]
    changes = [route for route in MATRIX if route[0] != "GET" and route[1] != "/api/session"]
    for method, path in [*changes, ("DELETE", "/api/session")]:
        for token in ("", "0" * 64, "é"):
            assert call(browser, method, path, slot, headers={"X-CSRF-Token": token.encode()}) == 403
        assert call(browser, method, path, slot, headers={"Origin": "http://evil.example"}) == 403
        assert call(browser, method, path, slot, headers={"Origin": "null"}) == 403
    login = Browser(served.app).http.post(
        "/api/session", json={"token": "x"}, headers={"Origin": "https://evil.example"}
    )
    assert login.status_code == 403
    assert browser.get(f"/api/slots/{slot.slot}")["answers"] == {}


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:8765", 303), ("localhost", 303), ("LOCALHOST:1", 303), ("[::1]:8765", 303), ("reader.example", 303),
        ("evil.example", 421), ("127.0.0.1.evil.example", 421), ("localhost:80@evil.example", 421), ("", 421),
        ("127.0.0.1:8765:1", 421), ("[::1]evil", 421), ("localhost.", 421), ("127.0.0.2", 421),
    ],
)  # fmt: skip
def test_only_known_host_names_are_served(served: Served, host: str, status: int) -> None:
    app = make_app(Site(served.opened, served.store), hosts=["reader.example"])
    assert Browser(app).http.get("/", headers={"Host": host}).status_code == status


@pytest.mark.parametrize(("host", "refused"), [("0.0.0.0", True), ("192.168.1.5", True), ("::", True), ("lab", True)])
def test_other_machines_are_let_in_only_on_purpose(toy: Path, host: str, refused: bool) -> None:
    with pytest.raises(ConfigError, match="--allow-host"):
        serve_here(toy, host=host, port=1, database="", allowed=[], https=False, idle=timedelta(hours=1),
                   told=lambda line: None)  # fmt: skip


def places_of_names() -> Iterator[tuple[str, str]]:
    """Every place of every route that takes a name, as method and path with ``{}`` there; and the pages' folder."""
    yield "GET", "/static/{}"
    for method, path in MATRIX:
        for name in re.findall(r"{(\w+)}", path):
            yield method, path.replace(f"{{{name}}}", "{}")


def test_no_path_leads_out(toy: Path, serve: Callable[..., Served], tmp_path: Path) -> None:
    """Over 500 spellings wherever a route takes a name: no file is opened, no answer has a byte of the truth."""
    static = tmp_path / "static"
    static.mkdir()
    (static / "reader.js").write_text("//")
    (tmp_path / "truth.json").write_text("secret of the test")
    served = serve(toy, static=static)
    truth = open_truth(served.opened, None)
    words = [word.encode() for word in ("secret of the test", *(image.case for image in truth.images.values()))]
    slot = served.opened.plan.readers[0][0].slots[0]
    headers = served.browser("R1").identity()
    tried = paths_out("truth.json")
    assert len(tried) > 500

    async def send_all() -> None:
        assert (await ask(served.app, "GET", "/static/reader.js", headers)).body == b"//"
        for method, shape in places_of_names():
            body = json.dumps(BODIES.get(shape.replace("{}", "{slot}"), BODIES[ANSWER])).encode()
            for path in tried:
                filled = shape.format(path, slot=slot.slot, question="quality")
                told = await ask(served.app, method, filled, headers, b"" if method == "GET" else body)
                assert 300 <= told.status < 500, (method, filled, told.status)
                assert not [word for word in words if word in told.body], filled

    mimetypes.init()  # reads its files now, not at the first page
    with opened_files() as found:
        asyncio.run(send_all())
    assert found == [str(static / "reader.js")]


def test_every_response_has_the_headers(served: Served) -> None:
    browser = Browser(served.app)
    for path in ("/", "/login", "/api/me", "/nowhere", "/static/x", "/api/volumes/x"):
        response = browser.http.get(path)
        assert {name: response.headers[name] for name in HEADERS} == HEADERS
    refused = browser.http.get("/", headers={"Host": "evil"})
    assert {name: refused.headers[name] for name in HEADERS} == HEADERS
    assert "unsafe-inline" not in HEADERS["Content-Security-Policy"].split("style-src")[0]


def test_an_invitation_works_once_and_only_hashes_are_kept(served: Served, toy: Path) -> None:
    token = invite(served.opened, "R1", "reader")
    first = Browser(served.app, token)
    again = Browser(served.app).http.post("/api/session", json={"token": token})
    assert again.status_code == 401
    cookie = first.http.cookies["pathosynth_session"]
    stored = b"".join(path.read_bytes() for path in (toy / "store").rglob("*") if path.is_file())
    assert token.encode() not in stored
    assert cookie.encode() not in stored
    first.close()


def test_a_new_invitation_ends_the_older_log_in(served: Served) -> None:
    first = Browser(served.app, invite(served.opened, "R1", "reader"))
    slot = first.current()
    second = Browser(served.app, invite(served.opened, "R1", "reader"))
    assert first.http.get("/api/me").status_code == 401
    assert second.current() == slot
    assert second.http.delete("/api/session").status_code == 204
    assert second.http.get("/api/me").status_code == 401
    served.browsers |= {"first": first, "second": second}


def test_a_log_out_ends_the_cookie_itself(served: Served) -> None:
    """Whoever kept a copy of it is out too, whatever the browser forgets."""
    browser = served.browser("R1")
    kept = browser.identity()
    assert asyncio.run(ask(served.app, "GET", "/api/me", kept)).status == 200
    assert browser.http.delete("/api/session").status_code == 204
    assert asyncio.run(ask(served.app, "GET", "/api/me", kept)).status == 401


def test_a_log_in_ends_by_itself(served: Served) -> None:
    browser = served.browser("R1")
    served.wait(89)
    assert browser.http.get("/api/me").status_code == 200
    served.wait(2)
    assert browser.http.get("/api/me").status_code == 401


def test_the_cookie_is_out_of_reach_of_scripts_and_other_sites(toy: Path, serve: Callable[..., Served]) -> None:
    """With https also by its name: browsers refuse one that another host or a page without https sets."""
    served = serve(toy, https=True)
    token = invite(served.opened, "R1", "reader")
    response = Browser(served.app).http.post("/api/session", json={"token": token})
    given, *words = [word.strip() for word in response.headers["set-cookie"].split(";")]
    assert {"httponly", "samesite=strict", "secure", "path=/"} <= {word.lower() for word in words}
    assert not [word for word in words if word.lower().startswith("domain")]
    assert given.startswith("__Host-")
    assert "max-age" in response.headers["strict-transport-security"]
    kept = {"cookie": given}
    known = asyncio.run(ask(served.app, "GET", "/api/me", kept))
    assert asyncio.run(ask(served.app, "GET", "/api/me", {"cookie": given.removeprefix("__Host-")})).status == 401
    gone = asyncio.run(
        ask(served.app, "DELETE", "/api/session", kept | {"x-csrf-token": json.loads(known.body)["csrf"]})
    )
    assert gone.headers["set-cookie"].startswith('__Host-pathosynth_session="";')
    assert "Secure" in gone.headers["set-cookie"]


def test_guessing_is_braked(served: Served) -> None:
    browser = Browser(served.app)
    tries = [browser.http.post("/api/session", json={"token": f"guess{n}"}) for n in range(12)]
    assert [response.status_code for response in tries] == [401] * 10 + [429] * 2
    assert 0 < int(tries[-1].headers["retry-after"]) <= 61
    good = browser.http.post("/api/session", json={"token": invite(served.opened, "R1", "reader")})
    assert good.status_code == 429


def test_the_brake_forgets_and_stays_small() -> None:
    now = 0.0
    brake = Brake(clock=lambda: now, each=3, together=10_000, seconds=60, addresses=50)
    for _ in range(3):
        assert brake.wait("a") == 0
        brake.failed("a")
    assert 0 < brake.wait("a") <= 61
    now = 61.0
    assert brake.wait("a") == 0
    for n in range(500):
        brake.failed(f"address {n}")
    assert brake.remembered() <= 50


def test_many_addresses_together_are_braked_too() -> None:
    brake = Brake(clock=lambda: 0.0)
    for n in range(100):
        assert brake.wait_to_fail("a new one") == 0
        brake.failed(f"address {n}")
    assert 0 < brake.wait_to_fail("a new one") <= 61
    assert brake.wait("a new one") == 0


def test_whoever_fails_keeps_nobody_else_out(toy: Path, serve: Callable[..., Served]) -> None:
    """While all together are braked, wrong and used tokens are told to wait alike, and a good one logs in."""
    brake = Brake(clock=lambda: 0.0)
    served = serve(toy, brake=brake)
    for n in range(100):
        brake.failed(f"address {n}")
    used, good = invite(served.opened, "R1", "reader"), invite(served.opened, "R2", "reader")
    served.browsers["R1"] = Browser(served.app, used)
    told = [Browser(served.app).http.post("/api/session", json={"token": token}) for token in ("guess", used)]
    assert [response.status_code for response in told] == [429, 429]
    assert told[0].json() == told[1].json()
    served.browsers["R2"] = Browser(served.app, good)
    assert served.browsers["R2"].get("/api/me")["name"] == "R2"


def test_large_requests_are_refused(served: Served) -> None:
    """By what they say, and by what comes when they say nothing."""
    browser = served.browser("R1")
    slot = browser.current()
    large = {"value": "x" * (MAX_BODY_BYTES + 1), "key": "12345678", "elapsed_ms": 1}
    path = f"/api/slots/{slot}/answers/comment"
    assert browser.http.put(path, json=large).status_code == 413
    pieces = (b"[" * 10_000 for _ in range(20))
    assert browser.http.put(path, content=pieces, headers={"Content-Type": "application/json"}).status_code == 413
    for length in ("-1", "9" * 5000, "1e3", "٣"):
        response = browser.http.put(path, content=b"{}", headers={"Content-Length": length.encode()})
        assert response.status_code == 413


def test_methods_without_a_route_are_refused(served: Served) -> None:
    """TRACE among them, which would send a cookie back to a script."""
    browser = served.browser("R1")
    known = {path: {method for method, other in MATRIX if other == path} for _, path in MATRIX}
    for path, methods in known.items():
        for method in {"TRACE", "OPTIONS", "PATCH", "DELETE", "PUT", "POST", "PURGE"} - methods:
            assert browser.http.request(method, path).status_code == 405, (method, path)


def test_no_page_of_documentation(served: Served) -> None:
    for path in ("/docs", "/redoc", "/openapi.json"):
        assert served.browser("R1").http.get(path).status_code == 404


def test_no_route_tells_a_reader_the_truth(served: Served) -> None:
    """Everything a reader can get on the way through the study: no case, arm, origin, file or seed in any of it."""
    truth = open_truth(served.opened, None)
    words = {word for file, image in truth.images.items() for word in (file, image.case, image.arm, image.sha256)}
    browser = served.browser("R1")
    for _ in range(4):
        slot = browser.current()
        got = [browser.http.get(path) for path in ("/api/me", "/api/progress", f"/api/slots/{slot}")]
        got.append(browser.http.get(got[-1].json()["volume"]))
        for response in got:
            assert not [word for word in words if word.encode() in response.content + str(response.headers).encode()]
        browser.rate(slot)
