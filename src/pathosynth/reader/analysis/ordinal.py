"""Grades of two arms by a proportional odds model: how much higher are the odds of a better grade?"""

import math
from dataclasses import dataclass

import numpy as np
from scipy import special

from pathosynth.reader.analysis.estimate import Estimate, quantile, two_sided, undefined
from pathosynth.reader.analysis.units import number_of, own_units, summed

MOST_GRADES = 20
"""Above so many different values the model has more thresholds than a study can bear."""

_STEPS, _ENOUGH = 60, 1e-9
_FARTHEST = 12.0
"""Log odds ratio beyond which the grades of one arm are taken to lie above all of the other's."""


@dataclass(frozen=True)
class Fit:
    """A fitted model: logit P(grade <= j) = threshold_j - reader - slope · arm.

    Attributes:
        slope: log odds ratio of a higher grade in the second arm.
        influence: (2, readers, grades) how much one reading more of each sort would move the slope.
    """

    slope: float
    influence: np.ndarray


def odds_ratio(values: np.ndarray, second: np.ndarray, units: np.ndarray | None = None) -> Estimate:
    """Odds ratio of a higher grade in the second arm, readers and cases being samples.

    Every reader has a level of its own (McCullagh 1980, with readers as factor). The variance is that of readings
    clustered by reader and by unit at once.

    Args:
        values: (cases, readers) grades, NaN where there is none.
        second: (cases,) whether a case is of the second arm.
        units: (cases,) of the cases; by default each is its own.
    """
    grades = np.unique(values[np.isfinite(values)])
    kept = np.array([np.isfinite(values[second, i]).any() or np.isfinite(values[~second, i]).any()
                     for i in range(values.shape[1])], bool)  # fmt: skip
    values = values[:, kept]
    cases, readers = int(np.isfinite(values).any(axis=1).sum()), values.shape[1]
    if not 2 <= len(grades) <= MOST_GRADES:
        few = (
            "All grades are the same." if len(grades) < 2 else f"More than {MOST_GRADES} values: not grades of a scale."
        )
        return undefined(few, cases, readers)
    place = np.where(np.isfinite(values), np.searchsorted(grades, np.nan_to_num(values, nan=grades[0])), -1)
    fit = fit_proportional_odds(_counts(place, second, len(grades)))
    if fit is None:
        return undefined("The grades of the arms hardly overlap, so that no finite odds ratio fits.", cases, readers)
    moved = np.where(place >= 0, fit.influence[second.astype(int)[:, None], np.arange(readers), place], np.nan)
    variance, df = crossed_variance(moved, second, own_units(len(values)) if units is None else units)
    if variance <= 0:
        return Estimate(math.exp(fit.slope), why="No spread between cases.", null=1.0, cases=cases, readers=readers)
    half = quantile(df) * math.sqrt(variance)
    low, high = math.exp(max(fit.slope - half, -50.0)), math.exp(min(fit.slope + half, 50.0))
    p = two_sided(fit.slope / math.sqrt(variance), df)
    known = df if math.isfinite(df) else None
    return Estimate(math.exp(fit.slope), low, high, None, p, 1.0, known, cases, readers)


def _counts(place: np.ndarray, second: np.ndarray, grades: int) -> np.ndarray:
    """(2, readers, grades) readings of each sort."""
    sorts = [[np.bincount(one[one >= 0], minlength=grades) for one in place[arm].T] for arm in (~second, second)]
    return np.array(sorts, float)


