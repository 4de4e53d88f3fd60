"""Chiari II: what is typical at an age, and what it does to CSF, hindbrain and skull."""

import numpy as np
import pytest
import scipy.ndimage as ndi

from pathosynth.data.labels import load_scheme
from pathosynth.data.phantom import brain_phantom
from pathosynth.pathologies import chiari2
from pathosynth.runs.config import build_config
from pathosynth.runs.errors import InputError

KCL8 = load_scheme("kcl8")


@pytest.fixture(scope="module")
def brain():
    return brain_phantom(3, (84, 100, 92), 1.2)


def morph(brain, **values):
    config = build_config(chiari2.Config, values, "test")
    return chiari2.morph(brain.array, KCL8, brain.spacing_mm, config, np.random.default_rng(0))


@pytest.fixture(scope="module")
def unrepaired(brain):
    return morph(brain, age_weeks=24.0)


@pytest.mark.parametrize(
    ("age", "expected"),
    [
        (21.0, {"ventricles": 2.2, "cerebellum": 0.90, "brainstem": 0.66, "external_csf": 0.08}),
        (23.0, {"ventricles": 3.1, "cerebellum": 0.90, "brainstem": 0.66, "external_csf": 0.08}),
        (24.5, {"ventricles": 3.775, "cerebellum": 0.50, "brainstem": 0.66, "external_csf": 0.08}),
        (18.0, {"ventricles": 2.2, "cerebellum": 0.90, "brainstem": 0.66, "external_csf": 0.08}),
        (38.0, {"ventricles": 4.0, "cerebellum": 0.50, "brainstem": 0.66, "external_csf": 0.08}),
    ],
)
def test_before_repair_volumes_follow_the_atlas_of_patients(age, expected):
    assert chiari2.typical(age, "none", 6.0) == pytest.approx(expected)


@pytest.mark.parametrize("age", np.arange(21.0, 25.1, 0.5))
def test_before_repair_volumes_lie_in_the_ranges_that_were_seen(age):
    """Ranges at 21 to 25 weeks: ventricles 2.2-4.0, cerebellum 0.47-0.95, brainstem 0.56-0.76, CSF 0.04-0.12."""
    found = chiari2.typical(age, "none", 6.0)
    ranges = {
        "ventricles": (2.2, 4.0), "cerebellum": (0.47, 0.95), "brainstem": (0.56, 0.76), "external_csf": (0.04, 0.12)
    }  # fmt: skip
    assert all(low - 1e-9 <= found[name] <= high + 1e-9 for name, (low, high) in ranges.items()), found


def test_after_repair_csf_comes_back_and_ventricles_grow_by_what_patients_gain():
    """2.50 against 0.71 mL per week in controls; CSF 0.4 to 0.9."""
    found = [chiari2.typical(age, "fetal", 8.0) for age in (25.0, 29.0, 33.0)]
    assert [f["external_csf"] for f in found] == pytest.approx([0.4, 0.65, 0.9])
    gains = np.diff([f["ventricles"] * 8.0 for f in found])
    assert gains == pytest.approx([4 * (2.50 - 0.71)] * 2)
    assert all(0.33 <= f["cerebellum"] <= 0.95 and 0.56 <= f["brainstem"] <= 0.9 for f in found)


def test_a_spine_that_will_be_closed_is_open_before():
    assert chiari2.typical(23.0, "fetal", 6.0) == chiari2.typical(23.0, "none", 6.0)


@pytest.mark.parametrize("age", [17.9, 40.1, 5.0])
def test_ages_nobody_has_seen_are_refused(age):
    with pytest.raises(InputError, match=rf"{age:g}.*18 to 40 weeks.*profile"):
        chiari2.typical(age, "none", 6.0)


def test_typical_volumes_are_what_is_made(brain, unrepaired):
    counts = [np.bincount(labels.ravel(), minlength=9) for labels in (brain.array, unrepaired.labels)]
    ratio = counts[1][1:] / counts[0][1:]
    assert ratio == pytest.approx([1, 3.55, 0.50, 0.08, 1, 1, 0.66, 1], rel=0.005)


