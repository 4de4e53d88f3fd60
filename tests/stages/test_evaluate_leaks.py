"""Planted leaks of every kind: each must stop `evaluate`, and what is not known must be told."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from pathosynth.cli import app
from pathosynth.data.cases import Case, write_cases
from pathosynth.data.nifti import write_labels
from pathosynth.data.volume import Volume
from pathosynth.runs.errors import InputError
from pathosynth.runs.record import RunRecord
from pathosynth.segmenters.record import MadeBy, SegmenterRecord, TrainingRow, write_segmenter
from pathosynth.stages import evaluate
from pathosynth.stages.batch import Options, Plan

TEST = ("anna", "bert", "cleo")


def box(size: int) -> Volume:
    labels = np.zeros((10, 9, 8), np.uint8)
    labels[1:9, 1:8, 1:7] = 1
    labels[2 : 2 + size, 3:6, 2:5] = 2
    return Volume(labels, np.eye(4))


def write_set(folder: Path, subjects: Sequence[str], size: int = 3, **fields: Any) -> list[Case]:
    cases = []
    for number, subject in enumerate(subjects):
        path = folder / f"{subject}-scan_dseg.nii.gz"
        write_labels(path, box(size + number % 4))
        cases.append(Case(case=f"{subject}-scan", subject=subject, scheme="kcl8", labels=path, **fields))
    write_cases(folder / "cases.csv", cases)
    return cases


@pytest.fixture
def reference(tmp_path: Path) -> Path:
    write_set(tmp_path / "test", TEST)
    return tmp_path / "test"


def trained(folder: Path, *rows: TrainingRow, **changes: Any) -> str:
    """Predictions of all test cases by a segmenter with these training rows."""
    write_set(folder, TEST)
    record = SegmenterRecord(kind="nnunet", scheme="kcl8", training=rows, **changes)
    write_segmenter(folder / "segmenter", record)
    return f"arm={folder}"


def row(case: str = "dora-scan", subject: str = "dora", **fields: Any) -> TrainingRow:
    return TrainingRow(**{"case": case, "subject": subject, "origin": "real", "source": "gone/cases.csv", **fields})


def plan(reference: Path, *predicted: str) -> Plan:
    return evaluate.plan(reference, list(predicted), evaluate.Evaluation(), Options(out=Path("unused")))


def test_other_people_may_train(reference: Path, tmp_path: Path) -> None:
    model = MadeBy(name="spade@12", subjects=("emil", "fritz"))
    arm = trained(
        tmp_path / "a", row(), row("emil-sick", "emil", origin="morphed", parent="emil-scan", models=(model,))
    )
    assert len(plan(reference, arm).tasks) == 3


def of(name: str, *subjects: str) -> tuple[MadeBy, ...]:
    return (MadeBy(name=name, subjects=subjects),)


LEAKS = {
    "directly": (row("b-01", "bert"), "is of this subject"),
    "by another spelling": (row("b-01", "sub-Bert"), "is of this subject"),
    "by a spelling without marks": (row("b-01", "sub-BE_R-T"), r"is of this subject (as 'sub-BE_R-T')"),
    "through a parent": (row("x-sick", "x", origin="morphed", parent="bert-scan"), "made from 'bert-scan'"),
    "through an image generator": (
        row("x", "x", origin="morphed", parent="p", models=of("spade@ab", "f", "bert")), "made by 'spade@ab'",
    ),
    "through a label generator": (
        row("x", "x", origin="generated", models=of("labels@cd", "bert")), "made by 'labels@cd'",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("leak", "path"), LEAKS.values(), ids=LEAKS.keys())
def test_a_test_subject_among_the_ancestors_is_an_error(
    reference: Path, tmp_path: Path, leak: TrainingRow, path: str
) -> None:
    clean, leaky = trained(tmp_path / "clean", row()), trained(tmp_path / "leaky", row(), leak)
    with pytest.raises(InputError, match="among the ancestors") as caught:
        plan(reference, clean.replace("arm", "other"), leaky)
    text = str(caught.value)
    assert "'bert'" in text
    assert "arm 'arm'" in text
    assert path in text
    assert "arm 'other'" not in text
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("test", "case", "subject"),
    [
        ("sub-01_ses-2", "sub-01_ses-1", "sub-01_ses-1"),
        ("sub-01_ses-2", "x", "sub-01"),
        ("sub-01_ses-2", "sub-01_ses-1", "somebody"),
        ("sub-01", "x", "sub-01_ses-1"),
        ("sub-01_run-2", "sub-01_run-1", "sub-01_run-1"),
        ("OAS1_0061", "sub-OAS10061", "sub-OAS10061"),
        ("p-01", "p_01", "p_01"),
    ],
)
def test_another_session_or_run_of_a_test_subject_leaks(tmp_path: Path, test: str, case: str, subject: str) -> None:
    """In flat folders nothing but the file name says who was scanned."""
    for folder in ("test", "predicted"):
        write_labels(tmp_path / folder / f"{test}_dseg.nii.gz", box(3))
    out, words = tmp_path / "out", ["evaluate", "--scheme", "kcl8", "-i", str(tmp_path / "test"), "-q"]
    words += ["--predicted", f"arm={tmp_path / 'predicted'}", "-o", str(out)]
    others = (row("sub-02_ses-1", "sub-02_ses-1"), row("sub-011", "sub-011"), row("sub", "p-010"))
    write_segmenter(tmp_path / "predicted", SegmenterRecord(kind="nnunet", scheme="kcl8", training=others))
    assert CliRunner().invoke(app, words).exit_code == 0
    record = SegmenterRecord(kind="nnunet", scheme="kcl8", training=(*others, row(case, subject)))
    write_segmenter(tmp_path / "predicted", record)
    result = CliRunner().invoke(app, [*words, "--overwrite"])
    assert result.exit_code == 2
    assert result.stderr.count(f"training case '{case}'") == 1
    assert "training case 'sub-02" not in result.stderr


def test_a_copy_under_another_name_is_found_by_its_content(reference: Path, tmp_path: Path) -> None:
    cases = write_set(tmp_path / "train", ["dora", "emil"], size=6)
    table = str(tmp_path / "train" / "cases.csv")
    rows = [row(case.case, case.subject, source=table) for case in cases]
    arm = trained(tmp_path / "a", *rows)
    assert plan(reference, arm)
    (tmp_path / "train" / "emil-scan_dseg.nii.gz").write_bytes((reference / "cleo-scan_dseg.nii.gz").read_bytes())
    with pytest.raises(InputError, match=r"'cleo'.*has the content of cleo-scan_dseg"):
        plan(reference, arm)


def test_run_records_behind_a_training_table_are_walked(reference: Path, tmp_path: Path) -> None:
    """What the segmenter's own record leaves out: a label model two folders back learnt from a test subject."""
    first, second = tmp_path / "labels", tmp_path / "images"
    config = {"label_model": "mine@0123", "ancestors": ["emil", "anna"]}
    RunRecord.begin(first, "generate-labels", config, 0, []).complete()
    made = write_set(first, ["synthetic1"], size=6, origin="generated")
    RunRecord.begin(second, "generate-images", {"model": "gaussian_mixture"}, 0, [made[0].labels]).complete()
    write_set(second, ["synthetic1"], size=6, origin="generated")
    source = str(second / "cases.csv")
    arm = trained(tmp_path / "a", row("synthetic1-scan", "synthetic1", origin="generated", source=source))
    with pytest.raises(InputError, match=r"'anna'.*made by 'mine@0123'"):
        plan(reference, arm)


