"""Simple points and piece removal against counting pieces and holes."""

import numpy as np
import pytest
import scipy.ndimage as ndi
from skimage.measure import euler_number

from pathosynth.morphing.exact import flip_to_counts
from pathosynth.morphing.topology import dissolve_specks, flip_keeps_topology, limit_pieces

FULL = np.ones((3, 3, 3))


def signature(mask):
    """Pieces, cavities and Euler number: what a change of topology cannot leave alone in a small patch."""
    padded = np.pad(mask, 1)
    return ndi.label(padded, FULL)[1], ndi.label(~padded)[1], euler_number(padded, connectivity=3)


def test_simple_points_keep_pieces_cavities_and_euler_number(rng):
    kept, broken = 0, 0
    for _ in range(250):
        labels = np.zeros((7, 7, 7), np.uint8)
        labels[1:-1, 1:-1, 1:-1] = (ndi.gaussian_filter(rng.standard_normal((5, 5, 5)), 0.6) > 0) + 1
        centre = np.array([np.ravel_multi_index((3, 3, 3), labels.shape)])
        old = int(labels[3, 3, 3])
        flipped = labels.copy()
        flipped[3, 3, 3] = 3 - old
        same = all(signature(labels == v) == signature(flipped == v) for v in (1, 2))
        if flip_keeps_topology(labels, centre, 3 - old)[0]:
            kept += 1
            assert same
            assert ndi.label(flipped == old)[1] <= ndi.label(labels == old)[1], "no new piece by faces either"
        else:
            broken += 1
    assert kept > 30
    assert broken > 30


def test_flips_that_cut_a_bridge_or_open_a_hole_are_refused():
    labels = np.ones((7, 7, 7), np.uint8)
    labels[3, 3, 1:6] = 2
    middle = np.array([np.ravel_multi_index((3, 3, 3), labels.shape)])
    end = np.array([np.ravel_multi_index((3, 3, 5), labels.shape)])
    assert not flip_keeps_topology(labels, middle, 1)[0], "cuts the bar in two"
    assert flip_keeps_topology(labels, end, 1)[0]
    inside = np.array([np.ravel_multi_index((1, 1, 1), labels.shape)])
    assert not flip_keeps_topology(labels, inside, 2)[0], "would start a new piece"


@pytest.fixture
def speckled(rng):
    labels = np.zeros((30, 30, 30), np.uint8)
    labels[2:28, 2:28, 2:28] = 1
    labels[8:22, 8:22, 8:22] = 5
    labels[12:18, 12:18, 12:18] = 2
    clean = labels.copy()
    labels[4, 4, 4:7] = 5
    labels[10, 10, 10] = 2
    labels[24:26, 24:26, 24:26] = 2
    return labels, clean


def test_specks_take_the_label_around_them(speckled):
    labels, clean = speckled
    before = labels.copy()
    out, changed = dissolve_specks(labels, 20)
    np.testing.assert_array_equal(out, clean)
    np.testing.assert_array_equal(labels, before)
    assert changed == 3 + 1 + 8


def test_the_only_piece_of_a_label_stays_however_small():
    labels = np.ones((9, 9, 9), np.uint8)
    labels[4, 4, 4] = 7
    np.testing.assert_array_equal(dissolve_specks(labels, 20)[0], labels)


def test_specks_in_the_background_go_only_when_asked():
    labels = np.zeros((20, 9, 9), np.uint8)
    labels[1:9, 1:8, 1:8] = 4
    labels[15, 4, 4] = 4
    np.testing.assert_array_equal(dissolve_specks(labels, 20)[0], labels)
    assert dissolve_specks(labels, 20, clear_floating=True)[0][15, 4, 4] == 0


def test_a_speck_inside_a_speck_goes_with_it():
    labels = np.ones((11, 11, 11), np.uint8)
    labels[0:2] = 2
    labels[9:11] = 3
    labels[4:7, 4:7, 5] = 2
    labels[5, 5, 5] = 3
    out, changed = dissolve_specks(labels, 20)
    assert changed == 9
    assert np.all(out[2:9] == 1)


def test_surplus_pieces_go_smallest_first_and_large_ones_never():
    labels = np.ones((20, 20, 20), np.uint8)
    labels[2:6, 2:6, 2:6], labels[10:13, 10:13, 10:13], labels[16:18, 16, 16] = 2, 2, 2
    out = limit_pieces(labels, {2: 2}, 26, speck_voxels=5, stray_voxels=30, reach_voxels=0.0)
    assert ndi.label(out == 2, FULL)[1] == 2
    assert np.all(out[10:13, 10:13, 10:13] == 2)
    out = limit_pieces(labels, {2: 1}, 26, speck_voxels=5, stray_voxels=10, reach_voxels=0.0)
    assert ndi.label(out == 2, FULL)[1] == 2, "27 voxels is above the limit of 10"


def test_a_surplus_piece_above_a_speck_is_joined_before_it_is_dissolved():
    labels = np.full((30, 9, 9), 1, np.uint8)
    labels[2:14, 3:6, 3:6], labels[16:19, 3:6, 3:6] = 2, 2
    settings = {"stray_voxels": 100, "reach_voxels": 4.0}
    joined = limit_pieces(labels, {2: 1}, 26, speck_voxels=20, **settings)
    assert ndi.label(joined == 2)[1] == 1
    assert np.all(joined[labels == 2] == 2), "a ventricle that hangs by a thread is not erased"
    assert not (limit_pieces(labels, {2: 1}, 26, speck_voxels=27, **settings)[15:] == 2).any()


def test_large_surplus_pieces_are_joined_across_narrow_gaps_only():
    labels = np.ones((24, 10, 10), np.uint8)
    labels[2:10, 2:8, 2:8], labels[12:20, 2:8, 2:8] = 5, 5
    joined = limit_pieces(labels, {5: 1}, 26, speck_voxels=5, stray_voxels=10, reach_voxels=3.0)
    assert ndi.label(joined == 5)[1] == 1
    assert (joined != labels).sum() == 2
    np.testing.assert_array_equal(
        limit_pieces(labels, {5: 1}, 26, speck_voxels=5, stray_voxels=10, reach_voxels=2.0), labels
    )
    np.testing.assert_array_equal(
        limit_pieces(labels, {5: 2}, 26, speck_voxels=5, stray_voxels=10, reach_voxels=3.0), labels
    )


def test_flips_reach_the_exact_counts_without_changing_the_topology(rng):
    x, y, z = np.meshgrid(*[np.linspace(-1, 1, 28)] * 3, indexing="ij")
    r = np.sqrt(x**2 + y**2 + z**2)
    source = np.select([r < 0.3, r < 0.6, r < 0.75, r < 0.95], [1, 2, 3, 4], 0).astype(np.uint8)
    counts = {v: int((source == v).sum()) for v in (1, 2, 3)}
    counts[1] += 37
    counts[3] -= 111
    still = np.zeros((3, *source.shape), np.float32)
    exact = flip_to_counts(source, source, still, counts, (4,))
    assert not any(exact.missing.values())
    for value, wanted in counts.items():
        assert (exact.classes == value).sum() == wanted
    np.testing.assert_array_equal(exact.classes == 0, source == 0)
    for value in (1, 2, 3, 4):
        assert signature(exact.classes == value) == signature(source == value)
