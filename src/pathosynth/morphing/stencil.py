"""Loops of the multigrid solver over boxes of cells.

Every array is (I + 2, J + 2, K + 2), I, J and K even: the cells and one layer of zeros around them, so that no loop
asks for the border. Cells i, i + 1 of a fine box, i even, lie in cell i / 2 of the coarse one, which may be larger.
A face weight w[a, i, j, k] belongs to the face between a cell and the one before it along axis a; it is 0 where one of
the two lies outside the mask, so that cells outside neither give nor take. Loops run over planes `start` to `stop` of
the first axis, counted without the layer of zeros, and write no other plane of their output. Sums are kept in double
precision, one for each place in a row, which a processor adds up side by side.
"""

import numpy as np

from pathosynth.morphing.threads import compiled

_NEAR, _FAR = 0.75, 0.25  # linear interpolation from cells of twice the width


@compiled
def face_weights(mobility: np.ndarray, scale: tuple[float, float, float], w: np.ndarray, start: int, stop: int) -> None:
    """Harmonic mean of kappa times 1 / h^2 on each face; `mobility` is 0 outside the mask."""
    shape, size = mobility.shape, mobility.shape[2]
    step = (shape[1] * size, size, 1)
    flat = mobility.ravel()
    for i in range(1 + start, 1 + stop):
        for j in range(1, shape[1] - 1):
            row = (i * shape[1] + j) * size
            for axis in range(3):
                for k in range(1, size - 1):
                    a, b = flat[row + k], flat[row + k - step[axis]]
                    both = a > 0 and b > 0
                    w[axis, i, j, k] = 2 * a * b / (a + b) * scale[axis] if both else 0.0


