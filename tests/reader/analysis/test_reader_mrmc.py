"""Readers and cases as samples: the standard example to its printed digits, and estimators against slower ones."""

import itertools

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import roc_auc_score
from van_dyke import POSITIVE, RATINGS

from pathosynth.reader.analysis.mrmc import average_components, compare_modalities, mean_estimate, mean_over_readers
from pathosynth.reader.analysis.superiority import (
    auc,
    delong_covariances,
    mean_covariances,
    pair_scores,
    unbiased_covariances,
)  # fmt: skip


@pytest.fixture(scope="module")
def van_dyke() -> tuple[np.ndarray, list[np.ndarray]]:
    """(2, 5) AUCs and the pair scores of all ten."""
    pairs = [pair_scores(one[~POSITIVE], one[POSITIVE]) for modality in RATINGS for one in modality]
    return np.array([auc(one) for one in pairs]).reshape(2, 5), pairs


def test_van_dyke_with_unbiased_covariances_to_printed_digits(van_dyke: tuple[np.ndarray, list[np.ndarray]]) -> None:
    """MRMCaov's documentation and Smith & Hillis (2020)."""
    values, pairs = van_dyke
    found = compare_modalities(values, unbiased_covariances(pairs).reshape(2, 5, 2, 5))
    assert values.mean(axis=1) == pytest.approx([0.89704, 0.94084], abs=5e-6)
    parts = found.components
    assert (parts.error, parts.cov1, parts.cov2, parts.cov3) == pytest.approx(
        (7.8839e-4, 3.4167e-4, 3.3906e-4, 2.3561e-4), abs=1e-8
    )
    assert parts.reader == pytest.approx(0.00153653, abs=1e-7)
    assert parts.interaction == pytest.approx(0.00020776, abs=1e-7)
    assert (found.f, found.df2, found.p) == pytest.approx((4.4896, 15.034, 0.051162), rel=2e-5)
    change = found.differences[0, 1]
    assert (change.value, change.low, change.high) == pytest.approx((-0.0438, -0.08785, 0.00025), abs=6e-6)


def test_the_same_step_from_summary_values_alone(van_dyke: tuple[np.ndarray, list[np.ndarray]]) -> None:
    """The published AUCs and covariances give the published test, without any case."""
    t, r = 2, 5
    covariance = np.full((t, r, t, r), 2.3561e-4)
    for i, j, k, l in itertools.product(range(t), range(r), range(t), range(r)):  # noqa: E741
        if (i, j) == (k, l):
            covariance[i, j, k, l] = 7.8839e-4
        elif j == l:
            covariance[i, j, k, l] = 3.4167e-4
        elif i == k:
            covariance[i, j, k, l] = 3.3906e-4
    aucs = [[0.91964573, 0.85877617, 0.90386473, 0.97310789, 0.82979066],
            [0.94782609, 0.90531401, 0.92173913, 0.99935588, 0.92995169]]  # fmt: skip
    found = compare_modalities(np.array(aucs), covariance)
    assert (found.f, found.df2, found.p) == pytest.approx((4.4896, 15.034, 0.051162), rel=1e-4)
    assert average_components(van_dyke[0], covariance).cov2 == pytest.approx(3.3906e-4)


def test_auc_is_that_of_scikit_learn(van_dyke: tuple[np.ndarray, list[np.ndarray]]) -> None:
    for found, scores in zip(van_dyke[0].ravel(), RATINGS.reshape(10, -1), strict=True):
        assert found == pytest.approx(roc_auc_score(POSITIVE, scores))


def _jackknife(scores: np.ndarray, positive: np.ndarray) -> np.ndarray:
    """Covariance of AUCs from leaving out each case, negative and positive ones apart (Arvesen 1969)."""
    total = np.zeros((len(scores), len(scores)))
    for kind in (False, True):
        own = np.flatnonzero(positive == kind)
        left = np.array([
            [roc_auc_score(np.delete(positive, i), np.delete(one, i)) for one in scores] for i in own
        ])  # fmt: skip
        centred = left - left.mean(axis=0)
        total += (len(own) - 1) / len(own) * centred.T @ centred
    return total


def test_delong_is_the_jackknife_of_either_kind_of_case(rng: np.random.Generator) -> None:
    """Leaving a case out moves an AUC by its centred placement over n - 1, so that both agree exactly."""
    positive = np.arange(40) >= 18
    scores = rng.integers(1, 6, (3, 40)) + 1.0 * positive
    pairs = [pair_scores(one[~positive], one[positive]) for one in scores]
    assert delong_covariances(pairs) == pytest.approx(_jackknife(scores, positive))


def test_unbiased_covariance_is_the_sum_over_pairs_without_a_common_case(rng: np.random.Generator) -> None:
    first, second = (pair_scores(rng.integers(0, 4, 4) * 1.0, rng.integers(1, 5, 5) * 1.0) for _ in range(2))
    apart = [
        first[i, j] * second[k, m]
        for i, j, k, m in itertools.product(range(4), range(5), range(4), range(5))
        if i != k and j != m
    ]
    expected = auc(first) * auc(second) - np.mean(apart)
    assert unbiased_covariances([first, second])[0, 1] == pytest.approx(expected)


