"""One job at a time: done only once, its failure told, its state read rightly, its folder guarded."""

import csv
import json
from collections.abc import Callable
from pathlib import Path

import pytest
import toy_study
from toy_study import Heads
from typer.testing import CliRunner

from pathosynth.cli import app
from pathosynth.data.cases import Case, read_cases, write_cases
from pathosynth.pathologies import PATHOLOGIES
from pathosynth.runs.errors import CasesFailed, ConfigError, InputError
from pathosynth.stages.batch import Options
from pathosynth.stages.table import Joining, join
from pathosynth.workflow import plan as plans
from pathosynth.workflow.job import run_job
from pathosynth.workflow.jobs import Job
from pathosynth.workflow.plan import Plan
from pathosynth.workflow.run import Executor, run_study
from pathosynth.workflow.status import study_status, table


def make_plan(out: Path, *commands: tuple[str, ...], may: bool = False) -> Plan:
    """A plan of one job for each command, and its file."""
    jobs = tuple(
        Job(name=f"job{k}", stage="table", command=words, output=f"made{k}", some_may_fail=may)
        for k, words in enumerate(commands)
    )
    plan = Plan(study={}, source="test", data="", jobs=jobs)
    out.mkdir(exist_ok=True)
    plans.write_plan(out, plan)
    return plan


def rows(folder: Path, *names: str, subject: Callable[[str], str] = str) -> Path:
    cases = [Case(case=name, subject=subject(name), scheme="kcl8", labels=folder / f"{name}.nii.gz") for name in names]
    write_cases(folder / "cases.csv", cases)
    return folder


def test_a_job_is_done_once_and_leaves_a_log(tmp_path: Path) -> None:
    rows(tmp_path / "study/a", "x", "y")
    make_plan(tmp_path / "study", ("study", "table", "-i", "a", "-o", "made0"))
    state = run_job(tmp_path / "study", "job0")
    assert (state.state, state.attempts, state.exit_code) == ("done", 1, 0)
    assert [case.case for case in read_cases(tmp_path / "study/made0/cases.csv")] == ["x", "y"]
    log = (tmp_path / "study/logs/job0.log").read_text()
    assert f"cd {tmp_path / 'study'} && pathosynth study table -i a -o made0" in log
    (tmp_path / "study/jobs/table/job0.done").unlink()  # as if killed between the state and the file
    assert run_job(tmp_path / "study", "job0") == state
    assert (tmp_path / "study/jobs/table/job0.done").is_file()
    assert (tmp_path / "study/logs/job0.log").read_text() == log, "it was run again"


def test_a_failure_tells_the_log_and_the_command(tmp_path: Path) -> None:
    make_plan(tmp_path, ("study", "table", "-i", "nowhere", "-o", "made0"))
    with pytest.raises(CasesFailed) as caught:
        run_job(tmp_path, "job0")
    for told in ("exit code 2", "nowhere: no such file", f"cd {tmp_path} && pathosynth study table", "job0.log"):
        assert told in str(caught.value)
    (row,) = study_status(tmp_path)
    assert (row.word, row.exit_code, row.log) == ("failed", 2, "logs/job0.log")
    assert not (tmp_path / "jobs/table/job0.done").exists()


def test_status_knows_running_from_killed(tmp_path: Path) -> None:
    make_plan(tmp_path, ("study", "table", "-i", "a", "-o", "b"))
    assert [row.word for row in study_status(tmp_path)] == ["waiting"]
    begun = plans.State(
        job="job0", digest=plans.read_plan(tmp_path).jobs[0].digest, state="running", attempts=1, started=plans.now(),
        host="here", pid=1,
    )  # fmt: skip
    plans.write_state(tmp_path, begun)
    with plans.locked(plans.job_lock(tmp_path, "job0"), wait=True):
        assert [row.word for row in study_status(tmp_path)] == ["running"]
    assert [row.word for row in study_status(tmp_path)] == ["waiting"], "its process is gone"
    assert "0 done, 0 running, 0 failed, 1 waiting" in table(study_status(tmp_path))
    shown = json.loads(CliRunner().invoke(app, ["study", "status", str(tmp_path), "--json"]).stdout)
    assert shown["counts"] == {"done": 0, "running": 0, "failed": 0, "waiting": 1}


