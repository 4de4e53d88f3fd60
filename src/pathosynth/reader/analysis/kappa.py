"""Kappas and percent agreement: how often readers say the same, beyond chance and as it is."""

import itertools
import math
from collections.abc import Callable

import numpy as np

from pathosynth.reader.analysis.alpha import value_counts
from pathosynth.reader.analysis.estimate import Estimate, agreement_interval, undefined, wilson_clustered
from pathosynth.reader.analysis.superiority import mean_covariances
from pathosynth.reader.analysis.units import number_of, own_units, too_few

WEIGHTS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "none": lambda apart: (apart != 0).astype(float),
    "linear": np.abs,
    "quadratic": lambda apart: apart**2,
}
"""How much two values disagree, from how far they lie apart. Distances are those of the values themselves: with grades
0 to 3 of which nobody used 2, 1 and 3 still lie two apart."""


def fleiss_kappa(values: np.ndarray, units: np.ndarray | None = None) -> Estimate:
    """Fleiss' kappa (1971) of values as names, with a jackknife interval over cases.

    Readers may differ from case to case and in number: a case counts once two rated it, agreement is averaged over
    cases, and chance is that of all their ratings.

    Args:
        values: (cases, readers), NaN where there is no rating.
        units: (cases,) of the cases; by default each is its own.
    """
    rated, units, n, k = _rated_twice(values, units)
    if n == 0:
        return undefined("No case was rated by two readers.", 0, k)
    used, counts = value_counts(rated)
    if len(used) == 1:
        return undefined("All ratings are the same, so all agreement is what chance would give.", n, k)
    total, agreed = counts.sum(axis=0), _agreed(counts)
    chance = float(1 - ((total / total.sum()) ** 2).sum())  # Fleiss 1971, eq. 4
    value = 1 - (1 - float(agreed.mean())) / chance
    if number_of(units) < 3:
        return Estimate(value, why=too_few(units), cases=n, readers=k)
    left = total - counts
    chance_left = 1 - ((left / left.sum(axis=1, keepdims=True)) ** 2).sum(axis=1)
    disagreed_left = 1 - (agreed.sum() - agreed) / (n - 1)
    ratio = np.divide(disagreed_left, chance_left, out=np.zeros(n), where=chance_left > 1e-12)
    return Estimate(value, *agreement_interval(value, 1 - ratio, chance, units), cases=n, readers=k)


def _rated_twice(values: np.ndarray, units: np.ndarray | None) -> tuple[np.ndarray, np.ndarray, int, int]:
    """The cases that two readers rated or more, their units, their number, and that of their readers."""
    twice = np.isfinite(values).sum(axis=1) >= 2
    rated, units = values[twice], (own_units(len(values)) if units is None else units)[twice]
    return rated, units, len(rated), int(np.isfinite(rated).any(axis=0).sum())


def _agreed(counts: np.ndarray) -> np.ndarray:
    """(cases,) share of the pairs of ratings of a case that are equal; Fleiss 1971, eq. 2."""
    sizes = counts.sum(axis=1)
    agreed: np.ndarray = (counts * (counts - 1)).sum(axis=1) / (sizes * (sizes - 1))
    return agreed


def cohen_kappa(values: np.ndarray, weights: str, units: np.ndarray | None = None) -> Estimate:
    """Cohen's weighted kappa (1968), the mean over pairs of readers, with a jackknife interval over cases.

    Args:
        values: (cases, readers), NaN where there is no rating; a pair shares the cases that both rated.
        weights: key of `WEIGHTS`.
        units: (cases,) of the cases; by default each is its own.
    """
    n, k = values.shape
    pairs, constant = [], 0
    rated = int((np.isfinite(values).sum(axis=1) >= 2).sum())
    for first, second in itertools.combinations(range(k), 2):
        shared = np.isfinite(values[:, first]) & np.isfinite(values[:, second])
        if not shared.any():
            continue
        pair = _pair_kappa(values[shared, first], values[shared, second], WEIGHTS[weights])
        if pair is None:
            constant += 1
            continue
        without = np.full(n, pair[0])
        without[shared] = pair[1]
        pairs.append((*pair, without, shared))
    shared_by_any = np.array([pair[4] for pair in pairs]).any(axis=0) if pairs else np.zeros(n, bool)
    cases = int(shared_by_any.sum())
    if not pairs:
        same = "Both readers of every pair gave one and the same value, so all agreement is what chance would give."
        return undefined(same if constant else "No case was rated by two readers.", rated, k)
    value = float(np.mean([pair[0] for pair in pairs]))
    why = f"{constant} pairs of readers with one and the same value throughout are left out." if constant else None
    units = (own_units(n) if units is None else units)[shared_by_any]
    if number_of(units) < 3:
        return Estimate(value, why=too_few(units), cases=cases, readers=k)
    without = np.mean([pair[3] for pair in pairs], axis=0)[shared_by_any]
    chance = float(np.mean([pair[2] for pair in pairs]))
    return Estimate(value, *agreement_interval(value, without, chance, units), why=why, cases=cases, readers=k)


def _pair_kappa(
    first: np.ndarray, second: np.ndarray, weight: Callable[[np.ndarray], np.ndarray]
) -> tuple[float, np.ndarray, float] | None:
    """Kappa of two readers, the same without each case, and how often they differ by chance; None if never."""
    n = len(first)
    apart = first[:, None] - second
    disagreement, differs = weight(apart), float((apart != 0).mean())
    # Cohen 1968: observed over expected disagreement; the expected one pairs every rating with every other's.
    observed, expected = np.diagonal(disagreement), float(disagreement.sum())
    if expected == 0:
        return None
    value = 1 - n * float(observed.sum()) / expected
    left = expected - disagreement.sum(axis=0) - disagreement.sum(axis=1) + observed
    some = left > 1e-12 * expected
    ratio = np.divide((n - 1) * (observed.sum() - observed), left, out=np.zeros(n), where=some)
    return value, 1 - np.maximum(ratio, 0.0), differs


def percent_agreement(values: np.ndarray, units: np.ndarray | None = None) -> Estimate:
    """Share of pairs of readers that gave a case the same value, averaged over cases, with Wilson's interval.

    Pairs of one case are not independent: the interval takes cases as the unit.

    Args:
        values: (cases, readers), NaN where there is no rating.
        units: (cases,) of the cases; by default each is its own.
    """
    rated, units, n, k = _rated_twice(values, units)
    if n == 0:
        return undefined("No case was rated by two readers.", 0, k)
    _, counts = value_counts(rated)
    agreed = _agreed(counts)
    share = float(agreed.mean())
    independent, variance = number_of(units), float(mean_covariances(agreed[:, None], units)[0, 0])
    low, high = wilson_clustered(
        min(share, 1.0), variance, independent, independent - 1 if independent > 1 else math.inf
    )
    return Estimate(min(share, 1.0), low, high, cases=n, readers=k)
