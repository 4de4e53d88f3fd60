"""How a log-in ends before its 90 days: nothing was asked for, or the invitation was taken back."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from reader_browser import Browser
from reader_served import Served
from typer.testing import CliRunner

from pathosynth.cli import app
from pathosynth.reader.invites import invite, revoke
from pathosynth.runs.errors import ConfigError


@pytest.fixture
def restless(toy: Path, serve: Callable[..., Served]) -> Served:
    """A study in which a log-in ends after 12 hours without a request."""
    return serve(toy, idle=timedelta(hours=12))


def test_an_idle_log_in_ends(restless: Served) -> None:
    """12 hours after the last request and not after the first; what was answered stays."""
    browser = restless.browser("R1")
    slot = browser.current()
    for _ in range(5):
        restless.wait(0.4)
        assert browser.answer(slot, "quality", "1").status_code == 200
    restless.wait(0.51)
    assert browser.answer(slot, "quality", "2").status_code == 401
    assert browser.http.get("/api/me").status_code == 401
    again = restless.browsers["again"] = Browser(restless.app, invite(restless.opened, "R1", "reader"))
    assert again.get(f"/api/slots/{slot}")["answers"] == {"quality": "1"}


def test_an_idle_log_in_goes_on_with_its_link_in_its_browser(restless: Served) -> None:
    """Link and old cookie together; neither alone, nor after a log-out, another log-in, or 90 days."""
    token = invite(restless.opened, "R1", "reader")
    body = {"token": token}
    browser = restless.browsers["R1"] = Browser(restless.app, token)
    first = browser.identity()
    restless.wait(1)
    assert Browser(restless.app).http.post("/api/session", json=body).status_code == 401
    assert browser.http.get("/api/me").status_code == 401
    assert browser.http.post("/api/session", json=body).status_code == 200
    assert browser.get("/api/me")["name"] == "R1"
    assert browser.identity()["cookie"] != first["cookie"]
    old = Browser(restless.app)
    old.http.headers["Cookie"] = first["cookie"]
    assert old.http.get("/api/me").status_code == 401
    assert old.http.post("/api/session", json=body).status_code == 401
    for _ in range(178):  # half days, up to 90 days after the first log-in
        restless.wait(0.5)
        assert browser.http.get("/api/me").status_code == 200
    restless.wait(1.5)
    assert browser.http.post("/api/session", json=body).status_code == 401
    later = invite(restless.opened, "R1", "reader")
    assert browser.http.post("/api/session", json={"token": later}).status_code == 200
    browser.http.headers["X-CSRF-Token"] = browser.get("/api/me")["csrf"]
    kept = browser.identity()["cookie"]
    assert browser.http.delete("/api/session").status_code == 204
    gone = Browser(restless.app)
    gone.http.headers["Cookie"] = kept
    assert gone.http.post("/api/session", json={"token": later}).status_code == 401


def test_log_ins_of_an_older_server_go_on(toy: Path, serve: Callable[..., Served]) -> None:
    """Its database has no times at which people were seen; they count from the log-in."""
    before = serve(toy)
    browser = before.browser("R1")
    before.store.run(lambda connection: connection.exec_driver_sql("DROP TABLE seen")).result()
    before.store.close()
    after = serve(toy, idle=timedelta(hours=12))
    again = Browser(after.app)
    again.http.cookies, again.http.headers = browser.http.cookies, browser.http.headers
    for _ in range(3):
        after.wait(0.4)
        assert again.http.get("/api/me").status_code == 200
    after.wait(0.6)
    assert again.http.get("/api/me").status_code == 401


def test_an_invitation_is_taken_back(served: Served) -> None:
    """Used links and open ones are void, the log-in ends at once, answers and place stay; others go on."""
    open_link, other = invite(served.opened, "R1", "reader"), served.browser("R2")
    browser = served.browser("R1")
    slot = browser.current()
    browser.answer(slot, "quality", "3")
    assert revoke(served.opened, "R1") == 2
    assert browser.http.get("/api/progress").status_code == 401
    assert browser.answer(slot, "quality", "1").status_code == 401
    assert browser.http.post("/api/session", json={"token": open_link}).status_code == 401
    assert revoke(served.opened, "R1") == 0
    assert other.http.get("/api/progress").status_code == 200
    again = served.browsers["again"] = Browser(served.app, invite(served.opened, "R1", "reader"))
    assert again.current() == slot
    assert again.get(f"/api/slots/{slot}")["answers"] == {"quality": "3"}
    assert browser.http.get("/api/progress").status_code == 401
    with pytest.raises(ConfigError, match=r"--name R9: was never invited.*Choose of: R1, R2"):
        revoke(served.opened, "R9")


def test_a_command_ends_a_log_in_while_the_server_runs(served: Served, toy: Path) -> None:
    browser = served.browser("R1")
    run = CliRunner()
    done = run.invoke(app, ["reader", "revoke", str(toy), "--name", "R1"])
    assert (done.exit_code, done.output.split(";")[0]) == (0, "R1: links taken back: 1")
    assert browser.http.get("/api/me").status_code == 401
    refused = run.invoke(app, ["reader", "revoke", str(toy), "--name", "R2"])
    assert refused.exit_code == 2
    assert "was never invited" in refused.output
    assert "Traceback" not in refused.output
