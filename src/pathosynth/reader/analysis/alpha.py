"""Krippendorff's alpha: agreement of any number of readers with gaps, for names, grades, measures and ratios."""

import numpy as np

from pathosynth.reader.analysis.estimate import Estimate, agreement_interval, undefined
from pathosynth.reader.analysis.units import number_of, own_units, too_few

LEVELS = ("nominal", "ordinal", "interval", "ratio")
"""Levels of measurement; each has its squared difference of two values."""


def krippendorff_alpha(values: np.ndarray, level: str, units: np.ndarray | None = None) -> Estimate:
    """Agreement 1 - observed / expected disagreement (Krippendorff 2011), with a jackknife interval over cases.

    A case counts once two readers rated it. The expected disagreement is that of all ratings paired at random.

    Args:
        values: (cases, readers), NaN where there is no rating.
        level: one of `LEVELS`.
        units: (cases,) of the cases; by default each is its own.
    """
    twice = np.isfinite(values).sum(axis=1) >= 2
    pairable, units = values[twice], (own_units(len(values)) if units is None else units)[twice]
    n, k = len(pairable), int(np.isfinite(pairable).any(axis=0).sum())
    if n == 0:
        return undefined("No case was rated by two readers.", 0, k)
    used, counts = value_counts(pairable)
    if len(used) == 1:
        return undefined("All ratings are the same, so there is no disagreement to expect.", n, k)
    if level == "ratio" and used[0] < 0:
        return undefined("A ratio level needs values of 0 or more; some are negative.", n, k)
    value, without = _jackknifed(used, counts, level)
    if number_of(units) < 3:
        return Estimate(value, why=too_few(units), cases=n, readers=k)
    ends = agreement_interval(value, without, chance_disagreement(counts), units)
    return Estimate(value, *ends, cases=n, readers=k)


def value_counts(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Values in use in ascending order, and (cases, values) how many readers gave each; NaN is no rating."""
    used = np.unique(values[np.isfinite(values)])
    return used, np.stack([(values == value).sum(axis=1) for value in used], axis=1).astype(float)


def chance_disagreement(counts: np.ndarray) -> float:
    """Share of pairs of all ratings that differ."""
    total, size = counts.sum(axis=0), counts.sum()
    return float(1 - (total * (total - 1)).sum() / (size * (size - 1)))


def _jackknifed(used: np.ndarray, counts: np.ndarray, level: str) -> tuple[float, np.ndarray]:
    """Alpha, and (n,) alpha without each case; 1 where what is left is constant."""
    sizes, total = counts.sum(axis=1), counts.sum(axis=0)
    difference = _squared_differences(used, total, level)
    within = ((counts @ difference) * counts).sum(axis=1)
    # Krippendorff 2011, eq. 2 and 3, with Σ over pairs of ratings; both times the number of ratings.
    observed, expected = within / (sizes - 1), float(total @ difference @ total)
    value = float(1 - observed.sum() * (total.sum() - 1) / expected)
    if level == "ordinal":  # its differences change with the ratings that are left
        return value, np.array([_without(used, counts, case) for case in range(len(counts))])
    left, sizes_left = observed.sum() - observed, total.sum() - sizes
    expected_left = expected - 2 * counts @ difference @ total + within
    ratio = np.zeros(len(counts))
    np.divide(left * (sizes_left - 1), expected_left, out=ratio, where=expected_left > 1e-12 * expected)
    return value, 1 - np.maximum(ratio, 0.0)


def _without(used: np.ndarray, counts: np.ndarray, case: int) -> float:
    """Ordinal alpha without a case. With squared differences of ranks, sums of squares take the place of pairs."""
    kept = np.delete(counts, case, axis=0)
    sizes, total = kept.sum(axis=1), kept.sum(axis=0)
    ranks = _middle_ranks(total)
    ranks -= np.average(ranks, weights=total) if total.sum() else 0.0  # spares digits
    observed = ((sizes * (kept @ ranks**2) - (kept @ ranks) ** 2) / (sizes - 1)).sum()
    expected = (total.sum() * (total @ ranks**2) - (total @ ranks) ** 2) / (total.sum() - 1)
    return float(1 - max(observed, 0.0) / expected) if expected > 1e-9 else 1.0


def _squared_differences(used: np.ndarray, total: np.ndarray, level: str) -> np.ndarray:
    """(values, values) squared difference of any two values.

    Args:
        used: values in ascending order.
        total: how often each was given.
        level: one of `LEVELS`.
    """
    if level == "nominal":
        return 1.0 - np.eye(len(used))
    if level == "ratio":
        sums = used[:, None] + used
        return np.asarray(np.divide(used[:, None] - used, sums, out=np.zeros_like(sums), where=sums > 0) ** 2)
    # The ordinal difference, ratings between two grades and half of both, is that of their middle ranks.
    places = _middle_ranks(total) if level == "ordinal" else used
    return np.asarray((places[:, None] - places) ** 2)


def _middle_ranks(total: np.ndarray) -> np.ndarray:
    return np.asarray(np.cumsum(total) - total / 2)
