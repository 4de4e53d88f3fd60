"""Normal curves: the worked values that stand beside the published formulas, round trips, ranges, no mixing."""

import math
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pathosynth.data.norms import (
    DEFAULT_PROTOCOLS,
    Norm,
    all_norms,
    folds_at_z,
    load_norm,
    one_protocol,
    z_scores,
)
from pathosynth.data.norms_ventricle import atrial_width_mm, ventricle_ml
from pathosynth.runs.errors import InputError

# Printed beside the formulas, computed by others: means at 21, 24, 28, 32, 36 weeks and the digits shown.
WORKED_VOLUMES = {
    "lateral_ventricle_ml": (1, 1.1, 1.6, 2.1, 2.6, 2.9),
    "cerebellum_ml": (1, 1.4, 2.5, 5.3, 9.5, 15.1),
    "brainstem_ml": (1, 1.3, 2.1, 3.2, 4.5, 5.9),
    "white_matter_ml": (0, 19, 44, 78, 113, 148),
    "cortex_ml": (0, 9, 15, 31, 57, 93),
    "deep_grey_matter_ml": (1, 2.1, 3.9, 6.8, 10.2, 14.1),
    "external_csf_ml": (0, 24, 46, 69, 84, 92),
}
# Mean and standard deviation at 21, 28, 36 weeks.
WORKED_LENGTHS = {
    "atrial_width_mm": ((7.9, 1.1), (6.9, 1.3), (6.7, 1.5)),
    "transcerebellar_diameter_mm": ((19.5, 1.1), (31.9, 1.4), (46.6, 1.7)),
    "vermis_height_mm": ((7.7, 0.6), (14.3, 0.8), (20.1, 1.1)),
    "pons_ap_mm": ((6.3, 0.5), (9.2, 0.6), (12.7, 0.7)),
    "bpd_mm": ((51.3, 2.0), (73.5, 2.7), (92.6, 3.4)),
    "ofd_mm": ((60.9, 1.9), (89.1, 2.9), (109.6, 4.1)),
}
EVERY = pytest.mark.parametrize("norm", all_norms(), ids=lambda norm: f"{norm.protocol}-{norm.measure}")


def ages(norm: Norm) -> np.ndarray:
    return np.linspace(*norm.weeks, 60)


@pytest.mark.parametrize("measure", WORKED_VOLUMES)
def test_volumes_equal_the_worked_values(measure: str) -> None:
    digits, *expected = WORKED_VOLUMES[measure]
    found = [load_norm(measure, "bounti").mean(age) for age in (21, 24, 28, 32, 36)]
    np.testing.assert_allclose(found, expected, atol=0.501 * 10.0**-digits)


@pytest.mark.parametrize("measure", WORKED_LENGTHS)
def test_lengths_equal_the_worked_values(measure: str) -> None:
    norm = load_norm(measure, "luis2025")
    found = [(norm.mean(age), norm.sd(age)) for age in (21, 28, 36)]
    np.testing.assert_allclose(found, WORKED_LENGTHS[measure], atol=0.055)  # some were rounded twice


def test_head_circumference_equals_the_worked_values() -> None:
    norm = load_norm("head_circumference_mm", "intergrowth21")
    assert norm.mean(28) == pytest.approx(260, abs=0.5)
    assert norm.sd(28) == pytest.approx(8.9, abs=0.05)
    assert norm.mean(36) == pytest.approx(319, abs=0.5)
    assert norm.sd(36) == pytest.approx(10.8, abs=0.05)


def test_who_centiles_equal_the_worked_values() -> None:
    norm = load_norm("head_circumference_mm", "who2017")
    assert norm.mean(28) == pytest.approx(264, abs=0.5)
    assert norm.value(-1.959964, 28) == pytest.approx(243, abs=1.0)
    low, high = (norm.centiles[p].at(28.0) for p in (2.5, 97.5))
    assert low == pytest.approx(243, abs=0.5)
    assert norm.sd(28) == pytest.approx((high - low) / 3.919928)


