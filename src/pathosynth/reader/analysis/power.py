"""How many readers and cases? Power and sample size of the analyses made here, by the distributions they use."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import stats

from pathosynth.reader.analysis.estimate import LEVEL
from pathosynth.reader.analysis.mrmc import Components
from pathosynth.runs.errors import ConfigError

MOST_CASES = 100_000
"""Where a search for enough cases gives up."""

_QUANTILES = (np.arange(2000) + 0.5) / 2000


def icc_above(icc: float, least: float, readers: int, cases: int) -> float:
    """Chance that the lower end of the interval of ICC(1,1) lies above `least`. Exact for normal values.

    BMS / WMS is F distributed times (1 + (k - 1) ICC) / (1 - ICC); Zou (2012) plans with approximations of the same.

    Args:
        icc: the truth.
        least: what the interval is to exclude.
        readers: who each rate a case.
        cases: rated.
    """
    df = cases - 1, cases * (readers - 1)
    critical = stats.f.ppf((1 + LEVEL) / 2, *df)
    return float(stats.f.sf(critical * _f_scale(least, readers) / _f_scale(icc, readers), *df))


def icc_within(icc: float, half_width: float, readers: int, cases: int) -> float:
    """Chance that the interval of ICC(1,1) is at most two half widths wide; exact for normal values (Zou 2012).

    Args:
        icc: the truth.
        half_width: wanted.
        readers: who each rate a case.
        cases: rated.
    """
    df = cases - 1, cases * (readers - 1)
    found = stats.f.ppf(_QUANTILES, *df) * _f_scale(icc, readers)
    tail = (1 + LEVEL) / 2
    low, high = found / stats.f.ppf(tail, *df), found * stats.f.ppf(tail, df[1], df[0])
    width = (high - 1) / (high + readers - 1) - (low - 1) / (low + readers - 1)
    return float((width <= 2 * half_width).mean())


def _f_scale(icc: float, readers: int) -> float:
    return (1 + (readers - 1) * icc) / (1 - icc)


@dataclass(frozen=True)
class Spread:
    """What readers' statistics vary by, in one modality.

    Attributes:
        reader: variance of readers.
        error: variance of one reader's statistic over cases.
        shared: covariance of two readers' statistics over the cases they share.
    """

    reader: float
    error: float
    shared: float


def accuracy_spread(accuracy: float, cases: int, reader_sd: float, correlation: float) -> Spread:
    """Spread of accuracies.

    Args:
        accuracy: share of right answers, in (0, 1).
        cases: read by everyone.
        reader_sd: standard deviation of readers' true accuracies.
        correlation: of two readers' being right about one case.
    """
    error = (accuracy * (1 - accuracy) - reader_sd**2) / cases
    return Spread(reader_sd**2, error, correlation * error)


def auc_spread(auc: float, cases: int, reader_sd: float, correlation: float) -> Spread:
    """Spread of AUCs with half of the cases of either origin (variance of Hanley & McNeil 1982).

    Args:
        auc: in (0, 1).
        cases: read by everyone.
        reader_sd: standard deviation of readers' true AUCs.
        correlation: of two readers' AUCs over the cases they share.
    """
    half = cases / 2
    # Hanley & McNeil 1982, eq. 1 and 2.
    q1, q2 = auc / (2 - auc), 2 * auc**2 / (1 + auc)
    error = (auc * (1 - auc) + (half - 1) * (q1 + q2 - 2 * auc**2)) / half**2
    return Spread(reader_sd**2, error, correlation * error)


def power_of_mean(difference: float, readers: int, spread: Spread) -> float:
    """Power of the two-sided test that the mean over readers is some value it is `difference` away from.

    Args:
        difference: truth minus hypothesis.
        readers: in the study; with one, cases alone are a sample.
        spread: of their statistics.
    """
    if readers == 1:
        return _t_power(difference / math.sqrt(spread.error), math.inf)
    mean_square = spread.reader + spread.error - spread.shared
    total = mean_square + readers * max(spread.shared, 0.0)
    return _t_power(difference / math.sqrt(total / readers), total**2 / (mean_square**2 / (readers - 1)))


def power_of_difference(difference: float, readers: int, cases: int, pilot: Components, pilot_cases: int) -> float:
    """Power of Obuchowski and Rockette's test that two modalities are equal (Hillis, Obuchowski & Berbaum 2011).

    Args:
        difference: of the two, on the scale of the statistic.
        readers: two or more, each reading both modalities.
        cases: in the study; covariances fall with their number.
        pilot: variances and covariances found before.
        pilot_cases: with how many cases.
    """
    mean_square = _interaction_mean_square(pilot, pilot_cases / cases)
    total = difference_spread(readers, cases, pilot, pilot_cases)
    df = total**2 / (mean_square**2 / (readers - 1)) if mean_square > 0 else math.inf
    return _t_power(difference / math.sqrt(2 * total / readers), df)


def difference_spread(readers: int, cases: int, pilot: Components, pilot_cases: int) -> float:
    """Denominator of Obuchowski and Rockette's F that is to be expected; 0 where a pilot shows no spread."""
    # Hillis, Obuchowski & Berbaum 2011: the covariances of the pilot times its cases over those of the study.
    scale = pilot_cases / cases
    return _interaction_mean_square(pilot, scale) + readers * scale * max(pilot.cov2 - pilot.cov3, 0.0)


def _interaction_mean_square(pilot: Components, scale: float) -> float:
    return pilot.interaction + scale * max(pilot.error - pilot.cov1 - pilot.cov2 + pilot.cov3, 0.0)


def _t_power(shift: float, df: float) -> float:
    """Power of a two-sided t test whose statistic is centred on `shift`."""
    tail = (1 + LEVEL) / 2
    if math.isinf(df):
        critical = stats.norm.ppf(tail)
        return float(stats.norm.sf(critical - shift) + stats.norm.cdf(-critical - shift))
    critical = stats.t.ppf(tail, df)
    return float(stats.nct.sf(critical, df, shift) + stats.nct.cdf(-critical, df, shift))


def enough_cases(power: Callable[[int], float], wanted: float, fewest: int = 4) -> int:
    """Fewest cases with which a power that grows with them reaches what is wanted.

    Args:
        power: of a number of cases.
        wanted: in (0, 1).
        fewest: to begin with.

    Raises:
        ConfigError: not with `MOST_CASES` either; more readers, or a larger difference, would be needed.
    """
    high = fewest
    while power(high) < wanted:
        if high >= MOST_CASES:
            raise ConfigError(
                f"expected some number of cases to give a power of {wanted:g}, found {power(high):.3f} with {high}: "
                f"what readers differ by does not shrink with cases. Plan with more readers or a larger difference."
            )
        high = min(2 * high, MOST_CASES)
    low = max(fewest - 1, high // 2)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if power(middle) >= wanted else (middle, high)
    return high
