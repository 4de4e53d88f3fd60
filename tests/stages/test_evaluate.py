"""`evaluate` on boxes whose scores are known in advance: tables, empty masks, missing files, runs, folds, subgroups."""

import csv
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from pathosynth.data.cases import Case, read_cases, write_cases
from pathosynth.data.nifti import write_labels
from pathosynth.data.volume import Volume
from pathosynth.runs.errors import ConfigError, InputError
from pathosynth.runs.record import RunRecord
from pathosynth.stages import evaluate
from pathosynth.stages.batch import Options, execute

AFFINE = np.diag([1.0, 2.0, 0.5, 1.0])
SHAPE = (20, 18, 16)
VENTRICLE, CEREBELLUM, WHITE = 2, 3, 1
"""Labels of kcl8."""

Rows = list[dict[str, str]]


def head(ventricle: int, shift: int = 0, *, cerebellum: bool = True) -> np.ndarray:
    """White matter with a ventricle of `ventricle` x 6 x 6 voxels, moved along the first axis, and a cerebellum."""
    labels = np.zeros(SHAPE, np.uint8)
    labels[1:19, 1:17, 1:15] = WHITE
    labels[3 + shift : 3 + shift + ventricle, 4:10, 4:10] = VENTRICLE
    if cerebellum:
        labels[14:18, 12:16, 2:6] = CEREBELLUM
    return labels


def write_set(folder: Path, maps: Mapping[str, np.ndarray], scheme: str = "kcl8", **fields: Any) -> Path:
    """A folder with a case table; `fields` maps a field of the table to its value by case."""
    cases = []
    for name, labels in maps.items():
        path = folder / f"{name}_dseg.nii.gz"
        write_labels(path, Volume(labels, AFFINE))
        own = {key: values[name] for key, values in fields.items()}
        cases.append(Case(**{"case": name, "subject": f"person-{name}", "scheme": scheme, "labels": path, **own}))
    write_cases(folder / "cases.csv", cases)
    return folder


def judged(out: Path, reference: Path, predicted: list[str], **settings: Any) -> RunRecord:
    options = Options(out=out)
    plan = evaluate.plan(reference, predicted, evaluate.Evaluation(**settings), options)
    return execute(plan, options)


def table(out: Path, name: str, **wanted: str) -> Rows:
    with (out / f"{name}.csv").open() as stream:
        return [row for row in csv.DictReader(stream) if all(row[key] == value for key, value in wanted.items())]


@pytest.fixture
def reference(tmp_path: Path) -> Path:
    maps = {f"c{n}": head(n) for n in range(4, 10)}
    weeks = {name: 20.0 + n for n, name in enumerate(maps)}
    widths = {name: {"atrial_width_mm": 8.0 + n} for n, name in enumerate(maps)}
    return write_set(tmp_path / "reference", maps, age_weeks=weeks, severity=widths)


def shifted(folder: Path, shift: int, **changes: Any) -> Path:
    maps = {f"c{n}": head(n, shift) for n in range(4, 10)}
    return write_set(folder, maps | changes)


def test_scores_of_shifted_boxes_are_known(reference: Path, tmp_path: Path) -> None:
    record = judged(tmp_path / "out", reference, [f"one={shifted(tmp_path / 'a', 1)}"])
    assert record.counts() == {"done": 6, "rejected": 0, "failed": 0}
    rows = table(tmp_path / "out", "scores", structure="ventricles")
    assert [row["case"] for row in rows] == [f"c{n}" for n in range(4, 10)]
    for n, row in zip(range(4, 10), rows, strict=True):
        assert float(row["dice"]) == pytest.approx((n - 1) / n)
        assert float(row["hd95_mm"]) == pytest.approx(1.0)
        assert float(row["volume_reference_ml"]) == pytest.approx(n * 36 / 1000)
        assert float(row["volume_error_ml"]) == 0
        assert (row["state"], row["arm"], row["run"], row["subject"]) == ("both", "one", "1", f"person-c{n}")
        assert float(row["diagonal_mm"]) == pytest.approx(np.linalg.norm([20, 36, 8]))
        assert float(row["age_weeks"]) == 20 + n - 4
    summary = table(tmp_path / "out", "summary", structure="ventricles", metric="dice")[0]
    assert float(summary["mean"]) == pytest.approx(np.mean([(n - 1) / n for n in range(4, 10)]))
    assert float(summary["median"]) == pytest.approx(np.median([(n - 1) / n for n in range(4, 10)]))
    assert (summary["n"], summary["missed"], summary["subjects"], summary["runs"]) == ("6", "0", "6", "1")
    assert {row["structure"] for row in table(tmp_path / "out", "summary")}.isdisjoint({"tissue", "intracranial"})


