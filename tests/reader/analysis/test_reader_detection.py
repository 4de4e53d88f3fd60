"""Telling real from synthetic, and grades of two arms: against other programs, closed forms and symmetries."""

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import roc_auc_score
from statsmodels.miscmodels.ordinal_model import OrderedModel
from statsmodels.stats.proportion import proportion_confint

from pathosynth.reader.analysis.comparison import against_margin, compare
from pathosynth.reader.analysis.detection import detect
from pathosynth.reader.analysis.estimate import superiority_score_interval, undefined, wilson, wilson_clustered
from pathosynth.reader.analysis.intra import within_readers
from pathosynth.reader.analysis.ordinal import odds_ratio
from pathosynth.reader.analysis.superiority import sum_covariances

NAMES = ("a", "b", "c")


def study(rng: np.random.Generator, shift: float = 0.8, n: int = 30) -> tuple[np.ndarray, np.ndarray]:
    positive = np.arange(2 * n) >= n
    seen = rng.normal(size=(2 * n, 1)) * 0.5 + rng.normal(size=(2 * n, 3)) + shift * positive[:, None]
    return np.digitize(seen, [-0.5, 0.4, 1.2]).astype(float), positive


@pytest.mark.parametrize(("right", "n"), [(0, 10), (3, 10), (25, 40), (40, 40)])
def test_wilson_is_that_of_statsmodels(right: int, n: int) -> None:
    assert wilson(right / n, n) == pytest.approx(proportion_confint(right, n, method="wilson"))


def test_clustered_wilson_is_wilson_s_for_independent_answers_and_wider_for_correlated_ones() -> None:
    plain = wilson(0.7, 50)
    assert wilson_clustered(0.7, 0.7 * 0.3 / 50, 50) == pytest.approx(plain)
    low, high = wilson_clustered(0.7, 4 * 0.7 * 0.3 / 50, 50)
    assert low < plain[0] < plain[1] < high
    assert wilson_clustered(1.0, 0.0, 50) == pytest.approx(wilson(1.0, 50))


def test_every_reader_has_counts_divided_by_counts_and_scikit_learn_s_auc(rng: np.random.Generator) -> None:
    scores, positive = study(rng)
    found = detect(scores, positive, 1.5, NAMES)
    for i, name in enumerate(NAMES):
        one, called = found["readers"][name], scores[:, i] > 1.5
        assert one["accuracy"].value == pytest.approx((called == positive).mean())
        assert (one["accuracy"].low, one["accuracy"].high) == pytest.approx(
            proportion_confint((called == positive).sum(), 60, method="wilson")
        )
        assert one["sensitivity"].value == pytest.approx(called[positive].mean())
        assert one["specificity"].value == pytest.approx(1 - called[~positive].mean())
        assert one["auc"].value == pytest.approx(roc_auc_score(positive, scores[:, i]))
        hits, alarms = (called[positive].sum() + 0.5) / 31, (called[~positive].sum() + 0.5) / 31
        assert one["d_prime"].value == pytest.approx(stats.norm.ppf(hits) - stats.norm.ppf(alarms))
        assert one["criterion"].value == pytest.approx(-(stats.norm.ppf(hits) + stats.norm.ppf(alarms)) / 2)
    for key in ("accuracy", "auc", "d_prime"):
        mean = np.mean([found["readers"][name][key].value for name in NAMES])
        assert found["pooled"][key].value == pytest.approx(mean)


def test_d_prime_of_one_reader_has_gourevitch_and_galanter_s_variance() -> None:
    """Macmillan & Creelman (2005), p. 325: var d' = H(1-H)/(n φ(zH)²) + F(1-F)/(n φ(zF)²)."""
    positive = np.arange(80) >= 40
    scores = np.where(positive, np.arange(80) % 4 > 0, np.arange(80) % 5 == 0).astype(float)[:, None]
    one = detect(scores, positive, 0.5, ("a",))["readers"]["a"]["d_prime"]
    rates = (30 + 0.5) / 41, (8 + 0.5) / 41
    variance = sum(rate * (1 - rate) / 40 / stats.norm.pdf(stats.norm.ppf(rate)) ** 2 for rate in rates)
    assert (one.high - one.low) / 2 == pytest.approx(1.959964 * np.sqrt(variance))


