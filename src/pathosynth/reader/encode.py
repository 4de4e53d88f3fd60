"""Real and synthetic images in one form: orientation, grid, window, grey levels, header and size in bytes are equal.

What readers could tell apart without looking at the anatomy is taken away here; what is left, `audit` measures.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import nibabel as nib
import numpy as np

from pathosynth.data.grid import (
    SAME_SPACING,
    Box,
    Voxels,
    crop_box,
    crop_volume,
    isotropic_spacing,
    resample_image,
    to_ras,
)
from pathosynth.data.volume import Spacing, Volume
from pathosynth.reader.study import Grid
from pathosynth.runs.errors import ConfigError

LOW_PERCENT, HIGH_PERCENT = 0.5, 99.5
"""Of the whole grid, and of what is brighter than its mean: these intensities become the lowest and highest level."""

HEADER_BYTES = 352
"""Of a NIfTI-1 file before its voxels."""


@dataclass(frozen=True)
class Form:
    """What every image is brought to.

    Attributes:
        shape: voxels.
        spacing_mm: voxel edges.
        levels: grey levels, 0 the darkest.
    """

    shape: Voxels
    spacing_mm: Spacing
    levels: int

    @property
    def dtype(self) -> np.dtype[np.generic]:
        """Smallest type that NIfTI readers know and that holds the levels."""
        return np.dtype(np.uint8 if self.levels <= 256 else np.int16)


def common_spacing(spacings: Sequence[Spacing], grid: Grid) -> Spacing:
    """Voxel edges for all: what is asked for; else the images' own where all agree; else the largest, on every axis.

    The largest, because finer voxels than were measured would be invented.
    """
    if grid.spacing_mm is not None:
        return (grid.spacing_mm,) * 3
    first = spacings[0]
    if np.allclose(np.array(spacings), first, rtol=SAME_SPACING, atol=0):
        return first
    edges = [isotropic_spacing(Volume(np.empty((1, 1, 1)), np.diag([*spacing, 1.0]))) for spacing in spacings]
    return (max(edges),) * 3


def on_spacing(volume: Volume, spacing_mm: Spacing) -> Volume:
    """An image in RAS at the common voxel edges, resampled only where its own differ."""
    volume = to_ras(volume)
    same = np.allclose(volume.spacing_mm, spacing_mm, rtol=SAME_SPACING, atol=0)
    return volume if same else resample_image(volume, spacing_mm[0])


def head_box(volume: Volume) -> Box:
    """Box around what is brighter than the image's mean: the head, roughly, however wide the background is."""
    return crop_box(volume.array > volume.array.mean(), 0)


def common_shape(edges_mm: np.ndarray, spacing_mm: Spacing, grid: Grid) -> Voxels:
    """Voxels for all: what is asked for, else what holds the largest head (n, 3) with its margin."""
    if grid.shape is not None:
        return grid.shape
    voxels = np.ceil(edges_mm.max(axis=0) / spacing_mm - SAME_SPACING) + 2 * grid.margin_voxels
    i, j, k = (int(n) for n in voxels)
    return (i, j, k)


def encode(volume: Volume, form: Form) -> bytes:
    """An image as the bytes that a browser gets: NIfTI-1, not compressed, the same header for all.

    The head is put in the middle, levels are linear between two robust intensities, and nothing of the old header is
    kept.

    Raises:
        ConfigError: the image is constant on the grid.
    """
    box = head_box(volume)
    start = [low + (size - wanted) // 2 for low, size, wanted in zip(box.start, box.shape, form.shape, strict=True)]
    stop = [low + wanted for low, wanted in zip(start, form.shape, strict=True)]
    placed = crop_volume(
        volume, Box((start[0], start[1], start[2]), (stop[0], stop[1], stop[2])), fill=float(volume.array.min())
    )
    return header_bytes(form) + _quantised(placed.array, form).tobytes(order="F")


def header_bytes(form: Form) -> bytes:
    """The one header: axes right, anterior, superior, the grid's middle at 0, no text."""
    affine = np.diag([*form.spacing_mm, 1.0])
    affine[:3, 3] = [-edge * (n - 1) / 2 for edge, n in zip(form.spacing_mm, form.shape, strict=True)]
    image = nib.Nifti1Image(np.zeros(form.shape, form.dtype), affine)
    image.header.set_xyzt_units("mm")
    image.set_sform(affine, code=1)
    image.set_qform(affine, code=1)
    return image.to_bytes()[:HEADER_BYTES]


def _quantised(array: np.ndarray, form: Form) -> np.ndarray:
    values = array.astype(np.float64)
    low = float(np.percentile(values, LOW_PERCENT))
    bright = values[values > values.mean()]
    high = float(np.percentile(bright, HIGH_PERCENT)) if bright.size else low
    if not high > low:
        raise ConfigError(
            f"an image has the one intensity {low:g} on the common grid. Enlarge [grid] shape or leave it out."
        )
    levels = np.rint(np.clip((values - low) / (high - low), 0, 1) * (form.levels - 1))
    return levels.astype(form.dtype)
