"""Changes to a label map that keep its topology: simple points, and the removal of stray pieces."""

import numpy as np
import scipy.ndimage as ndi

from pathosynth.morphing.measure import bounding_box, labelled_pieces
from pathosynth.morphing.threads import compiled

_OFFSETS = np.array([o for o in np.ndindex(3, 3, 3) if o != (1, 1, 1)]) - 1
_CITY_BLOCK = np.abs(_OFFSETS).sum(axis=1)
_FACE = _CITY_BLOCK == 1
_STEP = np.abs(_OFFSETS[:, None] - _OFFSETS[None])


def _bits(members: np.ndarray) -> np.ndarray:
    """Neighbours as the bits of a number, one number per row."""
    return np.asarray(members @ (1 << np.arange(26)), np.int64)


_FACES = int(_bits(_FACE))
_FACES_AND_EDGES = int(_bits(_CITY_BLOCK <= 2))
_JOINED_26 = _bits(_STEP.max(axis=2) == 1)
_JOINED_6 = _bits(_STEP.sum(axis=2) == 1)


def flip_keeps_topology(labels: np.ndarray, voxels: np.ndarray, new: int) -> np.ndarray:
    """Whether giving each voxel, on its own, the label `new` keeps the topology of its old and of its new label.

    A voxel is simple for a label if its 26 neighbours of that label are one 26-connected piece and the others that
    touch it by a face are one 6-connected piece among its 18 neighbours
    (Bertrand and Malandain 1994, doi 10.1016/0167-8655(94)90046-9). What is left of the old label must also stay
    6-connected, so that neither way of counting pieces finds a new one.

    Args:
        labels: (I, J, K) unsigned integers.
        voxels: (n,) flat voxel numbers, none at the border of the array.
        new: label to be given.

    Returns:
        (n,) bool.
    """
    out, (_, J, K) = np.zeros(len(voxels), np.bool_), labels.shape
    _keeps(np.ascontiguousarray(labels).reshape(-1), voxels, new, _OFFSETS @ np.array([J * K, K, 1]), out)
    return out


def neighbours(labels: np.ndarray, voxels: np.ndarray, *, faces_only: bool = False) -> np.ndarray:
    """Labels of the 26 (or 6) neighbours of each voxel, (n, 26) or (n, 6). No voxel may lie at the border."""
    _, j, k = labels.shape
    shift = _OFFSETS @ np.array([j * k, k, 1])
    return np.asarray(labels.ravel()[voxels[:, None] + (shift[_FACE] if faces_only else shift)])


