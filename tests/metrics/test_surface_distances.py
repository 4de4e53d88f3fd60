"""Surface distances against closed forms and three independent programs, and where two of those are wrong."""

import warnings

import numpy as np
import pytest
import torch
from monai.metrics import (
    compute_average_surface_distance,
    compute_dice,
    compute_hausdorff_distance,
    compute_surface_dice,
)
from scipy import ndimage
from scipy.spatial.distance import cdist
from surface_distance import metrics as google

from pathosynth.metrics import assd, dice, hausdorff95, surface_dice, volume_error
from pathosynth.metrics.mask_pair import mask_pairs
from pathosynth.metrics.surfaces import surface, surface_distances
from pathosynth.runs.errors import InputError

EDGES = (0.8, 1.3, 2.0)
Masks = tuple[np.ndarray, np.ndarray]


def blob(rng: np.random.Generator, shape: tuple[int, int, int], sigma: float = 3.0) -> np.ndarray:
    noise = ndimage.gaussian_filter(rng.normal(size=shape), sigma)
    return np.asarray(noise > np.quantile(noise, 0.7))


def ball(radius: float, shape: tuple[int, int, int] = (41, 41, 41)) -> np.ndarray:
    axes = np.meshgrid(*[np.arange(n) - n // 2 for n in shape], indexing="ij")
    return np.asarray(sum(axis**2 for axis in axes) <= radius**2)


@pytest.fixture(params=range(4))
def masks(request: pytest.FixtureRequest) -> Masks:
    """Two blobs that share most voxels, and in the last case few; some touch the border."""
    rng = np.random.default_rng(request.param)
    first = blob(rng, (22, 25, 18))
    return first, ndimage.shift(
        first.astype(float), rng.uniform(-2, 2, 3) * (1 + 3 * (request.param == 3)), order=1
    ) > 0.5


def brute_force(masks: Masks, edges: tuple[float, float, float]) -> tuple[np.ndarray, np.ndarray]:
    """All distances between voxels that binary erosion takes away."""
    points = [np.argwhere(mask & ~ndimage.binary_erosion(mask)) * edges for mask in masks]
    between = cdist(*points)
    return between.min(axis=1), between.min(axis=0)


def monai(masks: Masks) -> list[torch.Tensor]:
    reference, prediction = (torch.from_numpy(mask)[None, None] for mask in masks)
    return [prediction, reference]


def test_distances_are_those_of_brute_force(masks: Masks) -> None:
    for edges in ((1.0, 1.0, 1.0), EDGES, (0.5, 0.5, 5.0)):
        found, expected = surface_distances(*masks, edges), brute_force(masks, edges)
        np.testing.assert_allclose(found.from_reference, expected[0], atol=1e-9)
        np.testing.assert_allclose(found.from_prediction, expected[1], atol=1e-9)


def test_far_islands_are_found_beyond_the_searched_neighbourhood(rng: np.random.Generator) -> None:
    masks = (np.zeros((60, 50, 40), bool), np.zeros((60, 50, 40), bool))
    masks[0][2:6, 3:5, 4:9] = masks[1][2:6, 3:5, 4:9] = True
    masks[1][55:58, 44:47, 30:36] = True
    expected = brute_force(masks, EDGES)
    found = surface_distances(*masks, EDGES)
    np.testing.assert_allclose(found.from_prediction, expected[1], atol=1e-9)
    assert found.from_prediction.max() > 70
    assert found.from_reference.max() == 0


@pytest.mark.parametrize("density", [0.0005, 0.01, 0.3])
def test_scattered_voxels_near_and_far(density: float, rng: np.random.Generator) -> None:
    """Distances of all sizes next to each other in a row, which the search takes advantage of."""
    for edges in ((1.0, 1.0, 1.0), (2.0, 1.3, 0.7), (0.4, 0.4, 6.0)):
        masks = (rng.random((24, 17, 40)) < density, rng.random((24, 17, 40)) < 0.02)
        masks[0][3, 4, 2:35] = True
        found, expected = surface_distances(*masks, edges), brute_force(masks, edges)
        np.testing.assert_allclose(found.from_reference, expected[0], atol=1e-9)
        np.testing.assert_allclose(found.from_prediction, expected[1], atol=1e-9)


def test_metrics_are_those_of_brute_force(masks: Masks) -> None:
    forth, back = brute_force(masks, EDGES)
    both = np.concatenate([forth, back])
    assert hausdorff95.compute(*masks, EDGES) == pytest.approx(max(np.percentile(forth, 95), np.percentile(back, 95)))
    assert assd.compute(*masks, EDGES) == pytest.approx(both.mean())
    for tolerance in (0.0, 0.8, 1.3, 2.5):
        expected = (both <= tolerance + 1e-6).mean()
        assert surface_dice.compute(*masks, EDGES, tolerance) == pytest.approx(expected)


def test_metrics_are_those_of_monai(masks: Masks) -> None:
    for edges in ((1.0, 1.0, 1.0), EDGES):
        options = {"include_background": True, "spacing": list(edges)}
        hd = compute_hausdorff_distance(*monai(masks), percentile=95, **options)
        mean = compute_average_surface_distance(*monai(masks), symmetric=True, **options)
        near = compute_surface_dice(*monai(masks), [2.0], **options)
        assert hausdorff95.compute(*masks, edges) == pytest.approx(float(hd), rel=1e-5)
        assert assd.compute(*masks, edges) == pytest.approx(float(mean), rel=1e-5)
        assert surface_dice.compute(*masks, edges, 2.0) == pytest.approx(float(near), abs=1e-6)


def test_hd95_of_surface_distance_lies_within_a_voxel(masks: Masks) -> None:
    """Its surface lies between voxels and is weighed by area, so that only an even shift gives the same number."""
    for edges in ((1.0, 1.0, 1.0), EDGES):
        theirs = google.compute_robust_hausdorff(google.compute_surface_distances(*masks, edges), 95)
        assert hausdorff95.compute(*masks, edges) == pytest.approx(theirs, abs=float(np.linalg.norm(edges)))


def test_surface_distance_fails_on_empty_masks_and_we_do_not() -> None:
    """Its release 0.1 asks numpy 2 for `numpy.Inf`, so a missed structure stops an evaluation."""
    cube = np.zeros((12, 12, 12), bool)
    cube[4:8, 4:8, 4:8] = True
    with pytest.raises(AttributeError):  # when this fails, it is repaired: compare empty masks with it
        google.compute_surface_distances(cube, np.zeros_like(cube), (1, 1, 1))


@pytest.mark.parametrize(("axis", "steps"), [(0, 3), (1, 2), (2, 4)])
def test_shifted_cube(axis: int, steps: int) -> None:
    """The two faces across the shift are `steps` away, in and out of the cube, whose sides share voxels."""
    cube = np.zeros((30, 30, 30), bool)
    cube[8:18, 8:18, 8:18] = True
    moved = np.roll(cube, steps, axis)
    theirs = google.compute_robust_hausdorff(google.compute_surface_distances(cube, moved, EDGES), 95)
    assert theirs == pytest.approx(steps * EDGES[axis])
    assert hausdorff95.compute(cube, moved, EDGES) == pytest.approx(steps * EDGES[axis])
    assert dice.compute(cube, moved, EDGES) == pytest.approx((10 - steps) / 10)
    assert volume_error.compute(cube, moved, EDGES) == 0


def test_concentric_balls() -> None:
    """Radii 16 and 12: everywhere 4 apart, half a voxel aside from staircases; Dice 2 r^3 / (R^3 + r^3)."""
    large, small = ball(16), ball(12)
    edges = (0.7, 0.7, 0.7)
    assert hausdorff95.compute(large, small, edges) == pytest.approx(4 * 0.7, abs=0.5 * 0.7)
    assert assd.compute(large, small, edges) == pytest.approx(4 * 0.7, abs=0.25 * 0.7)
    assert dice.compute(large, small, edges) == pytest.approx(2 * 12**3 / (16**3 + 12**3), rel=0.01)
    volume = 4 / 3 * np.pi * (12**3 - 16**3) * 0.7**3 / 1000
    assert volume_error.compute(large, small, edges) == pytest.approx(volume, rel=0.01)
    assert surface_dice.compute(large, small, edges, 2.0) == 0
    assert surface_dice.compute(large, small, edges, 3.6) == 1


def test_surface_is_what_erosion_takes_away_and_reaches_the_border(masks: Masks) -> None:
    for mask in (*masks, np.ones((4, 5, 6), bool)):
        np.testing.assert_array_equal(surface(mask), mask & ~ndimage.binary_erosion(mask))


def test_a_small_false_island_counts_in_its_own_direction() -> None:
    """Pooling both directions, as some programs do, would hide it: 3 % of all distances, but 6 % of one direction."""
    truth = np.zeros((60, 40, 40), bool)
    truth[4:24, 4:24, 4:24] = True
    found = truth.copy()
    found[50:56, 30:36, 30:36] = True
    forth, back = brute_force((truth, found), (1.0, 1.0, 1.0))
    assert np.percentile(np.concatenate([forth, back]), 95) == 0
    assert hausdorff95.compute(truth, found, (1.0, 1.0, 1.0)) > 25


def test_monai_drops_a_missed_structure_and_we_do_not() -> None:
    """Project-MONAI/MONAI#9095: NaN for a structure that was missed, which its mean then leaves out."""
    cube = np.zeros((12, 12, 12), bool)
    cube[4:8, 4:8, 4:8] = True
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = compute_hausdorff_distance(*monai((cube, ~cube & False)), include_background=True, percentile=95)
    assert np.isnan(float(theirs))  # when this fails, MONAI is repaired: compare with it above
    assert hausdorff95.compute(cube, np.zeros_like(cube), (1.0, 1.0, 1.0)) == np.inf


def test_monai_drops_an_invented_structure_and_we_do_not() -> None:
    """By default its Dice is NaN wherever the reference is empty, so that false positives leave the mean."""
    cube = np.zeros((12, 12, 12), bool)
    cube[4:8, 4:8, 4:8] = True
    theirs = compute_dice(*monai((cube & False, cube)), include_background=True)
    assert np.isnan(float(theirs))
    assert dice.compute(np.zeros_like(cube), cube, (1.0, 1.0, 1.0)) == 0


def test_label_maps_of_other_types_or_shapes_are_refused() -> None:
    labels = np.zeros((4, 4, 4), np.uint8)
    for reference, prediction in ((labels, labels[1:]), (labels.astype(np.int64), labels), (labels[0], labels[0])):
        with pytest.raises(InputError, match="unsigned"):
            list(mask_pairs(reference, prediction, {"one": (1,)}, EDGES))
