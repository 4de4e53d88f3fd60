"""Lengths against ellipsoids, bars and ellipses of known size; real brains against published growth."""

import csv
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import scipy.ndimage as ndi
from head_phantoms import centred_grid, ellipsoid
from scipy.special import ellipe

from pathosynth.data.labels import load_scheme
from pathosynth.data.norms import z_scores
from pathosynth.morphing import biometry
from pathosynth.morphing.biometry import extent_mm
from pathosynth.runs.errors import InputError

KCL8 = load_scheme("kcl8")
H = (0.8, 0.8, 0.8)
HALF_AXES = [(20.0, 9.0, 11.0), (16.0, 12.0, 10.0), (8.0, 8.0, 8.0)]


def ball(radii, spacing=H, centre=(0.0, 0.0, 0.0)):
    shape = [2 * int(np.ceil((r + 2) / h)) + 1 for r, h in zip(radii, spacing, strict=True)]
    return ellipsoid(centred_grid(shape, spacing), centre, radii)


def head(cerebellum_drop_mm=0.0, spacing=H):
    """Head with cerebrum, cerebellum and an inclined brainstem, as a kcl8 map."""
    shape = [2 * int(np.ceil(n / 2 / h)) for n, h in zip((80, 100, 90), spacing, strict=True)]
    p = centred_grid(shape, spacing)
    labels = np.zeros(shape, np.uint8)
    labels[ellipsoid(p, (0.1, 0.3, 0.2), (36, 46, 42))] = 4
    labels[ellipsoid(p, (0.1, 2.3, 8.2), (30, 40, 26))] = 1
    labels[ellipsoid(p, (0.1, -20, -22 - cerebellum_drop_mm), (18, 9, 10))] = 3
    labels[(np.abs(p[0]) < 7) & (np.abs(p[1] - 0.3 * (p[2] + 22)) < 6) & (np.abs(p[2] + 22) < 14)] = 7
    return labels


@pytest.mark.parametrize("radii", HALF_AXES)
@pytest.mark.parametrize("h", [0.5, 0.8, 1.0])
def test_extent_of_an_ellipsoid_is_short_by_what_is_stated(radii, h, rng):
    """Mean error: that of a curved end, 1.125 h^2 (1/R1 + 1/R2) on each side; scatter: below a quarter of a voxel."""
    stated = -2 * 1.125 * h**2 * (radii[0] / radii[1] ** 2 + radii[0] / radii[2] ** 2)
    errors = []
    for _ in range(16):
        grown = [r * rng.uniform(0.97, 1.03) for r in radii]
        mask = ball(grown, (h,) * 3, rng.uniform(-h / 2, h / 2, 3))
        errors.append(extent_mm(mask, 0, (h,) * 3) - 2 * grown[0])
    assert np.mean(errors) == pytest.approx(stated, abs=0.2 * h)
    assert np.std(errors) < 0.25 * h


def test_extent_of_a_box_is_exact():
    mask = np.zeros((40, 30, 30), bool)
    mask[5:33, 8:25, 7:27] = True
    assert [extent_mm(mask, axis, (0.8, 1.0, 1.2)) for axis in range(3)] == pytest.approx([28 * 0.8, 17, 24], abs=0.01)


def test_single_voxels_move_an_extent_by_little_and_a_layer_by_one_voxel(rng):
    mask = np.zeros((40, 40, 40), bool)
    mask[10:30, 10:30, 10:30] = True
    places = rng.permutation(np.argwhere(np.ones((20, 20)))) + 10
    lengths = [extent_mm(mask, 0, H)]
    for j, k in places:
        mask[30, j, k] = True
        lengths.append(extent_mm(mask, 0, H))
    steps = np.diff(lengths)
    assert steps.min() >= -1e-6
    assert steps.max() < 0.12
    assert sum(steps) == pytest.approx(0.8, abs=0.01)


def test_a_stray_voxel_does_not_count():
    mask = ball((10, 10, 10))
    mask = np.pad(mask, 8)
    before = extent_mm(mask, 2, H)
    mask[2, 2, 2] = True
    assert extent_mm(mask, 2, H) == pytest.approx(before)


@pytest.mark.parametrize("measure", ["transcerebellar_diameter_mm", "vermis_height_mm", "pons_ap_mm"])
def test_lengths_scale_with_the_voxels_and_ignore_the_margin(measure):
    labels = head()
    ask = getattr(biometry, measure)
    once = ask(labels, KCL8, H)
    assert ask(np.pad(labels, ((3, 9), (0, 4), (7, 1))), KCL8, H) == pytest.approx(once)
    assert ask(labels[::-1], KCL8, H) == pytest.approx(once, abs=0.02)
    if measure == "transcerebellar_diameter_mm":
        assert ask(labels, KCL8, (1.6, 1.6, 1.6)) == pytest.approx(2 * once)


