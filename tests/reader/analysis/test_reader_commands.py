"""The commands: ratings in, JSON, page and tables out; plans; and what wrong use is told."""

import csv
import itertools
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score
from typer.testing import CliRunner, Result
from van_dyke import MODALITIES, POSITIVE, RATINGS

from pathosynth.cli import app

HEADER = "reader,case,arm,question,repeat,value"
KEYS = (
    "icc1", "icc2", "icc3", "icc1k", "icc2k", "icc3k", "alpha_nominal", "alpha_ordinal", "alpha_interval",
    "alpha_ratio", "fleiss_kappa", "weighted_kappa",
)  # fmt: skip
SHROUT_FLEISS = ((9, 2, 5, 8), (6, 1, 3, 2), (8, 4, 6, 8), (7, 1, 2, 6), (10, 5, 6, 9), (6, 2, 4, 7))


def call(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["reader", *map(str, arguments)])


def write(path: Path, rows: list[str], header: str = HEADER) -> Path:
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three readers, two synthetic arms, four questions, repeats, and a comment that is a script."""
    rng = np.random.default_rng(4)
    levels = ("real-sure", "real-unsure", "synthetic-unsure", "synthetic-sure")
    rows = []
    for arm, shift in (("real", 0.0), ("one", 0.5), ("two", 1.2)):
        for i in range(12):
            seen = rng.normal()
            for reader in ("ada", "ben", "cyd"):
                for repeat in range(2 if i < 3 else 1):
                    grade, doubt = np.digitize(seen - shift + rng.normal(size=2), [-1, 0, 1])
                    at = f"{reader},{arm}{i},{arm}"
                    rows += [f"{at},quality,{repeat},{grade}", f"{at},origin,{repeat},{levels[3 - doubt]}"]
                    ticked = "motion,noise" if doubt < 1 else "noise" if i % 2 else ""
                    rows.append(f'{at},artefacts,{repeat},"{ticked}"')
        rows.append(f'ada,{arm}0,{arm},comment,0,"<script>alert(1)</script>, at slice {arm}"')
    return write(tmp_path_factory.mktemp("study") / "ratings.csv", rows)


def test_json_names_every_statistic_with_its_interval_at_the_top(tmp_path: Path) -> None:
    rows = [f"J{j},T{i},,rating,0,{value}" for i, row in enumerate(SHROUT_FLEISS) for j, value in enumerate(row)]
    out = tmp_path / "out.json"
    result = call("analyse", write(tmp_path / "sf.csv", rows), "--json", out)
    assert result.exit_code == 0, result.output
    assert "ICC(2,1)" in result.stdout
    found = json.loads(out.read_text())
    assert [round(found[name]["value"], 3) for name in KEYS[:6]] == [0.166, 0.290, 0.715, 0.443, 0.620, 0.909]
    for name in KEYS:
        assert found[name] == found["questions"]["rating"]["agreement"][name]
        assert found[name]["low"] < found[name]["value"] < found[name]["high"]
        assert found[name]["why"] is None
    printed = call("analyse", tmp_path / "sf.csv", "--json", "-")
    assert json.loads(printed.stdout) == found


def test_a_study_becomes_a_page_tables_and_json_that_say_the_same(study: Path, tmp_path: Path) -> None:
    out = tmp_path / "report"
    result = call("analyse", study, "-o", out, "-q")
    assert (result.exit_code, result.stdout) == (0, "")
    found = json.loads((out / "analysis.json").read_text())
    assert {name: one["kind"] for name, one in found["questions"].items()} == {
        "quality": "graded", "origin": "detection", "artefacts": "ticks", "comment": "text",
    }  # fmt: skip
    assert set(KEYS).isdisjoint(found)  # several questions: each has its own
    with (out / "agreement.csv").open() as stream:
        rows = [row for row in csv.DictReader(stream) if not row["arm"] and not row["option"]]
    told = {(row["question"], row["statistic"]): row["value"] for row in rows}
    for name in ("quality", "origin"):
        for key in KEYS:
            assert float(told[name, key]) == found["questions"][name]["agreement"][key]["value"]
    origin = found["questions"]["origin"]
    assert origin["detection"]["pooled"]["auc"]["value"] == pytest.approx(
        np.mean([one["auc"]["value"] for one in origin["detection"]["readers"].values()])
    )
    assert origin["mrmc"]["arms"] == ["one", "two"]
    assert found["questions"]["quality"]["comparisons"]["two"]["effects"]["superiority"]["value"] < 0.5
    assert found["questions"]["quality"]["within_readers"]["pooled"]["percent_agreement"]["cases"] == 27


class Addresses(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.addresses: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.addresses += [value or "" for key, value in attrs if key in ("src", "href")]


def test_the_page_needs_no_network_and_runs_nothing(study: Path, tmp_path: Path) -> None:
    hostile = tmp_path / "<b>ratings.csv"
    hostile.write_text(study.read_text().replace(",two,", ",<img src=x onerror=alert(2)>,"))
    assert call("analyse", hostile, "-o", tmp_path / "out", "-q").exit_code == 0
    text = (tmp_path / "out" / "analysis.html").read_text(encoding="utf-8")
    page = Addresses(text)
    assert page.addresses
    assert all(address.startswith("data:image/png;base64,") for address in page.addresses)
    assert not page.tags & {"script", "b", "link", "iframe"}
    assert "&lt;img src=x" in text
    assert not re.search(r"\bnan\b", text, re.IGNORECASE)


def test_the_same_command_again_gives_the_same_bytes_and_another_file_is_refused(study: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    names = ("analysis.json", "analysis.html", "readers.csv", "question1_answers.png")
    assert call("analyse", study, "-o", out, "-q").exit_code == 0
    first = [(out / name).read_bytes() for name in names]
    assert call("analyse", study, "-o", out, "-q").exit_code == 0
    assert [(out / name).read_bytes() for name in names] == first
    other = write(tmp_path / "other.csv", ["a,c,real,q,0,1"])
    refused = call("analyse", other, "-o", out, "--real", "real", "--seed", 1)
    assert refused.exit_code == 2
    assert "--overwrite" in refused.stderr
    assert call("analyse", other, "-o", out, "--seed", 1, "--overwrite", "-q").exit_code == 0
    assert not (out / "readers.csv").exists() or "origin" not in (out / "readers.csv").read_text()


def test_a_truth_column_makes_arms_modalities_and_a_pilot_of_a_plan(tmp_path: Path) -> None:
    rows = [
        f"r{j},c{i},{name},dissection,0,{RATINGS[m, j, i]:g},{int(POSITIVE[i])}"
        for m, name in enumerate(MODALITIES) for j in range(5) for i in range(114)
    ]  # fmt: skip
    out = tmp_path / "vd.json"
    path = write(tmp_path / "vd.csv", rows, f"{HEADER},truth")
    assert call("analyse", path, "--truth", "truth", "--json", out, "-q").exit_code == 0
    found = json.loads(out.read_text())["questions"]["dissection"]["mrmc"]
    assert (found["f"], found["df2"], found["p"]) == pytest.approx((4.4896, 15.034, 0.051162), rel=2e-5)
    assert found["differences"][0]["difference"]["low"] == pytest.approx(-0.08785, abs=6e-6)
    plan = call("power", "mrmc", "--readers", 6, "--difference", 0.0438, "--pilot", out, "--json")
    assert json.loads(plan.stdout)["cases"] == pytest.approx(251, abs=3)


def test_plans_are_told_in_a_line_and_as_json() -> None:
    told = call("power", "icc", "--expected", 0.8, "--least", 0.6, "--readers", 3)
    assert told.exit_code == 0
    found = json.loads(call("power", "icc", "--expected", 0.8, "--least", 0.6, "--readers", 3, "--json").stdout)
    assert f"{found['cases']} cases" in told.stdout
    assert found["power"] >= 0.8
    auc = json.loads(call("power", "auc", "--expected", 0.7, "--readers", 4, "--cases", 60, "--json").stdout)
    assert 0.05 < auc["power"] < 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--kind", "quality"), "expected QUESTION=KIND"),
        (("--kind", "nosuch=graded"), "no such question"),
        (("--scale", "quality"), "expected QUESTION=GRADES"),
        (("--weights", "cubic"), "weights"),
        (("--real", "scaner"), "no such arm. "),
        (("--positive-above", "1"), "needs the truth of the cases"),
        (("--margin", "0"), "margin"),
        (("--truth", "nosuch"), "nosuch is not among those found"),
    ],
)
def test_wrong_use_is_told_in_one_message(study: Path, arguments: tuple[str, ...], said: str) -> None:
    result = call("analyse", study, *arguments)
    assert result.exit_code == 2
    assert said in result.stderr
    assert "Traceback" not in result.stderr


def test_without_an_arm_called_real_the_page_says_what_to_do(tmp_path: Path) -> None:
    rows = [f"r{j},c{i},{arm},origin,0,real" for j in range(2) for i in range(4) for arm in ("mri", "made")]
    path = write(tmp_path / "r.csv", rows)
    told = json.loads(call("analyse", path, "--json", "-").stdout)["questions"]["origin"]["detection"]
    assert "Say with --real which arm is real" in told["why"]
    named = json.loads(call("analyse", path, "--json", "-", "--real", "mri").stdout)["questions"]["origin"]["detection"]
    assert named["pooled"]["accuracy"]["value"] == 0.5


ORIGINS = f"{HEADER},image_origin"


def judged(path: Path, *more: object) -> dict[str, dict[str, Any]]:
    return json.loads(call("analyse", path, "--json", "-", *more).stdout)["questions"]


def test_several_real_arms_are_real_together(tmp_path: Path) -> None:
    """Of siteA all cases are called real, of siteB and of the model half: 3 of 4 real ones, half of the others."""
    said = {"siteA": ("real", "real"), "siteB": ("real", "synthetic"), "model": ("synthetic", "real")}
    rows = []
    for arm, words in said.items():
        origin = "synthetic" if arm == "model" else "Real"
        for i, reader in itertools.product(range(8), ("ada", "ben")):
            rows += [f"{reader},{arm}{i},{arm},origin,0,{words[i % 2]},{origin}"]
            rows += [f"{reader},{arm}{i},{arm},quality,0,{i % 2 + (arm != 'model')},{origin}"]
    path = write(tmp_path / "r.csv", rows, ORIGINS)
    found = judged(path)
    one = found["origin"]["detection"]
    assert one["real"] == "siteA + siteB"
    assert (one["pooled"]["specificity"]["value"], one["pooled"]["sensitivity"]["value"]) == (0.75, 0.5)
    compared = found["quality"]["comparisons"]
    assert {arm: own["reference"] for arm, own in compared.items()} == {"model": "siteA + siteB"}
    assert compared["model"]["effects"]["difference"]["value"] == pytest.approx(-1)
    by_hand = write(tmp_path / "h.csv", [row.rsplit(",", 1)[0] for row in rows])
    assert judged(by_hand, "--real", "sitea", "--real", "SITEB")["origin"]["detection"] == one
    alone = judged(by_hand, "--real", "siteA")["origin"]["detection"]
    assert (alone["real"], list(alone["arms"])) == ("siteA", ["siteB", "model"])


def test_real_and_synthetic_cases_of_one_arm_are_told_by_their_origin(tmp_path: Path) -> None:
    rows = [f"{reader},c{i},t2w,origin,0,{'real' if i < 6 else 'synthetic'},{'real' if i < 5 else 'synthetic'}"
            for i, reader in itertools.product(range(10), ("ada", "ben"))]  # fmt: skip
    path = write(tmp_path / "r.csv", rows, ORIGINS)
    one = judged(path)["origin"]["detection"]
    assert (one["real"], one["pooled"]["accuracy"]["value"]) == ("real cases", 0.9)
    same = judged(path, "--truth", "image_origin")["origin"]["detection"]["pooled"]
    assert (same["accuracy"]["value"], same["sensitivity"]["value"]) == (0.9, 0.8)


def test_a_case_read_in_two_ways_is_one_case(tmp_path: Path) -> None:
    """The same answers in both arms: what is said of both is as uncertain as what is said of one."""
    rng = np.random.default_rng(3)
    rows = []
    for i, reader in itertools.product(range(24), ("ada", "ben", "cyd")):
        word = "synthetic" if (i % 2 == 1) == (rng.random() < 0.7) else "real"
        rows += [f"{reader},c{i},{arm},origin,0,{word},{i % 2}" for arm in ("slices", "volume")]
    one = judged(write(tmp_path / "r.csv", rows, f"{HEADER},made"), "--truth", "made")["origin"]["detection"]
    assert list(one["arms"]) == ["slices", "volume"]
    for arm in ("slices", "volume"):
        ends = [one["arms"][arm]["pooled"]["accuracy"][end] for end in ("value", "low", "high")]
        assert ends == pytest.approx([one["pooled"]["accuracy"][end] for end in ("value", "low", "high")])


def test_grades_and_a_truth_give_an_auc_without_a_second_arm(tmp_path: Path) -> None:
    """Confidence from 1 to 5 in one arm: scikit-learn's AUC of each reader; a limit gives accuracy as well."""
    rng = np.random.default_rng(5)
    sick = np.arange(30) % 2
    grades = np.clip(np.round(rng.normal(2.5 + sick[:, None], 1.0, (30, 3))), 1, 5).astype(int)
    rows = [f"r{j},c{i},mri,confidence,0,{grades[i, j]},{sick[i]}" for i in range(30) for j in range(3)]
    path = write(tmp_path / "r.csv", rows, f"{HEADER},sick")
    one = judged(path, "--truth", "sick")["confidence"]["detection"]
    aucs = [roc_auc_score(sick, grades[:, j]) for j in range(3)]
    assert [one["readers"][f"r{j}"]["auc"]["value"] for j in range(3)] == pytest.approx(aucs)
    assert one["pooled"]["auc"]["value"] == pytest.approx(np.mean(aucs))
    assert one["pooled"]["auc"]["low"] < np.mean(aucs) < one["pooled"]["auc"]["high"]
    assert "--positive-above" in one["pooled"]["accuracy"]["why"]
    limited = judged(path, "--truth", "sick", "--positive-above", 3)["confidence"]["detection"]
    assert limited["pooled"]["accuracy"]["value"] == pytest.approx(((grades > 3) == sick[:, None]).mean())
    assert limited["pooled"]["auc"] == one["pooled"]["auc"]
    assert call("analyse", path, "--truth", "sick", "-o", tmp_path / "out", "-q").exit_code == 0
    assert "Can they tell?" in (tmp_path / "out" / "analysis.html").read_text()


