"""Islands and holes of a decoded map, given to the labels around them."""

from collections.abc import Sequence

import cc3d
import numpy as np
import scipy.ndimage as ndi

from pathosynth.data.labels import LabelScheme
from pathosynth.data.pieces import island_shares


def class_shares(scheme: LabelScheme) -> tuple[float, ...]:
    """By dense class number, background first: share of the largest piece below which a piece is an island."""
    shares = island_shares(scheme)
    return (0.0, *(shares[value] for value in scheme.values))


def tidied(classes: np.ndarray, shares: Sequence[float]) -> tuple[np.ndarray, int]:
    """Remove islands and fill holes.

    An island is a 26-connected piece of a class below its share of the class's largest piece, or a piece of the head
    that does not touch the head's largest. Each of its voxels gets the class of the nearest voxel that is none; islands
    off the head, background. Holes are background enclosed by the head.

    Args:
        classes: (I, J, K) uint8, 0 background.
        shares: by class number, see `class_shares`.

    Returns:
        The map, and how many voxels changed.
    """
    head = classes > 0
    if not head.any():
        return classes, 0
    main = cc3d.largest_k(head, k=1, connectivity=26) > 0
    kept = np.where(main, classes, 0).astype(np.uint8)
    stray = ndi.binary_fill_holes(main) & ~main
    pieces = cc3d.connected_components(kept, connectivity=26)
    sizes = np.bincount(pieces.ravel())
    owner = np.zeros(len(sizes), dtype=np.uint8)
    owner[pieces.ravel()] = kept.ravel()
    largest = np.zeros(len(shares))
    np.maximum.at(largest, owner[1:], sizes[1:])
    small = sizes < (np.asarray(shares) * largest)[owner]
    small[0] = False
    stray |= small[pieces]
    if stray.any():
        nearest = ndi.distance_transform_edt(stray, return_distances=False, return_indices=True)
        kept = kept[tuple(nearest)]
    return kept, int((kept != classes).sum())


def largest_loss(classes: np.ndarray, clean: np.ndarray) -> tuple[int, float]:
    """Class number that tidying took the largest share of, and that share; both maps (I, J, K)."""
    before, after = (np.bincount(one.ravel(), minlength=int(classes.max()) + 1)[1:] for one in (classes, clean))
    lost = np.where(before > 0, 1 - after / np.maximum(before, 1), 0)
    return int(lost.argmax()) + 1, float(lost.max())
