"""Images in one form: what differs between two kinds of files is gone, what a reader looks at is still there."""

import io

import nibabel as nib
import numpy as np
import pytest
from reader_toy import blob

from pathosynth.data.volume import Volume
from pathosynth.reader.encode import HEADER_BYTES, Form, common_shape, common_spacing, encode, head_box, on_spacing
from pathosynth.reader.study import Grid
from pathosynth.runs.errors import ConfigError

FORM = Form((30, 36, 32), (2.0, 2.0, 2.0), 256)


def decoded(data: bytes) -> nib.Nifti1Image:
    return nib.Nifti1Image.from_stream(io.BytesIO(data))


def lopsided(orientation: tuple[int, int, int], shift: int = 0) -> Volume:
    """A head with a bright spot at the patient's right front top, stored along axes that run as given."""
    array = blob((24, 28, 24), np.random.default_rng(3))
    array[17:20, 19:22, 17:20] = 3000
    array = np.pad(array, ((shift, 0), (0, shift), (shift, shift)))
    affine = np.diag([2.0, 2.0, 2.0, 1.0])
    affine[:3, 3] = (5 - 2.0 * shift, -7, 11 - 2.0 * shift)
    volume = Volume(array, affine)
    for axis, sign in enumerate(orientation):
        if sign < 0:
            turned = volume.affine.copy()
            turned[:3, 3] += turned[:3, axis] * (volume.shape[axis] - 1)
            turned[:3, axis] *= -1
            volume = Volume(np.flip(volume.array, axis), turned)
    return volume


@pytest.mark.parametrize("orientation", [(1, 1, 1), (-1, 1, 1), (-1, -1, 1), (1, -1, -1)])
@pytest.mark.parametrize("shift", [0, 5])
def test_one_head_is_the_same_bytes_however_it_was_stored(orientation: tuple[int, int, int], shift: int) -> None:
    """Flipped axes, another field of view and another place in the world leave nothing behind."""
    stored = on_spacing(lopsided(orientation, shift), FORM.spacing_mm)
    assert encode(stored, FORM) == encode(on_spacing(lopsided((1, 1, 1)), FORM.spacing_mm), FORM)


def test_right_stays_right() -> None:
    image = decoded(encode(on_spacing(lopsided((-1, 1, -1)), FORM.spacing_mm), FORM))
    brightest = np.argwhere(np.asarray(image.dataobj) == 255).mean(axis=0)
    assert nib.aff2axcodes(image.affine) == ("R", "A", "S")
    assert ((image.affine @ [*brightest, 1])[:3] > 5).all()


def test_header_and_size_are_equal_for_unequal_images() -> None:
    rng = np.random.default_rng(5)
    images = [blob((24, 28, 24), rng), blob((24, 28, 24), rng) * 1e4 - 300, np.rint(blob((40, 30, 26), rng) / 40)]
    sent = [encode(on_spacing(Volume(image, np.diag([2.0, 2.0, 2.0, 1])), FORM.spacing_mm), FORM) for image in images]
    assert len({data[:HEADER_BYTES] for data in sent}) == 1
    assert {len(data) for data in sent} == {HEADER_BYTES + np.prod(FORM.shape)}
    header = decoded(sent[0]).header
    assert not header["descrip"].tobytes().strip(b"\0")
    assert not any(header[name].tobytes().strip(b"\0") for name in ("aux_file", "db_name", "intent_name"))


@pytest.mark.parametrize(("levels", "dtype"), [(256, np.uint8), (1024, np.int16)])
def test_grey_levels_span_the_range(levels: int, dtype: type) -> None:
    form = Form(FORM.shape, FORM.spacing_mm, levels)
    array = np.asarray(decoded(encode(on_spacing(lopsided((1, 1, 1)), FORM.spacing_mm), form)).dataobj)
    assert array.dtype == dtype
    assert (array.min(), array.max()) == (0, levels - 1)


def test_brightness_and_contrast_of_the_scanner_are_gone() -> None:
    """Intensities times 7 plus 100 are the same picture."""
    volume = on_spacing(lopsided((1, 1, 1)), FORM.spacing_mm)
    other = encode(volume.with_array(volume.array * 7 + 100), FORM)
    ours = np.frombuffer(encode(volume, FORM)[HEADER_BYTES:], np.uint8).astype(int)
    assert np.abs(ours - np.frombuffer(other[HEADER_BYTES:], np.uint8)).max() <= 1


def test_equal_voxels_are_kept_and_unequal_ones_become_the_largest() -> None:
    assert common_spacing([(1, 1, 2), (1, 1, 2)], Grid()) == (1, 1, 2)
    assert common_spacing([(0.5, 0.5, 0.5), (0.8, 0.8, 0.8)], Grid()) == pytest.approx((0.8, 0.8, 0.8))
    assert common_spacing([(1, 1, 2), (1, 1, 2)], Grid(spacing_mm=1.5)) == (1.5, 1.5, 1.5)


def test_the_grid_holds_the_largest_head() -> None:
    heads = [head_box(lopsided((1, 1, 1), shift)).shape for shift in (0, 4)]
    assert heads[0] == heads[1]
    shape = common_shape(np.array([heads[0], (10, 60, 10)]) * 2.0, (2.0, 2.0, 2.0), Grid(margin_voxels=3))
    assert shape == (heads[0][0] + 6, 66, heads[0][2] + 6)


def test_an_image_without_contrast_is_refused() -> None:
    """One block of one brightness, and a grid that lies within it."""
    flat = Volume(np.full((12, 12, 12), 5.0, np.float32), np.diag([2.0, 2.0, 2.0, 1.0]))
    flat.array[2:10, 2:10, 2:10] = 6
    with pytest.raises(ConfigError, match="one intensity"):
        encode(flat, Form((4, 4, 4), (2.0, 2.0, 2.0), 256))