@pytest.mark.parametrize("h", [0.6, 0.8, 1.0])
def test_the_voxel_size_changes_lengths_by_less_than_a_voxel(h):
    found, fine = (biometry.biometry(head(spacing=(s,) * 3), KCL8, (s,) * 3) for s in (h, 0.5))
    for name, length in found.items():
        assert length == pytest.approx(fine[name], abs=h), name


def test_cerebellum_of_known_size():
    labels = head()
    assert biometry.transcerebellar_diameter_mm(labels, KCL8, H) == pytest.approx(36, abs=0.9)
    assert biometry.vermis_height_mm(labels, KCL8, H) == pytest.approx(20, abs=0.5)


def bar(angle_degrees, width=8.0, bulge=3.0, ventricle=True):
    """A stem of constant width with a bulge on its front, turned about the left-right axis; a tectum behind a slit."""
    p = centred_grid((60, 90, 110), H)
    c, s = np.cos(np.radians(angle_degrees)), np.sin(np.radians(angle_degrees))
    up, front = c * p[2] + s * p[1], c * p[1] - s * p[2]
    stem = (np.abs(up) < 20) & (np.abs(front) < width / 2) & (np.abs(p[0]) < 8)
    stem |= (np.abs(up - 2) < 5) & (front > 0) & (front < width / 2 + bulge) & (np.abs(p[0]) < 8)
    labels = np.where(ellipsoid(p, (0, 0, 0), (23, 35, 43)), 4, 0).astype(np.uint8)
    labels[stem] = 7
    if ventricle:
        middle = np.abs(p[0]) < 8
        labels[(np.abs(up - 8) < 8) & (front <= -width / 2) & (front > -width / 2 - 2.0) & middle] = 2
        labels[(np.abs(up - 10) < 6) & (front <= -width / 2 - 2.0) & (front > -width / 2 - 5.0) & middle] = 7
    return labels


@pytest.mark.parametrize("angle", [0, 12, 24, 33])
@pytest.mark.parametrize("bulge", [0.0, 3.0])
def test_pons_thickness_is_across_the_stem_and_leaves_the_tectum_out(angle, bulge):
    """An inclined stem is not thicker: across a horizontal row it would measure 1 / cos(angle) of its width."""
    assert biometry.pons_ap_mm(bar(angle, bulge=bulge), KCL8, H) == pytest.approx(8.0 + bulge, abs=0.6)


def test_pons_follows_its_width():
    lengths = [biometry.pons_ap_mm(bar(24, width), KCL8, H) for width in np.arange(5.0, 8.01, 0.25)]
    assert np.all(np.diff(lengths) > 0)
    assert lengths[-1] - lengths[0] == pytest.approx(3.0, abs=0.3)


def test_single_voxels_move_the_pons_by_little(rng):
    labels = bar(24)
    stem = labels == 7
    shell = np.argwhere(ndi.binary_dilation(stem, iterations=1) & ~stem & (labels == 4))
    lengths = [biometry.pons_ap_mm(labels, KCL8, H)]
    for voxel in rng.permutation(shell)[:60]:
        labels[tuple(voxel)] = 7
        lengths.append(biometry.pons_ap_mm(labels, KCL8, H))
    assert np.abs(np.diff(lengths)).max() < 0.1


@pytest.mark.parametrize("radii", [(27.0, 32.0, 26.0), (46.0, 55.0, 50.0)])
def test_head_of_an_ellipsoid_has_the_perimeter_of_an_ellipse(radii):
    labels = ball(radii, centre=(0.13, 0.31, 0.22)).astype(np.uint8)
    found = biometry.head_size_mm(labels, KCL8, H)
    assert found.bpd_mm == pytest.approx(2 * radii[0], abs=0.4)
    assert found.ofd_mm == pytest.approx(2 * radii[1], abs=0.4)
    exact = 4 * radii[1] * ellipe(1 - (radii[0] / radii[1]) ** 2)
    assert found.head_circumference_mm == pytest.approx(exact, abs=1.2)


def test_the_circumference_follows_a_shrinking_head_without_steps():
    """A thousandth of a head is a fifth of a millimetre, far less than a layer of voxels decides."""
    p = centred_grid((64, 76, 68), (1.6, 1.6, 1.6))
    sizes = np.linspace(1.0, 0.94, 61)
    heads = [ellipsoid(p, (0.0, 0.0, 0.0), (38 * s, 47 * s, 40 * s)).astype(np.uint8) for s in sizes]
    found = np.array([biometry.head_size_mm(head, KCL8, (1.6,) * 3).head_circumference_mm for head in heads])
    exact = 4 * 47 * ellipe(1 - (38 / 47) ** 2) * sizes
    assert np.abs(found - exact).max() < 1.0
    assert np.std(found - exact) < 0.5