def test_swapping_what_counts_as_positive_turns_everything_round(rng: np.random.Generator) -> None:
    scores, positive = study(rng)
    found = detect(scores, positive, 1.5, NAMES)["pooled"]
    turned = detect(3 - scores, ~positive, 1.5, NAMES)["pooled"]
    for key in ("accuracy", "auc", "d_prime"):
        assert (found[key].value, found[key].low, found[key].high) == pytest.approx(
            (turned[key].value, turned[key].low, turned[key].high)
        )
    assert found["criterion"].value == pytest.approx(-turned["criterion"].value)
    assert found["sensitivity"].value == pytest.approx(turned["specificity"].value)


def test_cases_read_twice_tell_no_more_than_once(rng: np.random.Generator) -> None:
    """Every case copied, and the copy said to be of the same unit: the interval is that of the cases read once."""
    scores, positive = study(rng)
    once = detect(scores, positive, 1.5, NAMES)
    units = np.tile(np.arange(len(scores)), 2)
    twice = detect(np.tile(scores, (2, 1)), np.tile(positive, 2), 1.5, NAMES, units)
    apart = detect(np.tile(scores, (2, 1)), np.tile(positive, 2), 1.5, NAMES)
    for found, known in ((twice["pooled"]["accuracy"], once["pooled"]["accuracy"]),
                         (twice["pooled"]["sensitivity"], once["pooled"]["sensitivity"]),
                         (twice["readers"]["a"]["auc"], once["readers"]["a"]["auc"])):  # fmt: skip
        assert (found.value, found.low, found.high) == pytest.approx((known.value, known.low, known.high))
    for key in ("accuracy", "auc", "d_prime"):
        widths = [one["readers"]["a"][key].high - one["readers"]["a"][key].low for one in (twice, once, apart)]
        assert widths[0] == pytest.approx(widths[1], rel=0.05), key
        assert widths[2] < 0.75 * widths[0], key


def test_covariances_over_units_are_those_of_leaving_a_unit_out(rng: np.random.Generator) -> None:
    """The jackknife over subjects of a difference of means whose arms share subjects."""
    first, second = rng.normal(size=(24, 2)), rng.normal(size=(20, 2))
    units = np.repeat(np.arange(12), 2), np.arange(20) % 10
    for subject in range(12):
        first[units[0] == subject] += subject / 3
        second[units[1] == subject] += subject / 3
    found = sum_covariances(first, second, units, -1)
    left = np.array([
        first[units[0] != out].mean(axis=0) - second[units[1] != out].mean(axis=0) for out in range(12)
    ])  # fmt: skip
    centred = left - left.mean(axis=0)
    assert found == pytest.approx(11 / 12 * centred.T @ centred, rel=0.12)
    pairs = np.arange(20), np.arange(20)
    assert sum_covariances(first[:20], second, pairs, -1) == pytest.approx(np.cov((first[:20] - second).T) / 20)


def test_perfect_and_useless_readers_have_finite_intervals() -> None:
    positive = np.arange(24) >= 12
    perfect = np.repeat(positive[:, None] * 3.0, 3, axis=1)
    one = detect(perfect, positive, 1.5, NAMES)["pooled"]
    assert (one["accuracy"].value, one["auc"].value, one["auc"].high) == (1, 1, 1)
    assert 0.6 < one["auc"].low < 1
    assert 0.8 < one["accuracy"].low < 1
    assert np.isfinite([one["d_prime"].low, one["d_prime"].high]).all()
    flat = detect(np.ones((24, 3)), positive, 1.5, NAMES)["pooled"]
    assert (flat["auc"].value, flat["d_prime"].value) == pytest.approx((0.5, 0))