def test_missed_invented_and_absent_structures(reference: Path, tmp_path: Path) -> None:
    """One missed cerebellum, one invented: none leaves a mean, and the corpus callosum nobody has is only counted."""
    write_set(reference, {f"c{n}": head(n, cerebellum=n != 5) for n in range(4, 10)})
    predicted = shifted(tmp_path / "a", 0, c4=head(4, cerebellum=False))
    judged(tmp_path / "out", reference, [f"one={predicted}"])
    rows = {row["case"]: row for row in table(tmp_path / "out", "scores", structure="cerebellum")}
    assert [rows[f"c{n}"]["state"] for n in (4, 5, 6)] == ["missed", "false_positive", "both"]
    assert [rows[f"c{n}"]["dice"] for n in (4, 5, 6)] == ["0.0", "0.0", "1.0"]
    assert [rows[f"c{n}"]["hd95_mm"] for n in (4, 5, 6)] == ["inf", "inf", "0.0"]
    dice = table(tmp_path / "out", "summary", structure="cerebellum", metric="dice")[0]
    assert float(dice["mean"]) == pytest.approx(4 / 6)
    assert (dice["missed"], dice["false_positive"], dice["n"]) == ("1", "1", "6")
    far = table(tmp_path / "out", "summary", structure="cerebellum", metric="hd95_mm")[0]
    assert (far["n"], far["n_finite"], float(far["mean"]), float(far["median"])) == ("6", "4", 0, 0)
    assert far["maximum"] == "inf"
    assert float(far["mean_capped"]) == pytest.approx(2 / 6 * np.linalg.norm([20, 36, 8]))
    absent = table(tmp_path / "out", "summary", structure="corpus_callosum", metric="dice")[0]
    assert (absent["both_empty"], absent["n"], absent["mean"], absent["median"]) == ("6", "0", "", "")
    assert {row["dice"] for row in table(tmp_path / "out", "scores", structure="corpus_callosum")} == {""}


@pytest.fixture
def inventing(tmp_path: Path) -> list[str]:
    """Reference, and arms: six of eight have no cerebellum; `good` leaves it empty, `bad` invents it in all of them."""
    without = {f"c{n}": head(4, cerebellum=n >= 6) for n in range(8)}
    reference, good = (write_set(tmp_path / name, without) for name in ("reference", "good"))
    bad = write_set(tmp_path / "bad", dict.fromkeys(without, head(4)))
    return [str(reference), f"good={good}", f"bad={bad}"]


def test_an_invented_structure_counts_against_the_arm_that_left_it_empty(tmp_path: Path, inventing: list[str]) -> None:
    judged(tmp_path / "out", Path(inventing[0]), inventing[1:])
    rows = {row["metric"]: row for row in table(tmp_path / "out", "comparisons", structure="cerebellum")}
    far, volume = np.linalg.norm([20, 36, 8]), 4 * 4 * 4 / 1000
    differences = {"dice": -6 / 8, "surface_dice": -6 / 8, "hd95_mm": far * 6 / 8, "assd_mm": far * 6 / 8}
    for metric, difference in (differences | {"volume_absolute_error_ml": volume * 6 / 8}).items():
        row = rows[metric]
        assert (row["subjects"], row["better"], row["worse"]) == ("8", "0", "6"), metric
        assert float(row["difference"]) == pytest.approx(difference)
        assert float(row["p"]) == pytest.approx(2 / 2**6)
    summed = {row["arm"]: row for row in table(tmp_path / "out", "summary", structure="cerebellum", metric="dice")}
    assert [summed[arm]["n"] for arm in ("good", "bad")] == ["8", "8"], "both means are over the same people"
    assert [float(summed[arm]["mean"]) for arm in ("good", "bad")] == [1, 2 / 8]
    assert (summed["good"]["both_empty"], summed["bad"]["false_positive"]) == ("6", "6")
    agreed = {row["arm"]: row for row in table(tmp_path / "out", "agreement", structure="cerebellum")}
    assert [(agreed[arm]["n"], agreed[arm]["subjects"]) for arm in ("good", "bad")] == [("8", "8")] * 2
    assert [float(agreed[arm]["mae"]) for arm in ("good", "bad")] == pytest.approx([0, volume * 6 / 8])
    raw = table(tmp_path / "out", "scores", structure="cerebellum", arm="good", case="c0")
    assert (raw[0]["state"], raw[0]["dice"], raw[0]["hd95_mm"]) == ("both_empty", "", "")
    absent = table(tmp_path / "out", "comparisons", structure="corpus_callosum", metric="dice")[0]
    assert (absent["subjects"], absent["difference"], absent["p"]) == ("0", "", "")


