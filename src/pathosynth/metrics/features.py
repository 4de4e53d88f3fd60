"""A named image feature net that nobody has to download: fixed random 3D convolutions, in numpy.

Random filters see texture, blur, noise and contrast of tissue borders at three scales; they do not see what a
radiologist sees. Distances compare models judged by the same net and sets of similar size, nothing else; numbers of
other nets (Inception, RadImageNet) are on other scales.
"""

import hashlib
from functools import lru_cache

import numpy as np
from scipy.special import ndtri

from pathosynth.data.intensity import robust_scale
from pathosynth.runs.errors import InputError

NET = "random-conv3d-v1"
"""Name of the net; its weights are a function of this text alone. Changed arithmetic is a new name."""
CHANNELS = (8, 12, 12)
DIMENSION = 2 * sum(CHANNELS)
"""Features per image: mean and standard deviation of every channel of every layer inside the brain."""


def random_conv3d(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Features of one image by `NET`.

    Three layers of 3 x 3 x 3 convolutions with stride 2 and ReLU; the weights are standard normal, each filter brought
    to sum 0 (first layer) and length sqrt(2). Intensities are scaled robustly inside the mask (`data.intensity`), and 0
    outside, so that unit and contrast range drop out. Compare images of one voxel size.

    Args:
        image: (I, J, K) finite intensities, any unit; at least 8 voxels along each axis.
        mask: bool, same shape; the brain.

    Returns:
        float64 (DIMENSION,).

    Raises:
        InputError: shapes differ, image too small, not finite or constant, or no mask voxel left after halving.
    """
    if image.shape != mask.shape or image.ndim != 3 or min(image.shape) < 8 or not np.isfinite(image).all():
        raise InputError(
            f"Features: expected a finite image of at least 8 voxels per axis and a mask of its shape, found shapes "
            f"{image.shape} and {mask.shape}."
        )
    scaled, _, _ = robust_scale(image, mask)
    layer = np.where(mask, scaled, 0).astype(np.float32)[None]
    found = []
    for weights in _weights(NET):
        layer, mask = np.maximum(_strided_convolution(layer, weights), 0), mask[::2, ::2, ::2]
        if not mask.any():
            raise InputError("Features: the mask is too small for three halvings. Check the label map.")
        inside = layer[:, mask].astype(np.float64)
        found += [inside.mean(axis=1), inside.std(axis=1)]
    return np.concatenate(found)


def standardised(real: np.ndarray, generated: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both sets minus the mean of the real one, over its standard deviation; constant columns are left unscaled."""
    spread = real.std(axis=0, ddof=1) if len(real) > 1 else np.ones(real.shape[1])
    spread = np.where(spread > 1e-12, spread, 1.0)
    return (real - real.mean(axis=0)) / spread, (generated - real.mean(axis=0)) / spread


def projected(features: np.ndarray, dimension: int = 6) -> np.ndarray:
    """(n, dimension) of (n, d) features along fixed random orthonormal directions, for `sets.frechet` of tens of cases.

    The directions follow from `NET` and d alone, so that sets projected apart compare.

    Raises:
        InputError: the dimension is not 1 to d.
    """
    d = features.shape[1]
    if not 1 <= dimension <= d:
        raise InputError(f"Projection: expected 1 to {d} dimensions, found {dimension}.")
    directions, _ = np.linalg.qr(_normal(f"{NET}/projection", d * d).reshape(d, d))
    return np.asarray(features @ directions[:, :dimension])


def _strided_convolution(layer: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """(out, I/2, J/2, K/2) of (in, I, J, K) with weights (out, in, 3, 3, 3), zeros around."""
    size = [(n + 1) // 2 for n in layer.shape[1:]]
    padded = np.pad(layer, ((0, 0), (1, 2), (1, 2), (1, 2)))
    result = np.zeros((weights.shape[0], *size), np.float32)
    for a, b, c in np.ndindex(3, 3, 3):
        window = padded[:, a : a + 2 * size[0] : 2, b : b + 2 * size[1] : 2, c : c + 2 * size[2] : 2]
        result += np.tensordot(weights[:, :, a, b, c], window, axes=1)
    return result


@lru_cache
def _weights(name: str) -> tuple[np.ndarray, ...]:
    layers, before = [], 1
    for index, channels in enumerate(CHANNELS):
        drawn = _normal(f"{name}/{index}", channels * before * 27).reshape(channels, -1)
        if index == 0:
            drawn = drawn - drawn.mean(axis=1, keepdims=True)
        drawn *= np.sqrt(2) / np.linalg.norm(drawn, axis=1, keepdims=True)
        layers.append(drawn.reshape(channels, before, 3, 3, 3).astype(np.float32))
        before = channels
    return tuple(layers)


def _normal(name: str, count: int) -> np.ndarray:
    """Standard normal numbers that follow from a text on every machine and version: SHAKE-256 through the quantiles."""
    words = np.frombuffer(hashlib.shake_256(name.encode()).digest(4 * count), dtype="<u4")
    return np.asarray(ndtri((words + 0.5) / 2.0**32))
