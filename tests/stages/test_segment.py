"""`segment` without nnU-Net itself: what it is given, what comes back onto which grid, who fails and who goes on."""

import contextlib
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from typer.testing import CliRunner

from pathosynth.cli import app
from pathosynth.data.cases import Case, read_cases, write_cases
from pathosynth.data.grid import to_orientation_of, to_ras
from pathosynth.data.labels import load_scheme
from pathosynth.data.nifti import read_labels, write_image, write_labels
from pathosynth.data.volume import Volume
from pathosynth.runs.errors import ConfigError, InputError
from pathosynth.segmenters import nnunet
from pathosynth.segmenters.job import Machine, Notice, Prediction, TrainingData
from pathosynth.segmenters.record import read_segmenter
from pathosynth.stages import segment
from pathosynth.stages.batch import Options, execute
from pathosynth.stages.segment_training import Tables, with_own_names
from pathosynth.stages.segmentation import Segmentation

Brain = Callable[..., tuple[Volume, Volume]]

LAS = np.array([[-2.0, 0, 0, 25], [0, 2.0, 0, -31], [0, 0, 2.0, -17.5], [0, 0, 0, 1]])
"""Left, anterior, superior: the first axis runs the other way than in RAS."""


@contextlib.contextmanager
def unwatched() -> Iterator[Notice]:
    yield lambda epoch, total, loss: None


def make_table(folder: Path, brains: dict[str, tuple[Volume, Volume]], **fields: str) -> Path:
    """A case table with labels and T2w images."""
    cases = []
    for name, (labels, image) in brains.items():
        files = (folder / f"{name}_dseg.nii.gz", folder / f"{name}_T2w.nii.gz")
        write_labels(files[0], labels)
        write_image(files[1], image)
        values = {"case": name, "subject": name, "scheme": "kcl8", "age_weeks": 24.0, **fields}
        cases.append(Case.model_validate(values | {"labels": files[0], "images": {"T2w": files[1]}}))
    write_cases(folder / "cases.csv", cases)
    return folder / "cases.csv"


@pytest.fixture
def tested(tmp_path: Path, small_brain: Brain) -> Path:
    return make_table(tmp_path / "test", {"one": small_brain(), "two": small_brain(affine=LAS)})


class Perfect:
    """Stands for nnU-Net: reads the images it is given and predicts the labels planted for each, as dense numbers."""

    def __init__(self, table: Path, broken: Sequence[str] = ()) -> None:
        self.truth = {case.case: case for case in read_cases(table)}
        self.broken, self.trained, self.asked = broken, list[TrainingData](), list[list[str]]()

    def train(self, data: TrainingData, config: object, folder: Path, **how: object) -> None:
        self.trained.append(data)

    def predict(self, asked: Prediction, machine: Machine) -> None:
        names = sorted(path.name.removesuffix("_0000.nii.gz") for path in (asked.work / "images").iterdir())
        self.asked.append(names)
        for name in set(names) - set(self.broken):
            image = nib.load(asked.work / "images" / f"{name}_0000.nii.gz")
            assert nib.aff2axcodes(image.affine) == ("R", "A", "S")
            labels = to_ras(read_labels(self.truth[name].labels, asked.scheme))
            dense = nib.Nifti1Image(asked.scheme.indices(labels.array), image.affine)
            (asked.work / "predicted").mkdir(exist_ok=True)
            nib.save(dense, asked.work / "predicted" / f"{name}.nii.gz")


@pytest.fixture
def perfect(tested: Path, monkeypatch: pytest.MonkeyPatch) -> Perfect:
    stand_in = Perfect(tested)
    monkeypatch.setattr(nnunet, "train", stand_in.train)
    monkeypatch.setattr(nnunet, "predict", stand_in.predict)
    return stand_in


def run(table: Path, training: Sequence[Path], out: Path, *settings: str, seed: int = 0) -> dict:
    tables = Tables.read(training, "", "T2w")
    chosen = Segmentation.trained("nnunet", "small", settings, tables, out)
    options = Options(out=out, seed=seed)
    return execute(segment.plan(segment.read_test(table, ""), chosen, options, unwatched), options).content


def test_predictions_come_back_in_the_schemes_values_on_each_cases_own_grid(
    tmp_path: Path, tested: Path, perfect: Perfect
) -> None:
    run(tested, [tested], tmp_path / "out")
    found = {case.case: case for case in read_cases(tmp_path / "out" / "cases.csv")}
    for case in read_cases(tested):
        truth, made = nib.load(case.labels), nib.load(found[case.case].labels)
        np.testing.assert_array_equal(np.asarray(made.dataobj), np.asarray(truth.dataobj))
        np.testing.assert_allclose(made.affine, truth.affine, atol=1e-4)
        assert found[case.case].age_weeks == case.age_weeks
        assert found[case.case].origin == "real"
    assert not (tmp_path / "out" / segment.WORK).exists()


