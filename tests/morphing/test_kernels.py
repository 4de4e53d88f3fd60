"""Compiled loops against plain numpy, and what they promise: the same result with any number of threads."""

import cc3d
import numpy as np
import pytest
import scipy.ndimage as ndi

from pathosynth.morphing import coarse, counting, measure, poisson, threads, topology, transport
from pathosynth.morphing.warp import warp_blocks, warp_labels

SHAPE = (17, 14, 19)


@pytest.fixture
def labels(rng):
    blobs = ndi.gaussian_filter(rng.standard_normal((5, *SHAPE)), (0, 1.0, 1.0, 1.0)).argmax(axis=0)
    return np.array([0, 3, 7, 130, 250], np.uint8)[blobs]


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_label_counts_are_a_bincount(labels, dtype):
    np.testing.assert_array_equal(counting.label_counts(labels.astype(dtype)), np.bincount(labels.ravel()))
    np.testing.assert_array_equal(
        counting.label_counts(labels[::2, :, 1:], 300), np.bincount(labels[::2, :, 1:].ravel(), minlength=300)
    )
    assert counting.label_counts(np.empty((0, 3, 3), np.uint8), 4).tolist() == [0, 0, 0, 0]


def test_contacts_are_counted_as_face_by_face(labels):
    found = counting.contact_matrix(labels)
    np.testing.assert_array_equal(found, found.T)
    expected = np.zeros_like(found)
    for voxel in np.ndindex(labels.shape):
        for axis in range(3):
            other = tuple(v + (a == axis) for a, v in enumerate(voxel))
            if other[axis] < labels.shape[axis] and labels[other] != labels[voxel]:
                expected[labels[voxel], labels[other]] += 1
    np.testing.assert_array_equal(found, expected + expected.T)
    groups = (3, 7, 777), (130, 250)
    both = [np.isin(labels, group) for group in groups]
    assert counting.faces_between(found, *groups) == measure.contact_faces(*both) > 0


def test_pieces_have_the_label_and_size_that_counting_gives(labels):
    for connectivity in (6, 26):
        pieces, owner, sizes = measure.labelled_pieces(labels, connectivity)
        np.testing.assert_array_equal(pieces, cc3d.connected_components(labels, connectivity=connectivity))
        np.testing.assert_array_equal(sizes, np.bincount(pieces.ravel()))
        np.testing.assert_array_equal(owner[pieces], labels)


def test_facing_voxels_are_those_that_touch(labels):
    inner = np.zeros(labels.shape, bool)
    inner[1:-1, 1:-1, 1:-1] = True
    expected = np.flatnonzero((labels == 7) & measure.touches(labels == 130) & inner)
    np.testing.assert_array_equal(counting.facing(labels, 7, 130), expected)


def in_one_piece(members, wanted, structure):
    """`wanted` lies in one piece of `members`, both 3 x 3 x 3 and without the centre."""
    pieces = ndi.label(members, structure)[0]
    return wanted.any() and len(np.unique(pieces[wanted])) == 1


def test_simple_points_by_labelling_each_neighbourhood(rng):
    corner = np.abs(np.indices((3, 3, 3)) - 1).sum(axis=0)
    six, full = ndi.generate_binary_structure(3, 1), np.ones((3, 3, 3))
    labels = rng.integers(1, 4, (9, 9, 9)).astype(np.uint8)
    voxels = np.ravel_multi_index(np.indices((7, 7, 7)).reshape(3, -1) + 1, labels.shape)

    def simple(same):
        other = ~same & (corner > 0) & (corner <= 2)
        return in_one_piece(same, same, full) and in_one_piece(other, other & (corner == 1), six)

    found = topology.flip_keeps_topology(labels, voxels, 2)
    for voxel, keeps in zip(voxels, found, strict=True):
        i, j, k = np.unravel_index(voxel, labels.shape)
        around = labels[i - 1 : i + 2, j - 1 : j + 2, k - 1 : k + 2].copy()
        left, joining = (around == labels[i, j, k]) & (corner > 0), (around == 2) & (corner > 0)
        faces = left & (corner == 1)
        whole = not faces.any() or in_one_piece(left & (corner <= 2), faces, six)
        assert keeps == (whole and simple(left) and simple(joining))
    assert 0 < found.sum() < len(found)


