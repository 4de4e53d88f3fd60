"""Files from outside the package: ``--use`` makes a format, a segmenter and a metric part of the flow."""

import csv
import importlib
import json
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from command_line import Run

from pathosynth.data.nifti import write_image, write_labels
from pathosynth.data.volume import Volume
from pathosynth.formats import FORMATS
from pathosynth.metrics import METRICS
from pathosynth.segmenters import SEGMENTERS

PLUGINS = Path(__file__).parents[1] / "plugins"
MEANS = np.array([0, 300, 900, 400, 1000, 450, 380, 350], dtype=np.float32)
LAS = np.array([[-2, 0, 0, 31.5], [0, 2, 0, -20], [0, 0, 2, 4], [0, 0, 0, 1.0]])

Heads = Callable[..., tuple[Volume, Volume]]


@pytest.fixture(autouse=True)
def _forget_plugins() -> Iterator[None]:
    tables = [(table, dict(table)) for table in (SEGMENTERS, METRICS, FORMATS)]
    yield
    for table, before in tables:
        table.clear()
        table.update(before)
    for name in [name for name in sys.modules if name.startswith("pathosynth_plugin_")]:
        del sys.modules[name]


def use(*names: str) -> list[str]:
    return [word for name in names for word in ("--use", str(PLUGINS / f"{name}.py"))]


@pytest.fixture
def tables(run: Run, small_brain: Heads, tmp_path: Path) -> tuple[Path, Path]:
    """Case tables of two heads to learn from and two others, on different grids; intensities tell the label."""
    heads = {"train": {"one": small_brain(), "two": small_brain((26, 28, 22))}}
    heads["test"] = {"three": small_brain(affine=LAS), "four": small_brain((24, 30, 22))}
    for part, brains in heads.items():
        for name, (labels, _) in brains.items():
            write_labels(tmp_path / part / f"{name}.nii.gz", labels)
            write_image(tmp_path / part / f"image-{name}.nii.gz", labels.with_array(MEANS[labels.array]))
        (tmp_path / part / "list.txt").write_text("".join(f"{n} {n}.nii.gz image-{n}.nii.gz\n" for n in brains))
        words = ("-i", tmp_path / part, "-o", tmp_path / f"{part}-cases", "--format", "listed", "--scheme", "kcl8")
        assert run("study", "table", *words, *use("listed")).exit_code == 0
    return tmp_path / "train-cases", tmp_path / "test-cases"


def test_format_segmenter_and_metric_of_ones_own_from_data_to_scores(
    run: Run, tables: tuple[Path, Path], tmp_path: Path
) -> None:
    train, test = tables
    segment = ("segment", "-i", test, "--train", train, "--segmenter", "nearest_mean", "-o", tmp_path / "seg")
    made = run(*segment, *use("nearest_mean"))
    assert made.exit_code == 0, made.stderr
    truths = {row["case"]: test / row["labels"] for row in rows(test)}
    predicted = {row["case"]: tmp_path / "seg" / row["labels"] for row in rows(tmp_path / "seg")}
    assert set(predicted) == set(truths) == {"three", "four"}
    for name, path in predicted.items():
        arrays = [np.asarray(nib.load(one).dataobj) for one in (path, truths[name])]
        np.testing.assert_array_equal(*arrays)
    record = json.loads((tmp_path / "seg" / "segmenter" / "segmenter.json").read_text())
    assert (record["kind"], record["plan"], len(record["training"])) == ("nearest_mean", "plain", 2)

    darker = ("segment", "-i", test, "--model", tmp_path / "seg", "-o", tmp_path / "dark", "--set", "darkest=320")
    assert run(*darker, *use("nearest_mean")).exit_code == 0
    arms = [word for name in ("dark", "seg") for word in ("--predicted", f"{name}={tmp_path / name}")]
    judged = run("evaluate", "-i", test, *arms, "-o", tmp_path / "scores", *use("jaccard"))
    assert judged.exit_code == 0, judged.stderr
    scores = [row for row in rows(tmp_path / "scores", "scores.csv") if row["state"] != "both_empty"]
    dice, jaccard = (np.array([float(row[name]) for row in scores]) for name in ("dice", "jaccard"))
    np.testing.assert_allclose(jaccard, dice / (2 - dice), rtol=1e-9)
    assert {row["arm"] for row in scores if float(row["dice"]) < 1} == {"dark"}
    summary = [row for row in rows(tmp_path / "scores", "summary.csv") if row["metric"] == "jaccard"]
    assert {row["better"] for row in summary} == {"higher"}
    assert {row["structure"] for row in summary} >= {row["structure"] for row in scores}


def rows(folder: Path, table: str = "cases.csv") -> list[dict[str, str]]:
    return list(csv.DictReader((folder / table).open()))


def test_what_is_fixed_by_the_training_and_what_is_not_known_is_refused(
    run: Run, tables: tuple[Path, Path], tmp_path: Path
) -> None:
    trained = run(
        "segment", "--train", tables[0], "--segmenter", "nearest_mean", "-o", tmp_path / "seg", *use("nearest_mean")
    )
    assert trained.exit_code == 0, trained.stderr
    again = ("segment", "-i", tables[1], "--model", tmp_path / "seg", "-o", tmp_path / "x")
    fixed = run(*again, "--set", "cases=1", *use("nearest_mean"))
    assert (fixed.exit_code, "cases cannot be set after the training, only darkest" in fixed.stderr) == (2, True)
    SEGMENTERS.pop("nearest_mean")
    unknown = run(*again)
    assert unknown.exit_code == 2
    assert "found one of kind 'nearest_mean'. Give its file with --use" in unknown.stderr


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = 1", "expected one of the functions 'labels_of' (segmenter), 'morph' (pathology)"),
        ("def labels_of(): ...\ndef train(): ...\n", "a segmenter needs Config, plans, config_from_plan, predict"),
        ("def labels_of(): ...\nclass Config: ...\n", "a segmenter needs check too"),
        ("def compute(): ...\nUNIT = ''\n", "a metric needs measure, BETTER too"),
        ("def read(): ...\n", "a format needs Config too"),
        ("def generate(model, wanted, seeds): ...\n", "a label generator needs Config too"),
    ],
)
def test_a_file_that_is_not_complete_is_refused(run: Run, tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / f"own{abs(hash(text))}.py"
    path.write_text(text)
    result = run("list", "metrics", "--use", path)
    assert (result.exit_code, message in result.stderr) == (2, True), result.stderr


def test_a_name_in_use_is_refused_and_the_same_file_twice_is_not(run: Run, tmp_path: Path) -> None:
    shutil.copy(PLUGINS / "jaccard.py", tmp_path / "dice.py")
    taken = run("list", "metrics", "--use", tmp_path / "dice.py")
    assert (taken.exit_code, "the name 'dice' is taken" in taken.stderr) == (2, True)
    listed = run("list", "metrics", "--json", *use("jaccard", "jaccard"))
    assert [row["name"] for row in json.loads(listed.stdout)].count("jaccard") == 1
    importlib.import_module("pathosynth_plugin_jaccard")
