"""Intraclass correlations of Shrout and Fleiss (1979), with intervals from F distributions (McGraw & Wong 1996)."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from pathosynth.reader.analysis.estimate import LEVEL, Estimate, undefined

NAMES = ("icc1", "icc2", "icc3", "icc1k", "icc2k", "icc3k")
"""(1,1): other readers for every case; (2,1): readers are a sample, agreement; (3,1): these readers, consistency. And
the same of the mean over k readers."""

SAME = 1e-12
"""Relative mean square below which there is no variation but rounding."""


@dataclass(frozen=True)
class MeanSquares:
    """Two-way analysis of variance of a complete (n cases, k readers) table.

    Attributes:
        n: cases.
        k: readers.
        cases: mean square between cases (BMS).
        within: within cases (WMS).
        readers: between readers (JMS).
        error: residual (EMS).
    """

    n: int
    k: int
    cases: float
    within: float
    readers: float
    error: float


def mean_squares(values: np.ndarray) -> MeanSquares:
    """Mean squares of a complete (n, k) table, n and k at least 2."""
    n, k = values.shape
    centred = values - values.mean()
    by_case, by_reader = centred.mean(axis=1), centred.mean(axis=0)
    residual = centred - by_case[:, None] - by_reader[None]
    total = float((centred**2).sum())
    cases, readers, error = k * float((by_case**2).sum()), n * float((by_reader**2).sum()), float((residual**2).sum())
    floor = SAME * total
    cases, readers, error = (0.0 if square <= floor else square for square in (cases, readers, error))
    return MeanSquares(
        n, k, cases / (n - 1), (readers + error) / (n * (k - 1)), readers / (k - 1), error / ((n - 1) * (k - 1))
    )


def intraclass_correlations(values: np.ndarray) -> dict[str, Estimate]:
    """The six coefficients by name.

    Readers without any rating are left out, and then cases that some reader did not rate: the coefficients are defined
    on complete tables.

    Args:
        values: (cases, readers), NaN where there is no rating.
    """
    values = values[:, np.isfinite(values).any(axis=0)]
    complete = values[np.isfinite(values).all(axis=1)]
    n, k = complete.shape
    problem = _problem(values, complete)
    if problem:
        return dict.fromkeys(NAMES, undefined(problem, n, k))
    ms = mean_squares(complete)
    found: dict[str, Estimate] = {}
    for name, ends in (("icc1", _one_way(ms)), ("icc2", _two_way_random(ms)), ("icc3", _two_way_mixed(ms))):
        found[name] = _estimate(ends, n, k)
        found[f"{name}k"] = _estimate([None if one is None else _averaged(one, k) for one in ends], n, k)
    return {name: found[name] for name in NAMES}


def _estimate(ends: Sequence[float | None], n: int, k: int) -> Estimate:
    """Value, low and high, each None where it is not finite; then a sentence says so."""
    value, low, high = (one if one is not None and math.isfinite(one) else None for one in ends)
    why = (
        None
        if None not in (value, low, high)
        else "Cases differ so little that this coefficient or an end is not finite."
    )
    return Estimate(value, low, high, why, cases=n, readers=k)


def _problem(values: np.ndarray, complete: np.ndarray) -> str | None:
    """Why there are no coefficients, if so."""
    n, k = complete.shape
    if k < 2:
        return f"{'One reader' if k else 'No reader'}: an ICC compares at least two."
    if n < 2:
        rated = int(np.isfinite(values).any(axis=1).sum())
        return f"{n} of {rated} cases {'was' if n == 1 else 'were'} rated by all {k} readers; an ICC needs two or more."
    if np.ptp(complete) <= SAME * np.abs(complete).max():
        return "Every reader gave every case the same value, so there is no variance to divide."
    if (np.ptp(complete, axis=0) <= SAME * np.abs(complete).max()).all():
        return "No reader told any case from another, so there is no variance between cases to compare."
    return None


def _one_way(ms: MeanSquares) -> tuple[float, float, float]:
    # Shrout & Fleiss 1979: ICC(1,1) = (BMS - WMS) / (BMS + (k - 1) WMS), and its limits from F0 = BMS / WMS.
    value = (ms.cases - ms.within) / (ms.cases + (ms.k - 1) * ms.within)
    return value, *_limits(ms.cases, ms.within, ms.n - 1, ms.n * (ms.k - 1), ms.k)


def _two_way_mixed(ms: MeanSquares) -> tuple[float, float, float]:
    # Shrout & Fleiss 1979: ICC(3,1) = (BMS - EMS) / (BMS + (k - 1) EMS).
    value = (ms.cases - ms.error) / (ms.cases + (ms.k - 1) * ms.error)
    return value, *_limits(ms.cases, ms.error, ms.n - 1, (ms.n - 1) * (ms.k - 1), ms.k)


def _limits(above: float, below: float, df1: int, df2: int, k: int) -> tuple[float, float]:
    """Limits of (F - 1) / (F + k - 1) from an F ratio given as two mean squares; both 1 where the second is 0."""
    tail = (1 + LEVEL) / 2
    low, high = stats.f.ppf(tail, df1, df2), stats.f.ppf(tail, df2, df1)
    first, last = above - low * below, above * high - below
    return float(first / (above + (k - 1) * low * below)), float(last / (above * high + (k - 1) * below))


def _two_way_random(ms: MeanSquares) -> tuple[float | None, float | None, float | None]:
    n, k = ms.n, ms.k
    # Shrout & Fleiss 1979: ICC(2,1) = (BMS - EMS) / (BMS + (k - 1) EMS + k (JMS - EMS) / n).
    below = ms.cases + (k - 1) * ms.error + k * (ms.readers - ms.error) / n
    if below <= SAME * (ms.cases + ms.error):  # two cases and two readers that cancel out
        return None, None, None
    value = (ms.cases - ms.error) / below
    # McGraw & Wong 1996, table 7, case 2A: Satterthwaite's degrees of freedom v of a JMS + b EMS.
    kept = min(value, 1 - SAME)
    a, b = k * kept / (n * (1 - kept)), 1 + k * kept * (n - 1) / (n * (1 - kept))
    squares = (a * ms.readers) ** 2 / (k - 1) + (b * ms.error) ** 2 / ((n - 1) * (k - 1))
    if squares == 0:  # readers agree in every case
        return value, value, value
    v = (a * ms.readers + b * ms.error) ** 2 / squares
    tail = (1 + LEVEL) / 2
    low, high = stats.f.ppf(tail, n - 1, v), stats.f.ppf(tail, v, n - 1)
    between = k * ms.readers + (k * n - k - n) * ms.error
    if not low * between + n * ms.cases > 0:
        return value, None, None
    first = n * (ms.cases - low * ms.error) / (low * between + n * ms.cases)
    last = n * (high * ms.cases - ms.error) / (between + n * high * ms.cases)
    return value, float(min(first, value)), float(max(last, value))


def _averaged(single: float, k: int) -> float | None:
    """Spearman and Brown: from one reader to the mean of k; None where that leaves [-∞, 1]."""
    below = 1 + (k - 1) * single
    return k * single / below if below > SAME else None