def parity(voxels: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Number 0-7 of the sub-lattice of each voxel; two voxels of one sub-lattice are never neighbours."""
    i, j, k = np.unravel_index(voxels, shape)
    return np.asarray((i % 2) * 4 + (j % 2) * 2 + k % 2)


def dissolve_specks(
    labels: np.ndarray, limit: int, connectivity: int = 6, *, clear_floating: bool = False
) -> tuple[np.ndarray, int]:
    """Give every piece of at most `limit` voxels the label that touches it with most faces.

    The largest piece of a label always stays, so no label disappears, and background is never touched.

    Args:
        labels: (I, J, K) unsigned integers; not changed.
        limit: largest piece to dissolve, in voxels.
        connectivity: 6 or 26, what counts as one piece.
        clear_floating: make pieces that touch nothing but background part of it; otherwise they stay.

    Returns:
        The cleaned map and the number of voxels changed.
    """
    pieces, owner, sizes = labelled_pieces(labels, connectivity)
    largest = np.zeros(int(owner.max(initial=0)) + 1, np.int64)
    np.maximum.at(largest, owner, sizes)
    small = (sizes <= limit) & (sizes < largest[owner]) & (owner > 0)
    return _dissolve(labels, pieces, np.flatnonzero(small), clear_floating=clear_floating)


def limit_pieces(
    labels: np.ndarray,
    allowed: dict[int, int],
    connectivity: int,
    *,
    speck_voxels: int,
    stray_voxels: int,
    reach_voxels: float,
) -> np.ndarray:
    """Where a label has more pieces than allowed, join the surplus ones to the rest, or dissolve them.

    Specks are dissolved. A larger piece that hangs together with the rest by a few voxels only, such as the fourth
    ventricle or a hemisphere, is joined by a path of voxels; where the gap is too wide it is dissolved, unless it is
    too large for that. Background is never painted over.

    Args:
        labels: (I, J, K) unsigned integers; not changed.
        allowed: most pieces of each label.
        connectivity: 6 or 26, what counts as one piece.
        speck_voxels: size up to which a surplus piece is dissolved.
        stray_voxels: size up to which a surplus piece is dissolved where it cannot be joined; larger ones stay.
        reach_voxels: widest gap to bridge.
    """
    pieces, owner, sizes = labelled_pieces(labels, connectivity)
    gone, joints = [], []
    for value, count in allowed.items():
        mine = np.flatnonzero((owner == value) & (sizes > 0))
        for piece in mine[np.argsort(-sizes[mine], kind="stable")][max(count, 1) :]:
            joint = [] if sizes[piece] <= speck_voxels else _joint(labels, pieces, piece, value, reach_voxels)
            joints += [(voxel, value) for voxel in joint]
            if not joint and sizes[piece] <= stray_voxels:
                gone.append(piece)
    out, _ = _dissolve(labels, pieces, np.array(gone, np.int64), clear_floating=False)
    for voxel, value in joints:
        out[voxel] = value
    return out


def _joint(
    labels: np.ndarray, pieces: np.ndarray, piece: int, value: int, reach_voxels: float
) -> list[tuple[int, ...]]:
    """Voxels that join a piece to the rest of its label; none where the gap is too wide or leads through background."""
    part = pieces == piece
    box = bounding_box(part, int(np.ceil(reach_voxels)) + 1)
    path = _path(part[box], (labels[box] == value) & ~part[box], reach_voxels)
    if any(labels[box][voxel] == 0 for voxel in path):
        return []
    return [tuple(s.start + i for s, i in zip(box, voxel, strict=True)) for voxel in path]


def _path(start: np.ndarray, goal: np.ndarray, reach_voxels: float) -> list[tuple[int, ...]]:
    """Voxels from `start` to the nearest voxel of `goal`, by faces; empty if that is further than `reach_voxels`."""
    if not goal.any():
        return []
    distance, nearest = ndi.distance_transform_edt(~goal, return_indices=True)
    candidates = np.argwhere(start)
    here = candidates[distance[start].argmin()]
    if distance[tuple(here)] > reach_voxels:
        return []
    end, path = nearest[(slice(None), *here)], []
    for axis in range(3):
        while here[axis] != end[axis]:
            here[axis] += np.sign(end[axis] - here[axis])
            path.append(tuple(here.tolist()))
    return path


@compiled
def _keeps(labels: np.ndarray, voxels: np.ndarray, new: int, shift: np.ndarray, out: np.ndarray) -> None:
    """`flip_keeps_topology` on flat labels; neighbours are the bits of a number."""
    for n in range(len(voxels)):
        old, left, joining = labels[voxels[n]], 0, 0
        for bit in range(26):
            around = labels[voxels[n] + shift[bit]]
            left |= (1 << bit) * (around == old)
            joining |= (1 << bit) * (around == new)
        faces = left & _FACES
        whole = faces == 0 or _one_piece(left & _FACES_AND_EDGES, faces, _JOINED_6)
        out[n] = whole and _simple(left) and _simple(joining)


@compiled
def _simple(same: int) -> bool:
    """Simple-point test on the neighbours that have the label in question."""
    other = ~same & _FACES_AND_EDGES
    return _one_piece(same, same, _JOINED_26) and _one_piece(other, other & _FACES, _JOINED_6)


@compiled
def _one_piece(members: int, wanted: int, joined: np.ndarray) -> bool:
    """Whether `wanted` (a part of `members`) is not empty and lies in one connected piece of `members`."""
    reached, grown = 0, wanted & -wanted
    while grown != reached:
        reached = grown
        for bit in range(26):
            if reached >> bit & 1:
                grown |= joined[bit] & members
    return wanted != 0 and wanted & ~reached == 0


def _dissolve(
    labels: np.ndarray, pieces: np.ndarray, doomed: np.ndarray, *, clear_floating: bool
) -> tuple[np.ndarray, int]:
    """Relabel whole pieces by the label they share most faces with; pieces inside others wait for the next pass."""
    if not len(doomed):
        return labels.copy(), 0
    out = np.ascontiguousarray(np.pad(labels, 1))  # written through its flat view
    mask = np.ascontiguousarray(np.pad(np.isin(pieces, doomed), 1))
    voxels = np.flatnonzero(mask)
    piece = np.pad(pieces, 1).ravel()[voxels]
    while len(voxels):
        count = _faces_with(out, mask, voxels, piece)
        ready = np.take(count.any(axis=1), piece)
        if not ready.any():
            break
        out.ravel()[voxels[ready]] = count.argmax(axis=1)[piece[ready]].astype(labels.dtype)
        mask.ravel()[voxels[ready]] = False
        voxels, piece = voxels[~ready], piece[~ready]
    if clear_floating:
        out.ravel()[voxels] = 0
    inner = np.ascontiguousarray(out[1:-1, 1:-1, 1:-1])
    return inner, int((inner != labels).sum())


def _faces_with(labels: np.ndarray, mask: np.ndarray, voxels: np.ndarray, piece: np.ndarray) -> np.ndarray:
    """Faces that each piece shares with each label outside the mask; background does not count."""
    around = neighbours(labels, voxels, faces_only=True)
    outside: np.ndarray = np.asarray(~neighbours(mask, voxels, faces_only=True))
    count = np.zeros((int(piece.max()) + 1, int(labels.max()) + 1), np.int64)
    np.add.at(count, (np.broadcast_to(piece[:, None], around.shape)[outside], around[outside]), 1)
    count[:, 0] = 0
    return count
