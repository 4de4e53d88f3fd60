"""Can readers tell? Accuracy, AUC of confidence, d' and criterion, of every reader and of readers like these."""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from scipy import special

from pathosynth.reader.analysis.estimate import (
    Estimate,
    logit_interval,
    superiority_score_interval,
    two_sided,
    undefined,
    wilson,
    wilson_clustered,
)  # fmt: skip
from pathosynth.reader.analysis.mrmc import Mean, mean_estimate, mean_over_readers, no_readers
from pathosynth.reader.analysis.superiority import (
    Units,
    auc,
    cross_covariances,
    delong_covariances,
    mean_covariances,
    pair_scores,
    sum_covariances,
    unbiased_covariances,
)
from pathosynth.reader.analysis.units import number_of, own_units

ONE_READER = "One reader: the interval is over cases and says nothing of other readers."


Statistics = dict[str, Estimate]


def detect(
    scores: np.ndarray,
    positive: np.ndarray,
    threshold: float,
    readers: Sequence[str],
    units: np.ndarray | None = None,
) -> dict[str, Statistics | dict[str, Statistics]]:
    """Judge answers against the truth.

    Args:
        scores: (cases, readers) how positive a case seems, NaN where there is no answer.
        positive: (cases,) the truth.
        threshold: scores above it are answers "positive".
        readers: names of the columns.
        units: (cases,) of the cases; by default each is its own.

    Returns:
        `pooled`: `STATISTICS` for readers and cases like these; `readers`: the same of each reader.
    """
    called = np.where(np.isnan(scores), np.nan, (scores > threshold).astype(float))
    units = own_units(len(scores)) if units is None else units
    found = {name: _reader(scores[:, i], called[:, i], positive, units) for i, name in enumerate(readers)}
    kept = [i for i in range(len(readers)) if _both(scores[:, i], positive)]
    return {"pooled": detect_over_readers(scores[:, kept], positive, threshold, units), "readers": found}


def detect_over_readers(
    scores: np.ndarray, positive: np.ndarray, threshold: float, units: np.ndarray | None = None
) -> Statistics:
    """`STATISTICS` for readers and cases like these; every reader answered cases of both origins."""
    if not scores.shape[1]:
        return dict.fromkeys(STATISTICS, no_readers("cases of both origins"))
    called = np.where(np.isnan(scores), np.nan, (scores > threshold).astype(float))
    negative, hits = called[~positive], called[positive]
    units = own_units(len(scores)) if units is None else units
    sides = units[~positive], units[positive]
    cases, independent = _answered(called), _answered_units(called, units)
    return {
        "accuracy": _share_over_readers(*_accuracy(negative, hits, sides), cases, independent, independent - 2),
        "sensitivity": pooled_share(hits, sides[1]),
        "specificity": pooled_share(1 - negative, sides[0]),
        "auc": auc_over_readers([pair_scores(one[~positive], one[positive]) for one in scores.T], sides),
        "d_prime": _mean(*_gaussian(negative, hits, (1.0, -1.0), sides), cases, independent),
        "criterion": _mean(*_gaussian(negative, hits, (-0.5, -0.5), sides), cases, independent),
    }


STATISTICS = ("accuracy", "sensitivity", "specificity", "auc", "d_prime", "criterion")
"""Of every reader and pooled, in this order."""


def _both(scores: np.ndarray, positive: np.ndarray) -> bool:
    return bool(np.isfinite(scores[positive]).any() and np.isfinite(scores[~positive]).any())


def _answered(values: np.ndarray) -> int:
    return int(np.isfinite(values).any(axis=1).sum())


def _answered_units(values: np.ndarray, units: np.ndarray) -> int:
    return number_of(units[np.isfinite(values).any(axis=1)])


def _reader(scores: np.ndarray, called: np.ndarray, positive: np.ndarray, units: np.ndarray) -> Statistics:
    """Statistics of one reader; those that need both origins say so where one is missing."""
    known = np.isfinite(scores)
    right = np.where(positive, called, 1 - called)
    asked = {"accuracy": known, "sensitivity": known & positive, "specificity": known & ~positive}
    found = {name: _share(right[cases], units[cases]) for name, cases in asked.items()}
    if not _both(scores, positive):
        return found | dict.fromkeys(STATISTICS[3:], undefined("Needs cases of both origins.", int(known.sum())))
    sides = units[known & ~positive], units[known & positive]
    found["auc"] = auc_over_readers([pair_scores(scores[known & ~positive], scores[known & positive])], sides)
    negative, hits = called[known & ~positive][:, None], called[known & positive][:, None]
    for name, weights in (("d_prime", (1.0, -1.0)), ("criterion", (-0.5, -0.5))):
        values, covariance = _gaussian(negative, hits, weights, sides)
        found[name] = replace(mean_estimate(mean_over_readers(list(values), covariance)), cases=int(known.sum()))
    return found


def _share(right: np.ndarray, units: np.ndarray) -> Estimate:
    """A share of cases with Wilson's interval."""
    if not len(right):
        return undefined("No case to judge by.", 0)
    share, n = float(right.mean()), number_of(units)
    if n == len(right):
        return Estimate(share, *wilson(share, n), cases=n)
    variance = float(mean_covariances(right[:, None], units)[0, 0])
    return Estimate(share, *wilson_clustered(share, variance, n, max(n - 1, 1)), cases=len(right))


def pooled_share(called: np.ndarray, units: np.ndarray) -> Estimate:
    """Share of (cases, readers) answers that are 1, for readers and cases like these; every reader answered some."""
    independent = _answered_units(called, units)
    spread = mean_covariances(called, units)
    return _share_over_readers(np.nanmean(called, axis=0), spread, _answered(called), independent, independent - 1)


