"""The screened Poisson equation on the voxels of a mask, solved by multigrid-preconditioned conjugate gradients.

    -div(kappa grad p) + c p = s    inside the mask,    kappa grad p . n = 0    on its boundary        (1)

Seven-point finite volumes with the harmonic mean of kappa on each face: symmetric and positive (semi-)definite, one
unknown per voxel, second order. What depends on the mask alone (`build_levels`) is computed once per mask; coefficients
may change from solve to solve. Coarser levels merge blocks of 2 x 2 x 2 voxels; their face weights are half the summed
fine ones, which is what re-discretising at twice the spacing gives.
"""

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

_JACOBI_WEIGHT = 0.8  # near 6/7, the best damping of the highest frequencies of the seven-point operator
_COARSEST = 250  # unknowns below which a dense inverse is cheaper than another level
_MOST_LEVELS = 12
_REGULARISATION = 1e-7  # of the mean diagonal, keeps the coarsest matrix invertible when c = 0 everywhere


@dataclass(frozen=True)
class Level:
    """One grid of the hierarchy: the structure of its matrix and its link to the next coarser grid.

    Attributes:
        size: number of unknowns n.
        first, second: (f,) voxel numbers on the two sides of each face, faces sorted by axis.
        axis_ends: where the faces across each axis end in that list.
        face_scale: (f,) 1 / h^2 along the normal of each face (used on the finest grid).
        pattern: CSR matrix whose data say which entry of [faces, faces, diagonal] belongs there.
        parent: (n,) number of the coarser voxel; empty on the coarsest level.
        face_parent: (f,) number of the coarser face, -1 where both sides merge into one voxel.
        prolong: (n, n_coarse) CSR interpolation from the coarser level, float32; no columns on the coarsest level.
    """

    size: int
    first: np.ndarray
    second: np.ndarray
    axis_ends: tuple[int, int, int]
    face_scale: np.ndarray
    pattern: sp.csr_matrix
    parent: np.ndarray
    face_parent: np.ndarray
    prolong: sp.csr_matrix


@dataclass(frozen=True)
class Operator:
    """Equation (1) with its coefficients: the matrix in float64 and a float32 V-cycle.

    `singular` says that c = 0 everywhere, so that p is determined up to a constant.
    """

    matrix: sp.csr_matrix
    face_weight: np.ndarray
    cycle: tuple[tuple[sp.csr_matrix, np.ndarray, sp.csr_matrix], ...]
    coarsest_inverse: np.ndarray
    singular: bool


@dataclass(frozen=True)
class Solution:
    """p on the voxels of the mask, the iterations taken and the relative residual reached."""

    p: np.ndarray
    iterations: int
    residual: float


def build_levels(mask: np.ndarray, spacing: tuple[float, float, float]) -> tuple[Level, ...]:
    """Grids from the voxels of `mask` down to a few hundred unknowns.

    Args:
        mask: (I, J, K) bool, where (1) holds; unknowns are numbered in C order.
        spacing: voxel edge lengths; their unit is that of the result.
    """
    levels: list[Level] = []
    while int(mask.sum()) > _COARSEST and len(levels) < _MOST_LEVELS:
        coarse_mask = _any_in_block(mask)
        levels.append(_level(mask, spacing, coarse_mask))
        mask = coarse_mask
    levels.append(_level(mask, spacing, None))
    return tuple(levels)


