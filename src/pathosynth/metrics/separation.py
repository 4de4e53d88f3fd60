"""How well do numbers tell two groups apart, and how sure is a share? Intervals over people."""

from collections.abc import Sequence

import numpy as np
from scipy import stats

DRAWS = 2000
_Z = 1.959963984540054


def auc(higher: np.ndarray, lower: np.ndarray) -> float:
    """Probability that a number of the first group is above one of the second, ties half; NaN for an empty group."""
    if not len(higher) or not len(lower):
        return float("nan")
    u = stats.rankdata(np.concatenate([higher, lower]))[: len(higher)].sum() - len(higher) * (len(higher) + 1) / 2
    return float(u / (len(higher) * len(lower)))


def auc_interval(
    higher: np.ndarray, lower: np.ndarray, subjects: tuple[Sequence[str], Sequence[str]], seed: int
) -> tuple[float, float]:
    """95 % interval of `auc`, people drawn within both groups; NaN twice below two people in one.

    The percentile bootstrap, never narrower than Wilson's interval of a share among as many people as the smaller group
    has: groups that do not overlap, as three and three often do by chance, would have an interval of no width.

    Args:
        higher: (n,) of the first group.
        lower: (m,) of the second group.
        subjects: people behind the numbers of both groups; all numbers of a person are drawn together.
        seed: of the bootstrap.
    """
    groups = [_by_person(values, people) for values, people in zip((higher, lower), subjects, strict=True)]
    if min(len(group) for group in groups) < 2:
        return float("nan"), float("nan")
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(DRAWS):
        drawn = [np.concatenate([group[i] for i in rng.integers(0, len(group), len(group))]) for group in groups]
        found.append(auc(drawn[0], drawn[1]))
    low, high = np.quantile(found, [0.025, 0.975])
    least, most = _wilson(auc(higher, lower), min(len(group) for group in groups))
    return min(float(low), least), max(float(high), most)


def wilson(hits: int, count: int) -> tuple[float, float]:
    """95 % interval of a share (Wilson 1927); 0 to 1 where nothing was counted."""
    return _wilson(hits / count, count) if count else (0.0, 1.0)


def _wilson(share: float, count: int) -> tuple[float, float]:
    spread = _Z**2 / count
    middle = (share + spread / 2) / (1 + spread)
    half = _Z / (1 + spread) * float(np.sqrt(share * (1 - share) / count + spread / (4 * count)))
    return max(0.0, middle - half), min(1.0, middle + half)


def likely_hits(count: int, rate: float) -> int:
    """Most hits in `count` trials that a rate makes likely: exceeded with a probability of 2.5 % at most."""
    return int(stats.binom.ppf(0.975, count, rate)) if count else 0


def _by_person(values: np.ndarray, people: Sequence[str]) -> list[np.ndarray]:
    owner = np.array(people)
    return [np.asarray(values)[owner == one] for one in dict.fromkeys(people)]
