"""The engine on heads whose answer is known: spheres, mirror images, thin mantles, other voxel sizes."""

import json

import numpy as np
import pytest
import scipy.ndimage as ndi
from head_phantoms import spheres, two_ventricles

from pathosynth.data.labels import load_scheme
from pathosynth.morphing import measure, weights
from pathosynth.morphing.parts import side_parts
from pathosynth.morphing.plan import Plan
from pathosynth.morphing.reshape import reshape
from pathosynth.morphing.warp import jacobian
from pathosynth.runs.errors import MorphError

KCL8 = load_scheme("kcl8")
ONE_MM = (1.0, 1.0, 1.0)


def side_ml(labels, spacing=ONE_MM):
    masks = measure.side_masks(labels, KCL8, "ventricles")
    return {side: mask.sum() * np.prod(spacing) / 1000 for side, mask in masks.items()}


def ventricles(labels, wanted, spacing=ONE_MM, midline_mm=3.0, **plan):
    weight = None
    if midline_mm > 0:
        weight = weights.midline_weight(labels.shape, measure.midline_index(labels > 0), spacing, midline_mm)
    return Plan(side_parts(labels, KCL8, "ventricles", wanted, weight), **plan)


def grow(labels, fold, spacing=ONE_MM, **plan):
    wanted = {side: ml * fold for side, ml in side_ml(labels, spacing).items()}
    return reshape(labels, KCL8, spacing, ventricles(labels, wanted, spacing, **plan))


def equivalent_radius(mask):
    return (mask.sum() * 3 / (4 * np.pi)) ** (1 / 3)


@pytest.fixture(scope="module")
def head():
    return two_ventricles()


@pytest.fixture(scope="module")
def doubled(head):
    return grow(head, 2.0)


def test_concentric_spheres_grow_as_shells_of_constant_volume():
    labels = spheres((8.0, 16.0, 19.0, 24.0))
    wanted = 3.0 * float((labels == 2).sum()) / 1000
    plan = ventricles(labels, {"left": wanted / 2, "right": wanted / 2}, midline_mm=0.0)
    morphed = reshape(labels, KCL8, ONE_MM, plan)
    gained = 2.0 * 8.0**3
    centre = (np.array(labels.shape) - 1) / 2
    r = np.sqrt(((np.indices(labels.shape).T - centre) ** 2).sum(-1)).T
    for values, r0 in (((2,), 8.0), ((1, 2), 16.0), ((1, 2, 5), 19.0)):
        exact = (r0**3 + gained) ** (1 / 3)
        mask = np.isin(morphed.labels, values)
        assert equivalent_radius(mask) == pytest.approx(exact, abs=0.1)
        surface = r[mask & measure.touches(~mask)]
        assert abs(surface - exact).max() < 1.2, "a sphere stays a sphere"
        assert np.std(surface) < 0.45
    np.testing.assert_array_equal(morphed.labels > 0, labels > 0)


def test_displacement_of_concentric_spheres_is_the_closed_form_one():
    labels = spheres((8.0, 16.0, 19.0, 24.0))
    wanted = 2.0 * float((labels == 2).sum()) / 1000
    plan = ventricles(labels, {"left": wanted / 2, "right": wanted / 2}, midline_mm=0.0)
    displacement = reshape(labels, KCL8, ONE_MM, plan).displacement
    points = np.indices(labels.shape) - ((np.array(labels.shape) - 1) / 2)[:, None, None, None]
    r = np.sqrt((points**2).sum(0))
    tissue = (r > 11.5) & (r < 17.5)
    looks_at = np.sqrt(((points + displacement) ** 2).sum(0))[tissue]
    exact = np.cbrt(r[tissue] ** 3 - 8.0**3)
    assert abs(looks_at - exact).max() < 0.35
    assert np.sqrt(np.mean((looks_at - exact) ** 2)) < 0.15


def test_kept_labels_keep_their_exact_voxel_count_and_targets_are_exact(head, doubled):
    for value in (1, 5):
        assert (doubled.labels == value).sum() == (head == value).sum()
    assert (doubled.labels == 2).sum() == pytest.approx(2 * (head == 2).sum(), abs=1)
    np.testing.assert_array_equal(doubled.labels > 0, head > 0)


def test_the_source_is_not_touched_and_the_report_is_json(head, doubled):
    np.testing.assert_array_equal(head, two_ventricles())
    assert doubled.labels.dtype == head.dtype
    assert "jacobian" in json.loads(json.dumps(doubled.report))["validity"]


def test_a_mirror_symmetric_head_stays_mirror_symmetric(doubled):
    differ = (doubled.labels != doubled.labels[::-1]).sum()
    assert differ <= 0.01 * (doubled.labels > 0).sum()
    mirrored = doubled.displacement[:, ::-1] * np.array([-1, 1, 1])[:, None, None, None]
    np.testing.assert_allclose(doubled.displacement, mirrored, atol=0.05)


