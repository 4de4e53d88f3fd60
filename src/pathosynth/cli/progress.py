"""Progress of a batch: a bar on a terminal, plain lines elsewhere. Always on standard error."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from pathosynth.stages.batch import Notice, Result
    from pathosynth.stages.train import StepNotice

LINE_SECONDS = 60
"""Time between two lines about a training where there is no terminal."""


@contextmanager
def progress(title: str, total: int, quiet: bool, *, lines: bool = False) -> Iterator["Notice"]:
    """Yield the function to call after every case; `lines` leaves the terminal free for another bar."""
    if quiet:
        yield lambda case, result: None
    elif sys.stderr.isatty() and not lines:
        with _bar(title, total) as notice:
            yield notice
    else:
        yield _lines(title, total)


@contextmanager
def _bar(title: str, total: int) -> Iterator["Notice"]:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(title, total=total)

        def notice(case: str, result: "Result") -> None:
            bar.update(task, advance=1, description=f"{title} {case}")
            if result.message:
                bar.console.print(f"{case}: {result.outcome}: {result.message}", markup=False, highlight=False)

        yield notice


def _lines(title: str, total: int) -> "Notice":
    ended, start = 0, time.monotonic()

    def notice(case: str, result: "Result") -> None:
        nonlocal ended
        ended += 1
        why = f": {result.message}" if result.message else ""
        typer.echo(f"{title} {ended}/{total} {case} {result.outcome} [{time.monotonic() - start:.0f} s]{why}", err=True)

    return notice


@contextmanager
def step_progress(quiet: bool) -> Iterator["StepNotice"]:
    """Yield the function to call after every training step: a bar on a terminal, a line a minute elsewhere."""
    if quiet:
        yield lambda step, total, loss: None
    elif sys.stderr.isatty():
        with _step_bar() as notice:
            yield notice
    else:
        yield _step_lines()


@contextmanager
def _step_bar() -> Iterator["StepNotice"]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("train", total=None)
        yield lambda step, total, loss: bar.update(task, completed=step, total=total, description=f"loss {loss:.4f}")


def _step_lines() -> "StepNotice":
    start = last = time.monotonic()

    def notice(step: int, total: int, loss: float) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last > LINE_SECONDS or step == total:
            last = now
            typer.echo(f"train {step}/{total} loss {loss:.5f} [{now - start:.0f} s]", err=True)

    return notice
