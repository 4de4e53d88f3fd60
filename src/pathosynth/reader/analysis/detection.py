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
    auc,
    delong_covariances,
    mean_covariances,
    pair_scores,
    unbiased_covariances,
)

ONE_READER = "One reader: the interval is over cases and says nothing of other readers."


Statistics = dict[str, Estimate]


def detect(
    scores: np.ndarray, positive: np.ndarray, threshold: float, readers: Sequence[str]
) -> dict[str, Statistics | dict[str, Statistics]]:
    """Judge answers against the truth.

    Args:
        scores: (cases, readers) how positive a case seems, NaN where there is no answer.
        positive: (cases,) the truth.
        threshold: scores above it are answers "positive".
        readers: names of the columns.

    Returns:
        `pooled`: `STATISTICS` for readers and cases like these; `readers`: the same of each reader.
    """
    called = np.where(np.isnan(scores), np.nan, (scores > threshold).astype(float))
    found = {name: _reader(scores[:, i], called[:, i], positive) for i, name in enumerate(readers)}
    kept = [i for i in range(len(readers)) if _both(scores[:, i], positive)]
    return {"pooled": detect_over_readers(scores[:, kept], positive, threshold), "readers": found}


def detect_over_readers(scores: np.ndarray, positive: np.ndarray, threshold: float) -> Statistics:
    """`STATISTICS` for readers and cases like these; every reader answered cases of both origins."""
    if not scores.shape[1]:
        return dict.fromkeys(STATISTICS, no_readers("cases of both origins"))
    called = np.where(np.isnan(scores), np.nan, (scores > threshold).astype(float))
    negative, hits = called[~positive], called[positive]
    cases = _answered(called)
    return {
        "accuracy": _share_over_readers(*_accuracy(negative, hits), cases, cases - 2),
        "sensitivity": pooled_share(hits),
        "specificity": pooled_share(1 - negative),
        "auc": auc_over_readers([pair_scores(one[~positive], one[positive]) for one in scores.T]),
        "d_prime": _mean(*_gaussian(negative, hits, (1.0, -1.0)), cases),
        "criterion": _mean(*_gaussian(negative, hits, (-0.5, -0.5)), cases),
    }


STATISTICS = ("accuracy", "sensitivity", "specificity", "auc", "d_prime", "criterion")
"""Of every reader and pooled, in this order."""


def _both(scores: np.ndarray, positive: np.ndarray) -> bool:
    return bool(np.isfinite(scores[positive]).any() and np.isfinite(scores[~positive]).any())


def _answered(values: np.ndarray) -> int:
    return int(np.isfinite(values).any(axis=1).sum())


def _reader(scores: np.ndarray, called: np.ndarray, positive: np.ndarray) -> Statistics:
    """Statistics of one reader; those that need both origins say so where one is missing."""
    known = np.isfinite(scores)
    right = np.where(positive, called, 1 - called)
    found = {
        "accuracy": _share(right[known]),
        "sensitivity": _share(right[known & positive]),
        "specificity": _share(right[known & ~positive]),
    }
    if not _both(scores, positive):
        return found | dict.fromkeys(STATISTICS[3:], undefined("Needs cases of both origins.", int(known.sum())))
    pairs = pair_scores(scores[known & ~positive], scores[known & positive])
    found["auc"] = auc_over_readers([pairs])
    negative, hits = called[known & ~positive][:, None], called[known & positive][:, None]
    for name, weights in (("d_prime", (1.0, -1.0)), ("criterion", (-0.5, -0.5))):
        values, covariance = _gaussian(negative, hits, weights)
        found[name] = replace(mean_estimate(mean_over_readers(list(values), covariance)), cases=int(known.sum()))
    return found


def _share(right: np.ndarray) -> Estimate:
    """A share of cases with Wilson's interval."""
    if not len(right):
        return undefined("No case to judge by.", 0)
    share = float(right.mean())
    return Estimate(share, *wilson(share, len(right)), cases=len(right))


def pooled_share(called: np.ndarray) -> Estimate:
    """Share of (cases, readers) answers that are 1, for readers and cases like these; every reader answered some."""
    cases = _answered(called)
    return _share_over_readers(np.nanmean(called, axis=0), mean_covariances(called), cases, cases - 1)


