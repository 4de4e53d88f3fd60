"""A sample in a few numbers; what a small sample does not define is None, never NaN."""

import numpy as np
from scipy import stats

SAME = 1e-12
"""Relative spread below which all values count as one."""


def describe(values: np.ndarray) -> dict[str, float | int | None]:
    """n, mean, SD (of a sample), median, quartiles, extremes and skewness of (n,) finite values, n >= 1.

    The SD is None below two values. The skewness (Fisher-Pearson, corrected for the size of the sample) is None below
    three values or where all are the same.
    """
    low, quarter, median, three_quarters, high = (float(v) for v in np.quantile(values, [0, 0.25, 0.5, 0.75, 1]))
    skewed = len(values) >= 3 and not constant(values)
    return {
        "n": len(values),
        "mean": float(values.mean()),
        "sd": float(values.std(ddof=1)) if len(values) > 1 else None,
        "min": low, "q1": quarter, "median": median, "q3": three_quarters, "max": high,
        "skewness": float(stats.skew(values, bias=False)) if skewed else None,
    }  # fmt: skip


def constant(values: np.ndarray) -> bool:
    """Whether all values are the same but for rounding."""
    return bool(np.ptp(values) <= SAME * np.abs(values).max())


def spearman(x: np.ndarray, y: np.ndarray) -> float | None:
    """Rank correlation; None below three pairs or where one side is constant."""
    if len(x) < 3 or constant(x) or constant(y):
        return None
    return float(stats.spearmanr(x, y).statistic)
