"""A wall of at least one voxel between the ventricles and the outside, which the lattice may lose where it is thin."""

import numpy as np
import scipy.ndimage as ndi

from pathosynth.morphing.measure import contact_faces, touches
from pathosynth.morphing.topology import neighbours


def bare(classes: np.ndarray, inner: tuple[int, ...]) -> np.ndarray:
    """Voxels of `inner` that share a face with background 0, (I, J, K) bool."""
    return np.asarray(np.isin(classes, inner) & touches(classes == 0))


def bare_faces(labels: np.ndarray, inner: tuple[int, ...]) -> int:
    """Faces that labels `inner` share with the background outside the head; holes inside it do not count."""
    outside = ~ndi.binary_fill_holes(labels > 0)
    return contact_faces(np.isin(labels, inner), np.asarray(outside))


def cover_with_tissue(classes: np.ndarray, inner: tuple[int, ...]) -> np.ndarray:
    """Ventricle voxels next to background given to the tissue around them.

    Args:
        classes: (I, J, K), 0 is background; not changed.
        inner: classes of the ventricles.

    Returns:
        Classes in which bare voxels have the class most frequent among their 26 neighbours that are neither background
        nor ventricle; where there is none they stay.
    """
    exposed = np.pad(bare(classes, inner), 1)
    if not exposed.any():
        return classes
    out = np.pad(classes, 1)
    voxels = np.flatnonzero(exposed)
    around = neighbours(out, voxels).astype(np.int64)
    around[np.isin(around, (0, *inner))] = -1
    for voxel, row in zip(voxels, around, strict=True):
        found = np.bincount(row[row >= 0])
        if len(found):
            out.ravel()[voxel] = found.argmax()
    return np.ascontiguousarray(out[1:-1, 1:-1, 1:-1])


def cover_with(classes: np.ndarray, inner: tuple[int, ...], cover: int) -> np.ndarray:
    """Background next to ventricles given to the class `cover`, such as CSF that was peeled off there."""
    there = touches(np.isin(classes, inner)) & (classes == 0)
    return np.where(there, cover, classes).astype(classes.dtype)