def test_images_of_one_subject_are_one_subject(tmp_path: Path) -> None:
    """Eight subjects with a real image, a made one and a copy of that: pairs are by subject, names do not matter."""
    rng = np.random.default_rng(8)
    header, rows = f"{HEADER},image_origin,subject", []
    level, grades = rng.normal(size=8) * 3, {}
    for s, reader in itertools.product(range(8), ("ada", "ben", "cyd")):
        for arm, shift in (("scanner", 0.0), ("model", -1.0)):
            grade = grades[s, reader, arm] = round(level[s] + shift + rng.normal() * 0.3, 3)
            origin = "real" if arm == "scanner" else "synthetic"
            for copy in range(1 if arm == "scanner" else 2):
                rows.append(f"{reader},{arm}.s{s}.{copy},{arm},quality,0,{grade},{origin},s{s}")
    path = write(tmp_path / "r.csv", rows, header)
    told = json.loads(call("analyse", path, "--json", "-").stdout)
    one = told["questions"]["quality"]
    assert (one["cases"], one["units"]) == (24, 8)
    assert any("24 cases are of 8 subjects" in text for text in told["caveats"])
    compared = one["comparisons"]["model"]
    assert compared["tests"]["matched_cases"]["n"] == 8
    assert compared["tests"]["matched_cases"]["p"] == pytest.approx(2 / 2**8), "lower in every subject"
    change = compared["effects"]["difference"]
    apart = np.array(
        [[grades[s, r, "model"] - grades[s, r, "scanner"] for r in ("ada", "ben", "cyd")] for s in range(8)]
    )
    assert change["value"] == pytest.approx(apart.mean())
    assert change["high"] - change["low"] < 1.5, "level of subjects, SD 3, is not in their differences"
    unknown = write(tmp_path / "u.csv", [row.rsplit(",", 1)[0] for row in rows], f"{HEADER},image_origin")
    blind = judged(unknown)["quality"]
    assert blind["units"] == 24
    assert blind["comparisons"]["model"]["tests"]["matched_cases"] is None
    wide = blind["comparisons"]["model"]["effects"]["difference"]
    assert wide["high"] - wide["low"] > 3


