"""Training examples: crops for the autoencoder, and whole brains whose latents are cached.

What slot k of step s sees is a pure function of (seed, s, k), so resuming needs no loader state.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import scipy.ndimage as ndi
import torch
from torch import Tensor

from pathosynth.data.grid import Box, crop, crop_box, resample_onto
from pathosynth.data.labels import LabelScheme
from pathosynth.data.pairs import Pair
from pathosynth.data.volume import Spacing, Volume
from pathosynth.data.warp import random_affine
from pathosynth.image_generators.augmentation import spline_of
from pathosynth.image_generators.model_grid import grid_around, labels_at, to_model_range
from pathosynth.image_generators.spade_latent_diffusion.config import Augmentation, Config
from pathosynth.runs.errors import InputError
from pathosynth.runs.seeds import numpy_generator

Voxels = tuple[int, int, int]


@dataclass(frozen=True)
class Example:
    """A training pair cropped to its brain.

    Attributes:
        case: for messages.
        classes: (I, J, K) uint8, 0 background, 1..n the labels of the scheme in ascending order.
        image: (I, J, K) float32, -1 (background and darkest) to 1 and a little above.
        spline: cubic B-spline coefficients of the image continued beyond the brain.
        contrast: number of the contrast, from 1.
    """

    case: str
    classes: np.ndarray
    image: np.ndarray
    spline: np.ndarray
    contrast: int


@dataclass(frozen=True)
class Crops:
    """Crops stacked for one step: image (B, 1, I, J, K), classes (B, I, J, K) uint8, case names."""

    image: Tensor
    classes: Tensor
    cases: tuple[str, ...]


@dataclass(frozen=True)
class Place:
    """Which part of an example is looked at: voxel x of the result shows `matrix` @ x + `offset`.

    `flip`: mirrored left to right afterwards.
    """

    matrix: np.ndarray
    offset: np.ndarray
    size: Voxels
    flip: bool


def make_example(pair: Pair, scheme: LabelScheme, config: Config) -> Example:
    """Bring a pair to the model's voxel size and crop it to its brain. `pair.labels` are in `scheme`.

    Raises:
        InputError: nothing is labelled.
    """
    if config.grid.spacing_mm is not None:
        pair = at_spacing(pair, config.grid.spacing_mm)
    box = crop_box(pair.labels > 0, 0)
    labels, image = crop(pair.labels, box, 0), to_model_range(crop(pair.image, box, 0))
    image = np.where(labels > 0, image, np.float32(-1))
    contrasts = config.all_contrasts
    number = contrasts.index(pair.contrast) + 1 if pair.contrast in contrasts else 1
    return Example(pair.case, scheme.indices(labels), image, spline_of(image, labels > 0), number)


def at_spacing(pair: Pair, spacing_mm: Spacing) -> Pair:
    """A pair on voxels of another size; axes that get coarser are smoothed first."""
    if np.allclose(pair.spacing_mm, spacing_mm, rtol=1e-3):
        return pair
    affine = np.diag([*pair.spacing_mm, 1.0])
    labels, image = Volume(pair.labels, affine), Volume(pair.image, affine)
    blur = [0.425 * np.sqrt(max((new / old) ** 2 - 1, 0)) for old, new in zip(pair.spacing_mm, spacing_mm, strict=True)]
    smooth = image.with_array(ndi.gaussian_filter(pair.image, blur))
    moved = resample_onto(smooth, grid_around(labels, spacing_mm), labels=False)
    onto = resample_onto(labels_at(labels, spacing_mm), moved, labels=True)
    return replace(pair, labels=onto.array, image=moved.array, spacing_mm=spacing_mm)


def check_fit(examples: Sequence[Example], config: Config) -> None:
    """Refuse brains that are larger than the grid.

    Raises:
        InputError: naming the smallest grid that holds them all.
    """
    needed = np.max([example.classes.shape for example in examples], axis=0)
    if any(n > size for n, size in zip(needed, config.grid.shape, strict=True)):
        multiple = config.multiple
        fits = [int(max(size, -(-n // multiple) * multiple)) for n, size in zip(needed, config.grid.shape, strict=True)]
        raise InputError(
            f"Training: brains measure up to {needed.tolist()} voxels, grid.shape is {list(config.grid.shape)}. "
            f"Set grid.shape={fits}, or prepare the cases with a larger --spacing-mm."
        )


def crops_at(
    examples: Sequence[Example], config: Config, scheme: LabelScheme, seed: int, step: int, slots: Sequence[int]
) -> Crops:
    """The autoencoder's crops of one step.

    Args:
        examples: training examples.
        config: crop size and augmentation.
        scheme: of the classes; a mirror image exchanges partners.
        seed: of the run.
        step: optimiser step.
        slots: which of the step's crops, e.g. those of this process.
    """
    images, classes, cases = [], [], []
    for slot in slots:
        rng = numpy_generator(seed, "crop", step, slot)
        example = examples[int(rng.integers(len(examples)))]
        image, labels = look(example, draw_crop(example, config, rng), scheme.partner_indices())
        images.append(torch.from_numpy(image)[None])
        classes.append(torch.from_numpy(labels))
        cases.append(example.case)
    return Crops(torch.stack(images), torch.stack(classes), tuple(cases))


def draw_crop(example: Example, config: Config, rng: np.random.Generator) -> Place:
    """A random crop, sometimes warped, sometimes mirrored; it may reach beyond a brain that is smaller than it."""
    size, augmentation = config.autoencoder.crop_voxels or config.grid.shape, config.augmentation
    spare = np.array(example.classes.shape) - size
    offset = rng.integers(np.minimum(spare, 0), np.maximum(spare, 0) + 1).astype(float)
    flip, warped = rng.random() < augmentation.flip, rng.random() < augmentation.affine
    matrix = random_affine(rng, augmentation.scaling, augmentation.rotation_degrees)
    if not warped:
        return Place(np.eye(3), offset, size, bool(flip))
    middle = (np.array(size) - 1) / 2
    return Place(matrix, offset + middle - matrix @ middle, size, bool(flip))


def draw_copy(example: Example, augmentation: Augmentation, size: Voxels, rng: np.random.Generator) -> Place:
    """The whole brain in the middle of the grid, warped and sometimes mirrored, no larger than the grid."""
    matrix = random_affine(rng, augmentation.scaling, augmentation.rotation_degrees)
    extent = np.abs(np.linalg.inv(matrix)) @ np.array(example.classes.shape)
    # Rotated, the corners of the box are empty: only what scaling adds must fit.
    fit = max(1.0, float((extent / (np.array(size) * 1.1)).max()))
    return centred(example, matrix * fit, size, bool(rng.random() < augmentation.flip))


def centred(example: Example, matrix: np.ndarray, size: Voxels, flip: bool = False) -> Place:
    """The brain's middle in the middle of the grid; to the voxel, where nothing is warped."""
    middle, wanted = (np.array(example.classes.shape) - 1) / 2, (np.array(size) - 1) / 2
    offset = middle - matrix @ wanted
    return Place(matrix, np.floor(offset) if np.array_equal(matrix, np.eye(3)) else offset, size, flip)


