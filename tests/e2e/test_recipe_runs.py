"""Cohorts through the command line: two pathologies in one case, recipes, tables, workers, interruption."""

import csv
import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from command_line import Run, digests
from matplotlib.image import imread

from pathosynth.data.cases import Case, write_cases
from pathosynth.data.nifti import write_labels
from pathosynth.data.phantom import brain_phantom
from pathosynth.data.volume import Volume
from pathosynth.pathologies import PATHOLOGIES
from pathosynth.stages import batch

CUT = '''"""A cerebellum whose lowest voxels become external CSF."""

import numpy as np

from pathosynth.morphing import Morphed
from pathosynth.runs.config import Config as BaseConfig
from pathosynth.runs.errors import MorphError


class Config(BaseConfig):
    fold: float
    """Of the present volume."""


def morph(labels, scheme, spacing_mm, config, rng):
    found = np.argwhere(scheme.mask(labels, "cerebellum"))
    found = found[np.lexsort(found.T)]
    left = round(len(found) * config.fold)
    if left < 0.3 * len(found):
        raise MorphError("too little cerebellum left")
    out = labels.copy()
    out[tuple(found[: len(found) - left].T)] = scheme.group("external_csf")[0]
    wanted = len(found) * config.fold * float(np.prod(spacing_mm)) / 1000
    reached = severity(out, scheme, spacing_mm)["cerebellum_ml"]
    target = {"measure": "cerebellum_ml", "unit": "mL", "asked": wanted, "reached": reached}
    return Morphed(out, None, {"pathology": "cut", "targets": [target], "warnings": []})


def severity(labels, scheme, spacing_mm):
    return {"cerebellum_ml": float(scheme.mask(labels, "cerebellum").sum() * np.prod(spacing_mm) / 1000)}
'''

WIDEN = '''"""Ventricles that grow by whole voxels into white matter."""

import numpy as np
import scipy.ndimage as ndi

from pathosynth.morphing import Morphed
from pathosynth.runs.config import Config as BaseConfig


class Config(BaseConfig):
    voxels: int
    """How far."""
    chance: float = 1.0
    """Of each new voxel."""


def morph(labels, scheme, spacing_mm, config, rng):
    ventricle, white = scheme.mask(labels, "ventricles"), scheme.mask(labels, "white_matter")
    grown = ndi.binary_dilation(ventricle, iterations=config.voxels) & white
    grown &= rng.random(labels.shape) < config.chance
    out = np.where(grown, scheme.group("ventricles")[0], labels).astype(labels.dtype)
    return Morphed(out, None, {"pathology": "widen", "targets": [], "warnings": ["stairs"]})


def severity(labels, scheme, spacing_mm):
    return {"ventricle_ml": float(scheme.mask(labels, "ventricles").sum() * np.prod(spacing_mm) / 1000)}
'''

RECIPE = """
about = "Small heads for tests"
variants_per_case = 4
max_draws = 3

[[kinds]]
name = "wide"
weight = 1
[[kinds.pathologies]]
name = "widen"
settings = { voxels = { choice = [1, 2, 3] } }

[[kinds]]
name = "both"
weight = 1
[[kinds.pathologies]]
name = "widen"
settings = { voxels = 2, chance = { uniform = [0.5, 1] } }
[[kinds.pathologies]]
name = "cut"
settings = { fold = { log_uniform = [0.25, 1] } }
"""


@pytest.fixture(autouse=True)
def _forget_plugins() -> object:
    before = dict(PATHOLOGIES)
    yield
    PATHOLOGIES.clear()
    PATHOLOGIES.update(before)


@pytest.fixture
def plugins(tmp_path: Path) -> tuple[object, ...]:
    """Options that add two quick pathologies."""
    (tmp_path / "cut.py").write_text(CUT)
    (tmp_path / "widen.py").write_text(WIDEN)
    return ("--use", tmp_path / "cut.py", "--use", tmp_path / "widen.py")


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    path = tmp_path / "small.toml"
    path.write_text(RECIPE)
    return path


