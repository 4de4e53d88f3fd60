"""AUC and intervals of shares against closed forms and known values."""

import numpy as np
import pytest

from pathosynth.data.labels import load_scheme
from pathosynth.metrics.separation import auc, auc_interval, likely_hits, wilson
from pathosynth.metrics.texture import texture_likeness

SCHEME = load_scheme("kcl8")


def test_auc_counts_pairs() -> None:
    assert auc(np.array([3.0, 2.0]), np.array([1.0, 2.0])) == (1 + 1 + 1 + 0.5) / 4
    assert auc(np.array([1.0]), np.array([2.0])) == 0
    assert np.isnan(auc(np.array([]), np.array([1.0])))


def test_auc_of_two_normal_samples_and_its_interval(rng: np.random.Generator) -> None:
    """Of N(1, 1) against N(0, 1) it is Phi(1 / sqrt 2) = 0.760."""
    high, low = rng.normal(1, 1, 400), rng.normal(0, 1, 400)
    people = [str(i) for i in range(400)]
    ends = auc_interval(high, low, (people, people), 0)
    assert ends[0] < 0.760 < ends[1]
    assert ends[1] - ends[0] < 0.1
    assert all(np.isnan(end) for end in auc_interval(high, low, (["one"] * 400, people), 0))


def test_scans_of_one_person_do_not_narrow_the_interval(rng: np.random.Generator) -> None:
    high, low = rng.normal(0.5, 1, 12), rng.normal(0, 1, 12)
    people = [str(i) for i in range(12)]
    once = auc_interval(high, low, (people, people), 0)
    often = auc_interval(np.repeat(high, 5), np.repeat(low, 5), (np.repeat(people, 5), np.repeat(people, 5)), 0)
    assert np.subtract(*often) == pytest.approx(np.subtract(*once), rel=0.1)


@pytest.mark.parametrize(
    ("hits", "count", "low", "high"), [(0, 10, 0.0, 0.2775), (5, 10, 0.2366, 0.7634), (81, 263, 0.2553, 0.3662)]
)
def test_wilson_interval_has_its_published_values(hits: int, count: int, low: float, high: float) -> None:
    """81 of 263 is the example of Newcombe 1998, table I, method 3."""
    assert wilson(hits, count) == pytest.approx((low, high), abs=5e-5)
    assert wilson(0, 0) == (0, 1)


def test_likely_hits_is_rarely_exceeded(rng: np.random.Generator) -> None:
    for count in (5, 40, 300):
        assert (rng.binomial(count, 0.01, 20000) > likely_hits(count, 0.01)).mean() <= 0.026
    assert likely_hits(0, 0.01) == 0


def test_texture_tells_a_copy_from_another_image_of_the_same_labels(rng: np.random.Generator) -> None:
    labels = np.ones((20, 20, 20), np.uint8)
    labels[:10] = 2
    first, second = (10.0 * labels + rng.normal(size=labels.shape) for _ in range(2))
    assert texture_likeness(first, first * 3 + 7, labels) == pytest.approx(1, abs=1e-3)
    assert abs(texture_likeness(first, second, labels)) < 0.05
    mixed = 10.0 * labels + (first - second) / np.sqrt(2)  # half of its variance is that of `first`
    assert texture_likeness(first, mixed, labels) == pytest.approx(np.sqrt(0.5), abs=0.05)
