"""Warping against shifts that can be written down, affine maps, and scipy's interpolation."""

import numpy as np
import pytest
import scipy.ndimage as ndi
import scipy.sparse as sp

from pathosynth.morphing import coarse
from pathosynth.morphing.transport import advance, extend, sample, sampled_sums
from pathosynth.morphing.warp import jacobian, label_weights, warp_labels

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


def test_sampling_equals_scipy_linear_interpolation(rng):
    field = rng.standard_normal((*SHAPE, 3)).astype(np.float32)
    displacement = rng.uniform(-4, 4, (*SHAPE, 3)).astype(np.float32)
    blocks = rng.choice(field[..., 0].size, 500, replace=False)
    points = np.stack(np.unravel_index(blocks, SHAPE)) + displacement.reshape(-1, 3)[blocks].T
    found = sample(field, displacement, blocks)
    for channel in range(3):
        expected = ndi.map_coordinates(field[..., channel], points, order=1, mode="nearest")
        np.testing.assert_allclose(found[:, channel], expected, atol=1e-5)
    sparse = sp.csr_matrix(np.where(field > 0, field, 0.0).reshape(-1, 3))
    expected = sample(np.where(field > 0, field, 0.0), displacement, blocks).sum(axis=0, dtype=np.float64)
    np.testing.assert_allclose(sampled_sums(sparse, displacement, blocks), expected, rtol=1e-5)


def test_a_step_along_an_even_velocity_is_a_shift():
    displacement, velocity = np.zeros((2, *SHAPE, 3), np.float32)
    velocity[..., 1] = 0.5
    moved = advance(displacement, velocity, 0.8, np.arange(displacement[..., 0].size))
    np.testing.assert_allclose(moved[..., 1], -0.4, rtol=1e-6)
    twice = advance(moved, velocity, 0.8, np.arange(100))
    np.testing.assert_allclose(twice.reshape(-1, 3)[:100, 1], -0.8, rtol=1e-6)
    assert not twice.reshape(-1, 3)[100:].any(), "what is not among the blocks stays"


def test_steps_along_a_rotation_turn_by_the_angle_with_second_order():
    """The flow backward in time of a rotation is one by the opposite angle, in closed form."""
    grid = np.stack(np.meshgrid(*[np.arange(n) - (n - 1) / 2 for n in SHAPE], indexing="ij"), axis=-1)
    velocity = np.stack([-grid[..., 1], grid[..., 0], np.zeros(SHAPE)], axis=-1).astype(np.float32)
    inner = (slice(4, 7), slice(3, 6), slice(None))

    def error(steps):
        moved = np.zeros((*SHAPE, 3), np.float32)
        for _ in range(steps):
            moved = advance(moved, velocity, 0.4 / steps, np.arange(grid[..., 0].size))
        cos, sin = np.cos(0.4), np.sin(0.4)
        x, y = grid[..., 0], grid[..., 1]
        expected = np.stack([cos * x + sin * y - x, -sin * x + cos * y - y, np.zeros(SHAPE)], axis=-1)
        return np.abs(moved - expected)[inner].max()

    assert np.log2(error(2) / error(4)) == pytest.approx(2.0, abs=0.3)


def test_a_field_is_extended_evenly_and_by_the_nearest_values():
    rank = np.full((9, 9, 9), 255, np.uint8)
    rank[2:7, 2:7, 2:7], rank[3:6, 3:6, 3:6] = 1, 0
    inside, halo = np.flatnonzero(rank == 0), (np.flatnonzero(rank == 1),)
    even = extend(np.full((27, 2), 3.0, np.float32), inside, rank, halo)
    np.testing.assert_allclose(even[rank < 255], 3.0, rtol=1e-6)
    assert not even[rank == 255].any()
    ramp = extend(np.argwhere(rank == 0).astype(np.float32), inside, rank, halo)
    assert ramp[2, 4, 4].tolist() == pytest.approx([3.0, 4.0, 4.0]), "symmetric neighbours cancel"


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
    found = coarse.class_fractions(classes, (2, 3, 1), np.array([0, -1, 1, 1]), weight).toarray().reshape(4, 2, 4, 2)
    plain = coarse.class_fractions(classes, (2, 3, 1), np.array([-1, 0, -1, -1])).toarray().reshape(4, 2, 4)

    def mean(voxels):
        return voxels.reshape(4, 2, 2, 3, 4, 1).mean(axis=(1, 3, 5))

    np.testing.assert_allclose(found[..., 0], mean((classes == 0) * weight), rtol=1e-5)
    np.testing.assert_allclose(found[..., 1], mean((classes >= 2) * weight), rtol=1e-5)
    np.testing.assert_allclose(plain, mean(classes == 1), rtol=1e-5)


def test_the_grid_has_two_layers_around_the_blocks_at_least_half_inside():
    inside = np.zeros((24, 24, 24), bool)
    inside[8:16, 8:16, 8:15] = True
    grid = coarse.build_grid(inside, (1.0, 1.0, 1.0), (2, 2, 2))
    assert grid.domain.sum() == grid.domain[4:8, 4:8, 4:8].sum() == 64
    np.testing.assert_array_equal(grid.rank <= 1, ndi.binary_dilation(grid.domain, np.ones((3, 3, 3))))
    np.testing.assert_array_equal(grid.active, np.flatnonzero(ndi.binary_dilation(grid.domain, np.ones((5, 5, 5)))))
    np.testing.assert_array_equal(np.sort(np.concatenate([grid.inside, *grid.halo])), grid.active)
