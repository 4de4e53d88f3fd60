"""Distances between sets, against closed forms, MONAI and brute force."""

import numpy as np
import pytest
import torch
from monai.metrics import FIDMetric, MMDMetric

from pathosynth.metrics import sets
from pathosynth.runs.errors import InputError


def gaussian(rng: np.random.Generator, n: int, d: int = 4, shift: float = 0.0, scale: float = 1.0) -> np.ndarray:
    return rng.normal(shift, scale, (n, d))


def test_frechet_of_gaussians_is_the_closed_form(rng: np.random.Generator) -> None:
    shift, scale = np.array([1.0, 0.0, -2.0]), np.array([2.0, 0.5, 1.0])
    a = rng.normal(size=(40_000, 3))
    b = rng.normal(size=(40_000, 3)) * scale + shift
    expected = (shift**2).sum() + ((scale - 1) ** 2).sum()
    assert sets.frechet(a, b) == pytest.approx(expected, rel=0.02)


def test_frechet_is_monai_s(rng: np.random.Generator) -> None:
    a, b = gaussian(rng, 50, 6), gaussian(rng, 70, 6, 0.5, 1.5)
    expected = float(FIDMetric()(torch.from_numpy(a), torch.from_numpy(b)))
    assert sets.frechet(a, b) == pytest.approx(expected, rel=1e-3)


def test_frechet_with_fewer_cases_than_dimensions_is_finite_and_biased_upwards(rng: np.random.Generator) -> None:
    few = [sets.frechet(gaussian(rng, 8, 64), gaussian(rng, 8, 64)) for _ in range(10)]
    many = [sets.frechet(gaussian(rng, 800, 64), gaussian(rng, 800, 64)) for _ in range(3)]
    assert min(few) > 10 * max(many)


@pytest.mark.parametrize("measure", [sets.frechet, sets.rbf_mmd, sets.kernel_distance])
def test_distances_of_a_set_to_itself_vanish(measure: object, rng: np.random.Generator) -> None:
    a = gaussian(rng, 30)
    assert measure(a, a[::-1]) <= 1e-9


@pytest.mark.parametrize("measure", [sets.frechet, sets.rbf_mmd, sets.kernel_distance])
def test_distances_are_symmetric_ignore_order_and_grow_with_a_shift(measure: object, rng: np.random.Generator) -> None:
    a, b = gaussian(rng, 40), gaussian(rng, 50)
    assert measure(a, b) == pytest.approx(measure(b, a), abs=1e-9)
    assert measure(a, b) == pytest.approx(measure(rng.permutation(a), rng.permutation(b)), abs=1e-9)
    grown = [measure(a, b + shift) for shift in (0.0, 0.5, 1.0, 2.0)]
    assert grown == sorted(grown)
    assert grown[1] > grown[0] + 0.02


def rbf_population(shift: float, dimension: int, bandwidth: float) -> float:
    """Squared MMD of N(0, I) and N(shift e1, I): the kernel's mean over a Gaussian difference, twice the variance."""
    within = (1 + 2 / bandwidth**2) ** (-dimension / 2)
    return 2 * within * (1 - np.exp(-(shift**2) / (2 * (bandwidth**2 + 2))))


def test_rbf_mmd_is_unbiased_and_has_the_closed_form(rng: np.random.Generator) -> None:
    offset = np.array([1.0, 0, 0])
    found = [sets.rbf_mmd(gaussian(rng, 40, 3), gaussian(rng, 30, 3) + offset, 1.5) for _ in range(300)]
    error = np.std(found) / np.sqrt(len(found))
    assert np.mean(found) == pytest.approx(rbf_population(1.0, 3, 1.5), abs=4 * error)
    null = [sets.rbf_mmd(gaussian(rng, 20, 3), gaussian(rng, 20, 3), 1.5) for _ in range(300)]
    assert np.mean(null) == pytest.approx(0.0, abs=4 * np.std(null) / np.sqrt(300))


def test_kernel_distance_does_not_depend_on_the_number_of_cases(rng: np.random.Generator) -> None:
    """E k(x, y) of the cubic kernel for independent standard normals and a shift of both means by delta, d = 3."""
    draws = {
        n: [sets.kernel_distance(gaussian(rng, n, 3), gaussian(rng, n, 3, 0.5)) for _ in range(400)] for n in (8, 40)
    }
    means = {n: np.mean(found) for n, found in draws.items()}
    error = np.hypot(*(np.std(found) / np.sqrt(400) for found in draws.values()))
    assert means[8] == pytest.approx(means[40], abs=4 * error)
    frechet = {
        n: np.mean([sets.frechet(gaussian(rng, n, 3), gaussian(rng, n, 3, 0.5)) for _ in range(100)]) for n in (8, 40)
    }
    assert frechet[8] > 1.2 * frechet[40]


