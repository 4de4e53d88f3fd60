"""The parent's real image carried along by the morph's deformation. No training, no randomness.

The plainest rival: whatever a trained generator gains, it must gain over this.
"""

from collections.abc import Sequence
from typing import Literal

import numpy as np
from scipy import ndimage

from pathosynth.data.requests import Request
from pathosynth.data.warp import warp_image
from pathosynth.runs.config import Config as BaseConfig
from pathosynth.runs.errors import InputError


class Config(BaseConfig):
    """How the image is carried."""

    interpolation: Literal["linear", "cubic"] = "linear"
    """Linear keeps the range of intensities; cubic is sharper and may overshoot next to edges."""
    fill_exposed: bool = True
    """Give labelled voxels that the parent's image does not reach (where the skull grew) the value of the nearest voxel
    of the same label; otherwise they stay 0."""


def generate(model: Config, requests: Sequence[Request], seeds: Sequence[int]) -> list[np.ndarray]:
    """Carry each request's parent image onto its labels.

    Args:
        model: the settings; nothing is learnt.
        requests: each needs a parent image and a displacement.
        seeds: one per request, unused because nothing is drawn.

    Returns:
        (I, J, K) float32 images in the unit of the parent image, 0 where there is no label.

    Raises:
        InputError: a request has no parent image or no displacement, or a label is nowhere covered by the image.
    """
    return [_carry(model, request) for request, _ in zip(requests, seeds, strict=True)]


def _carry(config: Config, request: Request) -> np.ndarray:
    if request.parent_image is None or request.displacement is None:
        missing = "displacement" if request.displacement is None else "parent image"
        raise InputError(
            f"Image generator 'carried': expected a parent image and a displacement for every case, found no "
            f"{missing}. Use cases as morph made them, from cases with images (prepare comes after this), or another "
            "generator, e.g. gaussian_mixture."
        )
    parent, displacement = request.parent_image, request.displacement
    image = warp_image(parent, displacement, order=1 if config.interpolation == "linear" else 3)
    if config.fill_exposed:
        covered = warp_image(_covered(parent).astype(np.float32), displacement, order=1) > 0.5
        image = _fill(image, covered, request)
    image[request.labels == 0] = 0
    return image


def _covered(parent: np.ndarray) -> np.ndarray:
    """Where the parent image shows something: not 0, or enclosed by voxels that are not 0."""
    covered: np.ndarray = ndimage.binary_fill_holes(parent != 0)
    return covered


def _fill(image: np.ndarray, covered: np.ndarray, request: Request) -> np.ndarray:
    """Take voxels that are labelled but not covered from the nearest covered voxel of the same label."""
    labels = request.labels
    for value in np.unique(labels[(labels > 0) & ~covered]):
        here = labels == value
        known = here & covered
        if not known.any():
            raise InputError(
                f"Image generator 'carried': label {value} ({request.scheme[int(value)].name}) lies wholly outside the "
                "parent image. Check that the parent image and labels belong together, or set fill_exposed = false."
            )
        box = ndimage.find_objects(here.astype(np.uint8))[0]
        nearest = ndimage.distance_transform_edt(~known[box], return_distances=False, return_indices=True)
        exposed = here[box] & ~covered[box]
        image[box][exposed] = image[box][tuple(nearest)][exposed]
    return image
