"""Writing and reading volumes, with nibabel as the second reader."""

import gzip
import struct
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from pathosynth.data.labels import load_scheme
from pathosynth.data.nifti import (
    check_same_grid,
    read_field,
    read_image,
    read_labels,
    write_field,
    write_image,
    write_labels,
)
from pathosynth.data.volume import Volume
from pathosynth.runs.errors import InputError

KCL8, ASEG = load_scheme("kcl8"), load_scheme("aseg")
SHAPE = (9, 8, 7)


def turned(angle: float, axis: tuple[float, float, float], spacing: float = 0.8) -> np.ndarray:
    """Affine of a rotation by `angle` radians about `axis` (Rodrigues)."""
    x, y, z = np.array(axis) / np.linalg.norm(axis)
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    affine = np.eye(4)
    affine[:3, :3] = spacing * (np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross)
    affine[:3, 3] = (-80.0, 55.5, 12.25)
    return affine.astype(np.float32).astype(np.float64)


@pytest.mark.parametrize("angle", [0.0, 0.4, 1.6, 3.0, 3.12, 3.1413, np.pi])
def test_geometry_comes_back_to_the_bit_even_near_half_a_turn(angle: float, tmp_path: Path) -> None:
    """Near half a turn the float32 quaternion is least exact; sound files must still pass the sform-qform check."""
    rng = np.random.default_rng(0)
    labels = np.zeros((190, 2, 150), dtype=np.uint8)  # long edges: rounding of the rotation shows at the far corner
    labels[::7, 0, ::9] = 3
    for number in range(10):
        volume = Volume(labels, turned(angle, tuple(rng.normal(size=3))))
        write_labels(tmp_path / f"{number}.nii.gz", volume)
        back = read_labels(tmp_path / f"{number}.nii.gz", KCL8)
        np.testing.assert_array_equal(back.affine, volume.affine)
        np.testing.assert_array_equal(back.array, volume.array)


@pytest.mark.parametrize(
    ("highest", "dtype"),
    [(1, "uint8"), (127, "uint8"), (128, "uint8"), (255, "uint8"), (256, "uint16"), (70000, "uint32")],
)
def test_labels_are_stored_in_the_smallest_unsigned_type(highest: int, dtype: str, tmp_path: Path) -> None:
    labels = np.zeros(SHAPE, dtype=np.int64)
    labels[1, 2, 3] = highest
    write_labels(tmp_path / "l.nii.gz", Volume(labels, np.eye(4)))
    theirs = nib.load(tmp_path / "l.nii.gz")
    assert theirs.get_data_dtype() == np.dtype(dtype)
    np.testing.assert_array_equal(np.asarray(theirs.dataobj), labels)


def test_header_is_canonical(tmp_path: Path) -> None:
    write_image(tmp_path / "i.nii.gz", Volume(np.random.default_rng(0).normal(size=SHAPE), turned(0.3, (1, 2, 3))))
    packed = (tmp_path / "i.nii.gz").read_bytes()
    assert packed[3:9] == bytes(6), "no name flag, no time stamp"
    data = gzip.decompress(packed)
    assert struct.unpack("<2h", data[252:256]) == (1, 1)
    assert struct.unpack("<2f", data[112:120]) == (1.0, 0.0)
    assert data[123] == 2
    assert data[148:252] == bytes(104), "no text"
    theirs = nib.load(tmp_path / "i.nii.gz")
    np.testing.assert_allclose(theirs.get_qform(), theirs.get_sform(), atol=1e-5)


def test_same_volume_gives_same_bytes(tmp_path: Path) -> None:
    volume = Volume(np.random.default_rng(0).normal(size=SHAPE).astype(np.float32), np.eye(4))
    for name in ("a.nii.gz", "b.nii.gz"):
        write_image(tmp_path / name, volume)
    assert (tmp_path / "a.nii.gz").read_bytes() == (tmp_path / "b.nii.gz").read_bytes()


