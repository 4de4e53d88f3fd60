"""Carrying labels along a backward map psi: L_t(x) = L_0(psi(x)), psi(x) = x + displacement(x)."""

import numpy as np

from pathosynth.morphing.coarse import refine_row
from pathosynth.morphing.threads import by_rows, compiled

Voxels = tuple[int, int, int]


def warp_labels(
    labels: np.ndarray,
    displacement: np.ndarray,
    origin: Voxels = (0, 0, 0),
    mask: np.ndarray | None = None,
) -> np.ndarray:
    """Most likely label at psi(x), by trilinear interpolation of every label's indicator.

    Only the voxels whose eight corners disagree are interpolated. Ties go to the smaller label.

    Args:
        labels: (I, J, K) unsigned integers, the source.
        displacement: (3, i, j, k) backward, in voxels, of a box of the array.
        origin: first voxel of that box.
        mask: (i, j, k) bool. Inside it 0 is never chosen (a rigid skull: what looks beyond it gets the label nearest
            to where it looks), outside it everything is 0. None: 0 is a label like others.

    Returns:
        (i, j, k) of the dtype of `labels`.
    """
    source, moved = np.ascontiguousarray(labels), np.ascontiguousarray(displacement)
    out = np.zeros(displacement.shape[1:], labels.dtype)
    rigid = mask is not None
    wanted = np.ascontiguousarray(mask) if mask is not None else np.empty((1, 1, 0), np.bool_)
    by_rows(lambda a, b: _warp(source, moved, origin, rigid, wanted, out, a, b), len(out), out[0].size)
    return out


def warp_blocks(
    labels: np.ndarray, displacement: np.ndarray, factors: Voxels, mask: np.ndarray | None = None
) -> np.ndarray:
    """`warp_labels` by a displacement known at block centres, without writing it down for every voxel.

    Args:
        labels: (I, J, K) unsigned integers, the source; the shape is a multiple of `factors`.
        displacement: (I', J', K', 3) backward, in blocks.
        factors: voxels per block.
        mask: as for `warp_labels`.
    """
    source, out, rigid = np.ascontiguousarray(labels), np.zeros(labels.shape, labels.dtype), mask is not None
    wanted = np.ascontiguousarray(mask) if mask is not None else np.empty((1, 1, 0), np.bool_)
    by_rows(lambda a, b: _warp_blocks(source, displacement, factors, rigid, wanted, out, a, b), len(out), out[0].size)
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
    out = np.zeros((len(classes), len(voxels)), np.float32)
    _weights(np.ascontiguousarray(labels), np.ascontiguousarray(displacement), voxels, classes, out)
    return out


def jacobian(displacement: np.ndarray) -> np.ndarray:
    """Determinant of d psi / dx by central differences, one-sided at the border. (I, J, K) float32; 1 where rigid."""
    moved = np.ascontiguousarray(displacement, np.float32)
    out = np.empty(displacement.shape[1:], np.float32)
    by_rows(lambda a, b: _jacobian(moved, out, a, b), len(out), out[0].size)
    return out


@compiled
def point_before(position: np.float32, size: int) -> tuple[int, np.float32]:
    """The point before a position on an axis of `size` points, and how far it is from there, 0 to 1."""
    position = min(max(position, np.float32(0)), np.float32(size - 1))
    low = min(int(position), max(size - 2, 0))
    return low, position - np.float32(low)


@compiled
def _corners(
    labels: np.ndarray, x: np.float32, y: np.float32, z: np.float32, corner: np.ndarray, part: np.ndarray
) -> bool:
    """Labels at the eight corners around a point and the three fractional parts; whether the corners differ."""
    i, part[0] = point_before(x, labels.shape[0])
    j, part[1] = point_before(y, labels.shape[1])
    k, part[2] = point_before(z, labels.shape[2])
    i2, j2, k2 = min(i + 1, labels.shape[0] - 1), min(j + 1, labels.shape[1] - 1), min(k + 1, labels.shape[2] - 1)
    corner[0], corner[1] = labels[i, j, k], labels[i, j, k2]
    corner[2], corner[3] = labels[i, j2, k], labels[i, j2, k2]
    corner[4], corner[5] = labels[i2, j, k], labels[i2, j, k2]
    corner[6], corner[7] = labels[i2, j2, k], labels[i2, j2, k2]
    mixed = False
    for n in range(1, 8):
        mixed |= corner[n] != corner[0]
    return mixed


@compiled
def _corner_weight(n: int, part: np.ndarray) -> np.float32:
    """Trilinear weight of corner n, its three bits the axes."""
    x = part[0] if n >> 2 else np.float32(1) - part[0]
    y = part[1] if n >> 1 & 1 else np.float32(1) - part[1]
    z = part[2] if n & 1 else np.float32(1) - part[2]
    return np.float32(x * y * z)


@compiled
def _vote(corner: np.ndarray, part: np.ndarray, allow_zero: bool) -> int:
    """The label with the greatest summed weight, the smaller one of two; 0 only where it may win or nothing else is."""
    winner, best = 0, np.float32(-1) if allow_zero else np.float32(0)
    for n in range(8):
        value, total, seen = corner[n], np.float32(0), False
        for m in range(8):
            if corner[m] == value:
                seen |= m < n
                total += _corner_weight(m, part)
        if seen or (value == 0 and not allow_zero):
            continue
        if total > best or (total == best and value < winner):
            winner, best = value, total
    return winner