def test_clinical_cut_offs_at_28_weeks() -> None:
    """Mean - 2 SD of the cerebellar diameter is 29.1 mm, of the pons 8.0 mm; one SD of head circumference is 3.4 %."""
    assert load_norm("transcerebellar_diameter_mm").value(-2, 28) == pytest.approx(29.1, abs=0.05)
    assert load_norm("pons_ap_mm").value(-2, 28) == pytest.approx(8.0, abs=0.1)
    assert load_norm("head_circumference_mm").fold_at_z(-1, 28) == pytest.approx(1 - 0.034, abs=0.001)
    assert load_norm("head_circumference_mm").fold_at_z(-1, 21) == pytest.approx(1 - 0.042, abs=0.001)


def test_centile_lines_are_met() -> None:
    norm = load_norm("transcerebellar_diameter_mm", "dovjak2021")
    assert norm.centile(1.52 * 30 - 12.48, 30) == pytest.approx(5)
    assert norm.centile(1.85 * 30 - 15.23, 30) == pytest.approx(95)
    assert norm.mean(30) == pytest.approx((1.52 * 30 - 12.48 + 1.85 * 30 - 15.23) / 2)


@EVERY
def test_mean_and_spread_are_positive_over_the_whole_range(norm: Norm) -> None:
    assert all(norm.mean(age) > 0 for age in ages(norm))
    assert all(norm.sd(age) > 0 for age in ages(norm))


GROWING = {"transcerebellar_diameter_mm", "vermis_height_mm", "pons_ap_mm", "head_circumference_mm", "bpd_mm", "ofd_mm",
           "cerebellum_ml", "cerebellar_hemispheres_ml", "brainstem_ml", "white_matter_ml", "cortex_ml", "vermis_ml",
           "deep_grey_matter_ml", "parenchyma_ml", "intracranial_ml"}  # fmt: skip


@pytest.mark.parametrize("norm", [n for n in all_norms() if n.measure in GROWING], ids=lambda n: n.protocol + n.measure)
def test_what_grows_grows(norm: Norm) -> None:
    until = 37.0 if norm.measure == "ofd_mm" else norm.weeks[1]
    means = [norm.mean(age) for age in ages(norm) if age <= until]
    assert np.all(np.diff(means) > 0)


def test_growth_rates_agree_with_other_cohorts() -> None:
    """Clouchoux 2012, 25.4 to 36.6 weeks: cerebellum +384 %, brainstem +134 %; other cohorts, so within a quarter."""
    for measure, published in (("cerebellum_ml", 4.84), ("brainstem_ml", 2.34)):
        norm = load_norm(measure)
        assert norm.mean(36.6) / norm.mean(25.4) == pytest.approx(published, rel=0.25)


def test_the_spread_of_the_lateral_ventricle_is_clamped() -> None:
    norm = load_norm("lateral_ventricle_ml")
    assert norm.sd(20) == 0.2
    assert norm.sd_formula.at(20) == pytest.approx(0.09, abs=0.005)
    assert norm.sd(28) > 0.5


@given(st.sampled_from(all_norms()), st.floats(0, 1), st.floats(-0.5, 4))
def test_round_trips(norm: Norm, share: float, z: float) -> None:
    age = norm.weeks[0] + share * (norm.weeks[1] - norm.weeks[0])
    value = norm.value(z, age)
    assert norm.z(value, age) == pytest.approx(z, abs=1e-9)
    assert norm.fold_at_z(z, age) * norm.mean(age) == pytest.approx(value)
    assert norm.centile(value, age) == pytest.approx(100 * NormalDist().cdf(z))


@EVERY
def test_zero_is_normal(norm: Norm) -> None:
    age = sum(norm.weeks) / 2
    assert norm.fold_at_z(0, age) == 1.0
    assert norm.centile(norm.mean(age), age) == pytest.approx(50)


@EVERY
def test_ages_outside_the_range_are_refused(norm: Norm) -> None:
    for age in (norm.weeks[0] - 0.1, norm.weeks[1] + 0.1, math.nan):
        for ask in (norm.mean, norm.sd, lambda age: norm.z(1.0, age), lambda age: norm.fold_at_z(1.0, age)):
            with pytest.raises(InputError, match=rf"{norm.measure} of {norm.protocol}: expected .* weeks"):
                ask(age)