def test_the_nearest_label_is_found_from_anywhere(rng):
    """A rigid mask far from every label: each voxel takes what a search over all voxels finds."""
    labels = np.zeros(SHAPE, np.uint8)
    labels[rng.random(SHAPE) < 0.004] = 1
    known = np.argwhere(labels)
    labels[tuple(known.T)] = np.arange(1, len(known) + 1)
    displacement = rng.uniform(-6, 6, (3, *SHAPE)).astype(np.float32)
    alone = np.isin(warp_labels(labels, displacement), 0)
    out = warp_labels(labels, displacement, mask=np.ones(SHAPE, bool))
    look = (np.stack(np.indices(SHAPE), axis=-1) + np.moveaxis(displacement, 0, -1))[alone]
    distance = np.linalg.norm(look[:, None] - known[None], axis=2)
    chosen = distance[np.arange(len(look)), out[alone].astype(int) - 1]
    beyond = chosen > np.sqrt(3)  # nearer ones may be one of the eight corners, which vote by weight
    assert beyond.sum() > 1000
    np.testing.assert_allclose(chosen[beyond], distance.min(axis=1)[beyond], rtol=1e-5)


@pytest.mark.parametrize("rigid", [True, False])
def test_warping_by_blocks_equals_warping_by_their_refined_displacement(labels, rng, rigid):
    factors, source = (2, 3, 1), labels[:16, :12]
    displacement = ndi.gaussian_filter(rng.standard_normal((8, 4, 19, 3)), (1, 1, 1, 0)).astype(np.float32) * 4
    fine = coarse.refine(displacement, factors, (slice(0, 8), slice(0, 4), slice(0, 19)))
    mask = source > 0 if rigid else None
    expected = warp_labels(source, fine, mask=mask)
    assert (expected != source).mean() > 0.2
    np.testing.assert_array_equal(warp_blocks(source, displacement, factors, mask), expected)


def results(rng):
    """What the parallel loops make of arrays large enough to be shared out."""
    shape = (48, 40, 44)
    mask = ndi.gaussian_filter(rng.standard_normal(shape), 3) > -0.02
    c, source = rng.uniform(0, 0.1, mask.sum()), rng.standard_normal(mask.sum())
    operator = poisson.assemble(poisson.build_levels(mask, (1.0, 1.0, 1.0)), 1.0, c)
    p = poisson.solve(operator, source, tolerance=1e-4).p
    displacement = ndi.gaussian_filter(rng.standard_normal((*shape, 3)), (2, 2, 2, 0)).astype(np.float32) * 20
    everywhere = np.arange(mask.size)
    moved = transport.advance(displacement, displacement, 0.5, everywhere)
    carried = transport.sample(displacement, moved, everywhere)
    labels = (mask * 2 + (displacement[..., 0] > 0)).astype(np.uint8)
    sums = transport.sampled_sums(coarse.class_fractions(labels, (1, 1, 1), np.arange(4)), moved, everywhere)
    warped = warp_labels(labels, np.moveaxis(moved, -1, 0))
    counts = counting.contact_matrix(warped)
    return p, poisson.mean_flux(operator, p), moved, carried, sums, warped, counts


def test_results_do_not_depend_on_the_number_of_threads(monkeypatch):
    found = []
    for count in (1, 2, 3, 8):
        monkeypatch.setattr(threads, "thread_count", lambda count=count: count)
        threads._pool.cache_clear()
        found.append(results(np.random.default_rng(5)))
    threads._pool.cache_clear()
    for other in found[1:]:
        for a, b in zip(found[0], other, strict=True):
            np.testing.assert_array_equal(a, b)


def test_parts_cover_all_rows_once_and_come_in_order(monkeypatch):
    monkeypatch.setattr(threads, "thread_count", lambda: 3)
    threads._pool.cache_clear()
    for rows, size in ((5, 10**6), (77, 10**5), (0, 1), (4, 1)):
        parts = threads.by_rows(lambda a, b: (a, b), rows, size)
        assert [n for a, b in parts for n in range(a, b)] == list(range(rows))
    with pytest.raises(ZeroDivisionError):
        threads.by_rows(lambda a, b: 1 // 0, 10**6)
