"""Intervals, tests and agreement against scipy, statsmodels, exact enumeration and closed forms."""

import itertools

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests

from pathosynth.metrics import statistics as s

INF = float("inf")


def test_quantiles_are_numpy_s_and_put_infinity_last(rng: np.random.Generator) -> None:
    values = rng.normal(size=17)
    for q in (0, 0.05, 0.25, 0.5, 0.9, 1):
        assert s.quantile(values, q) == pytest.approx(np.quantile(values, q))
    some = np.array([1.0, INF, 3.0, 2.0])
    assert [s.quantile(some, q) for q in (0, 1 / 3, 0.5, 2 / 3, 0.7, 1)] == [1, 2, 2.5, 3, INF, INF]
    assert s.quantile(np.array([INF, INF]), 0.5) == INF


def test_summary_keeps_what_was_missed() -> None:
    values = np.array([1.0, 2.0, 4.0, INF])
    found = s.summarise(values, np.array([1.0, 2.0, 4.0, 100.0]), 0)
    assert (found.n, found.n_finite) == (4, 3)
    assert found.mean == pytest.approx(7 / 3)
    assert found.mean_capped == pytest.approx(107 / 4)
    assert found.sd == pytest.approx(np.std([1, 2, 4], ddof=1))
    assert (found.minimum, found.median, found.q3, found.maximum) == (1, 3, INF, INF)
    assert found.median_high == INF
    assert found.mean_low < found.mean_capped < found.mean_high


def test_small_samples_do_not_invent_numbers() -> None:
    assert s.summarise(np.array([]), np.array([]), 0) == s.Summary(0, 0, *[None] * 12)
    one = s.summarise(np.array([2.0]), np.array([2.0]), 0)
    assert (one.mean, one.sd, one.mean_low, one.median_high) == (2, None, None, None)
    missed = s.summarise(np.array([INF]), np.array([50.0]), 0)
    assert (missed.mean, missed.mean_capped, missed.median) == (None, 50, INF)


@pytest.mark.parametrize(("statistic", "theirs"), [(s.means, np.mean), (s.medians, np.median)])
def test_bootstrap_interval_is_scipy_s(statistic, theirs, rng: np.random.Generator) -> None:
    values = rng.gamma(2, size=25)
    expected = stats.bootstrap((values,), theirs, method="percentile", n_resamples=20000, rng=rng).confidence_interval
    found = s.bootstrap(values, statistic, 3)
    assert found == pytest.approx(tuple(expected), abs=0.06 * (expected.high - expected.low))
    assert found == s.bootstrap(values, statistic, 3)


def test_bootstrap_covers_the_mean_nearly_as_often_as_it_says(rng: np.random.Generator) -> None:
    """95 % of 30 subjects; a percentile interval of few is a little short, t would have 2.05 for its 1.93."""
    ends = np.array([s.bootstrap(rng.normal(size=30), s.means, seed) for seed in range(300)])
    assert 0.89 < ((ends[:, 0] < 0) & (ends[:, 1] > 0)).mean() < 0.985


def exact_p(differences: np.ndarray) -> float:
    """Two-sided signed-rank p over all 2^n signs."""
    ranks = stats.rankdata(np.abs(differences))
    all_sums = [sum(r * sign for r, sign in zip(ranks, signs, strict=True)) for signs in
                itertools.product((-1, 1), repeat=len(ranks))]  # fmt: skip
    found = abs((ranks * np.sign(differences)).sum())
    return float(np.mean(np.abs(all_sums) >= found - 1e-9))


def test_signed_rank_test_is_exact(rng: np.random.Generator) -> None:
    for n in (4, 6, 9, 11):
        first, second = rng.normal(size=n), rng.normal(0.5, size=n)
        found = s.paired(first, second, (first, second), 0)
        assert found.p == pytest.approx(exact_p(first - second))
        assert found.difference == pytest.approx((first - second).mean())
        assert (found.n, found.higher + found.lower) == (n, n)


def test_ties_and_pairs_without_difference() -> None:
    first = np.array([1.0, 2, 3, 4, 5, 6, 7, 8])
    second = first - np.array([0.1, 0.1, -0.1, 0.2, 0.2, 0.3, 0.3, 0.0])
    found = s.paired(first, second, (first, second), 0)
    assert found.p == pytest.approx(exact_p(np.array([1, 1, -1, 2, 2, 3, 3.0])), abs=0.02)
    assert (found.higher, found.lower, found.n) == (6, 1, 8)
    same = s.paired(first, first, (first, first), 0)
    assert (same.p, same.effect, same.smallest_p, same.difference) == (None, None, None, 0)


def test_infinite_distances_outrank_finite_ones() -> None:
    """Missing a structure that the other found is the largest difference; when both missed it, there is none."""
    first = np.array([INF, 3.0, 2.0, 1.5, INF, 2.2, 9.0])
    second = np.array([2.0, INF, 1.0, 1.0, INF, 2.0, 3.0])
    capped = tuple(np.where(np.isinf(one), 200, one) for one in (first, second))
    found = s.paired(first, second, capped, 0)
    stand_in = np.array([1000, -1000, 1.0, 0.5, 0.2, 6.0])
    assert (found.higher, found.lower) == (5, 1)
    assert found.p == pytest.approx(exact_p(stand_in), abs=0.02)
    assert found.effect == pytest.approx(s.rank_biserial(stand_in))
    assert found.difference == pytest.approx((capped[0] - capped[1]).mean())


