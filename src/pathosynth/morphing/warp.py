"""Carrying fields and labels along a backward map psi: L_t(x) = L_0(psi(x)), psi(x) = x + displacement(x)."""

import numpy as np
import scipy.sparse as sp
from scipy.spatial import cKDTree

from pathosynth.morphing.measure import touches
from pathosynth.morphing.threads import by_rows

_CORNERS = tuple(np.ndindex(2, 2, 2))


def sampling_matrix(points: np.ndarray, shape: tuple[int, int, int]) -> sp.csr_matrix:
    """Trilinear interpolation at `points` as a sparse matrix: one product samples any number of channels.

    Args:
        points: (n, 3) float32 in voxels; beyond the array the border value counts.
        shape: of the sampled grid.

    Returns:
        (n, voxels) CSR float32, eight entries per row, rows sum to 1.
    """
    base, offset = np.zeros(len(points), np.int32), np.zeros(8, np.int32)
    pairs = []
    for axis, size in enumerate(shape):
        position = np.clip(points[:, axis], 0, size - 1)
        low = np.minimum(position.astype(np.int32), max(size - 2, 0))
        part = position - low
        pairs.append(np.stack([1 - part, part], axis=1))
        base = base * size + low
        bits = np.array([corner[axis] for corner in _CORNERS], np.int32)
        offset = offset * size + (bits if size > 1 else 0)
    x, y, z = pairs
    weight = (x[:, :, None] * y[:, None, :])[:, :, :, None] * z[:, None, None, :]
    column = base[:, None] + offset
    indptr = np.arange(0, 8 * len(points) + 1, 8, dtype=np.int32)
    return sp.csr_matrix((weight.ravel(), column.ravel(), indptr), shape=(len(points), int(np.prod(shape))))


def sample(field: np.ndarray, points: np.ndarray, shape: tuple[int, int, int]) -> np.ndarray:
    """Trilinear interpolation of all channels of a flat field.

    Args:
        field: (voxels, channels) float32 in C order.
        points: (n, 3) float32 in voxels.
        shape: of the grid.

    Returns:
        (n, channels) float32.
    """
    return np.concatenate(by_rows(lambda part: sampling_matrix(points[part], shape) @ field, len(points)))


def warp_labels(
    labels: np.ndarray,
    displacement: np.ndarray,
    origin: tuple[int, int, int] = (0, 0, 0),
    mask: np.ndarray | None = None,
) -> np.ndarray:
    """Most likely label at psi(x), by trilinear interpolation of every label's indicator.

    Only the voxels whose eight corners disagree are interpolated. Ties go to the smaller label.

    Args:
        labels: (I, J, K) unsigned integers, the source.
        displacement: (3, i, j, k) backward, in voxels, of a box of the array.
        origin: first voxel of that box.
        mask: (i, j, k) bool. Inside it 0 is never chosen (a rigid skull), outside it everything is 0. None: 0 is a
            label like others.

    Returns:
        (i, j, k) of the dtype of `labels`.
    """
    box = displacement.shape[1:]
    wanted = np.flatnonzero(mask) if mask is not None else np.arange(int(np.prod(box)))

    def choose(part: slice) -> np.ndarray:
        corners, parts = _corner_labels(labels, displacement, origin, wanted[part])
        chosen = corners[0].copy()
        mixed = np.flatnonzero(np.logical_or.reduce([c != chosen for c in corners[1:]]))
        chosen[mixed] = _vote([c[mixed] for c in corners], [p[mixed] for p in parts], allow_zero=mask is None)
        return chosen

    out = np.zeros(box, labels.dtype)
    out.ravel()[wanted] = np.concatenate(by_rows(choose, len(wanted)))
    if mask is not None:
        _fill_from_nearest(out, mask, labels, displacement, origin)
    return out


def label_weights(labels: np.ndarray, displacement: np.ndarray, voxels: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """Trilinear weight of some labels at psi(x) for some voxels.

    Args:
        labels: (I, J, K) source.
        displacement: (3, I, J, K) of the whole array.
        voxels: (n,) flat voxel numbers.
        classes: (m,) label values.

    Returns:
        (m, n) float32 in [0, 1].
    """
    corners, parts = _corner_labels(labels, displacement, (0, 0, 0), voxels)
    out = np.zeros((len(classes), len(voxels)), np.float32)
    for corner, label in zip(_CORNERS, corners, strict=True):
        weight = _corner_weight(corner, parts)
        for row, value in enumerate(classes):
            out[row] += weight * (label == value)
    return out


def jacobian(displacement: np.ndarray) -> np.ndarray:
    """Determinant of d psi / dx by central differences, one-sided at the border. (I, J, K) float32; 1 where rigid."""
    rows = [[np.gradient(displacement[a], axis=b) + np.float32(a == b) for b in range(3)] for a in range(3)]
    (a, b, c), (d, e, f), (g, h, i) = rows
    return np.asarray(a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g))


def _corner_labels(
    labels: np.ndarray, displacement: np.ndarray, origin: tuple[int, int, int], wanted: np.ndarray
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Labels at the eight corners around psi(x) and the three fractional parts, for the voxels `wanted`."""
    index = np.unravel_index(wanted, displacement.shape[1:])
    flat, step, parts = np.zeros(len(wanted), np.int32), [], []
    for axis, size in enumerate(labels.shape):
        position = displacement[axis].ravel()[wanted]
        position += index[axis]
        position += origin[axis]
        np.clip(position, 0, size - 1, out=position)
        low = np.minimum(position.astype(np.int32), max(size - 2, 0))
        parts.append(position - low)
        flat = flat * size + low
        step.append(int(np.prod(labels.shape[axis + 1 :])) if size > 1 else 0)
    source = labels.ravel()
    corners = [source[flat + (bits[0] * step[0] + bits[1] * step[1] + bits[2] * step[2])] for bits in _CORNERS]
    return corners, parts


def _corner_weight(corner: tuple[int, ...], parts: list[np.ndarray]) -> np.ndarray:
    """Trilinear weight of one corner."""
    x, y, z = (part if bit else 1 - part for bit, part in zip(corner, parts, strict=True))
    return np.asarray(x * y * z)


def _vote(corners: list[np.ndarray], parts: list[np.ndarray], *, allow_zero: bool) -> np.ndarray:
    """The label with the greatest summed weight; 0 only where nothing else occurs or where it may win."""
    weights = [_corner_weight(corner, parts) for corner in _CORNERS]
    best = np.full(len(corners[0]), -1.0 if allow_zero else 0.0, np.float32)
    winner = np.zeros_like(corners[0])
    for value in np.unique(np.concatenate(corners)):
        if value == 0 and not allow_zero:
            continue
        total = sum(weight * (label == value) for weight, label in zip(weights, corners, strict=True))
        better = total > best
        best[better], winner[better] = total[better], value
    return winner


def _fill_from_nearest(
    out: np.ndarray, mask: np.ndarray, labels: np.ndarray, displacement: np.ndarray, origin: tuple[int, int, int]
) -> None:
    """Give voxels of the mask that look only at background the label nearest to where they look."""
    empty = mask & (out == 0)
    if not empty.any():
        return
    look = [displacement[axis][empty] + index + origin[axis] for axis, index in enumerate(np.nonzero(empty))]
    known = np.stack(np.nonzero((labels > 0) & touches(labels == 0)), axis=1)
    _, nearest = cKDTree(known).query(np.stack(look, axis=1))
    out[empty] = labels[tuple(known[nearest].T)]
