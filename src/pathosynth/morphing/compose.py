"""One displacement for two reshapings, one after the other."""

import numpy as np
import scipy.ndimage as ndi


def compose(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Displacement of `first` followed by `second`: d(x) = d2(x) + d1(x + d2(x)).

    Both are backward: `first` takes voxels of the map in between to the source, `second` takes voxels of the result to
    the map in between, so the result takes voxels of the result to the source. `first` is interpolated linearly;
    beyond its grid the nearest border value counts.

    Args:
        first: (3, I, J, K) in voxels, of the reshaping that was done first.
        second: same shape and unit, of the reshaping that was done to its result.

    Returns:
        (3, I, J, K) float32.

    Raises:
        ValueError: the shapes differ.
    """
    if first.shape != second.shape or first.ndim != 4 or first.shape[0] != 3:
        raise ValueError(f"expected two displacements of one shape (3, I, J, K), found {first.shape}, {second.shape}")
    moved = second.any(axis=0)
    where = np.stack(np.nonzero(moved)) + second[:, moved]
    out = first.astype(np.float32)
    for axis in range(3):
        out[axis][moved] = second[axis][moved] + ndi.map_coordinates(first[axis], where, order=1, mode="nearest")
    return out
