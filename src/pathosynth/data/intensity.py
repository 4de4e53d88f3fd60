"""One robust intensity scaling per volume, and its inverse.

The first paper scaled every slice on its own, a known cause of steps between its slices; here one pair of numbers
serves a whole volume and is kept, so that the original intensities can be given back.
"""

import numpy as np

from pathosynth.runs.errors import InputError

LOW_PERCENT, HIGH_PERCENT = 0.5, 99.5
_ALMOST_ZERO = 1e-6
"""What a voxel of the head that falls on 0 gets instead, since 0 is the background."""


def robust_scale(image: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, float, float]:
    """Scale an image so that the 0.5th percentile inside `mask` becomes 0 and the 99.5th becomes 1.

    Linear and not clipped, but for a constant background outside the mask, which becomes 0 as in generated images:
    nnU-Net normalises what is not 0, and whoever carries an image along asks where it ends.

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
    scaled = ((image.astype(np.float64) - low) / (high - low)).astype(np.float32)
    value = background_value(image)
    if value is not None:
        outside = (image == value) & ~mask
        scaled[(scaled == 0) & ~outside] = _ALMOST_ZERO
        scaled[outside] = 0
    return scaled, low, high


def undo_scale(scaled: np.ndarray, low: float, high: float, background: float | None) -> np.ndarray:
    """Original intensities of an image scaled by `robust_scale`, float32; what is 0 becomes `background`, if any."""
    image = (scaled.astype(np.float64) * (high - low) + low).astype(np.float32)
    if background is not None:
        image[scaled == 0] = background
    return image


def background_value(image: np.ndarray) -> float | None:
    """The one intensity of at least half of the array's faces; None where the background is noise or there is none."""
    faces = [np.take(image, side, axis).ravel() for axis in range(image.ndim) for side in (0, -1)]
    values, counts = np.unique(np.concatenate(faces), return_counts=True)
    most = int(counts.argmax())
    return float(values[most]) if 2 * counts[most] >= counts.sum() else None


def with_empty_background(image: np.ndarray) -> np.ndarray:
    """The image with a constant background set to 0; as it is where its background is 0 or noise."""
    value = background_value(image)
    return image if not value else np.where(image == value, 0, image).astype(image.dtype)