def test_a_margin_is_told_in_json_tables_page_and_words(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    rows = [f"r{j},c{i}{arm},{arm},q,0,{round(2 + rng.normal() * 0.3, 2)}"
            for j in range(4) for i in range(30) for arm in ("real", "made")]  # fmt: skip
    path, out = write(tmp_path / "r.csv", rows), tmp_path / "out"
    result = call("analyse", path, "-o", out, "--margin", 0.5)
    assert "made by its mean grade" in result.stdout
    assert "the same within 0.50" in result.stdout
    found = json.loads((out / "analysis.json").read_text())["questions"]["q"]["comparisons"]["made"]
    held, effect = found["margin"], found["effects"]["difference"]
    assert (held["margin"], held["level"], held["not_worse"], held["equivalent"]) == (0.5, 0.9, True, True)
    assert effect["low"] < held["low"] < effect["value"] < held["high"] < effect["high"]
    page = (out / "analysis.html").read_text()
    assert "the same within 0.50" in page
    assert "--margin 0.5" in page
    with (out / "comparisons.csv").open() as stream:
        (row,) = (row for row in csv.DictReader(stream) if row["statistic"] == "difference_against_margin")
    assert (float(row["low"]), float(row["null"])) == (held["low"], -0.5)
    assert "not shown to be no worse by 0.01" in call("analyse", path, "--margin", 0.01).stdout


def test_two_subjects_of_one_case_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "r.csv", ["a,c,real,q,0,1,s1", "b,c,real,q,0,1,s2"], f"{HEADER},subject")
    result = call("analyse", path)
    assert result.exit_code == 2
    assert "line 3: expected one subject of case 'c'" in result.stderr.replace("\n", " ")


