"""`export` gives what nnU-Net's own check of a raw data set asks for; the rules are written out here once more."""

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from command_line import Run, digests

from pathosynth.data.nifti import write_image, write_labels
from pathosynth.data.volume import Volume

SYNTHESIZE = ("--scheme", "kcl8", "--model", "gaussian_mixture", "--pathology", "dilation", "--set", "iterations=3")


@pytest.fixture
def real(phantom: Volume, tmp_path: Path) -> Path:
    """Two real subjects with images; their label maps lack no label of the scheme but the callosum."""
    folder = tmp_path / "real"
    noise = np.random.default_rng(0).uniform(1, 2, phantom.shape).astype(np.float32)
    for name in ("a", "b"):
        write_labels(folder / f"{name}_dseg.nii.gz", phantom)
        write_image(folder / f"{name}_T2w.nii.gz", phantom.with_array(noise * (phantom.array > 0)))
    return folder


def assert_raw_dataset(root: Path) -> dict:
    """What nnUNetv2_plan_and_preprocess --verify_dataset_integrity looks at."""
    description = json.loads((root / "dataset.json").read_text())
    assert {"channel_names", "labels", "numTraining", "file_ending"} <= set(description)
    numbers = sorted(description["labels"].values())
    assert numbers == list(range(len(numbers)))
    assert description["labels"]["background"] == 0
    label_maps = sorted((root / "labelsTr").glob("*.nii.gz"))
    assert len(label_maps) == description["numTraining"]
    for path in label_maps:
        labels = nib.load(path)
        name = path.name.removesuffix(".nii.gz")
        assert set(np.unique(np.asarray(labels.dataobj))) <= set(numbers)
        for channel in description["channel_names"]:
            image = nib.load(root / "imagesTr" / f"{name}_{int(channel):04d}.nii.gz")
            assert image.shape == labels.shape
            np.testing.assert_array_equal(image.affine, labels.affine)
            assert np.isfinite(image.get_fdata()).all()
    return description


def test_real_and_synthetic_cases_become_one_dataset_without_leaks(run: Run, real: Path, tmp_path: Path) -> None:
    made = tmp_path / "made"
    assert run("synthesize", real, "-o", made, *SYNTHESIZE).exit_code == 0
    out = tmp_path / "Dataset501_Ventricles"
    call = ("export", "-i", real, "-i", made, "--scheme", "kcl8", "--folds", 2, "-o", out)
    result = run(*call)
    assert result.exit_code == 0, result.stderr
    assert assert_raw_dataset(out)["numTraining"] == 4
    source = nib.load(made / "sub-aDilation01/anat/sub-aDilation01_seg-kcl8_dseg.nii.gz")
    exported = nib.load(out / "labelsTr" / "aDilation01.nii.gz")
    np.testing.assert_array_equal(exported.dataobj, source.dataobj, "kcl8 is consecutive already")
    splits = json.loads((out / "splits_final.json").read_text())
    for split in splits:
        (validated,) = split["val"]
        assert validated in ("a", "b")
        assert not [name for name in split["train"] if name.startswith(validated)]
    before = digests(out)
    assert run(*call).exit_code == 0
    assert digests(out) == before


def test_sparse_label_numbers_become_consecutive_and_come_back(run: Run, phantom: Volume, tmp_path: Path) -> None:
    lateral, white = np.array([0, 2, 4, 41, 43, 0, 0, 0, 0]), np.isin(phantom.array, (1, 2))
    array = np.where(white, lateral[phantom.array], 0)
    array[phantom.array == 5] = 42
    labels = phantom.with_array(array.astype(np.uint16))
    write_labels(tmp_path / "in" / "a_dseg.nii.gz", labels)
    write_image(tmp_path / "in" / "a_T1w.nii.gz", phantom.with_array(array.astype(np.float32)))
    out = tmp_path / "Dataset002_Aseg"
    result = run("export", "-i", tmp_path / "in", "--scheme", "aseg", "-o", out)
    assert result.exit_code == 0, result.stderr
    assert assert_raw_dataset(out)["channel_names"] == {"0": "T1w"}
    mapping = json.loads((out / "label_mapping.json").read_text())["mapping"]
    stored = np.asarray(nib.load(out / "labelsTr" / "a.nii.gz").dataobj)
    lookup = np.array([0, *(mapping[str(number)] for number in range(1, len(mapping) + 1))])
    np.testing.assert_array_equal(lookup[stored], array)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("-o", "ventricles"), "Dataset501_"),
        (("-o", "Dataset501_X", "--contrast", "FLAIR"), "expected images of FLAIR"),
        (("-o", "Dataset501_X", "--folds", 5), "5 folds need at least"),
        (("-o", "Dataset501_X", "--format", "medsam"), "--format medsam"),
    ],
)
def test_what_cannot_be_exported_is_refused_and_nothing_written(
    run: Run, real: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[object, ...], named: str
) -> None:
    monkeypatch.chdir(tmp_path)
    result = run("export", "-i", real, "--scheme", "kcl8", *arguments)
    assert (result.exit_code, named in result.stderr) == (2, True)
    assert [path.name for path in tmp_path.iterdir()] == ["real"]


def test_one_bad_case_is_left_out_of_the_dataset(run: Run, real: Path, tmp_path: Path) -> None:
    cut = real / "b_T2w.nii.gz"
    cut.write_bytes(cut.read_bytes()[:-9])
    out = tmp_path / "Dataset501_X"
    result = run("export", "-i", real, "--scheme", "kcl8", "-o", out)
    assert result.exit_code == 1
    assert assert_raw_dataset(out)["numTraining"] == 1
    assert [path.name for path in (out / "imagesTr").iterdir()] == ["a_0000.nii.gz"]
