"""How often a case of one sort is rated higher than one of another: AUC, and how readers' AUCs vary together.

Every reader's value is a mean over pairs of one negative and one positive case, a two-sample U-statistic. Readers share
cases, so their values vary together; what is estimated here is that covariance over new cases.
"""

from collections.abc import Sequence

import numpy as np


def pair_scores(negative: np.ndarray, positive: np.ndarray) -> np.ndarray:
    """(negatives, positives) 1 where the positive case has the higher score, 1/2 at a tie, 0 else; NaN without both."""
    apart = positive[None, :] - negative[:, None]
    return np.asarray(np.where(np.isnan(apart), np.nan, (np.sign(apart) + 1) / 2))


def auc(scores: np.ndarray) -> float:
    """Mean of the pair scores there are, NaN without any: P(positive > negative) + P(tie) / 2."""
    known = np.isfinite(scores)
    return float(scores[known].mean()) if known.any() else float("nan")


def unbiased_covariances(scores: Sequence[np.ndarray]) -> np.ndarray:
    """(readers, readers) covariance of AUCs over new cases, without bias (Gallas 2006; Bandos, Rockette & Gur 2007).

    The product of two AUCs less an estimate of the product of their expectations, for which pairs of pairs without any
    common case are taken. May be slightly negative; 0 where there are too few cases to tell.

    Args:
        scores: (negatives, positives) pair scores of every reader, of the same cases; NaN where unknown.
    """
    values, known = np.nan_to_num(scores), np.isfinite(scores).astype(float)
    products, pairs = _without_common_case(values), _without_common_case(known)
    means = np.array([auc(one) for one in scores])
    apart = np.divide(products, pairs, out=np.outer(means, means), where=pairs > 0.5)
    return np.asarray(np.outer(means, means) - apart)


def _without_common_case(x: np.ndarray) -> np.ndarray:
    """(readers, readers) sum of x_ij y_i'j' over i ≠ i' and j ≠ j'."""
    flat, rows, columns = x.reshape(len(x), -1), x.sum(axis=2), x.sum(axis=1)
    sums = flat.sum(axis=1)
    return np.asarray(np.outer(sums, sums) - rows @ rows.T - columns @ columns.T + flat @ flat.T)


def delong_covariances(scores: Sequence[np.ndarray]) -> np.ndarray:
    """(readers, readers) covariance of AUCs from the placements of their cases (DeLong et al. 1988).

    Args:
        scores: (negatives, positives) pair scores of every reader, of the same cases; NaN where unknown.
    """
    stacked = np.array(scores)
    return np.asarray(mean_covariances(_means(stacked, 2).T) + mean_covariances(_means(stacked, 1).T))


def _means(values: np.ndarray, axis: int) -> np.ndarray:
    """Means over an axis of what is known, NaN where nothing is."""
    known = np.isfinite(values)
    counts = known.sum(axis=axis)
    sums = np.where(known, values, 0.0).sum(axis=axis)
    return np.asarray(np.divide(sums, counts, out=np.full(counts.shape, np.nan), where=counts > 0))


def mean_covariances(values: np.ndarray) -> np.ndarray:
    """(readers, readers) covariance of readers' means over new cases; 0 for readers who share fewer than two cases.

    Args:
        values: (cases, readers), NaN where unknown.
    """
    known = np.isfinite(values)
    counts, shared = known.sum(axis=0), known.T.astype(float) @ known
    centred = np.where(known, values - _means(values, 0), 0.0)
    products = centred.T @ centred / np.maximum(np.outer(counts, counts), 1)
    return np.asarray(products * np.divide(shared, shared - 1, out=np.zeros(shared.shape), where=shared > 1))
