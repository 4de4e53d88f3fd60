"""Islands and holes of a decoded map, given to the labels around them."""

from collections.abc import Collection

import cc3d
import numpy as np
import scipy.ndimage as ndi

from pathosynth.data.labels import LabelScheme
from pathosynth.data.pieces import COMPACT_SHARE, ISLAND_SHARE, compact_values


def compact_classes(scheme: LabelScheme) -> frozenset[int]:
    """Dense class numbers of the structures `COMPACT_SHARE` is for."""
    values = compact_values(scheme)
    return frozenset(number for number, value in enumerate(scheme.values, start=1) if value in values)


def tidied(classes: np.ndarray, compact: Collection[int] = ()) -> tuple[np.ndarray, int]:
    """Remove islands and fill holes.

    An island is a 26-connected piece of a label below `ISLAND_SHARE` (compact ones: `COMPACT_SHARE`) of its largest
    piece, or a piece of the head that does not touch the head's largest. Each of its voxels gets the class of the
    nearest voxel that is none; islands off the head, background. Holes are background enclosed by the head.

    Args:
        classes: (I, J, K) uint8, 0 background.
        compact: class numbers, see `compact_classes`.

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
    largest = np.zeros(int(kept.max()) + 1)
    np.maximum.at(largest, owner[1:], sizes[1:])
    share = np.full(len(largest), ISLAND_SHARE)
    share[[number for number in compact if number < len(share)]] = COMPACT_SHARE
    small = sizes < (share * largest)[owner]
    small[0] = False
    stray |= small[pieces]
    if stray.any():
        nearest = ndi.distance_transform_edt(stray, return_distances=False, return_indices=True)
        kept = kept[tuple(nearest)]
    return kept, int((kept != classes).sum())