def test_descent_follows_the_cerebellum_and_nothing_else():
    stay, sunk = (biometry.hindbrain_descent_mm(head(drop), KCL8, H) for drop in (0.0, 4.0))
    assert stay == pytest.approx((8.2 - 26) - (-22 - 10), abs=0.6)
    assert sunk - stay == pytest.approx(4.0, abs=0.05)


def test_missing_structures_have_no_length():
    labels = head()
    labels[np.isin(labels, (3, 7))] = 4
    found = biometry.biometry(labels, KCL8, H)
    assert found["transcerebellar_diameter_mm"] == found["vermis_height_mm"] == found["pons_ap_mm"] == 0.0
    assert "hindbrain_descent_mm" not in found
    with pytest.raises(InputError, match="No cerebellum in the label map"):
        biometry.hindbrain_descent_mm(labels, KCL8, H)
    empty = biometry.biometry(np.zeros((9, 9, 9), np.uint8), KCL8, H)
    assert set(empty.values()) == {0.0}


def test_groups_that_a_scheme_does_not_name_are_an_error_or_left_out():
    fetal4 = load_scheme("fetal4")
    with pytest.raises(InputError, match="no group 'cerebellum'"):
        biometry.transcerebellar_diameter_mm(head(), fetal4, H)
    labels = np.minimum(head(), 3)
    assert set(biometry.biometry(labels, fetal4, H)) == {"bpd_mm", "ofd_mm", "head_circumference_mm"}


def test_the_map_is_not_changed():
    labels = head()
    before = labels.copy()
    biometry.biometry(labels, KCL8, H)
    np.testing.assert_array_equal(labels, before)


def atlas(root: Path, folder: str) -> dict[int, dict[str, float]]:
    out = {}
    for row in csv.DictReader((root / folder / "participants.tsv").open(), delimiter="\t"):
        image = nib.load(root / folder / f"{row['participant_id']}_dseg.nii.gz")
        spacing = tuple(float(z) for z in image.header.get_zooms()[:3])
        out[int(row["ga_weeks"])] = biometry.biometry(np.asarray(image.dataobj).astype(np.uint8), KCL8, spacing)
    return out


@pytest.fixture(scope="module")
def healthy(real_data: Path) -> dict[int, dict[str, float]]:
    if not (real_data / "fetal_healthy").is_dir():
        pytest.skip(f"no folder fetal_healthy in {real_data}")
    return atlas(real_data, "fetal_healthy")


@pytest.mark.real_data
def test_cerebellar_diameters_of_atlases_equal_the_extents_in_voxels(healthy):
    """Left-right extent of the label, counted in voxels of 0.8 mm by others; sub-voxel it is up to a voxel less."""
    counted = {21: 23.2, 23: 25.6, 25: 31.2, 27: 33.6, 29: 36.8, 31: 40.8, 33: 44.8, 34: 46.4}
    for age, extent in counted.items():
        assert -1.3 < healthy[age]["transcerebellar_diameter_mm"] - extent < 0.1, age


@pytest.mark.real_data
@pytest.mark.parametrize(
    "measure", ["transcerebellar_diameter_mm", "vermis_height_mm", "head_circumference_mm", "bpd_mm"]
)
def test_normal_brains_grow_from_week_to_week(healthy, measure):
    assert np.all(np.diff([healthy[age][measure] for age in sorted(healthy)]) > 0)


@pytest.mark.real_data
def test_heads_of_normal_atlases_are_normal_and_other_labels_are_biased_as_stated(healthy):
    z = {age: z_scores(found, age) for age, found in healthy.items()}
    means = {name: np.mean([scores[name] for scores in z.values()]) for name in z[28]}
    stated = {"head_circumference_z": 0.2, "bpd_z": 0.3, "ofd_z": 0.4, "transcerebellar_diameter_z": 2.0,
              "vermis_height_z": 1.6, "pons_ap_z": 3.1}  # fmt: skip
    assert means == pytest.approx(stated, abs=0.1)
    assert max(abs(scores["head_circumference_z"]) for scores in z.values()) < 1.5


@pytest.mark.real_data
def test_the_hindbrain_of_spina_bifida_lies_deeper_and_the_cerebellum_is_narrower(healthy, real_data):
    for age, found in atlas(real_data, "fetal_spinabifida_dev").items():
        assert found["hindbrain_descent_mm"] > healthy[age]["hindbrain_descent_mm"] + 1.0
        assert 0.6 < found["transcerebellar_diameter_mm"] / healthy[age]["transcerebellar_diameter_mm"] < 0.9
