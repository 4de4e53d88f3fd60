"""Exports: the answers that stand, joined with the truth, to the byte the same each time."""

import csv
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from reader_served import Served

from pathosynth.cli import app
from pathosynth.reader.analysis.report import analyse_file
from pathosynth.reader.analysis.settings import Settings
from pathosynth.reader.export import export
from pathosynth.reader.folder import open_truth


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.fixture
def read_study(served: Served) -> Served:
    """R1 has read training and one block, and changed his mind now and then; R2 began."""
    browser = served.browser("R1")
    for number in range(8):
        slot = browser.current()
        browser.answer(slot, "artefacts", ["noise", "blur"])
        browser.answer(slot, "comment", "=1+1\tand\nmore" if number == 3 else "")
        if number == 4:
            browser.undo(slot)
            browser.undo(slot)
        browser.rate(slot, str(number % 4))
    other = served.browser("R2")
    other.answer(other.current(), "quality", "0")
    return served


def test_the_long_table_says_who_saw_what(read_study: Served, tmp_path: Path) -> None:
    """Against what was sent, worked out from the plan and the truth."""
    served, truth = read_study, open_truth(read_study.opened, None)
    facts = export(served.opened, truth, "", tmp_path / "out")
    rows = list(csv.DictReader((tmp_path / "out" / "ratings.csv").open(newline="")))
    assert list(rows[0])[:6] == ["reader", "case", "arm", "question", "repeat", "value"]
    assert facts["ratings"] == len(rows)
    block = served.opened.plan.readers[0][1]
    seen: list[str] = []
    for number, slot in enumerate(block.slots, start=2):
        image = truth.images[slot.file]
        mine = {row["question"]: row for row in rows if row["position"] == str(number) and row["reader"] == "R1"}
        wanted = {"quality": str(number % 4), "diagnostic": str(number % 4), "origin": "real-sure"}
        wanted["artefacts"] = "" if number == 4 else "noise;blur"
        if number == 3:
            wanted["comment"] = "'=1+1\tand\nmore"
        assert {question: row["value"] for question, row in mine.items()} == wanted
        assert {(row["case"], row["arm"], row["image_origin"]) for row in mine.values()} == {
            (image.case, image.arm, image.origin)
        }
        assert {row["repeat"] for row in mine.values()} == {str(seen.count(slot.file))}
        seen.append(slot.file)
    assert {row["position"] for row in rows} == {str(n) for n in range(2, 8)}
    taught = pd.read_csv(tmp_path / "out" / "training.csv")
    assert sorted(set(taught.reader)) == ["R1", "R2"]
    assert set(taught[taught.reader == "R2"].complete) == {0}


def test_the_same_answers_are_the_same_bytes(read_study: Served, tmp_path: Path) -> None:
    served, truth = read_study, open_truth(read_study.opened, None)
    for name in ("a", "b", "a"):
        export(served.opened, truth, "", tmp_path / name)
    assert files(tmp_path / "a") == files(tmp_path / "b")
    served.browser("R1")
    served.store.close()
    export(served.opened, truth, "", tmp_path / "b")
    assert files(tmp_path / "a") == files(tmp_path / "b")


def test_json_holds_every_row_and_every_sign(read_study: Served, tmp_path: Path) -> None:
    export(read_study.opened, open_truth(read_study.opened, None), "", tmp_path / "out")
    content = json.loads((tmp_path / "out" / "ratings.json").read_text())
    assert len(content["log"]) == 8 * 6 + 2 + 1
    assert content["log"][-1]["sha256"] == content["head_sha256"]
    assert [one["value"] for one in content["ratings"] if one["question"] == "comment"] == ["=1+1\tand\nmore"]


def test_the_phenotype_is_bids(read_study: Served, tmp_path: Path) -> None:
    export(read_study.opened, open_truth(read_study.opened, None), "", tmp_path / "out")
    ratings = pd.read_csv(tmp_path / "out" / "ratings.csv", dtype=str)
    table = pd.read_csv(tmp_path / "out" / "bids" / "phenotype" / "reader_R1.tsv", sep="\t", dtype=str)
    meaning = json.loads((tmp_path / "out" / "bids" / "phenotype" / "reader_R1.json").read_text())
    assert set(table.columns[1:]) < set(meaning)
    assert sorted(table.case) == sorted(set(ratings.case))
    assert table.quality_repeat.notna().sum() == 1
    assert meaning["quality"]["Levels"] == {"0": "unusable", "1": "poor", "2": "good", "3": "excellent"}
    for row in ratings[ratings.question == "quality"].itertuples():
        (found,) = table[table.case == row.case][f"quality{'_repeat' if row.repeat == '1' else ''}"]
        assert found == row.value
    validator = shutil.which("bids-validator-deno", path=Path(sys.executable).parent)
    if validator is None:
        pytest.skip("bids-validator-deno is not installed beside this Python")
    call = [validator, str(tmp_path / "out" / "bids"), "--format", "json"]
    told = json.loads(subprocess.run(call, capture_output=True, text=True, timeout=300, check=False).stdout)
    assert [issue for issue in told["issues"]["issues"] if issue.get("severity", "error") == "error"] == []


