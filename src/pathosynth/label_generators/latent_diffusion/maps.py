"""Training maps: every label map, and deformed copies of it, on the model's grid.

A voxel of the model's grid gets the class that most of its sub-voxels have, each looked up at its place in the source
map. Deforming and changing the voxel size in this one step keeps edges where they are and invents no class.
"""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 the name every torch user expects

from pathosynth.data.labels import LabelScheme
from pathosynth.data.volume import Spacing
from pathosynth.data.warp import random_affine
from pathosynth.label_generators.latent_diffusion.config import Augmentation, Grid
from pathosynth.runs.errors import InputError


@dataclass(frozen=True)
class Deformation:
    """How a copy differs from its source.

    Attributes:
        matrix: (3, 3), mm of the copy to mm of the source, both from the centre of the tissue.
        shift_mm: (3,).
        field_mm: (3, i, j, k) displacement on a coarse grid over the copy; None for none.
        flip: whether it is mirrored.
    """

    matrix: np.ndarray
    shift_mm: np.ndarray
    field_mm: np.ndarray | None
    flip: bool


IDENTITY = Deformation(np.eye(3), np.zeros(3), None, False)


def draw_deformation(rng: np.random.Generator, augmentation: Augmentation, grid: Grid) -> Deformation:
    """A random deformation of the strength the settings name."""
    matrix = random_affine(rng, augmentation.scaling, augmentation.rotation_degrees)
    shift = rng.uniform(-augmentation.shift_mm, augmentation.shift_mm, 3)
    extent = np.array(grid.shape) * grid.spacing_mm
    knots = np.maximum(2, np.ceil(extent / augmentation.elastic_scale_mm).astype(int) + 1)
    field = rng.normal(0, augmentation.elastic_mm, (3, *knots)) if augmentation.elastic_mm else None
    return Deformation(matrix, shift, field, bool(rng.random() < augmentation.flip))


def tissue_centre_mm(labels: np.ndarray, scheme: LabelScheme, spacing_mm: Spacing) -> np.ndarray:
    """Middle of the bounding box of the tissue (of all labels, where the scheme names no tissue), from voxel 0, in mm.

    Raises:
        InputError: there is none.
    """
    mask = scheme.mask(labels, "tissue") if scheme.has("tissue") else labels > 0
    if not mask.any():
        raise InputError("Label map: expected labelled tissue, found none. Check the file and its --scheme.")
    ends = [np.flatnonzero(mask.any(axis=tuple({0, 1, 2} - {a})))[[0, -1]] for a in range(3)]
    middle: np.ndarray = np.array([end.mean() for end in ends]) * np.asarray(spacing_mm)
    return middle


def on_grid(
    classes: np.ndarray, spacing_mm: Spacing, centre_mm: np.ndarray, grid: Grid, deformation: Deformation = IDENTITY
) -> np.ndarray:
    """Bring a map onto the model's grid.

    Args:
        classes: (I, J, K) uint8 dense class numbers, RAS.
        spacing_mm: its voxel edge lengths.
        centre_mm: the point that becomes the middle of the grid.
        grid: the model's.
        deformation: of a copy; mirroring is left to `mirrored`, which knows partners.

    Returns:
        uint8 of the grid's shape; background where the grid reaches beyond the map.
    """
    ratio = np.asarray(grid.spacing_mm) / np.asarray(spacing_mm)
    splits = [max(1, round(float(r))) for r in ratio]
    fine = tuple(n * s for n, s in zip(grid.shape, splits, strict=True))
    axes = [
        ((np.arange(n, dtype=np.float32) + 0.5) / s - extent / 2) * edge
        for n, s, extent, edge in zip(fine, splits, grid.shape, grid.spacing_mm, strict=True)
    ]
    place = np.stack(np.meshgrid(*axes, indexing="ij"))
    if deformation.field_mm is not None:
        place += _upsampled(deformation.field_mm, fine)
    if deformation is not IDENTITY:
        place = np.tensordot(deformation.matrix.astype(np.float32), place, axes=1)
        place += deformation.shift_mm.astype(np.float32)[:, None, None, None]
    # Half-way places all go one way, so that sub-voxels of the source's size meet each of its voxels once.
    voxels = [
        np.floor((p + c) / e + 0.5).astype(np.int32) for p, c, e in zip(place, centre_mm, spacing_mm, strict=True)
    ]
    inside = np.logical_and.reduce([(v >= 0) & (v < n) for v, n in zip(voxels, classes.shape, strict=True)])
    clipped = [np.clip(v, 0, n - 1) for v, n in zip(voxels, classes.shape, strict=True)]
    found: np.ndarray = np.where(inside, classes[clipped[0], clipped[1], clipped[2]], 0)
    return _majority(found, splits)


def mirrored(classes: np.ndarray, partners: np.ndarray) -> np.ndarray:
    """The map reflected left to right; `partners[class]` is the class on the other side."""
    reflected: np.ndarray = np.ascontiguousarray(partners[classes][::-1])
    return reflected


def _upsampled(field: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Trilinear interpolation of a coarse field over the whole grid. (3, *shape) float32."""
    coarse = torch.from_numpy(field.astype(np.float32))[None]
    out: np.ndarray = F.interpolate(coarse, size=shape, mode="trilinear", align_corners=True)[0].numpy()
    return out


def _majority(fine: np.ndarray, splits: list[int]) -> np.ndarray:
    """Most frequent class of every block; of equally frequent ones the smaller number."""
    if splits == [1, 1, 1]:
        return np.asarray(fine, dtype=np.uint8)
    a, b, c = splits
    i, j, k = (n // s for n, s in zip(fine.shape, splits, strict=True))
    blocks = fine.reshape(i, a, j, b, k, c).transpose(0, 2, 4, 1, 3, 5).reshape(-1, a * b * c).astype(np.int64)
    count = int(fine.max()) + 1
    votes = torch.zeros((len(blocks), count), dtype=torch.uint8)
    votes.scatter_add_(1, torch.from_numpy(blocks), torch.ones(blocks.shape, dtype=torch.uint8))
    majority: np.ndarray = votes.numpy().argmax(axis=1).reshape(i, j, k).astype(np.uint8)
    return majority