def test_csf_around_the_hindbrain_is_nearly_gone(brain, unrepaired):
    left = []
    for labels in (brain.array, unrepaired.labels):
        hindbrain = np.isin(labels, (3, 7))
        near = ndi.binary_dilation(hindbrain, ndi.generate_binary_structure(3, 1), iterations=4)
        left.append(((labels == 4) & near).sum() / hindbrain.sum())
    assert left[1] < 0.15 * left[0]
    found = chiari2.severity(unrepaired.labels, KCL8, brain.spacing_mm)["hindbrain_csf_ml"]
    assert found < 0.1 * chiari2.severity(brain.array, KCL8, brain.spacing_mm)["hindbrain_csf_ml"]


def test_the_cerebellum_is_narrower_and_the_head_smaller(brain, unrepaired):
    """In patients the transcerebellar diameter is 0.69 to 0.85 of normal."""
    before, after = (chiari2.severity(m, KCL8, brain.spacing_mm) for m in (brain.array, unrepaired.labels))
    assert 0.6 < after["transcerebellar_diameter_mm"] / before["transcerebellar_diameter_mm"] < 0.9
    assert after["head_circumference_mm"] < before["head_circumference_mm"] - 10


def test_the_skull_follows_what_brain_and_csf_lose(brain, unrepaired):
    counts = [np.bincount(labels.ravel(), minlength=9) for labels in (brain.array, unrepaired.labels)]
    assert counts[1][0] - counts[0][0] == counts[0][1:].sum() - counts[1][1:].sum() > 0
    head = unrepaired.labels > 0
    assert ndi.label(head, np.ones((3, 3, 3)))[1] == 1
    assert not ndi.label(~head)[1] > 1, "no hole"


def test_ventricles_never_touch_the_skull(unrepaired):
    near_background = ndi.binary_dilation(unrepaired.labels == 0)
    assert not (near_background & (unrepaired.labels == 2)).any()


@pytest.mark.slow
def test_herniation_lowers_the_hindbrain(brain):
    low, none = (morph(brain, age_weeks=22.0, strength=0.5, herniation=h) for h in (0.8, 0.0))
    depths = []
    for morphed in (low, none):
        hindbrain, cerebrum = np.isin(morphed.labels, (3, 7)), np.isin(morphed.labels, (1, 5, 6))
        depths.append((np.argwhere(cerebrum)[:, 2].mean() - np.argwhere(hindbrain)[:, 2].mean()) * 1.2)
    assert depths[0] > depths[1] + 0.3
    assert low.report["severity"]["hindbrain_descent_mm"] > none.report["severity"]["hindbrain_descent_mm"]


@pytest.mark.slow
@pytest.mark.parametrize("strength", [0.25, 0.5, 0.75])
def test_strength_interpolates_the_logarithm(brain, strength):
    targets = morph(brain, age_weeks=24.0, strength=strength).report["targets"]
    reached = {target["measure"]: target["reached"] for target in targets}
    before = chiari2.severity(brain.array, KCL8, brain.spacing_mm)
    assert np.log(reached["cerebellum_ml"] / before["cerebellum_ml"]) == pytest.approx(
        strength * np.log(0.50), abs=0.01
    )
    total = reached["ventricle_left_ml"] + reached["ventricle_right_ml"]
    assert np.log(total / before["ventricle_ml"]) == pytest.approx(strength * np.log(3.55), abs=0.01)


def test_more_csf_around_the_hindbrain_than_in_all_is_refused(brain):
    with pytest.raises(InputError, match=r"hindbrain_csf=1.*external_csf=0\.05"):
        morph(brain, age_weeks=24.0, external_csf=0.05, hindbrain_csf=1.0)


@pytest.mark.parametrize("group", ["ventricles", "cerebellum", "brainstem", "external_csf"])
def test_every_structure_it_changes_must_be_there(brain, group):
    labels = np.where(KCL8.mask(brain.array, group), 1, brain.array).astype(np.uint8)
    config = chiari2.Config(age_weeks=24.0)
    with pytest.raises(InputError, match=f"No {group}"):
        chiari2.morph(labels, KCL8, brain.spacing_mm, config, np.random.default_rng(0))
