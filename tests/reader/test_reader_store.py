"""The log: what was acknowledged is there, what was changed is found, one process writes."""

import json
import random
import sqlite3
import subprocess
import sys
import threading
import uuid
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from reader_served import Served
from sqlalchemy import text

from pathosynth.reader.folder import open_study
from pathosynth.reader.log import append, fault, people
from pathosynth.reader.refusals import Refused
from pathosynth.reader.results import backup, read_answers
from pathosynth.reader.store import Store, connect, sqlite_url
from pathosynth.runs.errors import ConfigError, InputError


def changed(value: Any, rng: random.Random) -> Any:
    if value is None:
        return 7
    return value + rng.randint(1, 9) if isinstance(value, int) else value + "x" if rng.random() < 0.5 else value[:-1]


def planted(rows: list[dict[str, Any]], rng: random.Random) -> list[dict[str, Any]]:
    """The rows with one thing changed: a column edited, a row removed, doubled or swapped, the end cut off."""
    rows = [dict(row) for row in rows]
    kind, at = rng.choice(("edit", "remove", "swap", "cut", "put in")), rng.randrange(len(rows) - 1)
    if kind == "edit":
        name = rng.choice(list(rows[0]))
        rows[at][name] = rows[at][name] + 1000 if name == "seq" else changed(rows[at][name], rng)
    elif kind == "remove":
        del rows[at]
    elif kind == "swap":
        rows[at]["seq"], rows[at + 1]["seq"] = rows[at + 1]["seq"], rows[at]["seq"]
    elif kind == "cut":
        del rows[at + 1 :]
    else:
        rows.append({**rows[at], "seq": len(rows) + 1, "key": str(uuid.uuid4())})
    return sorted(rows, key=lambda row: row["seq"])


def test_every_change_of_the_log_is_found(toy: Path, serve: Callable[..., Served]) -> None:
    """1,000 of 1,000, as the chain is checked; some of them in the file itself."""
    served, rng = serve(toy), random.Random(4)
    browser = served.browser("R1")
    slot = browser.current()
    browser.answer(slot, "quality", "1")
    browser.undo(slot)
    browser.answer(slot, "comment", "a comment")
    browser.rate(slot)
    protocol = served.opened.protocol_sha256
    rows = [row._asdict() for row in read_answers(served.opened, "").rows]
    last = SimpleNamespace(seq=rows[-1]["seq"], sha256=rows[-1]["sha256"])
    assert fault(rows, last, protocol) == ""
    assert all(fault(planted(rows, rng), last, protocol) for _ in range(1000))
    assert fault(rows, SimpleNamespace(seq=last.seq, sha256="0" * 64), protocol)
    served.store.close()
    with sqlite3.connect(served.opened.folder.database) as direct:
        for change in (
            "UPDATE log SET value = '\"3\"' WHERE seq = 1",
            "DELETE FROM log WHERE seq = (SELECT max(seq) FROM log)",
        ):
            direct.execute(change)
            direct.commit()
            with pytest.raises(InputError, match="changed outside"):
                read_answers(served.opened, "")


def test_a_database_of_another_study_is_refused(toy: Path, serve: Callable[..., Served], tmp_path: Path) -> None:
    served = serve(toy)
    with pytest.raises(InputError, match="another study"):
        Store(sqlite_url(served.opened.folder.database), tmp_path / "lock", "0" * 64)


def test_one_process_writes(served: Served) -> None:
    with pytest.raises(ConfigError, match="another server"):
        Store("sqlite://", served.opened.folder.lock, served.opened.protocol_sha256)


def test_sqlite_is_set_to_keep_what_it_acknowledged(served: Served) -> None:
    def settings(connection: Any) -> list[Any]:
        names = ("journal_mode", "synchronous", "foreign_keys", "wal_autocheckpoint")
        return [connection.execute(text(f"PRAGMA {name}")).scalar() for name in names]

    assert served.store.run(settings).result() == ["wal", 2, 1, 0]
    engine = connect(sqlite_url(served.opened.folder.database))
    assert engine.pool.size() == 1
    assert engine.pool._max_overflow == 0
    engine.dispose()


