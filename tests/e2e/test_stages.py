"""The stages one after the other, through folders, as a user or a workflow engine runs them."""

import csv
import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from command_line import Run, digests

from pathosynth.data.cases import Case, write_cases
from pathosynth.data.nifti import write_image, write_labels
from pathosynth.data.volume import Volume

DILATION = ("--pathology", "dilation", "--set", "iterations=3")
TINY = (
    "network.width=8", "network.multipliers=[1]", "network.blocks=1", "network.head_width=4",
    "training.crop_voxels=[16,16,16]", "sampling.steps=1", "training.precision=fp32",
)  # fmt: skip
TINY_MODEL = [word for setting in TINY for word in ("--set", setting)]


@pytest.fixture
def dataset(phantom: Volume, tmp_path: Path) -> Path:
    """A healthy head with an image."""
    return write_dataset(tmp_path / "dataset", phantom)


def write_dataset(folder: Path, phantom: Volume) -> Path:
    """Label map and image: labels times ten plus texture."""
    rng = np.random.default_rng(5)
    image = np.where(phantom.array > 0, phantom.array * 10 + rng.normal(0, 1, phantom.shape), 0)
    write_labels(folder / "head_dseg.nii.gz", phantom)
    write_image(folder / "head_T2w.nii.gz", phantom.with_array(image.astype(np.float32)))
    return folder


def rows(folder: Path, table: str = "cases.csv") -> list[dict[str, str]]:
    return list(csv.DictReader((folder / table).open()))


def volume(folder: Path, column: str) -> np.ndarray:
    return np.asarray(nib.load(folder / rows(folder)[0][column]).dataobj)


def test_prepare_morph_render_check_preview(run: Run, dataset: Path, tmp_path: Path) -> None:
    prepared, morphed, rendered, checked = (tmp_path / name for name in ("prepared", "morphed", "rendered", "checked"))
    assert run("prepare", "-i", dataset, "-o", prepared, "--scheme", "kcl8").exit_code == 0
    assert run("morph", "-i", prepared, "-o", morphed, *DILATION).exit_code == 0
    model = ("--model", "gaussian_mixture")
    assert run("generate-images", "-i", morphed, "-o", rendered, *model, "--parents", prepared).exit_code == 0
    assert run("check", "-i", rendered, "-o", checked, "--parents", prepared).exit_code == 0
    assert run("preview", "-i", checked, "-o", tmp_path / "picture.png", "--parents", prepared).exit_code == 0
    assert (tmp_path / "picture.png").read_bytes()[:4] == b"\x89PNG"
    final = rows(checked)
    assert [(row["case"], row["subject"], row["origin"]) for row in final] == [("headDilation01", "head", "morphed")]
    healthy, sick, image = volume(prepared, "labels"), volume(checked, "labels"), volume(checked, "T2w")
    assert 1.05 < (sick == 2).sum() / (healthy == 2).sum() < 4
    np.testing.assert_array_equal(sick > 0, healthy > 0)
    assert np.median(image[sick == 2]) > 2 * np.median(image[sick == 5])


def test_cases_brought_to_another_grid_are_rendered(run: Run, dataset: Path, tmp_path: Path) -> None:
    morphed, coarse, rendered = (tmp_path / name for name in ("morphed", "coarse", "rendered"))
    assert run("morph", "-i", dataset, "-o", morphed, "--scheme", "kcl8", *DILATION).exit_code == 0
    assert run("prepare", "-i", morphed, "-o", coarse, "--spacing-mm", "3").exit_code == 0
    made = ("generate-images", "-i", coarse, "--scheme", "kcl8", "--parents", dataset, "-o")
    assert run(*made, rendered, "--model", "gaussian_mixture").exit_code == 0
    assert volume(rendered, "T2w").shape == volume(coarse, "labels").shape
    late = run(*made, tmp_path / "carried", "--model", "carried")
    assert late.exit_code == 2
    assert "found no displacement" in late.stderr


