"""A number with its interval, or a plain sentence that says why there is none; and the intervals themselves."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import optimize, special

from pathosynth.reader.analysis.units import number_of, own_units, summed

LEVEL = 0.95
"""Of every interval."""

_EDGE = 0.999
"""Agreement beyond which Fisher's z is not followed to infinity."""


@dataclass(frozen=True)
class Estimate:
    """A statistic. Every number is finite; None is what the data do not define.

    Attributes:
        value: the statistic.
        low: lower end of its 95 % interval.
        high: upper end.
        why: why value or interval is missing, as a sentence; None where nothing is.
        p: two-sided p of a test against `null`, where there is one.
        null: what the test takes the statistic to be.
        df: degrees of freedom of test and interval, where a t distribution gives them.
        cases: cases it rests on.
        readers: readers it rests on.
    """

    value: float | None
    low: float | None = None
    high: float | None = None
    why: str | None = None
    p: float | None = None
    null: float | None = None
    df: float | None = None
    cases: int | None = None
    readers: int | None = None

    def as_json(self) -> dict[str, Any]:
        """Value, low, high and why always; of the rest what there is."""
        rest = {name: getattr(self, name) for name in ("p", "null", "df", "cases", "readers")}
        return {"value": self.value, "low": self.low, "high": self.high, "why": self.why} | {
            name: value for name, value in rest.items() if value is not None
        }


def undefined(why: str, cases: int | None = None, readers: int | None = None) -> Estimate:
    """No number, and why."""
    return Estimate(None, why=why, cases=cases, readers=readers)


def quantile(df: float = math.inf, level: float = LEVEL) -> float:
    """How many standard errors lie on either side: of t with `df` degrees of freedom, normal where `df` is infinite."""
    return float(special.ndtri((1 + level) / 2) if math.isinf(df) else special.stdtrit(df, (1 + level) / 2))


def two_sided(statistic: float, df: float = math.inf) -> float:
    """P of a t or (infinite `df`) normal statistic."""
    return float(2 * (special.ndtr(-abs(statistic)) if math.isinf(df) else special.stdtr(df, -abs(statistic))))


def one_sided(statistic: float, df: float = math.inf) -> float:
    """P of a t or (infinite `df`) normal statistic that speaks for the alternative where it is large."""
    return float(special.ndtr(-statistic) if math.isinf(df) else special.stdtr(df, -statistic))


def wilson(share: float, n: float, z: float | None = None) -> tuple[float, float]:
    """Score interval of a proportion (Wilson 1927).

    Args:
        share: observed proportion, in [0, 1].
        n: independent observations; need not be whole, as for the effective number of correlated ones.
        z: standard errors; by default those of 95 %.
    """
    z = quantile() if z is None else z
    # Wilson 1927: the proportions from which `share` lies z of their own standard errors away.
    centre = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * math.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    return (0.0 if share == 0 else max(0.0, centre - half)), (1.0 if share == 1 else min(1.0, centre + half))


def wilson_clustered(share: float, variance: float, n: float, df: float = math.inf) -> tuple[float, float]:
    """Score interval of a proportion whose observations are correlated, by their effective number.

    The effective number is that of independent observations with the same variance, lessened for the degrees of freedom
    the variance was estimated with (Korn & Graubard 1998, with Wilson's interval in place of Clopper's). Where the
    observed variance is 0, as when all are right, it is `n`.

    Args:
        share: observed proportion.
        variance: of `share`, clusters taken into account.
        n: independent units, for a share without spread.
        df: degrees of freedom of `variance`.
    """
    if variance <= 0 or not 0 < share < 1:
        return wilson(share, n)
    return wilson(share, max(share * (1 - share) / variance, 1.0) * (quantile() / quantile(df)) ** 2)


def logit_interval(share: float, variance: float, df: float = math.inf) -> tuple[float, float]:
    """Interval of a share strictly between 0 and 1, symmetric in its log odds, so that it stays inside."""
    slope = share * (1 - share)
    middle, half = math.log(share / (1 - share)), quantile(df) * math.sqrt(variance) / slope
    return float(1 / (1 + np.exp(half - middle))), float(1 / (1 + np.exp(-half - middle)))


def superiority_score_interval(share: float, n_first: int, n_second: int) -> tuple[float, float]:
    """Score interval of P(second > first) from its value and two sample sizes alone (Newcombe 2006, method 5).

    For shares of 0 and 1, where the scores themselves show no variance.
    """
    both = (n_first + n_second) / 2 - 1

    def away(theta: float) -> float:
        # Newcombe 2006, eq. 4: Hanley and McNeil's variance with both sizes replaced by their mean less one.
        spread = 1 + both * (1 - theta) / (2 - theta) + both * theta / (1 + theta)
        return abs(share - theta) - quantile() * math.sqrt(theta * (1 - theta) * spread / (n_first * n_second))

    if share >= 0.5:
        return float(optimize.brentq(away, 1e-9, share - 1e-12)) if away(1e-9) > 0 else 0.0, 1.0
    return 0.0, float(optimize.brentq(away, share + 1e-12, 1 - 1e-9)) if away(1 - 1e-9) > 0 else 1.0


def agreement_interval(
    value: float, without: np.ndarray, chance: float, units: np.ndarray | None = None
) -> tuple[float, float]:
    """Interval of a chance-corrected agreement 1 - observed / expected disagreement, by a jackknife over cases.

    It is symmetric in Fisher's z about the value freed of its bias, with t for its few cases; of six intervals this one
    covers best (``benchmarks/bench_reader_statistics.py``; the percentile bootstrap is too short). Without any
    disagreement there is no spread: the lower end is then where the largest share of disagreeing pairs that Wilson's
    interval allows would put the statistic.

    Args:
        value: the statistic, at most 1.
        without: (n,) the statistic without each case.
        chance: share of disagreeing pairs expected by chance.
        units: (n,) of the cases; what cases of one unit move the statistic by is added up. By default each is its own.
    """
    n = len(without)
    units = own_units(n) if units is None else units
    independent = number_of(units)
    if value > 1 - 1e-12:
        return max(-1.0, 1 - (1 - wilson(1.0, independent)[0]) / chance), 1.0
    # Tukey 1958: variance and bias of a jackknifed statistic.
    moved = summed((n - 1) / n * (without - without.mean()), units)
    error = math.sqrt(independent / (independent - 1) * float((moved**2).sum()))
    middle = n * value - (n - 1) * float(without.mean())
    kept = min(max(middle, -_EDGE), _EDGE)
    half = quantile(independent - 1) * error / max(1 - value**2, 1 - _EDGE**2)
    low, high = math.tanh(math.atanh(kept) - half), math.tanh(math.atanh(kept) + half)
    return max(-1.0, min(low, value)), max(high, value)
