"""The strict input gate for NIfTI-1: bytes in, verified bytes and a geometry out, or one `InputError`.

Readers in use stop before the gzip checksum or zero what they do not like, and so return wrong voxels without a
word. Here the whole stream is decompressed against its checksum and its announced length, and every header field
that decides a voxel or a position must be unambiguous before anything is allocated or decoded.
"""

import math
import os
import zlib
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np

from pathosynth.data.geometry import (
    SAME_GRID_MM,
    SPACING_LIMITS_MM,
    affine_fault,
    corner_distance_mm,
    quaternion_rounding_mm,
    spacing_of,
)
from pathosynth.runs.errors import InputError

MAX_VOXEL_BYTES = 2**31
"""Largest voxel block read: 812^3 float32. More is refused before it is decompressed."""

MAX_EXTENSION_BYTES = 2**24
"""Largest header extension skipped."""

_HEADER, _FIRST_VOXEL, _CHUNK = 348, 352, 1 << 20

_DATATYPES = {
    2: "uint8", 4: "int16", 8: "int32", 16: "float32", 64: "float64",
    256: "int8", 512: "uint16", 768: "uint32", 1024: "int64", 1280: "uint64",
}  # fmt: skip
"""NIfTI-1 datatype codes that are read: real numbers of a size every machine has."""

_UNITS = {0: "unknown", 1: "metre", 2: "millimetre", 3: "micrometre"}

_RESAVE = "Save it again as a 3D NIfTI-1 .nii.gz from the program that made it"


@dataclass(frozen=True)
class Verified:
    """A NIfTI file that passed the gate.

    Attributes:
        data: the whole uncompressed file, header extensions switched off.
        affine: (4, 4) float64, voxel indices to millimetres, RAS+; the sform where there is one, else the qform.
        shape: announced dimensions without size-1 tails: (I, J, K), or (I, J, K, 1, 3) for a field.
        dtype: name of the stored numpy type.
        scaling: slope and intercept to be applied; (1, 0) where none is stored.
    """

    data: bytes
    affine: np.ndarray
    shape: tuple[int, ...]
    dtype: str
    scaling: tuple[float, float]


def refusal(path: Path, *, found: str, expected: str, fix: str) -> InputError:
    """The one sentence every refusal of a file has: where, what was found, what was expected, what to do."""
    return InputError(f"{path}: found {found}, expected {expected}. {fix}.")


def check_path(path: Path, suffixes: tuple[str, ...]) -> None:
    """Refuse what is not a regular file with one of the suffixes (compared in lower case).

    Raises:
        InputError: it is missing, a directory or something else, empty, or has another suffix.
    """
    expected = f"a {' or '.join(suffixes)} file"
    if not path.name.lower().endswith(suffixes):
        found = f"suffix '{''.join(path.suffixes)}'"
        raise refusal(path, found=found, expected=expected, fix="Convert the file or correct the path")
    if not path.exists():
        raise refusal(path, found="nothing there", expected=expected, fix="Check the path")
    if not path.is_file():
        found = "a directory" if path.is_dir() else "something that is not a regular file"
        raise refusal(path, found=found, expected=expected, fix="Give the file itself")
    if path.stat().st_size == 0:
        raise refusal(path, found="an empty file", expected=expected, fix="Copy or download it again")


def open_nifti(path: Path, *, field: bool = False) -> Verified:
    """Read and verify a ``.nii`` or ``.nii.gz`` file.

    Args:
        path: the file.
        field: expect a displacement field, dimensions (I, J, K, 1, 3), instead of a 3D volume.

    Raises:
        InputError: anything at all is wrong with the file or its header; voxel values are not looked at here.
    """
    check_path(path, (".nii", ".nii.gz"))
    header = _parse_header(path, bytes(_read(path, _FIRST_VOXEL)))
    shape = _checked_shape(path, header, field=field)
    dtype = _checked_datatype(path, header)
    expected = _checked_length(path, header, shape, dtype)
    scaling = _checked_scaling(path, header)
    with np.errstate(invalid="ignore"):  # signalling NaN in a header is refused, not warned about
        affine = _checked_geometry(path, header, shape)
    data = _read(path, expected + 1)
    if len(data) != expected:
        found = f"{len(data)} bytes" if len(data) < expected else "more bytes"
        raise refusal(
            path,
            found=f"{found} of header and voxels",
            expected=f"exactly {expected} for {' x '.join(map(str, shape))} {dtype} voxels",
            fix="The file is cut, padded or its header is wrong; copy or download it again",
        )
    data[_HEADER:_FIRST_VOXEL] = bytes(4)
    return Verified(bytes(data), affine, shape, dtype, scaling)


