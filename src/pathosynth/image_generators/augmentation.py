"""Random affine maps of training images, and images in a form that can be looked up anywhere."""

import numpy as np
import scipy.ndimage as ndi


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


def spline_of(image: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """Cubic B-spline coefficients of an image continued beyond the brain, (I, J, K) float32.

    Interpolating across the brain's edge would darken it; the nearest brain voxel stands in for background.

    Args:
        image: (I, J, K).
        inside: the brain, bool.
    """
    nearest = ndi.distance_transform_edt(~inside, return_distances=False, return_indices=True)
    out: np.ndarray = ndi.spline_filter(image[tuple(nearest)], order=3, output=np.float32, mode="mirror")
    return out
