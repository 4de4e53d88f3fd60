"""Composed displacements against closed forms and against reshaping twice."""

import numpy as np
import pytest

from pathosynth.morphing.compose import compose
from pathosynth.morphing.warp import warp_labels

SHAPE = (17, 20, 18)
GRID = np.stack(np.meshgrid(*(np.arange(n, dtype=float) for n in SHAPE), indexing="ij"))


def field(psi: np.ndarray) -> np.ndarray:
    """Displacement of a backward map given as positions (3, I, J, K)."""
    return (psi - GRID).astype(np.float32)


def translation(*shift: float) -> np.ndarray:
    return field(GRID + np.reshape(shift, (3, 1, 1, 1)))


def linear(matrix: np.ndarray, centre: np.ndarray) -> np.ndarray:
    return field(np.einsum("ab,bijk->aijk", matrix, GRID - at(centre)) + at(centre))


def at(point: np.ndarray) -> np.ndarray:
    return np.reshape(point, (3, 1, 1, 1))


def test_translations_add_up():
    both = compose(translation(1.25, -2.0, 0.5), translation(-0.75, 1.0, 3.0))
    np.testing.assert_allclose(both, translation(0.5, -1.0, 3.5), atol=1e-6)
    assert both.dtype == np.float32


def test_affine_maps_multiply_in_the_order_of_the_reshapings(rng):
    """The linear interpolation of a linear field is exact, so only rounding is left wherever psi2 stays on the grid."""
    shrink, turn = 0.85 * np.eye(3), np.eye(3) + rng.uniform(-0.04, 0.04, (3, 3))
    one, other = np.array([8.0, 9.0, 8.0]), np.array([6.0, 11.0, 10.0])
    inner = (slice(None), *(slice(3, n - 3) for n in SHAPE))
    for (a, c), (b, e) in (((shrink, one), (turn, other)), ((turn, other), (shrink, one))):
        middle = np.einsum("ab,bijk->aijk", b, GRID - at(e)) + at(e)  # psi2
        wanted = np.einsum("ab,bijk->aijk", a, middle - at(c)) + at(c)  # psi1(psi2(x))
        np.testing.assert_allclose(compose(linear(a, c), linear(b, e))[inner], field(wanted)[inner], atol=1e-5)
    forth = compose(linear(shrink, one), translation(2, 0, 0))
    back = compose(translation(2, 0, 0), linear(shrink, one))
    np.testing.assert_allclose((forth - back)[0][inner[1:]], -0.3, atol=1e-5)  # 0.85 * 2 - 2


def test_standing_still_changes_nothing(rng):
    any_field, still = rng.normal(size=(3, *SHAPE)).astype(np.float32), np.zeros((3, *SHAPE), np.float32)
    np.testing.assert_array_equal(compose(any_field, still), any_field)
    np.testing.assert_array_equal(compose(still, any_field), any_field)


def test_an_inverse_brings_every_voxel_home():
    there = linear(np.diag([1.1, 0.9, 1.05]), np.array([8.0, 9.5, 8.5]))
    home = linear(np.diag(1 / np.array([1.1, 0.9, 1.05])), np.array([8.0, 9.5, 8.5]))
    inner = (slice(None), *(slice(2, n - 2) for n in SHAPE))
    np.testing.assert_allclose(compose(there, home)[inner], 0, atol=1e-5)


def test_one_warp_by_the_whole_equals_two_warps_by_the_parts(rng):
    """Whole-voxel moves of parts of the map: no interpolation, so the labels must agree to the voxel."""
    labels = rng.integers(0, 9, SHAPE).astype(np.uint8)
    moves = []
    for axis, step in ((0, 2), (1, -3)):
        move = np.zeros((3, *SHAPE), np.float32)
        move[axis, 4:13, 4:13, 4:13] = step
        moves.append(move)
    twice = warp_labels(warp_labels(labels, moves[0]), moves[1])
    np.testing.assert_array_equal(warp_labels(labels, compose(*moves)), twice)
    assert (warp_labels(labels, compose(*reversed(moves))) != twice).any()


def test_fields_of_different_grids_are_refused():
    with pytest.raises(ValueError, match="one shape"):
        compose(np.zeros((3, 4, 4, 4)), np.zeros((3, 4, 4, 5)))
