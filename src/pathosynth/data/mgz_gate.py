"""The strict input gate for FreeSurfer's ``.mgz``: the same promises as for NIfTI, read only.

Layout: https://surfer.nmr.mgh.harvard.edu/fswiki/FsTutorial/MghFormat (284 header bytes, big-endian, then voxels,
then tags that are not used here).
"""

import math
import struct
from pathlib import Path

import nibabel as nib
import numpy as np

from pathosynth.data.geometry import affine_fault
from pathosynth.data.nifti_gate import MAX_VOXEL_BYTES, check_path, gunzip, refusal

MAX_TAG_BYTES = 2**24
"""Largest block of tags after the voxels that is skipped."""

_HEADER = 284
_DATATYPES = {0: "uint8", 1: "int32", 3: "float32", 4: "int16", 10: "uint16"}
_RESAVE = "Convert it with mri_convert to a 3D .nii.gz or .mgz"


def read_mgz(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Read and verify a ``.mgz`` file.

    Returns:
        Voxels (I, J, K) in the stored type, and the (4, 4) float64 affine to RAS+ millimetres.

    Raises:
        InputError: anything at all is wrong with the file or its header; voxel values are not looked at here.
    """
    check_path(path, (".mgz",))
    shape, dtype = _check_header(path, bytes(gunzip(path, _HEADER)))
    needed = _HEADER + math.prod(shape) * np.dtype(dtype).itemsize
    data = gunzip(path, needed + MAX_TAG_BYTES + 1)
    if not needed <= len(data) <= needed + MAX_TAG_BYTES:
        raise refusal(
            path,
            found=f"{len(data)} bytes of header, voxels and tags",
            expected=f"at least {needed} for {' x '.join(map(str, shape))} {dtype} voxels",
            fix="The file is cut, padded or its header is wrong; copy it again",
        )
    image = nib.MGHImage.from_bytes(bytes(data[:needed]))
    return np.asarray(image.dataobj).reshape(shape), np.asarray(image.affine, dtype=np.float64)


def _check_header(path: Path, head: bytes) -> tuple[tuple[int, ...], str]:
    if len(head) < _HEADER:
        found = f"{len(head)} bytes in all"
        raise refusal(path, found=found, expected=f"a header of {_HEADER} bytes", fix="Copy it again")
    version, *sizes, frames, code = struct.unpack(">6i", head[:24])
    if version != 1 or min(sizes) < 1 or max(sizes) > 2**15 or frames != 1:
        found = f"version {version}, dimensions {sizes}, {frames} frames"
        raise refusal(path, found=found, expected="version 1 and one 3D volume", fix=_RESAVE)
    if code not in _DATATYPES:
        known = ", ".join(_DATATYPES.values())
        raise refusal(path, found=f"voxel type {code}", expected=f"one of {known}", fix=_RESAVE)
    if math.prod(sizes) * np.dtype(_DATATYPES[code]).itemsize > MAX_VOXEL_BYTES:
        expected = f"at most {MAX_VOXEL_BYTES / 2**30:.0f} GiB of voxels"
        raise refusal(path, found=f"dimensions {sizes}", expected=expected, fix="Crop or resample the volume")
    _check_geometry(path, head)
    return tuple(sizes), _DATATYPES[code]


def _check_geometry(path: Path, head: bytes) -> None:
    (good,) = struct.unpack(">h", head[28:30])
    spacing, *columns = np.frombuffer(head, dtype=">f4", count=15, offset=30).astype(np.float64).reshape(5, 3)
    affine = np.eye(4)
    affine[:3, :3] = np.stack(columns[:3], axis=1) * spacing
    affine[:3, 3] = columns[3]
    fault = "no orientation (goodRASFlag 0)" if good != 1 else affine_fault(affine)
    if not fault and np.abs(np.linalg.norm(np.stack(columns[:3]), axis=1) - 1).max() > 1e-4:
        fault = "direction cosines that are not of length 1"
    if not fault and spacing.min() <= 0:
        fault = f"voxel edges {spacing.tolist()}"
    if fault:
        raise refusal(path, found=fault, expected="a finite orientation with right angles", fix=_RESAVE)
