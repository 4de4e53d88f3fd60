"""Run the server on this machine."""

import ipaddress
import logging
import signal
import socket
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path

import uvicorn

from pathosynth.reader.app import STATIC, make_app
from pathosynth.reader.folder import open_study
from pathosynth.reader.site import Site
from pathosynth.reader.store import Store, sqlite_url
from pathosynth.runs.errors import ConfigError

MOST_CONNECTIONS = 1000


def serve(
    root: Path, *, host: str, port: int, database: str, allowed: Sequence[str], https: bool, idle: timedelta,
    told: Callable[[str], None], static: Path = STATIC,
) -> None:  # fmt: skip
    """Serve a study until it is stopped.

    Args:
        root: folder of the study.
        host: address to listen on.
        port: to listen on.
        database: SQLAlchemy address; empty for the study's SQLite file.
        allowed: host names that browsers may use beside those of this machine.
        https: browsers reach the server through https, by a proxy.
        idle: how long a log-in lasts without a request.
        told: called with what to tell before serving begins.
        static: folder of the built pages.

    Raises:
        ConfigError: other machines could reach the server but no host name is allowed, the address is taken, or another
            server has the study open.
        InputError: the folder is not one of a reader study.
    """
    if not _only_here(host) and not allowed:
        raise ConfigError(
            f"--host {host}: other machines could reach the study. Name what they call this machine with --allow-host."
        )
    opened = open_study(root)
    if not (static / "read.html").is_file():
        told(f"{static}: the pages are not built, only the API is served. Run make viewer first.")
    with _listening(host, port) as line:
        store = Store(database or sqlite_url(opened.folder.database), opened.folder.lock, opened.protocol_sha256)
        for ending in (signal.SIGINT, signal.SIGTERM):
            signal.signal(ending, lambda *_: None)  # uvicorn stops by them, and would then end the process at once
        try:
            told(f"http://{host}:{port}/ serves '{opened.protocol.title}'; stop it with Ctrl-C.")
            app = make_app(Site(opened, store, https=https, idle=idle), hosts=allowed, static=static)
            settings = uvicorn.Config(
                app, log_level=logging.WARNING, access_log=False, server_header=False,
                limit_concurrency=MOST_CONNECTIONS, timeout_graceful_shutdown=5,
            )  # fmt: skip
            uvicorn.Server(settings).run(sockets=[line])
        finally:
            store.close()


def _listening(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=MOST_CONNECTIONS)
    except OSError as error:
        raise ConfigError(f"--host {host} --port {port}: {error.strerror}. Choose another port or address.") from None


def _only_here(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