def test_a_refused_job_takes_nothing_of_its_neighbours_away(served: Served) -> None:
    """Jobs that wait together: one is refused, one breaks a rule of the database, the others are kept."""
    served.store.run(lambda c: c.execute(people.insert().values(name="R1", role="reader", place=0))).result()
    hold, holding = threading.Event(), threading.Event()

    def wait(_: Any) -> None:
        holding.set()
        hold.wait(10)

    def add(number: int) -> Callable[[Any], None]:
        key = "same-key" if number in (3, 4) else f"key-{number}"
        return lambda c: append(c, at="t", reader="R1", slot="s", kind="answer", question="q", value='"1"', key=key)

    def refuse(_: Any) -> None:
        raise Refused(409, "no")

    served.store.run(wait)
    holding.wait(10)
    futures = [served.store.run(add(number) if number != 5 else refuse) for number in range(8)]
    hold.set()
    errors = [future.exception(10) for future in futures]
    assert [type(error).__name__ for error in errors if error] == ["IntegrityError", "Refused"]
    keys = [row.key for row in read_answers(served.opened, "").rows]
    assert keys == ["key-0", "key-1", "key-2", "same-key", "key-6", "key-7"]


def test_a_full_disk_refuses_the_answer_visibly(served: Served) -> None:
    """The database may not grow: the answer is not acknowledged, those before it stay, and it is taken later."""
    browser = served.browser("R1")
    slot = browser.current()
    assert browser.answer(slot, "quality", "1").status_code == 200

    def limit(pages: int | None) -> int:
        def job(connection: Any) -> int:
            now = connection.execute(text("PRAGMA page_count")).scalar()
            return connection.execute(text(f"PRAGMA max_page_count = {pages or now}")).scalar()

        return served.store.run(job).result()

    limit(None)
    statuses = [browser.answer(slot, "comment", "x" * 4000).status_code for _ in range(8)]
    assert statuses[-1] == 503
    kept = statuses.count(200)
    limit(100_000)
    assert browser.answer(slot, "comment", "x" * 4000).status_code == 200
    assert len(read_answers(served.opened, "").rows) == 1 + kept + 1


def test_a_killed_writer_loses_nothing_it_acknowledged(toy: Path) -> None:
    """SIGKILL right after acknowledgements that a pipe has carried out: all of them are there afterwards."""
    program = """
import os, sys
from pathlib import Path
from pathosynth.reader.folder import open_study
from pathosynth.reader.log import append, fault, people
from pathosynth.reader.store import Store, sqlite_url
opened = open_study(Path(sys.argv[1]))
store = Store(sqlite_url(opened.folder.database), opened.folder.lock, opened.protocol_sha256)
store.run(lambda c: c.execute(people.insert().values(name="R1", role="reader", place=0))).result()
same = {"at": "t", "reader": "R1", "slot": "s", "kind": "answer", "question": "q", "value": "1"}
for n in range(100000):
    store.run(lambda c: append(c, **same, key=str(n))).result()
    os.write(1, f"{n}\\n".encode())
"""
    child = subprocess.Popen([sys.executable, "-c", program, str(toy)], stdout=subprocess.PIPE)
    assert child.stdout is not None
    for _ in range(40):
        child.stdout.readline()
    child.kill()
    told = 40 + len(child.stdout.read().splitlines())
    child.wait()
    opened = open_study(toy)
    rows = read_answers(opened, "").rows
    assert [row.key for row in rows[:told]] == [str(n) for n in range(told)]
    assert len(rows) in (told, told + 1)
    with sqlite3.connect(opened.folder.database) as direct:
        assert direct.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_a_backup_is_of_one_moment(served: Served, tmp_path: Path) -> None:
    browser = served.browser("R1")
    browser.rate(browser.current())
    backup(served.opened, tmp_path / "copy.sqlite")
    browser.rate(browser.current())
    copy = sqlite_url(tmp_path / "copy.sqlite")
    assert len(read_answers(served.opened, copy).rows) == 4
    assert len(read_answers(served.opened, "").rows) == 8
    assert json.loads(read_answers(served.opened, copy).rows[0].value) == "2"