def look(example: Example, place: Place, sides: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Image (cubic) and classes (nearest) at a place; exact slices without a warp.

    Args:
        example: training example.
        place: which part of it.
        sides: the scheme's `partner_indices`.
    """
    if np.array_equal(place.matrix, np.eye(3)):
        start = [int(o) for o in np.round(place.offset)]
        stop = [a + n for a, n in zip(start, place.size, strict=True)]
        box = Box((start[0], start[1], start[2]), (stop[0], stop[1], stop[2]))
        image, classes = crop(example.image, box, -1), crop(example.classes, box, 0)
    else:
        where = {"matrix": place.matrix, "offset": place.offset, "output_shape": place.size, "prefilter": False}
        classes = ndi.affine_transform(example.classes, order=0, mode="constant", cval=0, **where)
        values = ndi.affine_transform(example.spline, order=3, mode="nearest", **where)
        image = np.where(classes > 0, values, np.float32(-1)).astype(np.float32)
    if place.flip:
        image, classes = image[::-1], sides[classes[::-1]]
    return np.ascontiguousarray(image), np.ascontiguousarray(classes)


def one_hot(classes: Tensor, count: int) -> Tensor:
    """(B, I, J, K) class numbers -> (B, count + 1, I, J, K) float32, background first."""
    numbers = torch.arange(count + 1, device=classes.device, dtype=classes.dtype)
    return (classes[:, None] == numbers.reshape(1, -1, 1, 1, 1)).float()
