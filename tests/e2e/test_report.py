"""``pathosynth report`` as a user runs it."""

import csv
import json
from pathlib import Path

import pytest
from command_line import Run

from pathosynth.cli import report as command
from pathosynth.stages import report

PLANTED = Path(__file__).parents[1] / "stages" / "planted_model.py"


def test_help_names_every_figure(run: Run) -> None:
    assert set(command.FIGURES.split("|")) == set(report.FIGURES)
    assert "--guidance" in run("report", "--help").stdout


def test_figures_of_phantom_cases_resume_and_are_reproducible(run: Run, phantom_file: Path, tmp_path: Path) -> None:
    call = ("report", "violins", "-i", f"one={phantom_file}", "--scheme", "kcl8", "--measure", "cortex_ml")
    assert run(*call, "-o", tmp_path / "a", "--dry-run").exit_code == 0
    assert not (tmp_path / "a").exists()
    first = run(*call, "-o", tmp_path / "a", "--json")
    assert first.exit_code == 0, first.stderr
    assert json.loads(first.stdout)["counts"] == {"done": 1, "rejected": 0, "failed": 0}
    assert run(*call, "-o", tmp_path / "b").exit_code == 0
    for name in ("violins.png", "violins.csv", "violins.json"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    info = run("info", phantom_file, "--scheme", "kcl8", "--json")
    row = next(csv.DictReader((tmp_path / "a" / "violins.csv").open()))
    assert float(row["cortex_ml"]) == pytest.approx(json.loads(info.stdout)["groups"]["cortex"]["ml"], rel=1e-4)


def test_wrong_use_is_one_message(run: Run, phantom_file: Path, tmp_path: Path) -> None:
    common = ("-i", phantom_file, "-o", tmp_path / "out", "--scheme", "kcl8")
    for call, message in {
        ("pie",): "expected one of histogram",
        ("violins", "--guidance", "2"): "guidance",
        ("histogram", "--model", "nowhere"): "nowhere",
        ("violins", "--measure", "charm_ml"): "charm_ml",
        ("sets",): "real set first",
        ("asked",): "scheme",
    }.items():
        result = run("report", *call, *common)
        assert result.exit_code == 2
        assert message in result.stderr
        assert "Traceback" not in result.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_control_with_workers_equals_control_without(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    write = f"import sys; sys.path.insert(0, {str(PLANTED.parent)!r})"
    exec(
        write + f"\nfrom pathlib import Path; import planted_model; planted_model.write_model(Path({str(folder)!r}))",
        {},
    )
    call = ("report", "control", "-i", folder, "--use", PLANTED, "--c", "0:1:0.5", "--guidance", "1,3", "--n", "1")
    for name, jobs in (("one", 1), ("two", 2)):
        result = run(*call, "-o", tmp_path / name, "--jobs", jobs)
        assert result.exit_code == 0, result.stderr
    assert (tmp_path / "one" / "control.csv").read_text() == (tmp_path / "two" / "control.csv").read_text()
