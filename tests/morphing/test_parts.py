"""What is asked for must be there; sides follow the labels, and the midsagittal plane where labels have no side."""

import numpy as np
import pytest
from head_phantoms import two_ventricles

from pathosynth.data.labels import Label, LabelScheme, load_scheme
from pathosynth.morphing import measure, parts
from pathosynth.runs.errors import InputError

KCL8 = load_scheme("kcl8")
ONE_MM = (1.0, 1.0, 1.0)


def sided() -> LabelScheme:
    rows = ((1, "brain"), (4, "left_lateral"), (43, "right_lateral"), (14, "cavum"))
    return LabelScheme(
        name="sided",
        description="test",
        source="test",
        labels=tuple(Label(value=v, name=n, abbreviation=n, color="#000000", tissue="csf") for v, n in rows),
        groups={"ventricles": (4, 43, 14), "brain": (1,)},
    )


def test_volume_of_a_group_in_millilitres():
    head = two_ventricles()
    assert parts.present_ml(head, KCL8, (0.5, 1.0, 2.0), "ventricles") == pytest.approx((head == 2).sum() / 1000)
    tissue = np.isin(head, (1, 3, 5, 6, 7, 8)).sum()
    assert parts.present_ml(head, KCL8, (2.0,) * 3, "tissue") == pytest.approx(8 * tissue / 1000)


@pytest.mark.parametrize(
    ("voxels", "spacing", "message"),
    [
        (0, 1.0, "No cerebellum.*3 cerebellum"),
        (1, 1.0, "cerebellum.*100 voxels and 0.3 mL.*found 1 voxel,"),
        (99, 3.0, "found 99 voxels"),
        (299, 1.0, "found 299 voxels, 0.299 mL"),
    ],
)
def test_too_little_to_know_its_shape_is_refused_with_its_size(voxels, spacing, message):
    labels = np.ones((10, 10, 10), np.uint8)
    labels.ravel()[:voxels] = 3
    with pytest.raises(InputError, match=message):
        parts.present_ml(labels, KCL8, (spacing,) * 3, "cerebellum")


def test_just_enough_is_enough():
    labels = np.ones((10, 10, 10), np.uint8)
    labels.ravel()[:300] = 3
    assert parts.present_ml(labels, KCL8, ONE_MM, "cerebellum") == pytest.approx(0.3)


def test_a_group_the_scheme_does_not_know_is_refused_with_what_it_knows():
    with pytest.raises(InputError, match=r"'fetal4'.*no group 'ventricles'.*cortex.*remap it"):
        parts.present_ml(two_ventricles(), load_scheme("fetal4"), ONE_MM, "ventricles")


def test_sides_of_one_label_are_cut_in_the_middle_and_add_up():
    head = two_ventricles()
    found = parts.sides_ml(head, KCL8, ONE_MM, "ventricles")
    assert found["left"] == pytest.approx(found["right"])
    assert sum(found.values()) == pytest.approx((head == 2).sum() / 1000)


def test_a_missing_side_is_refused():
    head = two_ventricles()
    head[30:][head[30:] == 2] = 1
    with pytest.raises(InputError, match="on the right side"):
        parts.sides_ml(head, KCL8, ONE_MM, "ventricles")


def test_labels_with_a_side_keep_it_beyond_the_midline_and_others_are_cut():
    """A left ventricle that reaches across is all left; the cavum, of no side, belongs half to each."""
    labels = np.zeros((40, 20, 20), np.uint8)
    labels[2:38, 2:18, 2:18] = 1
    labels[6:23, 4:9, 5:15], labels[25:34, 4:9, 5:15] = 4, 43
    labels[16:24, 12:16, 5:15] = 14
    found = parts.sides_ml(labels, sided(), ONE_MM, "ventricles")
    assert found["left"] == pytest.approx(((labels == 4).sum() + (labels == 14).sum() / 2) / 1000)
    assert found["right"] == pytest.approx(((labels == 43).sum() + (labels == 14).sum() / 2) / 1000)


def test_parts_of_sides_name_the_labels_they_share_and_those_they_do_not():
    labels = np.ones((10, 10, 10), np.uint8)
    split = parts.side_parts(labels, sided(), "ventricles", {"left": 1.0, "right": 2.0})
    assert {side: (part.values, part.volume_ml) for side, part in split.items()} == {
        "left": ((4, 14), 1.0),
        "right": ((14, 43), 2.0),
    }


def test_parts_of_sides_cover_the_group_once():
    labels, scheme = np.zeros((40, 20, 20), np.uint8), sided()
    labels[2:38, 2:18, 2:18] = 1
    labels[6:23, 4:9, 5:15], labels[25:34, 4:9, 5:15] = 4, 43
    labels[16:24, 12:16, 5:15] = 14
    masks = measure.side_masks(labels, scheme, "ventricles")
    assert not (masks["left"] & masks["right"]).any()
    np.testing.assert_array_equal(masks["left"] | masks["right"], scheme.mask(labels, "ventricles"))


def test_a_whole_part_has_all_labels_of_its_group():
    part = parts.whole_part(load_scheme("synthseg"), "cerebellum", 90.0)
    assert (part.values, part.volume_ml, part.region) == ((7, 8, 46, 47), 90.0, None)