def _accuracy(negative: np.ndarray, hits: np.ndarray, units: Units) -> tuple[np.ndarray, np.ndarray]:
    """Share of right answers of every reader, and its covariance; how many cases are of each origin is given."""
    counts = np.isfinite(negative).sum(axis=0), np.isfinite(hits).sum(axis=0)
    below, above = (one / (counts[0] + counts[1]) for one in counts)
    values = below * np.nanmean(1 - negative, axis=0) + above * np.nanmean(hits, axis=0)
    return values, sum_covariances(below * (1 - negative), above * hits, units)


def _share_over_readers(
    values: np.ndarray, covariance: np.ndarray, cases: int, independent: int, case_df: int
) -> Estimate:
    mean = mean_over_readers(list(values), covariance, max(case_df, 1))
    share = min(max(mean.value, 0.0), 1.0)
    low, high = wilson_clustered(share, mean.variance, independent, mean.df)
    why = ONE_READER if mean.readers == 1 else None
    p = two_sided((share - 0.5) / math.sqrt(mean.variance), mean.df) if mean.variance > 0 else None
    df = mean.df if math.isfinite(mean.df) else None
    return Estimate(share, low, high, why, p, 0.5, df, cases, mean.readers)


def auc_over_readers(pairs: Sequence[np.ndarray], units: Units) -> Estimate:
    """AUC for readers and cases like these, from the pair scores of every reader; with one, for cases like these.

    Args:
        pairs: (negatives, positives) pair scores of every reader.
        units: of the negatives and of the positives.
    """
    known = np.isfinite(np.array(pairs)).any(axis=0)
    shown = known.any(axis=1), known.any(axis=0)
    case_df = max(number_of(np.concatenate([own[one] for own, one in zip(units, shown, strict=True)])) - 2, 1)
    mean = mean_over_readers([auc(one) for one in pairs], auc_covariances(pairs, units), case_df)
    return auc_estimate(mean, known, units)


def auc_covariances(pairs: Sequence[np.ndarray], units: Units) -> np.ndarray:
    """(readers, readers) covariance of AUCs over units.

    Unbiased where every case is its own unit; else, and of one reader, DeLong's, which is never negative.
    """
    apart = number_of(np.concatenate(units)) == sum(map(len, units))
    return unbiased_covariances(pairs) if apart and len(pairs) > 1 else delong_covariances(pairs, units)


def auc_estimate(mean: Mean, known: np.ndarray, units: Units) -> Estimate:
    """AUC with an interval symmetric in its log odds and a test against 0.5 in the same unit.

    At 0 and 1, and wherever the cases show no variance, the interval rests on the numbers of cases alone.

    Args:
        mean: the AUC, of a reader or over readers.
        known: (negatives, positives) which pairs it rests on.
        units: of the negatives and of the positives.
    """
    sizes = int(known.any(axis=1).sum()), int(known.any(axis=0).sum())
    why = ONE_READER if mean.readers == 1 else None
    if mean.variance <= 0 or not 0 < mean.value < 1:
        independent = number_of(units[0][known.any(axis=1)]), number_of(units[1][known.any(axis=0)])
        low, high = superiority_score_interval(mean.value, *independent)
        return Estimate(mean.value, low, high, why, None, 0.5, None, sum(sizes), mean.readers)
    low, high = logit_interval(mean.value, mean.variance, mean.df)
    error = math.sqrt(mean.variance) / (mean.value * (1 - mean.value))
    p = two_sided(math.log(mean.value / (1 - mean.value)) / error, mean.df)
    df = mean.df if math.isfinite(mean.df) else None
    return Estimate(mean.value, low, high, why, p, 0.5, df, sum(sizes), mean.readers)


def _mean(values: np.ndarray, covariance: np.ndarray, cases: int, independent: int) -> Estimate:
    found = mean_estimate(mean_over_readers(list(values), covariance, max(independent - 2, 1)))
    return replace(found, cases=cases)


def _gaussian(
    negative: np.ndarray, hits: np.ndarray, weights: tuple[float, float], units: Units
) -> tuple[np.ndarray, np.ndarray]:
    """A weighted sum of z(hit rate) and z(false alarm rate) of every reader, and its covariance over cases.

    Rates are (count + 0.5) / (n + 1), so that none is 0 or 1 (Hautus 1995); variances are those of Gourevitch and
    Galanter (1967) at these rates, times what common units add. d' = z(H) - z(F), criterion c = -(z(H) + z(F)) / 2.

    Args:
        negative: (negative cases, readers) 1 where "positive" was said.
        hits: (positive cases, readers) the same.
        weights: of z(H) and z(F).
        units: of the negative and of the positive cases.
    """
    r = negative.shape[1]
    values, covariance, turned = np.zeros(r), np.zeros((r, r)), []
    for weight, called, grouped in zip(weights, (hits, negative), reversed(units), strict=True):
        n = np.isfinite(called).sum(axis=0)
        rates = (np.nansum(called, axis=0) + 0.5) / (n + 1)
        z = special.ndtri(rates)
        slopes = weight * np.sqrt(2 * np.pi) * np.exp(z**2 / 2)  # over the normal density at z
        own, apart = mean_covariances(called, grouped), np.diagonal(mean_covariances(called))
        common = np.divide(np.diagonal(own), apart, out=np.ones(r), where=apart > 0)
        np.fill_diagonal(own, rates * (1 - rates) / n * common)
        values += weight * z
        covariance += np.outer(slopes, slopes) * own
        turned.append(slopes)
    cross = np.outer(turned[1], turned[0]) * cross_covariances(negative, hits, units)
    return values, covariance + cross + cross.T