@pytest.fixture(scope="module")
def heads(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table of three small heads, two of them of known age."""
    folder = tmp_path_factory.mktemp("heads")
    cases = []
    for number, age in ((1, 24.0), (2, 31.0), (3, None)):
        path = folder / f"head{number}_dseg.nii.gz"
        write_labels(path, brain_phantom(number, (76, 92, 76), 1.6))
        name = f"head{number}"
        cases.append(Case(case=name, subject=name, scheme="kcl8", labels=path, age_weeks=age))
    write_cases(folder / "cases.csv", cases)
    return folder


def rows(folder: Path, table: str = "morphs.csv") -> list[dict[str, str]]:
    return list(csv.DictReader((folder / table).open()))


def test_two_pathologies_in_one_case(
    run: Run, phantom: Volume, phantom_file: Path, plugins: tuple[object, ...], tmp_path: Path
) -> None:
    call = ("morph", "-i", phantom_file, "-o", tmp_path / "out", "--scheme", "kcl8", *plugins)
    both = ("--pathology", "dilation", "--pathology", "cut", "--set", "iterations=3", "--set", "cut.fold=0.5")
    result = run(*call, *both)
    assert result.exit_code == 0, result.stderr
    (case,) = rows(tmp_path / "out", "cases.csv")
    assert (case["case"], case["pathology"]) == ("headDilationCut01", "dilation+cut")
    severity = json.loads(case["severity"])
    before = (phantom.array == 3).sum() * 1.6**3 / 1000
    assert severity["cerebellum_ml"] == pytest.approx(before / 2, abs=1.6**3 / 1000)
    assert severity["ventricle_ml"] > (phantom.array == 2).sum() * 1.6**3 / 1000
    wide, cut = rows(tmp_path / "out")
    assert (wide["pathology"], wide["measure"], wide["outcome"]) == ("dilation", "", "done")
    assert (cut["pathology"], cut["measure"], cut["unit"], cut["draws"]) == ("cut", "cerebellum_ml", "mL", "1")
    assert float(cut["asked"]) == pytest.approx(float(cut["reached"]), abs=1.6**3 / 1000)
    sidecar = json.loads(next((tmp_path / "out").glob("sub-*/anat/*_dseg.json")).read_text())
    assert sidecar["Requested"] == {"dilation": {"iterations": 3}, "cut": {"fold": 0.5}}
    assert [step["pathology"] for step in sidecar["Report"]["steps"]] == ["dilation", "cut"]
    assert not (tmp_path / "out" / "distributions.png").exists()


def test_a_recipe_gives_its_cohort_whatever_the_workers(
    run: Run, heads: Path, plugins: tuple[object, ...], recipe: Path, tmp_path: Path
) -> None:
    call = ("morph", "-i", heads, "--recipe", recipe, *plugins, "--seed", 4)
    one = run(*call, "-o", tmp_path / "one")
    two = run(*call, "-o", tmp_path / "two", "--jobs", 2)
    assert (one.exit_code, two.exit_code) == (0, 0), one.stderr + two.stderr
    assert digests(tmp_path / "one") == digests(tmp_path / "two")
    cases = rows(tmp_path / "one", "cases.csv")
    assert Counter(case["pathology"] for case in cases) == {"widen": 6, "widen+cut": 6}
    assert {case["case"] for case in cases} >= {"head1Wide01", "head1Both04"}
    table = rows(tmp_path / "one")
    assert Counter(row["kind"] for row in table if row["pathology"] == "widen") == {"wide": 6, "both": 6}
    chosen = [json.loads(row["settings"])["voxels"] for row in table if row["kind"] == "wide"]
    assert Counter(chosen) == {1: 2, 2: 2, 3: 2}
    cuts = [row for row in table if row["pathology"] == "cut"]
    first_draws = [json.loads(row["settings"])["fold"] for row in cuts if row["draws"] == "1"]
    strata = [int(6 * np.log(fold / 0.25) / np.log(4)) for fold in first_draws]
    assert len(set(strata)) == len(strata) >= 5, "one in every sixth; only the lowest may have been drawn again"
    record = json.loads((tmp_path / "one" / "run.json").read_text())
    for row in cuts:
        refused = record["cases"][row["case"]]["refused"]
        assert row["draws"] == str(len(refused) + 1)
        assert set(refused) <= {"too little cerebellum left"}
    picture = imread(tmp_path / "one" / "distributions.png")
    assert picture.shape[0] > 200
    assert picture.std() > 0.05


def test_interrupted_cohort_ends_with_the_same_bytes(
    run: Run, heads: Path, plugins: tuple[object, ...], recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    call = ("morph", "-i", heads, "--recipe", recipe, *plugins, "--per-case", 2)
    assert run(*call, "-o", tmp_path / "whole").exit_code == 0
    attempt, left = batch.attempt, iter(range(3))

    def interrupted(*arguments: object) -> batch.Result:
        if next(left, None) is None:
            raise KeyboardInterrupt
        return attempt(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(batch, "attempt", interrupted)
        assert run(*call, "-o", tmp_path / "again").exit_code == 130
    assert len(list((tmp_path / "again").glob("sub-*"))) == 3
    assert run(*call, "-o", tmp_path / "again").exit_code == 0
    assert digests(tmp_path / "again") == digests(tmp_path / "whole")


def test_other_cases_are_another_cohort(
    run: Run, heads: Path, plugins: tuple[object, ...], recipe: Path, tmp_path: Path
) -> None:
    call = ("--recipe", recipe, *plugins, "--per-case", 1, "--scheme", "kcl8", "-o", tmp_path / "out")
    assert run("morph", "-i", heads / "head1_dseg.nii.gz", *call).exit_code == 0
    more = run("morph", "-i", heads, *call)
    assert more.exit_code == 2
    assert "cohort.parents was 1, now 3" in more.stderr


def test_failures_stand_in_the_table_with_their_reason(
    run: Run, heads: Path, plugins: tuple[object, ...], recipe: Path, tmp_path: Path
) -> None:
    recipe.write_text(RECIPE.replace("[0.25, 1]", "[0.1, 0.2]"))
    result = run("morph", "-i", heads, "--recipe", recipe, *plugins, "--per-case", 2, "-o", tmp_path / "out")
    assert result.exit_code == 1
    assert len(rows(tmp_path / "out", "cases.csv")) == 3
    failed = [row for row in rows(tmp_path / "out") if row["outcome"] == "failed"]
    assert {(row["kind"], row["pathology"]) for row in failed} == {("both", "widen"), ("both", "cut")}
    assert all("None of 3 draws of 'both' could be met: 3 x too little" in row["reason"] for row in failed)
    assert all(json.loads(row["settings"])["fold"] < 0.2 for row in failed if row["pathology"] == "cut")


def test_synthesize_renders_a_recipe(
    run: Run, heads: Path, plugins: tuple[object, ...], recipe: Path, tmp_path: Path
) -> None:
    call = ("synthesize", heads, "--recipe", recipe, *plugins, "--model", "gaussian_mixture", "--per-case", 1)
    planned = json.loads(run(*call, "-o", tmp_path / "out", "--dry-run", "--json").stdout)
    assert "x wide" in planned["makes"]
    assert planned["config"]["recipe"]["kinds"]["both"]["order"] == ["widen", "cut"]
    assert not (tmp_path / "out").exists()
    result = run(*call, "-o", tmp_path / "out")
    assert result.exit_code == 0, result.stderr
    record = json.loads((tmp_path / "out" / "run.json").read_text())["cases"]
    assert set(record) == {task["case"] for task in planned["tasks"]}
    assert {row["outcome"] for row in rows(tmp_path / "out")} <= {"done", "rejected"}
    assert (tmp_path / "out" / "distributions.png").is_file()


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("--recipe", "nosuch"), "--recipe nosuch"),
        (("--recipe", "paper1", "--pathology", "dilation"), "leave out --pathology"),
        (("--recipe", "paper1", "--set", "iterations=3"), "leave out --pathology and --set"),
        (("--recipe", "paper1", "--per-case", "0"), "--per-case"),
    ],
)
def test_wrong_use_of_recipes(run: Run, heads: Path, tmp_path: Path, arguments: tuple[str, ...], named: str) -> None:
    result = run("morph", "-i", heads, "-o", tmp_path / "out", *arguments)
    assert result.exit_code == 2
    assert named in result.stderr
    assert not (tmp_path / "out").exists()


def test_shipped_recipes_are_listed(run: Run) -> None:
    found = {row["name"]: row["about"] for row in json.loads(run("list", "recipes", "--json").stdout)}
    assert {"paper1", "fetal-ventriculomegaly", "adult-ventricles"} <= set(found)
    assert "198" in found["paper1"]