def test_unbiased_covariance_is_unbiased(rng: np.random.Generator) -> None:
    """Over many small studies its mean is the covariance that the AUCs themselves show."""
    aucs, estimates = [], []
    for _ in range(4000):
        shared = rng.normal(size=20) * 0.8
        scores = shared + rng.normal(size=(2, 20)) + (np.arange(20) >= 8)
        pairs = [pair_scores(one[:8], one[8:]) for one in scores]
        aucs.append([auc(one) for one in pairs])
        estimates.append(unbiased_covariances(pairs))
    true, found = np.cov(np.array(aucs).T), np.mean(estimates, axis=0)
    assert found[0, 0] == pytest.approx(true[0, 0], rel=0.06)
    assert found[0, 1] == pytest.approx(true[0, 1], rel=0.12)


def test_missing_readings_leave_what_the_others_share(rng: np.random.Generator) -> None:
    scores = rng.normal(size=(2, 30)) + (np.arange(30) >= 15)
    scores[1, [3, 20]] = np.nan
    kept = np.isfinite(scores).all(axis=0)
    pairs = [pair_scores(one[:15], one[15:]) for one in scores]
    without = pair_scores(scores[1, :15][kept[:15]], scores[1, 15:][kept[15:]])
    assert auc(pairs[1]) == pytest.approx(auc(without))
    assert unbiased_covariances(pairs)[1, 1] == pytest.approx(unbiased_covariances([without])[0, 0])
    assert delong_covariances(pairs)[1, 1] == pytest.approx(delong_covariances([without])[0, 0])


def test_covariance_of_means_is_that_of_the_mean(rng: np.random.Generator) -> None:
    values = rng.normal(size=(12, 3))
    assert mean_covariances(values) == pytest.approx(np.cov(values.T) / 12)


def test_without_shared_cases_the_mean_over_readers_has_the_one_sample_t_interval(rng: np.random.Generator) -> None:
    values = rng.normal(0.6, 0.1, 7)
    found = mean_estimate(mean_over_readers(list(values), np.zeros((7, 7))), null=0.5)
    t = stats.ttest_1samp(values, 0.5)
    assert (found.low, found.high) == pytest.approx(tuple(t.confidence_interval()))
    assert found.p == pytest.approx(t.pvalue)


def test_readers_with_equal_statistics_do_not_make_the_cases_more() -> None:
    """Four readers of one AUC who share little: the variance is that of their mean over cases, not what they share."""
    covariance = np.full((4, 4), 1e-6) + np.diag(np.full(4, 4e-3))
    equal = mean_over_readers([0.8] * 4, covariance, 38)
    assert equal.variance == pytest.approx(covariance.sum() / 16)
    assert equal.df == 38
    tiny = mean_over_readers([0.6e-9, 0.75e-9, 0.85e-9, 1e-9], covariance * 1e-18, 38)
    assert tiny.df == pytest.approx(mean_over_readers([0.6, 0.75, 0.85, 1.0], covariance, 38).df)
    apart = mean_over_readers([0.6, 0.75, 0.85, 1.0], covariance, 38)
    assert apart.variance == pytest.approx(np.var([0.6, 0.75, 0.85, 1.0], ddof=1) / 4 + 1e-6)


def test_readers_with_equal_differences_do_not_make_the_cases_more() -> None:
    """Three readers who each gain 0.05: the variance of a difference is that of the mean over cases."""
    flat = np.full((6, 6), 2e-4) + np.diag(np.full(6, 1e-3))
    found = compare_modalities(np.array([[0.7, 0.8, 0.9], [0.75, 0.85, 0.95]]), flat.reshape(2, 3, 2, 3))
    change = np.repeat([-1 / 3, 1 / 3], 3)
    assert found.p == pytest.approx(2 * stats.norm.sf(0.05 / np.sqrt(change @ flat @ change)))


def test_without_shared_cases_two_modalities_have_the_paired_t_test(rng: np.random.Generator) -> None:
    values = rng.normal(0.8, 0.05, (2, 6))
    found = compare_modalities(values, np.zeros((2, 6, 2, 6)))
    assert found.p == pytest.approx(stats.ttest_rel(*values).pvalue)
    assert found.df2 == pytest.approx(5)


def test_one_reader_is_told_by_cases_alone_and_equal_modalities_by_a_sentence() -> None:
    covariance = np.array([[4.0, 1.0], [1.0, 4.0]]).reshape(2, 1, 2, 1) * 1e-4
    found = compare_modalities(np.array([[0.9], [0.8]]), covariance)
    assert found.p == pytest.approx(2 * stats.norm.sf(0.1 / np.sqrt(6e-4)))
    same = compare_modalities(np.ones((2, 3)), np.zeros((2, 3, 2, 3)))
    assert same.p is None
    assert same.why
