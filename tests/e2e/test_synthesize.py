"""`synthesize` end to end: what it promises about severity, grid, bytes, resume and leftovers."""

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from command_line import Run, digests, turned
from typer.testing import CliRunner

from pathosynth.checks import CHECKS
from pathosynth.cli import app
from pathosynth.data.labels import load_scheme
from pathosynth.data.nifti import write_labels
from pathosynth.data.volume import Volume
from pathosynth.pathologies import PATHOLOGIES

WIDTH = 12.0
COMMON = ("--scheme", "kcl8", "--model", "gaussian_mixture")
QUICK = (*COMMON, "--pathology", "dilation", "--set", "iterations=3")
"""The quicker pathology, where the test is not about anatomy."""
NAME, QUICK_NAME = "headVentriculomegaly01", "headDilation01"


def labels_of(out: Path, case: str = NAME, root: str = ".") -> nib.Nifti1Image:
    return nib.load(out / root / f"sub-{case}" / "anat" / f"sub-{case}_seg-kcl8_dseg.nii.gz")


def image_of(out: Path, case: str = NAME, root: str = ".") -> nib.Nifti1Image:
    return nib.load(out / root / f"sub-{case}" / "anat" / f"sub-{case}_desc-synth_T2w.nii.gz")


@pytest.fixture(scope="module")
def made(fine_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("made") / "out"
    result = CliRunner().invoke(
        app, ["synthesize", str(fine_file), "-o", str(out), *COMMON, "--set", f"atrial_width_mm={WIDTH}"]
    )
    assert result.exit_code == 0, result.stderr
    return out


def test_requested_width_is_met_and_written_down(made: Path, fine_phantom: Volume) -> None:
    module, scheme = PATHOLOGIES["ventriculomegaly"], load_scheme("kcl8")
    labels = labels_of(made)
    spacing = tuple(float(edge) for edge in labels.header.get_zooms())
    before = module.severity(fine_phantom.array, scheme, spacing)["atrial_width_mm"]
    after = module.severity(np.asarray(labels.dataobj), scheme, spacing)["atrial_width_mm"]
    assert before < WIDTH - 2
    assert after == pytest.approx(WIDTH, abs=0.3)
    row = next(csv.DictReader((made / "cases.csv").open()))
    assert json.loads(row["severity"])["atrial_width_mm"] == pytest.approx(after, abs=1e-6)
    assert (row["subject"], row["parent"], row["origin"]) == ("head", "head", "morphed")


def test_image_shows_the_labels(made: Path) -> None:
    image, labels = np.asarray(image_of(made).dataobj), np.asarray(labels_of(made).dataobj)
    assert image.dtype == np.int16
    assert not image[labels == 0].any()
    csf, cortex = np.median(image[labels == 2]), np.median(image[labels == 5])
    assert csf > 2 * cortex > 0


def test_sidecars_tell_where_it_came_from(made: Path) -> None:
    folder = made / f"sub-{NAME}" / "anat"
    labels = json.loads((folder / f"sub-{NAME}_seg-kcl8_dseg.json").read_text())
    image = json.loads((folder / f"sub-{NAME}_desc-synth_T2w.json").read_text())
    assert labels["Parent"] == "head"
    assert labels["Requested"]["ventriculomegaly"]["atrial_width_mm"] == WIDTH
    assert labels["Severity"]["atrial_width_mm"] == pytest.approx(WIDTH, abs=0.3)
    assert image["Model"] == "gaussian_mixture"
    assert image["Sources"] == [f"bids::sub-{NAME}/anat/sub-{NAME}_seg-kcl8_dseg.nii.gz"]
    assert labels["Seed"] != image["Seed"]


def test_checks_table_has_every_check_of_every_case(made: Path) -> None:
    rows = list(csv.DictReader((made / "checks.csv").open()))
    assert {row["check"] for row in rows} == set(CHECKS)
    assert all(row["case"] == NAME and row["passed"] == "true" for row in rows)


def test_montage_is_a_picture_with_contrast(made: Path) -> None:
    from matplotlib import image as pictures

    pixels = pictures.imread(made / "montage.png")
    assert min(pixels.shape[:2]) > 100
    assert pixels[..., :3].std() > 0.05


def test_same_seed_same_bytes_other_seed_other_image(run: Run, made: Path, fine_file: Path, tmp_path: Path) -> None:
    settings = (*COMMON, "--set", f"atrial_width_mm={WIDTH}")
    again = run("synthesize", fine_file, "-o", tmp_path / "again", *settings)
    other = run("synthesize", fine_file, "-o", tmp_path / "other", *settings, "--seed", 1)
    assert (again.exit_code, other.exit_code) == (0, 0)
    assert digests(tmp_path / "again") == digests(made)
    image = f"sub-{NAME}/anat/sub-{NAME}_desc-synth_T2w.nii.gz"
    assert digests(tmp_path / "other")[image] != digests(made)[image]


def test_oblique_flipped_input_gets_its_own_grid_back_to_the_bit(
    run: Run, phantom: Volume, phantom_file: Path, tmp_path: Path
) -> None:
    write_labels(tmp_path / "head_dseg.nii.gz", turned(phantom))
    for source, out in ((tmp_path / "head_dseg.nii.gz", "out"), (phantom_file, "straight")):
        result = run("synthesize", source, "-o", tmp_path / out, *QUICK)
        assert result.exit_code == 0, result.stderr
    source = nib.load(tmp_path / "head_dseg.nii.gz")
    assert nib.aff2axcodes(source.affine) == ("P", "S", "L")
    for volume in (labels_of(tmp_path / "out", QUICK_NAME), image_of(tmp_path / "out", QUICK_NAME)):
        assert volume.shape == source.shape
        np.testing.assert_array_equal(volume.affine, source.affine)
    straight = np.asarray(labels_of(tmp_path / "straight", QUICK_NAME).dataobj)
    back = np.asarray(labels_of(tmp_path / "out", QUICK_NAME).dataobj)[::-1, :, ::-1].transpose(2, 0, 1)
    np.testing.assert_array_equal(back, straight)


def test_resume_keeps_finished_cases_and_makes_the_missing_ones(run: Run, phantom_file: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    call = ("synthesize", phantom_file, "-o", out, *QUICK, "--per-case", 2)
    assert run(*call).exit_code == 0
    whole = digests(out)
    kept = labels_of(out, "headDilation01").get_filename()
    before = Path(kept).stat().st_mtime_ns
    for path in sorted((out / "sub-headDilation02").rglob("*"), reverse=True):
        path.unlink() if path.is_file() else path.rmdir()
    result = run(*call)
    assert result.exit_code == 0
    assert "headDilation01" not in result.stderr
    assert "headDilation02 done" in result.stderr
    assert Path(kept).stat().st_mtime_ns == before
    assert digests(out) == whole


def test_other_settings_in_the_same_folder_are_refused_until_overwrite(
    run: Run, phantom_file: Path, tmp_path: Path
) -> None:
    dilation = (*COMMON, "--pathology", "dilation")
    out = tmp_path / "out"
    assert run("synthesize", phantom_file, "-o", out, *dilation, "--set", "iterations=3").exit_code == 0
    before = digests(out)
    refused = run("synthesize", phantom_file, "-o", out, *dilation, "--set", "iterations=4")
    assert refused.exit_code == 2
    assert "iterations was 3, now 4" in refused.stderr
    assert "--overwrite" in refused.stderr
    assert digests(out) == before
    replaced = run("synthesize", phantom_file, "-o", out, *dilation, "--set", "iterations=4", "--overwrite")
    assert replaced.exit_code == 0
    assert digests(out).keys() == before.keys()
    assert digests(out) != before


@pytest.mark.slow
def test_folder_is_a_valid_bids_derivative(made: Path) -> None:
    validator = shutil.which("bids-validator-deno", path=Path(sys.executable).parent)
    if validator is None:
        pytest.skip("bids-validator-deno is not installed beside this Python")
    result = subprocess.run([validator, str(made), "--json"], capture_output=True, text=True, check=False)
    issues = json.loads(result.stdout)["issues"]["issues"]
    assert [issue["code"] for issue in issues if issue["severity"] == "error"] == []


def test_rejected_cases_stay_out_of_the_table_and_can_be_looked_at(
    run: Run, phantom_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pathosynth.data.findings import Finding

    verdict = Finding("intensity", 1.0, 0.0, False, "too bright")
    monkeypatch.setattr(CHECKS["intensity"], "check", lambda case, config: verdict)
    out = tmp_path / "out"
    result = run("synthesize", phantom_file, "-o", out, *QUICK)
    assert result.exit_code == 0
    assert "1 rejected" in result.stdout
    assert list(csv.DictReader((out / "cases.csv").open())) == []
    rows = {row["check"]: row for row in csv.DictReader((out / "checks.csv").open())}
    assert (rows["intensity"]["passed"], rows["intensity"]["detail"]) == ("false", "too bright")
    assert np.asarray(image_of(out, QUICK_NAME, "rejected").dataobj).any()
    assert [path.name for path in out.glob("sub-*")] == []


@pytest.mark.slow
def test_workers_make_the_same_bytes(run: Run, phantom_file: Path, tmp_path: Path) -> None:
    call = ("synthesize", phantom_file, *QUICK, "--per-case", 2)
    assert run(*call, "-o", tmp_path / "one").exit_code == 0
    assert run(*call, "-o", tmp_path / "two", "--jobs", 2).exit_code == 0
    assert digests(tmp_path / "one") == digests(tmp_path / "two")


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL on Windows")
def test_workers_leave_when_the_run_is_killed(fine_file: Path, tmp_path: Path) -> None:
    program = "from pathosynth.cli import main; main()"
    call = ["synthesize", fine_file, "-o", tmp_path / "out", *QUICK, "--per-case", "20", "--jobs", "2"]
    run = subprocess.Popen([sys.executable, "-c", program, *map(str, call)], stderr=subprocess.PIPE)
    assert run.stderr is not None
    run.stderr.readline()
    run.kill()
    run.communicate(timeout=60)  # ends when the last worker, which holds the pipe too, is gone


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has other signals")
def test_interrupt_with_workers_ends_soon_with_one_line(fine_file: Path, tmp_path: Path) -> None:
    # A shell that starts the tests in the background lets them ignore the signal.
    program = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
    program += "from pathosynth.cli import main; main()"
    call = ["synthesize", fine_file, "-o", tmp_path / "out", *QUICK, "--per-case", "30", "--jobs", "2"]
    command = [sys.executable, "-c", program, *map(str, call)]
    run = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)
    assert run.stderr is not None
    lines = [run.stderr.readline() for _ in range(3)]
    os.killpg(run.pid, signal.SIGINT)
    lines += run.communicate(timeout=240)[1].splitlines()
    assert run.returncode == 130
    assert "Interrupted" in lines[-1]
    assert "Traceback" not in "".join(lines)
    assert len(list((tmp_path / "out").glob("sub-*"))) < 15
