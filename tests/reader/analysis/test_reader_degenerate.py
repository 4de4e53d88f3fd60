"""Whatever the ratings, every number is finite or a sentence says why there is none."""

import itertools
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pathosynth.reader.analysis.agreement import NAMES
from pathosynth.reader.analysis.analyse import analyse, as_json
from pathosynth.reader.analysis.ratings import questions
from pathosynth.reader.analysis.report import Analysis, page
from pathosynth.reader.analysis.rows import Row
from pathosynth.reader.analysis.settings import Settings
from pathosynth.reader.analysis.tables import tables
from pathosynth.runs.files import json_text

CONFIDENCE = ("real-sure", "real-unsure", "synthetic-unsure", "synthetic-sure")


def rows(answers: dict[tuple[str, str, str, int], str], truth: bool = False) -> list[Row]:
    """From (reader, case, arm, repeat) to value."""
    return [
        Row(line, reader, case, arm, "q", repeat, value, len(case) % 2 == 0 if truth else None)
        for line, ((reader, case, arm, repeat), value) in enumerate(answers.items(), start=2)
    ]


def analysed(answers: dict[tuple[str, str, str, int], str], kind: str, truth: bool = False) -> dict[str, Any]:
    found = questions(Path("x.csv"), rows(answers, truth), {"q": kind})
    return analyse(found, Settings(truth="t" if truth else ""))


def estimates(content: Any) -> Iterator[dict[str, Any]]:
    """Every statistic in a JSON."""
    if isinstance(content, dict):
        if {"value", "low", "high", "why"} <= set(content):
            yield content
        for value in content.values():
            yield from estimates(value)
    elif isinstance(content, list):
        for value in content:
            yield from estimates(value)


def check(found: dict[str, Any]) -> None:
    told = json.loads(json_text(as_json(found)))  # refuses NaN and infinity
    for one in estimates(told):
        if one["value"] is None:
            assert one["why"]
            assert one["why"].endswith(".")
        elif one["low"] is None or one["high"] is None:
            assert one["why"]
        else:
            assert one["low"] <= one["value"] + 1e-9
            assert one["value"] <= one["high"] + 1e-9
    assert set(NAMES) <= set(told)


KINDS = {
    "graded": st.sampled_from(["0", "1", "2", "3", ""]),
    "detection": st.sampled_from([*CONFIDENCE, ""]),
    "nominal": st.sampled_from(["good", "bad", ""]),
    "ticks": st.sampled_from(["", "motion", "noise", "motion;noise"]),
}


@st.composite
def studies(draw: st.DrawFn, values: st.SearchStrategy[str]) -> dict[tuple[str, str, str, int], str]:
    """Up to four readers, six cases in up to three arms, gaps and repeats."""
    readers, cases = draw(st.integers(1, 4)), draw(st.integers(1, 6))
    arms = draw(st.lists(st.sampled_from(["real", "made", "other"]), min_size=cases, max_size=cases))
    found = {}
    for reader, case in itertools.product(range(readers), range(cases)):
        for repeat in range(draw(st.integers(0, 2))):
            found[f"r{reader}", "c" * (case + 1), arms[case], repeat] = draw(values)
    return found or {("r0", "c", arms[0], 0): draw(values)}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("truth", [False, True])
def test_no_study_gives_a_number_that_is_none(kind: str, truth: bool) -> None:
    @settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True)
    @given(studies(KINDS[kind]))
    def holds(answers: dict[tuple[str, str, str, int], str]) -> None:
        check(analysed(answers, kind, truth))

    holds()


def grid(readers: int, cases: int, value: str = "2") -> dict[tuple[str, str, str, int], str]:
    arms = itertools.cycle(["real", "made"])
    placed = [("c" * (i + 1), arm) for i, arm in zip(range(cases), arms, strict=False)]
    return {(f"r{j}", case, arm, 0): value for case, arm in placed for j in range(readers)}


