"""One robust intensity scaling per volume, and its inverse.

The first paper scaled every slice on its own, a known cause of steps between its slices; here one pair of numbers
serves a whole volume and is kept, so that the original intensities can be given back.
"""

import numpy as np

from pathosynth.runs.errors import InputError

LOW_PERCENT, HIGH_PERCENT = 0.5, 99.5


def robust_scale(image: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, float, float]:
    """Scale an image so that the 0.5th percentile inside `mask` becomes 0 and the 99.5th becomes 1.

    Linear everywhere, nothing is clipped or masked: `undo_scale` gives the image back.

    Args:
        image: (I, J, K), any real type.
        mask: bool, same shape; the brain.

    Returns:
        Scaled float32 image, and the two intensities `low` and `high` that became 0 and 1.

    Raises:
        InputError: the mask is empty, or the two percentiles are equal, so that there is nothing to scale by.
    """
    inside = image[mask]
    if inside.size == 0:
        raise InputError("Intensity scaling: the mask is empty, expected brain voxels. Check the label map.")
    low, high = (float(value) for value in np.percentile(inside, (LOW_PERCENT, HIGH_PERCENT)))
    if not high > low:
        raise InputError(
            f"Intensity scaling: {LOW_PERCENT} to {HIGH_PERCENT} % of the brain voxels have the one intensity {low:g}, "
            "expected contrast. Check that image and labels belong together."
        )
    scaled = (image.astype(np.float64) - low) / (high - low)
    return scaled.astype(np.float32), low, high


def undo_scale(scaled: np.ndarray, low: float, high: float) -> np.ndarray:
    """Original intensities of an image scaled by `robust_scale`, float32."""
    return (scaled.astype(np.float64) * (high - low) + low).astype(np.float32)