def test_prepared_data_serve_a_training_on_the_same_cases_alone(
    tmp_path: Path, tested: Path, perfect: Perfect, small_brain: Brain, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Path] = []
    monkeypatch.setattr(nnunet, "prepare", lambda data, config, folder, machine: asked.append(folder))
    sets = ("epochs=3",)
    tables = Tables.read([tested], "", "T2w")
    chosen = Segmentation.trained("nnunet", "small", sets, tables, tmp_path / "ready").only_prepared()
    options = Options(out=tmp_path / "ready")
    execute(segment.plan([], chosen, options, unwatched), options)
    assert asked == [tmp_path / "ready/segmenter"]
    assert not perfect.trained, "trained although only asked to prepare"

    again = Segmentation.trained("nnunet", "small", sets, tables, tmp_path / "out").after(tmp_path / "ready")
    assert again.prepared == tmp_path / "ready/segmenter"
    other = Tables.read([make_table(tmp_path / "other", {"one": small_brain()})], "", "T2w")
    for wrong in (
        Segmentation.trained("nnunet", "small", sets, other, tmp_path / "out"),
        Segmentation.trained("nnunet", "small", ("epochs=4",), tables, tmp_path / "out"),
    ):
        with pytest.raises(ConfigError, match="of other cases or settings"):
            wrong.after(tmp_path / "ready")


def test_a_case_without_a_prediction_fails_by_name_and_is_tried_again(
    tmp_path: Path, tested: Path, perfect: Perfect
) -> None:
    perfect.broken = ["two"]
    content = run(tested, [tested], tmp_path / "out")
    assert content["status"] == "some failed"
    assert content["cases"]["one"]["outcome"] == "done"
    assert "no prediction" in content["cases"]["two"]["message"]
    perfect.broken = []
    content = run(tested, [tested], tmp_path / "out")
    assert {entry["outcome"] for entry in content["cases"].values()} == {"done"}
    assert perfect.asked == [["one", "two"], ["two"]]  # what is finished is not predicted again


def test_an_unreadable_image_fails_alone_and_says_why(tmp_path: Path, tested: Path, perfect: Perfect) -> None:
    image = {case.case: case for case in read_cases(tested)}["one"].images["T2w"]
    training = make_table(tmp_path / "train", {"other": next(iter(brains_of(tested)))})
    image.write_bytes(image.read_bytes()[:200])
    content = run(tested, [training], tmp_path / "out")
    assert content["cases"]["two"]["outcome"] == "done"
    assert content["cases"]["one"]["outcome"] == "failed"
    assert str(image.name) in content["cases"]["one"]["message"]
    assert perfect.asked == [["two"]]


def brains_of(table: Path) -> Iterator[tuple[Volume, Volume]]:
    for case in read_cases(table):
        labels = read_labels(case.labels, load_scheme("kcl8"))
        yield labels, labels.with_array(labels.array.astype(np.float32))


def test_training_data_is_in_one_orientation_with_dense_numbers(tmp_path: Path, tested: Path) -> None:
    Tables.read([tested], "", "").write(tmp_path / "Dataset001_x")
    one, two = (nib.load(tmp_path / "Dataset001_x" / "labelsTr" / f"{name}.nii.gz") for name in ("one", "two"))
    assert nib.aff2axcodes(one.affine) == nib.aff2axcodes(two.affine) == ("R", "A", "S")
    description = json.loads((tmp_path / "Dataset001_x" / "dataset.json").read_text())
    assert sorted(description["labels"].values()) == list(range(9))
    assert description["numTraining"] == 2


def test_the_record_lists_every_training_case_of_every_table(
    tmp_path: Path, tested: Path, small_brain: Brain, perfect: Perfect
) -> None:
    more = make_table(tmp_path / "more", {"one": small_brain()}, origin="morphed", parent="one", subject="one")
    run(tested, [tested, more], tmp_path / "out", seed=7)
    record = read_segmenter(tmp_path / "out")
    rows = [(row.case, row.origin, row.parent, Path(row.source)) for row in record.training]
    assert rows == [
        ("one", "real", "", tested), ("two", "real", "", tested), ("one", "morphed", "one", more),
    ]  # fmt: skip
    assert (record.seed, record.scheme, record.contrast) == (7, "kcl8", "T2w")
    content = json.loads((tmp_path / "out" / "run.json").read_text())
    assert content["config"]["segmenter"] == "segmenter"
    assert content["config"]["training_tables"] == [str(tested), str(more)]


