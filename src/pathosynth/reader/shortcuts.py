"""Traits of an image that tell its kind without looking at the anatomy, measured on the images as they are sent."""

import io
from pathlib import Path

import nibabel as nib
import numpy as np
from scipy import ndimage

_HEAD = 0.1
"""Part of the range above which a voxel counts as head; below it is background."""


def image_traits(path: Path) -> dict[str, float]:
    """Trivial measures of one image file.

    Returns:
        By name: shares of voxels at both ends of the range, grey levels in use, mean and spread of the head, its size
        along every axis, sharpness, noise of the background, and how much of the grid's faces is empty.
    """
    image = np.asarray(nib.Nifti1Image.from_stream(io.BytesIO(path.read_bytes())).dataobj)
    top = max(int(image.max()), 1)
    head = image > _HEAD * top
    inside = image[head].astype(np.float64)
    background = image[~head].astype(np.float64)
    extent = [np.ptp(np.flatnonzero(head.any(axis=tuple({0, 1, 2} - {axis})))) + 1 for axis in range(3)]
    faces = np.concatenate([np.take(image, (0, -1), axis).ravel() for axis in range(3)])
    return {
        "share of exact zeros": float((image == 0).mean()),
        "share at the highest level": float((image == top).mean()),
        "grey levels in use": float(np.unique(image).size),
        "mean of the head": float(inside.mean()),
        "spread of the head": float(inside.std()),
        **{f"head along axis {axis}": float(size) for axis, size in enumerate(extent)},
        "sharpness": _sharpness(image.astype(np.float32), head),
        "noise of the background": float(background.std()) if background.size else 0.0,
        "empty share of the faces": float((faces == 0).mean()),
    }


def _sharpness(image: np.ndarray, head: np.ndarray) -> float:
    """Second over first differences inside the head: low where interpolation or a smooth model blurred the image."""
    core = ndimage.binary_erosion(head)
    if not core.any():
        return 0.0
    second = np.abs(ndimage.laplace(image))[core].mean()
    first = ndimage.gaussian_gradient_magnitude(image, 1.0)[core].mean()
    return float(second / max(float(first), 1e-9))
