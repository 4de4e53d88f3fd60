"""Wrong use and bad input: one clear message on standard error, the right exit code, nothing written."""

import gzip
import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from command_line import Run

COMMON = ("--scheme", "kcl8", "--model", "gaussian_mixture")
QUICK = (*COMMON, "--pathology", "dilation", "--set", "iterations=3")


def damaged(kind: str, source: Path, target: Path) -> Path:
    """Write one of the field's bad files."""
    image = nib.load(source)
    array, affine = np.asarray(image.dataobj), image.affine.copy()
    if kind == "truncated":
        target.write_bytes(source.read_bytes()[:-2000])
        return target
    if kind == "not gzip":
        target.write_bytes(b"this is not an image")
        return target
    if kind == "bit flip":
        data = bytearray(source.read_bytes())
        data[len(data) // 2] ^= 1
        target.write_bytes(bytes(data))
        return target
    if kind == "empty":
        array = np.zeros_like(array)
    if kind == "unknown value":
        array = array.copy()
        array[40, 40, 40] = 77
    if kind == "float":
        array = array.astype(np.float32)
    if kind == "4D":
        array = np.stack([array, array], axis=-1)
    if kind == "sheared":
        affine[0, 1] = 0.8
    target.write_bytes(gzip.compress(nib.Nifti1Image(array, affine).to_bytes()))
    return target


KINDS = ("truncated", "not gzip", "bit flip", "empty", "unknown value", "float", "4D", "sheared")


@pytest.mark.parametrize("kind", KINDS)
def test_one_bad_file_ends_with_2_one_message_and_nothing_written(
    run: Run, phantom_file: Path, tmp_path: Path, kind: str
) -> None:
    bad = damaged(kind, phantom_file, tmp_path / "bad_dseg.nii.gz")
    result = run("synthesize", bad, "-o", tmp_path / "new" / "out", *QUICK)
    assert result.exit_code == 2
    (message,) = result.stderr.splitlines()
    assert message.startswith(f"pathosynth: {bad}: ")
    assert not (tmp_path / "new").exists()


def test_one_bad_case_of_three_ends_with_1_and_the_others_are_made(
    run: Run, phantom_file: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for name in ("a", "c"):
        (folder / f"{name}_dseg.nii.gz").write_bytes(phantom_file.read_bytes())
    damaged("truncated", phantom_file, folder / "b_dseg.nii.gz")
    out = tmp_path / "out"
    result = run("synthesize", folder, "-o", out, *QUICK)
    assert result.exit_code == 1
    assert "bDilation01" in result.stderr
    cases = json.loads((out / "run.json").read_text())["cases"]
    assert {name: entry["outcome"] for name, entry in cases.items()} == {
        "aDilation01": "done",
        "bDilation01": "failed",
        "cDilation01": "done",
    }
    assert "b_dseg.nii.gz" in cases["bDilation01"]["message"]
    assert sorted(path.name for path in out.glob("sub-*")) == ["sub-aDilation01", "sub-cDilation01"]
    assert [line.split(",")[0] for line in (out / "cases.csv").read_text().splitlines()[1:]] == [
        "aDilation01",
        "cDilation01",
    ]


@pytest.mark.parametrize("name", ["fetus 01", "fœtus", "-a", ""])
@pytest.mark.parametrize("whole_folder", [False, True])
def test_file_name_that_cannot_be_a_case_is_one_readable_line(
    run: Run, phantom_file: Path, tmp_path: Path, name: str, whole_folder: bool
) -> None:
    path = tmp_path / "in" / f"{name}_dseg.nii.gz"
    path.parent.mkdir()
    path.write_bytes(phantom_file.read_bytes())
    result = run("synthesize", path.parent if whole_folder else path, "-o", tmp_path / "out", *QUICK)
    assert result.exit_code == 2
    (message,) = result.stderr.splitlines()
    assert str(path) in message
    assert repr(name) in message
    assert "Rename the file" in message
    assert "pydantic" not in message
    assert not (tmp_path / "out").exists()


def test_impossible_severity_is_refused_before_anything_is_written(
    run: Run, phantom_file: Path, tmp_path: Path
) -> None:
    result = run("synthesize", phantom_file, "-o", tmp_path / "out", *COMMON, "--set", "ventricle_ml=5000")
    assert result.exit_code == 2
    assert "mL" in result.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("--scheme", "nosuch"), "--scheme nosuch"),
        (("--scheme", "kcl8", "--pathology", "nosuch"), "--pathology nosuch"),
        (("--scheme", "kcl8", "--set", "ventricle_ml=12", "--model", "nosuch"), "--model nosuch"),
        (("--scheme", "kcl8", "--set", "ventricle_ml=12", "--model", "pixel_diffusion"), "trained first"),
        (("--scheme", "kcl8", "--set", "atrial_width"), "expected key=value"),
        (("--scheme", "kcl8", "--set", "nosuch=3"), "nosuch"),
        (("--scheme", "kcl8", "--set", "atrial_width_mm=banana"), "banana"),
        (("--scheme", "kcl8", "--use", "nosuch.py"), "--use nosuch.py"),
        ((), "--scheme"),
        (("--scheme", "kcl8", "--seed", "-3"), "--seed"),
        (("--nosuch",), "No such option"),
        (("--scheme", "kcl8", "--scheme", "feta"), "--scheme was given 2 times"),
    ],
)
def test_wrong_use_names_the_argument(
    run: Run, phantom_file: Path, tmp_path: Path, arguments: tuple[str, ...], named: str
) -> None:
    result = run("synthesize", phantom_file, "-o", tmp_path / "out", *arguments)
    assert result.exit_code == 2
    assert named in result.stderr
    assert "Traceback" not in result.stderr
    assert not (tmp_path / "out").exists()


