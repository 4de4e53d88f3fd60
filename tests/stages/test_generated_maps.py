"""Label maps from nothing: what was asked is what lies on disk, faults are drawn again, nothing is silent."""

import csv
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from pathosynth.data.cases import read_cases
from pathosynth.data.generated import Generated
from pathosynth.data.volume import Volume
from pathosynth.image_generators import IMAGE_GENERATORS
from pathosynth.label_generators import LABEL_GENERATORS
from pathosynth.runs.errors import ConfigError, ModelError
from pathosynth.runs.record import RunRecord
from pathosynth.stages.batch import Options, execute
from pathosynth.stages.generate_labels import decided_ml, morphed_ml, plan
from pathosynth.stages.label_models import Labelling
from pathosynth.stages.models import find_label_model, find_model
from pathosynth.stages.orders import Ordering
from pathosynth.stages.plugins import use_plugins

VENTRICLES = 2
VOXEL_ML = 4.0**3 / 1000


@pytest.fixture(scope="module")
def toy() -> Iterator[ModuleType]:
    use_plugins([Path(__file__).with_name("toy_labels.py")])
    yield sys.modules["pathosynth_plugin_toy_labels"]
    LABEL_GENERATORS.pop("toy_labels")
    sys.modules.pop("pathosynth_plugin_toy_labels")


def run(
    model: Path, out: Path, *settings: str, number: int = 6, max_draws: int = 4, seed: int = 0, **changes: Any
) -> RunRecord:
    ordering = Ordering.of(Labelling.of(str(model), changes, "cpu"), settings, number, max_draws)
    options = Options(out, seed)
    return execute(plan(ordering, options), options)


def table(out: Path) -> list[dict[str, str]]:
    return list(csv.DictReader((out / "generated.csv").open()))


def ventricles_ml(path: Path) -> float:
    return float((np.asarray(nib.load(path).dataobj) == VENTRICLES).sum() * VOXEL_ML)


def test_what_was_asked_lies_on_disk_and_stands_in_every_table(toy: ModuleType, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run(toy.write_model(tmp_path / "fetal-toy"), out, "ventricle_ml=uniform:10:40", "age_weeks=30")
    cases = read_cases(out / "cases.csv")
    rows = {row["case"]: row for row in table(out)}
    assert [case.case for case in cases] == [f"fetalToy0{number}" for number in range(1, 7)]
    asked = [float(rows[case.case]["asked_ventricle_ml"]) for case in cases]
    assert sorted(int((value - 10) / 5) for value in asked) == list(range(6)), "one in every sixth of the range"
    for case, wanted in zip(cases, asked, strict=True):
        on_disk = ventricles_ml(case.labels)
        assert on_disk == pytest.approx(wanted, rel=0.02)
        assert case.severity["ventricle_ml"] == pytest.approx(on_disk)
        assert float(rows[case.case]["got_ventricle_ml"]) == pytest.approx(on_disk, rel=1e-5)
        assert float(rows[case.case]["error"]) == pytest.approx(abs(on_disk / wanted - 1), abs=1e-5)
        assert (case.subject, case.parent, case.origin, case.age_weeks) == (case.case, "", "generated", 30)
        sidecar = json.loads(Path(str(case.labels).replace(".nii.gz", ".json")).read_text())
        assert sidecar["Requested"] == pytest.approx({"ventricle_ml": wanted, "age_weeks": 30}, rel=1e-5)
        assert sidecar["Measured"]["ventricle_ml"] == pytest.approx(on_disk)
        assert (sidecar["Model"], sidecar["Seed"], sidecar["Steps"][0]["what"]) == ("fetal-toy", case.seed, "sampled")
        assert sidecar["Sampling"]["guidance"] == 2.0


def test_the_people_behind_the_model_are_ancestors_in_the_record(toy: ModuleType, tmp_path: Path) -> None:
    config = run(toy.write_model(tmp_path / "model"), tmp_path / "out", number=1).content["config"]
    assert config["ancestors"] == ["sub-a", "sub-b"]
    assert config["label_model"] == "model"


def test_c_is_written_down_with_the_ratio_it_stands_for(toy: ModuleType, tmp_path: Path) -> None:
    run(toy.write_model(tmp_path / "model"), tmp_path / "out", "c=0.5", number=1)
    (row,) = table(tmp_path / "out")
    low, high = toy.RATIO
    assert float(row["asked_ventricle_ratio"]) == pytest.approx((low + high) / 2)
    assert float(row["got_c"]) == pytest.approx(0.5, abs=0.01)


def test_same_seed_same_bytes_and_other_cases_do_not_matter(toy: ModuleType, tmp_path: Path) -> None:
    model = toy.write_model(tmp_path / "model", island=0.4)
    for name, number, seed in (("one", 4, 0), ("two", 4, 0), ("fewer", 2, 0), ("other", 4, 1)):
        run(model, tmp_path / name, "ventricle_ml=20", number=number, seed=seed)

    def maps(name: str) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in sorted((tmp_path / name).rglob("*_dseg.nii.gz"))}

    assert maps("one") == maps("two")
    assert maps("fewer").items() <= maps("one").items()
    assert maps("other") != maps("one")