def test_score_interval_of_an_auc_solves_its_own_equation_and_shrinks() -> None:
    low, high = superiority_score_interval(1.0, 20, 30)
    both = 24
    spread = 1 + both * (1 - low) / (2 - low) + both * low / (1 + low)
    assert high == 1
    assert 1 - low == pytest.approx(1.959964 * np.sqrt(low * (1 - low) * spread / 600), rel=1e-4)
    assert superiority_score_interval(1.0, 200, 300)[0] > low
    assert superiority_score_interval(0.0, 20, 30) == pytest.approx((0, 1 - low))


def test_a_reader_without_cases_of_one_origin_is_told_of_and_left_out(rng: np.random.Generator) -> None:
    scores, positive = study(rng)
    scores[positive, 2] = np.nan
    found = detect(scores, positive, 1.5, NAMES)
    assert found["readers"]["c"]["auc"].value is None
    assert "both origins" in found["readers"]["c"]["auc"].why
    assert found["pooled"]["auc"].readers == 2


def test_odds_ratio_is_that_of_statsmodels_with_readers_as_factor(rng: np.random.Generator) -> None:
    values, second = study(rng)
    design = np.column_stack([np.repeat(second, 3), np.tile([0, 1, 0], 60), np.tile([0, 0, 1], 60)]).astype(float)
    model = OrderedModel(values.ravel(), design, distr="logit").fit(method="bfgs", disp=0)
    assert np.log(odds_ratio(values, second).value) == pytest.approx(model.params[0], abs=2e-4)


def test_odds_ratio_of_swapped_arms_is_the_inverse(rng: np.random.Generator) -> None:
    values, second = study(rng)
    one, other = odds_ratio(values, second), odds_ratio(values, ~second)
    assert (one.value, one.low, one.high) == pytest.approx((1 / other.value, 1 / other.high, 1 / other.low), rel=1e-5)
    assert one.p == pytest.approx(other.p, rel=1e-4)


def test_odds_ratio_of_one_reader_has_nearly_the_variance_of_the_model(rng: np.random.Generator) -> None:
    """With one reader every reading is a case, and the clustered variance is White's."""
    values, second = study(rng, n=400)
    model = OrderedModel(values[:, 0], second[:, None].astype(float), distr="logit").fit(method="bfgs", disp=0)
    one = odds_ratio(values[:, :1], second)
    assert np.log(one.high / one.low) / 2 == pytest.approx(1.96 * model.bse[0], rel=0.06)


def test_the_spread_of_an_odds_ratio_is_over_subjects(rng: np.random.Generator) -> None:
    """Copies of the cases add nothing, with one reader and with several; pairs of one subject make it narrower."""
    values, second = study(rng, n=60)
    units = np.tile(np.arange(120), 2)
    for readers in (1, 3):
        once = odds_ratio(values[:, :readers], second)
        twice = odds_ratio(np.tile(values[:, :readers], (2, 1)), np.tile(second, 2), units)
        apart = odds_ratio(np.tile(values[:, :readers], (2, 1)), np.tile(second, 2))
        widths = [np.log(one.high / one.low) for one in (once, twice, apart)]
        assert widths[1] == pytest.approx(widths[0], rel=0.02)
        if readers == 1:
            assert widths[2] == pytest.approx(widths[0] / np.sqrt(2), rel=0.02)
    level = rng.normal(size=(60, 1)) * 1.5
    seen = np.concatenate([level, level + 0.8]) + rng.normal(size=(120, 1)) * 0.5
    graded, arm = np.digitize(seen, [-0.5, 0.4, 1.2]).astype(float), np.arange(120) >= 60
    paired, alone = (odds_ratio(graded, arm, own) for own in (np.arange(120) % 60, None))
    assert paired.value == alone.value
    assert np.log(paired.high / paired.low) < 0.8 * np.log(alone.high / alone.low)


