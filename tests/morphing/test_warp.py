"""Warping against shifts that can be written down, affine maps, and scipy's interpolation."""

import numpy as np
import pytest
import scipy.ndimage as ndi

from pathosynth.morphing import coarse
from pathosynth.morphing.warp import jacobian, label_weights, sampling_matrix, warp_labels

SHAPE = (11, 9, 10)


@pytest.fixture
def labels(rng):
    blobs = ndi.gaussian_filter(rng.standard_normal((4, *SHAPE)), (0, 1.5, 1.5, 1.5)).argmax(axis=0)
    return (blobs * 60).astype(np.uint8)  # 0, 60, 120, 180: values above 127 must survive


def one_hot_oracle(labels, displacement):
    at = np.stack(np.meshgrid(*[np.arange(n) for n in labels.shape], indexing="ij")) + displacement
    values = np.unique(labels)
    weights = [ndi.map_coordinates((labels == v).astype(np.float64), at, order=1, mode="nearest") for v in values]
    return values, np.stack(weights)


def test_sampling_matrix_equals_scipy_linear_interpolation(rng):
    field = rng.standard_normal(SHAPE).astype(np.float32)
    points = rng.uniform(-2, 12, (500, 3)).astype(np.float32)
    expected = ndi.map_coordinates(field, points.T, order=1, mode="nearest")
    np.testing.assert_allclose(sampling_matrix(points, SHAPE) @ field.ravel(), expected, atol=1e-5)


def test_no_displacement_changes_nothing(labels):
    np.testing.assert_array_equal(warp_labels(labels, np.zeros((3, *SHAPE), np.float32)), labels)


def test_whole_voxel_shift_is_exact(labels):
    displacement = np.zeros((3, *SHAPE), np.float32)
    displacement[1] = 2.0
    np.testing.assert_array_equal(warp_labels(labels, displacement)[:, :-2], labels[:, 2:])


def test_equals_one_hot_argmax(labels, rng):
    displacement = ndi.gaussian_filter(rng.standard_normal((3, *SHAPE)), (0, 2, 2, 2)).astype(np.float32) * 15
    values, weights = one_hot_oracle(labels, displacement)
    order = np.sort(weights, axis=0)
    clear = order[-1] - order[-2] > 1e-4
    assert clear.mean() > 0.9
    np.testing.assert_array_equal(warp_labels(labels, displacement)[clear], values[weights.argmax(axis=0)][clear])


def test_a_box_equals_that_part_of_the_whole(labels, rng):
    displacement = ndi.gaussian_filter(rng.standard_normal((3, *SHAPE)), (0, 2, 2, 2)).astype(np.float32) * 15
    box = (slice(2, 8), slice(1, 9), slice(3, 10))
    whole = warp_labels(labels, displacement)
    np.testing.assert_array_equal(warp_labels(labels, displacement[(slice(None), *box)], (2, 1, 3)), whole[box])


def test_inside_a_rigid_skull_background_is_never_chosen():
    labels = np.zeros((20, 20, 20), np.uint8)
    labels[5:15, 5:15, 5:15] = 4
    labels[8:12, 8:12, 8:12] = 2
    displacement = np.zeros((3, 20, 20, 20), np.float32)
    displacement[0] = 4.0
    mask = labels > 0
    out = warp_labels(labels, displacement, mask=mask)
    np.testing.assert_array_equal(out > 0, mask)
    assert np.all(out[5:8, 8:12, 8:12][1:] == 2)
    assert np.all(out[12:15, 5:15, 5:15] == 4), "what looks beyond the skull takes the nearest label"


def test_label_weights_equal_one_hot_interpolation(labels, rng):
    displacement = rng.uniform(-1, 1, (3, *SHAPE)).astype(np.float32)
    values, weights = one_hot_oracle(labels, displacement)
    voxels = rng.choice(labels.size, 200, replace=False)
    found = label_weights(labels, displacement, voxels, values)
    np.testing.assert_allclose(found, weights.reshape(len(values), -1)[:, voxels], atol=1e-5)


def test_jacobian_of_an_affine_map_is_its_determinant():
    matrix = np.array([[1.2, 0.1, 0.0], [-0.2, 0.8, 0.3], [0.05, 0.0, 1.5]])
    grid = np.stack(np.meshgrid(*[np.arange(n, dtype=float) for n in SHAPE], indexing="ij"))
    displacement = (np.einsum("ab,bijk->aijk", matrix, grid) - grid).astype(np.float32)
    np.testing.assert_allclose(jacobian(displacement), np.linalg.det(matrix), rtol=1e-4)


def test_a_mirrored_map_has_negative_jacobian():
    displacement = np.zeros((3, 8, 8, 8), np.float32)
    displacement[0] = -2.0 * np.arange(8)[:, None, None]
    np.testing.assert_allclose(jacobian(displacement), -1.0)


@pytest.mark.parametrize(
    ("spacing", "factors"),
    [((0.8, 0.8, 0.8), (2, 2, 2)), ((0.5, 0.5, 3.0), (4, 4, 1)), ((1.0, 1.0, 1.5), (2, 2, 2))],
)
def test_blocks_are_as_isotropic_as_the_voxels_allow(spacing, factors):
    assert coarse.block_factors(spacing) == factors


def test_refining_a_linear_field_is_exact_away_from_the_border():
    factors = (2, 3, 1)
    i, j, k = np.meshgrid(*[(np.arange(n) + 0.5) for n in (6, 5, 7)], indexing="ij")
    field = np.stack([0.3 * i + 0.1 * j, -0.2 * j, 0.5 * k - 0.1 * i], axis=-1).astype(np.float32)
    fine = coarse.refine(field, factors, (slice(0, 6), slice(0, 5), slice(0, 7)))
    x, y, z = np.meshgrid(
        *[(np.arange(n * f) + 0.5) / f for n, f in zip((6, 5, 7), factors, strict=True)], indexing="ij"
    )
    expected = np.stack([2 * (0.3 * x + 0.1 * y), 3 * (-0.2 * y), 0.5 * z - 0.1 * x])
    inner = (slice(None), slice(2, -2), slice(3, -3), slice(1, -1))
    np.testing.assert_allclose(fine[inner], expected[inner], atol=1e-5)
    part = coarse.refine(field, factors, (slice(1, 4), slice(2, 5), slice(0, 3)))
    np.testing.assert_array_equal(part, fine[:, 2:8, 6:15, 0:3])


def test_class_fractions_are_block_means(rng):
    classes = rng.integers(0, 4, (8, 6, 4)).astype(np.uint8)
    weight = rng.random(classes.shape).astype(np.float32)
    found = coarse.class_fractions(classes, (2, 3, 1), weight)
    for value in range(4):
        expected = ((classes == value) * weight).reshape(4, 2, 2, 3, 4, 1).mean(axis=(1, 3, 5))
        np.testing.assert_allclose(found[:, value], expected.ravel(), rtol=1e-5)
