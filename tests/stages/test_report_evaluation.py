"""The page of an evaluation: nothing from the network, nothing unescaped, the numbers of the tables in it."""

import base64
import csv
import io
import json
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread

from pathosynth.data.cases import Case, write_cases
from pathosynth.data.nifti import write_image, write_labels
from pathosynth.data.volume import Volume
from pathosynth.drawing.page import number, p_value
from pathosynth.runs.errors import ConfigError, InputError
from pathosynth.stages import evaluate, report
from pathosynth.stages.batch import Options, execute
from pathosynth.stages.report.evaluated import read_evaluation
from pathosynth.stages.report.evaluation_figures import words
from pathosynth.stages.report.evaluation_montage import chosen, montage
from pathosynth.stages.report.evaluation_page import page

AFFINE = np.diag([1.5, 1.5, 1.5, 1.0])
NASTY = '<script>alert("1")</script> & $x_2$'
"""An arm's name as somebody might type it."""

TOLD = (
    "Isensee", "was kept", "Holm", "Wilcoxon", "rank-biserial", "SHA-256", "age_weeks >= 26", "Without prediction",
    "leak cannot be ruled out", "Fewer than three trainings", "pathosynth evaluate -i",
)  # fmt: skip
"""Words without which the page would be incomplete."""

SETTINGS = evaluate.Evaluation(subgroups=("age=26",), structures=("ventricles", "white_matter"))

VOID = {"meta", "img", "br", "link", "input", "hr"}


class Page(HTMLParser):
    """Addresses, tags and words of a page; whether every tag is closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.tags: list[str] = []
        self.open: list[str] = []
        self.words = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href", "srcset", "action", "data")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words += data


def head(size: int, ventricle: int) -> np.ndarray:
    labels = np.zeros((24, 26, 22), np.uint8)
    labels[3:21, 3:23, 3:19] = 1
    labels[6 : 6 + ventricle, 8:16, 8 : 8 + size] = 2
    return labels


def write_set(folder: Path, sizes: dict[str, int], lost: int, *, image: bool = False) -> Path:
    cases = []
    for name, size in sizes.items():
        labels = Volume(head(size, 10 - lost), AFFINE)
        path = folder / f"{name}_dseg.nii.gz"
        write_labels(path, labels)
        images = {"T2w": folder / f"{name}_T2w.nii.gz"} if image else {}
        if image:
            noise = np.random.default_rng(size).normal(0, 20, labels.shape)
            write_image(images["T2w"], labels.with_array((labels.array * 200.0 + 300 + noise).astype(np.float32)))
        cases.append(Case(case=name, subject=name, scheme="kcl8", labels=path, images=images, age_weeks=20.0 + size))
    write_cases(folder / "cases.csv", cases)
    return folder


@pytest.fixture(scope="module")
def evaluation(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two arms of two trainings; one prediction of the second is missing."""
    root = tmp_path_factory.mktemp("evaluation")
    sizes = {f"s{n}": n for n in range(3, 10)}
    reference = write_set(root / "reference", sizes, 0, image=True)
    arms = [f"{arm}={write_set(root / f'{lost}', sizes, lost)}" for arm, lost in
            (("plain", 4), ("plain", 3), (NASTY, 2), (NASTY, 1))]  # fmt: skip
    (root / "1" / "s4_dseg.nii.gz").unlink()
    options = Options(out=root / "out")
    execute(evaluate.plan(reference, arms, SETTINGS, options), options)
    return root / "out"


def draw(source: Path, out: Path, **settings: object) -> Path:
    options = Options(out=out)
    execute(report.plan("evaluation", [str(source)], settings, options), options)
    return out


