"""What a browser receives, collected by reading the study through a real server, voxel intensities left out."""

import http.client
import json
import socket
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import uvicorn
from sqlalchemy import Connection

from pathosynth.reader.app import make_app
from pathosynth.reader.encode import HEADER_BYTES
from pathosynth.reader.folder import Opened, open_study
from pathosynth.reader.invites import find_invite, invite
from pathosynth.reader.log import append
from pathosynth.reader.plan import Place, places_of
from pathosynth.reader.sessions import COOKIE, log_in
from pathosynth.reader.site import Site, utc_now
from pathosynth.reader.store import Store, sqlite_url

_LONG_AGO = "1970-01-01T00:00:00.000Z"
"""When the audit's images were completed, so that no washout holds it up."""


@dataclass(frozen=True)
class Receipt:
    """Everything received about one showing of one image, but for its voxels.

    Attributes:
        file: the image, which only the audit knows.
        reader: place of the reader in the plan.
        slot: text of the slot's JSON.
        headers: of the image's response, in order.
        header: bytes before the voxels.
        length: of the image's response.
        seconds: until the slot had come, until the image began, until it was there.
    """

    file: str
    reader: int
    slot: str
    headers: tuple[tuple[str, str], ...]
    header: bytes
    length: int
    seconds: tuple[float, float, float]


def collect(opened: Opened, readers: int) -> list[Receipt]:
    """Read the study as its first `readers` readers, on a copy without answers, through HTTP on this machine."""
    with tempfile.TemporaryDirectory() as name:
        copy = Path(name)
        (copy / "store" / "invites").mkdir(parents=True)
        (copy / "served").symlink_to(opened.folder.protocol.parent.absolute())
        study = open_study(copy)
        store = Store(sqlite_url(study.folder.database), study.folder.lock, study.protocol_sha256)
        try:
            with _running(Site(study, store)) as port:
                places = places_of(study.plan)[:readers]
                return [receipt for mine in places for receipt in _read_all(study, store, mine, port)]
        finally:
            store.close()


@contextmanager
def _running(site: Site) -> Iterator[int]:
    """A server on a free port of this machine."""
    listening = socket.create_server(("127.0.0.1", 0))
    settings = uvicorn.Config(make_app(site), log_level="critical", access_log=False, server_header=False)
    server = uvicorn.Server(settings)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    try:
        yield int(listening.getsockname()[1])
    finally:
        server.should_exit = True
        thread.join()
        listening.close()


def _read_all(study: Opened, store: Store, places: list[Place], port: int) -> Iterator[Receipt]:
    name = f"audit{places[0].reader}"
    token = invite(study, name, "reader")
    found = find_invite(study.folder.invites, token)
    assert found is not None  # made in the line before
    cookie = store.run(lambda connection: log_in(connection, found, token, utc_now())).result()
    line = http.client.HTTPConnection("127.0.0.1", port)
    for place in places:
        yield _receive(line, f"{COOKIE}={cookie}", place)
        store.run(partial(_close, name=name, slot=place.slot.slot)).result()
    line.close()


def _close(connection: Connection, *, name: str, slot: str) -> None:
    append(connection, at=_LONG_AGO, reader=name, slot=slot, kind="complete", key=f"audit-{slot}")


def _receive(line: http.client.HTTPConnection, cookie: str, place: Place) -> Receipt:
    start = time.perf_counter()
    line.request("GET", f"/api/slots/{place.slot.slot}", headers={"Cookie": cookie})
    text = line.getresponse().read().decode()
    told = time.perf_counter()
    line.request("GET", json.loads(text)["volume"], headers={"Cookie": cookie})
    response = line.getresponse()
    header = response.read(HEADER_BYTES)
    began = time.perf_counter()
    rest = len(response.read())
    ended = time.perf_counter()
    return Receipt(
        file=place.slot.file, reader=place.reader, slot=text, headers=tuple(response.getheaders()), header=header,
        length=len(header) + rest, seconds=(told - start, began - told, ended - began),
    )  # fmt: skip


def features(receipt: Receipt) -> dict[str, float]:
    """Numbers of one receipt by name: the slot's JSON, the response's headers, sizes and times, the NIfTI header."""
    slot = json.loads(receipt.slot)
    found: dict[str, float] = {"length": receipt.length, "slot length": len(receipt.slot)}
    for name, seconds in zip(("slot", "first byte", "image"), receipt.seconds, strict=True):
        found[f"seconds: {name}"] = seconds
    for name, value in slot.items():
        found |= _told(f"slot: {name}", value)
    for name, text in receipt.headers:
        found |= _told(f"header: {name.lower()}", text)
    for place, byte in enumerate(receipt.header):
        found[f"NIfTI byte {place}"] = byte
    return found


def _told(name: str, value: Any) -> dict[str, float]:
    """A value as numbers: itself where it is one, else its length and its characters; random names are looked into."""
    if isinstance(value, (bool, int, float)):
        return {name: float(value)}
    text = value if isinstance(value, str) else json.dumps(value)
    found = {f"{name}, length": float(len(text))}
    if text.isdigit():
        found[name] = float(text)
    found |= {f"{name}, character {place}": float(ord(sign)) for place, sign in enumerate(text[-_CHARACTERS:])}
    return found


_CHARACTERS = 32
"""Of a text that are looked at, from its end."""
