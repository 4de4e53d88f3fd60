"""Agreement against published tables, other programs, and pair-by-pair definitions."""

import itertools

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import cohen_kappa_score
from statsmodels.formula.api import ols
from statsmodels.stats.anova import anova_lm
from statsmodels.stats.inter_rater import fleiss_kappa as statsmodels_fleiss

from pathosynth.reader.analysis.alpha import LEVELS, krippendorff_alpha
from pathosynth.reader.analysis.icc import NAMES, intraclass_correlations
from pathosynth.reader.analysis.kappa import cohen_kappa, fleiss_kappa, percent_agreement

X = np.nan

SHROUT_FLEISS = np.array(
    [[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]], float
)  # fmt: skip
"""Shrout & Fleiss (1979), table 2: four judges, six targets."""

KRIPPENDORFF = np.array([
    [1, 2, 3, 3, 2, 1, 4, 1, 2, X, X, X], [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, X, 3],
    [X, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, X], [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, X],
]).T  # fmt: skip
"""Krippendorff (2011), section C: four observers, twelve units, with gaps."""

FLEISS_COUNTS = (
    (0, 0, 0, 0, 14), (0, 2, 6, 4, 2), (0, 0, 3, 5, 6), (0, 3, 9, 2, 0), (2, 2, 8, 1, 1),
    (7, 7, 0, 0, 0), (3, 2, 6, 3, 0), (2, 5, 3, 2, 2), (6, 5, 2, 1, 0), (0, 2, 2, 3, 7),
)  # fmt: skip
"""Ten cases, fourteen readers, five categories: the usual worked example of Fleiss' kappa, .210."""


def test_icc_of_shrout_and_fleiss() -> None:
    found = intraclass_correlations(SHROUT_FLEISS)
    printed = {"icc1": 0.17, "icc2": 0.29, "icc3": 0.71, "icc1k": 0.44, "icc2k": 0.62, "icc3k": 0.91}
    precise = {"icc1": 0.166, "icc2": 0.290, "icc3": 0.715, "icc1k": 0.443, "icc2k": 0.620, "icc3k": 0.909}
    for name in NAMES:
        assert round(found[name].value, 2) == printed[name]
        assert round(found[name].value, 3) == precise[name]


def test_icc_intervals_are_those_other_programs_print() -> None:
    """Limits that R's psych prints for the same table."""
    printed = {
        "icc1": (-0.13, 0.72), "icc2": (0.02, 0.76), "icc3": (0.34, 0.95),
        "icc1k": (-0.88, 0.91), "icc2k": (0.07, 0.93), "icc3k": (0.68, 0.99),
    }  # fmt: skip
    found = intraclass_correlations(SHROUT_FLEISS)
    assert {name: (round(one.low, 2), round(one.high, 2)) for name, one in found.items()} == printed


def test_icc_from_the_mean_squares_of_statsmodels(rng: np.random.Generator) -> None:
    values = rng.normal(size=(12, 1)) + rng.normal(size=5) + rng.normal(size=(12, 5))
    long = pd.DataFrame(
        [(case, reader, values[case, reader]) for case in range(12) for reader in range(5)],
        columns=["case", "reader", "value"],
    )
    squares = anova_lm(ols("value ~ C(case) + C(reader)", long).fit())
    bms, jms, ems = (squares.loc[name, "mean_sq"] for name in ("C(case)", "C(reader)", "Residual"))
    found = intraclass_correlations(values)
    assert found["icc3"].value == pytest.approx((bms - ems) / (bms + 4 * ems))
    assert found["icc2"].value == pytest.approx((bms - ems) / (bms + 4 * ems + 5 * (jms - ems) / 12))
    assert found["icc2k"].value == pytest.approx((bms - ems) / (bms + (jms - ems) / 12))


def test_icc_does_not_depend_on_units_order_or_on_cases_someone_left_out(rng: np.random.Generator) -> None:
    values = rng.normal(size=(15, 1)) + rng.normal(size=(15, 4))
    gaps = np.vstack([values, [1.0, X, 2.0, 3.0]])
    for other in (3 - 2 * values, values[::-1, [2, 0, 3, 1]], gaps):
        found = intraclass_correlations(other)
        for name, one in intraclass_correlations(values).items():
            assert (found[name].value, found[name].low) == pytest.approx((one.value, one.low))
    assert intraclass_correlations(gaps)["icc2"].cases == 15


