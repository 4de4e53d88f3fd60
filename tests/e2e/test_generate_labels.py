"""`generate-labels`, `synthesize --label-model` and `demo` as a user sees them, on a generator without weights."""

import csv
import importlib.util
import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import nibabel as nib
import numpy as np
import pytest
from command_line import Run, digests
from typer.testing import Result

from pathosynth.label_generators import LABEL_GENERATORS

PLUGIN = Path(__file__).parents[1] / "stages" / "toy_labels.py"
USE = ("--use", PLUGIN)
VENTRICLES = 2


@pytest.fixture(scope="module")
def toy() -> Iterator[ModuleType]:
    spec = importlib.util.spec_from_file_location("toy_labels", PLUGIN)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module
    LABEL_GENERATORS.pop("toy_labels", None)
    sys.modules.pop("pathosynth_plugin_toy_labels", None)


@pytest.fixture
def model(toy: ModuleType, tmp_path: Path) -> Path:
    return Path(toy.write_model(tmp_path / "toy-model"))


def generated(run: Run, model: Path, out: Path, *arguments: object) -> Result:
    return run("generate-labels", "-i", model, "-o", out, *USE, *arguments)


def rows(out: Path, name: str = "generated.csv") -> list[dict[str, str]]:
    return list(csv.DictReader((out / name).open()))


def test_folder_is_a_data_set_with_its_tables(run: Run, model: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    result = generated(run, model, out, "--n", 3, "--set", "ventricle_ml=uniform:10:40", "--json")
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["counts"] == {"done": 3, "rejected": 0, "failed": 0}
    assert {"dataset_description.json", "cases.csv", "checks.csv", "generated.csv", "run.json"} <= {
        path.name for path in out.iterdir()
    }
    assert "generated.csv" in (out / ".bidsignore").read_text().splitlines()
    assert {row["check"] for row in rows(out, "checks.csv")} == {"geometry", "islands", "nesting", "sides", "copies"}
    for row in rows(out, "cases.csv"):
        labels = nib.load(out / row["labels"])
        assert nib.aff2axcodes(labels.affine) == ("R", "A", "S")
        assert (row["origin"], row["parent"], row["subject"]) == ("generated", "", row["case"])
    looked = json.loads(run("info", out, "--json").stdout)
    assert looked["origins"] == {"generated": 3}


def test_stopped_half_way_the_same_command_goes_on(run: Run, model: Path, tmp_path: Path) -> None:
    out, arguments = tmp_path / "out", ("--n", 3, "--set", "c=uniform:0:1", "--seed", 5)
    assert generated(run, model, out, *arguments).exit_code == 0
    whole = digests(out)
    shutil.rmtree(out / "sub-toyModel02")
    again = generated(run, model, out, *arguments)
    assert again.exit_code == 0
    assert ("toyModel02 done" in again.stderr, "toyModel01" in again.stderr) == (True, False)
    assert digests(out) == whole
    other = generated(run, model, out, "--n", 3, "--set", "c=uniform:0:2", "--seed", 5)
    assert (other.exit_code, "holds another run" in other.stderr) == (2, True)


@pytest.mark.slow
def test_two_workers_make_the_same_maps(run: Run, model: Path, tmp_path: Path) -> None:
    arguments = ("--n", 4, "--set", "ventricle_ml=uniform:10:40")
    assert generated(run, model, tmp_path / "one", *arguments).exit_code == 0
    assert generated(run, model, tmp_path / "two", *arguments, "--jobs", 2).exit_code == 0
    assert digests(tmp_path / "one") == digests(tmp_path / "two")


def test_dry_run_tells_how_much_lies_beyond_the_range_and_writes_nothing(run: Run, model: Path, tmp_path: Path) -> None:
    arguments = ("--n", 10, "--set", "ventricle_ml=uniform:8:88", "--guidance", 4, "--steps", 7, "--dry-run", "--json")
    result = generated(run, model, tmp_path / "out", *arguments)
    told = json.loads(result.stdout)
    assert (told["config"]["sampling"]["guidance"], told["config"]["sampling"]["steps"]) == (4, 7)
    assert told["config"]["asked"] == {"ventricle_ml": {"uniform": [8, 88]}}
    assert "10 label maps" in told["makes"]
    assert "5 asked beyond its trained range (morph)" in told["makes"]
    assert not (tmp_path / "out").exists()


def test_what_lies_beyond_the_range_is_told_on_the_terminal(run: Run, model: Path, tmp_path: Path) -> None:
    result = generated(run, model, tmp_path / "out", "--set", "ventricle_ml=60")
    assert result.exit_code == 0
    assert "beyond the trained range: ventricle_ml 60 (trained: 4 to 48 mL)" in result.stderr


def test_open_loop_leaves_the_error_and_writes_it_down(run: Run, model: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert generated(run, model, out, "--set", "ventricle_ml=20", "--open-loop").exit_code == 0
    assert float(rows(out)[0]["error"]) == pytest.approx(0.1, abs=0.01), "the toy's guidance of 2 draws 10 % too little"


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("--set", "volume=3"), "ventricle_ml (4 to 48 mL)"),
        (("--set", "ventricle_ml=gamma:1"), "no distribution"),
        (("--set", "ventricle_ml=90", "--beyond", "refuse"), "--beyond morph"),
        (("--beyond", "maybe"), "'morph', 'guide' or 'refuse'"),
        (("--set", "age_weeks=45"), "age"),
    ],
)
def test_what_cannot_be_met_is_refused_before_anything_is_written(
    run: Run, model: Path, tmp_path: Path, arguments: tuple[str, ...], named: str
) -> None:
    result = generated(run, model, tmp_path / "out", *arguments)
    assert result.exit_code == 2
    assert named in result.stderr
    assert not (tmp_path / "out").exists()


