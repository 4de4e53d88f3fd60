"""Many readers at once against a real server that is killed now and then; what it confirmed is compared with the log.

``simulate`` drives it, for the test and for ``benchmarks/bench_reader_load.py``.
"""

import asyncio
import json
import random
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import uuid
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pathosynth.reader.folder import Opened, open_study
from pathosynth.reader.invites import invite
from pathosynth.reader.results import read_answers

GRADES = ("0", "1", "2", "3")
ORIGINS = ("real-sure", "real-unsure", "synthetic-unsure", "synthetic-sure")
RETRY_SECONDS = 0.1


@dataclass
class Load:
    """What the readers saw.

    Attributes:
        sent: key to (reader, slot, question, value) of every answer that was sent at least once.
        acknowledged: keys of those confirmed.
        milliseconds: from the first sending of an answer to its confirmation, kills and retries included.
        retries: answers sent again.
        restarts: seconds from a kill until the server answered again.
        seconds: that the readers were at it.
    """

    sent: dict[str, tuple[str, str, str, str]] = field(default_factory=dict)
    acknowledged: list[str] = field(default_factory=list)
    milliseconds: list[float] = field(default_factory=list)
    retries: int = 0
    restarts: list[float] = field(default_factory=list)
    seconds: float = 0.0


@dataclass
class Line:
    """A keep-alive connection of one reader; opened again whenever it breaks."""

    port: int
    cookie: str = ""
    csrf: str = ""
    reader: asyncio.StreamReader | None = None
    writer: asyncio.StreamWriter | None = None

    async def ask(self, method: str, path: str, body: Any = None) -> tuple[int, dict[str, str], bytes]:
        """One request; OSError or EOFError where the connection broke."""
        if self.reader is None or self.writer is None:
            self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.port)
        text = b"" if body is None else json.dumps(body).encode()
        head = f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\nContent-Length: {len(text)}\r\n"
        head += f"Content-Type: application/json\r\nCookie: {self.cookie}\r\nX-CSRF-Token: {self.csrf}\r\n\r\n"
        try:
            self.writer.write(head.encode() + text)
            raw = await self.reader.readuntil(b"\r\n\r\n")
            lines = raw.decode("latin-1").split("\r\n")
            headers = {n.lower(): v.strip() for n, _, v in (line.partition(":") for line in lines[1:] if line)}
            answer = await self.reader.readexactly(int(headers.get("content-length", "0")))
        except (OSError, EOFError):
            self.hang_up()
            raise
        return int(lines[0].split()[1]), headers, answer

    def hang_up(self) -> None:
        if self.writer is not None:
            self.writer.close()
        self.reader = self.writer = None


async def log_in(line: Line, token: str) -> None:
    status, headers, _ = await line.ask("POST", "/api/session", {"token": token})
    assert status == 200, status
    line.cookie = headers["set-cookie"].split(";")[0]
    line.csrf = json.loads((await line.ask("GET", "/api/me"))[2])["csrf"]


async def insist(line: Line, method: str, path: str, body: Any, load: Load | None = None) -> dict[str, Any]:
    """Send the same request until it is answered; what is no answer is an error of the test."""
    while True:
        try:
            status, _, answer = await line.ask(method, path, body)
        except (OSError, EOFError):
            status = 503
        if status == 200:
            return dict(json.loads(answer))
        assert status == 503, (method, path, status, answer)
        if load is not None:
            load.retries += 1
        await asyncio.sleep(RETRY_SECONDS)


