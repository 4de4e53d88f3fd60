"""Distances between the surfaces of two masks in millimetres, in both directions.

The surface of a mask are its voxels with at least one of the six face neighbours outside; what lies beyond the grid is
outside, so a mask that touches the border has a surface there. Distances run between centres of surface voxels and
every surface voxel counts once. This is the definition of MONAI and MedPy; google's surface-distance places its surface
elements at the corners between voxels and weighs them by area, which gives slightly other numbers.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.spatial import KDTree

from pathosynth.data.volume import Spacing
from pathosynth.metrics.compiled import compiled

NEAR_VOXELS = 14
"""So many of the smallest voxel edges around a voxel are searched; a tree, which costs more, takes the rest."""


@dataclass(frozen=True)
class SurfaceDistances:
    """Distances between two surfaces, neither of them empty.

    Attributes:
        from_reference: (n,) millimetres from every surface voxel of the reference to the nearest one of the prediction.
        from_prediction: (m,) the other way round.
    """

    from_reference: np.ndarray
    from_prediction: np.ndarray


def surface(mask: np.ndarray) -> np.ndarray:
    """Surface voxels of a boolean mask (I, J, K), same shape."""
    padded = np.pad(mask, 1)
    inner = mask.copy()
    for axis in range(mask.ndim):
        for shifted in (slice(0, -2), slice(2, None)):
            window = [slice(1, -1)] * mask.ndim
            window[axis] = shifted
            inner &= padded[tuple(window)]
    edge: np.ndarray = mask & ~inner
    return edge


def surface_distances(reference: np.ndarray, prediction: np.ndarray, spacing_mm: Spacing) -> SurfaceDistances:
    """Distances between the surfaces of two boolean masks (I, J, K) that are not empty; exact.

    Surface voxels that both masks share have distance 0 and most others a near neighbour, so a search outwards from
    each is many times faster than a distance transform of the whole volume.
    """
    box = bounding_box(reference | prediction)
    here, there = surface(reference[box]), surface(prediction[box])
    return SurfaceDistances(_directed(here, there, spacing_mm), _directed(there, here, spacing_mm))


def bounding_box(mask: np.ndarray) -> tuple[slice, ...]:
    """Smallest box around the true voxels of a mask that has some."""
    ends = []
    for axis in range(mask.ndim):
        others = tuple(other for other in range(mask.ndim) if other != axis)
        found = np.flatnonzero(mask.any(axis=others))
        ends.append(slice(int(found[0]), int(found[-1]) + 1))
    return tuple(ends)


def _directed(start: np.ndarray, target: np.ndarray, spacing_mm: Spacing) -> np.ndarray:
    """(n,) distances from the true voxels of `start`, in their order, to the nearest true voxel of `target`."""
    steps, lengths = _neighbourhood(spacing_mm)
    reach = int(np.abs(steps).max())
    around, from_here = np.pad(target, reach), np.pad(start, reach)
    flat_steps = steps @ (np.array(around.strides) // around.itemsize)
    found = np.asarray(_search(from_here.ravel(), around.ravel(), flat_steps, lengths, spacing_mm[-1], reach))
    far = found < 0
    if far.any():
        places = np.argwhere(start)[far] * np.array(spacing_mm)
        tree = KDTree(np.argwhere(target) * np.array(spacing_mm), leafsize=32)
        found[far] = tree.query(places)[0]
    return found


@lru_cache(maxsize=8)
def _neighbourhood(spacing_mm: Spacing) -> tuple[np.ndarray, np.ndarray]:
    """Steps (n, 3) in voxels to all voxels within reach and their lengths (n,) in millimetres, nearest first."""
    edges = np.array(spacing_mm)
    radius = NEAR_VOXELS * edges.min() * (1 + 1e-9)
    ranges = [np.arange(-most, most + 1) for most in (radius // edges).astype(int)]
    steps = np.stack(np.meshgrid(*ranges, indexing="ij"), axis=-1).reshape(-1, edges.size)
    lengths = np.sqrt(((steps * edges) ** 2).sum(axis=1))
    order = np.argsort(lengths, kind="stable")
    order = order[lengths[order] <= radius]
    return steps[order], lengths[order]


@compiled
def _search(
    start: np.ndarray, target: np.ndarray, steps: np.ndarray, lengths: np.ndarray, edge_mm: float, rim: int
) -> np.ndarray:
    """Length of the shortest step that leads from each true voxel of `start` to one of `target`; -1 where none does.

    A voxel is at most as much nearer to the target as it is away from the one before in its row; shorter steps are not
    tried.

    Args:
        start: flat voxels with an empty rim around each row.
        target: same size, flat, with a rim as wide as the longest step.
        steps: flat, shortest first.
        lengths: of the steps, in millimetres.
        edge_mm: voxel edge along a row.
        rim: voxels of the rim; within so many a voxel is in the row of the one before.
    """
    found = np.full(np.count_nonzero(start), -1.0)
    row, last, least = 0, -rim - 1, 0.0
    for place in range(start.size):
        if start[place]:
            first = 0
            if place - last <= rim:
                first = int(np.searchsorted(lengths, (least - (place - last) * edge_mm) * (1 - 1e-9)))
            least = lengths[-1]
            for k in range(first, steps.size):
                if target[place + steps[k]]:
                    found[row] = least = lengths[k]
                    break
            last = place
            row += 1
    return found