def test_a_study_is_run_once_at_a_time_and_not_over_another(tmp_path: Path) -> None:
    pytest.importorskip("snakemake", reason="needs the extra 'workflow'")
    rows(tmp_path / "out/a", "x")
    make_plan(tmp_path / "out", ("study", "table", "-i", "a", "-o", "made0"))
    run_job(tmp_path / "out", "job0")
    other = make_plan(tmp_path / "plan", ("study", "table", "-i", "a", "--split", "test", "-o", "made0"))
    with plans.locked(tmp_path / "out/study.lock", wait=True), pytest.raises(ConfigError, match="is being run"):
        run_study(tmp_path / "out", other, Executor(), print)
    with pytest.raises(ConfigError, match=r"job0: was `study table -i a -o made0`, now `study table -i a --split test"):
        run_study(tmp_path / "out", other, Executor(), print)
    assert (tmp_path / "out/made0/cases.csv").is_file()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/thesis.txt").touch()
    with pytest.raises(ConfigError, match="found other files"):
        run_study(tmp_path / "mine", other, Executor(), print)


def test_people_are_in_one_fold_each(tmp_path: Path) -> None:
    rows(tmp_path / "all", *"abcdefg", subject=lambda name: {"b": "a", "f": "c"}.get(name, name))
    held: list[str] = []
    for fold in ("1/3", "2/3", "3/3"):
        name = fold.replace("/", "of")
        join([tmp_path / "all"], Joining(fold=fold), Options(out=tmp_path / f"in{name}"))
        join([tmp_path / "all"], Joining(without_fold=fold), Options(out=tmp_path / f"out{name}"))
        inside, outside = (read_cases(tmp_path / f"{kind}{name}" / "cases.csv") for kind in ("in", "out"))
        assert {case.subject for case in inside}.isdisjoint({case.subject for case in outside})
        assert sorted(case.case for case in (*inside, *outside)) == list("abcdefg")
        held += [case.case for case in inside]
    assert sorted(held) == list("abcdefg")
    with pytest.raises(ConfigError, match="N at most the 5 people"):
        join([tmp_path / "all"], Joining(fold="1/6"), Options(out=tmp_path / "x"))


def test_too_many_failures_stop_a_study(tmp_path: Path) -> None:
    for name in ("one", "two"):
        rows(tmp_path / name, f"{name}kept")
        cases = {f"{name}kept": {"outcome": "done"}}
        lost = {"twolost": {"outcome": "failed", "message": "torn"}} if name == "two" else {}
        (tmp_path / name / "run.json").write_text(json.dumps({"format": 1, "cases": cases | lost}))
    sources = [tmp_path / "one", tmp_path / "two"]
    assert join(sources, Joining(max_failed=0.34), Options(out=tmp_path / "all")) == {"cases": 2, "failed": 1}
    with pytest.raises(InputError, match=r"1 of 3 cases failed, .*'twolost' in .*two: torn"):
        join(sources, Joining(max_failed=0.3), Options(out=tmp_path / "none"))


@pytest.fixture
def _forget_plugins() -> object:
    before = dict(PATHOLOGIES)
    yield
    PATHOLOGIES.clear()
    PATHOLOGIES.update(before)


@pytest.mark.usefixtures("_forget_plugins")
def test_parts_of_a_drawn_cohort_are_the_cohort(small_brain: Heads, tmp_path: Path) -> None:
    files = toy_study.write_toy(tmp_path / "files", small_brain).parent
    call = ["morph", "-i", files / "train", "--scheme", "kcl8", "--recipe", files / "cohort.toml"]
    call += ["--use", files / "grow.py", "--seed", 4]

    def run(*more: object) -> None:
        done = CliRunner().invoke(app, [str(word) for word in (*call, *more)])
        assert done.exit_code == 0, done.stderr

    run("-o", tmp_path / "whole")
    parts = [tmp_path / f"part{k}" for k in (1, 2, 3, 4, 5)]
    for k, part in enumerate(parts, start=1):
        run("-o", part, "--part", f"{k}/5")
    join(parts, Joining(max_failed=0), Options(out=tmp_path / "joined"))
    whole, joined = (read_cases(tmp_path / name / "cases.csv") for name in ("whole", "joined"))
    assert [case.case for case in joined] == [case.case for case in whole]
    assert [case.model_dump(exclude={"labels"}) for case in joined] == [
        case.model_dump(exclude={"labels"}) for case in whole
    ]
    same = [
        a.labels.read_bytes() == b.labels.read_bytes()
        for a, b in zip(joined, whole, strict=True)
        if a.labels and b.labels
    ]
    assert same == [True] * 12
    listed = [row["case"] for part in parts for row in csv.DictReader((part / "morphs.csv").open())]
    assert listed == [case.case for case in whole]
    wrong = CliRunner().invoke(app, [*map(str, call), "-o", str(tmp_path / "x"), "--part", "6/5"])
    assert (wrong.exit_code, "expected K/N with K from 1 to N" in wrong.stderr) == (2, True)
