"""Lateral ventricles, inferior horns, third and fourth ventricle, each with a label and a target of its own."""

import numpy as np
import pytest
from head_phantoms import centred_grid, ellipsoid, two_ventricles

from pathosynth.data.labels import load_scheme
from pathosynth.pathologies import ventriculomegaly
from pathosynth.runs.config import build_config
from pathosynth.runs.errors import ConfigError, InputError

SYNTHSEG = load_scheme("synthseg")
ONE_MM = (1.0, 1.0, 1.0)
LATERAL, HORNS, THIRD, FOURTH = (4, 43), (5, 44), 14, 15


def adult_head():
    """A head in `synthseg` labels: both sides, their inferior horns, and third and fourth ventricle."""
    small = two_ventricles()
    p = centred_grid(small.shape, ONE_MM)
    left = p[0] < 0
    labels = np.zeros(small.shape, np.uint8)
    for value, (on_left, on_right) in {1: (2, 41), 2: LATERAL, 4: (24, 24), 5: (3, 42)}.items():
        labels[(small == value) & left], labels[(small == value) & ~left] = on_left, on_right
    white = np.isin(labels, (2, 41))
    labels[white & ellipsoid(p, (0.1, 0.2, -2.1), (2.6, 8.2, 6.3))] = THIRD
    labels[white & ellipsoid(p, (0.2, -15.8, -8.1), (4.6, 4.4, 6.2))] = FOURTH
    for sign, value in zip((-1, 1), HORNS, strict=True):
        labels[np.isin(labels, (2, 41)) & ellipsoid(p, (sign * 10.6, 5.7, -9.2), (3.4, 7.3, 3.3))] = value
    return labels


@pytest.fixture(scope="module")
def head():
    return adult_head()


def morph(head, **values):
    config = build_config(ventriculomegaly.Config, values, "test")
    return ventriculomegaly.morph(head, SYNTHSEG, ONE_MM, config, np.random.default_rng(0))


def folds(head, morphed):
    before, after = (np.bincount(labels.ravel(), minlength=61) for labels in (head, morphed.labels))
    return {value: after[value] / before[value] for value in np.unique(head) if value}


def test_each_ventricle_has_its_own_exact_fold(head):
    wanted = {"inferior_horns_fold": 2.0, "third_ventricle_fold": 1.5, "fourth_ventricle_fold": 0.8}
    morphed = morph(head, ventricle_fold=1.6, **wanted)
    found = folds(head, morphed)
    assert [found[v] for v in (*HORNS, THIRD, FOURTH)] == pytest.approx([2.0, 2.0, 1.5, 0.8], rel=0.005)
    lateral = [np.isin(labels, (*LATERAL, *HORNS)).sum() for labels in (head, morphed.labels)]
    assert lateral[1] / lateral[0] == pytest.approx(1.6, rel=0.005), "horns are part of the lateral ventricles"
    for value in (2, 3, 41, 42):
        assert found[value] == pytest.approx(1.0, rel=0.005)
    for target in morphed.report["targets"]:
        assert target["reached"] == pytest.approx(target["asked"], rel=0.005), target
    assert {t["measure"] for t in morphed.report["targets"]} == {
        "ventricle_left_ml", "ventricle_right_ml", "inferior_horns_ml", "third_ventricle_ml", "fourth_ventricle_ml"
    }  # fmt: skip


def test_what_is_not_named_is_kept_and_horns_grow_with_their_ventricle(head):
    found = folds(head, morph(head, ventricle_fold=1.7))
    assert found[THIRD] == pytest.approx(1.0, rel=0.005)
    assert found[FOURTH] == pytest.approx(1.0, rel=0.005)
    for lateral, horn in zip(LATERAL, HORNS, strict=True):
        assert found[horn] == pytest.approx(found[lateral], rel=0.05)


def test_sides_keep_their_labels_whatever_crosses_the_midline(head):
    morphed = morph(head, ventricle_fold={"left": 1.3, "right": 2.4})
    before, after = (np.bincount(labels.ravel(), minlength=61) for labels in (head, morphed.labels))
    for values, fold in (((4, 5), 1.3), ((43, 44), 2.4)):
        assert after[list(values)].sum() / before[list(values)].sum() == pytest.approx(fold, rel=0.005)


def test_widths_and_a_third_ventricle_at_once(head):
    morphed = morph(head, atrial_width_mm=12.0, third_ventricle_fold=1.8)
    assert folds(head, morphed)[THIRD] == pytest.approx(1.8, rel=0.005)
    reached = {t["measure"]: t["reached"] for t in morphed.report["targets"]}
    assert [reached[f"atrial_width_{side}_mm"] for side in ("left", "right")] == pytest.approx([12.0, 12.0], abs=0.3)


def test_horns_larger_than_the_ventricles_they_are_part_of_are_refused(head):
    with pytest.raises(InputError, match=r"inferior_horns_fold=20 asks for horns of .* mL"):
        morph(head, ventricle_fold=1.0, inferior_horns_fold=20.0)


@pytest.mark.parametrize(("name", "value"), [("third_ventricle", THIRD), ("fourth_ventricle", FOURTH)])
def test_a_ventricle_that_is_not_there_is_named(head, name, value):
    without = np.where(head == value, 2, head).astype(np.uint8)
    with pytest.raises(InputError, match=f"No {name}"):
        morph(without, ventricle_fold=1.5, **{f"{name}_fold": 1.5})


def test_a_scheme_with_one_label_for_all_cannot_set_them_apart():
    config = build_config(ventriculomegaly.Config, {"ventricle_fold": 1.5, "third_ventricle_fold": 1.5}, "test")
    with pytest.raises(InputError, match="no group 'third_ventricle'"):
        ventriculomegaly.morph(two_ventricles(), load_scheme("kcl8"), ONE_MM, config, np.random.default_rng(0))


def test_colpocephaly_moves_the_gain_backwards(head):
    def middle(morphed):
        return np.argwhere(np.isin(morphed.labels, LATERAL))[:, 1].mean()

    places = [middle(morph(head, ventricle_fold=2.0, posterior_bias=beta)) for beta in (0.0, 2.0)]
    assert places[1] < places[0] - 0.3


@pytest.mark.parametrize(
    ("limits", "expected"),
    [((10.0, 12.0, 15.0, 20.0), "moderate"), ((10.0, 14.0, 15.0, 20.0), "mild"), ((8.0, 10.0, 11.0, 20.0), "severe")],
)
def test_cut_offs_of_the_classes_can_be_set(head, limits, expected):
    morphed = morph(head, atrial_width_mm=13.0, class_limits_mm=limits)
    assert morphed.report["class"] == expected


def test_sampled_widths_follow_the_cut_offs():
    config = build_config(
        ventriculomegaly.Config, {"sample": "moderate", "class_limits_mm": (9.0, 13.0, 13.5, 18.0)}, "test"
    )
    widths = [ventriculomegaly.draw_config(config, np.random.default_rng(seed)).atrial_width_mm for seed in range(50)]
    assert 13.0 <= min(widths) < max(widths) <= 13.5


def test_a_sample_takes_no_width():
    with pytest.raises(ConfigError, match="draws the severity"):
        build_config(ventriculomegaly.Config, {"sample": "mild", "atrial_width_mm": 11.0}, "test")
