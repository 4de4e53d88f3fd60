"""Plans of studies: against other programs' distributions, Zou's formula and the published plan of an example."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.power import TTestPower
from van_dyke import POSITIVE, RATINGS

from pathosynth.reader.analysis.icc import intraclass_correlations
from pathosynth.reader.analysis.mrmc import average_components
from pathosynth.reader.analysis.plan import Question, plan
from pathosynth.reader.analysis.power import (
    Spread,
    accuracy_spread,
    auc_spread,
    enough_cases,
    icc_above,
    icc_within,
    power_of_difference,
    power_of_mean,
)  # fmt: skip
from pathosynth.reader.analysis.superiority import auc, delong_covariances, pair_scores
from pathosynth.runs.errors import ConfigError, InputError


def zou(icc: float, half_width: float, readers: int, assured: bool) -> float:
    """Cases for an interval of this half width, with an assurance of 80 % or 50 % (Zou 2012, normal approximation)."""
    z, beta, w, k = 1.959964, 0.841621 if assured else 0.0, 2 * half_width, readers
    a = (1 - icc) * (1 + (k - 1) * icc)
    root = math.sqrt(z**2 * a**2 + 2 * w * z * beta * a * abs(k - 2 + 2 * icc - 2 * k * icc))
    return 1 + 2 * (z * a + root) ** 2 / (k * (k - 1) * w**2)


@pytest.mark.parametrize(
    ("icc", "readers", "half_width"), [(0.9, 2, 0.05), (0.8, 3, 0.1), (0.6, 4, 0.1), (0.7, 2, 0.1)]
)
@pytest.mark.parametrize("power", [0.5, 0.8])
def test_cases_for_an_icc_are_near_zou_s(icc: float, readers: int, half_width: float, power: float) -> None:
    """His formula is an approximation, ours exact: within a tenth of each other."""
    exact = enough_cases(lambda cases: icc_within(icc, half_width, readers, cases), power)
    assert exact == pytest.approx(zou(icc, half_width, readers, assured=power > 0.5), rel=0.1)


def test_power_of_an_icc_is_the_share_of_simulated_studies(rng: np.random.Generator) -> None:
    hits = 0
    for _ in range(1500):
        values = rng.normal(size=(30, 1)) * math.sqrt(0.7) + rng.normal(size=(30, 3)) * math.sqrt(0.3)
        hits += intraclass_correlations(values)["icc1"].low > 0.5
    assert hits / 1500 == pytest.approx(icc_above(0.7, 0.5, 3, 30), abs=0.04)


def test_an_icc_at_the_limit_is_shown_as_often_as_the_interval_errs() -> None:
    assert icc_above(0.6, 0.6, 4, 30) == pytest.approx(0.025)


def test_without_shared_cases_power_is_that_of_a_t_test_over_readers() -> None:
    for readers, effect in ((5, 0.06), (12, 0.04)):
        planned = power_of_mean(effect, readers, Spread(reader=0.05**2, error=0.0, shared=0.0))
        told = TTestPower().power(effect / 0.05, nobs=readers, alpha=0.05)
        assert planned == pytest.approx(told, abs=1e-4)


def test_published_plan_of_the_van_dyke_study() -> None:
    """RJafroc's vignette plans 251 cases for six readers, a difference as observed and a power of 80 %."""
    pairs = [pair_scores(one[~POSITIVE], one[POSITIVE]) for modality in RATINGS for one in modality]
    values = np.array([auc(one) for one in pairs]).reshape(2, 5)
    pilot = average_components(values, delong_covariances(pairs).reshape(2, 5, 2, 5))
    change = float(np.diff(values.mean(axis=1))[0])
    assert enough_cases(lambda cases: power_of_difference(change, 6, cases, pilot, 114), 0.8) == 251


def test_power_grows_with_readers_cases_and_difference_and_falls_with_what_readers_differ_by() -> None:
    def power(readers: int = 5, cases: int = 60, accuracy: float = 0.62, sd: float = 0.05) -> float:
        return power_of_mean(accuracy - 0.5, readers, accuracy_spread(accuracy, cases, sd, 0.2))

    assert power() < power(readers=8)
    assert power() < power(cases=120)
    assert power() < power(accuracy=0.7)
    assert power() > power(sd=0.1)
    assert power_of_mean(0.0, 5, auc_spread(0.5, 60, 0.05, 0.2)) == pytest.approx(0.05)


def test_fewest_cases_are_enough_and_one_less_is_not() -> None:
    found = plan("accuracy", Question(readers=4, expected=0.65))
    less = plan("accuracy", Question(readers=4, expected=0.65, cases=found.cases - 1))
    assert less.power < 0.8 <= found.power


def test_what_more_cases_cannot_give_is_said() -> None:
    with pytest.raises(ConfigError, match="more readers"):
        plan("accuracy", Question(readers=2, expected=0.55, reader_sd=0.2))


def test_a_pilot_without_any_spread_is_refused_and_one_whose_readers_agree_is_not(tmp_path: Path) -> None:
    """Arms that are equal or told without a fault have variances of 0; readers who are alike have some over cases."""
    path = tmp_path / "pilot.json"
    parts = dict.fromkeys(("error", "cov1", "cov2", "cov3", "reader", "interaction"), 0.0)
    path.write_text(json.dumps({"questions": {"q": {"mrmc": {"cases": 20, "components": parts}}}}))
    with pytest.raises(InputError, match="expected AUCs that vary between cases or readers, found none"):
        plan("mrmc", Question(readers=3, difference=0.1, pilot=path))
    parts |= {"error": 2e-3, "cov1": 1e-3, "cov2": 2e-3, "cov3": 1e-3}  # every reader has the same answers
    path.write_text(json.dumps({"questions": {"q": {"mrmc": {"cases": 20, "components": parts}}}}))
    found = plan("mrmc", Question(readers=3, difference=0.1, pilot=path, cases=20))
    assert found.power == pytest.approx(stats.norm.sf(1.959964 - 0.1 / np.sqrt(2e-3)), abs=1e-4)


@pytest.mark.parametrize(
    ("what", "given", "said"),
    [
        ("icc", {"expected": 0.8}, "--least"),
        ("icc", {"expected": 0.8, "least": 0.9}, "below the expected"),
        ("icc", {"expected": 1.2, "least": 0.5}, "between 0 and 1"),
        ("icc", {"expected": 0.8, "least": 0.5, "reader_sd": 0.1}, "takes no --reader-sd"),
        ("mrmc", {"difference": 0.1}, "--pilot"),
        ("auc", {"expected": 0.5}, "other than 0.5"),
        ("nosuch", {}, "expected one of"),
    ],
)
def test_wrong_use_is_told(what: str, given: dict[str, float], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        plan(what, Question(readers=3, **given))