def test_shipped_models_are_looked_up(reference: Path, tmp_path: Path) -> None:
    """A table that only names a shipped model leads to the people in that model's card."""
    from pathosynth.stages.models import find_any_model

    found = find_any_model("fetal-labels")
    person = found.card["facts"]["subjects"][0].removeprefix("sub-")
    folder = tmp_path / "made"
    RunRecord.begin(folder, "generate-labels", {"label_model": found.identity}, 0, []).complete()
    write_set(folder, ["new1"], size=6, origin="generated")
    arm = trained(tmp_path / "a", row("new1-scan", "new1", origin="generated", source=str(folder / "cases.csv")))
    assert plan(reference, arm)
    write_set(reference, [person, "bert"])
    write_set(tmp_path / "a", [person, "bert"])
    with pytest.raises(InputError, match=f"'{person}'.*fetal-labels"):
        plan(reference, arm)


def test_a_fold_may_train_on_the_subjects_of_the_other_folds(reference: Path, tmp_path: Path) -> None:
    folders = []
    for left_out in TEST:
        folder = tmp_path / f"without-{left_out}"
        trained(folder, *(row(f"{name}-scan", name) for name in TEST if name != left_out))
        write_set(folder, [left_out])
        folders.append(str(folder))
    assert len(plan(reference, f"cv={','.join(folders)}").tasks) == 3
    with pytest.raises(InputError, match="among the ancestors"):
        plan(reference, f"cv={folders[0]}")
    write_set(Path(folders[0]), ["bert"])
    write_set(Path(folders[1]), ["anna"])
    with pytest.raises(InputError, match="'bert'"):
        plan(reference, f"cv={','.join(folders)}")


def test_what_is_not_known_is_told(reference: Path, tmp_path: Path) -> None:
    write_set(tmp_path / "bare", TEST)
    unknown = MadeBy(name="secret@99", subjects=None)
    arms = {
        f"bare={tmp_path / 'bare'}": "no segmenter.json",
        trained(tmp_path / "external", trained_here=False).replace("arm", "external"): "made elsewhere",
        trained(tmp_path / "none").replace("arm", "none"): "lists no training case",
        trained(tmp_path / "secret", row(models=(unknown,))).replace("arm", "secret"): "'secret@99'",
        trained(tmp_path / "orphan", row(origin="generated")).replace("arm", "orphan"): "nothing says how",
        trained(tmp_path / "open", row()).replace("arm", "open"): "",
    }
    out = tmp_path / "out"
    words = ["evaluate", "-i", str(reference), "-o", str(out), "-q"]
    result = CliRunner().invoke(app, words + [word for arm in arms for word in ("--predicted", arm)])
    assert result.exit_code == 0, result.output
    runs = json.loads((out / "evaluation.json").read_text())["provenance"]["runs"]
    for run, message in zip(runs, arms.values(), strict=True):
        told = run["parts"][0]["unknown"]
        assert (message in told[0]) if message else told == []


def test_the_command_ends_with_2_and_names_the_subject(reference: Path, tmp_path: Path) -> None:
    arm = trained(tmp_path / "a", row("b-01", "bert"))
    out = tmp_path / "out"
    result = CliRunner().invoke(app, ["evaluate", "-i", str(reference), "--predicted", arm, "-o", str(out)])
    assert result.exit_code == 2
    assert "bert" in result.stderr
    assert "Traceback" not in result.stderr
    assert not out.exists()
    (tmp_path / "a" / "segmenter" / "segmenter.json").write_text("{")
    broken = CliRunner().invoke(app, ["evaluate", "-i", str(reference), "--predicted", arm, "-o", str(out)])
    assert broken.exit_code == 2
    assert "segmenter.json" in broken.stderr