@pytest.mark.parametrize(("readers", "cases"), [(1, 1), (1, 6), (3, 1), (3, 6)])
def test_constant_answers_are_told_of_in_plain_words(readers: int, cases: int) -> None:
    found = analysed(grid(readers, cases), "graded")
    check(found)
    assert all(found[name].value is None for name in NAMES)
    assert not any("All ratings are 2" in found[name].why for name in NAMES)
    assert found["weighted_kappa"].cases == (cases if readers > 1 else 0)
    agreed = found["questions"]["q"]["agreement"]["percent_agreement"]
    assert agreed.value == (1.0 if readers > 1 else None)


def test_a_reader_without_any_rating_takes_no_icc_from_the_others() -> None:
    answers = {key: str(len(key[1]) % 4) if key[0] != "r1" else "NA" for key in grid(4, 8)}
    answers["r0", "c", "real", 0] = "3"
    without = {key: value for key, value in answers.items() if key[0] != "r1"}
    found, known = analysed(answers, "graded"), analysed(without, "graded")
    assert found["icc2"] == known["icc2"]
    assert (found["icc2"].readers, found["icc2"].cases) == (3, 8)
    assert "q: 1 of 4 readers gave no rating at all; ICCs are those of the others." in found["caveats"]


def test_text_alone_has_a_sentence_for_every_statistic() -> None:
    found = analysed({("r0", "c", "real", 0): "odd", ("r1", "c", "real", 0): "fine"}, "text")
    check(found)
    assert all("say so with --kind or --scale" in found[name].why for name in NAMES)


def test_one_reader_is_told_of() -> None:
    answers = {key: str(i % 4) for i, key in enumerate(grid(1, 8))}
    found = analysed(answers, "graded")
    assert found["icc2"].why == "One reader: an ICC compares at least two."
    assert found["alpha_ordinal"].why == "No case was rated by two readers."


def test_unanimous_readers_of_varying_cases_agree_wholly() -> None:
    answers = {key: str(len(key[1]) % 4) for key in grid(3, 12)}
    found = analysed(answers, "graded")
    check(found)
    assert any("intervals of ICCs have no width, however few the 12 cases" in text for text in found["caveats"])
    for name in NAMES:
        assert found[name].value == pytest.approx(1), name
        assert found[name].high == pytest.approx(1)


def test_readers_who_never_share_a_case_are_told_of() -> None:
    answers = {("r0", "a", "real", 0): "1", ("r1", "b", "real", 0): "2", ("r2", "c", "made", 0): "3"}
    found = analysed(answers, "graded")
    check(found)
    assert all(found[name].value is None for name in NAMES)


def test_huge_and_tiny_numbers_stay_finite() -> None:
    for scale in (1e-49, 1e-9, 1e9, 1e49):
        answers = {key: repr(scale * (i % 5)) for i, key in enumerate(grid(3, 8))}
        check(analysed(answers, "graded"))


def test_negative_values_have_no_ratio_alpha_and_say_so() -> None:
    answers = {key: str(i % 3 - 1) for i, key in enumerate(grid(2, 7))}
    assert "0 or more" in analysed(answers, "graded")["alpha_ratio"].why


def test_page_and_tables_take_every_degenerate_study() -> None:
    source = {"file": "x.csv", "sha256": "0", "rows": 1, "settings": {"weights": "quadratic"}, "pathosynth": "0"}
    for kind, value in (
        ("graded", ""),
        ("graded", "1"),
        ("detection", "real"),
        ("nominal", "x"),
        ("ticks", "a;b"),
        ("text", "t"),
    ):
        for readers, cases in ((1, 1), (2, 4)):
            found = analysed_any(grid(readers, cases, value), kind)
            told = page(Analysis(found, source), {"q": {}}, list(tables(found)), "command")
            assert "nan" not in told.replace("nominal", "").lower().split()
            for row in itertools.chain.from_iterable(tables(found).values()):
                assert all(not isinstance(cell, float) or math.isfinite(cell) for cell in row.values())


def analysed_any(answers: dict[tuple[str, str, str, int], str], kind: str) -> dict[str, Any]:
    return analyse(questions(Path("x.csv"), rows(answers), {"q": kind}), Settings())