def test_left_and_right_targets_are_met_apart(head):
    now = side_ml(head)
    wanted = {"left": now["left"] * 1.3, "right": now["right"] * 2.5}
    morphed = reshape(head, KCL8, ONE_MM, ventricles(head, wanted))
    assert side_ml(morphed.labels) == pytest.approx(wanted, rel=0.005)


def test_swapping_the_sides_mirrors_the_result(head):
    now = side_ml(head)
    one = {"left": now["left"] * 1.2, "right": now["right"] * 2.2}
    two = {"left": one["right"], "right": one["left"]}
    flipped = head[::-1].copy()
    first = reshape(head, KCL8, ONE_MM, ventricles(head, one)).labels
    second = reshape(flipped, KCL8, ONE_MM, ventricles(flipped, two)).labels[::-1]
    assert (first != second).sum() <= 0.01 * (head > 0).sum()


@pytest.mark.parametrize("flip", [(2,), (1, 2)], ids=["upside down", "and back to front"])
def test_flipping_the_head_flips_the_result(head, doubled, flip):
    again = grow(np.flip(head, flip).copy(), 2.0).labels
    assert (np.flip(again, flip) != doubled.labels).sum() <= 0.01 * (head > 0).sum()


def test_exchanging_the_axes_exchanges_the_result():
    labels = spheres((8.0, 16.0, 19.0, 24.0))
    x = np.indices(labels.shape)[1]
    labels[(labels == 1) & (x > 36) & (x < 44)] = 5
    wanted, across = {"left": 2.0, "right": 2.0}, labels.transpose(0, 2, 1).copy()
    straight = reshape(labels, KCL8, ONE_MM, ventricles(labels, wanted, midline_mm=0.0)).labels
    turned = reshape(across, KCL8, ONE_MM, ventricles(across, wanted, midline_mm=0.0)).labels.transpose(0, 2, 1)
    assert (straight != turned).sum() <= 0.005 * (labels > 0).sum()


def test_the_displacement_reproduces_the_labels_up_to_the_flips(head, doubled):
    at = np.indices(head.shape) + doubled.displacement
    weights = [ndi.map_coordinates((head == v).astype(float), at, order=1, mode="nearest") for v in (1, 2, 4, 5)]
    carried = np.array([1, 2, 4, 5])[np.argmax(weights, axis=0)]
    differ = ((carried != doubled.labels) & (head > 0)).sum()
    allowed = doubled.report["flipped_voxels"] + doubled.report["tidied_voxels"]
    assert differ <= allowed + 0.001 * (head > 0).sum()
    assert doubled.report["flipped_voxels"] < 0.02 * (head > 0).sum()


def test_nothing_folds_anywhere_in_the_returned_field(doubled):
    assert jacobian(doubled.displacement).min() > 0


def test_fold_sweep_is_monotone_in_volume_and_width(head):
    volumes, widths = [], []
    for fold in (0.6, 1.0, 1.5, 2.5, 4.0):
        labels = grow(head, fold).labels
        volumes.append((labels == 2).sum())
        widths.append(max(measure.measured_widths_mm(labels, KCL8, ONE_MM).values()))
    assert np.all(np.diff(volumes) > 0)
    assert np.all(np.diff(widths) > 0)
    np.testing.assert_allclose(np.array(volumes) / volumes[1], (0.6, 1.0, 1.5, 2.5, 4.0), rtol=0.002)


@pytest.mark.parametrize("spacing", [(0.7,) * 3, (1.2,) * 3, (0.8, 0.8, 1.6)])
def test_other_voxel_sizes_give_the_same_millilitres(spacing):
    labels = two_ventricles(spacing)
    before = measure.volumes_ml(labels, spacing)
    morphed = reshape(labels, KCL8, spacing, ventricles(labels, {"left": 1.5, "right": 1.5}, spacing))
    after = measure.volumes_ml(morphed.labels, spacing)
    assert after[2] == pytest.approx(3.0, rel=0.01)
    for value in (1, 5):
        assert after[value] == pytest.approx(before[value], rel=0.001)
    assert morphed.report["validity"]["jacobian"]["min"] > 0


def test_thick_and_thin_voxels_agree_on_the_shape():
    wanted, spacings = {"left": 1.6, "right": 1.6}, ((0.8,) * 3, (0.8, 0.8, 1.6))
    heads = [(two_ventricles(spacing), spacing) for spacing in spacings]
    fine, thick = (reshape(h, KCL8, spacing, ventricles(h, wanted, spacing)) for h, spacing in heads)
    widths = [r.report["atrial_width_mm_after"] for r in (fine, thick)]
    assert widths[0]["left"] == pytest.approx(widths[1]["left"], abs=1.7), "no more apart than one thick voxel"


