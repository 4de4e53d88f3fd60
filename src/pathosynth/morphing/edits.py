"""Edits of a label map that resample one structure and move nothing else, as the first paper's recipes do.

Voxels are copied by nearest neighbour, so every value moves as it is: left and right stay apart. Lengths are in voxels.
"""

import numpy as np
import scipy.ndimage as ndi

from pathosynth.data.labels import LabelScheme
from pathosynth.morphing import measure
from pathosynth.runs.errors import InputError, MorphError


def occupied(labels: np.ndarray, scheme: LabelScheme, group: str) -> np.ndarray:
    """Mask of a group that must occur, (I, J, K) bool.

    Raises:
        InputError: the scheme has no such group, or the map no voxel of it.
    """
    mask = scheme.mask(labels, group)
    if not mask.any():
        legend = ", ".join(f"{value} {scheme[value].name}" for value in scheme.group(group))
        raise InputError(f"The label map has no voxel of '{group}' ({legend}), which is needed here. Check --scheme.")
    return mask


def resampled(labels: np.ndarray, matrix: np.ndarray, fixed: np.ndarray) -> np.ndarray:
    """A label map seen through a linear map about a point: out(x) = labels(fixed + matrix (x - fixed)), nearest voxel.

    Args:
        labels: (I, J, K) integers.
        matrix: (3, 3), in voxels; ``divisor * eye(3)`` makes everything smaller by `divisor`.
        fixed: (3,) voxel that stays where it is.

    Returns:
        Same shape and dtype; 0 where the source lies outside the array.
    """
    offset = fixed - matrix @ fixed
    # Mode "constant" would lose the outer half of the voxels at the faces of the array.
    return np.asarray(ndi.affine_transform(labels, matrix, offset, order=0, mode="grid-constant"))


def contact_point(structure: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Where a structure meets another one: mean position of its voxels that share a face with the other, (3,) voxels.

    Where they do not touch, its voxels nearest to the other count. Neither mask may be empty.
    """
    box = measure.bounding_box(structure | other)
    distance = ndi.distance_transform_edt(~other[box])
    near = structure[box] & (distance == distance[structure[box]].min())
    return np.asarray(np.argwhere(near).mean(axis=0) + [side.start for side in box])


def shrink_to_contact(
    labels: np.ndarray, structure: np.ndarray, other: np.ndarray, divisor: float, forward_voxels: float, filler: int
) -> np.ndarray:
    """Scale a structure by 1 / `divisor` about the point where it meets another one.

    It is pasted over whatever lies there, but not over background.

    Args:
        labels: (I, J, K) integers in RAS orientation; not changed.
        structure: (I, J, K) bool, what shrinks; may hold several labels.
        other: (I, J, K) bool, what it should go on touching.
        divisor: 1 changes nothing.
        forward_voxels: how far in front of the contact point (+y) the fixed point lies.
        filler: label of the freed space.

    Returns:
        The edited map.

    Raises:
        MorphError: nothing is left of the structure.
    """
    fixed = contact_point(structure, other) + np.array([0.0, forward_voxels, 0.0])
    box = measure.bounding_box(labels > 0)
    head, inner = labels[box], structure[box]
    moved = resampled(np.where(inner, head, 0), divisor * np.eye(3), fixed - [side.start for side in box])
    pasted = (moved > 0) & (head > 0)
    if not pasted.any():
        raise MorphError(
            f"Divided by {divisor:g}, nothing is left of the structure's {inner.sum()} voxels. Use a smaller divisor."
        )
    out = labels.copy()
    out[box] = np.where(pasted, moved, np.where(inner, filler, head))
    return out


def lost_labels(before: np.ndarray, after: np.ndarray, scheme: LabelScheme) -> list[str]:
    """One sentence for each label that is in `before` but no longer in `after`."""
    gone = np.setdiff1d(before, after)
    return [f"{scheme[int(value)].name} ({value}) was too small to be kept" for value in gone if value]
