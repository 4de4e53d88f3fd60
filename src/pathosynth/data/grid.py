"""Orientation, voxel size and field of view of a volume, changed without harm and given back.

Orientation changes are axis flips and permutations only, so they lose nothing. Voxel size changes keep millimetres:
one edge length for all three axes, never a stretch to fill a box.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from nibabel import orientations
from scipy import ndimage

from pathosynth.data.geometry import SAME_GRID_MM, corner_distance_mm
from pathosynth.data.volume import Spacing, Volume
from pathosynth.runs.errors import InputError

SAME_SPACING = 1e-3
"""Relative difference below which two voxel sizes are the same; headers hold 0.799999 for 0.8."""

_FWHM_TO_SIGMA = 1.0 / (2.0 * np.sqrt(2.0 * np.log(2.0)))

Voxels = tuple[int, int, int]


@dataclass(frozen=True)
class Box:
    """A box of voxels, `start` included and `stop` excluded; it may reach beyond the array it belongs to."""

    start: Voxels
    stop: Voxels

    @property
    def shape(self) -> Voxels:
        """Number of voxels along each axis."""
        i, j, k = (b - a for a, b in zip(self.start, self.stop, strict=True))
        return (i, j, k)


def to_ras(volume: Volume) -> Volume:
    """The same voxels with array axes running closest to right, anterior and superior. Exact."""
    return _reorient(volume, np.array([[0, 1], [1, 1], [2, 1]]))


def same_grid(a: Volume, b: Volume) -> bool:
    """Whether two volumes have one shape, and corners within `SAME_GRID_MM`."""
    return a.shape == b.shape and corner_distance_mm(a.affine, b.affine, a.shape) <= SAME_GRID_MM


def to_orientation_of(volume: Volume, like: Volume) -> Volume:
    """The same voxels with array axes running as in `like`. Exact.

    Where the result lies on the grid of `like` it gets that affine to the bit, free of rounding on the way.
    """
    turned = _reorient(volume, orientations.io_orientation(like.affine))
    return Volume(turned.array, like.affine.copy()) if same_grid(turned, like) else turned


def isotropic_spacing(volume: Volume) -> float:
    """The real voxel size in millimetres: the common edge length, or the smallest edge of an anisotropic volume."""
    edges = volume.spacing_mm
    smallest = min(edges)
    return float(np.mean(edges)) if max(edges) - smallest <= SAME_SPACING * smallest else smallest


def has_spacing(volume: Volume, spacing_mm: float) -> bool:
    """Whether all three voxel edges are `spacing_mm` within `SAME_SPACING`."""
    return bool(np.allclose(volume.spacing_mm, spacing_mm, rtol=SAME_SPACING, atol=0))


def resample_image(volume: Volume, spacing_mm: float) -> Volume:
    """Bring an image to isotropic voxels of `spacing_mm`, linear, same centre and at least the same field of view.

    Axes that get coarser are smoothed first, so that nothing finer than the new voxels folds back as texture
    (Gaussian of variance (new^2 - old^2) at half maximum; Cardoso et al., MICCAI 2015). A volume that has the
    spacing already is returned as it is.

    Raises:
        InputError: the spacing is not a positive number, or would make more than 2**31 voxels.
    """
    if has_spacing(volume, spacing_mm):
        return volume
    shape, affine = _target_grid(volume, spacing_mm)
    smooth = _antialias(volume.array.astype(np.float32), volume.spacing_mm, spacing_mm)
    return Volume(_interpolate(smooth, volume.spacing_mm, spacing_mm, shape), affine)


def resample_labels(volume: Volume, spacing_mm: float) -> Volume:
    """Bring labels to isotropic voxels of `spacing_mm`: every label as its own mask, linear, the largest share wins.

    Same grid and same smoothing as `resample_image`. No value appears that was not there; ties go to the lower
    value. One label at a time, so memory does not grow with their number.

    Raises:
        InputError: the spacing is not a positive number, or would make more than 2**31 voxels.
    """
    if has_spacing(volume, spacing_mm):
        return volume
    shape, affine = _target_grid(volume, spacing_mm)
    labels = np.zeros(shape, dtype=volume.array.dtype)
    largest = np.full(shape, -1.0, dtype=np.float32)
    for value in np.unique(volume.array):
        mask = _antialias((volume.array == value).astype(np.float32), volume.spacing_mm, spacing_mm)
        share = _interpolate(mask, volume.spacing_mm, spacing_mm, shape)
        wins = share > largest + 1e-6
        labels[wins] = value
        largest[wins] = share[wins]
    return Volume(labels, affine)


def resample_onto(volume: Volume, like: Volume, *, labels: bool) -> Volume:
    """Bring a volume onto the grid of `like`, which has the same axis directions; outside its field of view is 0.

    Raises:
        InputError: the axes of the two grids are not parallel.
    """
    to_source = np.linalg.inv(volume.affine) @ like.affine
    steps = np.diag(to_source)[:3]
    if np.abs(to_source[:3, :3] - np.diag(steps)).max() > 1e-3 * np.abs(steps).max() or steps.min() <= 0:
        raise InputError("Resampling: the axes of the two grids are not parallel. Bring both to one orientation first.")
    place = [(float(to_source[axis, 3]), float(steps[axis])) for axis in range(3)]
    if not labels:
        return Volume(_sample(volume.array.astype(np.float32), place, like.shape, outside=0.0), like.affine.copy())
    best = np.zeros(like.shape, dtype=volume.array.dtype)
    largest = np.full(like.shape, -1.0, dtype=np.float32)
    for value in np.unique(np.append(volume.array, 0)).astype(volume.array.dtype):
        mask = (volume.array == value).astype(np.float32)
        share = _sample(mask, place, like.shape, outside=float(value == 0))
        wins = share > largest + 1e-6
        best[wins] = value
        largest[wins] = share[wins]
    return Volume(best, like.affine.copy())


def crop_box(mask: np.ndarray, margin_voxels: int, multiple: int = 1) -> Box:
    """The smallest box around a mask, widened by a margin and then up to a multiple of voxels on every axis.

    The box may reach beyond the array; `crop` then pads.

    Raises:
        InputError: the mask is empty.
    """
    starts, stops = [], []
    for axis in range(3):
        hit = np.flatnonzero(mask.any(axis=tuple(a for a in range(3) if a != axis)))
        if hit.size == 0:
            raise InputError("Crop box: the mask is empty, expected at least one voxel. Check the label map.")
        start, stop = int(hit[0]) - margin_voxels, int(hit[-1]) + 1 + margin_voxels
        missing = -(stop - start) % multiple
        starts.append(start - missing // 2)
        stops.append(stop + missing - missing // 2)
    return Box((starts[0], starts[1], starts[2]), (stops[0], stops[1], stops[2]))


def crop(array: np.ndarray, box: Box, fill: float) -> np.ndarray:
    """Voxels inside a box, `fill` where the box reaches beyond the array.

    Acts on the last three axes, so that a field (3, I, J, K) can be cropped too. Always a copy.
    """
    out = np.full((*array.shape[:-3], *box.shape), fill, dtype=array.dtype)
    inside, outside = _overlap(box, array.shape[-3:])
    out[inside] = array[outside]
    return out


def uncrop(array: np.ndarray, box: Box, shape: tuple[int, ...], fill: float) -> np.ndarray:
    """Put a cropped array back into one of `shape` (I, J, K), `fill` around it; undoes `crop`.

    Raises:
        ValueError: the last three axes do not have the box's shape.
    """
    if array.shape[-3:] != box.shape:
        raise ValueError(f"expected an array of the box's shape {box.shape}, found {array.shape}")
    out = np.full((*array.shape[:-3], *shape), fill, dtype=array.dtype)
    inside, outside = _overlap(box, shape)
    out[outside] = array[inside]
    return out


def crop_volume(volume: Volume, box: Box, fill: float) -> Volume:
    """`crop` with the affine moved along, so that every voxel keeps its place in the world."""
    affine = volume.affine.copy()
    affine[:3, 3] += volume.affine[:3, :3] @ np.asarray(box.start, dtype=np.float64)
    return Volume(crop(volume.array, box, fill), affine)


def _reorient(volume: Volume, wanted: np.ndarray) -> Volume:
    turn = orientations.ornt_transform(orientations.io_orientation(volume.affine), wanted)
    array = np.ascontiguousarray(orientations.apply_orientation(volume.array, turn))
    affine = volume.affine @ orientations.inv_ornt_aff(turn, volume.shape)
    return Volume(array, np.asarray(affine, dtype=np.float64))


def _overlap(box: Box, shape: tuple[int, ...]) -> tuple[Any, Any]:
    """Where a box and an array of `shape` overlap: index into the box, index into the array."""
    inside, outside = [], []
    for start, stop, size in zip(box.start, box.stop, shape, strict=True):
        low, high = min(max(start, 0), size), max(min(stop, size), 0)
        high = max(low, high)
        inside.append(slice(low - start, high - start) if high > low else slice(0, 0))
        outside.append(slice(low, high))
    return (..., *inside), (..., *outside)


def _target_grid(volume: Volume, spacing_mm: float) -> tuple[Voxels, np.ndarray]:
    if not (np.isfinite(spacing_mm) and spacing_mm > 0):
        raise InputError(f"Voxel size {spacing_mm}: expected a positive number of millimetres.")
    edges = np.asarray(volume.spacing_mm)
    counts = np.maximum(np.ceil(np.asarray(volume.shape) * edges / spacing_mm - SAME_SPACING), 1)
    if counts.prod() > 2**31:
        raise InputError(f"Voxel size {spacing_mm} mm: would make {counts.prod():.3g} voxels. Choose a larger one.")
    i, j, k = (int(n) for n in counts)
    affine = volume.affine.copy()
    affine[:3, :3] = volume.affine[:3, :3] / edges * spacing_mm
    centre = volume.affine[:3, :3] @ ((np.asarray(volume.shape) - 1) / 2) + volume.affine[:3, 3]
    affine[:3, 3] = centre - affine[:3, :3] @ ((counts - 1) / 2)
    return (i, j, k), affine


def _antialias(array: np.ndarray, edges: Spacing, spacing_mm: float) -> np.ndarray:
    widths = [_FWHM_TO_SIGMA * np.sqrt(max(spacing_mm**2 - edge**2, 0.0)) / edge for edge in edges]
    return np.asarray(ndimage.gaussian_filter(array, widths, mode="nearest")) if max(widths) > 0.05 else array


def _interpolate(array: np.ndarray, edges: Spacing, spacing_mm: float, shape: Voxels) -> np.ndarray:
    """Linear, centre on centre; outside the outermost voxel centres the edge value goes on."""
    steps = [spacing_mm / edge for edge in edges]
    place = [((n - 1) / 2 - step * (m - 1) / 2, step) for n, m, step in zip(array.shape, shape, steps, strict=True)]
    return _sample(array, place, shape, outside=None)


def _sample(array: np.ndarray, place: list[tuple[float, float]], shape: Voxels, *, outside: float | None) -> np.ndarray:
    """Linear interpolation one axis at a time at source coordinates first + step * index.

    `outside` is the value beyond half a voxel from the outermost centres; None repeats the edge.
    """
    for axis, ((first, step), count) in enumerate(zip(place, shape, strict=True)):
        at = first + step * np.arange(count)
        last = array.shape[axis] - 1
        clipped = np.clip(at, 0, last)
        low = np.minimum(clipped.astype(np.intp), max(last - 1, 0))
        weight = (clipped - low).astype(np.float32).reshape([-1 if a == axis else 1 for a in range(3)])
        below, above = array.take(low, axis), array.take(np.minimum(low + 1, last), axis)
        array = below + weight * (above - below)
        if outside is not None:
            array[(slice(None),) * axis + ((at < -0.5) | (at > last + 0.5),)] = outside
    return np.ascontiguousarray(array)
