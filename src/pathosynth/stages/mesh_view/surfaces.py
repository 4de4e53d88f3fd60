"""From a mask to its surface in millimetres, and how far the tissue there has moved: arrays in, arrays out."""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from scipy.optimize import brentq
from skimage.measure import marching_cubes

from pathosynth.data.grid import crop_box, crop_volume
from pathosynth.data.volume import Volume

SMOOTHING = 0.9
"""Standard deviation of the Gaussian, in sampling steps: the steps of the voxels vanish, folds of two steps stay."""


@dataclass(frozen=True)
class Surface:
    """Triangles in world space.

    Attributes:
        vertices_mm: (N, 3) float32, RAS+ millimetres.
        triangles: (M, 3) uint32 numbers of vertices, anticlockwise as seen from outside.
    """

    vertices_mm: np.ndarray
    triangles: np.ndarray


def surface(mask: Volume, most_vertices: int) -> Surface:
    """The closed surface around a mask, smoothed, with the volume of its voxels within 1 %.

    The mask is blurred and sampled at the step of `step_mm`; the level is the one that encloses the right volume, so
    thin parts do not vanish as they would at 0.5.

    Args:
        mask: bool voxels, at least one of them true; any orientation, voxel size and shear.
        most_vertices: about how many vertices the surface may have.

    Raises:
        InputError: the mask is empty.
    """
    step = step_mm(mask, most_vertices)
    edges = np.asarray(mask.spacing_mm)
    sigma = SMOOTHING * np.maximum(step, edges) / edges
    box = crop_box(mask.array, int(np.ceil(4 * sigma.max() + step / edges.min())) + 1)
    near = crop_volume(mask, box, fill=False)
    blurred = ndimage.gaussian_filter(near.array.astype(np.float32), sigma, mode="constant")
    steps = step / edges
    shape = tuple(int((n - 1) / s) + 1 for n, s in zip(near.shape, steps, strict=True))
    sampled = ndimage.affine_transform(blurred, steps, output_shape=shape, order=1)
    wanted = near.array.sum() * edges.prod() / step**3
    found, triangles = _contour(sampled, _level(sampled, wanted))
    if np.linalg.det(near.affine[:3, :3]) < 0:
        triangles = triangles[:, ::-1]
    return Surface(to_world(found * steps, near.affine).astype(np.float32), triangles.astype(np.uint32))


def step_mm(mask: Volume, most_vertices: int) -> float:
    """The sampling step that gives a surface of about `most_vertices` vertices; at least the smallest voxel edge.

    Marching cubes puts a vertex on every grid edge that crosses the surface: A (|nx| + |ny| + |nz|) / step^2 of them
    for a patch of area A with normal n. A (|nx| + |ny| + |nz|) is also the area of the voxel faces exposed there.
    """
    array = np.pad(mask.array, 1)
    i, j, k = mask.spacing_mm
    faces = [int((array != np.roll(array, 1, axis)).sum()) for axis in range(3)]
    exposed_mm2 = faces[0] * j * k + faces[1] * i * k + faces[2] * i * j
    return max(float(np.sqrt(exposed_mm2 / most_vertices)), min(mask.spacing_mm))


def to_world(points: np.ndarray, affine: np.ndarray) -> np.ndarray:
    """Voxel coordinates (N, 3) as RAS+ millimetres (N, 3)."""
    return np.asarray(points @ affine[:3, :3].T + affine[:3, 3])


def movement_mm(displacement: np.ndarray, affine: np.ndarray, points_mm: np.ndarray) -> np.ndarray:
    """How the tissue that now lies at some points got there from where it lay in the parent.

    Args:
        displacement: (3, I, J, K) backward displacement in voxels: here(x) = parent(x + displacement(x)).
        affine: of the displacement's grid.
        points_mm: (N, 3) world positions in the case that was made; the edge value goes on outside the grid.

    Returns:
        (N, 3) float64 vectors in RAS+ millimetres, from the parent's place to this one: -A d(x).
    """
    voxels = to_voxels(points_mm, affine)
    backward = [ndimage.map_coordinates(axis, voxels.T, order=1, mode="nearest") for axis in displacement]
    return np.asarray(-np.stack(backward, axis=1).astype(np.float64) @ affine[:3, :3].T)


def to_voxels(points_mm: np.ndarray, affine: np.ndarray) -> np.ndarray:
    """RAS+ millimetres (N, 3) as voxel coordinates (N, 3)."""
    return np.asarray((points_mm - affine[:3, 3]) @ np.linalg.inv(affine[:3, :3]).T)


def thinned(points_mm: np.ndarray, apart_mm: float) -> np.ndarray:
    """One point of every cube of `apart_mm` that holds any: the first, so the choice never changes. (M, 3)."""
    _, first = np.unique(np.floor(points_mm / apart_mm).astype(np.int64), axis=0, return_index=True)
    return np.asarray(points_mm[np.sort(first)])


def lattice_mm(mask: Volume, apart_mm: float) -> np.ndarray:
    """Centres of the voxels of a mask on a regular lattice of about `apart_mm`, (N, 3) in RAS+ millimetres."""
    strides = [max(1, round(apart_mm / edge)) for edge in mask.spacing_mm]
    i, j, k = (slice(stride // 2, None, stride) for stride in strides)
    found = np.argwhere(mask.array[i, j, k]) * strides + [stride // 2 for stride in strides]
    return to_world(found, mask.affine)


def _contour(sampled: np.ndarray, level: float) -> tuple[np.ndarray, np.ndarray]:
    """Vertices (N, 3) in steps, and triangles (M, 3) that face outwards."""
    vertices, triangles, _, _ = marching_cubes(sampled, level, gradient_direction="ascent")
    return vertices, triangles


def _level(sampled: np.ndarray, wanted: float) -> float:
    """The level whose surface encloses `wanted` cubic steps, by bisection and interpolation (Brent)."""
    top = float(sampled.max())

    def excess(level: float) -> float:
        vertices, triangles = _contour(sampled, level)
        a, b, c = np.moveaxis(vertices.astype(np.float64)[triangles], 1, 0)
        return float(np.einsum("ni,ni->", a, np.cross(b, c)) / 6 - wanted)

    return float(brentq(excess, 0.02 * top, 0.98 * top, xtol=1e-3 * top))
