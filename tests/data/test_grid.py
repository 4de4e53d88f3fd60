"""Orientation, resampling and cropping, checked against closed forms and against nibabel."""

import itertools

import nibabel as nib
import numpy as np
import pytest

from pathosynth.data.grid import (
    Box,
    crop,
    crop_box,
    crop_volume,
    isotropic_spacing,
    resample_image,
    resample_labels,
    resample_onto,
    to_orientation_of,
    to_ras,
    uncrop,
)
from pathosynth.data.volume import Volume
from pathosynth.runs.errors import InputError

ORIENTATIONS = [
    "".join(signs) for order in itertools.permutations(("LR", "PA", "IS")) for signs in itertools.product(*order)
]


def oriented(code: str, rng: np.random.Generator, shape: tuple[int, int, int] = (5, 6, 7)) -> Volume:
    """A volume whose axes run as `code` says, anisotropic, with float noise, slightly oblique."""
    directions = {"R": (1, 0, 0), "L": (-1, 0, 0), "A": (0, 1, 0), "P": (0, -1, 0), "S": (0, 0, 1), "I": (0, 0, -1)}
    affine = np.eye(4)
    turn = np.linalg.qr(np.eye(3) + 0.08 * rng.normal(size=(3, 3)))
    rotation = turn.Q * np.sign(np.diag(turn.R))
    affine[:3, :3] = rotation @ np.array([directions[letter] for letter in code], dtype=float).T * (0.799999, 0.8, 1.3)
    affine[:3, 3] = rng.normal(size=3) * 40
    return Volume(rng.integers(0, 1000, shape).astype(np.float32), affine)


@pytest.mark.parametrize("code", ORIENTATIONS)
def test_reorientation_agrees_with_nibabel_and_comes_back_to_the_bit(code: str, rng: np.random.Generator) -> None:
    volume = oriented(code, rng)
    ras = to_ras(volume)
    theirs = nib.as_closest_canonical(nib.Nifti1Image(volume.array, volume.affine))
    np.testing.assert_array_equal(ras.array, np.asarray(theirs.dataobj))
    np.testing.assert_allclose(ras.affine, theirs.affine, atol=1e-12)
    assert nib.aff2axcodes(ras.affine) == ("R", "A", "S")
    back = to_orientation_of(ras, volume)
    np.testing.assert_array_equal(back.array, volume.array)
    np.testing.assert_array_equal(back.affine, volume.affine)


def test_all_48_orientations_are_tested() -> None:
    assert len(set(ORIENTATIONS)) == 48


def test_reorientation_keeps_every_voxel_in_its_place(rng: np.random.Generator) -> None:
    volume = oriented("PIL", rng)
    ras = to_ras(volume)
    marked = np.argwhere(volume.array == volume.array.max())[0]
    moved = np.argwhere(ras.array == ras.array.max())[0]
    np.testing.assert_allclose(volume.affine @ [*marked, 1], ras.affine @ [*moved, 1], atol=1e-9)


def test_float_noise_does_not_resample() -> None:
    volume = Volume(np.random.default_rng(0).normal(size=(4, 5, 6)), np.diag([0.799999, 0.8, 0.800001, 1]))
    assert isotropic_spacing(volume) == pytest.approx(0.8)
    assert resample_image(volume, 0.8) is volume
    assert resample_labels(volume, isotropic_spacing(volume)) is volume


def test_anisotropic_volume_gets_its_smallest_edge() -> None:
    assert isotropic_spacing(Volume(np.zeros((4, 4, 4)), np.diag([0.5, -0.7, 3.0, 1]))) == 0.5


@pytest.mark.parametrize("edges", [(1.0, 1.0, 1.0), (0.5, 0.8, 3.0), (2.0, 1.1, 0.9)])
def test_linear_functions_of_position_survive_resampling(edges: tuple[float, float, float]) -> None:
    """Linear interpolation must give a linear ramp back exactly, at the right place in millimetres."""
    affine = np.diag([*edges, 1.0])
    affine[:3, 3] = (-7.0, 3.0, 11.0)
    shape = tuple(int(np.ceil(20 / edge)) for edge in edges)
    world = np.einsum("ab,bijk->aijk", affine[:3, :3], np.indices(shape)) + affine[:3, 3, None, None, None]
    volume = Volume((2 * world[0] - 3 * world[1] + 0.5 * world[2]).astype(np.float32), affine)
    out = resample_image(volume, 0.7)
    assert out.spacing_mm == pytest.approx((0.7, 0.7, 0.7))
    there = np.einsum("ab,bijk->aijk", out.affine[:3, :3], np.indices(out.shape)) + out.affine[:3, 3, None, None, None]
    inner = tuple(slice(int(np.ceil(edge / 0.7)) + 1, -int(np.ceil(edge / 0.7)) - 1) for edge in edges)
    expected = 2 * there[0] - 3 * there[1] + 0.5 * there[2]
    np.testing.assert_allclose(out.array[inner], expected[inner], atol=1e-4)


