"""Histogram, violins and gallery from folders of phantoms: numbers equal those counted on the voxels."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.image import imread
from planted_model import HEAD, box_head, write_model

from pathosynth.data.cases import Case, write_cases
from pathosynth.data.nifti import write_image, write_labels
from pathosynth.data.volume import Volume
from pathosynth.label_generators import LABEL_GENERATORS
from pathosynth.runs.errors import ConfigError, InputError
from pathosynth.stages import report
from pathosynth.stages.batch import Options, execute
from pathosynth.stages.report.gallery import spread

VOXEL_ML = 0.008
AFFINE = np.diag([2.0, 2, 2, 1])


def write_set(folder: Path, voxels: list[int], *, image: bool = False, ages: bool = False) -> Path:
    """Box heads with these numbers of ventricle voxels, with a case table."""
    cases = []
    for number, count in enumerate(voxels):
        name, labels = f"case{number}", Volume(box_head(count), AFFINE)
        write_labels(folder / f"{name}_dseg.nii.gz", labels)
        images = {}
        if image:
            images = {"T1w": folder / f"{name}_T1w.nii.gz"}
            write_image(images["T1w"], labels.with_array((labels.array * 100).astype(np.float32)))
        cases.append(
            Case(case=name, subject=f"s{number}", scheme="kcl8", labels=folder / f"{name}_dseg.nii.gz", images=images,
                 age_years=20.0 + number if ages else None)
        )  # fmt: skip
    write_cases(folder / "cases.csv", cases)
    return folder


def draw(figure: str, out: Path, sources: list[str], **settings: Any) -> tuple[list[dict[str, str]], dict[str, Any]]:
    """Rows of the CSV and the summary."""
    options = Options(out=out)
    execute(report.plan(figure, sources, settings, options), options)
    picture = imread(out / f"{figure}.png")
    assert picture.shape[0] > 300
    assert picture.std() > 0.01
    return list(csv.DictReader((out / f"{figure}.csv").open())), json.loads((out / f"{figure}.json").read_text())


def test_histogram_counts_what_was_painted(tmp_path: Path) -> None:
    real, made = [160, 200, 280, 360, 960], [80, 600, 1120]
    folders = [f"real={write_set(tmp_path / 'a', real)}", f"made={write_set(tmp_path / 'b', made)}"]
    rows, found = draw("histogram", tmp_path / "out", folders, bins=10)
    assert [(row["set"], float(row["ventricle_ratio"])) for row in rows] == [
        *(("real", n / HEAD) for n in real), *(("made", n / HEAD) for n in made)
    ]  # fmt: skip
    scaled = [(n - 160) / 800 for n in (*real, *made)]
    assert [float(row["c"]) for row in rows] == pytest.approx(scaled)
    assert found["scale"] == {"low": 0.02, "high": 0.12, "of": "set real"}
    edges = np.array(found["edges"]["ventricle_ratio"])
    # One bin below 0 holds the smallest made one, two above 1 the largest; c = 1 lies in the last bin of the range.
    assert edges == pytest.approx(0.02 + 0.01 * np.arange(-1, 13))
    assert found["sets"]["real"]["counts"] == [0, 2, 1, 1, 0, 0, 0, 0, 0, 0, 1, 0, 0]
    assert found["sets"]["made"]["counts"] == [1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 1]
    assert found["sets"]["made"]["beyond"] == 2
    values = np.array(real, float)
    moment = ((values - values.mean()) ** 3).mean() / ((values - values.mean()) ** 2).mean() ** 1.5
    assert found["sets"]["real"]["c"]["skewness"] == pytest.approx(moment * np.sqrt(5 * 4) / 3)


def test_histogram_by_a_models_range_and_of_one_case(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(LABEL_GENERATORS, "planted_model", "planted_model")
    one = str(write_set(tmp_path / "one", [560]))
    rows, found = draw("histogram", tmp_path / "alone", [one])
    assert found["scale"] is None
    assert "not defined" in found["note"]
    assert rows[0]["c"] == ""
    assert sum(found["sets"]["one"]["counts"]) == 1
    model = write_model(tmp_path / "model")
    rows, found = draw("histogram", tmp_path / "scaled", [one], model=str(model))
    assert float(rows[0]["c"]) == pytest.approx(0.5)
    assert found["scale"]["of"] == "model model"


def test_violins_say_what_was_painted(tmp_path: Path) -> None:
    sets = {"real": [160, 200, 240, 320, 960, 300], "synthetic": [400, 800], "augmented": [500] * 6}
    folders = [f"{name}={write_set(tmp_path / name, voxels)}" for name, voxels in sets.items()]
    rows, found = draw("violins", tmp_path / "out", folders, measure=["ventricle_ml", "intracranial_ml"])
    assert [float(row["ventricle_ml"]) for row in rows] == pytest.approx(
        [n * VOXEL_ML for voxels in sets.values() for n in voxels]
    )
    assert [float(row["intracranial_ml"]) for row in rows] == pytest.approx([HEAD * VOXEL_ML] * len(rows))
    volumes = found["measured"]["ventricle_ml"]
    assert volumes["unit"] == "mL"
    for name, voxels in sets.items():
        assert volumes["sets"][name]["n"] == len(voxels)
        assert volumes["sets"][name]["median"] == pytest.approx(np.median(voxels) * VOXEL_ML)


def test_gallery_shows_cases_over_the_range(tmp_path: Path) -> None:
    folder = write_set(tmp_path / "set", [900, 160, 170, 180, 500, 190], image=True, ages=True)
    rows, found = draw("gallery", tmp_path / "out", [str(folder)], rows=3)
    assert [row["case"] for row in found["rows"]] == ["case1", "case4", "case0"]
    assert [row["row"] for row in rows] == ["1", "", "", "", "2", "3"]
    assert found["rows"][1]["ventricle_ratio"] == 500 / HEAD
    _, found = draw("gallery", tmp_path / "ages", [str(folder)], rows=2, measure=["age_years"])
    assert [(row["case"], row["age_years"]) for row in found["rows"]] == [("case0", 20), ("case5", 25)]


def test_rows_of_a_gallery_are_spread() -> None:
    values = [0.0, 0.1, 0.2, 5.0, 9.9, 10.0]
    assert spread(values, 3) == [0, 3, 5]
    assert spread(values, 9) == list(range(6))
    assert spread(values, 1) == [3]
    assert spread([1.0] * 4, 2) == [0, 1]


def test_bad_input_says_what_is_wrong(tmp_path: Path) -> None:
    folder = write_set(tmp_path / "set", [200])
    options = Options(out=tmp_path / "out")
    with pytest.raises(ConfigError, match=r"expected one of histogram"):
        report.plan("pie", [str(folder)], {}, options)
    with pytest.raises(ConfigError, match=r"guidance.*Known settings"):
        report.plan("histogram", [str(folder)], {"guidance": "1"}, options)
    with pytest.raises(ConfigError, match=r"unknown in scheme 'kcl8'.*ventricle_ml"):
        report.plan("violins", [str(folder)], {"measure": ["hippocampus_ml"]}, options)
    with pytest.raises(InputError, match="no such file"):
        report.plan("violins", [str(tmp_path / "nowhere")], {}, options)
    with pytest.raises(ConfigError, match="one -i"):
        report.plan("gallery", [str(folder), f"b={folder}"], {}, options)
    with pytest.raises(ConfigError, match="age_weeks"):
        report.plan("gallery", [str(folder)], {"measure": ["age_weeks"]}, options)
    write_cases(tmp_path / "none" / "cases.csv", [])
    with pytest.raises(InputError, match="at least one case"):
        report.plan("violins", [str(tmp_path / "none")], {}, options)
    assert not (tmp_path / "out").exists()


def test_a_set_of_which_nothing_can_be_measured_is_an_error_and_a_broken_case_is_left_out(tmp_path: Path) -> None:
    good, bad = write_set(tmp_path / "good", [200, 300]), write_set(tmp_path / "bad", [200])
    (bad / "case0_dseg.nii.gz").write_bytes(b"no image")
    options = Options(out=tmp_path / "out")
    with pytest.raises(InputError, match=r"Set bad: expected at least one case"):
        execute(report.plan("violins", [str(good), str(bad)], {}, options), options)
    (good / "case0_dseg.nii.gz").write_bytes(b"no image")
    rows, found = draw("violins", tmp_path / "rest", [str(good)])
    assert [row["case"] for row in rows] == ["case1"]
    assert found["measured"]["ventricle_ml"]["sets"]["good"]["n"] == 1