@compiled
def coarsen(fine: np.ndarray, c: np.ndarray, w: np.ndarray, screening: np.ndarray, start: int, stop: int) -> None:
    """Face weights and screening of cells of twice the width: half the summed weights of the fine faces on each coarse
    face, which is what re-discretising gives, and the sum of c.
    """
    for i in range(1 + start, 1 + stop):
        for j in range(1, c.shape[1] // 2):
            for k in range(1, c.shape[2] // 2):
                x, y, z = 2 * i - 1, 2 * j - 1, 2 * k - 1
                a = b = d = total = fine[0, 0, 0, 0] * 0
                for p in range(2):
                    for q in range(2):
                        a += fine[0, x, y + p, z + q]
                        b += fine[1, x + p, y, z + q]
                        d += fine[2, x + p, y + q, z]
                        total += c[x + p, y + q, z] + c[x + p, y + q, z + 1]
                w[0, i, j, k], w[1, i, j, k], w[2, i, j, k] = a / 2, b / 2, d / 2
                screening[i, j, k] = total


@compiled
def diagonal(w: np.ndarray, c: np.ndarray, out: np.ndarray, start: int, stop: int) -> None:
    """Diagonal of the matrix: the weights of the six faces and c."""
    for i in range(1 + start, 1 + stop):
        for j in range(1, c.shape[1] - 1):
            for k in range(1, c.shape[2] - 1):
                faces = w[0, i, j, k] + w[0, i + 1, j, k] + w[1, i, j, k] + w[1, i, j + 1, k]
                out[i, j, k] = faces + w[2, i, j, k] + w[2, i, j, k + 1] + c[i, j, k]


@compiled
def apply(w: np.ndarray, d: np.ndarray, x: np.ndarray, out: np.ndarray, start: int, stop: int) -> float:
    """Put A x into `out`; returns the part x . A x of these planes."""
    total = np.zeros(x.shape[2])
    for i in range(1 + start, 1 + stop):
        for j in range(1, x.shape[1] - 1):
            for k in range(1, x.shape[2] - 1):
                faces = w[0, i, j, k] * x[i - 1, j, k] + w[0, i + 1, j, k] * x[i + 1, j, k]
                faces += w[1, i, j, k] * x[i, j - 1, k] + w[1, i, j + 1, k] * x[i, j + 1, k]
                faces += w[2, i, j, k] * x[i, j, k - 1] + w[2, i, j, k + 1] * x[i, j, k + 1]
                out[i, j, k] = d[i, j, k] * x[i, j, k] - faces
                total[k] += np.float64(x[i, j, k]) * out[i, j, k]
    return float(total.sum())


@compiled
def descend(
    step: float, direction: np.ndarray, image: np.ndarray, p: np.ndarray, r: np.ndarray, start: int, stop: int
) -> float:
    """Go p += step * direction, r -= step * image; returns the part r . r of these planes."""
    total, step = np.zeros(p.shape[2]), p.dtype.type(step)
    for i in range(1 + start, 1 + stop):
        for j in range(1, p.shape[1] - 1):
            for k in range(1, p.shape[2] - 1):
                p[i, j, k] += step * direction[i, j, k]
                r[i, j, k] -= step * image[i, j, k]
                total[k] += np.float64(r[i, j, k]) * r[i, j, k]
    return float(total.sum())


@compiled
def turn(ratio: float, z: np.ndarray, direction: np.ndarray, start: int, stop: int) -> None:
    """Change the direction to z + ratio * direction."""
    ratio = z.dtype.type(ratio)
    for i in range(1 + start, 1 + stop):
        for j in range(1, z.shape[1] - 1):
            for k in range(1, z.shape[2] - 1):
                direction[i, j, k] = z[i, j, k] + ratio * direction[i, j, k]


@compiled
def scale(s: np.ndarray, b: np.ndarray, out: np.ndarray, start: int, stop: int) -> None:
    """Put s b into `out`: damped Jacobi from zero."""
    for i in range(1 + start, 1 + stop):
        for j in range(1, b.shape[1] - 1):
            for k in range(1, b.shape[2] - 1):
                out[i, j, k] = s[i, j, k] * b[i, j, k]


@compiled
def smooth(
    w: np.ndarray, d: np.ndarray, s: np.ndarray, x: np.ndarray, b: np.ndarray, out: np.ndarray, start: int, stop: int
) -> float:
    """Put x + s (b - A x) into `out`, one damped Jacobi step; returns the part b . out of these planes."""
    total = np.zeros(x.shape[2])
    for i in range(1 + start, 1 + stop):
        for j in range(1, x.shape[1] - 1):
            for k in range(1, x.shape[2] - 1):
                faces = w[0, i, j, k] * x[i - 1, j, k] + w[0, i + 1, j, k] * x[i + 1, j, k]
                faces += w[1, i, j, k] * x[i, j - 1, k] + w[1, i, j + 1, k] * x[i, j + 1, k]
                faces += w[2, i, j, k] * x[i, j, k - 1] + w[2, i, j, k + 1] * x[i, j, k + 1]
                left = b[i, j, k] - d[i, j, k] * x[i, j, k] + faces
                out[i, j, k] = x[i, j, k] + s[i, j, k] * left
                total[k] += np.float64(b[i, j, k]) * out[i, j, k]
    return float(total.sum())


@compiled
def remainder(
    w: np.ndarray,
    d: np.ndarray,
    share: np.ndarray,
    x: np.ndarray,
    b: np.ndarray,
    out: np.ndarray,
    start: int,
    stop: int,
) -> None:
    """Put share (b - A x) into `out`, what the coarser level has to correct."""
    for i in range(1 + start, 1 + stop):
        for j in range(1, x.shape[1] - 1):
            for k in range(1, x.shape[2] - 1):
                faces = w[0, i, j, k] * x[i - 1, j, k] + w[0, i + 1, j, k] * x[i + 1, j, k]
                faces += w[1, i, j, k] * x[i, j - 1, k] + w[1, i, j + 1, k] * x[i, j + 1, k]
                faces += w[2, i, j, k] * x[i, j, k - 1] + w[2, i, j, k + 1] * x[i, j, k + 1]
                out[i, j, k] = share[i, j, k] * (b[i, j, k] - d[i, j, k] * x[i, j, k] + faces)


@compiled
def restrict(fine: np.ndarray, mask: np.ndarray, coarse: np.ndarray, start: int, stop: int) -> None:
    """Transpose of the linear interpolation of `interpolate`, inside the coarse mask."""
    near, far = fine.dtype.type(_NEAR), fine.dtype.type(_FAR)
    row = np.empty(fine.shape[2], fine.dtype)
    for i in range(1 + start, 1 + stop):
        for j in range(1, fine.shape[1] // 2):
            row[:] = 0
            for x in range(2 * i - 2, 2 * i + 2):
                for y in range(2 * j - 2, 2 * j + 2):
                    weight = near if 2 * i - 1 <= x <= 2 * i else far
                    weight *= near if 2 * j - 1 <= y <= 2 * j else far
                    for k in range(fine.shape[2]):
                        row[k] += weight * fine[x, y, k]
            for k in range(1, fine.shape[2] // 2):
                total = near * (row[2 * k - 1] + row[2 * k]) + far * (row[2 * k - 2] + row[2 * k + 1])
                coarse[i, j, k] = total if mask[i, j, k] else fine.dtype.type(0)


@compiled
def interpolate(coarse: np.ndarray, share: np.ndarray, fine: np.ndarray, start: int, stop: int) -> None:
    """Add share * the trilinear interpolation from cells of twice the width; 0 outside the coarse mask."""
    near, far = fine.dtype.type(_NEAR), fine.dtype.type(_FAR)
    row = np.empty(coarse.shape[2], fine.dtype)
    for i in range(1 + start, 1 + stop):
        x = (i + 1) // 2
        over = x - 1 if i % 2 else x + 1
        for j in range(1, fine.shape[1] - 1):
            y = (j + 1) // 2
            beside = y - 1 if j % 2 else y + 1
            for k in range(coarse.shape[2]):
                row[k] = near * (near * coarse[x, y, k] + far * coarse[x, beside, k])
                row[k] += far * (near * coarse[over, y, k] + far * coarse[over, beside, k])
            for k in range(1, fine.shape[2] // 2):
                fine[i, j, 2 * k - 1] += share[i, j, 2 * k - 1] * (near * row[k] + far * row[k - 1])
                fine[i, j, 2 * k] += share[i, j, 2 * k] * (near * row[k] + far * row[k + 1])


@compiled
def mean_flux(w: np.ndarray, p: np.ndarray, cells: np.ndarray, out: np.ndarray, start: int, stop: int) -> None:
    """-w grad p of cells `start` to `stop`, the mean of both faces along each axis; `cells` are flat numbers."""
    size = p.shape[2]
    step, flat = (p.shape[1] * size, size, 1), p.ravel()
    for axis in range(3):
        faces, hop = w[axis].ravel(), step[axis]
        for n in range(start, stop):
            cell = cells[n]
            before, after = flat[cell] - flat[cell - hop], flat[cell + hop] - flat[cell]
            out[n, axis] = -0.5 * (faces[cell] * before + faces[cell + hop] * after)
