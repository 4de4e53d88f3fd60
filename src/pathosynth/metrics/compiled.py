"""Loops that numpy has no words for, compiled at their first call and kept on disk for the next run."""

from collections.abc import Callable
from typing import TypeVar, cast

import numba

LoopT = TypeVar("LoopT", bound=Callable[..., object])


def compiled(loop: LoopT) -> LoopT:
    """The same function of numbers and arrays as machine code; it does not hold the interpreter lock."""
    return cast(LoopT, numba.njit(cache=True, nogil=True)(loop))
