"""Carrying fields on a grid of blocks along a backward map psi(x) = x + displacement(x)."""

from functools import partial

import numpy as np
import scipy.sparse as sp

from pathosynth.morphing.threads import by_rows, compiled
from pathosynth.morphing.warp import point_before

_SMOOTH = np.exp(-0.5 * np.arange(4)).astype(np.float32)  # a Gaussian of one block at a squared distance of 0 to 3


def sample(field: np.ndarray, displacement: np.ndarray, blocks: np.ndarray) -> np.ndarray:
    """All channels of a field at psi of some blocks, by trilinear interpolation; beyond the grid its border counts.

    Args:
        field: (I, J, K, channels) float32.
        displacement: (I, J, K, 3) float32, in blocks.
        blocks: (n,) flat numbers.

    Returns:
        (n, channels) float32.
    """
    out = np.empty((len(blocks), field.shape[3]), np.float32)
    by_rows(lambda a, b: _sample(field, displacement, blocks[a:b], out[a:b]), len(blocks))
    return out


def sampled_sums(field: sp.csr_matrix, displacement: np.ndarray, blocks: np.ndarray) -> np.ndarray:
    """Sum of `sample` over the blocks for every channel of a sparse field; takes no longer with more channels.

    Args:
        field: (n_blocks, channels) CSR.
        displacement: (I, J, K, 3) float32, in blocks.
        blocks: (n,) flat numbers.

    Returns:
        (channels,) float64.
    """
    ends, column, value = field.indptr, field.indices, field.data
    work = partial(_sampled_sums, ends, column, value, field.shape[1], displacement)
    return np.asarray(np.sum(by_rows(lambda a, b: work(blocks[a:b]), len(blocks)), axis=0))


def advance(displacement: np.ndarray, velocity: np.ndarray, dt: float, blocks: np.ndarray) -> np.ndarray:
    """One midpoint step of d psi / dt + v . grad psi = 0: psi_new(y) = psi(y - dt v(y - dt/2 v(y))).

    Args:
        displacement: (I, J, K, 3) float32, psi(x) - x in blocks.
        velocity: (I, J, K, 3) float32, in blocks per time.
        dt: the step.
        blocks: (n,) flat numbers of the blocks that may move; elsewhere psi is rigid.
    """
    out, step = np.zeros_like(displacement), np.float32(dt)
    by_rows(lambda a, b: _advance(displacement, velocity, step, blocks[a:b], out), len(blocks))
    return out


def extend(values: np.ndarray, inside: np.ndarray, rank: np.ndarray, halo: tuple[np.ndarray, ...]) -> np.ndarray:
    """Spread a field from a domain into the layers around it, 0 beyond them.

    A block of the halo gets the Gaussian-weighted mean of its neighbours of lower rank.

    Args:
        values: (n, channels) float32 on the blocks of the domain.
        inside: (n,) flat numbers of these blocks.
        rank: (I, J, K) uint8, 0 in the domain, 1, 2 ... in the layers.
        halo: flat numbers of the blocks of each layer, inner layers first.

    Returns:
        (I, J, K, channels) float32.
    """
    out = np.zeros((*rank.shape, values.shape[1]), np.float32)
    out.reshape(-1, values.shape[1])[inside] = values
    for layer in halo:
        by_rows(lambda a, b: _extend(out, rank, layer[a:b], _SMOOTH), len(layer), 4)  # noqa: B023 (done in the round)
    return out


@compiled
def _at(field: np.ndarray, x: np.float32, y: np.float32, z: np.float32, out: np.ndarray) -> None:
    """All channels of a field at one point."""
    one = np.float32(1)
    i, a = point_before(x, field.shape[0])
    j, b = point_before(y, field.shape[1])
    k, c = point_before(z, field.shape[2])
    i2, j2, k2 = min(i + 1, field.shape[0] - 1), min(j + 1, field.shape[1] - 1), min(k + 1, field.shape[2] - 1)
    w00, w01, w10, w11 = (one - a) * (one - b), (one - a) * b, a * (one - b), a * b
    for n in range(len(out)):
        near = w00 * field[i, j, k, n] + w01 * field[i, j2, k, n] + w10 * field[i2, j, k, n] + w11 * field[i2, j2, k, n]
        far = (
            w00 * field[i, j, k2, n]
            + w01 * field[i, j2, k2, n]
            + w10 * field[i2, j, k2, n]
            + w11 * field[i2, j2, k2, n]
        )
        out[n] = (one - c) * near + c * far