def test_arms_apart_altogether_have_no_odds_ratio_but_a_superiority() -> None:
    second = np.arange(20) >= 10
    values = np.where(second[:, None], 3.0, np.arange(20)[:, None] % 2) * np.ones((20, 3))
    found = compare(values, second, np.arange(20), 0)["effects"]
    assert found["odds_ratio"].value is None
    assert "hardly overlap" in found["odds_ratio"].why
    assert found["superiority"].value == 1
    assert 0.5 < found["superiority"].low < 1


def test_tests_say_what_they_speak_of_and_are_scipy_s(rng: np.random.Generator) -> None:
    values, second = study(rng)
    units = np.arange(60) % 30  # every case of one arm has its pair in the other
    tests = compare(values, second, units, 0)["tests"]
    means = values.mean(axis=1)
    plain = stats.mannwhitneyu(means[second], means[~second])
    assert tests["over_cases"]["p"] == pytest.approx(plain.pvalue)
    assert tests["matched_cases"]["p"] == pytest.approx(stats.wilcoxon(means[30:] - means[:30]).pvalue, rel=0.05)
    assert tests["over_readers"]["n"] == 3
    assert "cannot fall below 0.25" in tests["over_readers"]["why"]
    assert compare(values, second, np.arange(60), 0)["tests"]["matched_cases"] is None


def test_a_margin_is_met_as_two_one_sided_tests_say(rng: np.random.Generator) -> None:
    """With one reader and pairs the difference is a mean of differences: scipy's one-sided t tests of it."""
    level = rng.normal(size=40)
    made, real = level + rng.normal(0.05, 0.3, 40), level + rng.normal(0, 0.3, 40)
    values, second = np.r_[real, made][:, None], np.arange(80) >= 40
    for margin in (0.05, 0.2, 0.5):
        found = compare(values, second, np.arange(80) % 40, 0, margin)["margin"]
        above = stats.ttest_1samp(made - real, -margin, alternative="greater").pvalue
        below = stats.ttest_1samp(made - real, margin, alternative="less").pvalue
        assert found["p_not_worse"] == pytest.approx(above, rel=0.05, abs=1e-5)
        assert found["p_equivalent"] == pytest.approx(max(above, below), rel=0.05, abs=1e-5)
        assert (found["not_worse"], found["equivalent"]) == (above < 0.05, max(above, below) < 0.05)
    assert (found["low"], found["high"]) == pytest.approx(
        tuple(stats.ttest_1samp(made - real, 0).confidence_interval(0.9)), rel=0.02
    )
    silent = against_margin(undefined("No reader rated cases of both arms."), 0.5)
    assert (silent["not_worse"], silent["why"]) == (None, "No reader rated cases of both arms.")


def test_small_tied_samples_are_tested_exactly() -> None:
    values = np.array([[0], [0], [1], [1], [2], [2], [2]], float)
    second = np.array([0, 0, 0, 0, 1, 1, 1], bool)
    found = compare(values, second, np.arange(7), 0)["tests"]["over_cases"]
    assert found["p"] == pytest.approx(2 / 35)  # the two most extreme of the 35 ways to choose three of seven


def test_repeats_are_compared_with_first_readings_reader_by_reader() -> None:
    same = [(case, 0, grade, grade) for case, grade in enumerate((0, 1, 2, 3, 1))]
    other = [(case, 1, grade, 3 - grade) for case, grade in enumerate((0, 1, 2, 3, 0))]
    found = within_readers(np.array(same + other, float), ("steady", "contrary", "absent"), "quadratic")
    assert found["steady"]["weighted_kappa"].value == pytest.approx(1)
    assert found["contrary"]["percent_agreement"].value == 0
    assert found["contrary"]["weighted_kappa"].value < -0.5
    assert found["absent"]["weighted_kappa"].why == "No case was read twice."
    assert found[""]["percent_agreement"].value == pytest.approx(0.5)
