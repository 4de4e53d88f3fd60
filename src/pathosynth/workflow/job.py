"""One job of a study: its command in a process of its own, with a log, a state that survives a kill, a done file."""

import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pathosynth.runs.errors import CasesFailed, InputError
from pathosynth.runs.files import write_text
from pathosynth.runs.signals import handled
from pathosynth.workflow import plan as plans
from pathosynth.workflow.jobs import Job
from pathosynth.workflow.plan import State

SOME_FAILED = 1
LOG_LINES = 15
"""Lines of a failed job's log that are shown."""
THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")
STOPS = (signal.SIGTERM, signal.SIGINT)


def run_job(out: Path, name: str) -> State:
    """Do one job, unless it is done; another process that is at it is waited for.

    Args:
        out: folder of the study.
        name: of the job.

    Raises:
        InputError: there is no such study or job.
        CasesFailed: its command failed; the message has the end of the log and the command.
    """
    job = find_job(out, name)
    with plans.locked(plans.job_lock(out, name), wait=True) as lock:
        state = plans.read_state(out, name)
        if state is None or state.state != "done" or state.digest != job.digest:
            state = _attempt(out, job, state, lock)
    if state.state != "done":
        raise CasesFailed(failure(out, job, state))
    write_text(out / job.done, f"{state.digest}\n")
    return state


def find_job(out: Path, name: str) -> Job:
    """A job of a study.

    Raises:
        InputError: there is no such study or job.
    """
    jobs = {job.name: job for job in plans.read_plan(out).jobs}
    if name not in jobs:
        raise InputError(f"{out}: expected one of {', '.join(jobs)}; found no job '{name}'.")
    return jobs[name]


def by_hand(out: Path, job: Job) -> str:
    """The line that does a job without the workflow."""
    return f"cd {shlex.quote(str(out.absolute()))} && {shlex.join(['pathosynth', *job.words])}"


def failure(out: Path, job: Job, state: State) -> str:
    """What a person needs to know of a job that failed: exit code, end of the log, the command."""
    log = plans.log_path(out, job.name)
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()[-LOG_LINES:] if log.is_file() else []
    shown = "\n".join(f"    {line}" for line in lines)
    what = "was stopped" if state.state == "stopped" else f"failed with exit code {state.exit_code}"
    return f"job {job.name} {what}. The end of {log}:\n{shown}\n  By hand: {by_hand(out, job)}"


def _attempt(out: Path, job: Job, before: State | None, lock: int | None) -> State:
    """Run the command once and write down how it ended."""
    clock = time.monotonic()
    begun = State(
        job=job.name, digest=job.digest, state="running", attempts=(before.attempts if before else 0) + 1,
        started=plans.now(), host=plans.host(), pid=os.getpid(),
    )  # fmt: skip
    plans.write_state(out, begun)
    code, stopped = _run(out, job, begun, lock)
    fine = code == 0 or (code == SOME_FAILED and job.some_may_fail)
    how = {"state": "done" if fine else "stopped" if stopped else "failed", "exit_code": code, "ended": plans.now()}
    ended = begun.model_copy(update=how | {"seconds": round(time.monotonic() - clock, 1)})
    plans.write_state(out, ended)
    return ended


def _run(out: Path, job: Job, state: State, lock: int | None) -> tuple[int, bool]:
    """Exit code of the command, and whether it was asked to stop."""
    log = plans.log_path(out, job.name)
    log.parent.mkdir(parents=True, exist_ok=True)
    environment = os.environ | {name: str(job.resources.threads or 1) for name in THREAD_VARIABLES}
    call = [sys.executable, "-m", "pathosynth", *job.words]
    with log.open("a", encoding="utf-8") as stream:
        stream.write(f"# {state.started} attempt {state.attempts} on {state.host}: {by_hand(out, job)}\n")
        stream.flush()
        process = subprocess.Popen(  # noqa: S603, the command comes from our own plan
            call, cwd=out, stdin=subprocess.DEVNULL, stdout=stream, stderr=subprocess.STDOUT, env=environment,
            pass_fds=() if lock is None else (lock,),
        )  # fmt: skip
        with _handing_on(process) as asked:
            code = process.wait()
        stream.write(f"# {plans.now()} exit code {code}\n")
    return code, bool(asked)


@contextmanager
def _handing_on(process: subprocess.Popen[bytes]) -> Iterator[list[int]]:
    """Hand a request to stop on to a child, which saves what it has; yields the signals that came."""
    asked: list[int] = []

    def stop(number: int, frame: object) -> None:
        asked.append(number)
        process.send_signal(signal.SIGTERM)

    with handled(STOPS, stop):
        yield asked