def test_images_come_with_the_labels_in_one_go(run: Run, model: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    result = run(
        "synthesize", "--label-model", model, "--n", 2, "--set", "ventricle_ml=choice:12:36", "-o", out,
        "--model", "gaussian_mixture", *USE,
    )  # fmt: skip
    assert result.exit_code == 0, result.stderr
    for row in rows(out, "cases.csv"):
        labels, image = (np.asarray(nib.load(out / row[column]).dataobj) for column in ("labels", "T2w"))
        assert not image[labels == 0].any()
        assert np.median(image[labels == VENTRICLES]) > 1.5 * np.median(image[labels == 5]) > 0
        sidecar = json.loads((out / row["T2w"].replace(".nii.gz", ".json")).read_text())
        assert sidecar["Sources"] == [f"bids::{row['labels']}"]
    assert sorted(float(row["asked_ventricle_ml"]) for row in rows(out)) == [12, 36]
    assert {row["check"] for row in rows(out, "checks.csv")} >= {"geometry", "islands", "slice_steps", "intensity"}
    assert (out / "montage.png").stat().st_size > 10_000
    config = json.loads((out / "run.json").read_text())["config"]
    assert (config["ancestors"], config["model"]) == (["sub-a", "sub-b"], "gaussian_mixture")


def test_the_labels_are_those_of_generate_labels(run: Run, model: Path, tmp_path: Path) -> None:
    arguments = ("--n", 2, "--set", "ventricle_ml=uniform:12:36", "--seed", 3)
    generated(run, model, tmp_path / "labels", *arguments)
    run("synthesize", "--label-model", model, *arguments, "-o", tmp_path / "all", "--model", "gaussian_mixture", *USE)

    def maps(name: str) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in (tmp_path / name).rglob("*_dseg.nii.gz")}

    assert maps("labels") == maps("all")
    assert len(maps("all")) == 2


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("--label-model", "MODEL", "--pathology", "dilation"), "generate-labels -i"),
        (("--label-model", "MODEL", "--recipe", "fetal-mixed"), "two commands"),
        (("INPUT", "--label-model", "MODEL"), "INPUT"),
        (("--label-model", "fetal-t2w"), "makes label maps"),
        (("--model", "MODEL", "INPUT", "--scheme", "kcl8", "--pathology", "dilation"), "makes images"),
        (("INPUT", "--n", "3"), "--n"),
        (("INPUT", "--open-loop"), "--open-loop"),
        ((), "--label-model NAME"),
    ],
)
def test_what_does_not_go_together_is_refused(
    run: Run, model: Path, phantom_file: Path, tmp_path: Path, arguments: tuple[str, ...], named: str
) -> None:
    words = [{"MODEL": str(model), "INPUT": str(phantom_file)}.get(word, word) for word in arguments]
    result = run("synthesize", *words, "-o", tmp_path / "out", *USE)
    assert result.exit_code == 2
    assert named in result.stderr
    assert not (tmp_path / "out").exists()