def test_kernel_distance_is_brute_force_and_monai_s_linear_one_orders_alike(rng: np.random.Generator) -> None:
    a, b = gaussian(rng, 12, 5), gaussian(rng, 9, 5, 0.3)
    k = lambda x, y: (np.dot(x, y) / 5 + 1) ** 3  # noqa: E731
    within_a = np.mean([k(a[i], a[j]) for i in range(12) for j in range(12) if i != j])
    within_b = np.mean([k(b[i], b[j]) for i in range(9) for j in range(9) if i != j])
    across = np.mean([k(x, y) for x in a for y in b])
    assert sets.kernel_distance(a, b) == pytest.approx(within_a + within_b - 2 * across)
    far, near = (torch.from_numpy(gaussian(rng, 12, 5) + s)[:, None, :, None] for s in (3.0, 0.0))
    first = torch.from_numpy(a)[:, None, :, None]
    assert MMDMetric()(first, far) > MMDMetric()(first, near)
    assert sets.kernel_distance(a, far[:, 0, :, 0].numpy()) > sets.kernel_distance(a, near[:, 0, :, 0].numpy())


def test_support_of_one_distribution_is_what_is_expected(rng: np.random.Generator) -> None:
    found = [sets.support(gaussian(rng, 30), gaussian(rng, 25), 3) for _ in range(200)]
    coverage = [s.coverage for s in found]
    assert np.mean(coverage) == pytest.approx(found[0].expected_coverage, abs=4 * np.std(coverage) / np.sqrt(200))
    assert np.mean([s.density for s in found]) == pytest.approx(1.0, abs=0.15)


def test_support_tells_collapse_from_outliers(rng: np.random.Generator) -> None:
    real = gaussian(rng, 60)
    collapsed = sets.support(real, np.repeat(real[:1], 60, axis=0) + 1e-3)
    far = sets.support(real, gaussian(rng, 60) + 50)
    assert collapsed.coverage < 0.3
    assert collapsed.density > 0.2
    assert (far.density, far.coverage) == (0.0, 0.0)


def test_support_is_brute_force(rng: np.random.Generator) -> None:
    a, b = gaussian(rng, 15), gaussian(rng, 11)
    balls = [sorted(np.linalg.norm(x - y) for y in a)[2] for x in a]
    hits = np.array([[np.linalg.norm(x - y) <= r for y in b] for x, r in zip(a, balls, strict=True)])
    found = sets.support(a, b, 2)
    assert found.density == pytest.approx(hits.sum() / (2 * 11))
    assert found.coverage == pytest.approx(hits.any(axis=1).mean())


def test_closeness_finds_copies_and_strangers(rng: np.random.Generator) -> None:
    real, subjects = gaussian(rng, 60, 8), [str(i) for i in range(60)]
    copies, novel = real[:40] + rng.normal(0, 0.01, (40, 8)), gaussian(rng, 400, 8)
    assert sets.closeness(real, copies, subjects).nearer == 1.0
    assert sets.closeness(real, novel, subjects).nearer < 0.15
    assert sets.closeness(real, novel + 20, subjects).farther == 1.0


def test_a_person_scanned_twice_is_not_near_to_another(rng: np.random.Generator) -> None:
    people = gaussian(rng, 20, 8)
    scans = np.concatenate([people, people + 1e-3])
    found = sets.closeness(scans, people, [str(i) for i in range(20)] * 2)
    assert found.real.min() > 0.1
    assert found.generated.max() == 0.0


def test_wasserstein_of_a_shift_is_the_shift(rng: np.random.Generator) -> None:
    real = [{"ventricle_ml": float(v), "empty": float("nan")} for v in rng.normal(20, 5, 50)]
    moved = [{"ventricle_ml": row["ventricle_ml"] + 3, "empty": float("nan")} for row in reversed(real)]
    spread = np.std([row["ventricle_ml"] for row in real], ddof=1)
    assert sets.wasserstein(real, moved)["ventricle_ml"] == pytest.approx((3.0, 3 / spread))
    assert np.isnan(sets.wasserstein(real, moved)["empty"]).all()
    assert sets.wasserstein(real, real[::-1])["ventricle_ml"][0] == pytest.approx(0.0, abs=1e-12)


def test_wasserstein_against_a_uniform_quantile(rng: np.random.Generator) -> None:
    """Equal sizes: mean distance of the sorted values."""
    a, b = rng.uniform(0, 1, 40), rng.uniform(0, 3, 40)
    found = sets.wasserstein([{"x": float(v)} for v in a], [{"x": float(v)} for v in b])["x"][0]
    assert found == pytest.approx(np.abs(np.sort(a) - np.sort(b)).mean())


@pytest.mark.parametrize("measure", [sets.frechet, sets.rbf_mmd, sets.kernel_distance, sets.support])
def test_bad_sets_are_refused(measure: object) -> None:
    good = np.eye(8)
    for bad in (np.zeros((0, 8)), np.zeros((8, 7)), np.full((8, 8), np.nan), np.zeros(8)):
        with pytest.raises(InputError, match=r"expected|not finite"):
            measure(good, bad)
        with pytest.raises(InputError, match=r"expected|not finite"):
            measure(bad, good)


def test_other_wrong_uses_are_refused() -> None:
    with pytest.raises(InputError, match="bandwidth"):
        sets.rbf_mmd(np.ones((4, 2)), np.ones((4, 2)))
    with pytest.raises(InputError, match="neighbours"):
        sets.support(np.eye(4), np.eye(4), 4)
    with pytest.raises(InputError, match="subject"):
        sets.closeness(np.eye(4), np.eye(4), ["a"] * 4)
    with pytest.raises(InputError, match="'x' is not measured"):
        sets.wasserstein([{"x": 1.0}], [{"y": 1.0}])
    with pytest.raises(InputError, match="both sets"):
        sets.wasserstein([{"x": 1.0}], [])
