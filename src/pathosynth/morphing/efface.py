"""External CSF pressed out between brain and skull: what flow leaves of it is peeled off from outside.

A sheet thinner than a voxel cannot be squeezed further on the lattice. The flow takes it down to about a voxel; then
the skull is laid onto the brain by giving the outermost voxels of the sheet to the background, so that what remains is
where fluid remains in patients: in sulci and cisterns. The displacement is the flow's and knows nothing of the
peeling: an image carried along it shows fluid in a rim of about a voxel around the labels.
"""

import numpy as np
import scipy.ndimage as ndi

from pathosynth.data.volume import Spacing

THINNEST_FOLD = 0.3
"""What flow squeezes a label to at most; below it the squeeze exceeds what a map at voxel resolution can show."""

_BUMP_MM = 3.0  # reach of the neighbourhood that tells a bump of the skull from a dent


def peel(classes: np.ndarray, voxels: dict[int, int], spared: np.ndarray, spacing_mm: Spacing) -> np.ndarray:
    """Give the outermost voxels of some classes to the background until so many of each are left.

    Args:
        classes: (I, J, K), 0 is background; not changed.
        voxels: classes to peel, and how many voxels of each stay.
        spared: (I, J, K) bool, voxels that stay, e.g. those that keep a ventricle apart from the skull.
        spacing_mm: of the voxels.
    """
    if not voxels:
        return classes
    head = classes > 0
    depth = ndi.distance_transform_edt(head, sampling=spacing_mm)
    bump = ndi.gaussian_filter(head.astype(np.float32), [_BUMP_MM / s for s in spacing_mm], truncate=3.0)
    out = classes.copy()
    for index, wanted in voxels.items():
        members = np.flatnonzero((classes == index) & ~spared)
        out.ravel()[_outermost(members, depth, bump, int((classes == index).sum()) - wanted)] = 0
    return out


def _outermost(members: np.ndarray, depth: np.ndarray, bump: np.ndarray, count: int) -> np.ndarray:
    """The `count` members nearest to the background, none if `count` is not above 0.

    Whole layers are equally near; of them those go first around which the head fills least (`bump`). The order of the
    voxels must not decide: it would shift the head, and with it the midsagittal plane, to one side.
    """
    order = np.lexsort((bump.ravel()[members], depth.ravel()[members]))
    return members[order[: max(count, 0)]]