@pytest.mark.parametrize(
    ("origins", "said"),
    [(("real", "scanner"), "line 3: expected an image_origin of real or synthetic, found 'scanner'"),
     (("real", ""), "line 3: expected an image_origin of real or synthetic, found ''"),
     (("real", "synthetic"), "line 3: expected one image_origin of case 'c', found another")],
)  # fmt: skip
def test_an_origin_that_cannot_be_is_refused(tmp_path: Path, origins: tuple[str, str], said: str) -> None:
    rows = [f"{reader},c,t2w,origin,0,real,{origin}" for reader, origin in zip("ab", origins, strict=True)]
    result = call("analyse", write(tmp_path / "r.csv", rows, ORIGINS))
    assert result.exit_code == 2
    assert said in result.stderr.replace("\n", " ")


def test_a_reference_that_is_only_the_first_arm_is_told_of(tmp_path: Path) -> None:
    rows = [f"r{j},c{i}{arm},{arm},q,0,{i % 3}" for j in range(2) for i in range(4) for arm in ("made", "mri")]
    told = json.loads(call("analyse", write(tmp_path / "r.csv", rows), "--json", "-").stdout)
    assert told["questions"]["q"]["comparisons"]["mri"]["reference_is_real"] is False
    assert any("'made' is the reference because it comes first" in text for text in told["caveats"])
    stated = json.loads(call("analyse", tmp_path / "r.csv", "--json", "-", "--real", "mri").stdout)
    assert not any("because it comes first" in text for text in stated["caveats"])


def test_grades_in_words_are_compared_in_their_order(tmp_path: Path) -> None:
    """And the page names the command that makes it again, scale and all."""
    rows = [f"r{j},c{i},{arm},q,0,{word}" for j in range(3) for i in range(4)
            for arm, word in (("real", "excellent"), ("made", "poor" if i % 2 else "good"))]  # fmt: skip
    out, path = tmp_path / "out", write(tmp_path / "r.csv", rows)
    assert call("analyse", path, "-o", out, "-q", "--scale", "q=poor, good,excellent").exit_code == 0
    one = json.loads((out / "analysis.json").read_text())["questions"]["q"]
    assert (one["kind"], one["scale"]) == ("graded", ["poor", "good", "excellent"])
    assert one["distribution"]["made"]["counts"] == {"poor": 6, "good": 6, "excellent": 0}
    assert one["comparisons"]["made"]["effects"]["difference"]["value"] == pytest.approx(-1.5)
    assert "--scale q=poor,good,excellent" in (out / "analysis.html").read_text()