def assemble(levels: tuple[Level, ...], kappa: np.ndarray | float, screening: np.ndarray) -> Operator:
    """Put coefficients into the grids.

    Args:
        levels: from `build_levels`.
        kappa: (n,) mobility > 0 per voxel of the mask, or one number.
        screening: (n,) c >= 0 per voxel of the mask.
    """
    fine = levels[0]
    mobility = np.broadcast_to(np.asarray(kappa, np.float64), (fine.size,))
    a, b = mobility[fine.first], mobility[fine.second]
    weight = 2.0 * a * b / (a + b) * fine.face_scale
    c: np.ndarray = np.asarray(screening, np.float64)
    face_weight, singular = weight, not bool((c > 0).any())
    cycle: list[tuple[sp.csr_matrix, np.ndarray, sp.csr_matrix]] = []
    matrix = finest = _matrix(fine, weight, c)
    for level in levels[:-1]:
        smoother = (_JACOBI_WEIGHT / matrix.diagonal()).astype(np.float32)
        cycle.append((matrix.astype(np.float32), smoother, level.prolong))
        crossing = level.face_parent >= 0
        coarse = levels[len(cycle)]
        weight = 0.5 * np.bincount(level.face_parent[crossing], weight[crossing], len(coarse.first))
        c = np.bincount(level.parent, c, coarse.size).astype(np.float64)
        matrix = _matrix(coarse, weight, c)
    dense = matrix.toarray()
    dense += np.eye(len(dense)) * (_REGULARISATION * max(np.trace(dense), 1e-30) / len(dense))
    return Operator(finest, face_weight, tuple(cycle), np.linalg.inv(dense).astype(np.float32), singular)


def solve(
    operator: Operator, source: np.ndarray, start: np.ndarray | None = None, *, tolerance: float, limit: int = 200
) -> Solution:
    """Conjugate gradients in float64, one V-cycle as preconditioner.

    Where c = 0 everywhere, the mean of `source` is taken out (nothing can leave the mask) and p has mean 0.

    Args:
        operator: from `assemble`.
        source: (n,) s of (1).
        start: (n,) first guess, e.g. the last solution.
        tolerance: wanted norm of the residual over the norm of the source.
        limit: most iterations; the result says what was reached.
    """
    matrix = operator.matrix
    s = source.astype(np.float64) - (source.mean() if operator.singular else 0.0)
    p = np.zeros_like(s) if start is None else start.astype(np.float64)
    norm = float(np.linalg.norm(s))
    if norm == 0.0:
        return Solution(np.zeros_like(s), 0, 0.0)
    residual = s - matrix @ p
    direction = np.zeros_like(s)
    last_rz, iterations = 1.0, 0
    while np.linalg.norm(residual) > tolerance * norm and iterations < limit:
        z = _v_cycle(operator, 0, residual.astype(np.float32)).astype(np.float64)
        rz = float(residual @ z)
        direction = z + (rz / last_rz if iterations else 0.0) * direction
        image = matrix @ direction
        step = rz / float(direction @ image)
        p += step * direction
        residual -= step * image
        last_rz, iterations = rz, iterations + 1
    if operator.singular:
        p -= p.mean()
    return Solution(p, iterations, float(np.linalg.norm(residual)) / norm)


def _v_cycle(operator: Operator, depth: int, b: np.ndarray) -> np.ndarray:
    """An approximate inverse: smooth, correct on the coarser grid, smooth. Symmetric, as CG asks."""
    if depth == len(operator.cycle):
        return np.asarray(operator.coarsest_inverse @ b)
    matrix, smoother, prolong = operator.cycle[depth]
    x: np.ndarray = smoother * b
    x += prolong @ _v_cycle(operator, depth + 1, prolong.T @ (b - matrix @ x))
    x += smoother * (b - matrix @ x)
    return x


