"""Quality gates as a user meets them: bands of real cases, seeds chosen by score, a page of what was turned down."""

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from command_line import Run, digests

from pathosynth.checks.copies import learn_copies
from pathosynth.data.copy_reference import save_reference
from pathosynth.data.labels import load_scheme
from pathosynth.data.nifti import write_image, write_labels
from pathosynth.data.pairs import Pair
from pathosynth.data.phantom import brain_phantom
from pathosynth.data.requests import Request
from pathosynth.image_generators import gaussian_mixture
from pathosynth.segmenters.record import SegmenterRecord, TrainingRow, write_segmenter

SCHEME = load_scheme("kcl8")
SHAPE, SPACING_MM = (76, 92, 76), 1.6


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four heads with images, as if they were real."""
    folder = tmp_path_factory.mktemp("real")
    for seed in range(4):
        labels = brain_phantom(seed, SHAPE, SPACING_MM)
        request = Request(labels.array, SCHEME, labels.spacing_mm)
        image = gaussian_mixture.generate(gaussian_mixture.Config(), [request], [seed])[0]
        write_labels(folder / f"head{seed}_dseg.nii.gz", labels)
        write_image(folder / f"head{seed}_T2w.nii.gz", labels.with_array((image * 1000).astype(np.int16)))
    return folder


@pytest.fixture(scope="module")
def bands(real: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    from typer.testing import CliRunner

    from pathosynth.cli import app

    out = tmp_path_factory.mktemp("bands") / "bands"
    result = CliRunner().invoke(app, ["bands", "-i", str(real), "--scheme", "kcl8", "-o", str(out)])
    assert result.exit_code == 0, result.output
    return out


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def test_bands_hold_numbers_of_every_case_and_no_names(bands: Path) -> None:
    quality = json.loads((bands / "quality.json").read_text())
    assert quality["spacing_mm"] == pytest.approx(SPACING_MM)
    assert all(len(values) == 4 for values in quality["measures"].values())
    assert len(quality["features"]) == 4
    assert "head0" not in (bands / "quality.json").read_text()
    assert {"white_matter", "ventricular_csf"} <= set(json.loads((bands / "bands.json").read_text()))


def test_a_yardstick_is_of_all_cases_in_its_folder_and_not_replaced_by_that_of_others(
    run: Run, real: Path, tmp_path: Path
) -> None:
    two, others, same_names = (tmp_path / name for name in ("two", "others", "same_names"))
    for folder, heads, first in ((two, (0, 1), 0), (others, (2, 3), 2), (same_names, (2, 3), 0)):
        folder.mkdir()
        for number, head in enumerate(heads, start=first):
            for suffix in ("dseg", "T2w"):
                shutil.copy(real / f"head{head}_{suffix}.nii.gz", folder / f"head{number}_{suffix}.nii.gz")
    out = tmp_path / "out"
    call = ("bands", "--scheme", "kcl8", "-o", out)
    assert run(*call, "-i", two).exit_code == 0
    learnt = {name: (out / name).read_bytes() for name in ("quality.json", "bands.json")}
    assert run(*call, "-i", two).exit_code == 0
    for other in (others, same_names, real):
        result = run(*call, "-i", other)
        assert result.exit_code == 2
        assert "cases." in result.stderr
        assert "Choose another --output, or give --overwrite" in result.stderr
        assert {name: (out / name).read_bytes() for name in learnt} == learnt
    assert run(*call, "-i", real, "--overwrite").exit_code == 0
    assert len(json.loads((out / "quality.json").read_text())["subjects"]) == 4


def test_a_spoilt_image_is_turned_down_scored_and_shown(run: Run, real: Path, bands: Path, tmp_path: Path) -> None:
    folder = tmp_path / "cases"
    for seed in (7, 8):
        labels = brain_phantom(seed, SHAPE, SPACING_MM)
        request = Request(labels.array, SCHEME, labels.spacing_mm)
        image = gaussian_mixture.generate(gaussian_mixture.Config(), [request], [seed])[0]
        moved = np.roll(image, 2 * (seed == 8), axis=1)
        write_labels(folder / f"c{seed}_dseg.nii.gz", labels)
        write_image(folder / f"c{seed}_T2w.nii.gz", labels.with_array((moved * 1000).astype(np.int16)))
    out = tmp_path / "checked"
    result = run("check", "-i", folder, "--scheme", "kcl8", "--bands", bands, "-o", out)
    assert result.exit_code == 0, result.stderr
    assert [row["case"] for row in rows(out / "cases.csv")] == ["c7"]
    assert [row["case"] for row in rows(out / "rejected.csv")] == ["c8"]
    found = rows(out / "checks.csv")
    scores = {row["case"]: float(row["score"]) for row in found}
    assert scores["c8"] < 0.5 <= scores["c7"]
    page = tmp_path / "page"
    result = run("report", "rejections", "-i", out, "-o", page, "--images")
    assert result.exit_code == 0, result.stderr
    text = (page / "rejections.html").read_text()
    assert "1 of 2 cases" in text
    assert text.count("data:image/png;base64,") == 4
    assert "http" not in text.replace("http-equiv", "")
    (bad,) = [row for row in rows(page / "rejections.csv") if row["kept"] == "false"]
    assert (bad["case"], "quality" in bad["failed"]) == ("c8", True)


@pytest.mark.slow
def test_best_of_takes_the_highest_score_and_the_same_again(run: Run, real: Path, bands: Path, tmp_path: Path) -> None:
    call = ("generate-images", "-i", real / "head0_dseg.nii.gz", "--scheme", "kcl8", "--model", "gaussian_mixture",
            "--best-of", 3, "--bands", bands)  # fmt: skip
    for name in ("a", "b"):
        result = run(*call, "-o", tmp_path / name)
        assert result.exit_code == 0, result.stderr
    assert digests(tmp_path / "a") == digests(tmp_path / "b")
    seeds = rows(tmp_path / "a" / "seeds.csv")
    assert [row["draw"] for row in seeds] == ["1", "2", "3"]
    assert len({row["seed"] for row in seeds}) == 3
    (taken,) = [row for row in seeds if row["taken"] == "true"]
    assert float(taken["score"]) == max(float(row["score"]) for row in seeds)
    (made,) = rows(tmp_path / "a" / "cases.csv")
    assert made["seed"] == taken["seed"]
    told = json.loads((tmp_path / "a" / "seeds.json").read_text())
    assert told["score_of_a_single_seed"] == pytest.approx(np.mean([float(row["score"]) for row in seeds]), abs=1e-6)
    assert told["gain"] >= 0
    single = tmp_path / "single"
    assert run(*call[:7], "-o", single).exit_code == 0
    (alone,) = rows(single / "cases.csv")
    assert alone["seed"] == seeds[0]["seed"], "without a choice the first seed is taken"


def test_predictions_are_compared_and_a_segmenter_that_saw_synthetic_cases_is_refused(
    run: Run, real: Path, tmp_path: Path
) -> None:
    predicted = tmp_path / "predicted"
    for seed in range(2):
        labels = brain_phantom(seed, SHAPE, SPACING_MM)
        if seed == 1:
            lost = SCHEME.mask(labels.array, "ventricles")
            labels = labels.with_array(np.where(lost, 1, labels.array).astype(np.uint8))
        write_labels(predicted / f"head{seed}_dseg.nii.gz", labels)
    call = ("check", "-i", real, "--scheme", "kcl8", "--check", "label_agreement", "--predicted", predicted)
    result = run(*call, "-o", tmp_path / "out")
    assert result.exit_code == 0, result.stderr
    found = {row["case"]: row for row in rows(tmp_path / "out" / "checks.csv")}
    assert found["head0"]["passed"] == "true"
    assert float(found["head0"]["strain"]) == 0
    assert found["head1"]["passed"] == "false"
    assert "ventricles, Dice 0.000" in found["head1"]["detail"]
    assert found["head2"]["judged"] == "false"
    row = TrainingRow(case="x", subject="x", origin="morphed", source="t")
    record = SegmenterRecord(kind="nnunet", scheme="kcl8", contrast="T2w", training=(row,))
    write_segmenter(predicted, record)
    refused = run(*call, "-o", tmp_path / "other")
    assert refused.exit_code == 2
    assert "learnt from 1 synthetic cases" in refused.stderr


def test_label_maps_are_held_against_the_training_cases_of_a_label_model(run: Run, tmp_path: Path) -> None:
    heads = {seed: brain_phantom(seed, SHAPE, SPACING_MM) for seed in (*range(6), 100)}
    known = [Pair(f"t{seed}", f"s{seed}", heads[seed].array, None, (SPACING_MM,) * 3) for seed in range(6)]
    model, cases, out = (tmp_path / name for name in ("model", "cases", "out"))
    model.mkdir()
    (model / "config.json").write_text(json.dumps({"generator": "latent_diffusion"}))
    save_reference(model, learn_copies(known, SCHEME))
    for seed in (3, 100):
        write_labels(cases / f"head{seed}_dseg.nii.gz", heads[seed])
    call = ("check", "-i", cases, "--scheme", "kcl8", "--check", "copies", "--check", "islands")
    result = run(*call, "--model", model, "-o", out)
    assert result.exit_code == 0, result.stderr
    assert [row["case"] for row in rows(out / "cases.csv")] == ["head100"]
    (copied,) = [row for row in rows(out / "checks.csv") if row["passed"] == "false"]
    assert (copied["case"], copied["check"]) == ("head3", "copies")
    assert "training case t3" in copied["detail"]
    result = run(*call, "--model", "fetal-labels", "-o", tmp_path / "shipped")
    assert result.exit_code == 0, result.stderr
    judged = [row["judged"] for row in rows(tmp_path / "shipped" / "checks.csv") if row["check"] == "copies"]
    assert judged == ["true", "true"]
    assert [row["case"] for row in rows(tmp_path / "shipped" / "cases.csv")] == ["head100", "head3"]
    refused = run(*call, "--model", "fetal-label", "-o", tmp_path / "none")
    assert refused.exit_code == 2
    assert "expected one of adult-labels, fetal-labels, fetal-t2w, " in " ".join(refused.stderr.split())