def test_consistency_forgives_readers_their_level_and_agreement_does_not() -> None:
    values = np.arange(6.0)[:, None] + np.array([0.0, 5.0])
    found = intraclass_correlations(values)
    assert (found["icc3"].value, found["icc3"].low, found["icc3"].high) == pytest.approx((1, 1, 1))
    assert found["icc2"].value < 0.5


@pytest.mark.parametrize(
    ("level", "value"), [("nominal", 0.743), ("ordinal", 0.815), ("interval", 0.849), ("ratio", 0.797)]
)
def test_alpha_of_krippendorff_with_gaps(level: str, value: float) -> None:
    found = krippendorff_alpha(KRIPPENDORFF, level)
    assert round(found.value, 3) == value
    assert found.low < value < found.high <= 1


def _distance(level: str, ratings: list[float]) -> dict[tuple[float, float], float]:
    """Squared differences by their definitions, grade by grade."""
    used = sorted(set(ratings))
    found = {}
    for c, k in itertools.product(used, used):
        between = sum(ratings.count(g) for g in used if min(c, k) <= g <= max(c, k))
        found[c, k] = {
            "nominal": float(c != k),
            "ordinal": (between - (ratings.count(c) + ratings.count(k)) / 2) ** 2 if c != k else 0.0,
            "interval": (c - k) ** 2,
            "ratio": ((c - k) / (c + k)) ** 2 if c + k else 0.0,
        }[level]
    return found


@pytest.mark.parametrize("level", LEVELS)
def test_alpha_is_the_mean_over_pairs_that_defines_it(level: str, rng: np.random.Generator) -> None:
    values = rng.integers(0, 4, (14, 4)).astype(float)
    values[rng.random(values.shape) < 0.3] = X
    units = [[v for v in row if not np.isnan(v)] for row in values]
    units = [unit for unit in units if len(unit) > 1]
    ratings = [v for unit in units for v in unit]
    d, n = _distance(level, ratings), len(ratings)
    observed = (
        sum(
            d[a, b] / (len(unit) - 1)
            for unit in units
            for i, a in enumerate(unit)
            for j, b in enumerate(unit)
            if i != j
        )
        / n
    )
    expected = sum(d[a, b] for i, a in enumerate(ratings) for j, b in enumerate(ratings) if i != j) / (n * (n - 1))
    assert krippendorff_alpha(values, level).value == pytest.approx(1 - observed / expected)


@pytest.mark.parametrize("level", LEVELS)
def test_jackknife_of_alpha_leaves_out_one_case_at_a_time(level: str, rng: np.random.Generator) -> None:
    from pathosynth.reader.analysis.alpha import _jackknifed, value_counts

    values = rng.integers(0, 4, (10, 3)).astype(float)
    _, without = _jackknifed(*value_counts(values), level)
    direct = [krippendorff_alpha(np.delete(values, i, axis=0), level).value for i in range(len(values))]
    assert without == pytest.approx(direct)


def test_ordinal_alpha_sees_order_alone_and_nominal_alpha_names_alone(rng: np.random.Generator) -> None:
    values = rng.integers(0, 4, (20, 3)).astype(float)
    stretched, shuffled = 10.0**values, np.array([2.0, 0.0, 3.0, 1.0])[values.astype(int)]
    assert krippendorff_alpha(stretched, "ordinal").value == pytest.approx(krippendorff_alpha(values, "ordinal").value)
    assert krippendorff_alpha(shuffled, "nominal").value == pytest.approx(krippendorff_alpha(values, "nominal").value)
    assert krippendorff_alpha(stretched, "interval").value != krippendorff_alpha(values, "interval").value


def test_fleiss_kappa_of_the_worked_example_and_of_statsmodels(rng: np.random.Generator) -> None:
    values = np.array([np.repeat(np.arange(5.0), row) for row in FLEISS_COUNTS])
    assert round(fleiss_kappa(values).value, 3) == 0.210
    random = rng.integers(0, 3, (25, 6)).astype(float)
    counts = np.stack([(random == value).sum(axis=1) for value in range(3)], axis=1)
    assert fleiss_kappa(random).value == pytest.approx(statsmodels_fleiss(counts))


