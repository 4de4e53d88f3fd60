"""The audit of the blinding: chance on a blind study, and a leak planted in the files is found."""

from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from reader_served import begin

from pathosynth.reader.audit import area_under, audit
from pathosynth.reader.folder import Opened, open_study, open_truth


def plant(opened: Opened, change: Callable[[Path], None]) -> None:
    """Change the files of the synthetic images as they are sent."""
    for file, image in open_truth(opened, None).images.items():
        if image.origin == "synthetic":
            change(opened.folder.volumes / f"{file}.nii")


def wider(path: Path) -> None:
    """The same picture and the same header, but for two bytes a voxel."""
    image = nib.load(path)
    header = image.header.copy()
    header.set_data_dtype(np.int16)
    path.write_bytes(nib.Nifti1Image(np.asarray(image.dataobj).astype(np.int16), None, header).to_bytes())


def with_text(path: Path) -> None:
    """A word in the header."""
    data = bytearray(path.read_bytes())
    data[148:152] = b"SPM\0"
    path.write_bytes(bytes(data))


def with_padding(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"\0")


def test_area_counts_pairs(rng: np.random.Generator) -> None:
    """Against every pair compared, and rows repeated as often as they weigh."""
    values, positive = rng.integers(0, 6, 40).astype(float), rng.random(40) < 0.4
    pairs = [(a > b) + 0.5 * (a == b) for a in values[positive] for b in values[~positive]]
    assert area_under(values, positive) == pytest.approx(np.mean(pairs))
    weights = rng.integers(0, 4, 40)
    again = area_under(np.repeat(values, weights), np.repeat(positive, weights))
    assert area_under(values, positive, weights.astype(float)) == pytest.approx(again)


@pytest.mark.slow
@pytest.mark.timeout(3000)
def test_a_blind_study_of_400_images_is_at_chance(tmp_path: Path) -> None:
    """Origins dealt anew over the images vary the area by 0.016 (SD), so the bound is three of them."""
    opened = open_study(begin(tmp_path, each=200, size=8, readers=4))
    found = audit(opened, open_truth(opened, None), readers=4, seed=0)
    assert (found.images, found.showings) == (400, 4 * 440)
    assert found.received.auc == pytest.approx(0.5, abs=0.05)


@pytest.mark.slow
@pytest.mark.timeout(1500)
@pytest.mark.parametrize("leak", [wider, with_text, with_padding])
def test_a_planted_leak_is_found(tmp_path: Path, leak: Callable[[Path], None]) -> None:
    opened = open_study(begin(tmp_path, each=40, size=8, readers=2))
    plant(opened, leak)
    found = audit(opened, open_truth(opened, None), readers=2, seed=0)
    assert found.received.auc > 0.9
    assert found.received.low > 0.8
    assert found.hints[0].area.auc == pytest.approx(1) or found.hints[0].area.auc == pytest.approx(0)


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_blur_and_clipped_background_are_listed_as_shortcuts(tmp_path: Path) -> None:
    """Voxels tell the kind, so the audit of what is received stays at chance, and the list names the trait."""
    from scipy import ndimage

    opened = open_study(begin(tmp_path, each=40, size=12, readers=1))

    def blurred(path: Path) -> None:
        data = path.read_bytes()
        array = np.frombuffer(data[352:], np.uint8)
        smooth = ndimage.gaussian_filter(array.reshape(nib.load(path).shape, order="F").astype(float), 0.7)
        path.write_bytes(data[:352] + np.rint(smooth).astype(np.uint8).tobytes(order="F"))

    plant(opened, blurred)
    found = audit(opened, open_truth(opened, None), readers=1, seed=0)
    areas = {hint.name: hint.area.auc for hint in found.shortcuts}
    assert abs(areas["sharpness"] - 0.5) > 0.4
    assert abs(found.received.auc - 0.5) < 0.25