def test_a_map_that_fails_a_check_is_drawn_again_and_the_draws_are_counted(toy: ModuleType, tmp_path: Path) -> None:
    model = toy.write_model(tmp_path / "model", island=0.5)
    record = run(model, tmp_path / "out", "ventricle_ml=20", number=12, max_draws=20)
    assert record.counts() == {"done": 12, "rejected": 0, "failed": 0}
    entries = record.content["cases"].values()
    assert all(len(entry["refused"]) == entry["draws"] - 1 for entry in entries)
    assert all("outside" in reason for entry in entries for reason in entry["refused"])
    draws = [entry["draws"] for entry in entries]
    assert 12 < sum(draws) < 48, "about two draws each"
    assert [int(row["draws"]) for row in table(tmp_path / "out")] == draws


def test_after_the_last_draw_a_case_is_rejected_with_its_reason(toy: ModuleType, tmp_path: Path) -> None:
    out = tmp_path / "out"
    record = run(toy.write_model(tmp_path / "model", island=1), out, number=2, max_draws=3)
    assert record.counts() == {"done": 0, "rejected": 2, "failed": 0}
    assert len(list((out / "rejected").rglob("*_dseg.nii.gz"))) == 2
    assert read_cases(out / "cases.csv") == []
    assert all(row["draws"] == "3" and "islands: " in row["reason"] for row in table(out))


def test_a_map_that_misses_what_the_closed_loop_promised_is_not_kept(toy: ModuleType, tmp_path: Path) -> None:
    model = toy.write_model(tmp_path / "model", off=1)
    closed = run(model, tmp_path / "closed", "ventricle_ml=20", number=1, max_draws=2)
    assert closed.counts()["rejected"] == 1
    assert "asked 20, got 22.02 mL, more than 2.0% apart" in table(tmp_path / "closed")[0]["reason"]
    opened = run(model, tmp_path / "open", "ventricle_ml=20", number=1, closed_loop=False)
    assert opened.counts()["done"] == 1


def test_a_request_the_generator_cannot_meet_fails_alone(toy: ModuleType, tmp_path: Path) -> None:
    model = toy.write_model(tmp_path / "model", torn=0.5)
    record = run(model, tmp_path / "out", "ventricle_ml=20", number=10)
    counts = record.counts()
    assert counts["failed"] > 0
    assert counts["done"] == 10 - counts["failed"] > 0
    assert {row["reason"] for row in table(tmp_path / "out") if row["outcome"] == "failed"} == {"the skull is full"}


def test_beyond_the_trained_range_is_flagged_refused_or_left_to_guidance(toy: ModuleType, tmp_path: Path) -> None:
    model = toy.write_model(tmp_path / "model")
    record = run(model, tmp_path / "morph", "ventricle_ml=60", number=1)
    (entry,) = record.content["cases"].values()
    assert (entry["outcome"], entry["beyond"]) == ("done", ["ventricle_ml"])
    assert "ventricle_ml 60 (trained: 4 to 48 mL)" in entry["message"]
    assert ventricles_ml(next((tmp_path / "morph").rglob("*_dseg.nii.gz"))) == pytest.approx(60, rel=0.02)
    with pytest.raises(ConfigError, match="--beyond morph"):
        run(model, tmp_path / "refuse", "ventricle_ml=60", number=2, beyond="refuse")
    assert not (tmp_path / "refuse").exists()
    guided = run(model, tmp_path / "guide", "ventricle_ml=60", number=1, beyond="guide")
    assert guided.counts()["done"] == 1, "guidance promises nothing there"
    assert float(table(tmp_path / "guide")[0]["error"]) > 0.1