def test_commands_from_the_study_file_to_the_tables(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """init, invite, status and export as a user calls them; wrong use is one message and exit code 2."""
    from reader_toy import write_toy
    from typer.testing import CliRunner

    run = CliRunner()
    study, folder = str(write_toy(tmp_path / "m", each=12, size=10)), str(tmp_path / "study")

    def call(*words: str) -> tuple[int, str]:
        result = run.invoke(app, ["reader", *words])
        return result.exit_code, result.output

    assert call("init", study, "-o", folder)[0] == 0
    assert call("init", study, "-o", folder)[0] == 2
    code, link = call("invite", folder, "--name", "R1", "--url", "http://here:1/")
    assert code == 0
    assert link.startswith("http://here:1/login#")
    for words in (("invite", folder, "--name", "R1", "--role", "admin"), ("invite", folder, "--name", "../x"),
                  ("invite", folder, "--name", "X", "--role", "king"), ("status", folder),
                  ("export", folder, "-o", str(tmp_path / "out")), ("serve", folder, "--host", "0.0.0.0")):  # fmt: skip
        code, told = call(*words)
        assert code == 2, words
        assert "Traceback" not in told
    for name in ("R2", "R3"):
        assert call("invite", folder, "--name", name)[0] == 0
    assert "more readers" in call("invite", folder, "--name", "R4")[1]
    assert call("invite", folder, "--name", "R2")[0] == 0


def test_an_export_can_be_analysed_as_it_is(read_study: Served, tmp_path: Path) -> None:
    """Every question is taken for what it is, and the counts are those of what was sent."""
    from typer.testing import CliRunner

    export(read_study.opened, open_truth(read_study.opened, None), "", tmp_path / "out")
    told = tmp_path / "told.json"
    words = [
        "reader",
        "analyse",
        str(tmp_path / "out" / "ratings.csv"),
        "--json",
        str(told),
        "-o",
        str(tmp_path / "page"),
    ]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    content = json.loads(told.read_text(), parse_constant=lambda name: pytest.fail(f"{name} in the JSON"))
    kinds = {name: one["kind"] for name, one in content["questions"].items()}
    assert kinds == {
        "quality": "graded", "diagnostic": "graded", "origin": "detection", "artefacts": "ticks", "comment": "text"
    }  # fmt: skip
    quality, origin = content["questions"]["quality"], content["questions"]["origin"]
    assert (quality["ratings"], quality["cases"], quality["arms"]) == (5, 5, {"scanner": 2, "model": 3})
    assert origin["detection"]["real"] == "scanner"
    accuracy = origin["detection"]["readers"]["R1"]["accuracy"]
    assert (accuracy["value"], accuracy["cases"]) == (pytest.approx(2 / 5), 5), "all five were called real, two are"
    assert "scanner" in next((tmp_path / "page").glob("*.html")).read_text()


def test_images_without_a_tick_count_in_the_share_of_images_with_one(
    toy: Path, serve: Callable[..., Served], tmp_path: Path
) -> None:
    """Of five images one had noise, one box was ticked and unticked, and the others were never touched: 1 of 5."""
    served = serve(toy)
    browser = served.browser("R1")
    for number in range(8):
        slot = browser.current()
        if number in (2, 3):
            browser.answer(slot, "artefacts", ["noise"])
        if number == 3:
            browser.answer(slot, "artefacts", [])
        browser.rate(slot, str(number % 4))
    export(served.opened, open_truth(served.opened, None), "", tmp_path / "out")
    rows = list(csv.DictReader((tmp_path / "out" / "ratings.csv").open(newline="")))
    ticks = [row for row in rows if row["question"] == "artefacts"]
    assert [row["value"] for row in ticks] == ["noise", *[""] * 5]
    assert {row["complete"] for row in ticks} == {"1"}
    found = analyse_file(tmp_path / "out" / "ratings.csv", Settings()).content
    one = found["questions"]["artefacts"]
    assert one["kind"] == "ticks", "although nobody ticked two boxes of an image"
    assert list(one["options"]) == ["motion", "steps", "noise", "blur", "anatomy"]
    assert one["options"]["motion"]["share_ticked"]["model"].value == 0
    assert (one["cases"], one["ratings"], one["missing"]) == (5, 5, 0)
    shares = one["options"]["noise"]["share_ticked"]
    assert sum(shares[arm].value * cases for arm, cases in one["arms"].items()) == pytest.approx(1)
