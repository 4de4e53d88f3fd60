"""The coarse grid on which the flow is solved, about twice the voxel size, and the way between it and the voxels."""

from dataclasses import dataclass

import numpy as np
import scipy.ndimage as ndi
import scipy.sparse as sp

from pathosynth.data.volume import Spacing
from pathosynth.morphing.threads import by_rows, compiled

_HALO = 2  # coarse voxels around the domain to which velocities are extended, so that sampling there is not damped
_BEYOND = 255  # rank of what is neither domain nor halo


@dataclass(frozen=True)
class CoarseGrid:
    """Blocks of voxels, their spacing, and the two sets of blocks that matter.

    Fields on the grid are (I', J', K', channels) float32, channels last, so that one look at a block serves them all.

    Attributes:
        factors: voxels per block along each axis; the fine shape is a multiple of them.
        shape: number of blocks along each axis.
        spacing_mm: edge lengths of a block.
        domain: (I', J', K') bool, where the equation holds.
        inside: flat numbers of the domain's blocks.
        active: flat numbers of the domain's blocks and of the halo around them.
        rank: (I', J', K') uint8, 0 in the domain, 1 and 2 in the layers of the halo around it.
        halo: flat numbers of the blocks of each layer of the halo, inner layer first.
    """

    factors: tuple[int, int, int]
    shape: tuple[int, int, int]
    spacing_mm: Spacing
    domain: np.ndarray
    inside: np.ndarray
    active: np.ndarray
    rank: np.ndarray
    halo: tuple[np.ndarray, ...]

    @property
    def block_ml(self) -> float:
        """Volume of one block in millilitres."""
        return float(np.prod(self.spacing_mm)) / 1000.0


def block_factors(spacing_mm: Spacing) -> tuple[int, int, int]:
    """Voxels per block that make blocks of about twice the mean voxel edge, as isotropic as the voxels allow.

    (2, 2, 2) for isotropic voxels; thick slices are kept whole, so anisotropic maps need no resampling.
    """
    edge = 2.0 * float(np.prod(spacing_mm)) ** (1.0 / 3.0)
    i, j, k = (max(1, round(edge / s)) for s in spacing_mm)
    return (i, j, k)


