"""The carried image has closed forms: nothing moved, whole voxels, half voxels, and where nothing is known."""

from dataclasses import replace

import numpy as np
import pytest

from pathosynth.data.labels import load_scheme
from pathosynth.data.requests import Request
from pathosynth.data.warp import warp_image
from pathosynth.image_generators import carried
from pathosynth.runs.errors import InputError

SCHEME = load_scheme("kcl8")
SHAPE = (12, 14, 10)


def random_image() -> np.ndarray:
    return np.random.default_rng(0).uniform(0.1, 1.0, SHAPE).astype(np.float32)


def request(shift: tuple[float, float, float], labels: np.ndarray | None = None) -> Request:
    displacement = np.broadcast_to(np.array(shift, np.float32)[:, None, None, None], (3, *SHAPE)).copy()
    return Request(
        np.ones(SHAPE, np.uint8) if labels is None else labels, SCHEME, (1.0, 1.0, 1.0), random_image(), displacement
    )


def carry(one: Request, **settings: object) -> np.ndarray:
    return carried.generate(carried.Config.model_validate(settings), [one], [0])[0]


def test_no_displacement_gives_the_image_back_to_the_bit() -> None:
    np.testing.assert_array_equal(carry(request((0, 0, 0))), random_image())
    np.testing.assert_allclose(carry(request((0, 0, 0)), interpolation="cubic"), random_image(), atol=2e-6)


@pytest.mark.parametrize("shift", [(1, 0, 0), (0, -2, 0), (0, 0, 3), (2, 1, -1)])
def test_whole_voxels_are_exact_and_go_the_backward_way(shift: tuple[int, int, int]) -> None:
    moved = carry(request(shift), fill_exposed=False)
    where = np.indices(SHAPE) + np.array(shift)[:, None, None, None]
    known = np.all([(w >= 0) & (w < n) for w, n in zip(where, SHAPE, strict=True)], axis=0)
    np.testing.assert_array_equal(moved[known], random_image()[tuple(w[known] for w in where)])
    assert not moved[~known].any()


def test_half_a_voxel_is_the_mean_of_two() -> None:
    moved = carry(request((0.5, 0, 0)))
    image = random_image()
    np.testing.assert_allclose(moved[:-1], (image[:-1] + image[1:]) / 2, rtol=1e-6)


def test_a_linear_ramp_follows_any_smooth_displacement() -> None:
    # Linear interpolation of a linear function is exact: warped(x) = a . (x + u(x)).
    grid = np.indices((20, 20, 20)).astype(np.float32)
    slope = np.array([0.3, -0.2, 0.5], np.float32)
    u = np.stack([2 * np.sin(grid[1] / 5), np.cos(grid[2] / 4), 1.5 * np.sin(grid[0] / 6)])
    warped = warp_image(np.tensordot(slope, grid, 1), u, 1)
    inside = (slice(4, 16),) * 3
    np.testing.assert_allclose(warped[inside], np.tensordot(slope, grid + u, 1)[inside], atol=1e-4)


def test_background_stays_empty() -> None:
    labels = np.ones(SHAPE, np.uint8)
    labels[:, :5] = 0
    moved = carry(request((0, 1, 0), labels))
    assert not moved[:, :5].any()
    assert (moved[:, 5:] > 0).all()


def test_exposed_voxels_take_the_nearest_value_of_their_own_label() -> None:
    # The head grows by two voxels along +x; the new rim is label 4 above and label 1 below.
    labels = np.zeros(SHAPE, np.uint8)
    labels[2:10, :, :5], labels[2:10, :, 5:] = 1, 4
    one = request((0, 0, 0), labels)
    parent = np.where(labels == 4, 0.9, 0.3).astype(np.float32)
    parent[8:] = 0
    parent[:2] = 0
    moved = carry(replace(one, parent_image=parent))
    np.testing.assert_allclose(moved[8:10, :, :5], 0.3)
    np.testing.assert_allclose(moved[8:10, :, 5:], 0.9)
    assert not carry(replace(one, parent_image=parent), fill_exposed=False)[8:10].any()


def test_a_label_nowhere_in_the_parent_image_is_an_error() -> None:
    labels = np.ones(SHAPE, np.uint8)
    labels[10:] = 3
    one = request((0, 0, 0), labels)
    parent = random_image()
    parent[9:] = 0
    with pytest.raises(InputError, match="cerebellum"):
        carry(replace(one, parent_image=parent))


@pytest.mark.parametrize("missing", ["parent_image", "displacement"])
def test_missing_parents_are_named(missing: str) -> None:
    one = replace(request((0, 0, 0)), **{missing: None})
    with pytest.raises(InputError, match=missing.replace("_", " ")):
        carry(one)


def test_displacement_that_is_not_finite_or_does_not_fit_is_refused() -> None:
    with pytest.raises(InputError, match="finite"):
        warp_image(random_image(), np.full((3, *SHAPE), np.nan, np.float32), 1)
    with pytest.raises(InputError, match="shape"):
        warp_image(random_image(), np.zeros((3, 2, 2, 2), np.float32), 1)
    with pytest.raises(InputError, match="order"):
        warp_image(random_image(), np.zeros((3, *SHAPE), np.float32), 2)


def test_requests_must_share_one_grid() -> None:
    with pytest.raises(InputError, match="parent image"):
        replace(request((0, 0, 0)), parent_image=random_image()[1:])
    with pytest.raises(InputError, match="unsigned"):
        replace(request((0, 0, 0)), labels=np.ones(SHAPE, np.int16))