def test_list_and_info_show_conditions_with_ranges_and_units(run: Run, model: Path) -> None:
    facts = json.loads(run("info", model, "--json", *USE).stdout)
    assert facts["kind"] == "label model"
    assert facts["conditions"]["ventricle_ml"] == {"low": 4, "high": 48, "unit": "mL"}
    assert facts["conditions"]["age_weeks"]["unit"] == "weeks"
    made = {row["name"]: row["makes"] for row in json.loads(run("list", "generators", "--json", *USE).stdout)}
    assert (made["latent_diffusion"], made["toy_labels"], made["pixel_diffusion"]) == (
        "label maps", "label maps", "images",
    )  # fmt: skip
    assert json.loads(run("info", "fetal-t2w", "--json").stdout)["generator"] == "pixel_diffusion"


@pytest.mark.slow
def test_demo_shows_generated_heads_and_sick_phantoms(run: Run, model: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    result = run("demo", "-o", out, "--phantoms", 1, "--label-model", model, "--model", "gaussian_mixture", *USE)
    assert result.exit_code == 0, result.stderr
    assert [float(row["got_ventricle_ml"]) for row in rows(out)] == pytest.approx([12, 22, 32], rel=0.02)
    assert [row["origin"] for row in rows(out, "cases.csv")] == ["generated"] * 3 + ["morphed"]
    assert rows(out, "morphs.csv")[0]["outcome"] == "done"
    assert (out / "montage.png").is_file()


@pytest.mark.slow
def test_a_label_generator_is_trained_on_label_maps_alone(run: Run, toy: ModuleType, tmp_path: Path) -> None:
    source = Path(toy.write_model(tmp_path / "heads"))
    arguments = ("--n", 6, "--set", "c=uniform:0:1", "--set", "age_weeks=uniform:22:36")
    assert generated(run, source, tmp_path / "cases", *arguments).exit_code == 0
    settings = (
        "conditions=[\"ventricle_ml\", \"age_weeks\"]", "grid.shape=[32, 32, 32]", "grid.spacing_mm=[4.0, 4.0, 4.0]",
        "autoencoder.steps=3", "autoencoder.channels=[8]", "autoencoder.crop_voxels=[16, 16, 16]", "diffusion.steps=3",
        "diffusion.width=16", "diffusion.multipliers=[1]", "diffusion.blocks=1",
    )  # fmt: skip
    call = ("train", "-i", tmp_path / "cases", "--generator", "latent_diffusion", "--preset", "small",
            *(word for setting in settings for word in ("--set", setting)))  # fmt: skip
    out = tmp_path / "model"
    paused = run(*call, "-o", out, "--minutes", 0)
    assert paused.exit_code == 75, paused.stderr
    result = run(*call, "-o", out)
    assert result.exit_code == 0, result.stderr
    assert not (out / "bands.json").exists()
    record = json.loads((out / "run.json").read_text())
    assert record["subjects"] == [f"heads0{number}" for number in range(1, 7)]
    ages = [float(row["age_weeks"]) for row in rows(tmp_path / "cases", "cases.csv")]
    facts = json.loads(run("info", out, "--json").stdout)
    assert facts["conditions"]["age_weeks"] == pytest.approx({"low": min(ages), "high": max(ages), "unit": "weeks"})
    refused = run(*call, "-o", tmp_path / "more", "--max-steps", 5)
    assert (refused.exit_code, "autoencoder.steps" in refused.stderr) == (2, True)
