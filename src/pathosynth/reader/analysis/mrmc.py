"""Readers and cases both taken as samples: the analysis of Obuchowski and Rockette (1995), as amended by Hillis.

A statistic of every reader (AUC, accuracy, difference of means …) is an observation; its error over cases has variance
and covariances that are estimated from the cases themselves. Hillis (2007, 2014) gave the degrees of freedom.
"""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from pathosynth.reader.analysis.estimate import Estimate, quantile, two_sided, undefined

NO_SPREAD = "Neither readers nor cases differ, so that nothing is known of the spread."


@dataclass(frozen=True)
class Components:
    """What Obuchowski and Rockette's model is made of, averaged over modalities and readers.

    Attributes:
        error: variance of a statistic over cases.
        cov1: covariance of one reader's statistics in two modalities.
        cov2: of two readers' in one modality.
        cov3: of two readers' in two modalities.
        reader: variance of readers (not below 0).
        interaction: variance of readers by modality (not below 0).
    """

    error: float
    cov1: float
    cov2: float
    cov3: float
    reader: float
    interaction: float


@dataclass(frozen=True)
class Comparison:
    """Modalities compared over readers and cases.

    Attributes:
        values: (modalities, readers) the statistic.
        components: of the model.
        mean_square: of modality by reader.
        f: F of the hypothesis that all modalities are equal; None where it cannot be tested.
        df1: its degrees of freedom.
        df2: those of its denominator (Hillis 2007).
        p: of the test.
        differences: (first, second) to their difference, first minus second, with interval and p.
        why: why there is no test, as a sentence.
    """

    values: np.ndarray
    components: Components
    mean_square: float
    f: float | None
    df1: int
    df2: float | None
    p: float | None
    differences: dict[tuple[int, int], Estimate]
    why: str | None = None


def average_components(values: np.ndarray, covariance: np.ndarray) -> Components:
    """Average the covariances and solve the mean squares for the variances of readers.

    Args:
        values: (modalities, readers) statistics.
        covariance: (modalities, readers, modalities, readers) over cases.
    """
    t, r = values.shape
    flat = covariance.reshape(t * r, t * r)
    error = float(np.diagonal(flat).mean())
    modality, reader = (np.equal.outer(one, one) for one in (np.repeat(np.arange(t), r), np.tile(np.arange(r), t)))
    cov1, cov2, cov3 = (_mean(flat[kind]) for kind in (reader & ~modality, modality & ~reader, ~modality & ~reader))
    between, interaction = _reader_mean_squares(values)
    # Hillis 2014, table 1: expected mean squares of the model.
    tr = interaction - (error - cov1 - cov2 + cov3) if t > 1 else 0.0
    readers = (between - interaction) / t - cov1 + cov3 if t > 1 else between - (error - cov2)
    return Components(error, cov1, cov2, cov3, max(readers, 0.0), max(tr, 0.0))


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if values.size else 0.0


def _reader_mean_squares(values: np.ndarray) -> tuple[float, float]:
    """MS(R) and MS(T*R) of (modalities, readers) statistics; 0 where one has no degree of freedom."""
    t, r = values.shape
    centred = values - values.mean(axis=1, keepdims=True)
    by_reader = centred.mean(axis=0)
    between = t * float((by_reader**2).sum()) / (r - 1) if r > 1 else 0.0
    residual = float(((centred - by_reader) ** 2).sum())
    return between, residual / ((t - 1) * (r - 1)) if t > 1 and r > 1 else 0.0


