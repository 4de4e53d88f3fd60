"""A stage as a plan of independent tasks, and the one loop that runs any plan: record, resume, failures, workers."""

import logging
import multiprocessing
import os
import re
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from pathosynth.data.cases import Case
from pathosynth.runs.errors import ConfigError, PathosynthError, unexpected
from pathosynth.runs.record import Outcome, RunRecord, Source
from pathosynth.stages.plugins import use_plugins

log = logging.getLogger(__name__)


class Task(Protocol):
    """One unit of work; picklable. `case` names what is made, `source` what it is made from."""

    @property
    def case(self) -> str: ...  # noqa: D102

    @property
    def source(self) -> str: ...  # noqa: D102


@dataclass(frozen=True)
class OneCase:
    """A task that is one case of the input and keeps its name."""

    row: Case

    @property
    def case(self) -> str:
        """Name of the case."""
        return self.row.case

    @property
    def source(self) -> str:
        """The case itself."""
        return self.row.case


@dataclass(frozen=True)
class Result:
    """How one task ended.

    Attributes:
        outcome: done, failed or rejected.
        message: why, for failed and rejected ones; a note for a kept one.
        facts: JSON-able measurements, kept in the run record; `files` lists what was written, relative to OUT.
        error: the exception behind a failure, for a single task whose error is shown as it is.
    """

    outcome: Outcome
    message: str = ""
    facts: dict[str, Any] = field(default_factory=dict)
    error: Exception | None = None


@dataclass(frozen=True)
class Plan:
    """What a stage would do; nothing is written before `execute`.

    Attributes:
        command: name of the stage.
        config: resolved settings, JSON-able.
        inputs: files whose digest goes into the record.
        tasks: in the order of the case table.
        work: called with one task, in this process or in a worker; picklable.
        finish: called once after the last task, with the folder and the record.
        memory_gib: estimated peak of one worker.
        makes: one line for people: what would come out.
        device: where it computes, resolved.
        part: K/N where `tasks` are only the K-th of N parts of what the stage would do; empty for all of it.
        prepare: called once before the first task with the tasks that are not finished; None where nothing is shared.
            What it makes stays, so the folder keeps its record even when every task fails.
        facts: what else the finished record says; it does not count when a run is resumed.
        redo: whether a finished task that was made from other rows or files is done again; else it is refused, and
            files that `config` names count as `inputs` do.
    """

    command: str
    config: dict[str, Any]
    inputs: Sequence[Path]
    tasks: Sequence[Task]
    work: Callable[[Any], Result]
    finish: Callable[[Path, RunRecord], None]
    memory_gib: float
    makes: str
    device: str = "cpu"
    part: str = ""
    prepare: Callable[[Sequence[Any]], None] | None = None
    facts: dict[str, Any] = field(default_factory=dict)
    redo: bool = False

    def described(self) -> dict[str, Any]:
        """The plan as JSON-able facts, for ``--dry-run``."""
        tasks = [{"case": task.case, "source": task.source} for task in self.tasks]
        return {
            "command": self.command, "makes": self.makes, "config": self.config,
            "device": self.device, "memory_gib": round(self.memory_gib, 2), "tasks": tasks,
        }  # fmt: skip


@dataclass(frozen=True)
class Options:
    """How to run a plan, whatever the stage.

    Attributes:
        out: output folder.
        seed: seed of the run.
        device: where models compute, as the user gave it.
        jobs: worker processes; 1 works in this process.
        overwrite: replace what an earlier run made in `out`.
        debug: let unexpected exceptions through instead of recording them.
        plugins: files given with ``--use``, loaded again in every worker.
    """

    out: Path
    seed: int = 0
    device: str = "cpu"
    jobs: int = 1
    overwrite: bool = False
    debug: bool = False
    plugins: tuple[Path, ...] = ()