@pytest.mark.parametrize("spacing", [0.6, 1.0, 1.7])
def test_sphere_keeps_its_volume_and_centre(spacing: float) -> None:
    """A ball of label 259 (14 137 mm3) in a thick-sliced volume, next to nothing else."""
    edges, radius = np.array([0.8, 0.8, 2.0]), 15.0
    shape = (60, 58, 24)
    affine = np.diag([*edges, 1.0])
    affine[:3, 3] = (-20, -10, 5)
    centre = affine[:3, :3] @ ((np.array(shape) - 1) / 2) + affine[:3, 3] + (0.3, -0.2, 0.4)
    world = np.einsum("ab,bijk->aijk", affine[:3, :3], np.indices(shape)) + affine[:3, 3, None, None, None]
    ball = (((world - centre[:, None, None, None]) ** 2).sum(axis=0) < radius**2).astype(np.uint16) * 259
    out = resample_labels(Volume(ball, affine), spacing)
    assert set(np.unique(out.array)) == {0, 259}
    assert (out.array > 0).sum() * spacing**3 == pytest.approx(4 / 3 * np.pi * radius**3, rel=0.03)
    found = out.affine[:3, :3] @ np.argwhere(out.array > 0).mean(axis=0) + out.affine[:3, 3]
    np.testing.assert_allclose(found, centre, atol=0.1)


def test_no_label_appears_between_two_others(rng: np.random.Generator) -> None:
    """Interpolating the numbers would put 3, 30 … between 2 and 41; one-hot must not, at any boundary."""
    labels = rng.choice(np.array([0, 2, 41, 255], dtype=np.uint8), size=(9, 10, 11))
    for spacing in (0.55, 1.45):
        out = resample_labels(Volume(labels, np.diag([1.0, 1.0, 1.0, 1.0])), spacing)
        assert set(np.unique(out.array)) <= {0, 2, 41, 255}
        assert out.array.dtype == np.uint8


def test_downsampling_removes_what_the_new_grid_cannot_hold() -> None:
    """A checkerboard (the highest frequency) must become its mean instead of a new pattern."""
    board = (np.indices((40, 40, 40)).sum(axis=0) % 2).astype(np.float32)
    out = resample_image(Volume(board, np.eye(4)), 3.0).array[2:-2, 2:-2, 2:-2]
    assert np.abs(out - 0.5).max() < 0.02


def test_resampling_covers_the_field_of_view_around_the_same_centre() -> None:
    volume = Volume(np.zeros((31, 20, 10)), np.diag([0.8, 1.0, 3.3, 1.0]))
    out = resample_image(volume, 0.9)
    for axis in range(3):
        assert out.shape[axis] * 0.9 >= volume.shape[axis] * volume.spacing_mm[axis] - 1e-6
    middle = [v.affine @ [*((np.array(v.shape) - 1) / 2), 1] for v in (volume, out)]
    np.testing.assert_allclose(middle[0], middle[1], atol=1e-9)


@pytest.mark.parametrize("spacing", [0.0, -1.0, float("nan"), 1e-4])
def test_impossible_spacing_is_refused(spacing: float) -> None:
    with pytest.raises(InputError, match="Voxel size"):
        resample_image(Volume(np.zeros((40, 40, 40)), np.eye(4)), spacing)


def test_resampling_onto_a_shifted_grid_moves_by_whole_voxels(rng: np.random.Generator) -> None:
    labels = rng.integers(0, 4, (8, 9, 10)).astype(np.uint8)
    like = np.eye(4)
    like[:3, 3] = (2, -1, 3)
    out = resample_onto(Volume(labels, np.eye(4)), Volume(np.zeros((5, 9, 9)), like), labels=True)
    expected = np.zeros((5, 9, 9), dtype=np.uint8)
    expected[:, 1:, :7] = labels[2:7, :8, 3:]
    np.testing.assert_array_equal(out.array, expected)
    image = resample_onto(Volume(labels, np.eye(4)), Volume(np.zeros((5, 9, 9)), like), labels=False)
    np.testing.assert_array_equal(image.array, expected)
    turned = np.eye(4)[[1, 0, 2, 3]]
    with pytest.raises(InputError, match="not parallel"):
        resample_onto(Volume(labels, np.eye(4)), Volume(np.zeros((5, 9, 9)), turned), labels=True)


@pytest.mark.parametrize(("margin", "multiple"), [(0, 1), (2, 1), (9, 1), (1, 8), (4, 16)])
def test_crop_pads_and_uncrop_undoes_it(margin: int, multiple: int, rng: np.random.Generator) -> None:
    array = np.zeros((12, 13, 14), dtype=np.int16)
    array[3:9, 1:11, 5:13] = rng.integers(1, 99, (6, 10, 8))
    box = crop_box(array > 0, margin, multiple)
    assert all(n % multiple == 0 for n in box.shape)
    small = crop(array, box, fill=-5)
    np.testing.assert_array_equal(np.sort(small[small > 0]), np.sort(array[array > 0]))
    assert (small == -5).sum() == small.size - (crop(np.ones_like(array), box, fill=0) == 1).sum()
    np.testing.assert_array_equal(uncrop(small, box, array.shape, fill=0), array)


def test_crop_of_a_box_outside_is_all_fill() -> None:
    out = crop(np.ones((4, 4, 4)), Box((10, 0, -9), (12, 2, -7)), fill=7)
    np.testing.assert_array_equal(out, np.full((2, 2, 2), 7.0))


def test_crop_acts_on_the_last_three_axes_and_keeps_places(rng: np.random.Generator) -> None:
    field, box = rng.normal(size=(3, 6, 7, 8)), Box((1, -2, 3), (5, 4, 9))
    np.testing.assert_array_equal(crop(field, box, 0)[2], crop(field[2], box, 0))
    volume = Volume(field[0], np.diag([0.8, 0.8, 0.8, 1.0]))
    out = crop_volume(volume, box, 0)
    np.testing.assert_allclose(out.affine @ [0, 2, 0, 1], volume.affine @ [1, 0, 3, 1])
    assert out.array[0, 2, 0] == volume.array[1, 0, 3]


def test_empty_mask_is_refused() -> None:
    with pytest.raises(InputError, match="empty"):
        crop_box(np.zeros((3, 3, 3), dtype=bool), 1)
