"""Requests to a label generator: what may be written, and how evenly n of them fill what was asked for."""

import numpy as np
import pytest

from pathosynth.runs.errors import ConfigError
from pathosynth.stages import wishes

KNOWN = wishes.trained({"ventricle_ratio": (0.01, 0.11), "ventricle_ml": (5, 150), "age_weeks": (21, 38)})


def parsed(*pairs: str) -> wishes.Wishes:
    return wishes.parse_wishes(pairs, KNOWN, "fetal-labels")


def values(name: str, *pairs: str, number: int = 200, seed: int = 0) -> np.ndarray:
    return np.array([asked[name] for asked in wishes.draw(parsed(*pairs), number, seed)])


def test_one_request_lies_in_every_nth_of_the_range() -> None:
    for form, cdf in (
        ("uniform:10:150", lambda v: (v - 10) / 140),
        ("log_uniform:10:150", lambda v: np.log(v / 10) / np.log(15)),
    ):
        quantiles = cdf(values("ventricle_ml", f"ventricle_ml={form}"))
        np.testing.assert_array_equal(np.floor(np.sort(quantiles) * 200), np.arange(200))


def test_normal_and_choice_have_the_moments_they_say() -> None:
    ages = values("age_weeks", "age_weeks=normal:28:2:22:34", number=2000)
    assert (ages.min() >= 22, ages.max() <= 34) == (True, True)
    assert (ages.mean(), ages.std()) == (pytest.approx(28, abs=0.02), pytest.approx(2, abs=0.03))
    found, counts = np.unique(values("c", "c=choice:0.2:0.8:1.4:2", number=100), return_counts=True)
    assert (found.tolist(), counts.tolist()) == ([0.2, 0.8, 1.4, 2], [25] * 4)


def test_a_condition_is_drawn_the_same_whatever_else_is_asked_and_in_whatever_order() -> None:
    alone = values("ventricle_ml", "ventricle_ml=uniform:10:150")
    for pairs in (
        ("age_weeks=uniform:22:34", "ventricle_ml=uniform:10:150"),
        ("ventricle_ml=uniform:10:150", "age_weeks=30"),
    ):
        np.testing.assert_array_equal(values("ventricle_ml", *pairs), alone)
    assert (values("ventricle_ml", "ventricle_ml=uniform:10:150", seed=1) != alone).any()


def test_two_conditions_do_not_hang_together() -> None:
    drawn = wishes.draw(parsed("ventricle_ml=uniform:10:150", "age_weeks=uniform:22:34"), 1000, 0)
    assert abs(np.corrcoef([(one["ventricle_ml"], one["age_weeks"]) for one in drawn], rowvar=False)[0, 1]) < 0.1


def test_nothing_asked_is_a_request_without_conditions() -> None:
    assert wishes.draw(parsed(), 3, 0) == [{}, {}, {}]


@pytest.mark.parametrize(
    ("pair", "message"),
    [
        ("ventricles=3", "no condition 'ventricles'"),
        ("ventricle_ml", "NAME=VALUE"),
        ("ventricle_ml=", "NAME=VALUE"),
        ("ventricle_ml=much", "'much' is not a number"),
        ("ventricle_ml=nan", "'nan' is not a number"),
        ("ventricle_ml=inf", "'inf' is not a number"),
        ("ventricle_ml=1e400", "not a number"),
        ("ventricle_ml=gamma:1:2", "'gamma' is no distribution"),
        ("ventricle_ml=uniform:10", "expected uniform:FROM:TO, found 1"),
        ("ventricle_ml=uniform:10:x", "'x' is not a number"),
        ("ventricle_ml=uniform:150:10", "[smaller, larger]"),
        ("ventricle_ml=log_uniform:0:10", "above 0"),
        ("ventricle_ml=normal:28:0:22:34", "standard deviation above 0"),
        ("ventricle_ml=normal:50:2:22:34", "around the mean"),
        ("ventricle_ml=choice:", "'' is not a number"),
        ("ventricle_ml=-4", "no brain has a ventricle_ml of -4"),
        ("ventricle_ml=0", "no brain has a ventricle_ml of 0"),
        ("ventricle_ml=uniform:-4:9", "no brain has a ventricle_ml of -4"),
        ("ventricle_ratio=1.5", "no brain has a ventricle_ratio"),
        ("c=-0.5", "no brain has a c of -0.5"),
        ("c=12", "no brain has a c of 12"),
    ],
)
def test_what_is_wrong_is_refused_in_one_clear_message(pair: str, message: str) -> None:
    with pytest.raises(ConfigError) as refused:
        parsed(pair)
    assert message in str(refused.value)
    assert f"--set {pair}" in str(refused.value)


def test_an_unknown_name_is_answered_with_ranges_and_units() -> None:
    with pytest.raises(ConfigError) as refused:
        parsed("ventricle=3")
    told = str(refused.value)
    assert "ventricle_ml (5 to 150 mL)" in told
    assert "age_weeks (21 to 38 weeks)" in told
    assert "ventricle_ratio (0.01 to 0.11 ratio)" in told
    assert "c (0 to 1 of the trained range of ventricle_ratio)" in told


def test_the_same_thing_said_twice_is_refused() -> None:
    for pairs in (("c=0.5", "ventricle_ratio=0.05"), ("c=0.5", "c=0.6")):
        with pytest.raises(ConfigError, match="Keep one"):
            parsed(*pairs)


def test_c_is_the_place_in_the_trained_range_of_the_ratio() -> None:
    assert wishes.in_measured_units({"c": 0.5}, KNOWN)["ventricle_ratio"] == pytest.approx(0.06)
    assert wishes.scaled({"ventricle_ratio": 0.16}, KNOWN)["c"] == pytest.approx(1.5)


def test_requests_outside_the_trained_range_are_told_with_it() -> None:
    assert wishes.beyond({"ventricle_ml": 5, "age_weeks": 38, "c": 1}, KNOWN) == {}
    outside = wishes.beyond({"ventricle_ml": 151, "age_weeks": 30, "c": -0.05}, KNOWN)
    assert outside["ventricle_ml"] == "ventricle_ml 151 (trained: 5 to 150 mL)"
    assert set(outside) == {"ventricle_ml", "c"}