def gunzip(path: Path, at_most: int) -> bytearray:
    """Decompress a gzip file up to `at_most` bytes; when the stream ends before, its checksum has been verified.

    Raises:
        InputError: the stream is damaged, cut, followed by other bytes, or cannot be read.
    """
    out = bytearray()
    decoder = zlib.decompressobj(wbits=31)
    try:
        with path.open("rb") as stream:
            pending = b""
            while len(out) < at_most and not decoder.eof:
                pending = pending or stream.read(_CHUNK)
                if not pending:
                    raise _damaged(path, f"a gzip stream that stops after {len(out)} decompressed bytes")
                out += decoder.decompress(pending, at_most - len(out))
                pending = decoder.unconsumed_tail
            if decoder.eof and (decoder.unused_data or stream.read(1)):
                raise _damaged(path, "bytes after the end of the gzip stream")
    except zlib.error as error:
        raise _damaged(path, f"a damaged gzip stream ({str(error).partition(': ')[2] or error})") from None
    except OSError as error:
        raise _unreadable(path, error) from None
    return out


def _damaged(path: Path, found: str) -> InputError:
    return refusal(path, found=found, expected="one intact gzip stream", fix="Copy, download or compress it again")


def _unreadable(path: Path, error: OSError) -> InputError:
    found = f"a file that cannot be read ({error.strerror or error})"
    return refusal(path, found=found, expected="a readable file", fix="Check its permissions and the disk")


def _read(path: Path, at_most: int) -> bytearray:
    """The first `at_most` bytes of the uncompressed content, fewer when it is shorter."""
    if path.name.lower().endswith(".gz"):
        return gunzip(path, at_most)
    try:
        with path.open("rb") as stream:
            return bytearray(stream.read(min(at_most, os.fstat(stream.fileno()).st_size)))
    except OSError as error:
        raise _unreadable(path, error) from None


def _parse_header(path: Path, head: bytes) -> nib.Nifti1Header:
    if len(head) < _FIRST_VOXEL:
        found = f"{len(head)} bytes in all"
        raise refusal(path, found=found, expected=f"a header of {_FIRST_VOXEL} bytes", fix="Copy or download it again")
    sizes = {order: int(np.frombuffer(head, f"{order}i4", count=1)[0]) for order in "<>"}
    endianness = next((order for order, size in sizes.items() if size == _HEADER), None)
    if endianness is None:
        found = "a NIfTI-2 header" if 540 in sizes.values() else f"header size {sizes['<']}"
        raise refusal(path, found=found, expected=f"a NIfTI-1 header of size {_HEADER}", fix=_RESAVE)
    magic = head[344:348]
    if magic != b"n+1\0":
        raise refusal(
            path, found=f"magic {magic!r}", expected=r"b'n+1\x00' (header and voxels in one file)", fix=_RESAVE
        )
    return nib.Nifti1Header(binaryblock=head[:_HEADER], endianness=endianness, check=False)


def _checked_shape(path: Path, header: nib.Nifti1Header, *, field: bool) -> tuple[int, ...]:
    ndim, *sizes = (int(n) for n in header["dim"])
    if not 1 <= ndim <= 7 or min(sizes[:ndim]) < 1:
        found = f"dimensions {sizes[: max(min(ndim, 7), 0)]} (dim[0] = {ndim})"
        raise refusal(path, found=found, expected="3 dimensions of at least 1 voxel", fix=_RESAVE)
    shape = tuple(sizes[:ndim])
    found = f"{ndim}D, {' x '.join(map(str, shape))}"
    if field:
        if shape[3:] != (1, 3):
            fix = "Use the displacement file written by morph"
            raise refusal(path, found=found, expected="a displacement field, I x J x K x 1 x 3", fix=fix)
        return shape
    if ndim < 3 or any(n != 1 for n in shape[3:]):
        fix = "Save one volume as its own 3D file (for instance the first time point or the mean)"
        raise refusal(path, found=found, expected="one 3D volume", fix=fix)
    return shape[:3]


def _checked_datatype(path: Path, header: nib.Nifti1Header) -> str:
    code, bits = int(header["datatype"]), int(header["bitpix"])
    if code not in _DATATYPES:
        known = ", ".join(_DATATYPES.values())
        raise refusal(path, found=f"datatype code {code}", expected=f"one of {known}", fix=_RESAVE)
    name = _DATATYPES[code]
    if bits != 8 * np.dtype(name).itemsize:
        expected = f"{8 * np.dtype(name).itemsize} for {name}"
        raise refusal(path, found=f"bitpix {bits}", expected=expected, fix=_RESAVE)
    return name


