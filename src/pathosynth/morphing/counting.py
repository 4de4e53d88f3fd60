"""Counts over a label map, one pass each: voxels of every label, faces between every two, sizes of pieces."""

import numpy as np

from pathosynth.morphing.threads import by_rows, compiled


def label_counts(labels: np.ndarray, size: int | None = None) -> np.ndarray:
    """Voxels of every label, as `numpy.bincount`.

    Args:
        labels: unsigned integers of any shape.
        size: least length of the result; by default one more than the largest label.

    Returns:
        (at least size,) int64, also as long as the largest label asks for.
    """
    flat = np.ascontiguousarray(labels).reshape(-1)
    length = max(size or 0, int(flat.max(initial=0)) + 1)
    return np.asarray(np.sum(by_rows(lambda a, b: _count(flat[a:b], length), len(flat)), axis=0, dtype=np.int64))


def contact_matrix(labels: np.ndarray, size: int | None = None) -> np.ndarray:
    """Faces that voxels of every two labels share, symmetric; on the diagonal 0.

    Args:
        labels: (I, J, K) unsigned integers.
        size: least number of rows; by default one more than the largest label.

    Returns:
        (n, n) int64.
    """
    source = np.ascontiguousarray(labels)
    length = max(size or 0, int(source.max(initial=0)) + 1)
    parts = by_rows(lambda a, b: _contacts(source, length, a, b), len(source), source[0].size)
    found = np.asarray(np.sum(parts, axis=0, dtype=np.int64))
    both = found + found.T
    np.fill_diagonal(both, 0)
    return both


def faces_between(contacts: np.ndarray, first: tuple[int, ...], second: tuple[int, ...]) -> int:
    """Faces between two disjoint groups of labels, from `contact_matrix`; labels it does not hold have none."""
    rows, columns = ([value for value in group if value < len(contacts)] for group in (first, second))
    return int(contacts[np.ix_(rows, columns)].sum())


def piece_sizes(pieces: np.ndarray, labels: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Label and voxels of every piece, (count,) each.

    Args:
        pieces: (I, J, K) numbers 0 to count - 1; a piece has one label.
        labels: (I, J, K) unsigned integers.
        count: how many pieces there are.
    """
    owner, sizes = np.zeros(count, labels.dtype), np.zeros(count, np.int64)
    _tally(pieces.reshape(-1), np.ascontiguousarray(labels).reshape(-1), owner, sizes)
    return owner, sizes


def facing(labels: np.ndarray, own: int, other: int) -> np.ndarray:
    """Flat numbers of the voxels of label `own` that share a face with label `other`, ascending.

    Args:
        labels: (I, J, K) unsigned integers; voxels at the border of the array are left out.
        own: label value of the voxels.
        other: label value on the other side of the face.
    """
    source = np.ascontiguousarray(labels)
    parts = by_rows(lambda a, b: _facing(source, own, other, a, b), len(source) - 2, source[0].size)
    return np.concatenate(parts)


@compiled
def _count(labels: np.ndarray, size: int) -> np.ndarray:
    """Four histograms in turn, because runs of one label would wait for the count before, and their sum."""
    out = np.zeros((4, size), np.int64)
    whole = len(labels) // 4 * 4
    for n in range(0, whole, 4):
        for part in range(4):
            out[part, labels[n + part]] += 1
    for n in range(whole, len(labels)):
        out[0, labels[n]] += 1
    return np.asarray(out.sum(axis=0))


@compiled
def _contacts(labels: np.ndarray, size: int, start: int, stop: int) -> np.ndarray:
    """Faces between each voxel of some planes and the three voxels after it."""
    I, J, K = labels.shape  # noqa: E741 (letters of the shape)
    out = np.zeros((size, size), np.int64)
    for i in range(start, stop):
        for j in range(J):
            for k in range(K):
                here = labels[i, j, k]
                if i + 1 < I and labels[i + 1, j, k] != here:
                    out[here, labels[i + 1, j, k]] += 1
                if j + 1 < J and labels[i, j + 1, k] != here:
                    out[here, labels[i, j + 1, k]] += 1
                if k + 1 < K and labels[i, j, k + 1] != here:
                    out[here, labels[i, j, k + 1]] += 1
    return out


@compiled
def _tally(pieces: np.ndarray, labels: np.ndarray, owner: np.ndarray, sizes: np.ndarray) -> None:
    """Count run by run: neighbours in memory mostly lie in one piece."""
    n = 0
    while n < len(pieces):
        piece, start = pieces[n], n
        while n < len(pieces) and pieces[n] == piece:
            n += 1
        owner[piece] = labels[start]
        sizes[piece] += n - start


@compiled
def _facing(labels: np.ndarray, own: int, other: int, start: int, stop: int) -> np.ndarray:
    """Flat numbers in some planes, counted without the first."""
    _, J, K = labels.shape
    found = []
    for i in range(1 + start, 1 + stop):
        for j in range(1, J - 1):
            for k in range(1, K - 1):
                if labels[i, j, k] == own and (
                    labels[i - 1, j, k] == other
                    or labels[i + 1, j, k] == other
                    or labels[i, j - 1, k] == other
                    or labels[i, j + 1, k] == other
                    or labels[i, j, k - 1] == other
                    or labels[i, j, k + 1] == other
                ):
                    found.append((i * J + j) * K + k)
    return np.array(found, dtype=np.int64)