def _level(mask: np.ndarray, spacing: tuple[float, float, float], coarse_mask: np.ndarray | None) -> Level:
    """Structure of one grid and its link to the next coarser one."""
    size, number = int(mask.sum()), _numbered(mask)
    first, second, axis = _faces(number)
    i, j, k = np.searchsorted(axis, [0, 1, 2], side="right").tolist()
    scale = 1.0 / np.asarray(spacing)[axis] ** 2
    parent = face_parent = np.empty(0, np.int32)
    prolong = sp.csr_matrix((size, 0), dtype=np.float32)
    if coarse_mask is not None:
        coarse_number = _numbered(coarse_mask)
        parent = coarse_number[tuple(index // 2 for index in np.nonzero(mask))]
        coarse_first, coarse_second, _ = _faces(coarse_number)
        face_parent = _face_parents(parent[first], parent[second], coarse_first, coarse_second, int(coarse_mask.sum()))
        prolong = _interpolation(mask, coarse_number)
    pattern = _pattern(size, first, second)
    return Level(size, first, second, (i, j, k), scale, pattern, parent, face_parent, prolong)


def _numbered(mask: np.ndarray) -> np.ndarray:
    """Voxel numbers in C order inside the mask, -1 outside. (I, J, K) int32."""
    number = np.full(mask.shape, -1, np.int32)
    number[mask] = np.arange(int(mask.sum()), dtype=np.int32)
    return number


def _any_in_block(mask: np.ndarray) -> np.ndarray:
    """Whether any voxel of each 2 x 2 x 2 block is in the mask; odd sizes are padded at the end."""
    padded = np.pad(mask, [(0, n % 2) for n in mask.shape])
    i, j, k = (n // 2 for n in padded.shape)
    return np.asarray(padded.reshape(i, 2, j, 2, k, 2).any(axis=(1, 3, 5)))


def _faces(number: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Both voxel numbers and the axis of every face between two voxels of the mask."""
    firsts, seconds, axes = [], [], []
    for axis in range(3):
        rolled = np.moveaxis(number, axis, 0)
        one, other = rolled[:-1], rolled[1:]
        both = (one >= 0) & (other >= 0)
        firsts.append(one[both])
        seconds.append(other[both])
        axes.append(np.full(int(both.sum()), axis))
    return np.concatenate(firsts), np.concatenate(seconds), np.concatenate(axes)


def _pattern(size: int, first: np.ndarray, second: np.ndarray) -> sp.csr_matrix:
    """CSR structure whose data are positions in the list [faces, faces, diagonal]."""
    own = np.arange(size, dtype=np.int32)
    rows, columns = np.concatenate([first, second, own]), np.concatenate([second, first, own])
    return sp.csr_matrix((np.arange(len(rows), dtype=np.int32), (rows, columns)), shape=(size, size))


def _matrix(level: Level, weight: np.ndarray, c: np.ndarray) -> sp.csr_matrix:
    """Matrix of one level from its face weights and screening."""
    diagonal = np.bincount(level.first, weight, level.size) + np.bincount(level.second, weight, level.size) + c
    # an isolated voxel without screening has no equation; 1 keeps the smoother finite, its source is 0 by conservation
    diagonal[diagonal == 0.0] = 1.0
    data = np.concatenate([-weight, -weight, diagonal])[level.pattern.data]
    return sp.csr_matrix((data, level.pattern.indices, level.pattern.indptr), shape=(level.size, level.size))


def _face_parents(a: np.ndarray, b: np.ndarray, first: np.ndarray, second: np.ndarray, size: int) -> np.ndarray:
    """Number of the coarse face between coarse voxels a < b, -1 where a == b. All coarse faces are found."""
    keys = first.astype(np.int64) * size + second
    order = np.argsort(keys)
    wanted = a.astype(np.int64) * size + b
    place = np.minimum(np.searchsorted(keys, wanted, sorter=order), len(keys) - 1)
    found: np.ndarray = order[place] if len(keys) else np.full(len(a), -1)
    return np.where(a == b, -1, found).astype(np.int32)


def _interpolation(mask: np.ndarray, coarse_number: np.ndarray) -> sp.csr_matrix:
    """Trilinear interpolation from coarse to fine centres; weights of coarse voxels outside the mask are shared out."""
    index = np.stack(np.nonzero(mask)).astype(np.int32)
    near = index // 2
    far = near + np.where(index % 2 == 0, -1, 1)
    padded = np.pad(coarse_number, 1, constant_values=-1)
    columns, weights = [], []
    for corner in np.ndindex(2, 2, 2):
        at = tuple(np.where(bit, far[axis], near[axis]) + 1 for axis, bit in enumerate(corner))
        columns.append(padded[at])
        weights.append(np.full(index.shape[1], np.prod([0.25 if bit else 0.75 for bit in corner]), np.float32))
    column, weight = np.stack(columns, axis=1), np.stack(weights, axis=1)
    weight *= column >= 0
    weight /= weight.sum(axis=1, keepdims=True)
    keep = column >= 0
    indptr = np.concatenate([[0], np.cumsum(keep.sum(axis=1))]).astype(np.int32)
    shape = (index.shape[1], int(coarse_number.max()) + 1)
    return sp.csr_matrix((weight[keep], column[keep], indptr), shape=shape)
