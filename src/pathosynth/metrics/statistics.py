"""Many numbers -> a few with their uncertainty. One value per subject goes in; people are drawn and tested."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy import stats

DRAWS = 5000
"""Bootstrap samples: the ends of a 95 % interval then repeat to about a hundredth of its width."""

FEWEST = 6
"""Fewest pairs with which a two-sided signed-rank test can fall below 0.05: its smallest p is 2 / 2^n."""

_LEVEL = 0.95


@dataclass(frozen=True)
class Summary:
    """A sample that may hold +inf (a missed structure). None is what it does not define.

    Attributes:
        n: values, infinite ones with them.
        n_finite: finite values.
        mean: of the finite ones.
        sd: of the finite ones, of a sample.
        mean_capped: of all, infinite ones as their caps; equals `mean` where all are finite.
        mean_low: lower end of the bootstrap interval of `mean_capped`.
        mean_high: upper end.
        minimum: of all; infinite values are the last in order here and below.
        q1: lower quartile.
        median: of all.
        q3: upper quartile.
        maximum: of all.
        median_low: lower end of the bootstrap interval of `median`.
        median_high: upper end.
    """

    n: int
    n_finite: int
    mean: float | None
    sd: float | None
    mean_capped: float | None
    mean_low: float | None
    mean_high: float | None
    minimum: float | None
    q1: float | None
    median: float | None
    q3: float | None
    maximum: float | None
    median_low: float | None
    median_high: float | None


def summarise(values: np.ndarray, capped: np.ndarray, seed: int) -> Summary:
    """Describe a sample.

    Args:
        values: (n,) one per subject, finite or +inf.
        capped: (n,) the same with a finite value for each infinite one.
        seed: of the bootstrap.
    """
    finite = values[np.isfinite(values)]
    if not len(values):
        return Summary(0, 0, *[None] * 12)
    mean_ends, median_ends = bootstrap(capped, means, seed), bootstrap(values, medians, seed)
    low, q1, median, q3, high = (quantile(values, q) for q in (0, 0.25, 0.5, 0.75, 1))
    return Summary(
        n=len(values),
        n_finite=len(finite),
        mean=float(finite.mean()) if len(finite) else None,
        sd=float(finite.std(ddof=1)) if len(finite) > 1 else None,
        mean_capped=float(capped.mean()),
        mean_low=mean_ends[0],
        mean_high=mean_ends[1],
        minimum=low,
        q1=q1,
        median=median,
        q3=q3,
        maximum=high,
        median_low=median_ends[0],
        median_high=median_ends[1],
    )


def quantile(values: np.ndarray, q: float) -> float:
    """Quantile with linear interpolation that knows infinity: between a finite value and +inf lies +inf."""
    ordered = np.sort(values)
    place = q * (len(ordered) - 1)
    below = int(np.floor(place + 1e-12))
    above, share = min(below + 1, len(ordered) - 1), max(place - below, 0.0)
    low, high = float(ordered[below]), float(ordered[above])
    return low if share < 1e-9 or low == high else low + share * (high - low)


def means(samples: np.ndarray) -> np.ndarray:
    """(draws,) means of (draws, n)."""
    return np.asarray(samples.mean(axis=1))


def medians(samples: np.ndarray) -> np.ndarray:
    """(draws,) medians of (draws, n), which may hold +inf."""
    n = samples.shape[1]
    ordered = np.partition(samples, (n // 2, (n - 1) // 2), axis=1)
    return np.asarray((ordered[:, n // 2] + ordered[:, (n - 1) // 2]) / 2)


def bootstrap(
    values: np.ndarray, statistic: Callable[[np.ndarray], np.ndarray], seed: int
) -> tuple[float | None, float | None]:
    """Percentile bootstrap interval, 95 %, of a statistic of (n,) values; None twice below two values.

    All samples of one size are drawn alike with one seed, so that arms are compared on the same draws. With few
    subjects the interval is too short (by about a tenth at n = 10).
    """
    if len(values) < 2:
        return None, None
    found = statistic(values[_drawn(len(values), seed)])
    return quantile(found, (1 - _LEVEL) / 2), quantile(found, (1 + _LEVEL) / 2)


@lru_cache(maxsize=8)
def _drawn(n: int, seed: int) -> np.ndarray:
    """(draws, n) which subjects each bootstrap sample holds."""
    return np.random.default_rng((seed, n)).integers(0, n, (DRAWS, n))


@dataclass(frozen=True)
class Paired:
    """A paired comparison over subjects.

    Attributes:
        n: pairs.
        higher: pairs in which the first is higher.
        lower: pairs in which it is lower.
        difference: mean difference, first minus second, infinite values capped; None without a pair.
        low: lower end of its bootstrap interval.
        high: upper end.
        p: of the two-sided Wilcoxon signed-rank test; None where no pair differs.
        effect: matched-pairs rank-biserial correlation, -1 to 1 (Kerby 2014); None where no pair differs.
        smallest_p: what the test could give at best with so many pairs that differ.
    """

    n: int
    higher: int
    lower: int
    difference: float | None
    low: float | None
    high: float | None
    p: float | None
    effect: float | None
    smallest_p: float | None


def paired(first: np.ndarray, second: np.ndarray, capped: tuple[np.ndarray, np.ndarray], seed: int) -> Paired:
    """Compare two samples of the same subjects.

    The test takes ranks of differences: one infinite value outranks every finite difference, two are no difference, as
    pairs without one are left out (Wilcoxon 1945). The p is exact up to 50 pairs without ties.

    Args:
        first: (n,) values of the subjects, finite or +inf.
        second: (n,) of the same subjects in the same order.
        capped: both with finite values in place of infinite ones.
        seed: of the bootstrap.
    """
    n = len(first)
    if n == 0:
        return Paired(0, 0, 0, None, None, None, None, None, None)
    change = capped[0] - capped[1]
    low, high = bootstrap(change, means, seed)
    differences = rankable(first, second)
    differences = differences[differences != 0]
    p, effect, smallest = None, None, None
    if len(differences):
        p = float(stats.wilcoxon(differences).pvalue)
        effect = rank_biserial(differences)
        smallest = min(1.0, 2.0 ** (1 - len(differences)))
    higher, lower = int((differences > 0).sum()), int((differences < 0).sum())
    return Paired(n, higher, lower, float(change.mean()), low, high, p, effect, smallest)


def rankable(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """(n,) finite differences with the ranks of first - second; of two infinite values it is 0.

    Differences within rounding of each other are made equal, so that they are the ties they should be.
    """
    both = np.isinf(first) & np.isinf(second)
    with np.errstate(invalid="ignore"):
        change = np.where(both, 0.0, first - second)
    largest = float(np.abs(change[np.isfinite(change)]).max(initial=0.0))
    change = np.where(np.isinf(change), np.sign(change) * (2 * largest + 1), change)
    scale = float(np.abs(change).max(initial=0.0)) or 1.0
    return np.asarray(np.round(change / scale, 12) * scale)


def rank_biserial(differences: np.ndarray) -> float:
    """Share of the rank sum that is in favour minus the share against, of (n,) differences that are not 0."""
    ranks = stats.rankdata(np.abs(differences))
    return float((ranks * np.sign(differences)).sum() / ranks.sum())


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Adjust p-values of one family by Holm's step-down method (1979); None (nothing to test) stays out of it."""
    tested = sorted((p, place) for place, p in enumerate(p_values) if p is not None)
    adjusted: list[float | None] = [None] * len(p_values)
    highest = 0.0
    for rank, (p, place) in enumerate(tested):
        highest = max(highest, min(1.0, (len(tested) - rank) * p))
        adjusted[place] = highest
    return adjusted


