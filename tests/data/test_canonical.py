"""The working grid and the way back from it."""

from collections.abc import Callable

import numpy as np
import pytest

from pathosynth.data.canonical import Canonical, from_canonical, plan_grid, to_canonical
from pathosynth.data.intensity import background_value, robust_scale, undo_scale, with_empty_background
from pathosynth.data.volume import Volume
from pathosynth.runs.errors import InputError

Maker = Callable[..., tuple[Volume, Volume]]


def oblique_las(edges: tuple[float, float, float], angle: float = 0.2) -> np.ndarray:
    affine = np.eye(4)
    turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    affine[:3, :3] = turn @ np.diag([-edges[0], edges[1], edges[2]])
    affine[:3, 3] = (31.123, -20.4, 4.7)
    return affine.astype(np.float32).astype(np.float64)


@pytest.mark.parametrize("margin", [0.0, 4.0, 40.0])
def test_isotropic_case_comes_back_to_the_bit(margin: float, small_brain: Maker) -> None:
    labels, image = small_brain(affine=oblique_las((0.799999, 0.8, 0.800001)))
    grid = plan_grid(labels, margin_mm=margin, multiple=4)
    work = to_canonical(labels, grid, labels=True)
    assert all(n % 4 == 0 for n in work.shape)
    assert (work.array > 0).sum() == (labels.array > 0).sum()
    back = from_canonical(work, grid, labels=True)
    np.testing.assert_array_equal(back.array, labels.array)
    np.testing.assert_array_equal(back.affine, labels.affine)
    seen = from_canonical(to_canonical(image, grid, labels=False), grid, labels=False)
    np.testing.assert_array_equal(seen.array[labels.array > 0], image.array[labels.array > 0])


def test_record_survives_json(small_brain: Maker) -> None:
    labels, _ = small_brain(affine=oblique_las((0.7, 0.7, 0.7)))
    grid = plan_grid(labels)
    again = Canonical.model_validate_json(grid.model_dump_json())
    assert again == grid
    np.testing.assert_array_equal(again.original().affine, labels.affine)


def test_voxels_keep_their_place_in_the_world(small_brain: Maker) -> None:
    labels, _ = small_brain(affine=oblique_las((0.8, 0.8, 0.8)))
    work = to_canonical(labels, plan_grid(labels, margin_mm=3), labels=True)
    for value in (2, 3, 7):
        ours = work.affine @ np.append(np.argwhere(work.array == value).mean(axis=0), 1)
        theirs = labels.affine @ np.append(np.argwhere(labels.array == value).mean(axis=0), 1)
        np.testing.assert_allclose(ours, theirs, atol=1e-9)


@pytest.mark.parametrize("spacing", [None, 0.6, 1.3])
def test_anisotropic_case_keeps_its_millimetres(spacing: float | None, small_brain: Maker) -> None:
    """No stretch: volumes in millilitres and the extent in millimetres stay; the way back overlaps the original."""
    edges = (0.8, 0.9, 1.6)
    labels, _ = small_brain(shape=(60, 56, 30), affine=oblique_las(edges))
    grid = plan_grid(labels, spacing_mm=spacing, margin_mm=4)
    work = to_canonical(labels, grid, labels=True)
    assert work.spacing_mm == pytest.approx((spacing or 0.8,) * 3)
    for value in (1, 4, 5):
        assert (work.array == value).sum() * work.voxel_ml == pytest.approx(
            (labels.array == value).sum() * labels.voxel_ml, rel=0.03
        )
    for axis in range(3):
        ours = np.ptp(np.flatnonzero((work.array > 0).any(axis=tuple({0, 1, 2} - {axis}))))
        theirs = np.ptp(np.flatnonzero((labels.array > 0).any(axis=tuple({0, 1, 2} - {axis}))))
        assert ours * work.spacing_mm[axis] == pytest.approx(theirs * edges[axis], abs=1.7)
    back = from_canonical(work, grid, labels=True)
    np.testing.assert_array_equal(back.affine, labels.affine)
    for value in (1, 4, 5):
        a, b = back.array == value, labels.array == value
        assert 2 * (a & b).sum() / (a.sum() + b.sum()) > 0.93