def test_a_structure_only_a_third_arm_invents_stays_out_of_a_pair(tmp_path: Path, inventing: list[str]) -> None:
    reference, good, bad = inventing
    judged(tmp_path / "out", Path(reference), [good, good.replace("good=", "same="), bad])
    rows = table(tmp_path / "out", "comparisons", structure="cerebellum", metric="dice")
    assert {row["arm"]: row["subjects"] for row in rows} == {"same": "2", "bad": "8"}
    assert {row["n"] for row in table(tmp_path / "out", "summary", structure="cerebellum", metric="dice")} == {"8"}


def test_one_training_that_invents_does_not_make_the_others_fail(tmp_path: Path, inventing: list[str]) -> None:
    reference, good, bad = inventing
    write_set(tmp_path / "again", {f"c{n}": head(4, cerebellum=n >= 6) for n in range(8)})
    judged(tmp_path / "out", Path(reference), [good, f"good={tmp_path / 'again'}", bad.replace("bad=", "good=")])
    row = table(tmp_path / "out", "summary", structure="cerebellum", metric="dice")[0]
    assert float(row["mean"]) == pytest.approx((6 * 2 / 3 + 2) / 8)
    assert (float(row["run_lowest"]), float(row["run_highest"])) == (2 / 8, 1)
    agreed = table(tmp_path / "out", "agreement", structure="cerebellum")[0]
    assert float(agreed["mae"]) == pytest.approx(6 * 4**3 / 1000 / 3 / 8)


def test_a_missing_file_did_not_rightly_leave_a_structure_empty(tmp_path: Path, inventing: list[str]) -> None:
    reference, good, bad = inventing
    (tmp_path / "good" / "c0_dseg.nii.gz").unlink()
    judged(tmp_path / "out", Path(reference), [good, bad])
    row = table(tmp_path / "out", "summary", structure="cerebellum", metric="dice", arm="good")[0]
    assert (float(row["mean"]), row["n"], row["no_prediction"]) == (7 / 8, "8", "1")
    compared = table(tmp_path / "out", "comparisons", structure="cerebellum", metric="hd95_mm")[0]
    assert (compared["subjects"], compared["better"], compared["worse"]) == ("8", "0", "5")


def test_a_missing_prediction_is_a_missed_case_and_named(reference: Path, tmp_path: Path) -> None:
    predicted = shifted(tmp_path / "a", 0)
    (predicted / "c5_dseg.nii.gz").unlink()
    record = judged(tmp_path / "out", reference, [f"one={predicted}"])
    assert record.counts() == {"done": 5, "rejected": 0, "failed": 1}
    assert record.content["cases"]["one/1/c5"]["outcome"] == "failed"
    summary = table(tmp_path / "out", "summary", structure="ventricles", metric="dice")[0]
    assert float(summary["mean"]) == pytest.approx(5 / 6)
    assert (summary["missed"], summary["no_prediction"]) == ("1", "1")
    agreed = table(tmp_path / "out", "agreement", structure="ventricles")[0]
    assert float(agreed["mae"]) == pytest.approx(5 * 36 / 1000 / 6)
    content = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    assert content["provenance"]["without_prediction"] == ["one/1/c5"]