def test_few_pairs_cannot_be_significant() -> None:
    for n in range(1, 9):
        first = np.arange(n) + 1.0
        found = s.paired(first, np.zeros(n), (first, np.zeros(n)), 0)
        assert found.p == pytest.approx(found.smallest_p) == pytest.approx(2.0 ** (1 - n))
        assert (found.smallest_p < 0.05) == (n >= s.FEWEST)
        assert found.effect == 1


def test_effect_is_favourable_minus_unfavourable_share_of_ranks() -> None:
    """Kerby's example of the simple difference formula: ranks against are 1 + 2 of 55."""
    differences = np.array([-1.0, -2, 3, 4, 5, 6, 7, 8, 9, 10])
    assert s.rank_biserial(differences) == pytest.approx((52 - 3) / 55)
    assert s.rank_biserial(-differences) == pytest.approx(-(52 - 3) / 55)


def test_holm_is_statsmodels_s_and_leaves_out_what_was_not_tested(rng: np.random.Generator) -> None:
    for _ in range(20):
        p = list(rng.uniform(0, 0.2, rng.integers(1, 12)))
        assert s.holm(p) == pytest.approx(list(multipletests(p, method="holm")[1]))
    assert s.holm([0.01, None, 0.04]) == pytest.approx([0.02, None, 0.04])
    assert s.holm([]) == []


def test_agreement_is_bland_and_altman_s(rng: np.random.Generator) -> None:
    errors = rng.normal(2, 3, (40, 1))
    found = s.agreement(errors, [f"p{i}" for i in range(40)], 0)
    assert found.bias == pytest.approx(errors.mean())
    assert found.mae == pytest.approx(np.abs(errors).mean())
    assert found.sd_absolute == pytest.approx(np.abs(errors).std(ddof=1))
    assert (found.limit_low, found.limit_high) == pytest.approx(
        (errors.mean() - 1.96 * errors.std(ddof=1), errors.mean() + 1.96 * errors.std(ddof=1))
    )
    interval = stats.ttest_1samp(errors[:, 0], 0).confidence_interval()
    assert (found.bias_low, found.bias_high) == pytest.approx(tuple(interval))


def test_several_trainings_do_not_make_limits_narrower(rng: np.random.Generator) -> None:
    """Runs that err independently: the mean of four has half the SD of one, the limits must keep that of one."""
    errors = rng.normal(0, 2, (400, 4))
    found = s.agreement(errors, [str(i) for i in range(400)], 0)
    assert found.sd == pytest.approx(2, rel=0.1)
    assert found.mae == pytest.approx(np.abs(errors).mean())


def test_somebody_scanned_often_counts_once() -> None:
    """Nine scans 8 mL off of one person, one right scan of four others."""
    errors = np.array([[8.0]] * 9 + [[0.0]] * 4)
    found = s.agreement(errors, ["often"] * 9 + list("abcd"), 0)
    per_person = np.array([8.0, 0, 0, 0, 0])
    assert (found.n, found.mae, found.bias) == (13, pytest.approx(1.6), pytest.approx(1.6))
    assert (found.mae_low, found.mae_high) == s.bootstrap(per_person, s.means, 0)
    assert found.mae_low <= found.mae <= found.mae_high
    assert found.sd_absolute == pytest.approx(per_person.std(ddof=1))
    interval = stats.ttest_1samp(per_person, 0).confidence_interval()
    assert (found.bias_low, found.bias_high) == pytest.approx(tuple(interval))
    assert (found.limit_low + found.limit_high) / 2 == pytest.approx(1.6)


def test_limits_are_of_single_predictions_and_weigh_people_alike(rng: np.random.Generator) -> None:
    """Scans that err with SD 2, one of some people and eight of others, whose own error has SD 3: together sqrt(13)."""
    scans = np.where(np.arange(1500) % 2, 1, 8)
    people = np.repeat(np.arange(1500), scans)
    errors = (rng.normal(0, 3, 1500)[people] + rng.normal(0, 2, people.size))[:, None]
    assert s.agreement(errors, [str(one) for one in people], 0).sd == pytest.approx(np.sqrt(13), rel=0.05)
    balanced = rng.normal(1, 2, (40, 3))
    assert s.agreement(balanced, [str(i) for i in range(40)], 0).sd == pytest.approx(balanced.std(ddof=1))


def test_agreement_of_few_cases_leaves_open_what_they_do_not_say() -> None:
    assert s.agreement(np.zeros((0, 1)), [], 0) == s.Agreement(0)
    one = s.agreement(np.array([[-3.0]]), ["p"], 0)
    assert (one.n, one.mae, one.bias, one.sd, one.limit_low) == (1, 3, -3, None, None)
    same = s.agreement(np.array([[-3.0], [5.0]]), ["p", "p"], 0)
    assert (same.n, same.mae, same.bias, same.sd, same.mae_low) == (2, 4, 1, None, None), "one person is no sample"