@dataclass(frozen=True)
class Agreement:
    """Two measurements of the same thing (Bland & Altman 1999). None is what so few people do not define.

    Attributes:
        n: cases; a subject may have several.
        mae: mean over subjects of their mean absolute error.
        sd_absolute: SD of the subjects' mean absolute errors.
        mae_low: lower end of the bootstrap interval of the MAE over subjects.
        mae_high: upper end.
        bias: mean over subjects of their mean error.
        bias_low: lower end of its 95 % t interval over subjects.
        bias_high: upper end.
        sd: SD of the errors of single predictions, subjects with equal weight.
        limit_low: bias - 1.96 SD.
        limit_high: bias + 1.96 SD.
        limit_error: half the approximate 95 % t interval of either limit, sqrt(3 / subjects) SD.
    """

    n: int
    mae: float | None = None
    sd_absolute: float | None = None
    mae_low: float | None = None
    mae_high: float | None = None
    bias: float | None = None
    bias_low: float | None = None
    bias_high: float | None = None
    sd: float | None = None
    limit_low: float | None = None
    limit_high: float | None = None
    limit_error: float | None = None


def agreement(errors: np.ndarray, subjects: Sequence[str], seed: int) -> Agreement:
    """Agreement of (n cases, runs) errors.

    Bias and absolute errors are averaged over the runs and cases of a subject first, so that somebody with nine scans
    counts once; subjects are the sample of both intervals. The SD and the limits are those of a single prediction of
    a subject, for repeated measures: averaging would make several trainings look like one that errs less.

    Args:
        errors: prediction minus reference.
        subjects: of each case.
        seed: of the bootstrap.
    """
    of_case = np.array(subjects)
    people = [errors[of_case == one] for one in dict.fromkeys(subjects)]
    n = len(people)
    if n == 0:
        return Agreement(0)
    biases, absolute = (np.array([change(one).mean() for one in people]) for change in (np.asarray, np.abs))
    bias, mae = float(biases.mean()), float(absolute.mean())
    if n == 1:
        return Agreement(len(errors), mae=mae, bias=bias)
    sd, t = _single_sd(people, bias), float(stats.t.ppf((1 + _LEVEL) / 2, n - 1))
    half = t * float(biases.std(ddof=1)) / float(np.sqrt(n))
    low, high = bootstrap(absolute, means, seed)
    return Agreement(
        len(errors), mae, float(absolute.std(ddof=1)), low, high, bias, bias - half, bias + half, sd,
        bias - 1.96 * sd, bias + 1.96 * sd, t * sd * float(np.sqrt(3 / n)),
    )  # fmt: skip


def _single_sd(people: Sequence[np.ndarray], bias: float) -> float:
    """SD of single errors about the bias where every subject has the same weight, whatever the number of errors.

    It is unbiased for errors that do not depend on each other; with as many of each subject it is the usual SD of all.
    """
    n = len(people)
    square = sum(float(np.square(one - bias).mean()) for one in people) / n
    return float(np.sqrt(square / (1 - sum(1 / one.size for one in people) / n**2)))
