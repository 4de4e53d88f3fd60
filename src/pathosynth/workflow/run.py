"""Run a study: write its plan, start Snakemake on it, follow the jobs, and say what went wrong."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib import metadata, resources
from pathlib import Path

from pathosynth.runs.errors import CasesFailed, ConfigError, PathosynthError
from pathosynth.runs.files import json_text, write_text
from pathosynth.runs.signals import handled
from pathosynth.workflow import plan as plans
from pathosynth.workflow.job import LOG_LINES, STOPS, failure
from pathosynth.workflow.jobs import Job
from pathosynth.workflow.plan import Plan, State

LOCK, HOLDER = "study.lock", "study.holder.json"
SNAKEMAKE_LOG = f"{plans.LOGS}/snakemake.log"
POLL_SECONDS = 0.3
MOST_FAILURES = 3
"""Failed jobs whose logs are shown."""

Notice = Callable[[State, int], None]
"""Called with the state of a job when it is done or has failed, and the number of jobs that are done."""


@dataclass(frozen=True)
class Executor:
    """Where the jobs run.

    Attributes:
        name: local or slurm.
        cores: of this machine, for all jobs together.
        jobs: at once, on a cluster.
        status_command: how a cluster is asked for its jobs, squeue or sacct; empty for the plugin's choice.
        first_look: seconds after a submission until a cluster is first asked.
    """

    name: str = "local"
    cores: int = 1
    jobs: int = 100
    status_command: str = ""
    first_look: int = 40

    def words(self) -> list[str]:
        """Options of Snakemake."""
        if self.name == "local":
            memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20
            return ["--executor", "local", "--cores", str(self.cores), "--resources", f"mem_mb={memory}"]
        words = ["--executor", "slurm", "--jobs", str(self.jobs), "--latency-wait", "60"]
        words += ["--slurm-logdir", f"{plans.LOGS}/slurm", "--slurm-keep-successful-logs"]
        words += ["--seconds-between-status-checks", str(min(self.first_look, 10))]
        words += ["--slurm-init-seconds-before-status-checks", str(self.first_look)]
        return [*words, "--slurm-status-command", self.status_command or status_command()]


def status_command() -> str:
    """How to ask this cluster for its jobs: by its accounting where it keeps any, else by its queue."""
    call = ["sacct", "--allocations", "--noheader"]
    try:
        answer = subprocess.run(call, capture_output=True, timeout=60, check=False)  # noqa: S603, fixed words
    except (OSError, subprocess.TimeoutExpired):
        return "squeue"
    return "squeue" if answer.returncode or b"disabled" in answer.stdout + answer.stderr else "sacct"


def run_study(out: Path, plan: Plan, executor: Executor, notice: Notice, *, overwrite: bool = False) -> None:
    """Do every job of a study that is not done.

    Args:
        out: folder of the study; made when missing.
        plan: the study and its jobs.
        executor: where they run.
        notice: called as jobs end.
        overwrite: do jobs again whose command differs from that they were done with, and what follows from them.

    Raises:
        ConfigError: the folder holds another study or is being worked on, or Snakemake is missing.
        CasesFailed: jobs failed; the message names them, with the end of their logs and how to repeat them.
    """
    require_snakemake(executor)
    _begin(out)
    with plans.locked(out / LOCK, wait=False) as lock:
        if lock is None:
            raise ConfigError(
                f"{out}: this study is being run{_holder(out)}. Wait for it, or look: study status {out}."
            )
        write_text(out / HOLDER, json_text({"pid": os.getpid(), "host": plans.host(), "since": plans.now()}))
        _refuse_or_forget(out, plan.jobs, overwrite)
        plans.write_plan(out, plan)
        code = _snakemake(out, plan, executor, notice, lock)
    _judge(out, plan, code)


def require_snakemake(executor: Executor) -> None:
    """See whether what runs the jobs is installed.

    Raises:
        ConfigError: it is not.
    """
    for package in ("snakemake", *(("snakemake-executor-plugin-slurm",) if executor.name == "slurm" else ())):
        try:
            metadata.version(package)
        except metadata.PackageNotFoundError:
            raise ConfigError(f"{package} is not installed. Run: pip install 'pathosynth[workflow]'") from None


def _begin(out: Path) -> None:
    """Make the folder.

    Raises:
        ConfigError: it holds something that is not a study.
    """
    if out.is_dir() and any(out.iterdir()) and not any((out / name).exists() for name in (plans.FILE_NAME, LOCK)):
        raise ConfigError(
            f"{out}: expected an empty folder or that of a study, found other files. Choose another --output."
        )
    out.mkdir(parents=True, exist_ok=True)


def _holder(out: Path) -> str:
    try:
        holder = json.loads((out / HOLDER).read_text(encoding="utf-8"))
        return f", since {holder['since']} by process {holder['pid']} on {holder['host']} or what it started"
    except (OSError, ValueError, KeyError):
        return ""


def _refuse_or_forget(out: Path, jobs: Sequence[Job], overwrite: bool) -> None:
    """Deal with jobs that were begun with another command than the one they have now, and with what follows from them.

    What such a job left is removed, because no stage goes on from another one's work.

    Raises:
        ConfigError: some of them are done, and `overwrite` is false.
    """
    states = {job.name: plans.read_state(out, job.name) for job in jobs}
    changed: dict[str, Job] = {}
    for job in jobs:
        state = states[job.name]
        if state and (state.digest != job.digest or any(need in changed for need in job.needs)):
            changed[job.name] = job
    done = [job for job in changed.values() if (state := states[job.name]) and state.state == "done"]
    if done and not overwrite:
        old = {job.name: job for job in plans.read_plan(out).jobs}
        was = " ".join(old[done[0].name].command) if done[0].name in old else "another command"
        now = " ".join(done[0].command)
        how = f"was `{was}`, now `{now}`" if was != now else f"what `{now}` reads has changed (recipe, scheme, plugin)"
        raise ConfigError(
            f"{out}: {len(done)} jobs were done for another study, e.g. {done[0].name}: {how}. "
            "Choose another --output, or give --overwrite to do them again."
        )
    for job in changed.values():
        plans.forget(out, job)
        shutil.rmtree(out / job.output, ignore_errors=True)


def _snakemake(out: Path, plan: Plan, executor: Executor, notice: Notice, lock: int) -> int:
    """Run Snakemake to its end; returns its exit code."""
    log = out / SNAKEMAKE_LOG
    log.parent.mkdir(parents=True, exist_ok=True)
    file = resources.files("pathosynth.workflow") / "Snakefile"
    call = [
        sys.executable, "-m", "snakemake", "--snakefile", str(file), "--directory", str(out.absolute()), "--nolock",
        "--rerun-incomplete", "--keep-incomplete", "--keep-going", "--rerun-triggers", "mtime", "--nocolor",
        "--retries", str(plan.study.get("retries", 0)), *executor.words(),
    ]  # fmt: skip
    seen = {job.name: plans.read_state(out, job.name) for job in plan.jobs}
    with log.open("a", encoding="utf-8") as stream, _stopping() as stop:
        process = subprocess.Popen(  # noqa: S603, our own command line
            call, cwd=out, stdin=subprocess.DEVNULL, stdout=stream, stderr=subprocess.STDOUT, pass_fds=(lock,)
        )
        while process.poll() is None:
            time.sleep(POLL_SECONDS)
            stop(process)
            _tell(out, plan, seen, notice)
    _tell(out, plan, seen, notice)
    return process.returncode


def _tell(out: Path, plan: Plan, seen: dict[str, State | None], notice: Notice) -> None:
    """Notice jobs that have ended since."""
    for job in plan.jobs:
        before = seen[job.name]
        if before is not None and before.state == "done" and before.digest == job.digest:
            continue
        state = plans.read_state(out, job.name)
        if state is not None and state != before:
            seen[job.name] = state
            if state.state != "running":
                notice(state, _done(plan, seen))


def _done(plan: Plan, seen: Mapping[str, State | None]) -> int:
    """Number of jobs that are done with the command they have now."""
    states = [(job, seen[job.name]) for job in plan.jobs]
    return sum(state is not None and state.state == "done" and state.digest == job.digest for job, state in states)


@contextmanager
def _stopping() -> Iterator[Callable[["subprocess.Popen[bytes]"], None]]:
    """Hand a request to stop on to Snakemake and the jobs it started here, which save what they have.

    Yields what does that, to be called again and again. Snakemake has to be started inside: what a background shell
    ignores, its children ignore too, unless the signals have a handler by then.

    Raises:
        KeyboardInterrupt: at the end, where stopping was asked for.
    """
    asked: list[int] = []
    handed: list[int] = []

    def hand_on(process: "subprocess.Popen[bytes]") -> None:
        import psutil  # comes with Snakemake

        if len(handed) == len(asked):
            return
        handed[:] = asked
        for child in psutil.Process(process.pid).children(recursive=True):  # type: ignore[no-untyped-call]
            with suppress(psutil.NoSuchProcess):  # it ended meanwhile
                if "study" in child.cmdline():
                    child.send_signal(signal.SIGTERM)
        process.send_signal(signal.SIGINT)

    with handled(STOPS, lambda number, frame: asked.append(number)):
        yield hand_on
    if asked:
        raise KeyboardInterrupt


def _judge(out: Path, plan: Plan, code: int) -> None:
    """Say what went wrong.

    Raises:
        CasesFailed: jobs failed.
        PathosynthError: Snakemake failed itself.
    """
    states = [(job, plans.read_state(out, job.name)) for job in plan.jobs]
    failed = [(job, state) for job, state in states if state is not None and state.state in ("failed", "stopped")]
    left = sum(state is None or state.state != "done" for _, state in states)
    if failed:
        told = "\n".join(failure(out, job, state) for job, state in failed[:MOST_FAILURES])
        waiting = left - len(failed)
        raise CasesFailed(f"{len(failed)} jobs failed, {waiting} were not begun; the same command goes on.\n{told}")
    if code:
        lines = (out / SNAKEMAKE_LOG).read_text(encoding="utf-8", errors="replace").splitlines()[-LOG_LINES:]
        shown = "\n".join(f"    {line}" for line in lines)
        raise PathosynthError(f"Snakemake ended with exit code {code}. The end of {out / SNAKEMAKE_LOG}:\n{shown}")
