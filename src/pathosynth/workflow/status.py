"""How far a study is: every job done, running, failed or waiting."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pathosynth.workflow import plan as plans
from pathosynth.workflow.job import by_hand
from pathosynth.workflow.jobs import Job

Word = Literal["done", "running", "failed", "waiting"]
WORDS: tuple[Word, ...] = ("done", "running", "failed", "waiting")


@dataclass(frozen=True)
class JobStatus:
    """One line of the view.

    Attributes:
        job: the job.
        word: how it stands; one that was stopped or killed waits to go on.
        attempts: how often it was begun.
        seconds: how long the last attempt took; None while there is none.
        exit_code: of the last attempt.
        log: its log, relative to the study's folder.
        command: the line that does it by hand.
    """

    job: Job
    word: Word
    attempts: int
    seconds: float | None
    exit_code: int | None
    log: str
    command: str

    def facts(self) -> dict[str, Any]:
        """JSON-able."""
        return {
            "job": self.job.name, "stage": self.job.stage, "state": self.word, "attempts": self.attempts,
            "seconds": self.seconds, "exit_code": self.exit_code, "log": self.log, "command": self.command,
        }  # fmt: skip


def study_status(out: Path) -> list[JobStatus]:
    """Status of every job, in the order of the plan.

    Raises:
        InputError: the folder is not that of a study.
    """
    return [_status(out, job) for job in plans.read_plan(out).jobs]


def counts(rows: Sequence[JobStatus]) -> dict[Word, int]:
    """Number of jobs in each state; all four are present."""
    found = Counter(row.word for row in rows)
    return {word: found[word] for word in WORDS}


def table(rows: Sequence[JobStatus]) -> str:
    """The view for people."""
    width = max(len(row.job.name) for row in rows)
    lines = [f"{'job':<{width}}  state    attempts  seconds  log"]
    for row in rows:
        seconds = "" if row.seconds is None else f"{row.seconds:.0f}"
        lines.append(f"{row.job.name:<{width}}  {row.word:<7}  {row.attempts:>8}  {seconds:>7}  {row.log}".rstrip())
    return "\n".join([*lines, ", ".join(f"{number} {word}" for word, number in counts(rows).items())])


def _status(out: Path, job: Job) -> JobStatus:
    state = plans.read_state(out, job.name)
    with plans.locked(plans.job_lock(out, job.name), wait=False) as free:
        running = free is None
    word: Word = "waiting"
    if state and state.state == "done" and state.digest == job.digest:
        word = "done"
    elif running:
        word = "running"
    elif state and state.state == "failed" and state.digest == job.digest:
        word = "failed"
    log = plans.log_path(out, job.name)
    return JobStatus(
        job, word, state.attempts if state else 0, state.seconds if state else None,
        state.exit_code if state else None, str(log.relative_to(out)) if log.is_file() else "", by_hand(out, job),
    )  # fmt: skip