def test_requests_that_cannot_be_are_refused(small_brain: Maker) -> None:
    labels, _ = small_brain()
    grid = plan_grid(labels)
    with pytest.raises(ValueError, match="expected a volume of shape"):
        to_canonical(Volume(labels.array[1:], labels.affine), grid, labels=True)
    with pytest.raises(ValueError, match="expected a volume of shape"):
        from_canonical(labels, grid, labels=True)
    with pytest.raises(InputError, match="Margin"):
        plan_grid(labels, margin_mm=-1)
    with pytest.raises(InputError, match="empty"):
        plan_grid(labels.with_array(np.zeros_like(labels.array)))


def test_one_scale_per_volume_from_percentiles_of_the_brain(rng: np.random.Generator) -> None:
    image = rng.normal(500, 100, (30, 30, 30)).astype(np.float32)
    mask = np.zeros(image.shape, dtype=bool)
    mask[5:25, 5:25, 5:25] = True
    image[~mask] = 5000  # what lies outside must not count
    scaled, low, high = robust_scale(image, mask)
    # Normal distribution: the 0.5th percentile lies 2.5758 standard deviations below the mean.
    assert (low, high) == pytest.approx((500 - 257.58, 500 + 257.58), abs=15)
    assert np.percentile(scaled[mask], (0.5, 99.5)) == pytest.approx((0, 1), abs=1e-6)
    np.testing.assert_allclose(undo_scale(scaled, low, high, background_value(image)), image, rtol=1e-5)
    slices = scaled[mask].reshape(20, 400).mean(axis=1), image[mask].reshape(20, 400).mean(axis=1)
    np.testing.assert_allclose(np.corrcoef(*slices)[0, 1], 1, atol=1e-5)  # no slice got a scale of its own


def test_scaling_refuses_what_has_no_contrast(rng: np.random.Generator) -> None:
    image = rng.normal(size=(5, 5, 5))
    with pytest.raises(InputError, match="mask is empty"):
        robust_scale(image, np.zeros(image.shape, dtype=bool))
    with pytest.raises(InputError, match="expected contrast"):
        robust_scale(np.ones((5, 5, 5)), np.ones((5, 5, 5), dtype=bool))


def test_scaling_does_not_depend_on_the_units_of_the_image(rng: np.random.Generator) -> None:
    image, mask = rng.gamma(2, 80, (12, 12, 12)), np.ones((12, 12, 12), dtype=bool)
    np.testing.assert_allclose(robust_scale(image, mask)[0], robust_scale(7 * image - 300, mask)[0], atol=1e-5)


@pytest.mark.parametrize("outside", [0, -1000, 37])
def test_a_constant_background_becomes_zero_and_comes_back(rng: np.random.Generator, outside: int) -> None:
    head = np.zeros((14, 12, 13), dtype=bool)
    head[3:-3, 2:-2, 3:-3] = True
    image = np.where(head, rng.integers(100, 900, head.shape), outside).astype(np.int16)
    scaled, low, high = robust_scale(image, head)
    assert (scaled[~head] == 0).all()
    np.testing.assert_allclose(np.percentile(scaled[head], [0.5, 99.5]), [0, 1], atol=1e-6)
    assert background_value(image) == outside
    back = undo_scale(scaled, low, high, background_value(image))
    np.testing.assert_allclose(back, image, atol=1e-3)
    emptied = with_empty_background(image)
    assert emptied.dtype == image.dtype
    np.testing.assert_array_equal(emptied, np.where(head, image, 0))


def test_noise_around_a_head_is_no_constant_background(rng: np.random.Generator) -> None:
    image = rng.integers(0, 40, (9, 9, 9)).astype(np.int16)
    assert background_value(image) is None
    assert with_empty_background(image) is image
    half = np.zeros((4, 4, 4), dtype=np.int16)
    half[2:] = rng.permutation(32).reshape(2, 4, 4) + 1  # half of the faces' voxels are noise
    assert background_value(half) == 0
