"""How alike are two images in what their common label map does not tell? A copied image shares its texture."""

import numpy as np

from pathosynth.data.intensity import robust_scale
from pathosynth.metrics.structure import ncc


def texture_likeness(first: np.ndarray, second: np.ndarray, labels: np.ndarray) -> float:
    """Correlation of two images inside the labels after each label's median is taken off, -1 to 1.

    Two images of one label map always share something (partial volume at borders, shading), so the number means
    something only against that of images a model has not seen. NaN where an image is constant within labels.

    Args:
        first: (I, J, K) finite intensities, any unit.
        second: same shape.
        labels: (I, J, K) unsigned integers, 0 is background; they belong to both.

    Raises:
        InputError: shapes differ, no label, or nothing to scale the intensities by.
    """
    inside = labels > 0
    return ncc(_detail(first, labels), _detail(second, labels), inside)


def _detail(image: np.ndarray, labels: np.ndarray) -> np.ndarray:
    scaled, _, _ = robust_scale(image, labels > 0)
    detail = np.zeros(image.shape, np.float32)
    for value in np.unique(labels[labels > 0]):
        where = labels == value
        detail[where] = scaled[where] - np.median(scaled[where])
    return np.clip(detail, -1, 1)
