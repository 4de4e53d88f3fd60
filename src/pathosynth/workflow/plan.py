"""The folder of a study: its plan ``study.json``, the state of every job, and the locks that keep two from one job.

A lock belongs to a process and goes with it, however it ends, so nothing stale is ever left behind.
"""

import fcntl
import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import pydantic

from pathosynth.runs.config import Config
from pathosynth.runs.errors import InputError
from pathosynth.runs.files import json_text, write_text
from pathosynth.workflow.jobs import Job

FILE_NAME = "study.json"
JOBS, LOGS = "jobs", "logs"


class Plan(Config):
    """What a study's folder was made for."""

    format: Literal[1] = 1
    study: dict[str, Any]
    """The study file's content, with all defaults."""
    source: str
    """Name or path of the study file."""
    data: str
    """Data root."""
    jobs: tuple[Job, ...]


class State(Config):
    """How far a job has come."""

    job: str
    digest: str
    """Of the command, as it was when the job last began."""
    state: Literal["running", "done", "failed", "stopped"]
    attempts: int
    exit_code: int | None = None
    started: str
    ended: str | None = None
    seconds: float | None = None
    host: str
    pid: int


def write_plan(out: Path, plan: Plan) -> None:
    """Write ``study.json``."""
    write_text(out / FILE_NAME, json_text(plan.model_dump(mode="json")))


def read_plan(out: Path) -> Plan:
    """Read ``study.json``.

    Raises:
        InputError: there is none, or it is damaged.
    """
    path = out / FILE_NAME
    try:
        return Plan.model_validate(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise InputError(
            f"{out}: expected the folder of a study with {FILE_NAME}, found none. Check the path."
        ) from None
    except (OSError, ValueError, pydantic.ValidationError) as error:
        raise InputError(f"{path}: expected the plan of a study ({error}). Run the study again.") from None


def log_path(out: Path, name: str) -> Path:
    """Log of a job."""
    return out / LOGS / f"{name}.log"


def read_state(out: Path, name: str) -> State | None:
    """State of a job; None where it has never begun."""
    path = out / JOBS / f"{name}.json"
    try:
        return State.model_validate(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None


def write_state(out: Path, state: State) -> None:
    """Write the state of a job, whole or not at all."""
    write_text(out / JOBS / f"{state.job}.json", json_text(state.model_dump(mode="json")))


def forget(out: Path, job: Job) -> None:
    """Take back that a job is done."""
    (out / job.done).unlink(missing_ok=True)
    (out / JOBS / f"{job.name}.json").unlink(missing_ok=True)


def now() -> str:
    """The present moment, as states and logs write it."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def host() -> str:
    """This machine's name."""
    return socket.gethostname()


@contextmanager
def locked(path: Path, *, wait: bool) -> Iterator[int | None]:
    """Hold a lock; yields its file descriptor, to hand on to children that shall hold it too.

    Args:
        path: the lock's file; made, never removed.
        wait: whether to wait for another holder; otherwise None is yielded where there is one.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            yield None
            return
        yield descriptor
    finally:
        os.close(descriptor)


def job_lock(out: Path, name: str) -> Path:
    """Lock of a job."""
    return out / JOBS / f"{name}.lock"