def test_a_prediction_of_nothing_counts_and_a_reference_of_nothing_is_refused(reference: Path, tmp_path: Path) -> None:
    predicted = shifted(tmp_path / "a", 0, c5=np.zeros(SHAPE, np.uint8))
    record = judged(tmp_path / "out", reference, [f"one={predicted}"])
    assert record.counts()["failed"] == 0
    assert table(tmp_path / "out", "summary", structure="ventricles", metric="dice")[0]["missed"] == "1"
    write_set(reference, {f"c{n}": head(n) for n in range(4, 9)} | {"c9": np.zeros(SHAPE, np.uint8)})
    with pytest.raises(InputError, match="only background"):
        judged(tmp_path / "out2", reference, [f"one={predicted}"])


def test_a_reference_file_that_is_not_there_is_named(reference: Path, tmp_path: Path) -> None:
    predicted = shifted(tmp_path / "a", 0)
    (reference / "c5_dseg.nii.gz").unlink()
    with pytest.raises(InputError, match=r"could not be judged.*reference/c5_dseg"):
        judged(tmp_path / "out", reference, [f"one={predicted}"])


def test_grids_that_differ_stop_the_evaluation_with_both_files(reference: Path, tmp_path: Path) -> None:
    predicted = shifted(tmp_path / "a", 0)
    for array, affine, word in ((head(5)[1:], AFFINE, "shapes"), (head(5), np.diag([1.0, 2.1, 0.5, 1]), "mm apart")):
        write_labels(predicted / "c5_dseg.nii.gz", Volume(array, affine))
        with pytest.raises(InputError, match=word) as caught:
            judged(tmp_path / f"out-{word}", reference, [f"one={predicted}"])
        assert "reference/c5_dseg" in str(caught.value)
        assert "a/c5_dseg" in str(caught.value)
        assert not (tmp_path / f"out-{word}" / "summary.csv").exists()


def test_another_orientation_of_the_same_grid_is_the_same(reference: Path, tmp_path: Path) -> None:
    predicted = shifted(tmp_path / "a", 1)
    flipped = AFFINE @ np.array([[-1, 0, 0, SHAPE[0] - 1], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]])
    write_labels(predicted / "c5_dseg.nii.gz", Volume(np.ascontiguousarray(head(5, 1)[::-1]), flipped))
    judged(tmp_path / "out", reference, [f"one={predicted}"])
    row = table(tmp_path / "out", "scores", structure="ventricles", case="c5")[0]
    assert float(row["dice"]) == pytest.approx(4 / 5)


def test_predictions_in_another_scheme_are_remapped_by_its_table(reference: Path, tmp_path: Path) -> None:
    feta = {f"c{n}": np.array([0, 3, 4, 5], np.uint8)[head(n, 1)] for n in range(4, 10)}
    predicted = write_set(tmp_path / "a", feta, scheme="feta")
    judged(tmp_path / "out", reference, [f"one={predicted}"])
    plain = judged(tmp_path / "out2", reference, [f"one={shifted(tmp_path / 'b', 1)}"])
    assert plain.counts()["done"] == 6
    assert table(tmp_path / "out", "scores") == table(tmp_path / "out2", "scores")
    judged(tmp_path / "out3", reference, [f"one={predicted}"], scheme="feta", structures=("ventricles",))
    assert {row["structure"] for row in table(tmp_path / "out3", "scores")} == {"ventricles"}
    with pytest.raises(ConfigError, match="has tables to"):
        judged(tmp_path / "out4", reference, [f"one={predicted}"], scheme="aseg")


def test_trainings_are_averaged_within_a_case_and_their_spread_is_told(reference: Path, tmp_path: Path) -> None:
    arms = [f"one={shifted(tmp_path / f'a{shift}', shift)}" for shift in (0, 1, 2)]
    judged(tmp_path / "out", reference, arms)
    row = table(tmp_path / "out", "summary", structure="ventricles", metric="dice")[0]
    dice = np.array([[(n - shift) / n for shift in (0, 1, 2)] for n in range(4, 10)])
    assert float(row["mean"]) == pytest.approx(dice.mean())
    assert float(row["sd"]) == pytest.approx(dice.mean(axis=1).std(ddof=1))
    assert float(row["run_sd"]) == pytest.approx(dice.mean(axis=0).std(ddof=1))
    assert (row["n"], row["runs"], row["both"]) == ("6", "3", "18")


