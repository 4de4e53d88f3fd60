"""Training images in a form that can be looked up anywhere."""

import numpy as np
import scipy.ndimage as ndi


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