def compare_modalities(values: np.ndarray, covariance: np.ndarray) -> Comparison:
    """Test whether modalities are equal, for readers and cases like these.

    With one reader there is no spread of readers: cases alone are a sample then, and a normal distribution is used. So
    it is where readers' differences happen to be so alike that cases alone have the larger variance.

    Args:
        values: (modalities, readers) statistics, at least two modalities.
        covariance: (modalities, readers, modalities, readers) over cases.
    """
    t, r = values.shape
    parts = average_components(values, covariance)
    _, ms_tr = _reader_mean_squares(values)
    means = values.mean(axis=1)
    ms_t = r * float(((means - means.mean()) ** 2).sum()) / (t - 1)
    if r > 1:
        # Hillis 2014, eq. 4 and 5: denominator of F, and its degrees of freedom.
        below = ms_tr + r * max(parts.cov2 - parts.cov3, 0.0)
        df2 = below**2 / (ms_tr**2 / ((t - 1) * (r - 1))) if ms_tr > 0 else math.inf
        over_cases = parts.error - parts.cov1 - parts.cov2 + parts.cov3 + r * max(parts.cov2 - parts.cov3, 0.0)
        if over_cases > below:
            below, df2 = over_cases, math.inf
    else:
        below, df2 = max(parts.error - parts.cov1, 0.0), math.inf
    if below <= 0:
        return Comparison(values, parts, ms_tr, None, t - 1, None, None, {}, NO_SPREAD)
    f = ms_t / below
    p = float(stats.f.sf(f, t - 1, df2) if math.isfinite(df2) else stats.chi2.sf(f * (t - 1), t - 1))
    # Hillis 2014, eq. 8: interval of a difference.
    error = math.sqrt(2 / r * below)
    differences = {
        (i, k): _difference(float(means[i] - means[k]), error, df2, r) for i, k in itertools.combinations(range(t), 2)
    }
    return Comparison(values, parts, ms_tr, f, t - 1, _finite(df2), p, differences)


def _difference(change: float, error: float, df: float, readers: int) -> Estimate:
    half = quantile(df) * error
    p = two_sided(change / error, df)
    return Estimate(change, change - half, change + half, p=p, null=0.0, df=_finite(df), readers=readers)


def _finite(df: float) -> float | None:
    return df if math.isfinite(df) else None


@dataclass(frozen=True)
class Mean:
    """A statistic averaged over readers.

    Attributes:
        value: the mean.
        variance: over readers and cases.
        df: degrees of freedom of the variance.
        readers: how many.
    """

    value: float
    variance: float
    df: float
    readers: int


def mean_over_readers(values: Sequence[float], covariance: np.ndarray, case_df: float = math.inf) -> Mean:
    """One modality: the mean of readers' statistics with the variance it has over readers and cases.

    With one reader the variance is that over cases alone, and with several it is never below that: readers whose
    statistics happen to be equal do not make the cases more.

    Args:
        values: (readers,) statistics.
        covariance: (readers, readers) over cases.
        case_df: degrees of freedom of the covariance. Hillis takes them to be infinite; with few cases intervals are
            then a little too short.
    """
    r = len(values)
    if r == 1:
        return Mean(float(values[0]), max(float(covariance[0, 0]), 0.0), case_df, 1)
    mean_square = float(np.var(values, ddof=1))
    shared = max(float((covariance.sum() - np.trace(covariance)) / (r * (r - 1))), 0.0)
    # Hillis 2014, eq. 19 and 20: variance of the mean (MS(R) + r Cov2) / r, and its degrees of freedom.
    total = mean_square + r * shared
    over_cases = float(np.trace(covariance)) / r + (r - 1) * shared
    if over_cases > total:
        return Mean(float(np.mean(values)), over_cases / r, case_df, r)
    squares = mean_square**2 / (r - 1) + (r * shared) ** 2 / case_df
    return Mean(float(np.mean(values)), total / r, total**2 / squares if squares > 1e-30 * total**2 else math.inf, r)


def mean_estimate(mean: Mean, null: float | None = 0.0) -> Estimate:
    """Mean with a t interval and a test against `null`."""
    if mean.variance <= 0:
        return Estimate(mean.value, why=NO_SPREAD, null=null, readers=mean.readers)
    error = math.sqrt(mean.variance)
    half = quantile(mean.df) * error
    p = None if null is None else two_sided((mean.value - null) / error, mean.df)
    return Estimate(
        mean.value, mean.value - half, mean.value + half, p=p, null=null, df=_finite(mean.df), readers=mean.readers
    )


def no_readers(what: str) -> Estimate:
    """Where no reader rated what is needed."""
    return undefined(f"No reader rated {what}.", readers=0)
