"""How close is a set of generated cases to a set of real ones? Plain functions on vectors, one row per case.

Rows may be measurements, fingerprints or image features; their order never matters. All measures are of the sets
given, not of what they were drawn from: with tens of cases each has a sampling error that only the same measure between
two halves of the real set shows, so report that beside it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats
from scipy.spatial.distance import cdist

from pathosynth.runs.errors import InputError


def wasserstein(
    real: Sequence[Mapping[str, float]], generated: Sequence[Mapping[str, float]]
) -> dict[str, tuple[float, float]]:
    """Wasserstein-1 distance per measurement, in its unit, and divided by the standard deviation of the real values.

    Names are those of the first real case. Values that are not finite (nothing to measure there) are left out; a name
    with no finite value on one side has NaN twice, and without spread in the real set the second number is NaN.

    Raises:
        InputError: a set is empty, or a case lacks a name.
    """
    if not real or not generated:
        raise InputError(
            f"Wasserstein: expected cases in both sets, found {len(real)} real, {len(generated)} generated."
        )
    found = {}
    for name in real[0]:
        if any(name not in row for row in (*real, *generated)):
            raise InputError(f"Wasserstein: '{name}' is not measured in every case. Measure all cases alike.")
        a, b = (np.array([row[name] for row in rows], np.float64) for rows in (real, generated))
        a, b = a[np.isfinite(a)], b[np.isfinite(b)]
        distance = float(stats.wasserstein_distance(a, b)) if a.size and b.size else float("nan")
        spread = float(a.std(ddof=1)) if a.size > 1 else 0.0
        found[name] = (distance, distance / spread if spread > 0 else float("nan"))
    return found


def frechet(real: np.ndarray, generated: np.ndarray) -> float:
    """Squared Frechet distance of the Gaussians fitted to two sets, ||m - m'||^2 + Tr(S + S' - 2 (S S')^(1/2)).

    With A, A' the centred rows over sqrt(n - 1), Tr (S S')^(1/2) is the sum of the singular values of A A'^T (Dowson &
    Landau 1982), so no root of a singular matrix is taken and fewer cases than dimensions are no numerical problem.
    They are a statistical one: the fitted Gaussians are flat, the estimate is biased upwards by about the share of
    variance they miss, and two sets of different size must not be compared. With n below ten times the dimension, use
    `features.projected` first, or `kernel_distance` instead. 0 for equal sets, in squared units of the features.

    Args:
        real: (n, d), at least 2 rows.
        generated: (m, d), at least 2 rows.

    Raises:
        InputError: too few rows, other columns, or values that are not finite.
    """
    a, b = _checked(real, generated, 2)
    mean_a, mean_b = a.mean(axis=0), b.mean(axis=0)
    a, b = (a - mean_a) / np.sqrt(len(a) - 1), (b - mean_b) / np.sqrt(len(b) - 1)
    # A = Q R with orthonormal Q: R R'^T has the singular values of A A'^T and no side longer than d.
    r_a, r_b = (np.asarray(np.linalg.qr(rows, mode="r")) for rows in (a, b))
    together = float(np.linalg.norm(r_a @ r_b.T, ord="nuc"))
    return max(float(((mean_a - mean_b) ** 2).sum() + (a**2).sum() + (b**2).sum() - 2 * together), 0.0)


def rbf_mmd(real: np.ndarray, generated: np.ndarray, bandwidth: float | None = None) -> float:
    """Unbiased squared maximum mean discrepancy with kernel exp(-|x - y|^2 / (2 bandwidth^2)) (Gretton 2012, eq. 3).

    Unbiased means: 0 on average for two samples of one distribution, so below 0 half of the time. Two copies of one set
    are at or below 0.

    Args:
        real: (n, d), at least 2 rows.
        generated: (m, d), at least 2 rows.
        bandwidth: in units of the features; None is the median distance between different rows of both sets.

    Raises:
        InputError: as `frechet`, or the bandwidth is not above 0 (all rows alike).
    """
    a, b = _checked(real, generated, 2)
    if bandwidth is None:
        rows = np.concatenate([a, b])
        bandwidth = float(np.median(cdist(rows, rows)[np.triu_indices(len(rows), 1)]))
    if not bandwidth > 0:
        raise InputError(f"MMD: expected a bandwidth above 0, found {bandwidth:g}. All rows may be alike.")
    scale = -0.5 / bandwidth**2
    return _unbiased(*(np.exp(scale * cdist(x, y, "sqeuclidean")) for x, y in ((a, a), (b, b), (a, b))))


def kernel_distance(real: np.ndarray, generated: np.ndarray) -> float:
    """Kernel (inception) distance of Binkowski 2018: unbiased squared MMD with kernel (x y / d + 1)^3.

    Unlike `frechet` its mean does not depend on the number of cases. Not invariant to the scale of the features:
    standardise both sets with `features.standardised`.

    Raises:
        InputError: as `frechet`.
    """
    a, b = _checked(real, generated, 2)
    return _unbiased(*((x @ y.T / a.shape[1] + 1) ** 3 for x, y in ((a, a), (b, b), (a, b))))


@dataclass(frozen=True)
class Support:
    """Fidelity and diversity (Naeem 2020, https://arxiv.org/abs/2002.09797).

    Attributes:
        density: how deep generated cases lie among real ones; about 1 for one distribution, may exceed it.
        coverage: share of real cases with a generated one among their neighbourhood, 0 to 1.
        expected_coverage: what two samples of one distribution with these sizes have on average; below 1, as some
            neighbourhoods stay empty by chance.
    """

    density: float
    coverage: float
    expected_coverage: float


def support(real: np.ndarray, generated: np.ndarray, neighbours: int = 5) -> Support:
    """Density and coverage with balls that reach from each real case to its `neighbours`-th nearest real one.

    Balls include their border, so that copies in a set of equal rows count.

    Raises:
        InputError: as `frechet`, or not more real cases than neighbours, or no neighbour.
    """
    a, b = _checked(real, generated, 1)
    n, m = len(a), len(b)
    if not 1 <= neighbours < n:
        raise InputError(f"Coverage: expected 1 to {n - 1} neighbours with {n} real cases, found {neighbours}.")
    radius = np.sort(cdist(a, a), axis=1)[:, neighbours]
    inside = cdist(a, b) <= radius[:, None]
    # A generated case is missed by a ball when the k nearest of n - 1 + m exchangeable points are all real.
    order = np.arange(neighbours)
    missed = np.prod((n - 1 - order) / (n - 1 + m - order))
    return Support(float(inside.sum() / (neighbours * m)), float(inside.any(axis=1).mean()), float(1 - missed))


@dataclass(frozen=True)
class Closeness:
    """Distances to the nearest real case.

    Attributes:
        generated: (m,) from every generated case to the nearest real one.
        real: (n,) from every real case to the nearest one of another subject.
        nearer: share of generated cases nearer to a real one than 95 % of subjects are to each other; 0.05 where
            generated cases are like new subjects, near 1 where they are copies.
        farther: share farther than 95 % of subjects are; near 1 where they are not like any subject.
    """

    generated: np.ndarray
    real: np.ndarray
    nearer: float
    farther: float


def closeness(real: np.ndarray, generated: np.ndarray, subjects: Sequence[str]) -> Closeness:
    """Euclidean distances generated to real against real to real.

    A real case has one case less to be near to, so `nearer` is slightly above 0.05 for as many new subjects.

    Args:
        real: (n, d).
        generated: (m, d).
        subjects: of every real case; cases of one subject are not compared with each other.

    Raises:
        InputError: as `frechet`, a wrong number of subjects, or fewer than two of them.
    """
    a, b = _checked(real, generated, 1)
    owner = np.array(subjects)
    if owner.size != len(a) or np.unique(owner).size < 2:
        raise InputError(
            f"Closeness: expected one subject per real case and two subjects or more, found {owner.size} names "
            f"({np.unique(owner).size} different) for {len(a)} cases."
        )
    among = np.where(owner[:, None] == owner[None, :], np.inf, cdist(a, a)).min(axis=1)
    to_real = cdist(b, a).min(axis=1)
    low, high = np.percentile(among, (5, 95))
    return Closeness(to_real, among, float((to_real < low).mean()), float((to_real > high).mean()))


def _unbiased(within_a: np.ndarray, within_b: np.ndarray, across: np.ndarray) -> float:
    """Mean kernel within each set, without the diagonal, minus twice the mean across."""
    n, m = across.shape
    first = (within_a.sum() - np.trace(within_a)) / (n * (n - 1))
    second = (within_b.sum() - np.trace(within_b)) / (m * (m - 1))
    return float(first + second - 2 * across.mean())


def _checked(real: np.ndarray, generated: np.ndarray, fewest: int) -> tuple[np.ndarray, np.ndarray]:
    """Both sets as float64.

    Raises:
        InputError: not two tables with the same columns, enough rows and finite values.
    """
    a, b = np.asarray(real, np.float64), np.asarray(generated, np.float64)
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[1] or min(len(a), len(b)) < fewest or a.shape[1] == 0:
        raise InputError(
            f"Comparison of sets: expected two tables (cases, features) with the same columns and {fewest} rows or "
            f"more, found {a.shape} real and {b.shape} generated."
        )
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        raise InputError("Comparison of sets: found values that are not finite. Leave such cases out and report them.")
    return a, b
