"""The loop that runs any plan: what a finished case rests on must be what it was, or the command is refused."""

from pathlib import Path

import pytest

from pathosynth.data.cases import Case
from pathosynth.runs.errors import ConfigError
from pathosynth.stages.batch import OneCase, Options, Plan, Result, execute


def run(out: Path, rows: list[Case], config: dict) -> list[str]:
    """Run a plan that makes nothing; the names of the cases that were worked on."""
    worked: list[str] = []

    def work(task: OneCase) -> Result:
        worked.append(task.case)
        return Result("failed" if task.case == "bad" else "done")

    files = [row.labels for row in rows if row.labels]
    plan = Plan("toy", config, files, [OneCase(row) for row in rows], work, lambda out, record: None, 0.1, "nothing")
    execute(plan, Options(out))
    return worked


def row(folder: Path, name: str = "a", content: str = "one", **facts: object) -> Case:
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.nii.gz").write_text(content)
    return Case(case=name, subject=name, scheme="kcl8", labels=folder / f"{name}.nii.gz", **facts)


def test_files_that_moved_are_known_again_and_others_of_the_same_names_are_refused(tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert run(out, [row(tmp_path / "here")], {}) == ["a"]
    assert run(out, [row(tmp_path / "moved")], {}) == []
    with pytest.raises(ConfigError, match="case 'a' was made from other files"):
        run(out, [row(tmp_path / "elsewhere", content="two")], {})


@pytest.mark.parametrize("facts", [{"age_weeks": 32.0}, {"split": "test"}, {"subject": "b"}])
def test_a_row_that_says_something_else_is_refused(facts: dict, tmp_path: Path) -> None:
    before = row(tmp_path / "in", age_weeks=26.0, split="train")
    run(tmp_path / "out", [before], {})
    with pytest.raises(ConfigError, match="another age, subject, split"):
        run(tmp_path / "out", [before.model_copy(update=facts)], {})


def test_a_file_that_a_setting_names_counts_by_what_is_in_it(tmp_path: Path) -> None:
    table = tmp_path / "contrast.json"
    table.write_text("0.2")
    config = {"settings": [{"contrast": str(table), "other": "a.b"}]}
    run(tmp_path / "out", [row(tmp_path / "in")], config)
    assert run(tmp_path / "out", [row(tmp_path / "in")], config) == []
    table.write_text("0.8")
    with pytest.raises(ConfigError, match=r"contrast\.json has changed since"):
        run(tmp_path / "out", [row(tmp_path / "in")], config)


def test_a_failure_of_a_case_that_is_gone_is_forgotten(tmp_path: Path) -> None:
    rows = [row(tmp_path / "in"), row(tmp_path / "in", "bad")]
    assert run(tmp_path / "out", rows, {}) == ["a", "bad"]
    assert run(tmp_path / "out", rows[:1], {}) == []
    assert '"failed"' not in (tmp_path / "out" / "run.json").read_text()