def test_missing_input_and_foreign_output_folder_are_refused(run: Run, phantom_file: Path, tmp_path: Path) -> None:
    missing = run("synthesize", tmp_path / "none.nii.gz", "-o", tmp_path / "out", *QUICK)
    assert (missing.exit_code, "no such file" in missing.stderr) == (2, True)
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "thesis.txt").write_text("years of work")
    foreign = run("synthesize", phantom_file, "-o", tmp_path / "home", *QUICK)
    assert (foreign.exit_code, "found other files" in foreign.stderr) == (2, True)
    assert [path.name for path in (tmp_path / "home").iterdir()] == ["thesis.txt"]


def test_output_that_cannot_be_made_is_told_in_the_words_of_the_system(
    run: Run, phantom_file: Path, tmp_path: Path
) -> None:
    result = run("synthesize", phantom_file, "-o", tmp_path / ("x" * 300), *QUICK)
    assert result.exit_code == 2
    (message,) = result.stderr.splitlines()
    assert "File name too long" in message
    assert "unexpected" not in message


def test_unforeseen_error_is_one_line_unless_debug(
    run: Run, phantom_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pathosynth.pathologies import PATHOLOGIES

    def explode(*arguments: object) -> None:
        raise ZeroDivisionError("division by zero")

    monkeypatch.setattr(PATHOLOGIES["dilation"], "morph", explode)
    plain = run("synthesize", phantom_file, "-o", tmp_path / "out", *QUICK)
    assert plain.exit_code == 2
    assert "ZeroDivisionError" in plain.stderr
    assert "--debug" in plain.stderr
    assert "Traceback" not in plain.stderr
    assert not (tmp_path / "out").exists()
    debug = run("synthesize", phantom_file, "-o", tmp_path / "debug", *QUICK, "--debug")
    assert debug.exit_code == 2
    assert "Traceback" in debug.stderr


def test_a_condition_that_the_labels_do_not_show_is_refused_before_training(
    run: Run, phantom_file: Path, tmp_path: Path
) -> None:
    call = (
        "train",
        "-i",
        phantom_file,
        "--scheme",
        "kcl8",
        "--generator",
        "latent_diffusion",
        "-o",
        tmp_path / "model",
    )
    result = run(*call, "--set", 'conditions=["hippocampus_ml"]', "--dry-run")
    assert result.exit_code == 2
    assert "hippocampus_ml are unknown in scheme 'kcl8'" in result.stderr
    assert run(*call, "--dry-run").exit_code == 0
    assert not (tmp_path / "model").exists()
