"""Damaged files: every one is refused with an `InputError` or gives the undamaged voxels and affine, to the bit."""

import contextlib
import gzip
import struct
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from pathosynth.data.geometry import corner_distance_mm
from pathosynth.data.labels import load_scheme
from pathosynth.data.nifti import read_image, read_labels
from pathosynth.runs.errors import InputError

KCL8 = load_scheme("kcl8")
SHAPE = (9, 8, 7)


def oblique() -> np.ndarray:
    """0.8 x 0.9 x 1.2 mm voxels, turned about two axes, left-handed."""
    a, b = 0.3, -0.2
    about_x = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
    about_z = np.array([[np.cos(b), -np.sin(b), 0], [np.sin(b), np.cos(b), 0], [0, 0, 1]])
    affine = np.eye(4)
    affine[:3, :3] = about_x @ about_z @ np.diag([-0.8, 0.9, 1.2])
    affine[:3, 3] = (13.5, -40.25, 7.125)
    return affine


def nifti_bytes(array: np.ndarray, affine: np.ndarray | None = None, *, endianness: str = "<") -> bytearray:
    """An undamaged file with sform and qform, made by nibabel."""
    header = nib.Nifti1Header(endianness=endianness)
    header.set_data_dtype(array.dtype)
    image = nib.Nifti1Image(array, oblique() if affine is None else affine, header)
    image.set_sform(image.affine, code=1)
    image.set_qform(image.affine, code=1)
    image.header.set_xyzt_units("mm")
    return bytearray(image.to_bytes())


def clean_files() -> list[bytes]:
    rng = np.random.default_rng(1)
    return [
        gzip.compress(bytes(nifti_bytes(rng.integers(0, 900, SHAPE).astype(np.int16))), mtime=0),
        gzip.compress(bytes(nifti_bytes(rng.normal(size=SHAPE).astype(np.float32))), mtime=0),
        gzip.compress(bytes(nifti_bytes(rng.integers(0, 9, (20, 19, 18)).astype(np.uint8))), mtime=0),
        gzip.compress(bytes(nifti_bytes(rng.integers(0, 900, SHAPE).astype(np.int16), endianness=">")), mtime=0),
    ]


def flip_bit(data: bytearray, rng: np.random.Generator) -> None:
    data[rng.integers(len(data))] ^= 1 << int(rng.integers(8))


def truncate(data: bytearray, rng: np.random.Generator) -> None:
    del data[rng.integers(len(data)) :]


def append_garbage(data: bytearray, rng: np.random.Generator) -> None:
    data += rng.bytes(int(rng.integers(1, 200)))


def zero_range(data: bytearray, rng: np.random.Generator) -> None:
    start = int(rng.integers(len(data) - 1))
    stop = min(len(data), start + int(rng.integers(1, 300)))
    data[start:stop] = bytes(stop - start)


