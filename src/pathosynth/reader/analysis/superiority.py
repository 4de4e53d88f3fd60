"""How often a case of one sort is rated higher than one of another: AUC, and how readers' AUCs vary together.

Every reader's value is a mean over pairs of one negative and one positive case, a two-sample U-statistic. Readers share
cases, so their values vary together; what is estimated here is that covariance over new cases.
"""

from collections.abc import Sequence

import numpy as np

from pathosynth.reader.analysis.units import number_of, own_units, summed

Units = tuple[np.ndarray, np.ndarray]
"""Units of the cases of two samples."""


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


def delong_covariances(scores: Sequence[np.ndarray], units: Units | None = None) -> np.ndarray:
    """(readers, readers) covariance of AUCs from the placements of their cases (DeLong et al. 1988).

    Placements of one unit are added up before they are squared (Obuchowski 1997).

    Args:
        scores: (negatives, positives) pair scores of every reader, of the same cases; NaN where unknown.
        units: of the negative and of the positive cases; by default each is its own.
    """
    stacked = np.array(scores)
    return sum_covariances(_means(stacked, 2).T, _means(stacked, 1).T, units)


def _means(values: np.ndarray, axis: int) -> np.ndarray:
    """Means over an axis of what is known, NaN where nothing is."""
    known = np.isfinite(values)
    counts = known.sum(axis=axis)
    sums = np.where(known, values, 0.0).sum(axis=axis)
    return np.asarray(np.divide(sums, counts, out=np.full(counts.shape, np.nan), where=counts > 0))


def mean_covariances(values: np.ndarray, units: np.ndarray | None = None) -> np.ndarray:
    """(readers, readers) covariance of readers' means over new units; 0 for readers who share fewer than two.

    Args:
        values: (cases, readers), NaN where unknown.
        units: (cases,) of the cases; by default each is its own.
    """
    units = own_units(len(values)) if units is None else units
    known = summed(np.isfinite(values), units) > 0
    moved = summed(_influences(values), units)
    shared = known.T.astype(float) @ known
    return np.asarray(moved.T @ moved * np.divide(shared, shared - 1, out=np.zeros(shared.shape), where=shared > 1))


def sum_covariances(first: np.ndarray, second: np.ndarray, units: Units | None = None, sign: int = 1) -> np.ndarray:
    """(readers, readers) covariance of the sum of readers' means over two samples of cases, over new units.

    Args:
        first: (cases, readers), NaN where unknown.
        second: the same of other cases.
        units: of both; where one has cases in both samples these vary together.
        sign: -1 for the difference of the means.
    """
    if units is None:
        units = own_units(len(first)), len(first) + own_units(len(second))
    cross = cross_covariances(first, second, units)
    own = mean_covariances(first, units[0]) + mean_covariances(second, units[1])
    return np.asarray(own + sign * (cross + cross.T))


def cross_covariances(first: np.ndarray, second: np.ndarray, units: Units) -> np.ndarray:
    """(readers, readers) covariance of a reader's mean over one sample with another's over a second one.

    Args:
        first: (cases, readers), NaN where unknown.
        second: the same of other cases.
        units: of both.
    """
    both = np.concatenate(units)
    n = number_of(both)
    if n < 2 or not np.isin(*units).any():
        return np.zeros((first.shape[1], second.shape[1]))
    one = summed(np.concatenate([_influences(first), np.zeros_like(second)]), both)
    other = summed(np.concatenate([np.zeros_like(first), _influences(second)]), both)
    return np.asarray(one.T @ other * n / (n - 1))


def _influences(values: np.ndarray) -> np.ndarray:
    """(cases, readers) how far each case moves its reader's mean; 0 where unknown."""
    known = np.isfinite(values)
    return np.asarray(np.where(known, values - _means(values, 0), 0.0) / np.maximum(known.sum(axis=0), 1))
