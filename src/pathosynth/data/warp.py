"""Carry an image along a displacement field, and random affine maps for augmentation."""

import numpy as np
from scipy import ndimage

from pathosynth.runs.errors import InputError


def warp_image(image: np.ndarray, displacement: np.ndarray, order: int) -> np.ndarray:
    """The image pulled back: warped(x) = image(x + displacement(x)), and 0 where that lies outside the grid.

    With order 1, whole-voxel displacements move voxels without changing a bit, and no value leaves the range of the
    image. Order 3 is sharper but may overshoot next to edges.

    Args:
        image: (I, J, K) finite float32.
        displacement: (3, I, J, K) backward displacement in voxels.
        order: 1 linear, 3 cubic spline.

    Returns:
        (I, J, K) float32.

    Raises:
        InputError: the shapes do not fit, the order is another one, or the displacement is not finite.
    """
    if displacement.shape != (3, *image.shape):
        raise InputError(f"Warp: expected a displacement of shape {(3, *image.shape)}, found {displacement.shape}.")
    if order not in (1, 3):
        raise InputError(f"Warp: expected interpolation order 1 or 3, found {order}.")
    if not np.isfinite(displacement).all():
        raise InputError("Warp: the displacement has values that are not finite. Morph this case again.")
    where = displacement.astype(np.float64)
    for axis, n in enumerate(image.shape):
        where[axis] += np.arange(n).reshape([-1 if a == axis else 1 for a in range(3)])
    warped: np.ndarray = ndimage.map_coordinates(
        image.astype(np.float32, copy=False), where, order=order, mode="constant"
    )
    return warped


def random_affine(rng: np.random.Generator, scaling: float, degrees: float) -> np.ndarray:
    """Rotations about the three axes after a scaling of each axis, (3, 3).

    Args:
        rng: source of the numbers.
        scaling: each axis is scaled by exp(U(-scaling, scaling)).
        degrees: rotation about each axis, U(-degrees, degrees).
    """
    matrix = np.diag(np.exp(rng.uniform(-scaling, scaling, 3)))
    for axis, angle in enumerate(np.deg2rad(rng.uniform(-degrees, degrees, 3))):
        rotation = np.eye(3)
        a, b = [i for i in range(3) if i != axis]
        rotation[[a, a, b, b], [a, b, a, b]] = np.cos(angle), -np.sin(angle), np.sin(angle), np.cos(angle)
        matrix = rotation @ matrix
    return matrix