@compiled
def _sample(field: np.ndarray, displacement: np.ndarray, blocks: np.ndarray, out: np.ndarray) -> None:
    """Fill `out` for some blocks."""
    _, J, K, _ = field.shape
    for n in range(len(blocks)):
        i, j, k = blocks[n] // (J * K), blocks[n] // K % J, blocks[n] % K
        d = displacement[i, j, k]
        _at(field, np.float32(i) + d[0], np.float32(j) + d[1], np.float32(k) + d[2], out[n])


@compiled
def _sampled_sums(
    ends: np.ndarray, column: np.ndarray, value: np.ndarray, channels: int, displacement: np.ndarray, blocks: np.ndarray
) -> np.ndarray:
    """The sums of some blocks."""
    total, one = np.zeros(channels), np.float32(1)
    I, J, K, _ = displacement.shape  # noqa: E741 (letters of the shape)
    for block in blocks:
        i, j, k = block // (J * K), block // K % J, block % K
        d = displacement[i, j, k]
        x, a = point_before(np.float32(i) + d[0], I)
        y, b = point_before(np.float32(j) + d[1], J)
        z, c = point_before(np.float32(k) + d[2], K)
        for corner in range(8):
            p, q, r = corner >> 2, corner >> 1 & 1, corner & 1
            weight = (a if p else one - a) * (b if q else one - b) * (c if r else one - c)
            row = (min(x + p, I - 1) * J + min(y + q, J - 1)) * K + min(z + r, K - 1)
            for n in range(ends[row], ends[row + 1]):
                total[column[n]] += weight * value[n]
    return total


@compiled
def _advance(
    displacement: np.ndarray, velocity: np.ndarray, dt: np.float32, blocks: np.ndarray, out: np.ndarray
) -> None:
    """Fill `out` for some blocks."""
    _, J, K, _ = displacement.shape
    v, back, there = np.empty(3, np.float32), np.empty(3, np.float32), np.empty(3, np.float32)
    half = dt / np.float32(2)
    for n in range(len(blocks)):
        i, j, k = blocks[n] // (J * K), blocks[n] // K % J, blocks[n] % K
        x, y, z, here = np.float32(i), np.float32(j), np.float32(k), velocity[i, j, k]
        _at(velocity, x - half * here[0], y - half * here[1], z - half * here[2], v)
        for a in range(3):
            back[a] = -dt * v[a]
        _at(displacement, x + back[0], y + back[1], z + back[2], there)
        for a in range(3):
            out[i, j, k, a] = back[a] + there[a]


@compiled
def _extend(out: np.ndarray, rank: np.ndarray, halo: np.ndarray, smooth: np.ndarray) -> None:
    """Fill the layers of `out`, one block after the other."""
    I, J, K = rank.shape  # noqa: E741 (letters of the shape)
    for block in halo:
        i, j, k = block // (J * K), block // K % J, block % K
        total = np.float32(0)
        for x in range(max(i - 1, 0), min(i + 2, I)):
            for y in range(max(j - 1, 0), min(j + 2, J)):
                for z in range(max(k - 1, 0), min(k + 2, K)):
                    if rank[x, y, z] < rank[i, j, k]:
                        weight = smooth[abs(x - i) + abs(y - j) + abs(z - k)]
                        total += weight
                        for c in range(out.shape[3]):
                            out[i, j, k, c] += weight * out[x, y, z, c]
        for c in range(out.shape[3]):
            out[i, j, k, c] /= total
