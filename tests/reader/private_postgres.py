"""A PostgreSQL of its own, from Debian's package: a fresh cluster in one folder, reachable from this machine only."""

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

START_SECONDS = 90


def programs() -> Path | None:
    """Folder of initdb and postgres, or None."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: float(path.parts[-3]))
    return found[-1].parent if found else None


@contextmanager
def private_postgres() -> Iterator[str]:
    """Start it, yield the SQLAlchemy address of an empty database, and end it. initdb refuses to run as root."""
    where = programs()
    assert where is not None
    folder = Path(tempfile.mkdtemp(prefix="postgres-"))
    user = _plain_user()
    if user:
        shutil.chown(folder, user)
    data = folder / "data"
    _run(user, where / "initdb", "-D", data, "-U", "study", "-A", "trust", "-E", "UTF8", "--no-locale")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    options = ("-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=", "-p", str(port))
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(_as(user, where / "postgres", "-D", data, *options), stdout=log, stderr=log)
    try:
        _wait(where, port)
        yield f"postgresql+psycopg://study@127.0.0.1:{port}/postgres"
    finally:
        server.terminate()
        server.wait(30)
        shutil.rmtree(folder)


def _plain_user() -> str:
    """Who to run as: oneself, or instead of root the package's user."""
    if os.getuid() != 0:
        return ""
    names = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in names else "nobody"


def _as(user: str, *words: object) -> list[str]:
    told = ["setpriv", f"--reuid={user}", f"--regid={pwd.getpwnam(user).pw_gid}", "--clear-groups"] if user else []
    return [*told, *(str(word) for word in words)]


def _run(user: str, *words: object) -> None:
    done = subprocess.run(
        _as(user, *words), capture_output=True, text=True, timeout=START_SECONDS, cwd="/", check=False
    )
    assert done.returncode == 0, done.stderr


def _wait(where: Path, port: int) -> None:
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until:
        if (
            subprocess.run([where / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(port)], check=False).returncode
            == 0
        ):
            return
        time.sleep(0.2)
    raise AssertionError(f"PostgreSQL did not answer on port {port} within {START_SECONDS} s")
