"""One thread with the one connection to the database; whatever waits together is committed together.

SQLite up to 3.51.2 can lose a write-ahead log when two connections write or checkpoint at once
(https://sqlite.org/wal.html#walresetbug); here there is never a second one. An answer is acknowledged only after the
commit that holds it is on the disk.
"""

import fcntl
import logging
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from pathosynth.reader.log import begin_log
from pathosynth.reader.refusals import Refused
from pathosynth.runs.errors import ConfigError, InputError

ResultT = TypeVar("ResultT")
Job = Callable[[Connection], Any]

MOST_TOGETHER = 64
"""Jobs in one commit: more would only make the first of them wait."""

CHECKPOINT_COMMITS = 1000
"""Commits after which the write-ahead log is folded into the database."""

_ADVISORY_LOCK = 0x7061746853796E  # one writer per PostgreSQL database

_log = logging.getLogger(__name__)


class Store:
    """The open database of one study.

    A job is a function of the connection. It may run more than once, so it changes nothing else; it raises `Refused`
    only before it writes more than when the asker was last seen.
    """

    def __init__(self, url: str, lock: Path, protocol_sha256: str) -> None:
        self._lock = lock.open("w")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise ConfigError(f"{lock}: another server has this study open. Stop it first.") from None
        try:
            self._engine = connect(url)
            self._bind(url, protocol_sha256)
        except BaseException:
            self._lock.close()
            raise
        self._commits = 0
        self._jobs: queue.SimpleQueue[tuple[Job, Future[Any]] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="store", daemon=True)
        self._thread.start()

    def _bind(self, url: str, protocol_sha256: str) -> None:
        """Make the tables where they are missing, and refuse those of another study."""
        try:
            with self._engine.begin() as connection:
                found = begin_log(connection, protocol_sha256)
        except SQLAlchemyError as error:
            told = str(error).splitlines()[0]
            raise ConfigError(f"{shown_url(url)}: cannot be opened ({told}). Check that it runs and is free.") from None
        if found != protocol_sha256:
            raise InputError(f"{shown_url(url)}: holds answers to another study. Give another --database.")

    def run(self, job: Callable[[Connection], ResultT]) -> "Future[ResultT]":
        """Have a job done; the future has its result once the commit is on the disk, or the error."""
        future: Future[ResultT] = Future()
        self._jobs.put((job, future))
        return future

    def close(self) -> None:
        """Finish what waits, fold the log in, and let go."""
        self._jobs.put(None)
        self._thread.join()
        self._checkpoint("TRUNCATE")
        self._engine.dispose()
        self._lock.close()

    def _work(self) -> None:
        going = True
        while going:
            waiting = [self._jobs.get()]
            while len(waiting) < MOST_TOGETHER and not self._jobs.empty():
                waiting.append(self._jobs.get())
            going = None not in waiting
            self._commit([item for item in waiting if item is not None and item[1].set_running_or_notify_cancel()])

    def _commit(self, batch: list[tuple[Job, "Future[Any]"]]) -> None:
        """All jobs in one transaction; where the database refuses one, each in its own."""
        if not batch:
            return
        try:
            with self._engine.begin() as connection:
                outcomes = [_outcome(job, connection) for job, _ in batch]
        except Exception as error:
            if len(batch) == 1:
                batch[0][1].set_exception(error)
                return
            for item in batch:
                self._commit([item])
            return
        for (_, future), (result, refusal) in zip(batch, outcomes, strict=True):
            if refusal is None:
                future.set_result(result)
            else:
                future.set_exception(refusal)
        self._commits += 1
        if self._commits % CHECKPOINT_COMMITS == 0:
            self._checkpoint("PASSIVE")

    def _checkpoint(self, how: str) -> None:
        """Fold the write-ahead log into the database; PASSIVE never waits for somebody who reads."""
        if self._engine.dialect.name != "sqlite":
            return
        try:
            raw = self._engine.raw_connection()
            raw.cursor().execute(f"PRAGMA wal_checkpoint({how})")
            raw.close()
        except Exception as error:
            _log.warning("The write-ahead log could not be folded in (%s); it is tried again later.", error)


def connect(url: str, *, read_only: bool = False) -> Engine:
    """An engine with exactly one connection; SQLite in WAL mode, every commit on the disk, foreign keys checked.

    Raises:
        ConfigError: the address is not one of SQLite or PostgreSQL, or nothing answers there.
    """
    try:
        name = make_url(url).get_backend_name()
        engine = create_engine(
            url, pool_size=1, max_overflow=0, pool_pre_ping=name != "sqlite",
            hide_parameters=True,  # errors are logged, and what a reader wrote is not for the log
        )  # fmt: skip
    except (ArgumentError, SQLAlchemyError, ImportError) as error:
        raise ConfigError(f"--database {shown_url(url)}: {error}. Expected {_EXPECTED}.") from None
    if name not in ("sqlite", "postgresql"):
        raise ConfigError(f"--database {shown_url(url)}: expected {_EXPECTED}.")
    if name == "sqlite":
        event.listen(engine, "connect", _read_only_sqlite if read_only else _prepare_sqlite)
        event.listen(engine, "begin", _begin_deferred if read_only else _begin_immediate)
    elif not read_only:
        event.listen(engine, "connect", _lock_postgresql)
    return engine


_EXPECTED = "postgresql+psycopg://USER@HOST/NAME, or none for the SQLite file of the study"


def sqlite_url(path: Path) -> str:
    """Address of a SQLite file."""
    return f"sqlite:///{path.absolute()}"


def shown_url(url: str) -> str:
    """An address without its password."""
    try:
        return make_url(url).render_as_string(hide_password=True)
    except ArgumentError:
        return "(not an address)"


def _outcome(job: Job, connection: Connection) -> tuple[Any, Refused | None]:
    try:
        return job(connection), None
    except Refused as refusal:
        return None, refusal


def _prepare_sqlite(connection: Any, _: Any) -> None:
    connection.isolation_level = None  # transactions are begun below, not by the driver
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "wal_autocheckpoint=0"):
        connection.execute(f"PRAGMA {pragma}")


def _read_only_sqlite(connection: Any, _: Any) -> None:
    connection.isolation_level = None
    connection.execute("PRAGMA query_only=ON")


def _begin_immediate(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _begin_deferred(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN")


def _lock_postgresql(connection: Any, _: Any) -> None:
    """Be the only writer; a server that was killed lets go as soon as PostgreSQL sees its end."""
    connection.execute("SET lock_timeout = '10s'")
    connection.execute("SELECT pg_advisory_lock(%s)", (_ADVISORY_LOCK,))
    connection.commit()