@pytest.fixture(scope="module")
def drawn(evaluation: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw(evaluation, tmp_path_factory.mktemp("page") / "out")


def test_the_page_needs_nothing_but_itself(drawn: Path) -> None:
    text = (drawn / "evaluation.html").read_text(encoding="utf-8")
    parsed = Page(text)
    assert parsed.open == []
    assert len(parsed.addresses) == 7
    for address in parsed.addresses:
        assert address.startswith("data:image/png;base64,")
        picture = imread(io.BytesIO(base64.b64decode(address.partition(",")[2])))
        assert picture.shape[0] > 200
        assert picture.std() > 0.01
    assert "http" not in text.replace("http-equiv", "")
    assert {"script", "link", "iframe"}.isdisjoint(parsed.tags)
    assert "default-src 'none'" in text
    assert len(list(drawn.glob("*.png"))) == 7


def test_words_from_outside_are_escaped_and_shown(drawn: Path) -> None:
    text = (drawn / "evaluation.html").read_text(encoding="utf-8")
    assert "<script" not in text
    assert NASTY in Page(text).words


def test_the_page_tells_the_numbers_of_the_tables(drawn: Path, evaluation: Path) -> None:
    words = Page((drawn / "evaluation.html").read_text(encoding="utf-8")).words
    with (evaluation / "summary.csv").open() as stream:
        rows = [row for row in csv.DictReader(stream) if row["structure"] == "ventricles" and row["subgroup"] == "all"]
    for row in rows:
        if row["metric"] == "dice":
            assert f"{float(row['mean_capped']):.3f}" in words
            assert f"{float(row['mean_low']):.3f} to {float(row['mean_high']):.3f}" in words
            assert f"missed {row['missed']} / 14" in words
    for part in TOLD:
        assert part in words, part
    told = json.loads((drawn / "evaluation.json").read_text())
    assert told["arms"] == ["plain", NASTY]
    with (drawn / "evaluation.csv").open() as stream:
        head_rows = list(csv.DictReader(stream))
    assert {row["structure"] for row in head_rows} >= {"ventricles", "white_matter"}
    for name in ("scores", "summary", "comparisons", "agreement"):
        assert (drawn / f"{name}.csv").read_bytes() == (evaluation / f"{name}.csv").read_bytes()


def test_best_median_and_worst_are_those_by_dice(evaluation: Path) -> None:
    found = read_evaluation(evaluation)
    rows = dict(chosen(found, NASTY))
    dice = sorted(row["dice"] for row in found.rows(NASTY, "ventricles"))
    assert rows["worst"]["case"] == "s4"
    assert rows["worst"]["dice"] == 0
    assert np.isinf(rows["worst"]["hd95_mm"])
    assert rows["best"]["dice"] == max(dice)
    assert rows["median"]["dice"] in (dice[len(dice) // 2], dice[len(dice) // 2 - 1])
    assert len(set(found.colors.values())) == 2


def test_images_are_shown_only_when_asked_for_and_pictures_repeat(
    evaluation: Path, drawn: Path, tmp_path: Path
) -> None:
    with_images = draw(evaluation, tmp_path / "out", images=True)
    assert (with_images / "examples_1.png").read_bytes() != (drawn / "examples_1.png").read_bytes()
    for name in ("dice.png", "bland_altman.png", "evaluation.json", "evaluation.csv"):
        assert (with_images / name).read_bytes() == (drawn / name).read_bytes()


def test_a_page_without_the_volumes_says_so(evaluation: Path, tmp_path: Path) -> None:
    (tmp_path / "evaluation.json").write_bytes((evaluation / "evaluation.json").read_bytes())
    found = read_evaluation(tmp_path)
    assert montage(found, "plain", image=False) is None
    words = Page(page(found, [], ["examples_1"])).words
    assert "no longer where they were: examples_1" in words


def test_another_structure_can_be_shown_closely(evaluation: Path) -> None:
    assert "Volume of white matter" in Page(page(read_evaluation(evaluation, "white_matter"), [], [])).words


def test_a_structure_that_no_map_has_is_named_and_not_shown(evaluation: Path) -> None:
    found = read_evaluation(evaluation)
    gone = next(name for name in found.structures if name != "ventricles")
    scores = [row | {"state": "both_empty"} if row["structure"] == gone else row for row in map(dict, found.scores)]
    without = replace(found, scores=scores)
    assert [name for name in found.structures if name not in without.structures] == [gone] == without.absent
    assert f"In no map at all, and not shown: {words(gone)}." in Page(page(without, [], [])).words
    assert "In no map at all" not in Page(page(found, [], [])).words


def test_the_page_says_how_rightly_empty_structures_count(evaluation: Path) -> None:
    """A white matter that is in one case neither in the reference nor in the second arm, but in the first."""
    found = read_evaluation(evaluation)
    empty = {"state": "both_empty", "predicted": True, "dice": float("nan")}
    invented = {"state": "false_positive", "dice": 0.0}
    scores = [
        row | (empty if row["arm"] == NASTY else invented)
        if (row["structure"], row["case"]) == ("white_matter", "s5")
        else row
        for row in map(dict, found.scores)
    ]
    other = replace(found, scores=scores)
    told = Page(page(other, [], [])).words
    assert "2 times a prediction rightly lacks a structure" in told
    assert "left out of all means" not in told
    assert other.values(NASTY, "white_matter", "dice")["s5"] == 1
    assert np.isnan(next(row["dice"] for row in other.rows(NASTY, "white_matter") if row["case"] == "s5"))
    nowhere = [dict(row) | {"state": "both_empty"} if row["case"] == "s5" else row for row in found.scores]
    told = Page(page(replace(found, scores=nowhere), [], [])).words
    assert f"{2 * 2 * 2} times a structure is in no map of the case" in told


@pytest.mark.parametrize("number", [7, 10, 20])
def test_every_arm_has_a_colour_of_its_own(evaluation: Path, number: int) -> None:
    found = read_evaluation(evaluation)
    many = replace(found, scores=[dict(found.scores[0]) | {"arm": f"arm {place}"} for place in range(number)])
    assert len(set(many.colors.values())) == number


def test_many_comparisons_are_folded_and_what_is_said_of_them_is_said_once(evaluation: Path) -> None:
    found = read_evaluation(evaluation)
    remark = "3 of 4 pairs differ"
    compared = [dict(row) | {"note": remark} for row in found.comparisons]
    few, many = (page(replace(found, comparisons=compared * times), [], []) for times in (1, 40))
    assert ("<details open>" in few, "<details open>" in many) == (True, False)
    assert Page(few).words.count(remark) == Page(many).words.count(remark) == 1


def test_what_is_no_evaluation_is_refused(evaluation: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="judged: ventricles"):
        draw(evaluation, tmp_path / "out", structure="nose")
    with pytest.raises(InputError, match=r"found no evaluation\.json"):
        draw(evaluation.parent, tmp_path / "out")
    for text in ("{", "[]", '{"scores": []}', '{"scores": 3}'):
        (tmp_path / "evaluation.json").write_text(text)
        with pytest.raises(InputError, match="Evaluate again"):
            draw(tmp_path, tmp_path / "out")
    with pytest.raises(ConfigError, match="one -i"):
        report.plan("evaluation", [f"a={evaluation}", f"b={evaluation}"], {}, Options(out=tmp_path / "out"))


def test_numbers_for_people() -> None:
    values = (1.25, -0.5, None, float("nan"), float("inf"))
    assert [number(value, 1) for value in values] == ["1.2", "−0.5", "–", "–", "∞"]
    assert [p_value(value) for value in (None, 0.0004, 0.0312)] == ["–", "< 0.001", "0.031"]
