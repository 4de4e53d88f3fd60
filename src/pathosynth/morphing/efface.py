"""External CSF pressed out between brain and skull: what flow leaves of it is peeled off from outside.

A sheet thinner than a voxel cannot be squeezed further on the lattice. The flow takes it down to about a voxel; then
the skull is laid onto the brain by giving the outermost voxels of the sheet to the background, so that what remains is
where fluid remains in patients: in sulci and cisterns.
"""

import numpy as np
import scipy.ndimage as ndi

from pathosynth.data.volume import Spacing

THINNEST_FOLD = 0.3
"""What flow squeezes a label to at most; below it the squeeze exceeds what a map at voxel resolution can show."""


def peel(
    classes: np.ndarray, displacement: np.ndarray, effaced: tuple[int, ...], voxels: int, spacing_mm: Spacing
) -> tuple[np.ndarray, np.ndarray]:
    """Give the outermost voxels of some classes to the background until `voxels` of them are left.

    Args:
        classes: (I, J, K), 0 is background; not changed.
        displacement: (3, I, J, K) backward, in voxels; not changed.
        effaced: classes to peel.
        voxels: how many of their voxels stay.
        spacing_mm: of the voxels.

    Returns:
        Classes, and the displacement with peeled voxels looking where the background next to them looks.
    """
    members = np.flatnonzero(np.isin(classes, effaced))
    surplus = len(members) - voxels
    if surplus <= 0:
        return classes, displacement
    depth, nearest = ndi.distance_transform_edt(classes > 0, sampling=spacing_mm, return_indices=True)
    gone = members[np.argsort(depth.ravel()[members], kind="stable")[:surplus]]
    out, looks = classes.copy(), displacement.copy()
    out.ravel()[gone] = 0
    here = np.stack(np.unravel_index(gone, classes.shape))
    there = nearest.reshape(3, -1)[:, gone]
    looks.reshape(3, -1)[:, gone] = there + displacement[(slice(None), *there)] - here
    return out, looks