def test_an_age_beyond_the_trained_range_cannot_be_morphed(toy: ModuleType, tmp_path: Path) -> None:
    model = toy.write_model(tmp_path / "model")
    with pytest.raises(ConfigError, match="reshaping cannot change it"):
        run(model, tmp_path / "out", "age_weeks=40", number=1)
    assert run(model, tmp_path / "out", "age_weeks=40", number=1, beyond="guide").counts()["done"] == 1


def test_models_of_the_wrong_kind_are_named_as_such(toy: ModuleType, tmp_path: Path) -> None:
    model = toy.write_model(tmp_path / "model")
    with pytest.raises(ModelError, match=r"makes label maps, found one of pixel_diffusion.*--model fetal-t2w"):
        find_label_model("fetal-t2w")
    with pytest.raises(ModelError, match=r"makes images, found one of toy_labels.*generate-labels -i"):
        find_model(str(model))
    with pytest.raises(ModelError, match="found neither"):
        find_label_model("nosuch")
    with pytest.raises(ModelError, match="trained first"):
        find_label_model("latent_diffusion")


def test_a_damaged_card_is_told(toy: ModuleType, tmp_path: Path) -> None:
    model = toy.write_model(tmp_path / "model")
    card = json.loads((model / "config.json").read_text())
    for part in ("conditions", "facts", "scheme"):
        (model / "config.json").write_text(json.dumps({key: value for key, value in card.items() if key != part}))
        with pytest.raises(ModelError, match=r"config\.json: .*Copy or train it again"):
            run(model, tmp_path / "out", number=1)


def test_a_scheme_that_does_not_ship_needs_its_file(toy: ModuleType, tmp_path: Path) -> None:
    model = toy.write_model(tmp_path / "model")
    card = json.loads((model / "config.json").read_text())
    card["scheme"]["name"] = "mine"
    (model / "config.json").write_text(json.dumps(card))
    with pytest.raises(ConfigError, match="--scheme FILE"):
        Labelling.of(str(model), {}, "cpu")
    with pytest.raises(ConfigError, match="found other labels"):
        Labelling.of(str(model), {}, "cpu", "feta")
    assert Labelling.of(str(model), {}, "cpu", "kcl8").scheme == "kcl8"


def test_morphed_volume_counts_every_reshaped_measurement_in_ml() -> None:
    steps: list[dict[str, Any]] = [
        {"what": "sampled", "got": {"ventricle_ratio": 0.05}},
        {"what": "morphed", "asked_ml": {"ventricles": 60.0}, "from": {"ventricle_ratio": 0.05},
         "got": {"ventricle_ratio": 0.06}},
        {"what": "morphed", "asked_ml": {"cerebellum": 100.0}, "from": {"cerebellum_ml": 104.0},
         "got": {"cerebellum_ml": 100.0}},
    ]  # fmt: skip
    assert morphed_ml(steps) == pytest.approx(10 + 4)
    assert morphed_ml(steps[:1]) == 0


def test_voxels_decided_otherwise_count_with_their_volume() -> None:
    labels = Volume(np.zeros((4, 4, 4), np.uint16), np.diag([2.0, 2.0, 5.0, 1.0]))
    steps = ({"what": "sampled"}, {"what": "decided", "changed_voxels": 30}, {"what": "decided", "changed_voxels": 20})
    assert decided_ml(Generated(labels, {}, {}, (), steps, 1)) == pytest.approx(50 * 20 / 1000)


def test_no_two_generators_share_a_name() -> None:
    assert not set(LABEL_GENERATORS) & set(IMAGE_GENERATORS)
