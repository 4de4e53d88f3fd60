"""Volumes on disk: read through the strict gate, write one canonical form.

Written files are ``.nii.gz`` with sform = qform in millimetres, slope 1, no text carried over, no time stamp:
the same volume always gives the same bytes. A file appears complete or not at all.
"""

import gzip
import io
from pathlib import Path

import nibabel as nib
import numpy as np

from pathosynth.data.geometry import SAME_GRID_MM, affine_fault, corner_distance_mm
from pathosynth.data.labels import LabelScheme, check_values
from pathosynth.data.mgz_gate import read_mgz
from pathosynth.data.nifti_gate import open_nifti, refusal
from pathosynth.data.volume import Volume
from pathosynth.runs.errors import InputError
from pathosynth.runs.files import write_bytes

_COMPRESSION = 6
_FIELD_COMPRESSION = 1  # smooth float noise: level 6 takes six times as long to save 4 percent
_VECTOR_INTENT = 1007


def read_image(path: Path) -> Volume:
    """Read an image as float32 in the orientation of the file.

    Raises:
        InputError: the file is damaged or ambiguous, a voxel is not finite, or all voxels are equal.
    """
    array, affine, _ = _read(Path(path))
    with np.errstate(over="ignore"):
        image = array.astype(np.float32)
    unusable = int(image.size - np.count_nonzero(np.isfinite(image)))
    if unusable:
        found = f"{unusable} voxels that are NaN, infinite or too large for float32"
        raise refusal(path, found=found, expected="finite intensities", fix="Repair or leave out this image")
    low, high = float(image.min()), float(image.max())
    if low == high:
        found = f"the same intensity {low:g} in every voxel"
        raise refusal(path, found=found, expected="an image", fix="Export it again or leave it out")
    return Volume(image, affine)


def read_labels(path: Path, scheme: LabelScheme | None, *, may_be_empty: bool = False) -> Volume:
    """Read a label map in the orientation of the file, as the smallest unsigned type that holds the scheme.

    Without a scheme any values from 0 up are taken; only a reader that renumbers them at once has use for that.

    Raises:
        InputError: the file is damaged or ambiguous, its type is not an integer, a value is negative or not in the
            scheme, or there is nothing but background and it may not be empty, as a prediction may.
    """
    array, affine, scaling = _read(Path(path))
    fix = "Save the label map as uint8 or uint16 without scaling"
    if scaling != (1.0, 0.0):
        raise refusal(path, found=f"labels with scaling {scaling}", expected="slope 1 and intercept 0", fix=fix)
    if array.dtype.kind not in "iu":
        raise refusal(path, found=f"labels stored as {array.dtype}", expected="an integer type", fix=fix)
    if int(array.min()) < 0:
        found = f"negative labels (lowest {int(array.min())})"
        raise refusal(path, found=found, expected="values from 0 up", fix=fix)
    if not (may_be_empty or array.any()):
        expected = f"labels of scheme '{scheme.name}'" if scheme else "labels"
        raise refusal(
            path, found="only background (0)", expected=expected, fix="Leave this case out or segment it again"
        )
    if scheme is not None:
        check_values(array, scheme, str(path))
    highest = max(scheme.values) if scheme else int(array.max())
    return Volume(array.astype(np.min_scalar_type(highest)), affine)


