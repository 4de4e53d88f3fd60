"""Measurements against shapes of known size and brute force."""

import numpy as np
import pytest
import scipy.ndimage as ndi
from head_phantoms import centred_grid, ellipsoid, spheres, two_ventricles

from pathosynth.data.labels import load_scheme
from pathosynth.morphing import measure


def test_volumes_are_voxels_times_their_size():
    labels = np.zeros((4, 5, 6), np.uint16)
    labels[0, :2, :3], labels[2] = 300, 7
    assert measure.volumes_ml(labels, (0.5, 1.0, 2.0)) == pytest.approx({300: 0.006, 7: 0.030})


@pytest.mark.parametrize("spacing", [(0.8, 0.8, 0.8), (0.8, 0.8, 1.2)])
@pytest.mark.parametrize("radius", [4.0, 7.5])
def test_width_of_a_ball_is_its_diameter_to_within_a_voxel(radius, spacing):
    p = centred_grid((71, 61, 51), spacing)
    balls = ellipsoid(p, (-12, -4.8, 0), (radius,) * 3) | ellipsoid(p, (12, -4.8, 0), (radius - 1,) * 3)
    left, right = measure.atrial_widths_mm(balls | ellipsoid(p, (0, 20, 0), (1.5, 3, 1.5)), 35.0, spacing)
    assert left == pytest.approx(2 * radius, abs=max(spacing))
    assert right == pytest.approx(2 * radius - 2, abs=max(spacing))


def test_width_equals_brute_force_over_all_pairs(rng):
    mask = ndi.gaussian_filter(rng.standard_normal((14, 16, 12)), 2) > 0.02
    outside = np.argwhere(~mask) * (0.8, 0.9, 1.1)
    middle = (np.argwhere(mask)[:, 1].min() + np.argwhere(mask)[:, 1].max()) / 2
    widths = [0.0, 0.0]
    for voxel in np.argwhere(mask):
        if voxel[1] < middle:
            reach = 2 * np.sqrt(((outside - voxel * (0.8, 0.9, 1.1)) ** 2).sum(axis=1).min())
            widths[int(voxel[0] >= 6.5)] = max(widths[int(voxel[0] >= 6.5)], reach)
    padded = np.pad(mask, 0)
    found = measure.atrial_widths_mm(padded, 6.5, (0.8, 0.9, 1.1))
    np.testing.assert_allclose(found, widths, rtol=1e-5)


def test_only_the_posterior_half_counts():
    p = centred_grid((61, 61, 41), (1.0, 1.0, 1.0))
    body = ellipsoid(p, (-12, 0, 0), (3, 25, 3)) | ellipsoid(p, (12, 0, 0), (3, 25, 3))
    front = body | ellipsoid(p, (-12, 15, 0), (8, 8, 8))
    back = body | ellipsoid(p, (-12, -15, 0), (8, 8, 8))
    assert measure.atrial_widths_mm(front, 30.0, (1, 1, 1))[0] < 8
    assert measure.atrial_widths_mm(back, 30.0, (1, 1, 1))[0] > 15


def test_nothing_has_no_width():
    assert measure.atrial_widths_mm(np.zeros((5, 5, 5), bool), 2.0, (1, 1, 1)) == (0.0, 0.0)


def test_contact_faces_of_two_boxes():
    a, b = np.zeros((8, 8, 8), bool), np.zeros((8, 8, 8), bool)
    a[0:4, 2:5, 2:6] = True
    b[4:7, 3:8, 0:4] = True
    assert measure.contact_faces(a, b) == 2 * 2
    assert measure.contact_faces(b, a) == 4


@pytest.mark.parametrize(("connectivity", "structure"), [(6, None), (26, np.ones((3, 3, 3)))])
def test_component_counts_equal_scipy(connectivity, structure, rng):
    labels = rng.integers(0, 3, (12, 12, 12)).astype(np.uint8) * 100
    expected = {value: ndi.label(labels == value, structure)[1] for value in (100, 200)}
    assert measure.component_counts(labels, connectivity) == expected


def test_touches_equals_a_six_neighbour_dilation_without_the_centre(rng):
    mask = rng.random((9, 8, 7)) < 0.2
    structure = ndi.generate_binary_structure(3, 1)
    structure[1, 1, 1] = False
    np.testing.assert_array_equal(measure.touches(mask), ndi.binary_dilation(mask, structure))


def test_mantle_of_concentric_spheres():
    labels = spheres((8.0, 16.0, 19.0, 24.0))
    thickness = measure.mantle_mm(labels == 5, np.isin(labels, (0, 4)), labels == 2, (1.0, 1.0, 1.0))
    assert np.median(thickness) == pytest.approx(19.0 - 8.0, abs=0.8)


def test_sides_of_an_unsided_label_meet_at_the_midplane():
    labels = two_ventricles()
    sides = measure.side_masks(labels, load_scheme("kcl8"), "ventricles")
    np.testing.assert_array_equal(sides["left"], sides["right"][::-1])
    np.testing.assert_array_equal(sides["left"] | sides["right"], labels == 2)


@pytest.mark.real_data
@pytest.mark.parametrize("name", ["fetal_healthy", "fetal_spinabifida_dev"])
def test_reproduces_the_published_widths(real_data, name):
    import csv

    import nibabel as nib

    rows = list(csv.DictReader((real_data / name / "participants.tsv").open(), delimiter="\t"))
    off = []
    for row in rows:
        image = nib.load(real_data / name / f"{row['participant_id']}_dseg.nii.gz")
        labels = np.asarray(image.dataobj).astype(np.uint8)
        spacing = tuple(float(z) for z in image.header.get_zooms()[:3])
        found = measure.atrial_widths_mm(labels == 2, measure.midline_index(labels > 0), spacing)
        off += [abs(w - float(row[f"mm_atrium_{side}"])) for side, w in zip(("left", "right"), found, strict=True)]
    assert sum(error < 0.055 for error in off) >= len(off) - 1, "one side of one atlas is rounded differently"
    assert max(off) < 0.25