def test_a_subject_with_several_cases_counts_once(reference: Path, tmp_path: Path) -> None:
    owners = {f"c{n}": "twice" if n < 6 else f"p{n}" for n in range(4, 10)}
    write_set(reference, {f"c{n}": head(n) for n in range(4, 10)}, subject=owners)
    judged(tmp_path / "out", reference, [f"one={shifted(tmp_path / 'a', 1)}"])
    row = table(tmp_path / "out", "summary", structure="ventricles", metric="dice")[0]
    dice = [(n - 1) / n for n in range(4, 10)]
    assert float(row["mean"]) == pytest.approx(np.mean([np.mean(dice[:2]), *dice[2:]]))
    assert (row["subjects"], row["cases"], row["n"]) == ("5", "6", "5")
    predicted = shifted(tmp_path / "b", 0, c4=head(6), c5=head(6))
    judged(tmp_path / "out2", reference, [f"one={predicted}"])
    agreed = table(tmp_path / "out2", "agreement", structure="ventricles")[0]
    summed = table(tmp_path / "out2", "summary", structure="ventricles", metric="volume_absolute_error_ml")[0]
    assert [float(agreed[key]) for key in ("mae", "mae_low", "mae_high")] == pytest.approx(
        [float(summed[key]) for key in ("mean", "mean_low", "mean_high")]
    )
    assert (agreed["n"], agreed["subjects"]) == ("6", "5")


def test_arms_are_compared_pair_by_pair(reference: Path, tmp_path: Path) -> None:
    arms = [f"bad={shifted(tmp_path / 'a', 3)}", f"good={shifted(tmp_path / 'b', 1)}"]
    judged(tmp_path / "out", reference, arms, structures=("ventricles", "cerebellum"))
    rows = {(row["structure"], row["metric"]): row for row in table(tmp_path / "out", "comparisons")}
    dice = rows["ventricles", "dice"]
    gain = [2 / n for n in range(4, 10)]
    assert float(dice["difference"]) == pytest.approx(np.mean(gain))
    assert float(dice["p"]) == pytest.approx(stats.wilcoxon(gain).pvalue) == pytest.approx(2 / 2**6)
    assert float(dice["p_adjusted"]) == pytest.approx(float(dice["p"]))  # the cerebellum is alike, nothing to test
    assert {row["family"] for row in rows.values()} == {"1", "0"}, "absolute volume errors are alike everywhere"
    assert dice["family"] == rows["cerebellum", "dice"]["family"] == "1"
    assert (dice["arm"], dice["baseline"], dice["better"], dice["worse"], dice["effect_size"]) == (
        "good", "bad", "6", "0", "1.0",
    )  # fmt: skip
    assert rows["ventricles", "hd95_mm"]["effect_size"] == "-1.0"
    assert rows["ventricles", "hd95_mm"]["better"] == "6"
    assert rows["cerebellum", "dice"]["p"] == ""
    assert "no p below 0.05" in rows["cerebellum", "dice"]["note"]
    assert {row["metric"] for row in rows.values()}.isdisjoint({"volume_error_ml"})


def test_subgroups_by_age_severity_and_volume(reference: Path, tmp_path: Path) -> None:
    judged(
        tmp_path / "out", reference, [f"one={shifted(tmp_path / 'a', 1)}"],
        subgroups=("age=22,24", "severity"), above=("ventricles=0.25",), structures=("ventricles",),
    )  # fmt: skip
    content = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    assert content["provenance"]["subgroups"] == {
        "all": [f"c{n}" for n in range(4, 10)],
        "age_weeks < 22": ["c4", "c5"], "22 <= age_weeks < 24": ["c6", "c7"], "age_weeks >= 24": ["c8", "c9"],
        "atrial_width_mm < 10.5": ["c4", "c5", "c6"], "atrial_width_mm >= 10.5": ["c7", "c8", "c9"],
        "ventricles mL < 0.25": ["c4", "c5", "c6"], "ventricles mL >= 0.25": ["c7", "c8", "c9"],
    }  # fmt: skip
    row = table(tmp_path / "out", "summary", subgroup="age_weeks >= 24", metric="dice")[0]
    assert float(row["mean"]) == pytest.approx(np.mean([7 / 8, 8 / 9]))
    assert len(table(tmp_path / "out", "agreement")) == 8
    for wrong in ({"subgroups": ("charm",)}, {"above": ("ventricles",)}, {"subgroups": ("age=3,2",)},
                  {"above": ("head=2",)}, {"structures": ("nose",)}, {"baseline": "two"}):  # fmt: skip
        with pytest.raises((ConfigError, InputError)):
            judged(tmp_path / "wrong", reference, [f"one={tmp_path / 'a'}"], **wrong)


