"""Generated sets against a real one: numbers with closed forms, and what is too small to compare."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from test_report_sets import VOXEL_ML, write_set

from pathosynth.runs.errors import ConfigError
from pathosynth.stages import report
from pathosynth.stages.batch import Options, execute
from pathosynth.stages.report.measured import MeasuredSet
from pathosynth.stages.report.sets_numbers import compared, halves


def measured(name: str, values: np.ndarray, subjects: int | None = None) -> MeasuredSet:
    count = len(values)
    people = tuple(f"s{i % (subjects or count)}" for i in range(count))
    return MeasuredSet(name, tuple(f"{name}{i}" for i in range(count)), people, {"ventricle_ml": values})


def test_a_shifted_set_is_as_far_as_the_shift(rng: np.random.Generator) -> None:
    real = rng.normal(40, 10, 60)
    found = compared(measured("real", real), measured("shifted", real + 7.0), ["ventricle_ml"], 5)
    distance, in_sd = found.distances["ventricle_ml"]
    assert distance == pytest.approx(7)
    assert in_sd == pytest.approx(7 / real.std(ddof=1))
    copies = compared(measured("real", real), measured("copies", real), ["ventricle_ml"], 5)
    assert copies.support is not None
    assert copies.closeness is not None
    assert copies.support.coverage == 1
    assert copies.closeness.nearer > 0.9
    np.testing.assert_array_equal(copies.closeness.generated, 0)


def test_halves_of_one_distribution_lie_below_a_shifted_set(rng: np.random.Generator) -> None:
    real = measured("real", rng.normal(40, 10, 80))
    chance = halves(real, ["ventricle_ml"], rng)
    assert chance is not None
    # Two samples of 40 of one normal distribution are about 0.2 SD apart.
    assert 0.1 < chance["ventricle_ml"] < 0.35
    assert halves(measured("few", np.arange(9.0), subjects=3), ["ventricle_ml"], rng) is None


def test_one_case_and_no_spread_are_none_not_nan() -> None:
    alone = compared(measured("real", np.array([5.0])), measured("made", np.array([6.0])), ["ventricle_ml"], 5)
    assert alone.distances["ventricle_ml"] == (1.0, None)
    assert (alone.support, alone.closeness) == (None, None)


def test_figure_of_sets(tmp_path: Path) -> None:
    real, made = [200, 260, 320, 400, 480, 600], [300, 500, 700]
    sources = [f"real={write_set(tmp_path / 'a', real)}", f"made={write_set(tmp_path / 'b', made)}"]
    options = Options(out=tmp_path / "out")
    execute(report.plan("sets", sources, {"neighbours": 2}, options), options)
    rows = {row["measure"]: row for row in csv.DictReader((tmp_path / "out" / "sets.csv").open())}
    ventricles = rows["ventricle_ml"]
    # Quantile functions differ by their mean over 6ths of [0, 1].
    expected = np.abs(np.repeat(made, 2) - np.sort(real)).mean() * VOXEL_ML
    assert float(ventricles["wasserstein"]) == pytest.approx(expected)
    assert float(ventricles["median_real"]) == pytest.approx(360 * VOXEL_ML)
    assert float(ventricles["median"]) == pytest.approx(500 * VOXEL_ML)
    assert float(rows["external_csf_ml"]["wasserstein"]) == 0
    assert rows["external_csf_ml"]["wasserstein_sd"] == "", "no spread among the real ones"
    assert "ventricles_ml" not in rows
    found = json.loads((tmp_path / "out" / "sets.json").read_text())
    assert found["real"]["n"] == 6
    assert found["sets"]["made"]["nearest_real_sd"]["n"] == 3
    near = list(csv.DictReader((tmp_path / "out" / "nearest.csv").open()))
    assert [row["case"] for row in near] == ["case0", "case1", "case2"]
    assert (tmp_path / "out" / "sets.png").stat().st_size > 10_000
    with pytest.raises(ConfigError, match="real set first"):
        report.plan("sets", sources[:1], {}, options)


def test_a_set_of_one_real_case_is_drawn(tmp_path: Path) -> None:
    sources = [f"real={write_set(tmp_path / 'a', [300])}", f"made={write_set(tmp_path / 'b', [400])}"]
    options = Options(out=tmp_path / "out")
    execute(report.plan("sets", sources, {}, options), options)
    found = json.loads((tmp_path / "out" / "sets.json").read_text())
    assert found["real_halves_sd"] is None
    assert found["sets"]["made"]["coverage"] is None
    assert (tmp_path / "out" / "nearest.csv").read_text().strip() == ""