def test_nothing_is_left_behind_when_writing_fails(tmp_path: Path) -> None:
    bad = np.zeros(SHAPE, dtype=np.float32)
    bad[0, 0, 0] = np.nan
    refused: list[Callable[[], None]] = [
        lambda: write_image(tmp_path / "a.nii.gz", Volume(bad, np.eye(4))),
        lambda: write_image(tmp_path / "a.nii", Volume(bad * 0, np.eye(4))),
        lambda: write_labels(tmp_path / "a.nii.gz", Volume(np.full(SHAPE, -1), np.eye(4))),
        lambda: write_labels(tmp_path / "a.nii.gz", Volume(np.zeros(SHAPE, np.uint8), np.diag([1.0, 1, 0, 1]))),
        lambda: write_field(tmp_path / "a.nii.gz", np.zeros((2, *SHAPE), np.float32), np.eye(4)),
    ]
    for write in refused:
        with pytest.raises(InputError):
            write()
    assert list(tmp_path.iterdir()) == []


def test_scaled_integers_are_read_as_nibabel_reads_them(tmp_path: Path) -> None:
    image = nib.Nifti1Image(np.arange(504).reshape(SHAPE).astype(np.float64) / 7, np.eye(4))
    image.set_data_dtype(np.int16)
    image.set_qform(np.eye(4), code=1)
    nib.save(image, tmp_path / "scaled.nii.gz")
    theirs = nib.load(tmp_path / "scaled.nii.gz")
    assert theirs.dataobj.slope != 1
    ours = read_image(tmp_path / "scaled.nii.gz")
    np.testing.assert_allclose(ours.array, theirs.get_fdata(), rtol=1e-6)


def test_qform_alone_and_sform_alone_are_enough(tmp_path: Path) -> None:
    affine = turned(0.7, (1, -1, 2))
    for name, forms in {"s": (1, 0), "q": (0, 1)}.items():
        image = nib.Nifti1Image(np.arange(504, dtype=np.int16).reshape(SHAPE), affine)
        image.set_sform(affine, code=forms[0])
        image.set_qform(affine, code=forms[1])
        nib.save(image, tmp_path / f"{name}.nii")
        np.testing.assert_allclose(read_image(tmp_path / f"{name}.nii").affine, affine, atol=1e-4)


def test_header_extensions_are_skipped(tmp_path: Path) -> None:
    image = nib.Nifti1Image(np.arange(504, dtype=np.int16).reshape(SHAPE), np.eye(4))
    image.header.extensions.append(nib.nifti1.Nifti1Extension("comment", b"a name that must not travel" * 9))
    nib.save(image, tmp_path / "extended.nii.gz")
    np.testing.assert_array_equal(read_image(tmp_path / "extended.nii.gz").array, image.get_fdata())


def test_size_1_tails_are_3d(tmp_path: Path) -> None:
    array = np.arange(504, dtype=np.int16).reshape(*SHAPE, 1, 1)
    nib.save(nib.Nifti1Image(array, np.eye(4)), tmp_path / "tail.nii.gz")
    np.testing.assert_array_equal(read_image(tmp_path / "tail.nii.gz").array, array[..., 0, 0])


def test_field_comes_back_and_other_readers_see_a_vector_image(rng: np.random.Generator, tmp_path: Path) -> None:
    field, affine = rng.normal(size=(3, *SHAPE)).astype(np.float32), turned(0.2, (0, 1, 1))
    write_field(tmp_path / "f.nii.gz", field, affine)
    back, placed = read_field(tmp_path / "f.nii.gz")
    np.testing.assert_array_equal(back, field)
    np.testing.assert_array_equal(placed, affine)
    theirs = nib.load(tmp_path / "f.nii.gz")
    assert theirs.shape == (*SHAPE, 1, 3)
    assert theirs.header.get_intent()[0] == "vector"
    np.testing.assert_array_equal(np.asarray(theirs.dataobj)[2, 3, 4, 0], field[:, 2, 3, 4])
    with pytest.raises(InputError, match="one 3D volume"):
        read_image(tmp_path / "f.nii.gz")
    write_image(tmp_path / "i.nii.gz", Volume(field[0], affine))
    with pytest.raises(InputError, match="displacement field"):
        read_field(tmp_path / "i.nii.gz")