def swap_chunks(data: bytearray, rng: np.random.Generator) -> None:
    size = int(rng.integers(1, len(data) // 3))
    first, second = sorted(int(at) for at in rng.choice(len(data) - size, 2, replace=False))
    second = max(second, first + size) if first + 2 * size <= len(data) else second
    data[first : first + size], data[second : second + size] = data[second : second + size], data[first : first + size]


MUTATIONS: list[Callable[[bytearray, np.random.Generator], None]] = [
    flip_bit, truncate, append_garbage, zero_range, swap_chunks,
]  # fmt: skip


@pytest.mark.parametrize("mutate", MUTATIONS, ids=lambda mutation: mutation.__name__)
def test_damaged_gzip_is_refused_or_read_exactly(mutate: Callable, tmp_path: Path) -> None:
    rng = np.random.default_rng(zlib.crc32(mutate.__name__.encode()))
    files, path = clean_files(), tmp_path / "damaged.nii.gz"
    references = []
    for data in files:
        path.write_bytes(data)
        references.append(read_image(path))
    refused = changed = 0
    for number in range(200):
        reference = references[number % len(files)]
        damaged = bytearray(files[number % len(files)])
        mutate(damaged, rng)
        changed += damaged != files[number % len(files)]
        path.write_bytes(damaged)
        try:
            volume = read_image(path)
        except InputError:
            refused += 1
            continue
        np.testing.assert_array_equal(volume.array, reference.array)
        np.testing.assert_array_equal(volume.affine, reference.affine)
    assert changed >= 180, "the mutations must really change the files"
    assert refused >= 0.95 * changed - 8  # the rest hit gzip header bytes that carry no data (time, name, system)


def test_clean_files_are_what_nibabel_reads(tmp_path: Path) -> None:
    path = tmp_path / "clean.nii.gz"
    for data in clean_files():
        path.write_bytes(data)
        ours, theirs = read_image(path), nib.load(path)
        np.testing.assert_array_equal(ours.array, theirs.get_fdata(dtype=np.float32))
        np.testing.assert_array_equal(ours.affine, theirs.affine)


def test_flipped_geometry_bits_with_valid_checksum_never_move_the_grid(tmp_path: Path) -> None:
    """pixdim, qform and sform say the same thing three times: each single bit flip is refused or harmless."""
    clean, path = nifti_bytes(np.arange(504, dtype=np.int16).reshape(SHAPE)), tmp_path / "flipped.nii"
    refused = 0
    for byte in (*range(76, 92), *range(252, 328)):
        for bit in range(8):
            flipped = bytearray(clean)
            flipped[byte] ^= 1 << bit
            path.write_bytes(flipped)
            try:
                volume = read_image(path)
            except InputError:
                refused += 1
                continue
            assert corner_distance_mm(volume.affine, oblique(), SHAPE) < 2e-3, f"byte {byte}, bit {bit}"
    assert refused > 300


def test_random_header_bytes_with_valid_checksum_never_crash(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    path = tmp_path / "header.nii.gz"
    for _ in range(300):
        data = nifti_bytes(np.arange(504, dtype=np.int16).reshape(SHAPE))
        for at in rng.integers(0, 352, int(rng.integers(1, 5))):
            data[at] = int(rng.integers(256))
        path.write_bytes(gzip.compress(bytes(data), 1))
        with contextlib.suppress(InputError):
            assert np.isfinite(read_image(path).array).all()


def put(offset: int, layout: str, *values: float) -> Callable[[bytearray], None]:
    """A change of header bytes."""
    return lambda data: struct.pack_into(layout, data, offset, *values)


def both(*changes: Callable[[bytearray], None]) -> Callable[[bytearray], None]:
    def change(data: bytearray) -> None:
        for one in changes:
            one(data)

    return change


def drop_last_bytes(data: bytearray) -> None:
    del data[-10:]


def add_bytes(data: bytearray) -> None:
    data += bytes(10)


def cut_header(data: bytearray) -> None:
    del data[200:]


def shear(data: bytearray) -> None:
    put(252, "<h", 0)(data)
    rows = oblique()[:3].astype(np.float32)
    rows[0, 1] += 0.02
    rows[:, 1] *= 0.9 / np.linalg.norm(rows[:3, 1])
    put(280, "<12f", *rows.ravel())(data)


NAN, INF = float("nan"), float("inf")
MALFORMED: dict[str, tuple[Callable[[bytearray], None], str]] = {
    "sizeof_hdr": (put(0, "<i", 347), "header size 347"),
    "nifti2": (put(0, "<i", 540), "NIfTI-2"),
    "magic zero": (put(344, "<4s", b"\0\0\0\0"), "magic"),
    "magic pair": (put(344, "<4s", b"ni1\0"), "magic"),
    "header cut": (cut_header, "200 bytes in all"),
    "voxels missing": (drop_last_bytes, "exactly 1360"),
    "voxels too many": (add_bytes, "more bytes"),
    "4D": (put(40, "<8h", 4, 9, 8, 7, 2, 1, 1, 1), "4D, 9 x 8 x 7 x 2, expected one 3D volume"),
    "5D": (put(40, "<8h", 5, 9, 8, 7, 1, 3, 1, 1), "one 3D volume"),
    "2D": (put(40, "<8h", 2, 72, 7, 1, 1, 1, 1, 1), "one 3D volume"),
    "dim 0": (put(40, "<8h", 0, 9, 8, 7, 1, 1, 1, 1), "dim[0] = 0"),
    "dim 8": (put(40, "<8h", 8, 9, 8, 7, 1, 1, 1, 1), "dim[0] = 8"),
    "dim swapped bytes": (put(40, ">8h", 3, 9, 8, 7, 1, 1, 1, 1), "dimensions"),
    "axis of 0": (put(40, "<8h", 3, 9, 0, 7, 1, 1, 1, 1), "dimensions [9, 0, 7]"),
    "axis negative": (put(40, "<8h", 3, 9, -8, 7, 1, 1, 1, 1), "dimensions [9, -8, 7]"),
    "axis too long": (put(40, "<8h", 3, 9, 8, 8, 1, 1, 1, 1), "exactly 1504"),
    "axis too short": (put(40, "<8h", 3, 9, 8, 6, 1, 1, 1, 1), "more bytes"),
    "huge": (put(40, "<8h", 3, 32767, 32767, 32767, 1, 1, 1, 1), "GiB"),
    "complex": (put(70, "<2h", 32, 64), "datatype code 32"),
    "rgb": (put(70, "<2h", 128, 24), "datatype code 128"),
    "datatype unknown": (put(70, "<2h", 3, 16), "datatype code 3"),
    "bitpix": (put(72, "<h", 8), "bitpix 8, expected 16"),
    "datatype wider": (put(70, "<2h", 16, 32), "exactly 2368"),
    "pixdim nan": (put(80, "<f", NAN), "pixdim"),
    "pixdim inf": (put(84, "<f", INF), "pixdim"),
    "pixdim negative": (put(88, "<f", -1.2), "pixdim"),
    "pixdim zero": (put(80, "<f", 0.0), "pixdim"),
    "pixdim huge": (put(80, "<f", 800.0), "voxel edges of 0.01 to 50"),
    "pixdim against sform": (both(put(252, "<h", 0), put(80, "<f", 0.81)), "but an sform with voxel edges"),
    "vox_offset nan": (put(108, "<f", NAN), "vox_offset"),
    "vox_offset small": (put(108, "<f", 348.0), "vox_offset"),
    "vox_offset fraction": (put(108, "<f", 352.5), "vox_offset"),
    "vox_offset later": (put(108, "<f", 368.0), "exactly 1376"),
    "vox_offset huge": (put(108, "<f", 1e12), "vox_offset"),
    "slope nan": (put(112, "<f", NAN), "scl_slope nan"),
    "slope inf": (put(112, "<f", INF), "scl_slope inf"),
    "slope negative": (put(112, "<f", -2.0), "scl_slope -2.0"),
    "inter nan": (put(116, "<f", NAN), "scl_inter nan"),
    "overflow": (put(112, "<f", 3e38), "NaN, infinite or too large"),
    "metres": (put(123, "<B", 1), "spatial unit metre"),
    "micrometres": (put(123, "<B", 3), "spatial unit micrometre"),
    "unit unknown": (put(123, "<B", 5), "spatial unit 5"),
    "no form": (put(252, "<2h", 0, 0), "sform_code 0, qform_code 0"),
    "sform code": (put(254, "<h", 77), "sform_code 77"),
    "sform nan": (put(280, "<f", NAN), "NaN or infinite"),
    "sform singular": (both(put(252, "<h", 0), put(312, "<4f", 0, 0, 0, 0)), "axes"),
    "sform row repeated": (both(put(252, "<h", 0), put(280, "<8f", 1, 0, 0, 0, 1, 0, 0, 0)), "voxel edges"),
    "sform sheared": (shear, "sheared"),
    "sform moved": (put(292, "<f", 14.5), "sform and qform that place a corner 1 mm apart"),
    "quaternion moved": (put(256, "<f", 0.05), "sform and qform"),
    "quaternion too long": (put(256, "<3f", 0.9, 0.9, 0.9), "unit quaternion"),
    "quaternion nan": (put(260, "<f", NAN), "unit quaternion"),
    "qform offset inf": (put(268, "<f", INF), "a qform giving"),
    "qfac": (put(76, "<f", 0.5), "qfac 0.5"),
    "qfac flipped": (put(76, "<f", 1.0), "sform and qform"),
}


@pytest.mark.parametrize("name", MALFORMED)
@pytest.mark.parametrize("suffix", [".nii.gz", ".nii"])
def test_malformed_header_is_named(name: str, suffix: str, tmp_path: Path) -> None:
    change, fragment = MALFORMED[name]
    data = nifti_bytes(np.arange(504, dtype=np.int16).reshape(SHAPE))
    change(data)
    path = tmp_path / f"case{suffix}"
    path.write_bytes(gzip.compress(bytes(data)) if suffix == ".nii.gz" else data)
    with pytest.raises(InputError) as caught:
        read_image(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: found ")
    assert fragment in message
    assert ", expected " in message
    assert message.rstrip(".").count(". ") >= 1, "the message must end with what to do"


def bad_arrays() -> Iterator[tuple[str, np.ndarray, str]]:
    labels = np.zeros(SHAPE, dtype=np.int16)
    labels[2:5, 2:5, 2:5] = 3
    yield "float", labels.astype(np.float32), "labels stored as float32"
    yield "fraction", labels * np.float64(0.5), "labels stored as float64"
    yield "negative", labels - np.int16(1), "negative labels (lowest -1)"
    yield "unknown", np.where(labels > 0, 41, 0).astype(np.int16), "41 (27 voxels)"
    yield "above 255", np.where(labels > 0, 259, 0).astype(np.int16), "259 (27 voxels)"
    yield "empty", np.zeros(SHAPE, dtype=np.uint8), "only background"


@pytest.mark.parametrize(("name", "array", "fragment"), list(bad_arrays()), ids=lambda value: str(value)[:12])
def test_unusable_labels_are_named(name: str, array: np.ndarray, fragment: str, tmp_path: Path) -> None:
    path = tmp_path / f"{name.replace(' ', '')}.nii.gz"
    path.write_bytes(gzip.compress(bytes(nifti_bytes(array))))
    with pytest.raises(InputError) as caught:
        read_labels(path, KCL8)
    assert str(path) in str(caught.value)
    assert fragment in str(caught.value)


def test_labels_with_scaling_are_refused(tmp_path: Path) -> None:
    data = nifti_bytes(np.full(SHAPE, 4, dtype=np.uint8))
    struct.pack_into("<f", data, 112, 0.5)
    (tmp_path / "scaled.nii").write_bytes(data)
    with pytest.raises(InputError, match="labels with scaling"):
        read_labels(tmp_path / "scaled.nii", KCL8)


@pytest.mark.parametrize(
    ("value", "fragment"), [(NAN, "1 voxels that are NaN"), (INF, "1 voxels that are NaN"), (None, "same intensity")]
)
def test_unusable_images_are_named(value: float | None, fragment: str, tmp_path: Path) -> None:
    array = np.zeros(SHAPE, dtype=np.float32)
    if value is not None:
        array[0, 0, 0], array[1, 1, 1] = value, 1.0
    path = tmp_path / "image.nii.gz"
    path.write_bytes(gzip.compress(bytes(nifti_bytes(array))))
    with pytest.raises(InputError, match=fragment):
        read_image(path)


@pytest.mark.parametrize(
    "extra", [b"", b"x", b"\0" * 8, gzip.compress(b"more")], ids=["none", "byte", "zeros", "member"]
)
def test_only_one_gzip_stream_is_accepted(extra: bytes, tmp_path: Path) -> None:
    path = tmp_path / "case.nii.gz"
    path.write_bytes(clean_files()[0] + extra)
    if not extra:
        assert read_image(path).shape == SHAPE
        return
    with pytest.raises(InputError, match="bytes after the end of the gzip stream"):
        read_image(path)


def test_gzip_bomb_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    """64 MiB of zeros behind a header that announces 504 voxels: no more than the announced bytes are unpacked."""
    packer = zlib.compressobj(1, wbits=31)
    bomb = packer.compress(bytes(nifti_bytes(np.arange(504, dtype=np.int16).reshape(SHAPE))))
    block = bytes(2**20)
    bomb += b"".join(packer.compress(block) for _ in range(64)) + packer.flush()
    path = tmp_path / "bomb.nii.gz"
    path.write_bytes(bomb)
    tracemalloc.start()
    with pytest.raises(InputError, match="more bytes"):
        read_image(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 * 2**20


def test_paths_that_are_no_volume_are_named(tmp_path: Path) -> None:
    (tmp_path / "folder.nii.gz").mkdir()
    (tmp_path / "empty.nii.gz").touch()
    (tmp_path / "text.csv").write_text("a,b")
    (tmp_path / "renamed.nii.gz").write_text("this is not gzip")
    expected = {
        "folder.nii.gz": "a directory", "empty.nii.gz": "an empty file", "text.csv": "suffix '.csv'",
        "absent.nii.gz": "nothing there", "renamed.nii.gz": "damaged gzip stream",
    }  # fmt: skip
    for name, fragment in expected.items():
        with pytest.raises(InputError) as caught:
            read_image(tmp_path / name)
        assert fragment in str(caught.value)
        assert name in str(caught.value)