def fit_proportional_odds(counts: np.ndarray) -> Fit | None:
    """Maximum likelihood by Fisher scoring; None where it lies at infinity.

    Args:
        counts: (2, readers, grades) readings of each arm and reader; every grade occurs.
    """
    _, readers, grades = counts.shape
    share = np.cumsum(counts.sum(axis=(0, 1)))[:-1] / counts.sum()
    theta = np.concatenate([special.logit(share), np.zeros(readers)])  # thresholds, readers but the first, slope
    best = -math.inf
    for _ in range(_STEPS):
        chances, slopes = _model(theta, readers, grades)
        score = np.einsum("arg,argp->p", counts / chances, slopes)
        weight = counts.sum(axis=2)[..., None] / chances
        information = np.einsum("arg,argp,argq->pq", weight, slopes, slopes)
        step = np.linalg.lstsq(information, score, rcond=None)[0]
        likelihood = float((counts * np.log(chances)).sum())
        if abs(theta[-1]) > _FARTHEST:
            return None
        if float(np.abs(score @ step)) < _ENOUGH or abs(likelihood - best) < _ENOUGH * 1e-3:
            towards = np.linalg.lstsq(information, np.eye(len(theta))[-1], rcond=None)[0]
            return Fit(float(theta[-1]), np.einsum("argp,p->arg", slopes / chances[..., None], towards))
        theta, best = _ascended(counts, theta, step, likelihood), likelihood
    return None


def _ascended(counts: np.ndarray, theta: np.ndarray, step: np.ndarray, before: float) -> np.ndarray:
    """A step, halved until thresholds stay in order and the likelihood does not fall."""
    _, readers, grades = counts.shape
    for halving in range(30):
        tried = theta + step / 2**halving
        if (np.diff(tried[: grades - 1]) > 0).all():
            chances, _ = _model(tried, readers, grades)
            if float((counts * np.log(chances)).sum()) >= before - 1e-12:
                return np.asarray(tried)
    return theta


def _model(theta: np.ndarray, readers: int, grades: int) -> tuple[np.ndarray, np.ndarray]:
    """(2, readers, grades) chances, and their derivatives by every parameter."""
    thresholds, levels, slope = theta[: grades - 1], np.r_[0.0, theta[grades - 1 : -1]], theta[-1]
    at = thresholds - levels[None, :, None] - np.array([0.0, slope])[:, None, None]
    below = special.expit(at)
    density = below * (1 - below)
    # Derivatives of P(grade <= j), by its own threshold, by the reader's level, by the slope.
    cumulated = np.zeros((2, readers, grades + 1, len(theta)))
    for j in range(grades - 1):
        cumulated[:, :, j + 1, j] = density[..., j]
    for reader in range(1, readers):
        cumulated[:, reader, 1:-1, grades - 2 + reader] = -density[:, reader]
    cumulated[1, :, 1:-1, -1] = -density[1]
    ends = np.zeros((2, readers, 1)), np.ones((2, readers, 1))
    chances = np.diff(np.concatenate([ends[0], below, ends[1]], axis=2), axis=2)
    return np.maximum(chances, 1e-300), np.diff(cumulated, axis=2)


def crossed_variance(moved: np.ndarray, second: np.ndarray, units: np.ndarray) -> tuple[float, float]:
    """Variance of a sum of influences of readings, clustered by reader and by unit, and its degrees of freedom.

    That of readers holds the noise of single readings already; of that of units only what goes beyond it is added, as
    Obuchowski and Rockette do. With one reader units alone vary.

    Args:
        moved: (cases, readers) influences, NaN where there is no reading.
        second: (cases,) whether a case is of the second arm; cases vary about the mean of their arm.
        units: (cases,) of the cases.
    """
    filled = np.nan_to_num(moved)
    readers = filled.shape[1]
    centred, kept, arms = np.zeros_like(filled), np.zeros(len(units), bool), 0
    for arm in (~second, second):
        own = arm & np.isfinite(moved).any(axis=1)
        n = number_of(units[own])
        if n > 1:
            centred[own] = (filled[own] - filled[own].mean(axis=0)) * math.sqrt(n / (n - 1))
            kept, arms = kept | own, arms + 1
    by_unit = summed(centred[kept], units[kept])
    over_cases, df = float((by_unit.sum(axis=1) ** 2).sum()), number_of(units[kept]) - arms
    if readers == 1:
        return over_cases, float(df) if df > 0 else math.inf
    noise = float(((by_unit - by_unit.mean(axis=1, keepdims=True)) ** 2).sum()) * readers / (readers - 1)
    over_readers = readers / (readers - 1) * float((filled.sum(axis=0) ** 2).sum())
    variance = over_readers + max(over_cases - noise, 0.0)
    return variance, variance**2 / (over_readers**2 / (readers - 1)) if over_readers > 0 else math.inf
