"""Study files: defaults that are promised, and rules between settings."""

from typing import Any

import pytest

from pathosynth.reader.study import Study
from pathosynth.runs.config import build_config
from pathosynth.runs.errors import ConfigError

ARMS = {"scanner": {"source": "here", "contrast": "T2w", "origin": "real"}}


def study(**settings: Any) -> Study:
    return build_config(Study, {"title": "t", "readers": 2, "arms": ARMS, **settings}, "study.toml")


def test_a_washout_is_four_weeks_unless_the_study_says_otherwise() -> None:
    assert study(blocks=2).washout == 28
    assert study(blocks=2, washout_days=3).washout == 3


def test_the_default_questions_can_be_answered_by_keys() -> None:
    """Two grades share 0 to 3; every other answer and window has a key of its own."""
    asked = study().questions
    assert [[option.key for option in question.options] for question in asked[:2]] == [list("0123")] * 2
    keys = [option.key for question in asked[1:] for option in question.options] + [w.key for w in study().windows]
    assert len(set(keys)) == len(keys)
    assert all(keys)


def asked(**changes: Any) -> dict[str, Any]:
    options = [{"value": "a", "label": "A", "key": "a"}, {"value": "b", "label": "B", "key": "b"}]
    return {"id": "q", "kind": "choice", "prompt": "?", "options": options, **changes}


@pytest.mark.parametrize(
    "questions",
    [
        [asked(kind="text")],
        [asked(options=[])],
        [asked(), asked()],
        [asked(), asked(id="other")],
        [asked(kind="ticks", required=True)],
        [asked(id="arm")],
        [asked(id="a b")],
        [asked(options=[{"value": "a", "label": "A"}, {"value": "a", "label": "B"}])],
        [asked(kind="scale"), asked(id="other")],
        [asked(options=[{"value": "a", "label": "A", "key": "z"}])],
    ],
)
def test_questions_that_could_not_be_asked_are_refused(questions: list[dict[str, Any]]) -> None:
    with pytest.raises(ConfigError, match=r"study\.toml"):
        study(questions=questions)


def test_two_grades_may_share_their_keys() -> None:
    assert len(study(questions=[asked(kind="scale"), asked(id="other", kind="scale")]).questions) == 2


@pytest.mark.parametrize(
    "settings",
    [{"arms": {}}, {"readers": 0}, {"allocation": {"anchors": 3}}, {"windows": []}, {"repeats": {"share": 0.9}},
     {"windows": [{"name": "w", "low": 0.5, "high": 0.5}]}, {"colour": "blue"}, {"grid": {"levels": 1}}],
)  # fmt: skip
def test_settings_that_make_no_study_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=r"study\.toml"):
        study(**settings)