def test_an_island_of_the_parent_is_known_on_any_grid(run: Run, phantom: Volume, tmp_path: Path) -> None:
    coarse = phantom.array.copy()
    centre = np.argwhere(coarse == 1)[(coarse == 1).sum() // 2]
    coarse[tuple(slice(at - 2, at + 2) for at in centre)] = 7
    fine = coarse.repeat(2, axis=0).repeat(2, axis=1).repeat(2, axis=2)
    half = np.diag([0.5, 0.5, 0.5, 1.0])
    half[:3, 3] = -0.25
    maps = {"parent": phantom.with_array(coarse), "child": Volume(fine, phantom.affine @ half)}
    cases = []
    for name, labels in maps.items():
        write_labels(tmp_path / f"{name}_dseg.nii.gz", labels)
        origin, parent = ("real", "") if name == "parent" else ("morphed", "parent")
        made = {"case": name, "subject": "one", "origin": origin, "parent": parent, "scheme": "kcl8"}
        cases.append(Case.model_validate(made | {"labels": tmp_path / f"{name}_dseg.nii.gz"}))
    write_cases(tmp_path / "cases.csv", cases)
    assert run("check", "-i", tmp_path / "cases.csv", "-o", tmp_path / "out", "--check", "islands").exit_code == 0
    assert [row["case"] for row in rows(tmp_path / "out")] == ["child"]
    assert [row["case"] for row in rows(tmp_path / "out", "rejected.csv")] == ["parent"]


def test_stage_by_stage_gives_what_synthesize_gives(run: Run, phantom_file: Path, tmp_path: Path) -> None:
    model = ("--model", "gaussian_mixture")
    assert run("morph", "-i", phantom_file, "-o", tmp_path / "m", "--scheme", "kcl8", *DILATION).exit_code == 0
    assert run("generate-images", "-i", tmp_path / "m", "-o", tmp_path / "g", *model).exit_code == 0
    whole = ("synthesize", phantom_file, "-o", tmp_path / "s", "--scheme", "kcl8", *model, *DILATION)
    assert run(*whole).exit_code == 0
    volumes = [name for name in digests(tmp_path / "s") if name.endswith(".nii.gz")]
    assert len(volumes) == 2
    one, other = digests(tmp_path / "g"), digests(tmp_path / "s")
    assert {name: one[name] for name in volumes} == {name: other[name] for name in volumes}


def test_images_straight_from_a_folder_of_label_maps(run: Run, phantom: Volume, tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_labels(tmp_path / "maps" / f"{name}.nii.gz", phantom)
    call = ("generate-images", "-i", tmp_path / "maps", "-o", tmp_path / "out", "--scheme", "kcl8")
    assert run(*call, "--model", "gaussian_mixture", "--set", "noise=0").exit_code == 0
    made = rows(tmp_path / "out")
    assert [(row["case"], row["parent"], row["origin"]) for row in made] == [
        ("aGenerated01", "a", "generated"),
        ("bGenerated01", "b", "generated"),
    ]
    np.testing.assert_array_equal(volume(tmp_path / "out", "labels"), phantom.array)
    assert len({digest for name, digest in digests(tmp_path / "out").items() if name.endswith("T2w.nii.gz")}) == 2


def test_carried_image_follows_the_labels(run: Run, fine_phantom: Volume, tmp_path: Path) -> None:
    dataset = write_dataset(tmp_path / "dataset", fine_phantom)
    settings = ("--scheme", "kcl8", "--set", "atrial_width_mm=12", "--model", "carried")
    result = run("synthesize", dataset / "head_dseg.nii.gz", "-o", tmp_path / "out", *settings)
    assert result.exit_code in (0, 1), result.stderr
    folder = tmp_path / "out"
    if not rows(folder):
        folder = folder / "rejected" / "sub-headVentriculomegaly01" / "anat"
        labels = np.asarray(nib.load(next(folder.glob("*_dseg.nii.gz"))).dataobj)
        image = np.asarray(nib.load(next(folder.glob("*_T2w.nii.gz"))).dataobj)
    else:
        labels, image = volume(folder, "labels"), volume(folder, "T2w")
    # The parent's image grows with the label value, so its medians must come in the order of the labels.
    medians = [float(np.median(image[labels == value])) for value in range(1, 9)]
    assert medians == sorted(medians)
    assert min(np.diff(medians)) > 50


def test_carried_without_a_parent_image_says_what_is_missing(run: Run, phantom_file: Path, tmp_path: Path) -> None:
    call = ("synthesize", phantom_file, "-o", tmp_path / "out", "--scheme", "kcl8", "--model", "carried", *DILATION)
    result = run(*call)
    assert result.exit_code == 2
    assert "parent image" in result.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_train_stops_and_goes_on_and_the_model_renders(run: Run, dataset: Path, tmp_path: Path) -> None:
    call = ("train", "-i", dataset, "--scheme", "kcl8", *TINY_MODEL, "--max-steps", 6)
    assert run(*call, "-o", tmp_path / "model").exit_code == 0
    paused = run(*call, "-o", tmp_path / "again", "--minutes", 0)
    assert paused.exit_code == 75
    assert json.loads((tmp_path / "again" / "run.json").read_text())["status"] == "running"
    assert run(*call, "-o", tmp_path / "again").exit_code == 0
    weights = [tmp_path / name / "model.safetensors" for name in ("model", "again")]
    assert weights[0].read_bytes() == weights[1].read_bytes()
    bands = json.loads((tmp_path / "model" / "bands.json").read_text())
    assert bands["white_matter"][0] < bands["brainstem"][0]
    quality = json.loads((tmp_path / "model" / "quality.json").read_text())
    assert len(quality["measures"]["noise"]) == len(quality["features"]) > 0
    facts = json.loads(run("info", tmp_path / "model", "--json").stdout)
    assert (facts["generator"], facts["spacing_mm"]) == ("pixel_diffusion", 1.6)
    for name in ("one", "two"):
        made = run(
            "generate-images", "-i", dataset, "-o", tmp_path / name, "--scheme", "kcl8", "--model", tmp_path / "model"
        )
        assert made.exit_code == 0, made.stderr
    assert digests(tmp_path / "one") == digests(tmp_path / "two")


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("--preset", "nosuch"), "nosuch"),
        (("--generator", "carried"), "needs no training"),
        (("--max-steps", "3", "--set", "training.steps=4"), "same thing"),
        (("--resume", "maybe"), "--resume maybe"),
    ],
)
def test_wrong_training_is_refused_before_anything_is_written(
    run: Run, dataset: Path, tmp_path: Path, arguments: tuple[str, ...], named: str
) -> None:
    result = run("train", "-i", dataset, "-o", tmp_path / "model", "--scheme", "kcl8", *arguments)
    assert result.exit_code == 2
    assert named in result.stderr
    assert not (tmp_path / "model").exists()


@pytest.mark.real_data
@pytest.mark.slow
def test_real_fetal_case_keeps_its_grid_and_meets_its_width(run: Run, real_data: Path, tmp_path: Path) -> None:
    source = sorted((real_data / "fetal_healthy").glob("*_dseg.nii.gz"))[9]
    settings = ("--scheme", "kcl8", "--model", "gaussian_mixture", "--set", "atrial_width_mm=15")
    result = run("synthesize", source, "-o", tmp_path / "out", *settings)
    assert result.exit_code == 0, result.stderr
    made = rows(tmp_path / "out")
    assert len(made) == 1
    assert json.loads(made[0]["severity"])["atrial_width_mm"] == pytest.approx(15, abs=0.3)
    for column in ("labels", "T2w"):
        stored = nib.load(tmp_path / "out" / made[0][column])
        np.testing.assert_array_equal(stored.affine, nib.load(source).affine)
        assert stored.shape == nib.load(source).shape