def _checked_length(path: Path, header: nib.Nifti1Header, shape: tuple[int, ...], dtype: str) -> int:
    """Number of bytes the uncompressed file must have."""
    offset = float(header["vox_offset"])
    if not (math.isfinite(offset) and offset == int(offset) and 0 <= offset - _FIRST_VOXEL <= MAX_EXTENSION_BYTES):
        expected = f"a whole number of bytes from {_FIRST_VOXEL}"
        raise refusal(path, found=f"vox_offset {offset}", expected=expected, fix=_RESAVE)
    voxel_bytes = math.prod(shape) * np.dtype(dtype).itemsize
    if voxel_bytes > MAX_VOXEL_BYTES:
        found = f"{' x '.join(map(str, shape))} {dtype} voxels, {voxel_bytes / 2**30:.1f} GiB"
        fix = "Crop or resample the volume; if it is smaller than that, the header is damaged"
        raise refusal(path, found=found, expected=f"at most {MAX_VOXEL_BYTES / 2**30:.0f} GiB", fix=fix)
    return int(offset) + voxel_bytes


def _checked_scaling(path: Path, header: nib.Nifti1Header) -> tuple[float, float]:
    slope, intercept = float(header["scl_slope"]), float(header["scl_inter"])
    if not (math.isfinite(slope) and math.isfinite(intercept)) or slope < 0:
        found = f"scl_slope {slope}, scl_inter {intercept}"
        raise refusal(path, found=found, expected="finite numbers and a slope that is not negative", fix=_RESAVE)
    return (1.0, 0.0) if slope == 0 else (slope, intercept)


def _checked_geometry(path: Path, header: nib.Nifti1Header, shape: tuple[int, ...]) -> np.ndarray:
    unit = int(header["xyzt_units"]) & 7
    if unit not in (0, 2):
        found = f"spatial unit {_UNITS.get(unit, unit)}"
        raise refusal(path, found=found, expected="millimetre", fix="Set xyzt_units and the affine to millimetres")
    qfac, *edges = (float(p) for p in header["pixdim"][:4])
    low, high = SPACING_LIMITS_MM
    if not all(math.isfinite(edge) and low <= edge <= high for edge in edges):
        expected = f"voxel edges of {low} to {high} mm"
        raise refusal(path, found=f"pixdim {edges}", expected=expected, fix="Correct the voxel size in the header")
    codes = {name: int(header[f"{name}_code"]) for name in ("sform", "qform")}
    if not all(0 <= code <= 5 for code in codes.values()) or not any(codes.values()):
        found = f"sform_code {codes['sform']}, qform_code {codes['qform']}"
        fix = "Without one, left and right are unknown; set it in the program that made the file"
        raise refusal(path, found=found, expected="a coded sform or qform (1 to 5)", fix=fix)
    if not codes["sform"]:
        return _qform(path, header, qfac)
    sform = _sform(path, header, edges)
    if codes["qform"]:
        _refuse_disagreement(path, header, shape, sform, _qform(path, header, qfac))
    return sform


def _refuse_disagreement(
    path: Path, header: nib.Nifti1Header, shape: tuple[int, ...], sform: np.ndarray, qform: np.ndarray
) -> None:
    tolerance = SAME_GRID_MM + quaternion_rounding_mm(_quaternion(header), qform, shape)
    distance = corner_distance_mm(sform, qform, shape)
    if distance > tolerance:
        found = f"sform and qform that place a corner {distance:.3g} mm apart"
        fix = "Find out which one is right and write it to both"
        raise refusal(path, found=found, expected=f"at most {tolerance:.2g} mm", fix=fix)


def _sform(path: Path, header: nib.Nifti1Header, edges: list[float]) -> np.ndarray:
    affine = np.asarray(header.get_sform(), dtype=np.float64)
    fault = affine_fault(affine)
    if not fault and np.abs(spacing_of(affine) - edges).max() > SAME_GRID_MM:
        fault = f"pixdim {edges} but an sform with voxel edges {[round(float(s), 6) for s in spacing_of(affine)]} mm"
    if fault:
        expected = "a finite sform with right angles and the voxel edges of pixdim"
        raise refusal(path, found=fault, expected=expected, fix="Resample to a straight grid or correct the header")
    return affine


def _quaternion(header: nib.Nifti1Header) -> np.ndarray:
    return np.array([header[f"quatern_{letter}"] for letter in "bcd"], dtype=np.float64)


def _qform(path: Path, header: nib.Nifti1Header, qfac: float) -> np.ndarray:
    quaternion = _quaternion(header)
    if qfac not in (-1.0, 0.0, 1.0) or not np.isfinite(quaternion).all() or (quaternion**2).sum() > 1 + 3e-7:
        found = f"a qform with quaternion {quaternion.tolist()} and qfac {qfac}"
        raise refusal(path, found=found, expected="a unit quaternion and qfac 1 or -1", fix=_RESAVE)
    straight = header.copy()
    straight["pixdim"][0] = qfac or 1.0  # the standard reads 0 as 1
    affine = np.asarray(straight.get_qform(), dtype=np.float64)
    fault = affine_fault(affine)
    if fault:
        raise refusal(path, found=f"a qform giving {fault}", expected="finite offsets", fix=_RESAVE)
    return affine
