"""`prepare` on a folder with good and bad cases."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pathosynth.data.cases import Case, read_cases
from pathosynth.data.labels import load_scheme
from pathosynth.data.nifti import read_image, read_labels, write_image, write_labels
from pathosynth.data.volume import Volume
from pathosynth.formats import bids, flat
from pathosynth.runs.errors import ConfigError, InputError
from pathosynth.stages.prepare import prepare, restore

Maker = Callable[..., tuple[Volume, Volume]]
KCL8 = load_scheme("kcl8")
LPS = np.array([[-0.8, 0, 0, 31.5], [0, -0.8, 0, 20], [0, 0, 0.8, 4], [0, 0, 0, 1]])


@pytest.fixture
def folder(small_brain: Maker, tmp_path: Path) -> Path:
    """Two good cases, one truncated, one with an image on another grid, one with a foreign label."""
    root = tmp_path / "in"
    for number, name in enumerate(("sub-1", "sub-2", "sub-cut", "sub-shifted", "sub-foreign")):
        labels, image = small_brain(affine=LPS)
        array = labels.array.copy()
        array[0, 0, number] = 9 if name == "sub-foreign" else 1
        moved = image.affine + np.outer([0.4, 0, 0, 0], [0, 0, 0, 1]) * (name == "sub-shifted")
        write_labels(root / f"{name}_dseg.nii.gz", Volume(array, labels.affine))
        write_image(root / f"{name}_T2w.nii.gz", Volume(image.array * (number + 1), moved))
    cut = root / "sub-cut_T2w.nii.gz"
    cut.write_bytes(cut.read_bytes()[:-9])
    return root


def test_one_bad_case_does_not_stop_the_others(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    record = prepare(flat.read(folder, flat.Config(scheme="kcl8")), out)
    assert record.counts() == {"done": 2, "rejected": 0, "failed": 3}
    messages = {name: entry["message"] for name, entry in json.loads((out / "run.json").read_text())["cases"].items()}
    assert "sub-cut_T2w.nii.gz: found a gzip stream that stops" in messages["sub-cut"]
    assert "0.4 mm apart" in messages["sub-shifted"]
    assert "9 (1 voxels)" in messages["sub-foreign"]
    assert [case.case for case in read_cases(out / "cases.csv")] == ["sub-1", "sub-2"]
    assert {path.name for path in out.glob("sub-*")} == {"sub-1", "sub-2"}, "nothing written for a failed case"


def test_prepared_cases_are_ras_cropped_scaled_and_come_back(folder: Path, tmp_path: Path) -> None:
    sources = {case.case: case for case in flat.read(folder, flat.Config(scheme="kcl8"))}
    out = tmp_path / "out"
    prepare(list(sources.values()), out, margin_mm=0.8)
    for case in read_cases(out / "cases.csv"):
        labels, image = read_labels(case.labels, KCL8), read_image(case.images["T2w"])
        np.testing.assert_allclose(labels.affine[:3, :3], np.diag([0.8, 0.8, 0.8]), atol=1e-6)
        np.testing.assert_array_equal(labels.affine, image.affine)
        for axis in range(3):
            filled = np.flatnonzero((labels.array > 0).any(axis=tuple({0, 1, 2} - {axis})))
            assert (filled[0], filled[-1]) == (1, labels.shape[axis] - 2)
        source = sources[case.case]
        original, seen = read_labels(source.labels, KCL8), read_image(source.images["T2w"])
        ranks = np.percentile(seen.array[original.array > 0], (0.5, 99.5))
        np.testing.assert_allclose(np.percentile(image.array[labels.array > 0], (0.5, 99.5)), (0, 1), atol=1e-5)
        back = restore(case, tmp_path / "back")
        given = read_labels(back.labels, KCL8)
        np.testing.assert_array_equal(given.array, original.array)
        np.testing.assert_array_equal(given.affine, original.affine)
        inside = original.array > 0
        returned = read_image(back.images["T2w"])
        np.testing.assert_allclose(returned.array[inside], seen.array[inside], atol=1e-5 * np.ptp(ranks))
        np.testing.assert_array_equal(returned.affine, seen.affine)


@pytest.mark.parametrize("background", [0.0, -40.0])
def test_the_background_of_a_stripped_image_stays_empty_on_another_grid(
    background: float, small_brain: Maker, tmp_path: Path
) -> None:
    labels, image = small_brain(shape=(48, 56, 44), spacing_mm=1.0)
    write_labels(tmp_path / "in" / "a_dseg.nii.gz", labels)
    stripped = np.where(labels.array > 0, image.array, np.float32(background))
    write_image(tmp_path / "in" / "a_T2w.nii.gz", image.with_array(stripped))
    prepare(flat.read(tmp_path / "in", flat.Config(scheme="kcl8")), tmp_path / "out", spacing_mm=1.5)
    case = read_cases(tmp_path / "out" / "cases.csv")[0]
    assert case.labels is not None
    made = read_labels(case.labels, KCL8).array
    moved = read_image(case.images["T2w"]).array
    np.testing.assert_array_equal(moved != 0, made > 0)


def test_output_is_a_bids_derivative_others_can_read(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    prepare(flat.read(folder, flat.Config(scheme="kcl8"))[:2], out)
    cases = bids.read(out, bids.Config(scheme="kcl8"))
    assert cases == read_cases(out / "cases.csv")
    sidecar = json.loads(next(out.glob("sub-1/anat/*T2w.json")).read_text())
    assert sidecar["SkullStripped"] is True
    assert len(sidecar["IntensityRange"]) == 2


def test_same_call_again_does_nothing_and_gives_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    cases = flat.read(folder, flat.Config(scheme="kcl8"))[:2]
    prepare(cases, tmp_path / "a")
    prepare(cases, tmp_path / "b")
    files = [path.relative_to(tmp_path / "a") for path in (tmp_path / "a").rglob("*") if path.is_file()]
    times = {path: (tmp_path / "a" / path).stat().st_mtime_ns for path in files if path.suffix == ".gz"}
    assert len(times) == 4
    prepare(cases, tmp_path / "a")
    assert times == {path: (tmp_path / "a" / path).stat().st_mtime_ns for path in times}
    for path in files:
        if path.name != "run.json":
            assert (tmp_path / "a" / path).read_bytes() == (tmp_path / "b" / path).read_bytes(), path


def test_a_single_bad_case_is_an_error_and_leaves_nothing(folder: Path, tmp_path: Path) -> None:
    bad = [case for case in flat.read(folder, flat.Config(scheme="kcl8")) if case.case == "sub-foreign"]
    with pytest.raises(InputError, match=r"sub-foreign_dseg.nii.gz: .*Choose the right --scheme"):
        prepare(bad, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_names_that_would_overwrite_each_other_are_refused(folder: Path, tmp_path: Path) -> None:
    case = flat.read(folder, flat.Config(scheme="kcl8"))[0]
    with pytest.raises(InputError, match="sub-1, 1 would share"):
        prepare([case, case.model_copy(update={"case": "1"})], tmp_path / "out")


def test_restore_needs_what_prepare_wrote(folder: Path, tmp_path: Path) -> None:
    case = flat.read(folder, flat.Config(scheme="kcl8"))[0]
    with pytest.raises(InputError, match="as prepare writes it"):
        restore(case, tmp_path / "back")
    with pytest.raises(InputError, match="has no label map"):
        restore(Case(case="x", subject="x", scheme="kcl8"), tmp_path / "back")


@pytest.mark.real_data
def test_real_brain_comes_back_to_the_bit(real_data: Path, tmp_path: Path) -> None:
    (source,) = [
        c for c in flat.read(real_data / "fetal_healthy", flat.Config(scheme="kcl8")) if c.case.endswith("GA30")
    ]
    prepare([source], tmp_path / "out")
    (case,) = read_cases(tmp_path / "out/cases.csv")
    back, original = (read_labels(c.labels, KCL8) for c in (restore(case, tmp_path / "back"), source))
    np.testing.assert_array_equal(back.array, original.array)
    np.testing.assert_array_equal(back.affine, original.affine)


def test_labels_are_remapped_by_the_table_of_their_scheme(small_brain: Maker, tmp_path: Path) -> None:
    full, coarse = load_scheme("synthsegfull"), load_scheme("kcl8")
    rng = np.random.default_rng(3)
    values = np.array([0, *full.values], dtype=np.uint16)
    drawn = values[rng.integers(len(values), size=(12, 14, 10))]
    write_labels(tmp_path / "in" / "sub-1_dseg.nii.gz", Volume(drawn, np.diag([1.0, 1.0, 1.0, 1.0])))
    cases = flat.read(tmp_path / "in", flat.Config(scheme="synthsegfull"))
    assert prepare(cases, tmp_path / "out", margin_mm=0, to_scheme="kcl8").counts()["done"] == 1
    (case,) = read_cases(tmp_path / "out" / "cases.csv")
    made = read_labels(case.labels, load_scheme(case.scheme)).array
    assert (case.scheme, "seg-kcl8" in case.labels.name) == ("kcl8", True)
    groups = ("ventricles", "cerebellum", "brainstem")  # both legends draw these alike
    assert {group: int(coarse.mask(made, group).sum()) for group in groups} == {
        group: int(full.mask(drawn, group).sum()) for group in groups
    }
    assert prepare(cases, tmp_path / "same", to_scheme="synthsegfull").counts()["done"] == 1
    assert read_cases(tmp_path / "same" / "cases.csv")[0].scheme == "synthsegfull"


def test_a_scheme_without_a_table_is_refused_before_anything_is_written(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"'kcl8' has tables to feta, fetal4"):
        prepare(flat.read(folder, flat.Config(scheme="kcl8")), tmp_path / "out", to_scheme="synthseg")
    assert not (tmp_path / "out").exists()