async def rate(line: Line, name: str, load: Load, until: float, rng: random.Random) -> None:
    """One reader: an image after the other, every answer with a key of its own, until the time is over."""
    while time.monotonic() < until:
        slot = (await insist(line, "GET", "/api/progress", None))["current"]
        if slot is None:
            return
        shown = await insist(line, "GET", f"/api/slots/{slot}", None)
        assert shown["slot"] == slot
        answers = (("quality", rng.choice(GRADES)), ("diagnostic", rng.choice(GRADES)), ("origin", rng.choice(ORIGINS)))
        for question, value in answers:
            key = str(uuid.UUID(int=rng.getrandbits(128)))
            load.sent[key] = (name, slot, question, value)
            start = time.monotonic()
            body = {"value": value, "key": key, "elapsed_ms": 1}
            told = await insist(line, "PUT", f"/api/slots/{slot}/answers/{question}", body, load)
            load.milliseconds.append(1000 * (time.monotonic() - start))
            load.acknowledged.append(key)
            assert told["answers"][question] == value
        body = {"key": str(uuid.UUID(int=rng.getrandbits(128))), "elapsed_ms": 1}
        await insist(line, "POST", f"/api/slots/{slot}/complete", body)


def start_server(root: Path, port: int, database: str) -> subprocess.Popen[bytes]:
    call = [sys.executable, "-m", "pathosynth", "reader", "serve", str(root), "--port", str(port), "-q"]
    return subprocess.Popen(call + (["--database", database] if database else []))


async def answering(port: int, process: subprocess.Popen[bytes]) -> None:
    while True:
        assert process.poll() is None, "the server ended by itself"
        try:
            await Line(port).ask("GET", "/")
        except (OSError, EOFError):
            await asyncio.sleep(0.05)
        else:
            return


async def _run(root: Path, database: str, readers: int, seconds: float, kills: int) -> Load:
    opened, load = open_study(root), Load()
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    process = start_server(root, port, database)
    try:
        await answering(port, process)
        lines = [Line(port) for _ in range(readers)]
        for number, line in enumerate(lines):
            await log_in(line, invite(opened, f"R{number}", "reader"))
        start = time.monotonic()
        rating = [
            asyncio.create_task(rate(line, f"R{n}", load, start + seconds, random.Random(n)))
            for n, line in enumerate(lines)
        ]
        for number in range(kills):
            await asyncio.sleep(max(0.0, start + seconds * (number + 0.7) / kills - time.monotonic()))
            process.send_signal(signal.SIGKILL)
            process.wait()
            killed = time.monotonic()
            if not database:
                check_file(opened)
            process = start_server(root, port, database)
            await answering(port, process)
            load.restarts.append(time.monotonic() - killed)
        await asyncio.gather(*rating)
        load.seconds = time.monotonic() - start
    finally:
        process.terminate()
        process.wait(30)
    return load


def check_file(opened: Opened) -> None:
    """SQLite's own check of the file and its write-ahead log, as a kill left them."""
    with sqlite3.connect(opened.folder.database) as direct:
        assert direct.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def simulate(root: Path, *, database: str = "", readers: int, seconds: float, kills: int) -> dict[str, Any]:
    """Let readers rate while the server is killed, then compare what they were told with what is stored."""
    load = asyncio.run(_run(root, database, readers, seconds, kills))
    opened = open_study(root)
    rows = [row for row in read_answers(opened, database).rows if row.kind == "answer"]
    stored = {row.key: (row.reader, row.slot, row.question, json.loads(row.value)) for row in rows}
    own = [{slot.slot for block in blocks for slot in block.slots} for blocks in opened.plan.readers]
    twice = Counter((row.reader, row.slot, row.question) for row in rows)
    ordered = sorted(load.milliseconds)
    return {
        "readers": readers,
        "kills": kills,
        "seconds": round(load.seconds, 1),
        "acknowledged": len(load.acknowledged),
        "stored": len(rows),
        "lost": len(set(load.acknowledged) - set(stored)),
        "duplicated": len(rows) - len(stored) + sum(count - 1 for count in twice.values()),
        "wrong_case": sum(load.sent.get(key) != row for key, row in stored.items())
        + sum(slot not in own[int(reader[1:])] for reader, slot, _, _ in stored.values()),
        "retries": load.retries,
        "ratings_per_second": round(len(load.acknowledged) / load.seconds, 1),
        "p50_ms": round(ordered[len(ordered) // 2], 1),
        "p95_ms": round(ordered[int(len(ordered) * 0.95)], 1),
        "p99_ms": round(ordered[int(len(ordered) * 0.99)], 1),
        "restart_s": round(max(load.restarts, default=0.0), 2),
    }