def _accuracy(negative: np.ndarray, hits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Share of right answers of every reader, and its covariance; how many cases are of each origin is given."""
    counts = np.isfinite(negative).sum(axis=0), np.isfinite(hits).sum(axis=0)
    below, above = (one / (counts[0] + counts[1]) for one in counts)
    values = below * np.nanmean(1 - negative, axis=0) + above * np.nanmean(hits, axis=0)
    spread = np.outer(below, below) * mean_covariances(negative) + np.outer(above, above) * mean_covariances(hits)
    return values, spread


def _share_over_readers(values: np.ndarray, covariance: np.ndarray, cases: int, case_df: int) -> Estimate:
    mean = mean_over_readers(list(values), covariance, max(case_df, 1))
    share = min(max(mean.value, 0.0), 1.0)
    low, high = wilson_clustered(share, mean.variance, cases, mean.df)
    why = ONE_READER if mean.readers == 1 else None
    p = two_sided((share - 0.5) / math.sqrt(mean.variance), mean.df) if mean.variance > 0 else None
    df = mean.df if math.isfinite(mean.df) else None
    return Estimate(share, low, high, why, p, 0.5, df, cases, mean.readers)


def auc_over_readers(pairs: Sequence[np.ndarray]) -> Estimate:
    """AUC for readers and cases like these, from the pair scores of every reader; with one, for cases like these."""
    known = np.isfinite(np.array(pairs)).any(axis=0)
    case_df = max(int(known.any(axis=1).sum() + known.any(axis=0).sum()) - 2, 1)
    return auc_estimate(mean_over_readers([auc(one) for one in pairs], auc_covariances(pairs), case_df), known)


def auc_covariances(pairs: Sequence[np.ndarray]) -> np.ndarray:
    """(readers, readers) covariance of AUCs over cases: unbiased; of one reader DeLong's, which is never negative."""
    return unbiased_covariances(pairs) if len(pairs) > 1 else delong_covariances(pairs)


def auc_estimate(mean: Mean, known: np.ndarray) -> Estimate:
    """AUC with an interval symmetric in its log odds and a test against 0.5 in the same unit.

    At 0 and 1, and wherever the cases show no variance, the interval rests on the numbers of cases alone.

    Args:
        mean: the AUC, of a reader or over readers.
        known: (negatives, positives) which pairs it rests on.
    """
    sizes = int(known.any(axis=1).sum()), int(known.any(axis=0).sum())
    why = ONE_READER if mean.readers == 1 else None
    if mean.variance <= 0 or not 0 < mean.value < 1:
        low, high = superiority_score_interval(mean.value, *sizes)
        return Estimate(mean.value, low, high, why, None, 0.5, None, sum(sizes), mean.readers)
    low, high = logit_interval(mean.value, mean.variance, mean.df)
    error = math.sqrt(mean.variance) / (mean.value * (1 - mean.value))
    p = two_sided(math.log(mean.value / (1 - mean.value)) / error, mean.df)
    df = mean.df if math.isfinite(mean.df) else None
    return Estimate(mean.value, low, high, why, p, 0.5, df, sum(sizes), mean.readers)


def _mean(values: np.ndarray, covariance: np.ndarray, cases: int) -> Estimate:
    found = mean_estimate(mean_over_readers(list(values), covariance, max(cases - 2, 1)))
    return replace(found, cases=cases)


def _gaussian(negative: np.ndarray, hits: np.ndarray, weights: tuple[float, float]) -> tuple[np.ndarray, np.ndarray]:
    """A weighted sum of z(hit rate) and z(false alarm rate) of every reader, and its covariance over cases.

    Rates are (count + 0.5) / (n + 1), so that none is 0 or 1 (Hautus 1995); variances are those of Gourevitch and
    Galanter (1967) at these rates. d' = z(H) - z(F), criterion c = -(z(H) + z(F)) / 2.

    Args:
        negative: (negative cases, readers) 1 where "positive" was said.
        hits: (positive cases, readers) the same.
        weights: of z(H) and z(F).
    """
    r = negative.shape[1]
    values, covariance = np.zeros(r), np.zeros((r, r))
    for weight, called in zip(weights, (hits, negative), strict=True):
        n = np.isfinite(called).sum(axis=0)
        rates = (np.nansum(called, axis=0) + 0.5) / (n + 1)
        z = special.ndtri(rates)
        slopes = weight * np.sqrt(2 * np.pi) * np.exp(z**2 / 2)  # over the normal density at z
        own = mean_covariances(called)
        np.fill_diagonal(own, rates * (1 - rates) / n)
        values += weight * z
        covariance += np.outer(slopes, slopes) * own
    return values, covariance