def test_the_refusal_names_protocols_that_cover_the_age() -> None:
    with pytest.raises(InputError, match=r"multibounti_neonate \(neonate, 25 to 45 weeks\)"):
        load_norm("brainstem_ml").mean(42)
    with pytest.raises(InputError, match="Correct the age"):
        load_norm("brainstem_ml").mean(60)


def test_a_z_below_nothing_is_refused() -> None:
    with pytest.raises(InputError, match=r"cannot be.*ask for a z above -"):
        load_norm("cavum_ml").fold_at_z(-4, 28)


def test_defaults_name_curves_that_ship() -> None:
    assert {norm.measure for norm in all_norms()} == set(DEFAULT_PROTOCOLS)
    for measure, protocol in DEFAULT_PROTOCOLS.items():
        assert load_norm(measure).protocol == protocol
    assert len({(norm.measure, norm.protocol) for norm in all_norms()}) == len(all_norms())


def test_unknown_measures_and_protocols_are_refused() -> None:
    with pytest.raises(InputError, match=r"There are curves of .*cerebellum_ml"):
        load_norm("spleen_ml")
    with pytest.raises(InputError, match=r"by protocol 'who2017'. Protocols with this measure: bounti"):
        load_norm("cerebellum_ml", "who2017")
    with pytest.raises(InputError, match=r"No protocol 'king'. There are almog2003"):
        z_scores({}, 28, "king")


def test_protocols_are_not_mixed() -> None:
    with pytest.raises(InputError, match="bounti: cerebellum_ml; multibounti: vermis_ml"):
        one_protocol([load_norm("cerebellum_ml"), load_norm("vermis_ml")])
    with pytest.raises(InputError, match="one protocol"):
        folds_at_z({"cerebellum_ml": -2, "vermis_ml": -3}, 28)
    folds = folds_at_z({"brainstem_ml": -2, "vermis_ml": -3}, 28, "multibounti")
    assert folds["vermis_ml"] == load_norm("vermis_ml").fold_at_z(-3, 28)
    assert folds["brainstem_ml"] == load_norm("brainstem_ml", "multibounti").fold_at_z(-2, 28)


def test_lengths_get_a_z_and_volumes_only_by_a_named_protocol() -> None:
    severity = {
        "transcerebellar_diameter_mm": 29.1,
        "atrial_width_left_mm": 10.0,
        "cerebellum_ml": 3.0,
        "ventricle_ml": 9,
    }
    found = z_scores(severity, 28)
    assert set(found) == {"transcerebellar_diameter_z", "atrial_width_left_z"}
    assert found["transcerebellar_diameter_z"] == pytest.approx(-2, abs=0.05)
    named = z_scores(severity, 28, "bounti")
    assert named.pop("cerebellum_z") == load_norm("cerebellum_ml").z(3.0, 28)
    assert named == found
    assert "cerebellum_z" not in z_scores(severity, 28, "multibounti")
    with pytest.raises(InputError, match="45 weeks"):
        z_scores(severity, 45)


def test_unverified_curves_say_so() -> None:
    assert {norm.protocol for norm in all_norms() if not norm.verified} == {"dovjak2021"}
    assert "not verified" in str(load_norm("pons_ap_mm", "dovjak2021"))
    assert "not verified" not in str(load_norm("pons_ap_mm"))


def test_ten_millimetres_are_three_standard_deviations() -> None:
    assert load_norm("atrial_width_mm", "almog2003").z(10.0, 31) == pytest.approx(3.0)


def test_width_and_volume_of_a_ventricle() -> None:
    assert ventricle_ml(7, "left", "normal") == pytest.approx(0.438 * 7 + 1.359)
    assert ventricle_ml(15, "right", "ventriculomegaly") == pytest.approx(0.799 * 15 - 0.443)
    assert atrial_width_mm(ventricle_ml(13, "left", "ventriculomegaly"), "left", "ventriculomegaly") == pytest.approx(
        13
    )
    with pytest.raises(InputError, match=r"above 2\.16 mm"):
        ventricle_ml(2, "left", "ventriculomegaly")
    with pytest.raises(InputError, match=r"above 1\.36 mL"):
        atrial_width_mm(1.0, "left", "normal")
