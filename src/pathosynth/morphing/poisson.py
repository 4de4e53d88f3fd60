"""The screened Poisson equation on the voxels of a mask, solved by multigrid-preconditioned conjugate gradients.

    -div(kappa grad p) + c p = s    inside the mask,    kappa grad p . n = 0    on its boundary        (1)

Seven-point finite volumes with the harmonic mean of kappa on each face: symmetric and positive (semi-)definite, one
unknown per voxel, second order. No matrix is stored, only weights on the box around the mask (`stencil`). What depends
on the mask alone (`build_levels`) is computed once per mask; coefficients may change from solve to solve. Coarser
levels merge blocks of 2 x 2 x 2 voxels; their face weights are half the summed fine ones, which is what
re-discretising at twice the spacing gives.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import scipy.ndimage as ndi

from pathosynth.morphing import stencil
from pathosynth.morphing.measure import bounding_box
from pathosynth.morphing.threads import by_rows

_JACOBI_WEIGHT = 0.8  # near 6/7, the best damping of the highest frequencies of the seven-point operator
_COARSEST = 100  # unknowns below which a dense inverse is cheaper than another level
_MOST_LEVELS = 12
_TRACE = (
    1e-3  # of the largest screening: what a piece has in all counts as none, because p would be s / c, a huge number
)
_REGULARISATION = 1e-7  # of the mean diagonal, keeps the coarsest matrix invertible when c = 0 everywhere


@dataclass(frozen=True)
class Level:
    """One grid of the hierarchy: its cells in the box around the mask, with a layer of cells outside (`stencil`).

    Attributes:
        mask: (I + 2, J + 2, K + 2) bool.
        cells: (n,) flat numbers of the cells of the mask, in C order.
        scale: 1 / h^2 along each axis (used on the finest grid).
        share: float32, one over the interpolation weights of the coarser cells inside the coarser mask, so that what
            lies outside is shared out; 0 outside the mask. Empty on the coarsest level.
        piece: (n,) number of the connected piece of the mask that each cell lies in; empty but on the finest level.
    """

    mask: np.ndarray
    cells: np.ndarray
    scale: tuple[float, float, float]
    share: np.ndarray
    piece: np.ndarray


@dataclass(frozen=True)
class Stencil:
    """Equation (1) on one grid: face weights (3, ...), the diagonal, and the damped inverse of the diagonal."""

    weights: np.ndarray
    diagonal: np.ndarray
    smoother: np.ndarray


@dataclass(frozen=True)
class Operator:
    """Equation (1) with its coefficients on every level.

    `floating` says which pieces of the mask have no screening to speak of, so that p is determined up to a constant.
    """

    levels: tuple[Level, ...]
    stencils: tuple[Stencil, ...]
    coarsest_inverse: np.ndarray
    floating: np.ndarray

    @property
    def dtype(self) -> np.dtype:
        """Precision of the solution."""
        return self.coarsest_inverse.dtype


@dataclass(frozen=True)
class _Room:
    """Arrays that one level of a V-cycle works in: its right side and x before, the rest, and x after."""

    source: np.ndarray
    before: np.ndarray
    rest: np.ndarray
    after: np.ndarray


@dataclass(frozen=True)
class Solution:
    """p on the voxels of the mask, the iterations taken and the relative residual reached."""

    p: np.ndarray
    iterations: int
    residual: float


def build_levels(mask: np.ndarray, spacing: tuple[float, float, float]) -> tuple[Level, ...]:
    """Grids from the voxels of `mask` down to a hundred unknowns.

    Args:
        mask: (I, J, K) bool, where (1) holds; unknowns are numbered in C order.
        spacing: voxel edge lengths; their unit is that of the result.
    """
    x, y, z = (1.0 / s**2 for s in spacing)
    levels: list[Level] = []
    fine, nowhere = _boxed(mask[bounding_box(mask)]), np.empty(0, np.int32)
    piece = ndi.label(fine)[0][fine] - 1
    while int(fine.sum()) > _COARSEST and len(levels) < _MOST_LEVELS:
        inner = fine[1:-1, 1:-1, 1:-1]
        i, j, k = (n // 2 for n in inner.shape)
        coarse = _boxed(np.asarray(inner.reshape(i, 2, j, 2, k, 2).any(axis=(1, 3, 5))))
        levels.append(Level(fine, np.flatnonzero(fine), (x, y, z), _share(fine, coarse), nowhere if levels else piece))
        fine = coarse
    last = np.empty((0, 0, 0), np.float32)
    levels.append(Level(fine, np.flatnonzero(fine), (x, y, z), last, nowhere if levels else piece))
    return tuple(levels)


def assemble(
    levels: tuple[Level, ...],
    kappa: np.ndarray | float,
    screening: np.ndarray,
    dtype: type[np.floating] = np.float32,
) -> Operator:
    """Put coefficients into the grids.

    Args:
        levels: from `build_levels`.
        kappa: (n,) mobility > 0 per voxel of the mask, or one number.
        screening: (n,) c >= 0 per voxel of the mask.
        dtype: precision of the solution; float32 is enough for relative residuals down to 1e-5.
    """
    fine = levels[0]
    mobility, c = _spread(fine, kappa, dtype), _spread(fine, screening, dtype)
    w = np.zeros((3, *fine.mask.shape), dtype)
    _each(c, lambda a, b: stencil.face_weights(mobility, fine.scale, w, a, b))
    stencils = [_stencil(fine, w, c)]
    for level in levels[1:]:
        fine_w, fine_c = w, c
        w, c = np.zeros((3, *level.mask.shape), dtype), np.zeros(level.mask.shape, dtype)
        stencil.coarsen(fine_w, fine_c, w, c, 0, len(fine_c) // 2 - 1)
        stencils.append(_stencil(level, w, c))
    dense = _dense(levels[-1], stencils[-1])
    dense += np.eye(len(dense)) * (_REGULARISATION * max(np.trace(dense), 1e-30) / len(dense))
    floating = np.bincount(fine.piece, screening) <= _TRACE * float(np.max(screening, initial=0.0))
    return Operator(levels, tuple(stencils), np.linalg.inv(dense).astype(dtype), floating)


def solve(
    operator: Operator, source: np.ndarray, start: np.ndarray | None = None, *, tolerance: float, limit: int = 200
) -> Solution:
    """Conjugate gradients, one V-cycle as preconditioner.

    In floating pieces of the mask the mean of `source` is taken out (nothing can leave them) and p has mean 0.

    Args:
        operator: from `assemble`.
        source: (n,) s of (1).
        start: (n,) first guess, e.g. the last solution.
        tolerance: wanted norm of the residual over the norm of the source.
        limit: most iterations; the result says what was reached.
    """
    fine, matrix = operator.levels[0], operator.stencils[0]
    s = _balanced(operator, source.astype(np.float64))
    norm = float(np.sqrt(s @ s))
    if norm == 0.0:
        return Solution(np.zeros_like(s), 0, 0.0)
    p = _spread(fine, 0.0 if start is None else start, operator.dtype)
    residual = _spread(fine, s, operator.dtype)
    direction, image = p.copy(), np.zeros_like(p)
    p[:] = 0.0
    room = tuple(_Room(*(np.zeros_like(grid.diagonal) for _ in range(4))) for grid in operator.stencils)

    def apply() -> float:
        return _sum(p, lambda a, b: stencil.apply(matrix.weights, matrix.diagonal, direction, image, a, b))

    def descend(step: float) -> float:
        return _sum(p, lambda a, b: stencil.descend(step, direction, image, p, residual, a, b))

    def turn(ratio: float) -> None:
        _each(p, lambda a, b: stencil.turn(ratio, room[0].after, direction, a, b))

    apply()
    left, last_rz, iterations = descend(1.0), np.inf, 0
    while np.sqrt(left) > tolerance * norm and iterations < limit:
        rz = _v_cycle(operator, room, 0, residual)
        turn(rz / last_rz)
        left = descend(rz / apply())
        last_rz, iterations = rz, iterations + 1
    found = p.ravel()[fine.cells].astype(np.float64)
    return Solution(_balanced(operator, found), iterations, float(np.sqrt(left)) / norm)


def _balanced(operator: Operator, values: np.ndarray) -> np.ndarray:
    """Values (n,) less their mean in each floating piece."""
    piece = operator.levels[0].piece
    if not operator.floating.any():
        return values
    mean = np.bincount(piece, values) / np.bincount(piece)
    mean[~operator.floating] = 0.0
    return np.asarray(values - mean[piece])


def mean_flux(operator: Operator, p: np.ndarray) -> np.ndarray:
    """-kappa grad p over h in each voxel, the mean of its two faces along each axis; (n, 3) float32."""
    level, w = operator.levels[0], operator.stencils[0].weights
    dense, out = _spread(level, p, operator.dtype), np.empty((len(level.cells), 3), np.float32)
    by_rows(lambda a, b: stencil.mean_flux(w, dense, level.cells, out, a, b), len(out))
    return out


def _v_cycle(operator: Operator, room: tuple[_Room, ...], depth: int, b: np.ndarray) -> float:
    """An approximate inverse of b: smooth, correct on the coarser grid, smooth. Symmetric, as CG asks.

    It is left in ``room[depth].after``; its scalar product with b is returned.
    """
    level, grid, here = operator.levels[depth], operator.stencils[depth], room[depth]
    if depth == len(room) - 1:
        here.after.ravel()[level.cells] = operator.coarsest_inverse @ b.ravel()[level.cells]
        return 0.0
    w, d, s, x = grid.weights, grid.diagonal, grid.smoother, here.before
    below, coarser = room[depth + 1], operator.levels[depth + 1].mask
    _each(b, lambda i, j: stencil.scale(s, b, x, i, j))
    _each(b, lambda i, j: stencil.remainder(w, d, level.share, x, b, here.rest, i, j))
    by_rows(lambda i, j: stencil.restrict(here.rest, coarser, below.source, i, j), len(b) // 2 - 1, b[0].size)
    _v_cycle(operator, room, depth + 1, below.source)
    _each(b, lambda i, j: stencil.interpolate(below.after, level.share, x, i, j))
    return _sum(b, lambda i, j: stencil.smooth(w, d, s, x, b, here.after, i, j))


def _each(box: np.ndarray, work: Callable[[int, int], None]) -> None:
    """Work on all planes of a box but its outer layers."""
    by_rows(work, len(box) - 2, box[0].size)


def _sum(box: np.ndarray, work: Callable[[int, int], float]) -> float:
    """Sum of what the work on all planes returns."""
    return sum(by_rows(work, len(box) - 2, box[0].size))


def _boxed(mask: np.ndarray) -> np.ndarray:
    """A mask with even sides and a layer of False around it."""
    return np.pad(mask, [(1, 1 + n % 2) for n in mask.shape])


def _share(fine: np.ndarray, coarse: np.ndarray) -> np.ndarray:
    """One over the interpolation weights that lie inside the coarser mask, in the fine mask."""
    inside, weight = fine.astype(np.float32), np.zeros(fine.shape, np.float32)
    stencil.interpolate(coarse.astype(np.float32), inside, weight, 0, len(fine) - 2)
    return np.divide(inside, weight, out=np.zeros_like(weight), where=fine)


def _spread(level: Level, values: np.ndarray | float, dtype: np.dtype | type[np.floating]) -> np.ndarray:
    """Values of the cells put into the box, 0 elsewhere."""
    out = np.zeros(level.mask.shape, dtype)
    out.ravel()[level.cells] = values
    return out


def _stencil(level: Level, w: np.ndarray, c: np.ndarray) -> Stencil:
    """Diagonal and smoother of one grid.

    A cell without faces and screening has no equation; 1 keeps the smoother finite, its source is 0 by conservation.
    """
    d = np.zeros_like(c)
    _each(c, lambda a, b: stencil.diagonal(w, c, d, a, b))
    d[level.mask & (d == 0.0)] = 1.0
    smoother = np.divide(c.dtype.type(_JACOBI_WEIGHT), d, out=np.zeros_like(d), where=level.mask)
    return Stencil(w, d, smoother)


def _dense(level: Level, grid: Stencil) -> np.ndarray:
    """The matrix of a small grid, (n, n) float64."""
    number = np.zeros(level.mask.shape, np.intp)
    number.ravel()[level.cells] = np.arange(len(level.cells))
    matrix = np.diag(grid.diagonal.ravel()[level.cells]).astype(np.float64)
    for axis in range(3):
        cells = np.nonzero(grid.weights[axis])
        before = tuple(index - (a == axis) for a, index in enumerate(cells))
        first, second = number[before], number[cells]
        matrix[first, second] = matrix[second, first] = -grid.weights[axis][cells]
    return matrix
