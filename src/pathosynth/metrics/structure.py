"""Structural similarity and correlation of two 3D images, and how alike the images of a set are."""

import itertools
from collections.abc import Sequence

import numpy as np
from scipy import ndimage

from pathosynth.runs.errors import InputError

WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
"""Weight of every scale, finest first (Wang 2003, table in section 3.2)."""
_SIGMA, _RADIUS = 1.5, 5
_K1, _K2 = 0.01, 0.03
WINDOW = 2 * _RADIUS + 1


def scales_for(shape: tuple[int, ...]) -> int:
    """How many of the five scales fit: the window of 11 voxels must fit into the coarsest image; 0 where none does."""
    smallest, scales = min(shape), 0
    while scales < len(WEIGHTS) and smallest >> scales >= WINDOW:
        scales += 1
    return scales


def ms_ssim(a: np.ndarray, b: np.ndarray, data_range: float, scales: int | None = None) -> float:
    """Multi-scale structural similarity, 1 for equal images.

    SSIM with a Gaussian window (sigma 1.5, 11 taps) where it lies inside the image; between scales, blocks of 2 x 2 x 2
    are averaged (an odd last plane is dropped). Weights of the scales used are scaled to sum 1, so numbers of different
    scale counts do not compare. A negative contrast term counts as 0. Background counts, so crop images alike.

    Args:
        a: (I, J, K) finite intensities.
        b: same shape.
        data_range: largest minus smallest possible intensity.
        scales: how many; None is `scales_for` the shape.

    Raises:
        InputError: shapes differ, do not hold a window, values are not finite, or the range is not above 0.
    """
    a, b = _same_grid(a, b)
    possible = scales_for(a.shape)
    wanted = possible if scales is None else scales
    if not 1 <= wanted <= possible or not data_range > 0:
        raise InputError(
            f"MS-SSIM: expected an intensity range above 0 and 1 to {possible} scales for shape {a.shape} (window "
            f"{WINDOW} voxels), found range {data_range:g} and {wanted} scales. Use fewer scales or larger images."
        )
    weights = np.array(WEIGHTS[:wanted]) / sum(WEIGHTS[:wanted])
    product = 1.0
    for scale in range(wanted):
        ssim, contrast = _ssim(a, b, data_range)
        product *= max(ssim if scale == wanted - 1 else contrast, 0.0) ** weights[scale]
        if scale < wanted - 1:
            a, b = _halved(a), _halved(b)
    return float(product)


def ncc(a: np.ndarray, b: np.ndarray, mask: np.ndarray | None = None) -> float:
    """Normalised cross-correlation (Pearson) inside a mask, -1 to 1; NaN where one image is constant there.

    Raises:
        InputError: shapes differ, values are not finite, or the mask is empty.
    """
    a, b = _same_grid(a, b)
    inside = np.ones(a.shape, bool) if mask is None else mask
    if inside.shape != a.shape or not inside.any():
        raise InputError(f"NCC: expected a mask of shape {a.shape} with voxels in it, found {inside.shape}.")
    x, y = a[inside] - a[inside].mean(), b[inside] - b[inside].mean()
    length = float(np.sqrt((x * x).sum() * (y * y).sum()))
    scale = np.finfo(np.float64).eps * x.size * max(float((a[inside] ** 2).sum()), float((b[inside] ** 2).sum()))
    return float((x * y).sum() / length) if length > scale else float("nan")


def diversity(
    images: Sequence[np.ndarray], data_range: float, rng: np.random.Generator, most_pairs: int = 100
) -> float:
    """Mean MS-SSIM over pairs of one set: near that of real images is good, higher is less diverse.

    Args:
        images: at least 2 of one shape.
        data_range: as for `ms_ssim`.
        rng: draws `most_pairs` different pairs where there are more.
        most_pairs: 0.2 s each at 80 x 96 x 80 voxels.

    Raises:
        InputError: fewer than two images or as `ms_ssim`.
    """
    pairs = list(itertools.combinations(range(len(images)), 2))
    if not pairs or most_pairs < 1:
        raise InputError(
            f"Diversity: expected at least two images and one pair, found {len(images)}, {most_pairs} pairs."
        )
    if len(pairs) > most_pairs:
        pairs = [pairs[index] for index in rng.choice(len(pairs), most_pairs, replace=False)]
    return float(np.mean([ms_ssim(images[i], images[j], data_range) for i, j in pairs]))


def _same_grid(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    if a.shape != b.shape or a.ndim != 3:
        raise InputError(f"Image similarity: expected two 3D images of one shape, found {a.shape} and {b.shape}.")
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        raise InputError("Image similarity: found values that are not finite.")
    return a.astype(np.float64), b.astype(np.float64)


def _ssim(a: np.ndarray, b: np.ndarray, data_range: float) -> tuple[float, float]:
    """Mean SSIM and mean contrast-structure term over all window positions inside the image (Wang 2004, eq. 13)."""
    c1, c2 = (_K1 * data_range) ** 2, (_K2 * data_range) ** 2
    mean_a, mean_b = _window(a), _window(b)
    var_a, var_b = _window(a * a) - mean_a**2, _window(b * b) - mean_b**2
    contrast = (2 * (_window(a * b) - mean_a * mean_b) + c2) / (var_a + var_b + c2)
    luminance = (2 * mean_a * mean_b + c1) / (mean_a**2 + mean_b**2 + c1)
    return float((luminance * contrast).mean()), float(contrast.mean())


def _window(image: np.ndarray) -> np.ndarray:
    blurred = ndimage.gaussian_filter(image, _SIGMA, radius=_RADIUS)
    return np.asarray(blurred[(slice(_RADIUS, -_RADIUS),) * 3])


def _halved(image: np.ndarray) -> np.ndarray:
    i, j, k = (n // 2 for n in image.shape)
    blocks = image[: 2 * i, : 2 * j, : 2 * k].reshape(i, 2, j, 2, k, 2)
    return np.asarray(blocks.mean(axis=(1, 3, 5)))