@compiled
def _warp_row(
    labels: np.ndarray,
    moved: np.ndarray,
    at: Voxels,
    rigid: bool,
    mask: np.ndarray,
    out: np.ndarray,
    corner: np.ndarray,
    part: np.ndarray,
) -> None:
    """Fill one row of voxels that starts at voxel `at`; `moved` is its displacement, (3, k)."""
    for k in range(len(out)):
        if rigid and not mask[k]:
            continue
        x, y = moved[0, k] + np.float32(at[0]), moved[1, k] + np.float32(at[1])
        z = moved[2, k] + np.float32(at[2] + k)
        if _corners(labels, x, y, z, corner, part):
            out[k] = _vote(corner, part, not rigid)
        else:
            out[k] = corner[0]
        if rigid and out[k] == 0:
            out[k] = _nearest(labels, x, y, z)


@compiled
def _warp(
    labels: np.ndarray,
    displacement: np.ndarray,
    origin: Voxels,
    rigid: bool,
    mask: np.ndarray,
    out: np.ndarray,
    start: int,
    stop: int,
) -> None:
    """Fill planes of `out`."""
    corner, part = np.empty(8, labels.dtype), np.empty(3, np.float32)
    for i in range(start, stop):
        for j in range(out.shape[1]):
            at, inside = (i + origin[0], j + origin[1], origin[2]), mask[i if rigid else 0, j if rigid else 0]
            _warp_row(labels, displacement[:, i, j], at, rigid, inside, out[i, j], corner, part)


@compiled
def _warp_blocks(
    labels: np.ndarray,
    displacement: np.ndarray,
    factors: Voxels,
    rigid: bool,
    mask: np.ndarray,
    out: np.ndarray,
    start: int,
    stop: int,
) -> None:
    """Fill planes of `out`, a row of displacement at a time."""
    corner, part = np.empty(8, labels.dtype), np.empty(3, np.float32)
    blend, moved = np.empty(displacement.shape[2] + 2, np.float32), np.empty((3, out.shape[2]), np.float32)
    for i in range(start, stop):
        for j in range(out.shape[1]):
            if rigid and not mask[i, j].any():
                continue
            refine_row(displacement, factors, (0, 0, 0), i, j, blend, moved)
            inside = mask[i if rigid else 0, j if rigid else 0]
            _warp_row(labels, moved, (i, j, 0), rigid, inside, out[i, j], corner, part)


@compiled
def _nearest(labels: np.ndarray, x: float, y: float, z: float) -> int:
    """The label nearest to a point, 0 if there is none: cubes around it grow until no nearer one can follow."""
    i, j, k = int(np.floor(x + 0.5)), int(np.floor(y + 0.5)), int(np.floor(z + 0.5))
    found, best = 0, np.inf
    far = max(i, labels.shape[0] - i, j, labels.shape[1] - j, k, labels.shape[2] - k, 0)
    for reach in range(far + 1):
        if (reach - 0.5) ** 2 > best:
            break
        for p in range(max(i - reach, 0), min(i + reach + 1, labels.shape[0])):
            for q in range(max(j - reach, 0), min(j + reach + 1, labels.shape[1])):
                on_side = abs(p - i) == reach or abs(q - j) == reach
                step = 1 if on_side else max(2 * reach, 1)
                for r in range(k - reach, k + reach + 1, step):
                    if 0 <= r < labels.shape[2] and labels[p, q, r] > 0:
                        distance = (p - x) ** 2 + (q - y) ** 2 + (r - z) ** 2
                        if distance < best:
                            found, best = labels[p, q, r], distance
    return found


@compiled
def _weights(
    labels: np.ndarray, displacement: np.ndarray, voxels: np.ndarray, classes: np.ndarray, out: np.ndarray
) -> None:
    """Fill `out` for some voxels of the whole array."""
    corner, part = np.empty(8, labels.dtype), np.empty(3, np.float32)
    _, J, K = labels.shape
    for n in range(len(voxels)):
        i, j, k = voxels[n] // (J * K), voxels[n] // K % J, voxels[n] % K
        d = displacement[:, i, j, k]
        _corners(labels, d[0] + np.float32(i), d[1] + np.float32(j), d[2] + np.float32(k), corner, part)
        for m in range(8):
            for row in range(len(classes)):
                if corner[m] == classes[row]:
                    out[row, n] += _corner_weight(m, part)


@compiled
def _jacobian(displacement: np.ndarray, out: np.ndarray, start: int, stop: int) -> None:
    """Fill planes of `out`."""
    I, J, K = out.shape  # noqa: E741 (letters of the shape)
    one, half = np.float32(1), np.float32(0.5)
    for i in range(start, stop):
        low, high = max(i - 1, 0), min(i + 1, I - 1)
        along = one if high - low < 2 else half
        for j in range(J):
            left, right = max(j - 1, 0), min(j + 1, J - 1)
            across = one if right - left < 2 else half
            for k in range(K):
                down, up = max(k - 1, 0), min(k + 1, K - 1)
                above = one if up - down < 2 else half
                d = displacement
                a = (d[0, high, j, k] - d[0, low, j, k]) * along + one
                b = (d[0, i, right, k] - d[0, i, left, k]) * across
                c = (d[0, i, j, up] - d[0, i, j, down]) * above
                e = (d[1, high, j, k] - d[1, low, j, k]) * along
                f = (d[1, i, right, k] - d[1, i, left, k]) * across + one
                g = (d[1, i, j, up] - d[1, i, j, down]) * above
                p = (d[2, high, j, k] - d[2, low, j, k]) * along
                q = (d[2, i, right, k] - d[2, i, left, k]) * across
                r = (d[2, i, j, up] - d[2, i, j, down]) * above + one
                out[i, j, k] = a * (f * r - g * q) - b * (e * r - g * p) + c * (e * q - f * p)
