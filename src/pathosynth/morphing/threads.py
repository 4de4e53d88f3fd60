"""Work on independent rows in two threads; numpy and scipy release the interpreter lock inside their loops.

Each row is computed by the same operations whichever thread has it, so results do not depend on the number of cores.
"""

import itertools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

_WORKERS = 2
_WORTH_IT = 30_000  # rows below which starting threads costs more than it saves

PartT = TypeVar("PartT")


def by_rows(work: Callable[[slice], PartT], rows: int) -> list[PartT]:
    """`work` applied to consecutive slices that together cover `rows`, in order."""
    if rows < _WORTH_IT:
        return [work(slice(0, rows))]
    middle = [rows * part // _WORKERS for part in range(_WORKERS + 1)]
    with ThreadPoolExecutor(_WORKERS) as pool:
        return list(pool.map(work, (slice(a, b) for a, b in itertools.pairwise(middle))))