def test_another_seed_is_another_run_and_another_number_of_cores_is_not(
    tmp_path: Path, tested: Path, perfect: Perfect
) -> None:
    run(tested, [tested], tmp_path / "out")
    run(tested, [tested], tmp_path / "out", "threads=1")
    with pytest.raises(ConfigError, match="seed was 0, now 1"):
        run(tested, [tested], tmp_path / "out", seed=1)


def test_names_that_repeat_between_tables_are_told_apart_and_cases_to_test_on_are_left_out(
    tmp_path: Path, small_brain: Brain
) -> None:
    names = [Case(case=name, subject="s", scheme="kcl8") for name in ("a", "A", "b")]
    assert [case.case for case in with_own_names(names)] == ["a_copy1", "A_copy2", "b"]
    kept = make_table(tmp_path / "kept", {"a": small_brain()}, split="train")
    left = make_table(tmp_path / "left", {"b": small_brain()}, split="test")
    tables = Tables.read([kept, left], "", "")
    assert ([case.case for case in tables.cases], tables.left_out) == (["a"], 1)
    with pytest.raises(InputError, match="every case is of split 'test'"):
        Tables.read([left], "", "")
    with pytest.raises(InputError, match="have no FLAIR image"):
        Tables.read([kept], "", "FLAIR")


def test_synthetic_cases_never_validate_and_stay_on_their_subjects_side(tmp_path: Path, small_brain: Brain) -> None:
    real = [make_table(tmp_path / name, {name: small_brain()}) for name in ("a", "b", "c", "d")]
    child = make_table(tmp_path / "child", {"a1": small_brain()}, origin="morphed", parent="a", subject="a")
    splits = Tables.read([*real, child], "", "").data({"folds": 2}, 3).splits or ()
    assert len(splits) == 2
    for split in splits:
        assert "a1" not in split["val"]
        assert not {"a", "a1"} <= {*split["train"], *split["val"]} or "a" in split["train"]
    assert Tables.read(real, "", "").data({}, 3).splits is None


def test_predictions_made_elsewhere_are_judged_on_the_test_grid(tmp_path: Path, tested: Path) -> None:
    cases = {case.case: case for case in read_cases(tested)}
    labels = read_labels(cases["one"].labels, load_scheme("kcl8"))
    las = to_orientation_of(labels, Volume(labels.array, LAS))
    write_labels(tmp_path / "tool" / "one_synthseg.nii.gz", las)
    arguments = ["segment", "-i", str(tested), "-o", str(tmp_path / "out"), "--segmenter", "external"]
    settings = ["--set", f"predictions={tmp_path / 'tool'}", "--set", "scheme=kcl8"]
    result = CliRunner().invoke(app, [*arguments, *settings, "-q"])
    assert result.exit_code == 1  # there is none for "two"
    content = json.loads((tmp_path / "out" / "run.json").read_text())
    assert "no prediction of case 'two'" in content["cases"]["two"]["message"]
    (made,) = read_cases(tmp_path / "out" / "cases.csv")
    np.testing.assert_array_equal(read_labels(made.labels, None).array, labels.array)
    record = read_segmenter(tmp_path / "out")
    assert (record.trained_here, record.training) == (False, ())


def test_a_dry_run_writes_nothing_and_shows_the_settings(tmp_path: Path, tested: Path) -> None:
    arguments = ["segment", "--train", str(tested), "-o", str(tmp_path / "out"), "--device", "cpu"]
    result = CliRunner().invoke(app, [*arguments, "--dry-run", "--json", "--set", "epochs=7"])
    assert result.exit_code == 0, result.output
    shown = json.loads(result.stdout)
    assert shown["config"]["settings"]["epochs"] == 7
    assert shown["config"]["training_cases"] == 2
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "found neither"),
        (["--train", "TABLE", "--model", "x"], "expected one of them"),
        (["-i", "TABLE"], "expected --train CASES, or --model"),
        (["--train", "TABLE", "--segmenter", "external"], "expected one that learns"),
        (["--train", "TABLE", "--plan", "huge"], "expected one of small, default"),
        (["--train", "TABLE", "--contrast", "T1w"], "have no T1w image"),
        (["-i", "TABLE", "--model", "TABLE"], "found neither"),
    ],
)
def test_wrong_use_is_told_in_one_message(tmp_path: Path, tested: Path, arguments: list[str], message: str) -> None:
    words = [str(tested) if word == "TABLE" else word for word in arguments]
    result = CliRunner().invoke(app, ["segment", *words, "-o", str(tmp_path / "out"), "--device", "cpu"])
    assert result.exit_code == 2
    assert message in result.stderr
    assert not (tmp_path / "out").exists()