def block_mean(array: np.ndarray, factors: tuple[int, int, int]) -> np.ndarray:
    """Mean of each block, float32. The shape must be a multiple of `factors`."""
    out = np.zeros([n // f for n, f in zip(array.shape, factors, strict=True)], np.float32)
    by_rows(lambda a, b: _block_mean(array, factors, out, a, b), len(out), array[0].size)
    return out


def build_grid(inside: np.ndarray, spacing_mm: Spacing, factors: tuple[int, int, int]) -> CoarseGrid:
    """Coarse grid whose domain are the blocks at least half inside.

    Args:
        inside: (I, J, K) bool at voxel resolution.
        spacing_mm: of the voxels.
        factors: from `block_factors`.
    """
    domain = block_mean(inside, factors) >= 0.5
    rank, known = np.where(domain, 0, _BEYOND).astype(np.uint8), domain
    for layer in range(1, _HALO + 1):
        wider = ndi.maximum_filter(known, 3, mode="constant")
        rank[wider & ~known] = layer
        known = wider
    halo = tuple(np.flatnonzero(rank == layer) for layer in range(1, _HALO + 1))
    x, y, z = (f * s for f, s in zip(factors, spacing_mm, strict=True))
    i, j, k = domain.shape
    inner, active = np.flatnonzero(domain), np.flatnonzero(known)
    return CoarseGrid(factors, (i, j, k), (x, y, z), domain, inner, active, rank, halo)


def class_fractions(
    classes: np.ndarray, factors: tuple[int, int, int], channels: np.ndarray, weight: np.ndarray | None = None
) -> sp.csr_matrix:
    """Share of each block that belongs to each channel; most blocks hold one class, so a sparse matrix.

    Args:
        classes: (I, J, K) uint8; the shape is a multiple of `factors`.
        factors: voxels per block.
        channels: (n_classes,) int, the channel of each class; -1 leaves a class out.
        weight: (I, J, K) float32 multiplied with the indicator of every class; None is 1 everywhere.

    Returns:
        (n_blocks, channels) CSR float32.
    """
    weights = np.ones((1, 1, 1), np.float32) if weight is None else weight
    shape = [n // f for n, f in zip(classes.shape, factors, strict=True)]
    ends = np.zeros(int(np.prod(shape)) + 1, np.int32)
    rows, row_size = shape[0], classes[0].size
    by_rows(lambda a, b: _count_channels(classes, factors, channels, ends, a, b), rows, row_size)
    np.cumsum(ends, out=ends)
    column, share = np.empty(ends[-1], np.int32), np.zeros(ends[-1], np.float32)
    by_rows(lambda a, b: _add_shares(classes, factors, channels, weights, ends, column, share, a, b), rows, row_size)
    return sp.csr_matrix((share, column, ends), shape=(len(ends) - 1, int(channels.max(initial=0)) + 1))


def refine(displacement: np.ndarray, factors: tuple[int, int, int], blocks: tuple[slice, slice, slice]) -> np.ndarray:
    """Backward displacement at the voxels of some blocks, by trilinear interpolation between block centres.

    Beyond the outermost centres it is constant.

    Args:
        displacement: (I', J', K', 3) in blocks.
        factors: voxels per block.
        blocks: the blocks wanted.

    Returns:
        (3, i, j, k) float32 in voxels.
    """
    ends = [(f * part.start, f * part.stop) for f, part in zip(factors, blocks, strict=True)]
    out = np.empty((3, *(b - a for a, b in ends)), np.float32)
    first = (blocks[0].start, blocks[1].start, blocks[2].start)
    by_rows(lambda a, b: _refine(displacement, factors, first, out, a, b), out.shape[1], out[0, 0].size)
    return out


@compiled
def _block_mean(array: np.ndarray, factors: tuple[int, int, int], out: np.ndarray, start: int, stop: int) -> None:
    """Fill planes of blocks."""
    a, b, c = factors
    size = np.float32(a * b * c)
    for i in range(start, stop):
        for j in range(out.shape[1]):
            for k in range(out.shape[2]):
                total = np.float32(0)
                for x in range(i * a, i * a + a):
                    for y in range(j * b, j * b + b):
                        for z in range(k * c, k * c + c):
                            total += np.float32(array[x, y, z])
                out[i, j, k] = total / size


@compiled
def _place(column: np.ndarray, start: int, stop: int, channel: int) -> int:
    """Where a channel is among the first entries of a row, -1 where it is not."""
    for n in range(start, stop):
        if column[n] == channel:
            return n
    return -1


@compiled
def _count_channels(
    classes: np.ndarray, factors: tuple[int, int, int], channels: np.ndarray, ends: np.ndarray, start: int, stop: int
) -> None:
    """Number of channels in each block of some planes, one place further on."""
    a, b, c = factors
    seen = np.empty(a * b * c, np.int32)
    blocks = (classes.shape[1] // b, classes.shape[2] // c)
    for i in range(start, stop):
        for j in range(blocks[0]):
            for k in range(blocks[1]):
                found = 0
                for x in range(i * a, i * a + a):
                    for y in range(j * b, j * b + b):
                        for z in range(k * c, k * c + c):
                            channel = channels[classes[x, y, z]]
                            if channel >= 0 and _place(seen, 0, found, channel) < 0:
                                seen[found] = channel
                                found += 1
                ends[(i * blocks[0] + j) * blocks[1] + k + 1] = found


@compiled
def _add_shares(
    classes: np.ndarray,
    factors: tuple[int, int, int],
    channels: np.ndarray,
    weight: np.ndarray,
    ends: np.ndarray,
    column: np.ndarray,
    share: np.ndarray,
    start: int,
    stop: int,
) -> None:
    """Fill the rows of the blocks of some planes; a weight of one voxel counts for all."""
    a, b, c = factors
    even, part = weight.size == 1, np.float32(1 / (a * b * c))
    blocks = (classes.shape[1] // b, classes.shape[2] // c)
    for i in range(start, stop):
        for j in range(blocks[0]):
            for k in range(blocks[1]):
                first = ends[(i * blocks[0] + j) * blocks[1] + k]
                last = first
                for x in range(i * a, i * a + a):
                    for y in range(j * b, j * b + b):
                        for z in range(k * c, k * c + c):
                            channel = channels[classes[x, y, z]]
                            if channel < 0:
                                continue
                            at = _place(column, first, last, channel)
                            if at < 0:
                                at, last = last, last + 1
                                column[at] = channel
                            share[at] += part * (weight[0, 0, 0] if even else weight[x, y, z])


@compiled
def _between(voxel: int, factor: int, size: int) -> tuple[int, int, np.float32]:
    """The blocks whose centres lie before and after a voxel's centre, and the part of the way it has gone."""
    position = (voxel + 0.5) / factor - 0.5
    before = int(np.floor(position))
    return max(before, 0), min(before + 1, size - 1), np.float32(position - before)


@compiled
def refine_row(
    displacement: np.ndarray,
    factors: tuple[int, int, int],
    first: tuple[int, int, int],
    i: int,
    j: int,
    blend: np.ndarray,
    out: np.ndarray,
) -> None:
    """Backward displacement in voxels along one row of voxels, for compiled loops.

    Args:
        displacement: (I', J', K', 3) in blocks.
        factors: voxels per block.
        first: the block in which i, j and the row start to count.
        i: the row's voxel on the first axis.
        j: the row's voxel on the second axis.
        blend: (K' + 2,) room for the row of blocks blended across, and one more at both ends.
        out: (3, k), filled.
    """
    shape, one, factor = displacement.shape, np.float32(1), factors[2]
    x, x2, a = _between(i + first[0] * factors[0], factors[0], shape[0])
    y, y2, b = _between(j + first[1] * factors[1], factors[1], shape[1])
    for axis in range(3):
        size = np.float32(factors[axis])
        corner = (size * (one - a) * (one - b), size * (one - a) * b, size * a * (one - b), size * a * b)
        for k in range(shape[2]):
            near = corner[0] * displacement[x, y, k, axis] + corner[1] * displacement[x, y2, k, axis]
            far = corner[2] * displacement[x2, y, k, axis] + corner[3] * displacement[x2, y2, k, axis]
            blend[k + 1] = near + far
        blend[0], blend[-1] = blend[1], blend[-2]
        for part in range(factor):
            offset = np.float32((part + 0.5) / factor - 0.5)
            here, side = first[2] + 1, first[2] + (2 if offset > 0 else 0)
            for k in range(out.shape[1] // factor):
                change = blend[side + k] - blend[here + k]
                out[axis, k * factor + part] = blend[here + k] + abs(offset) * change


@compiled
def _refine(
    displacement: np.ndarray,
    factors: tuple[int, int, int],
    first: tuple[int, int, int],
    out: np.ndarray,
    start: int,
    stop: int,
) -> None:
    """Fill planes of voxels."""
    blend = np.empty(displacement.shape[2] + 2, np.float32)
    for i in range(start, stop):
        for j in range(out.shape[2]):
            refine_row(displacement, factors, first, i, j, blend, out[:, i, j])
