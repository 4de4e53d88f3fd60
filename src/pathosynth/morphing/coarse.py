"""The coarse grid on which the flow is solved, about twice the voxel size, and the way between it and the voxels."""

from dataclasses import dataclass

import numpy as np
import scipy.ndimage as ndi
import scipy.sparse as sp

from pathosynth.data.volume import Spacing

_HALO = 2  # coarse voxels around the domain to which velocities are extended, so that sampling there is not damped
_SMOOTH = np.exp(-0.5 * np.array([-1.0, 0.0, 1.0]) ** 2)


@dataclass(frozen=True)
class CoarseGrid:
    """Blocks of voxels, their spacing, and the two sets of blocks that matter.

    Fields on the grid are stored flat, (n_blocks, channels) float32 in C order, so that one sparse product samples
    all channels at once.

    Attributes:
        factors: voxels per block along each axis; the fine shape is a multiple of them.
        shape: number of blocks along each axis.
        spacing_mm: edge lengths of a block.
        domain: (I', J', K') bool, where the equation holds.
        active: flat numbers of the domain's blocks and of the halo around them.
        extension: (n_active, n_domain) CSR, extends a field from the domain smoothly into the halo.
    """

    factors: tuple[int, int, int]
    shape: tuple[int, int, int]
    spacing_mm: Spacing
    domain: np.ndarray
    active: np.ndarray
    extension: sp.csr_matrix

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
    (a, b, c), (i, j, k) = factors, array.shape
    blocks = array.reshape(i // a, a, j // b, b, k // c, c)
    return np.asarray(blocks.mean(axis=(1, 3, 5), dtype=np.float32))


def build_grid(inside: np.ndarray, spacing_mm: Spacing, factors: tuple[int, int, int]) -> CoarseGrid:
    """Coarse grid whose domain are the blocks at least half inside.

    Args:
        inside: (I, J, K) bool at voxel resolution.
        spacing_mm: of the voxels.
        factors: from `block_factors`.
    """
    domain = block_mean(inside, factors) >= 0.5
    reach = ndi.binary_dilation(domain, np.ones((3, 3, 3)), iterations=_HALO)
    active = np.flatnonzero(reach)
    x, y, z = (f * s for f, s in zip(factors, spacing_mm, strict=True))
    i, j, k = domain.shape
    return CoarseGrid(factors, (i, j, k), (x, y, z), domain, active, _extension(domain, active))


def class_fractions(classes: np.ndarray, factors: tuple[int, int, int], weight: np.ndarray | None = None) -> np.ndarray:
    """Share of each class in each block, (n_blocks, n_classes) float32.

    Args:
        classes: (I, J, K) uint8; the shape is a multiple of `factors`.
        factors: voxels per block.
        weight: (I, J, K) float32 multiplied with the indicator of every class.
    """
    count, shape = int(classes.max()) + 1, [n // f for n, f in zip(classes.shape, factors, strict=True)]
    i, j, k = (np.arange(n, dtype=np.int32) // f for n, f in zip(classes.shape, factors, strict=True))
    block = (i[:, None, None] * shape[1] + j[:, None]) * shape[2] + k
    total = int(np.prod(shape))
    key = block * np.int32(count) + classes
    sums = np.bincount(key.ravel(), None if weight is None else weight.ravel(), minlength=total * count)
    return (sums.reshape(total, count) / np.prod(factors)).astype(np.float32)


def refine(displacement: np.ndarray, factors: tuple[int, int, int], blocks: tuple[slice, slice, slice]) -> np.ndarray:
    """Backward displacement at the voxels of some blocks, by trilinear interpolation between block centres.

    Args:
        displacement: (I', J', K', 3) in blocks.
        factors: voxels per block.
        blocks: the blocks wanted.

    Returns:
        (3, i, j, k) float32 in voxels.
    """
    out = np.moveaxis(displacement * np.asarray(factors, np.float32), -1, 0)
    for axis in (2, 1, 0):  # the axis whose writes are scattered first, while the array is small
        out = _stretch(out, axis + 1, factors[axis], blocks[axis])
    return np.ascontiguousarray(out)


def _stretch(array: np.ndarray, axis: int, factor: int, wanted: slice) -> np.ndarray:
    """Linear interpolation along one axis from block centres to voxel centres, constant beyond the ends."""
    moved = np.moveaxis(array, axis, 0)
    padded = np.concatenate([moved[:1], moved, moved[-1:]])
    first, last = wanted.start, wanted.stop
    below, here, above = padded[first:last], padded[first + 1 : last + 1], padded[first + 2 : last + 2]
    shape = list(array.shape)
    shape[axis] = factor * (last - first)
    out = np.empty(shape, np.float32)
    target = np.moveaxis(out, axis, 0)
    for part in range(factor):
        offset = np.float32((part + 0.5) / factor - 0.5)
        change = (above if offset > 0 else below) - here
        change *= abs(offset)
        np.add(here, change, out=target[part::factor])
    return out


def _extension(domain: np.ndarray, active: np.ndarray) -> sp.csr_matrix:
    """Identity on the domain; each halo layer is the Gaussian-weighted mean of the layers inside it."""
    total, n_domain = domain.size, int(domain.sum())
    inside = np.flatnonzero(domain)
    known = domain.copy()
    operator = sp.csr_matrix((np.ones(n_domain, np.float32), (inside, np.arange(n_domain))), shape=(total, n_domain))
    for _ in range(_HALO):
        layer = ndi.binary_dilation(known, np.ones((3, 3, 3))) & ~known
        operator = operator + _mean_of_neighbours(layer, known) @ operator
        known |= layer
    return operator[active].astype(np.float32)


def _mean_of_neighbours(wanted: np.ndarray, known: np.ndarray) -> sp.csr_matrix:
    """Rows: voxels of `wanted`; columns: their 26 neighbours in `known`, Gaussian weights that sum to 1."""
    index, shape = np.stack(np.nonzero(wanted)), np.asarray(wanted.shape)[:, None]
    rows, columns, weights = [], [], []
    for offset in np.ndindex(3, 3, 3):
        there = index + np.asarray(offset)[:, None] - 1
        valid = np.all((there >= 0) & (there < shape), axis=0)
        at = np.ravel_multi_index(tuple(np.where(valid, there, 0)), wanted.shape)
        valid &= known.ravel()[at]
        rows.append(np.ravel_multi_index(tuple(index[:, valid]), wanted.shape))
        columns.append(at[valid])
        weights.append(np.full(int(valid.sum()), np.prod(_SMOOTH[list(offset)])))
    row, weight = np.concatenate(rows), np.concatenate(weights)
    share = weight / np.bincount(row, weight, wanted.size)[row]
    return sp.csr_matrix((share, (row, np.concatenate(columns))), shape=(wanted.size, wanted.size))