def test_same_grid_is_judged_in_millimetres_at_the_corners() -> None:
    array = np.zeros((200, 200, 200), dtype=np.uint8)
    affine = np.diag([0.8, 0.8, 0.8, 1.0])
    a = Volume(array, affine)
    check_same_grid(a, Volume(array, affine + 1e-7), "here")
    tilted = affine.copy()
    tilted[0, 1] = 1e-5  # entry by entry this looks the same; the far corner moves 0.002 mm
    with pytest.raises(InputError, match=r"here: found affines that place a corner 0\.00199 mm apart"):
        check_same_grid(a, Volume(array, tilted), "here")
    with pytest.raises(InputError, match="found shapes"):
        check_same_grid(a, Volume(array[1:], affine), "here")


def test_mgz_is_read_as_nibabel_reads_it(tmp_path: Path) -> None:
    labels = np.zeros((12, 13, 14), dtype=np.int32)
    labels[3:6, 4:8, 5:9], labels[7:9, 4:8, 5:9] = 4, 255
    affine = turned(np.pi / 2, (1, 0, 0), spacing=1.0)
    nib.save(nib.MGHImage(labels, affine), tmp_path / "aseg.mgz")
    ours = read_labels(tmp_path / "aseg.mgz", ASEG)
    np.testing.assert_array_equal(ours.array, labels)
    np.testing.assert_allclose(ours.affine, nib.load(tmp_path / "aseg.mgz").affine, atol=1e-6)


def mgz_edits() -> list[tuple[str, Callable[[bytearray], None], str]]:
    return [
        ("version", lambda d: struct.pack_into(">i", d, 0, 2), "version 2"),
        ("frames", lambda d: struct.pack_into(">i", d, 16, 3), "3 frames"),
        ("axis", lambda d: struct.pack_into(">i", d, 4, -1), "dimensions"),
        ("huge", lambda d: struct.pack_into(">3i", d, 4, 30000, 30000, 30000), "dimensions"),
        ("type", lambda d: struct.pack_into(">i", d, 20, 77), "voxel type 77"),
        ("orientation", lambda d: struct.pack_into(">h", d, 28, 0), "no orientation"),
        ("nan", lambda d: struct.pack_into(">f", d, 30, float("nan")), "NaN"),
        ("negative", lambda d: struct.pack_into(">f", d, 30, -1.0), "voxel edges"),
        ("cosines", lambda d: struct.pack_into(">f", d, 42, 0.5), "direction cosines"),
        ("cut", lambda d: d.__delitem__(slice(1000, None)), "at least"),
    ]  # fmt: skip


@pytest.mark.parametrize(("name", "edit", "fragment"), mgz_edits(), ids=lambda value: str(value)[:12])
def test_malformed_mgz_is_named(name: str, edit: Callable[[bytearray], None], fragment: str, tmp_path: Path) -> None:
    image = nib.MGHImage(np.arange(504, dtype=np.int16).reshape(SHAPE), np.eye(4))
    data = bytearray(image.to_bytes())
    edit(data)
    path = tmp_path / f"{name}.mgz"
    path.write_bytes(gzip.compress(bytes(data)))
    with pytest.raises(InputError) as caught:
        read_image(path)
    assert fragment in str(caught.value)
    assert str(path) in str(caught.value)


@pytest.mark.real_data
def test_every_real_file_passes_and_equals_what_nibabel_reads(real_data: Path) -> None:
    files = sorted(real_data.glob("*/sub-*.nii.gz"))
    assert len(files) > 100
    for path in files[::15]:
        theirs = nib.load(path)
        ours = read_image(path)
        np.testing.assert_array_equal(ours.array, np.asarray(theirs.dataobj, dtype=np.float32))
        np.testing.assert_array_equal(ours.affine, theirs.affine)
