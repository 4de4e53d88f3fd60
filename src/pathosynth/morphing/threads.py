"""Compiled loops, and threads to share their rows; a compiled loop does not hold the interpreter lock.

A row is computed by the same operations whichever thread has it, and sums over rows are added up in fixed parts, so
results depend neither on the number of threads nor on the number of cores.
"""

import functools
import multiprocessing
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar, cast

import numba

_MOST_THREADS = 8
_PARTS = 8  # slices of one array: enough to even out empty and full ones, few enough to cost nothing
_WORTH_IT = 60_000  # cells or points below which handing work to a thread costs more than it saves

LoopT = TypeVar("LoopT", bound=Callable[..., object])
PartT = TypeVar("PartT")


def compiled(loop: LoopT) -> LoopT:
    """Compile a function of numbers and arrays at its first call; the machine code is kept on disk for the next run."""
    return cast(LoopT, numba.njit(cache=True, nogil=True, error_model="numpy")(loop))


def by_rows(work: Callable[[int, int], PartT], rows: int, row_size: int = 1) -> list[PartT]:
    """`work(start, stop)` of consecutive parts that together cover `rows`, in order; this thread takes its share.

    Args:
        work: called from several threads at once, never twice with the same row.
        rows: how many there are.
        row_size: cells or points of one row; where all rows have few, one call does everything.
    """
    if rows * row_size < _WORTH_IT:
        return [work(0, rows)]
    ends = [rows * part // _PARTS for part in range(_PARTS + 1)]
    done: list[PartT | None] = [None] * _PARTS

    def share(thread: int) -> None:
        for part in range(thread, _PARTS, thread_count()):
            done[part] = work(ends[part], ends[part + 1])

    others = [_pool(os.getpid()).submit(share, thread) for thread in range(1, thread_count())]
    share(0)
    for other in others:
        other.result()
    return cast(list[PartT], done)


@functools.cache
def thread_count() -> int:
    """Threads this process may use: one in a worker process, whose siblings have the other cores."""
    if multiprocessing.parent_process() is not None:
        return 1
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(cores, _MOST_THREADS)


@functools.cache
def _pool(process: int) -> ThreadPoolExecutor:
    """The threads of one process; a forked child has none of its parent's and starts its own."""
    return ThreadPoolExecutor(thread_count(), "morphing")