def test_fleiss_kappa_with_unequal_numbers_of_readers_follows_the_written_policy() -> None:
    values = np.array([[0, 0, 0], [1, 1, X], [0, 1, X], [1, 1, 0], [1, X, X]], float)
    agreed = np.mean([1, 1, 0, 1 / 3])  # the last case has one reader and does not count
    ones = (0 + 2 + 1 + 2) / 10
    chance = ones**2 + (1 - ones) ** 2
    assert fleiss_kappa(values).value == pytest.approx((agreed - chance) / (1 - chance))
    assert percent_agreement(values).value == pytest.approx(agreed)


@pytest.mark.parametrize("weights", ["linear", "quadratic"])
def test_weighted_kappa_counts_unused_grades_as_scikit_learn_does_when_told(weights: str) -> None:
    first, second = np.array([0, 0, 1, 3, 3, 1, 0, 1]), np.array([0, 1, 1, 3, 1, 1, 0, 1])  # nobody used 2
    told = cohen_kappa_score(first, second, weights=weights, labels=[0, 1, 2, 3])
    assert cohen_kappa(np.stack([first, second], axis=1).astype(float), weights).value == pytest.approx(told)
    assert cohen_kappa_score(first, second, weights=weights) != pytest.approx(told)


def test_kappa_of_several_readers_is_the_mean_over_their_pairs(rng: np.random.Generator) -> None:
    values = rng.integers(0, 4, (30, 4)).astype(float)
    for weights, name in (("none", None), ("linear", "linear"), ("quadratic", "quadratic")):
        pairs = [
            cohen_kappa_score(values[:, i], values[:, j], weights=name, labels=[0, 1, 2, 3])
            for i, j in itertools.combinations(range(4), 2)
        ]
        assert cohen_kappa(values, weights).value == pytest.approx(np.mean(pairs))


def test_weighted_kappa_by_hand() -> None:
    """Two readers, four cases: observed (0 + 1 + 0 + 4) / 4, expected over all sixteen pairs."""
    values = np.array([[0, 0], [1, 2], [3, 3], [3, 1]], float)
    expected = sum((a - b) ** 2 for a in values[:, 0] for b in values[:, 1]) / 16
    assert cohen_kappa(values, "quadratic").value == pytest.approx(1 - (5 / 4) / expected)


def test_perfect_agreement_is_one_with_a_lower_end_that_falls_with_fewer_cases() -> None:
    lows = []
    for n in (6, 24, 96):
        values = np.repeat(np.arange(n) % 3, 3).reshape(n, 3).astype(float)
        for found in (fleiss_kappa(values), cohen_kappa(values, "linear"), krippendorff_alpha(values, "ordinal")):
            assert found.value == pytest.approx(1)
            assert found.high == 1
        lows.append(fleiss_kappa(values).low)
        assert percent_agreement(values).low == pytest.approx(n / (n + 3.84), abs=0.01)  # Wilson at n of n
    assert lows == sorted(lows)
    assert lows[-1] < 1


def test_copies_of_a_subject_make_no_interval_narrower(rng: np.random.Generator) -> None:
    """Every case copied, the copies of one subject: intervals are those of the cases once, 1.4 times the naive ones."""
    values = np.digitize(rng.normal(size=(40, 1)) + rng.normal(size=(40, 3)) * 0.6, [-0.8, 0, 0.8]).astype(float)
    twice, units = np.tile(values, (2, 1)), np.tile(np.arange(40), 2)
    measures = [
        fleiss_kappa, percent_agreement, lambda x, u=None: cohen_kappa(x, "quadratic", u),
        *(lambda x, u=None, level=level: krippendorff_alpha(x, level, u) for level in LEVELS),
    ]  # fmt: skip
    for measure in measures:
        widths = [one.high - one.low for one in (measure(values), measure(twice, units), measure(twice))]
        assert widths[1] == pytest.approx(widths[0], rel=0.06)
        assert widths[2] == pytest.approx(widths[0] / np.sqrt(2), rel=0.06)
    few = np.repeat(np.arange(2), 40)
    assert fleiss_kappa(twice, few).why == "80 cases of 2 subjects are too few for an interval."