def test_subgroups_of_a_flat_folder(reference: Path, tmp_path: Path) -> None:
    predicted, out = [f"one={shifted(tmp_path / 'a', 1)}"], tmp_path / "out"
    (reference / "cases.csv").unlink()
    people = reference / "participants.tsv"
    rows = [f"c{n}\t{20 + n}\t{'spina bifida' if n < 6 else 'n/a'}" for n in range(4, 10)]
    people.write_text("\n".join(["participant_id\tga_weeks\tpathology", *rows]))
    judged(out, reference, predicted, scheme="kcl8", subgroups=("pathology", "age=26"))
    groups = json.loads((out / "evaluation.json").read_text())["provenance"]["subgroups"]
    assert groups["pathology = spina bifida"] == ["c4", "c5"]
    assert groups["pathology = none"] == ["c6", "c7", "c8", "c9"]
    assert groups["age_weeks < 26"] == ["c4", "c5"]
    people.write_text("\n".join(["participant_id\tga_weeks\tpathology", "c4\tn/a\t", *rows[1:]]))
    with pytest.raises(ConfigError, match=r"age_weeks of every reference case.* 'c4' \(.*c4_dseg.*\)\. Add"):
        judged(tmp_path / "out2", reference, predicted, scheme="kcl8", subgroups=("age",))
    people.unlink()
    for wish in ("pathology", "age", "severity"):
        with pytest.raises(ConfigError, match=f"--subgroup {wish}: .*found it in none"):
            judged(tmp_path / "out2", reference, predicted, scheme="kcl8", subgroups=(wish,))


def test_a_severity_of_some_cases_or_of_two_kinds_divides_nothing(tmp_path: Path) -> None:
    maps = {f"c{n}": head(n) for n in range(4, 8)}
    both = {name: {"atrial_width_mm": 8.0, "volume_ml": float(name[1])} for name in maps}
    reference = write_set(tmp_path / "reference", maps, severity=both)
    predicted = [f"one={reference}"]
    with pytest.raises(ConfigError, match="one measurement, found atrial_width_mm, volume_ml"):
        judged(tmp_path / "out", reference, predicted, subgroups=("severity",))
    judged(tmp_path / "out", reference, predicted, subgroups=("severity.volume_ml=6",))
    groups = json.loads((tmp_path / "out" / "evaluation.json").read_text())["provenance"]["subgroups"]
    assert groups["volume_ml < 6"] == ["c4", "c5"]
    write_set(reference, maps, severity=both | {"c5": {"atrial_width_mm": 9.0}})
    with pytest.raises(ConfigError, match=r"volume_ml of every reference case, found none of 'c5'"):
        judged(tmp_path / "out2", reference, predicted, subgroups=("volume_ml",))


def test_folds_together_are_one_run(reference: Path, tmp_path: Path) -> None:
    first = write_set(tmp_path / "f1", {f"c{n}": head(n, 1) for n in (4, 5, 6)})
    second = write_set(tmp_path / "f2", {f"c{n}": head(n, 1) for n in (7, 8, 9)})
    record = judged(tmp_path / "out", reference, [f"cv={first},{second}"])
    assert record.counts()["done"] == 6
    assert {row["run"] for row in table(tmp_path / "out", "scores")} == {"1"}
    with pytest.raises(InputError, match="'c4' is predicted in"):
        judged(tmp_path / "out2", reference, [f"cv={first},{first}"])


