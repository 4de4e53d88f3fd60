"""The grid stages work on, and the way back: RAS, isotropic at the real voxel size, cropped to the head.

The record of what was done is small, goes into a JSON file, and gives any volume on the canonical grid back on the
grid of the file it came from, affine to the bit.
"""

import numpy as np
import pydantic

from pathosynth.data.geometry import affine_fault
from pathosynth.data.grid import (
    Box,
    crop_box,
    crop_volume,
    has_spacing,
    isotropic_spacing,
    resample_image,
    resample_labels,
    resample_onto,
    to_orientation_of,
    to_ras,
    uncrop,
)
from pathosynth.data.volume import Volume
from pathosynth.runs.errors import InputError

Triple = tuple[int, int, int]
Row = tuple[float, float, float, float]


class Canonical(pydantic.BaseModel):
    """What leads from a file's grid to the canonical one.

    JSON keeps every digit of the affine, so a record read back is the record written.
    """

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    shape: Triple
    """Voxels of the original grid."""
    affine: tuple[Row, Row, Row, Row]
    """Affine of the original grid."""
    spacing_mm: float = pydantic.Field(gt=0)
    """Voxel edge of the canonical grid."""
    start: Triple
    """First voxel of the canonical grid in the reoriented, resampled grid; may be negative."""
    stop: Triple
    """First voxel after it."""

    def box(self) -> Box:
        """The canonical grid as a box of the reoriented, resampled grid."""
        return Box(self.start, self.stop)

    def original(self) -> Volume:
        """The original grid, with a placeholder of zeros that takes no memory."""
        return Volume(np.broadcast_to(np.uint8(0), self.shape), np.array(self.affine, dtype=np.float64))


def plan_grid(
    labels: Volume, *, spacing_mm: float | None = None, margin_mm: float = 5.0, multiple: int = 1
) -> Canonical:
    """Find the canonical grid of a label map.

    Args:
        labels: in any orientation.
        spacing_mm: voxel edge wanted; None keeps the real one (of an anisotropic map, the smallest).
        margin_mm: free space kept around the labels on every side, padded where the volume ends before.
        multiple: round the number of voxels per axis up to a multiple of this.

    Raises:
        InputError: the label map is empty, or spacing or margin are out of range.
    """
    if margin_mm < 0 or multiple < 1:
        raise InputError(f"Margin {margin_mm} mm, multiple {multiple}: expected at least 0 and 1.")
    ras = to_ras(labels)
    spacing = isotropic_spacing(ras) if spacing_mm is None else float(spacing_mm)
    resampled = resample_labels(ras, spacing)
    box = crop_box(resampled.array > 0, int(np.ceil(margin_mm / spacing - 1e-6)), multiple)
    rows = [(float(a), float(b), float(c), float(d)) for a, b, c, d in labels.affine]
    affine = (rows[0], rows[1], rows[2], rows[3])
    return Canonical(shape=labels.shape, affine=affine, spacing_mm=spacing, start=box.start, stop=box.stop)


def to_canonical(volume: Volume, record: Canonical, *, labels: bool) -> Volume:
    """Bring a volume from the original grid to the canonical one; beyond its field of view is 0.

    Raises:
        ValueError: the volume does not have the shape the record was made for.
    """
    if volume.shape != record.shape:
        raise ValueError(f"expected a volume of shape {record.shape}, found {volume.shape}")
    ras = to_ras(volume)
    resampled = resample_labels(ras, record.spacing_mm) if labels else resample_image(ras, record.spacing_mm)
    return crop_volume(resampled, record.box(), fill=0)


def from_canonical(volume: Volume, record: Canonical, *, labels: bool) -> Volume:
    """Give a volume on the canonical grid back on the original one; 0 outside the canonical grid.

    Voxels are unchanged where the original was isotropic at the same spacing; otherwise they are resampled once.

    Raises:
        ValueError: the volume does not have the shape of the canonical grid.
    """
    fault = affine_fault(volume.affine)
    if volume.shape != record.box().shape or fault:
        raise ValueError(f"expected a volume of shape {record.box().shape}, found {volume.shape} {fault}")
    original = record.original()
    ras = to_ras(original)
    if has_spacing(ras, record.spacing_mm):
        on_ras = Volume(uncrop(volume.array, record.box(), ras.shape, fill=0), ras.affine)
    else:
        on_ras = resample_onto(volume, ras, labels=labels)
    return to_orientation_of(on_ras, original)
