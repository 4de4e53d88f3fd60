"""The export for iMRMC: read back by its rules, it gives the AUCs of our own analysis."""

from pathlib import Path

import numpy as np
import pytest
from reader_served import Served

from pathosynth.reader.analysis.kinds import CONFIDENCE
from pathosynth.reader.analysis.report import analyse_file
from pathosynth.reader.analysis.settings import Settings
from pathosynth.reader.export import export
from pathosynth.reader.folder import Truth, open_truth
from pathosynth.reader.imrmc import detection_scale, imrmc_text
from pathosynth.reader.results import Rating
from pathosynth.reader.study import DEFAULT_QUESTIONS, Question

ORIGIN = next(question for question in DEFAULT_QUESTIONS if question.id == "origin")
Scores = dict[tuple[str, str, str], float]


def read_imrmc(text: str) -> tuple[dict[str, int], Scores]:
    """Truth and scores, refusing what iMRMC's InputFile refuses; blanks are dropped and the sizes must be right."""
    lines = text.rstrip("\n").split("\n")
    begin = next(place for place, line in enumerate(lines) if line.upper().startswith("BEGIN DATA:"))
    sizes = {
        line[:2]: int(line[3:])
        for line in lines[:begin]
        if any(key in line.upper() for key in ("N0:", "N1:", "NR:", "NM:"))
    }
    truth: dict[str, int] = {}
    scores: Scores = {}
    for line in lines[begin + 1 :]:
        reader, case, modality, score = ("".join(cell.split()) for cell in line.split(","))
        if reader == "-1":
            assert case not in truth
            truth[case] = int(score)
        else:
            assert (reader, case, modality) not in scores
            scores[reader, case, modality] = float(score)
    assert {case for _, case, _ in scores} <= set(truth)
    found = [{key[place] for key in scores} for place in (0, 2)]
    ones = sum(truth.values())
    assert sizes == {"NR": len(found[0]), "NM": len(found[1]), "N0": len(truth) - ones, "N1": ones}
    return truth, scores


def auc(truth: dict[str, int], scores: Scores, reader: str, modality: str) -> float:
    """Share of pairs in the right order, half of the ties."""
    mine = [(truth[case], score) for (who, case, how), score in scores.items() if (who, how) == (reader, modality)]
    zero, one = (np.array([score for kind, score in mine if kind == wanted]) for wanted in (0, 1))
    return float(np.mean((one[:, None] > zero) + 0.5 * (one[:, None] == zero)))


def test_an_export_gives_the_same_aucs(served: Served, tmp_path: Path) -> None:
    """Two readers of other opinions, over training, a block and its hidden repeat."""
    for reader, stride in (("R1", 1), ("R2", 3)):
        browser = served.browser(reader)
        for number in range(8):
            slot = browser.current()
            for question in ("quality", "diagnostic"):
                browser.answer(slot, question, "2")
            browser.answer(slot, "origin", CONFIDENCE[number * stride % 4])
            browser.complete(slot)
    export(served.opened, open_truth(served.opened, None), "", tmp_path / "out")
    (written,) = (tmp_path / "out").glob("*.imrmc")
    truth, scores = read_imrmc(written.read_text())
    told = analyse_file(tmp_path / "out" / "ratings.csv", Settings()).as_json()["questions"]["origin"]["detection"][
        "readers"
    ]
    for reader in ("R1", "R2"):
        assert auc(truth, scores, reader, "model") == pytest.approx(told[reader]["auc"]["value"])
    assert told["R1"]["auc"]["value"] != told["R2"]["auc"]["value"]


def rated(case: str, arm: str, value: str, repeat: int = 0) -> Rating:
    truth = Truth(
        case=case, subject=case, arm=arm, origin="real" if arm == "mri" else "synthetic", source="", sha256=""
    )
    return Rating("R1", truth, "origin", repeat, value, 1, "", 0, "block 1", training=False, complete=True)


def test_every_synthetic_arm_is_a_modality_with_all_real_cases() -> None:
    ratings = [
        rated("a b", "mri", "real-sure"),
        rated("a,b", "mri", "real-unsure"),
        rated("c", "one", "synthetic-sure"),
        rated("d", "two", "synthetic-unsure"),
        rated("c", "one", "real-sure", repeat=1),
    ]
    truth, scores = read_imrmc(imrmc_text(ORIGIN, ratings))
    assert sorted(truth.values()) == [0, 0, 1, 1]
    assert sorted((modality, score) for (_, _, modality), score in scores.items()) == [
        ("one", 0), ("one", 1), ("one", 3), ("two", 0), ("two", 1), ("two", 2),
    ]  # fmt: skip


def test_only_what_asks_real_or_synthetic_is_written() -> None:
    def asking(*values: str) -> Question:
        options = [{"value": value, "label": "x"} for value in values]
        return Question.model_validate({"id": "q", "kind": "choice", "prompt": "?", "options": options})

    assert [question.id for question in DEFAULT_QUESTIONS if detection_scale(question)] == ["origin"]
    assert detection_scale(asking("Real", "Synthetic")) == ("real", "synthetic")
    assert detection_scale(asking("Real_sure", "Synthetic_sure")) == CONFIDENCE
    assert detection_scale(asking("real", "fake")) == ()
