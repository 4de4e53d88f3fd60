"""Random training crops.

Which crop slot k of step s sees is a pure function of (seed, s, k), so resuming needs no loader state.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy.ndimage as ndi
import torch
from torch import Tensor

from pathosynth.data.grid import crop, crop_box
from pathosynth.data.labels import LabelScheme
from pathosynth.data.pairs import Pair
from pathosynth.data.warp import random_affine
from pathosynth.image_generators.augmentation import spline_of
from pathosynth.image_generators.model_grid import to_model_range
from pathosynth.image_generators.pixel_diffusion.condition import (
    Anatomy,
    analyse,
    block_positions,
    coarse_channels,
    fine_channels,
)
from pathosynth.image_generators.pixel_diffusion.config import Config
from pathosynth.runs.seeds import numpy_generator

MARGIN_VOXELS = 4


@dataclass(frozen=True)
class Example:
    """A training pair, cropped to the brain and measured once.

    `image` runs from -1 (background and darkest) to 1; `spline` are cubic B-spline
    coefficients of the image continued beyond the brain; `partners[class]` is the class on the other side.
    """

    case: str
    anatomy: Anatomy
    image: np.ndarray
    spline: np.ndarray
    partners: np.ndarray


@dataclass(frozen=True)
class Batch:
    """Crops stacked for one step: image (B, 1, I, J, K), fine and coarse condition, loss weights, case names."""

    image: Tensor
    fine: Tensor
    coarse: Tensor
    weight: Tensor
    cases: tuple[str, ...]


def make_example(pair: Pair, scheme: LabelScheme, config: Config) -> Example:
    """Crop a pair to its brain, pad it to the crop size and measure it. `pair.labels` are in `scheme`."""
    box = crop_box(pair.labels > 0, MARGIN_VOXELS)
    labels, image = crop(pair.labels, box, 0), to_model_range(crop(pair.image, box, 0))
    missing = [max(0, wanted - n) for wanted, n in zip(config.training.crop_voxels, labels.shape, strict=True)]
    pad = [(m // 2, m - m // 2) for m in missing]
    labels = np.pad(labels, pad)
    image = np.where(labels > 0, np.pad(image, pad, constant_values=-1), np.float32(-1))
    anatomy = analyse(labels, scheme, pair.spacing_mm, config.condition)
    return Example(pair.case, anatomy, image, spline_of(image, labels > 0), scheme.partner_indices())


def batch_at(examples: Sequence[Example], config: Config, seed: int, step: int, slots: Sequence[int]) -> Batch:
    """The crops of one step.

    Args:
        examples: training examples.
        config: crop size, augmentation, condition.
        seed: of the run.
        step: global optimiser step.
        slots: which of the step's crops, e.g. those of this process.
    """
    drawn = [_draw(examples, config, numpy_generator(seed, "crop", step, slot)) for slot in slots]
    arrays = [torch.from_numpy(np.stack([np.ascontiguousarray(one[part]) for one, _ in drawn])) for part in range(4)]
    return Batch(arrays[0], arrays[1], arrays[2], arrays[3], tuple(case for _, case in drawn))


def _draw(
    examples: Sequence[Example], config: Config, rng: np.random.Generator
) -> tuple[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray], str]:
    example = examples[int(rng.integers(len(examples)))]
    anatomy, training = example.anatomy, config.training
    size = training.crop_voxels
    origin = np.array([rng.integers(0, n - c + 1) for n, c in zip(example.image.shape, size, strict=True)])
    flip, warped = rng.random() < training.flip, rng.random() < training.affine
    matrix = random_affine(rng, training.scaling, training.rotation_degrees)
    gamma = np.exp(rng.uniform(-training.gamma, training.gamma)) if training.gamma else 1.0
    if not warped:
        matrix = np.eye(3)
    middle = (np.array(size) - 1) / 2
    offset = origin + middle - matrix @ middle  # crop voxel x shows source position matrix @ x + offset
    image, classes, distances = _sample(example, matrix, offset, size, warped)
    factor = config.network.factor if config.network.kind == "label_unet" else 1
    source = np.einsum("ab,bijk->aijk", matrix, block_positions(size, factor)) + offset[:, None, None, None]
    position = (source - anatomy.centre[:, None, None, None]) / anatomy.half_extent[:, None, None, None]
    if flip:
        image, classes, distances = image[::-1], example.partners[classes[::-1]], distances[:, ::-1]
        position = position[:, ::-1] * np.array([-1, 1, 1])[:, None, None, None]
    shrink = np.linalg.det(matrix) ** (1 / 3)  # source voxels per crop voxel
    fine = fine_channels(classes, anatomy.class_count, distances / np.float32(shrink), config.condition)
    coarse = coarse_channels(position, anatomy.log_size - 3 * float(np.log(shrink)), config.condition)
    if gamma != 1.0:
        image = 2 * np.clip((image + 1) / 2, 0, None) ** np.float32(gamma) - 1
    weight = np.where(classes > 0, np.float32(1), np.float32(training.background_weight))
    return (image[None].astype(np.float32), fine, coarse, weight[None]), example.case


def _sample(
    example: Example, matrix: np.ndarray, offset: np.ndarray, size: tuple[int, int, int], warped: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Image (cubic), classes (nearest) and distances (linear) at matrix @ x + offset; exact slices without a warp."""
    anatomy = example.anatomy
    if not warped:
        box = tuple(slice(int(o), int(o) + c) for o, c in zip(np.round(offset), size, strict=True))
        return example.image[box], anatomy.classes[box], anatomy.distances_mm[(slice(None), *box)]

    def at(array: np.ndarray, order: int, fill: float) -> np.ndarray:
        out: np.ndarray = ndi.affine_transform(
            array, matrix, offset, size, order=order, prefilter=False, mode="constant", cval=fill
        )
        return out

    classes = at(anatomy.classes, 0, 0)
    image = np.where(classes > 0, at(example.spline, 3, -1), np.float32(-1))
    distances = (
        np.stack([at(one, 1, float(one.max())) for one in anatomy.distances_mm])
        if len(anatomy.distances_mm)
        else np.zeros((0, *size), np.float32)
    )
    return image, classes, distances
