"""What the command line answers without doing anything: help, lists, descriptions, dry runs."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from pathosynth.cli import app
from pathosynth.data.cases import Case, write_cases
from pathosynth.data.labels import scheme_names
from pathosynth.data.nifti import write_labels
from pathosynth.data.volume import Volume

COMMANDS = (
    "synthesize", "demo", "prepare", "morph", "train", "generate-labels", "generate-images", "check", "preview", "list",
    "info",
)  # fmt: skip
HEAVY = ("torch", "monai", "nibabel", "matplotlib", "numpy", "pandas", "pydantic")


def call(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; sys.argv = ['pathosynth', '--help']\n"
        "from pathosynth.cli import main\n"
        "try: main()\nexcept SystemExit: pass\n"
        f"print([name for name in {HEAVY} if name in sys.modules], file=sys.stderr)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stderr.strip() == "[]"
    assert [name for name in COMMANDS if name not in result.stdout] == []


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself(name: str) -> None:
    result = call(name, "--help")
    assert result.exit_code == 0
    assert "Usage" in result.stdout
    assert "--json" in result.stdout


@pytest.mark.parametrize("kind", ["models", "schemes", "pathologies", "generators", "checks", "formats"])
def test_lists_parse_and_every_entry_says_what_it_is(kind: str) -> None:
    result = call("list", kind, "--json")
    rows = json.loads(result.stdout)
    assert rows
    assert all(row["name"] and len(row["about"]) > 10 for row in rows)
    assert all(row["name"] in call("list", kind).stdout for row in rows)


def test_list_of_schemes_is_complete_and_a_wrong_kind_is_refused() -> None:
    assert {row["name"] for row in json.loads(call("list", "schemes", "--json").stdout)} == set(scheme_names())
    wrong = call("list", "nosuch")
    assert wrong.exit_code == 2
    assert "expected one of models" in wrong.stderr


def test_info_measures_volumes_in_mm3_and_ml(tmp_path: Path) -> None:
    labels = np.zeros((20, 20, 20), np.uint8)
    labels[2:12, 2:12, 2:12] = 1
    labels[5:7, 5:7, 5:10] = 2
    write_labels(tmp_path / "cube.nii.gz", Volume(labels, np.diag([1.0, 2.0, 3.0, 1.0])))
    facts = json.loads(call("info", tmp_path / "cube.nii.gz", "--scheme", "kcl8", "--json").stdout)
    assert facts["labels"]["ventricular_csf"] == {"voxels": 20, "mm3": 120.0, "ml": 0.12}
    assert facts["labels"]["white_matter"] == {"voxels": 980, "mm3": 5880.0, "ml": 5.88}
    assert facts["groups"]["intracranial"]["voxels"] == 1000
    assert facts["orientation"] == "RAS"
    unnamed = json.loads(call("info", tmp_path / "cube.nii.gz", "--json").stdout)
    assert unnamed["labels"]["2"]["mm3"] == 120.0


def test_info_summarises_a_case_table(tmp_path: Path) -> None:
    cases = [
        Case(case=f"c{i}", subject=f"s{i // 2}", split=split, scheme="kcl8", images={"T2w": tmp_path / "x.nii.gz"})
        for i, split in enumerate(("train", "train", "test", "test"))
    ]
    write_cases(tmp_path / "cases.csv", cases)
    facts = json.loads(call("info", tmp_path / "cases.csv", "--json").stdout)
    assert (facts["cases"], facts["subjects"], facts["without labels"]) == (4, 2, 4)
    assert facts["splits"] == {"test": 2, "train": 2}
    assert facts["contrasts"] == {"T2w": 4}
    assert json.loads(call("info", tmp_path, "--json").stdout)["cases"] == 4


def test_info_on_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("hello")
    for path in (tmp_path / "notes.txt", tmp_path, tmp_path / "none.nii.gz"):
        result = call("info", path)
        assert result.exit_code == 2
        assert str(path) in result.stderr


def test_dry_run_tells_the_plan_and_writes_nothing(tmp_path: Path) -> None:
    out = tmp_path / "out"
    result = call("demo", "-o", out, "--phantoms", 3, "--model", "gaussian_mixture", "--dry-run", "--json")
    plan = json.loads(result.stdout)
    assert result.exit_code == 0
    assert [task["source"] for task in plan["tasks"]][-3:] == ["phantom01", "phantom02", "phantom03"]
    assert plan["config"].get("phantoms", plan["config"])["model"] == "gaussian_mixture"
    assert plan["memory_gib"] > 0
    assert not out.exists()
    text = call("demo", "-o", out, "--phantoms", 3, "--model", "gaussian_mixture", "--dry-run").stdout
    assert "nothing was written" in text


def test_plugin_from_outside_is_listed_and_a_broken_one_is_refused(tmp_path: Path) -> None:
    plugin = tmp_path / "my_check.py"
    plugin.write_text(
        '"""Is the sky blue today?"""\n'
        "from pathosynth.data.findings import CheckInput, Finding\n"
        "from pathosynth.runs.config import Config as Base\n\n\n"
        "class Config(Base):\n    ...\n\n\n"
        "def check(case: CheckInput, config: Config) -> Finding:\n"
        '    return Finding("my_check", 1.0, 2.0, True, "blue")\n'
    )
    from pathosynth.checks import CHECKS

    try:
        rows = json.loads(call("list", "checks", "--json", "--use", plugin).stdout)
        assert {"name": "my_check", "about": "Is the sky blue today?", "settings": {}} in rows
    finally:
        CHECKS.pop("my_check", None)
    broken = tmp_path / "broken.py"
    broken.write_text("x = 1 / 0\n")
    result = call("list", "checks", "--use", broken)
    assert result.exit_code == 2
    assert "ZeroDivisionError" in result.stderr