def test_a_folder_is_one_training_of_an_arm(reference: Path, tmp_path: Path) -> None:
    folder, other = shifted(tmp_path / "a", 1), write_set(tmp_path / "b", {"c4": head(4)})
    table_of = write_set(tmp_path / "c", {f"c{n}": head(n) for n in range(5, 10)}) / "cases.csv"
    again = tmp_path / "b" / ".." / "a"
    for first, second in (
        (folder, folder),
        (folder, again),
        (folder, folder / "cases.csv"),
        (table_of.parent, f"{other},{table_of}"),
    ):
        with pytest.raises(ConfigError, match=r"another training of arm 'one', found .* again"):
            judged(tmp_path / "out", reference, [f"one={first}", f"one={second}"])
    judged(tmp_path / "out", reference, [f"one={folder}", f"same={folder}"])


def test_predictions_without_table_and_wrong_words(reference: Path, tmp_path: Path) -> None:
    folder = shifted(tmp_path / "a", 1)
    (folder / "cases.csv").unlink()
    for path in folder.glob("*_dseg.nii.gz"):
        path.rename(folder / path.name.replace("_dseg", ""))
    judged(tmp_path / "out", reference, [f"one={folder}"], scheme="kcl8")
    assert len(table(tmp_path / "out", "scores", structure="ventricles", state="both")) == 6
    other = write_set(tmp_path / "b", {"stranger": head(4)})
    for predicted, message in {
        (): "--predicted", ("one",): "NAME=FOLDER", (f"={folder}",): "NAME=FOLDER",
        (f"one={tmp_path / 'nowhere'}",): "no such", (f"one={other}",): "reference cases",
    }.items():  # fmt: skip
        with pytest.raises((ConfigError, InputError), match=message):
            judged(tmp_path / "wrong", reference, list(predicted), scheme="kcl8")


def test_a_second_call_and_a_second_run_give_the_same_tables(reference: Path, tmp_path: Path) -> None:
    arms = [f"one={shifted(tmp_path / 'a', 1)}", f"two={shifted(tmp_path / 'b', 2)}"]
    judged(tmp_path / "out", reference, arms)
    before = {path.name: path.read_bytes() for path in (tmp_path / "out").glob("*.csv")}
    judged(tmp_path / "out", reference, arms)
    judged(tmp_path / "again", reference, arms)
    assert before == {path.name: path.read_bytes() for path in (tmp_path / "out").glob("*.csv")}
    assert before == {path.name: path.read_bytes() for path in (tmp_path / "again").glob("*.csv")}
    assert len(before) == 4


def test_a_second_call_sees_that_a_prediction_has_gone_or_lies_elsewhere(reference: Path, tmp_path: Path) -> None:
    predicted, out = shifted(tmp_path / "a", 1), tmp_path / "out"
    judged(out, reference, [f"one={predicted}"])
    gone = predicted / "c5_dseg.nii.gz"
    gone.unlink()
    record = judged(out, reference, [f"one={predicted}"])
    assert record.counts() == {"done": 5, "rejected": 0, "failed": 1}
    row = table(out, "scores", structure="ventricles", case="c5")[0]
    assert (row["state"], row["dice"], row["predicted"]) == ("missed", "0.0", "false")
    provenance = json.loads((out / "evaluation.json").read_text())["provenance"]
    assert str(gone.resolve()) not in provenance["inputs"]
    assert len(provenance["inputs"]) == 11
    cases = [case for case in read_cases(predicted / "cases.csv") if case.case != "c5"]
    write_labels(tmp_path / "elsewhere.nii.gz", Volume(head(5), AFFINE))
    moved = Case(case="c5", subject="x", scheme="kcl8", labels=tmp_path / "elsewhere.nii.gz")
    write_cases(predicted / "cases.csv", [*cases, moved])
    assert judged(out, reference, [f"one={predicted}"]).counts()["done"] == 6
    assert table(out, "scores", structure="ventricles", case="c5")[0]["dice"] == "1.0"
    write_labels(tmp_path / "third.nii.gz", Volume(head(5, 1), AFFINE))
    write_cases(predicted / "cases.csv", [*cases, moved.model_copy(update={"labels": tmp_path / "third.nii.gz"})])
    judged(out, reference, [f"one={predicted}"])
    assert float(table(out, "scores", structure="ventricles", case="c5")[0]["dice"]) == pytest.approx(4 / 5)
    write_labels(predicted / "c4_dseg.nii.gz", Volume(head(4), AFFINE))
    with pytest.raises(ConfigError, match=r"c4_dseg\.nii\.gz has changed since"):
        judged(out, reference, [f"one={predicted}"])
