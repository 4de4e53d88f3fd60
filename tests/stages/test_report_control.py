"""Control curves and gallery from a model whose curve is known; asked against got from a table that is known."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from planted_model import HEAD, HIGH, LOW, gain, loose, write_model
from test_report_sets import write_set

from pathosynth.data.cases import read_cases
from pathosynth.label_generators import LABEL_GENERATORS
from pathosynth.runs.errors import ConfigError, InputError, ModelError
from pathosynth.stages import label_models, report
from pathosynth.stages.batch import Options, execute

HALF_A_VOXEL = 0.5 / HEAD


@pytest.fixture(autouse=True)
def _planted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(LABEL_GENERATORS, "planted_model", "planted_model")
    label_models._loaded.cache_clear()


def draw(figure: str, out: Path, sources: list[str], **settings: Any) -> tuple[pd.DataFrame, dict[str, Any]]:
    """The CSV and the summary."""
    options = Options(out=out)
    execute(report.plan(figure, sources, settings, options), options)
    assert (out / f"{figure}.png").stat().st_size > 10_000
    return pd.read_csv(out / f"{figure}.csv"), json.loads((out / f"{figure}.json").read_text())


def test_control_finds_the_planted_curve(tmp_path: Path) -> None:
    model, real = write_model(tmp_path / "model"), write_set(tmp_path / "real", [200, 300])
    rows, found = draw("control", tmp_path / "out", [str(model), f"real={real}"], guidance="1,4", c="0:1.5:0.25", n=2)
    assert len(rows) == 2 * 7 * 2
    asked = LOW + rows["c"] * (HIGH - LOW)
    wanted = np.round((LOW + rows["c"] * gain(rows["guidance"]) * (HIGH - LOW)) * HEAD)
    stray = np.array([loose(c, g) for c, g in zip(rows["c"], rows["guidance"], strict=True)])
    np.testing.assert_allclose(rows["ventricle_ml"], wanted * 0.008)
    np.testing.assert_allclose(rows["ventricle_ratio"], wanted / (HEAD + stray))
    np.testing.assert_allclose(rows["asked_ratio"], asked)
    np.testing.assert_allclose(rows["error_ml"], (rows["ventricle_ratio"] - asked) * rows["intracranial_ml"])
    np.testing.assert_allclose(rows["stray_mm3"], stray * 8.0)
    np.testing.assert_array_equal(rows["passed"], stray * 8.0 <= 200)
    np.testing.assert_array_equal(rows["beyond"], rows["c"] > 1)
    assert found["references"]["real"] == {"n": 2, "passed": 1.0, "stray_mm3": {"median": 0.0, "max": 0.0}}
    for strength in found["guidance"]:
        own = rows[rows["guidance"] == strength["G"]]
        inside = own[~own["beyond"]]
        for part, name in (("all", "ventricle_ml"), ("inside", "ventricle_ratio")):
            frame = inside if part == "inside" else own
            rho = frame["c"].corr(frame[name], method="spearman")
            assert strength["spearman"][part][name] == pytest.approx(rho)
        assert strength["spearman"]["all"]["ventricle_ml"] == pytest.approx(1)
        assert strength["inside"]["ml"]["bias"] == pytest.approx(inside["error_ml"].mean())
        assert strength["inside"]["ml"]["sd"] == pytest.approx(inside["error_ml"].std())
        assert strength["beyond"]["ventricle_ratio"]["mae"] == pytest.approx(
            (own["ventricle_ratio"] - own["asked_ratio"])[own["beyond"]].abs().mean()
        )
        assert [point["passed"] for point in strength["points"]] == own.groupby("c")["passed"].mean().tolist()
    weak = found["guidance"][0]["inside"]["ventricle_ratio"]
    # c (gain - 1) over c = 0, 0.25 … 1
    assert weak["bias"] == pytest.approx(0.5 * (gain(1) - 1) * (HIGH - LOW), abs=HALF_A_VOXEL)


def test_closed_loop_meets_what_is_asked(tmp_path: Path) -> None:
    model = write_model(tmp_path / "model")
    rows, found = draw("control", tmp_path / "out", [str(model)], guidance="2", c="0:1.5:0.5", n=1, closed_loop=True)
    np.testing.assert_allclose(rows["ventricle_ratio"], rows["asked_ratio"], atol=HALF_A_VOXEL)
    assert found["guidance"][0]["points"][3]["passed"] == 1
    assert found["guidance"][0]["points"][3]["ventricle_ml"]["sd"] is None


def test_a_larger_grid_goes_on_with_what_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, made = write_model(tmp_path / "model"), []
    true_draw = label_models.draw
    monkeypatch.setattr(label_models, "draw", lambda *values: made.append(values[1]) or true_draw(*values))
    first, _ = draw("control", tmp_path / "out", [str(model)], guidance="1", c="0,1", keep=True, n=1)
    larger, _ = draw("control", tmp_path / "out", [str(model)], guidance="1,2", c="0,1", keep=True, n=2)
    assert len(made) == 2 + 6
    pd.testing.assert_frame_equal(larger.set_index("case").loc[first["case"]].reset_index(), first)
    cases = read_cases(tmp_path / "out" / "cases.csv")
    assert [case.case for case in cases] == larger["case"].tolist()
    assert all(case.labels and case.labels.is_file() and case.origin == "generated" for case in cases)
    with pytest.raises(ConfigError, match="another run"):
        draw("control", tmp_path / "out", [str(model)], closed_loop=True)


def test_gallery_from_a_model(tmp_path: Path) -> None:
    rows, found = draw(
        "gallery", tmp_path / "out", [str(write_model(tmp_path / "model"))], c="0,0.5,1.25", guidance="3"
    )
    assert found["guidance"] == 3
    assert [row["c"] for row in found["rows"]] == [0, 0.5, 1.25]
    assert rows["seed"].nunique() == 1, "all rows start from the same noise"
    np.testing.assert_allclose(rows["c_got"], rows["c"] * gain(3), atol=0.01)


def test_models_that_cannot_be_drawn(tmp_path: Path) -> None:
    options = Options(out=tmp_path / "out")
    with pytest.raises(ModelError, match="a range of ventricle_ratio, found ventricle_ml"):
        report.plan("control", [str(write_model(tmp_path / "ml", conditions=["ventricle_ml"]))], {}, options)
    with pytest.raises(ModelError, match="nowhere"):
        report.plan("gallery", ["nowhere"], {}, options)
    model = write_model(tmp_path / "empty", empty=True)
    with pytest.raises(ConfigError, match=r"sampling of label maps.*tidiness"):
        report.plan("control", [str(model)], {"sampling": {"tidiness": 1}}, options)
    with pytest.raises(ConfigError, match="--guidance"):
        report.plan("control", [str(model)], {"sampling": {"guidance": 1}}, options)
    with pytest.raises(ConfigError, match="expected some of geometry"):
        report.plan("control", [str(model)], {"check": ["beauty"]}, options)
    with pytest.raises(InputError, match="without any label"):
        execute(report.plan("control", [str(model)], {"c": "0.5", "guidance": "1", "n": 1}, options), options)
    assert not (tmp_path / "out").exists()


def write_table(folder: Path, rows: list[dict[str, Any]]) -> Path:
    """A ``generated.csv``."""
    folder.mkdir(parents=True)
    with (folder / "generated.csv").open("w", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return folder


def made_rows(number: int, bias_ml: float, sd_ml: float) -> list[dict[str, Any]]:
    rng = np.random.default_rng(3)
    rows = []
    for i in range(number):
        asked = 10.0 + 100 * i / (number - 1)
        got = asked + bias_ml + sd_ml * rng.standard_normal()
        outcome = "rejected" if i == 3 else "done"
        rows.append(
            {"case": f"m{i}", "outcome": outcome, "asked_ventricle_ml": asked, "asked_ventricle_ratio": asked / 1000,
             "got_ventricle_ml": got, "got_ventricle_ratio": got / 1000,
             "beyond": "ventricle_ml c" if asked > 80 else ""}
        )  # fmt: skip
    return rows


def test_asked_against_got_gives_the_errors_of_the_table(tmp_path: Path) -> None:
    made = made_rows(40, -2.0, 3.0)
    folder = write_table(tmp_path / "made", made)
    rows, found = draw("asked", tmp_path / "out", [f"open={folder}"], bins=4)
    table = pd.DataFrame(made)
    table = table[table["outcome"] == "done"]
    error = table["got_ventricle_ml"] - table["asked_ventricle_ml"]
    assert found["left_out"] == {"open": 1}
    volume = found["conditions"]["ventricle_ml"]["sets"]["open"]
    for part, own in {
        "all": error,
        "inside": error[table["beyond"] == ""],
        "beyond": error[table["beyond"] != ""],
    }.items():
        assert volume[part]["n"] == len(own)
        assert volume[part]["bias"] == pytest.approx(own.mean())
        assert volume[part]["mae"] == pytest.approx(own.abs().mean())
        assert volume[part]["sd"] == pytest.approx(own.std())
        # A ratio of a head of 1000 mL is off by as many thousandths as the volume is by mL.
        ratio = found["conditions"]["ventricle_ratio"]["sets"]["open"][part]
        assert ratio["bias"] == pytest.approx(own.mean() / 1000)
        assert ratio["ml"]["mae"] == pytest.approx(own.abs().mean())
    first = error[table["asked_ventricle_ml"] < 35]
    assert volume["bins"][0]["limits"] == pytest.approx(
        [first.mean() - 1.96 * first.std(), first.mean() + 1.96 * first.std()]
    )
    assert sum(one["n"] for one in volume["bins"]) == len(error)
    assert len(rows) == 2 * len(error)


def test_asked_of_one_map_is_a_figure_without_bands(tmp_path: Path) -> None:
    folder = write_table(tmp_path / "made", made_rows(5, 1.0, 0.0)[:1])
    _, found = draw("asked", tmp_path / "out", [str(folder)], measure=["ventricle_ml"])
    volume = found["conditions"]["ventricle_ml"]["sets"]["made"]
    assert (volume["all"]["bias"], volume["all"]["sd"]) == (1.0, None)
    assert volume["beyond"] == {
        "n": 0,
        "bias": None,
        "mae": None,
        "sd": None,
        "limits": None,
        "ml": volume["beyond"]["ml"],
    }


def test_tables_that_cannot_be_drawn(tmp_path: Path) -> None:
    options = Options(out=tmp_path / "out")
    rows = made_rows(5, 0.0, 1.0)
    faults = {
        "column": (
            [{k: v for k, v in row.items() if k != "got_ventricle_ml"} for row in rows],
            "columns got_ventricle_ml",
        ),
        "taken": ([row | {"outcome": "rejected"} for row in rows], "found none among 5 cases"),
        "number": ([row | {"got_ventricle_ml": "nan"} for row in rows], "is 'nan', expected a number"),
    }
    for name, (table, message) in faults.items():
        folder = write_table(tmp_path / name, table)
        with pytest.raises(InputError, match=message):
            execute(report.plan("asked", [str(folder)], {"measure": ["ventricle_ml"]}, options), options)
    with pytest.raises(InputError, match="generate-labels"):
        report.plan("asked", [str(tmp_path)], {}, options)
