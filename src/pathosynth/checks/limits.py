"""How far may a new case lie from real ones? Prediction intervals of few numbers."""

import numpy as np
from scipy import stats

FEWEST = 3
"""Real cases below which nothing is known of their spread."""


def interval(values: np.ndarray, percentile: float, least: float = 0.0) -> tuple[float, float, float]:
    """Centre and two-sided ends within which a new value is expected with a probability of `percentile` %.

    Normal theory: mean +- t(n - 1) sd sqrt(1 + 1/n), never inside the values themselves. NaN values are left out.

    Args:
        values: (n,) of real cases, brought to a scale on which they are about normal.
        percentile: e.g. 99.
        least: smallest distance of an end from the centre.

    Returns:
        (centre, low, high); NaN three times below `FEWEST` values.
    """
    known = values[np.isfinite(values)]
    if known.size < FEWEST:
        return float("nan"), float("nan"), float("nan")
    centre = float(known.mean())
    t = float(stats.t.ppf(0.5 + percentile / 200, known.size - 1))
    reach = max(t * float(known.std(ddof=1)) * float(np.sqrt(1 + 1 / known.size)), least)
    return centre, min(centre - reach, float(known.min())), max(centre + reach, float(known.max()))


def for_few(count: int, percentile: float) -> float:
    """How many times farther a two-sided limit must lie where the spread is known of `count` cases than of very many.

    The quotient of Student's t and the normal distribution. It widens what is allowed beyond cases that are all alike:
    1.2 times of 18, 2.3 of 6, 4.7 of 4 at 99.95 %. Infinite below two cases.
    """
    if count < 2:
        return float("inf")
    place = 0.5 + percentile / 200
    return float(stats.t.ppf(place, count - 1) / stats.norm.ppf(place))