def read_field(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Read a displacement field written by `write_field`.

    Returns:
        Displacement (3, I, J, K) float32 in voxels, and the (4, 4) affine of its grid.

    Raises:
        InputError: the file is damaged, not a field, or holds values that are not finite.
    """
    verified = open_nifti(Path(path), field=True)
    field = np.asarray(nib.Nifti1Image.from_bytes(verified.data).dataobj, dtype=np.float32)
    if not np.isfinite(field).all():
        fix = "Make it again with morph"
        raise refusal(path, found="displacements that are NaN or infinite", expected="finite voxels", fix=fix)
    return np.ascontiguousarray(np.moveaxis(field[..., 0, :], -1, 0)), verified.affine


def write_image(path: Path, volume: Volume, *, description: str = "") -> None:
    """Write an image: integers as they are, anything else as float32.

    Args:
        path: target, ends in ``.nii.gz``.
        volume: finite voxels.
        description: up to 79 ASCII characters for the header.

    Raises:
        InputError: a voxel is not finite, or the grid cannot be stored.
    """
    array = volume.array if volume.array.dtype.kind in "iu" else volume.array.astype(np.float32)
    if not np.isfinite(array).all():
        raise InputError(f"{path}: refused to write an image with NaN or infinite voxels. This is a fault upstream.")
    _write(path, array, volume.affine, description=description)


def write_labels(path: Path, volume: Volume) -> None:
    """Write a label map as the smallest unsigned integer type that holds its values.

    Raises:
        InputError: the labels are not integers from 0 up, or the grid cannot be stored.
    """
    array = volume.array
    if array.dtype.kind not in "iu" or int(array.min(initial=0)) < 0:
        raise InputError(f"{path}: refused to write labels of type {array.dtype}; expected integers from 0 up.")
    _write(path, array.astype(np.min_scalar_type(int(array.max(initial=0)))), volume.affine)


def write_field(path: Path, displacement: np.ndarray, affine: np.ndarray) -> None:
    """Write a displacement (3, I, J, K), in voxels, as a NIfTI vector image (I, J, K, 1, 3) float32.

    Raises:
        InputError: the shape is wrong, a value is not finite, or the grid cannot be stored.
    """
    if displacement.ndim != 4 or displacement.shape[0] != 3 or not np.isfinite(displacement).all():
        found = f"{displacement.dtype} of shape {displacement.shape}"
        raise InputError(f"{path}: expected a finite displacement of shape (3, I, J, K), found {found}.")
    array = np.moveaxis(displacement.astype(np.float32), 0, -1)[:, :, :, None, :]
    _write(path, array, affine, description="backward displacement in voxels", field=True)


def check_same_grid(a: Volume, b: Volume, where: str) -> None:
    """Refuse two volumes that do not lie on one grid.

    Raises:
        InputError: the shapes differ, or a corner differs by more than `SAME_GRID_MM`.
    """
    if a.shape != b.shape:
        raise InputError(
            f"{where}: found shapes {a.shape} and {b.shape}, expected the same grid. "
            "Resample one to the other in the program that made them (labels with nearest neighbour)."
        )
    distance = corner_distance_mm(a.affine, b.affine, a.shape)
    if distance > SAME_GRID_MM:
        raise InputError(
            f"{where}: found affines that place a corner {distance:.3g} mm apart, expected at most {SAME_GRID_MM} mm. "
            "Find out which affine is right and write it to both files."
        )


def _read(path: Path) -> tuple[np.ndarray, np.ndarray, tuple[float, float]]:
    """Voxels (I, J, K) in native byte order with scaling applied, affine, and the slope and intercept stored."""
    if path.name.lower().endswith(".mgz"):
        array, affine = read_mgz(path)
        return array.astype(array.dtype.newbyteorder("=")), affine, (1.0, 0.0)
    if not path.name.lower().endswith((".nii", ".nii.gz")):
        found = f"suffix '{''.join(path.suffixes)}'"
        raise refusal(path, found=found, expected=".nii.gz, .nii or .mgz", fix="Convert the file or correct the path")
    verified = open_nifti(path)
    array = np.asarray(nib.Nifti1Image.from_bytes(verified.data).dataobj).reshape(verified.shape)
    return array.astype(array.dtype.newbyteorder("="), copy=False), verified.affine, verified.scaling


def _write(path: Path, array: np.ndarray, affine: np.ndarray, *, description: str = "", field: bool = False) -> None:
    path = Path(path)
    if not path.name.endswith(".nii.gz"):
        raise InputError(f"{path}: volumes are written as .nii.gz only. Choose another name.")
    fault = affine_fault(affine)
    if fault:
        raise InputError(f"{path}: refused to write {fault}. This is a fault upstream.")
    image = nib.Nifti1Image(array, affine)
    image.header.set_xyzt_units("mm")
    image.header["descrip"] = description.encode("ascii", "replace")[:79]
    if field:
        image.header.set_intent(_VECTOR_INTENT)
    image.set_sform(affine, code=1)
    image.set_qform(affine, code=1)
    _write_gzip(path, image.to_bytes(), _FIELD_COMPRESSION if field else _COMPRESSION)


def _write_gzip(path: Path, data: bytes, level: int) -> None:
    """Compress without name and time in the gzip header, so that the same voxels are the same bytes."""
    packed = io.BytesIO()
    with gzip.GzipFile(filename="", mode="wb", compresslevel=level, fileobj=packed, mtime=0) as stream:
        stream.write(data)
    write_bytes(path, packed.getvalue())