def part_of(plan: Plan, part: str) -> Plan:
    """The K-th of N parts of a plan: neighbours in its order, so that the tables of all parts in turn are the whole.

    Who gets what is settled before: names, seeds and a recipe's draws do not depend on the division.

    Raises:
        ConfigError: the part is not K/N with K from 1 to N.
    """
    if not part:
        return plan
    found = re.fullmatch(r"(\d+)/(\d+)", part)
    number, parts = map(int, found.groups()) if found else (0, 0)
    if not 1 <= number <= parts:
        raise ConfigError(f"--part {part}: expected K/N with K from 1 to N, e.g. 2/4.")
    total = len(plan.tasks)
    tasks = plan.tasks[total * (number - 1) // parts : total * number // parts]
    makes = f"{plan.makes}; of these part {part}, {len(tasks)} of {total}"
    return replace(plan, tasks=tasks, makes=makes, part=part)


Notice = Callable[[str, Result], None]
"""Called with a case and its result as soon as it has ended."""


def execute(plan: Plan, options: Options, notice: Notice = lambda case, result: None) -> RunRecord:
    """Run what is not finished yet, write the record after every case and the tables at the end.

    One failing case does not stop the others. Where everything came from one source and nothing could be made of
    it, the record is taken back and the first error is raised, so that nothing is left behind; not in a part, which
    says nothing about the whole.

    Raises:
        PathosynthError: the folder holds another run, or the only source failed.
    """
    named = () if plan.redo else _named_files(plan.config)
    record = RunRecord.begin(
        options.out, plan.command, plan.config, options.seed, [*plan.inputs, *named], device=plan.device,
        overwrite=options.overwrite, sources={task.case: _source(task) for task in plan.tasks}, redo=plan.redo,
    )  # fmt: skip
    first_error: Exception | None = None
    waiting = [task for task in plan.tasks if not record.done(task.case)]
    if plan.prepare is not None:
        plan.prepare(waiting)
    for task, result in _results(waiting, plan.work, options):
        record.finish_case(task.case, result.outcome, result.message, **result.facts)
        first_error = first_error or result.error
        alone = len(plan.tasks) == 1 and not plan.part and plan.prepare is None
        if not (result.error and alone):  # raised below; one fault, one message
            notice(task.case, result)
    counts = record.counts()
    nothing = counts["done"] + counts["rejected"] == 0 and len({task.source for task in plan.tasks}) == 1
    if first_error and nothing and not plan.part and plan.prepare is None:
        record.discard()
        raise first_error
    plan.finish(options.out, record)
    record.complete(**plan.facts, **({"part": plan.part} if plan.part else {}))
    return record


def _named_files(config: Any) -> Iterator[Path]:
    """Files that settings name, e.g. a table of intensities: what is in them counts as the settings do."""
    if isinstance(config, dict | list | tuple):
        for value in config.values() if isinstance(config, dict) else config:
            yield from _named_files(value)
    elif isinstance(config, str) and Path(config).suffix and os.path.isfile(config):  # noqa: PTH113, any text may come
        yield Path(config)


def _source(task: Task) -> Source:
    """The rows of case tables that a task holds, without the places of their files, and these files."""
    rows = [value for value in vars(task).values() if isinstance(value, Case)]
    facts = [row.model_dump(mode="json", exclude={"labels", "images", "displacement"}) for row in rows]
    files = [path for row in rows for path in (row.labels, *row.images.values(), row.displacement) if path is not None]
    return Source(facts, tuple(files))


def _results(tasks: Sequence[Task], work: Callable[[Any], Result], options: Options) -> Iterator[tuple[Task, Result]]:
    if options.jobs <= 1 or len(tasks) <= 1:
        for task in tasks:
            yield task, attempt(work, task, options.debug)
        return
    with _workers(min(options.jobs, len(tasks)), options.plugins) as pool:
        running = {pool.submit(attempt, work, task, options.debug): task for task in tasks}
        while running:
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                yield running.pop(future), future.result()


@contextmanager
def _workers(count: int, plugins: Sequence[Path]) -> Iterator[ProcessPoolExecutor]:
    """Spawned worker processes, so that the same code runs on every system and no library sees a fork."""
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(count, context, initializer=_start_worker, initargs=(tuple(plugins),))
    try:
        yield pool
    except BrokenProcessPool:
        raise PathosynthError(
            f"A worker was killed, most likely because {count} of them need more memory than there is. "
            "Give fewer --jobs; the same command goes on with what is left."
        ) from None
    finally:
        pool.shutdown(cancel_futures=True)  # after Ctrl-C what has not begun does not begin


def _start_worker(plugins: tuple[Path, ...]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent decides and reports
    threading.Thread(target=_leave_with_parent, daemon=True).start()
    use_plugins(plugins)


def _leave_with_parent() -> None:
    """End this worker when the run it works for was killed; it would wait for tasks for ever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def attempt(work: Callable[[Any], Result], task: Task, debug: bool = False) -> Result:
    """Run one task; an exception becomes a failed result, except in debug mode where unexpected ones go through."""
    try:
        return work(task)
    except PathosynthError as error:
        return Result("failed", str(error), error=error)
    except Exception as error:
        if debug:
            raise
        log.info("unexpected error in %s", task.case, exc_info=True)
        return Result("failed", unexpected(error), error=PathosynthError(f"{task.case}: {unexpected(error)}"))