def test_tissue_pays_when_asked(head):
    morphed = grow(head, 2.0, folds={1: 0.95})
    assert (morphed.labels == 1).sum() == pytest.approx(0.95 * (head == 1).sum(), abs=1)
    assert (morphed.labels == 5).sum() == (head == 5).sum()


def test_the_skull_takes_its_share(head):
    gain = (head == 2).sum() * 1.0
    morphed = grow(head, 2.0, skull_share=0.6)
    grown = (morphed.labels > 0).sum() - (head > 0).sum()
    assert grown == pytest.approx(0.6 * gain, abs=1)
    drained = (head == 4).sum() - (morphed.labels == 4).sum()
    assert drained == pytest.approx(0.4 * gain, abs=1)


def test_flow_keeps_a_thin_mantle_that_dilation_eats():
    labels = spheres((10.0, 12.5, 15.5, 24.0))
    faces = measure.contact_faces(labels == 2, labels == 5)
    assert faces == 0
    grown = ndi.binary_dilation(labels == 2, iterations=3, mask=np.isin(labels, (1, 2)))
    assert measure.contact_faces(grown, labels == 5) > 500
    wanted = float(grown.sum()) / 2000
    plan = ventricles(labels, {"left": wanted, "right": wanted}, midline_mm=0.0)
    morphed = reshape(labels, KCL8, ONE_MM, plan)
    assert (morphed.labels == 2).sum() == pytest.approx(grown.sum(), abs=2)
    assert measure.contact_faces(morphed.labels == 2, morphed.labels == 5) == 0
    assert (morphed.labels == 1).sum() == (labels == 1).sum()


def test_a_structure_on_a_stalk_stays_attached():
    labels = two_ventricles()
    i, j, k = np.indices(labels.shape) - ((np.array(labels.shape) - 1) / 2)[:, None, None, None]
    inside = labels == 1
    labels[inside & (np.hypot(i, j + 8) < 2.0) & (k < -7)] = 7
    labels[inside & (i**2 + (j + 8) ** 2 + (k + 11) ** 2 < 16) & (j < -8)] = 3
    before = measure.contact_faces(labels == 3, labels == 7)
    assert before > 10
    morphed = grow(labels, 2.0, folds={3: 0.6})
    assert (morphed.labels == 3).sum() == pytest.approx(0.6 * (labels == 3).sum(), abs=1)
    assert measure.contact_faces(morphed.labels == 3, morphed.labels == 7) > 0.4 * before
    assert measure.component_counts(morphed.labels)[7] == 1


def test_sulcal_flattening_drains_the_sulci_first():
    labels = two_ventricles()
    i, j, k = np.indices(labels.shape) - ((np.array(labels.shape) - 1) / 2)[:, None, None, None]
    sulcus = (np.abs(k) < 2) & (np.abs(i) > 12) & (np.abs(i) < 24) & np.isin(labels, (1, 5)) & (np.abs(j) < 12)
    labels[sulcus] = 4
    deep = sulcus & (np.abs(i) < 19)
    left = [(grow(labels, 2.5, sulcal_flattening=f).labels[deep] == 4).sum() for f in (0.0, 1.0)]
    assert left[1] < 0.95 * left[0]


def test_the_budget_is_refused_before_solving(head):
    with pytest.raises(MorphError, match=r"needs .* mL.*external CSF can give .* mL.*skull_share=0\.\d"):
        grow(head, 40.0)


def test_no_slack_names_the_way_out(head):
    labels = np.where(head == 4, 5, head).astype(np.uint8)
    with pytest.raises(MorphError, match="No slack"):
        grow(labels, 2.0)
    morphed = grow(labels, 2.0, skull_share=1.0)
    assert (morphed.labels == 2).sum() == pytest.approx(2 * (head == 2).sum(), abs=1)


def test_a_head_that_outgrows_the_image_is_refused():
    labels = two_ventricles()
    box = measure.bounding_box(labels > 0)
    with pytest.raises(MorphError, match="beyond the image"):
        grow(labels[box].copy(), 4.0, skull_share=1.0)


def test_an_anchored_structure_moves_less():
    labels = two_ventricles()
    i, j, k = np.indices(labels.shape) - ((np.array(labels.shape) - 1) / 2)[:, None, None, None]
    labels[(labels == 1) & (i**2 + j**2 + (k + 12) ** 2 < 25)] = 7
    moved = [
        np.linalg.norm(grow(labels, 3.0, mobility=mobility).displacement[:, labels == 7], axis=0).mean()
        for mobility in ({}, {7: 0.2})
    ]
    assert moved[1] < 0.8 * moved[0]
