"""The run record survives crashes, resumes the same run and refuses another one."""

import hashlib
import json
import os
from pathlib import Path

import pytest

from pathosynth.runs import files
from pathosynth.runs.errors import ConfigError, InputError
from pathosynth.runs.record import RunRecord, Source, read_record

CONFIG = {"severity": {"atrial_width_mm": 18.0}, "scheme": "kcl8"}


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "cases.csv"
    path.write_text("case\na\n")
    return path


def begin(out: Path, table: Path, config: dict = CONFIG, seed: int = 1, **options: bool) -> RunRecord:
    return RunRecord.begin(out, "morph", config, seed, [table], **options)


def test_record_keeps_what_was_asked_and_the_inputs_digest(tmp_path: Path, table: Path) -> None:
    begin(tmp_path / "out", table)
    content = json.loads((tmp_path / "out" / "run.json").read_text())
    assert (content["command"], content["config"], content["seed"]) == ("morph", CONFIG, 1)
    assert content["status"] == "running"
    assert content["ended"] is None
    assert content["inputs"] == {str(table.resolve()): hashlib.sha256(table.read_bytes()).hexdigest()}
    assert content["versions"]["numpy"]


def test_same_run_again_keeps_finished_cases_and_retries_failed_ones(tmp_path: Path, table: Path) -> None:
    first = begin(tmp_path / "out", table)
    first.finish_case("a", volume_ml=3.5)
    first.finish_case("b", "rejected", "blurred")
    first.finish_case("c", "failed", "torn")
    again = begin(tmp_path / "out", table)
    assert [again.done(case) for case in "abcd"] == [True, True, False, False]
    assert again.facts("a")["volume_ml"] == 3.5
    assert again.content["resumed"] == 1


@pytest.mark.parametrize(
    ("config", "seed", "named"),
    [
        ({**CONFIG, "severity": {"atrial_width_mm": 12.0}}, 1, "config.severity.atrial_width_mm was 18.0, now 12.0"),
        ({**CONFIG, "extra": True}, 1, "config.extra"),
        ({"severity": CONFIG["severity"]}, 1, "config.scheme"),
        (CONFIG, 2, "seed was 1, now 2"),
    ],
)
def test_another_run_in_the_same_folder_is_refused_and_changes_nothing(
    tmp_path: Path, table: Path, config: dict, seed: int, named: str
) -> None:
    begin(tmp_path / "out", table).finish_case("a")
    before = (tmp_path / "out" / "run.json").read_bytes()
    with pytest.raises(ConfigError, match="--overwrite") as caught:
        begin(tmp_path / "out", table, config, seed)
    assert named in str(caught.value)
    assert (tmp_path / "out" / "run.json").read_bytes() == before


def test_case_whose_file_is_gone_is_run_again(tmp_path: Path, table: Path) -> None:
    record = begin(tmp_path / "out", table)
    (tmp_path / "out" / "a.txt").write_text("result")
    record.finish_case("a", files=["a.txt"])
    assert record.done("a")
    (tmp_path / "out" / "a.txt").unlink()
    assert not record.done("a")


def test_changed_input_is_refused_and_a_new_one_is_not(tmp_path: Path, table: Path) -> None:
    begin(tmp_path / "out", table).finish_case("a")
    other = tmp_path / "b.txt"
    other.write_text("new")
    more = RunRecord.begin(tmp_path / "out", "morph", CONFIG, 1, [table, other])
    assert more.done("a")
    table.write_text("case\nz\n")
    with pytest.raises(ConfigError, match=r"cases\.csv has changed"):
        begin(tmp_path / "out", table)


def test_a_case_made_from_something_else_is_refused_wherever_its_files_lie(tmp_path: Path) -> None:
    files = {}
    for site, content in (("A", "one"), ("B", "two"), ("moved", "one")):
        (tmp_path / site).mkdir()
        files[site] = tmp_path / site / "sub-01.csv"
        files[site].write_text(content)

    def run(site: str, age: float = 26.0) -> RunRecord:
        sources = {"sub-01": Source([{"age_weeks": age}], (files[site],))}
        return RunRecord.begin(tmp_path / "out", "morph", CONFIG, 1, [files[site]], sources=sources)

    run("A").finish_case("sub-01")
    assert run("moved").done("sub-01")
    for other in (lambda: run("B"), lambda: run("A", age=32.0)):
        before = (tmp_path / "out" / "run.json").read_bytes()
        with pytest.raises(ConfigError, match=r"holds another run: case 'sub-01' was made from other files, or .* age"):
            other()
        assert (tmp_path / "out" / "run.json").read_bytes() == before


def test_failures_of_cases_that_are_gone_are_forgotten(tmp_path: Path, table: Path) -> None:
    first = RunRecord.begin(tmp_path / "out", "morph", CONFIG, 1, [table], sources={"a": Source(), "bad": Source()})
    first.finish_case("a")
    first.finish_case("bad", "failed", "damaged")
    again = RunRecord.begin(tmp_path / "out", "morph", CONFIG, 1, [table], sources={"a": Source()})
    assert again.counts() == {"done": 1, "rejected": 0, "failed": 0}
    assert again.done("a")


def test_overwrite_removes_listed_files_and_nothing_else(tmp_path: Path, table: Path) -> None:
    out = tmp_path / "out"
    record = begin(out, table)
    for name in ("sub-a/anat/x.txt", "notes.txt", "../outside.txt"):
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        (out / name).write_text("kept?")
    record.finish_case("a", files=["sub-a/anat/x.txt", "../outside.txt"])
    again = begin(out, table, seed=2, overwrite=True)
    assert not again.done("a")
    assert (out / "sub-a" / "anat" / "x.txt").exists()
    again.complete()
    assert sorted(path.name for path in out.iterdir()) == ["notes.txt", "run.json"]
    assert (tmp_path / "outside.txt").read_text() == "kept?"


def test_overwrite_that_makes_nothing_puts_the_older_run_back(tmp_path: Path, table: Path) -> None:
    out = tmp_path / "out"
    record = begin(out, table)
    (out / "a.txt").write_text("result")
    record.finish_case("a", files=["a.txt"])
    before = (out / "run.json").read_bytes()
    begin(out, table, seed=2, overwrite=True).discard()
    assert (out / "run.json").read_bytes() == before
    assert begin(out, table).done("a")


def test_folder_of_unknown_origin_is_refused(tmp_path: Path, table: Path) -> None:
    with pytest.raises(ConfigError, match="found other files"):
        begin(tmp_path, table)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cases.csv"]


def test_damaged_record_is_refused(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text('{"format": 1, "cas')
    with pytest.raises(InputError, match="expected a run record"):
        read_record(tmp_path)


def test_status_at_the_end_names_failures(tmp_path: Path, table: Path) -> None:
    record = begin(tmp_path / "out", table)
    record.finish_case("a")
    record.complete()
    assert record.content["status"] == "complete"
    record.finish_case("b", "failed", "torn")
    record.complete()
    assert record.content["status"] == "some failed"
    assert record.counts() == {"done": 1, "rejected": 0, "failed": 1}


def test_what_a_killed_run_left_half_written_is_cleared_by_the_next(tmp_path: Path, table: Path) -> None:
    class Killed(BaseException):
        """No handler of the program runs."""

    record = begin(tmp_path / "out", table)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "unlink", lambda *arguments, **options: None)
        patch.setattr(os, "fsync", lambda handle: (_ for _ in ()).throw(Killed))
        with pytest.raises(Killed):
            record.finish_case("a")
    assert len(list((tmp_path / "out").iterdir())) == 2
    begin(tmp_path / "out", table).finish_case("a")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["run.json"]


def test_discard_leaves_no_trace_and_takes_nothing_that_was_there(tmp_path: Path, table: Path) -> None:
    begin(tmp_path / "new" / "folders" / "out", table).discard()
    assert not (tmp_path / "new").exists()
    (tmp_path / "empty").mkdir()
    begin(tmp_path / "empty", table).discard()
    assert (tmp_path / "empty").is_dir()
    begin(tmp_path / "out", table).discard()
    assert not (tmp_path / "out").exists()


def test_overwrite_never_takes_the_inputs_of_the_run(tmp_path: Path, table: Path) -> None:
    (tmp_path / "out").mkdir()
    labels = tmp_path / "out" / "a_dseg.nii.gz"
    labels.write_text("labels")
    begin(tmp_path / "out", table, overwrite=True).finish_case("a", files=["a_dseg.nii.gz"])
    before = (tmp_path / "out" / "run.json").read_bytes()
    with pytest.raises(ConfigError, match="input of this run"):
        begin(tmp_path / "out", labels, seed=2, overwrite=True)
    assert (tmp_path / "out" / "run.json").read_bytes() == before


def test_output_that_is_a_file_or_lies_under_one_is_refused(tmp_path: Path, table: Path) -> None:
    for out in (table, table / "below"):
        with pytest.raises(ConfigError, match=r"cases\.csv: expected a folder to write into, found a file"):
            begin(out, table)
    assert table.read_text() == "case\na\n"


def test_other_command_is_named_alone(tmp_path: Path, table: Path) -> None:
    begin(tmp_path / "out", table)
    with pytest.raises(ConfigError, match=r"another run: command was 'morph', now 'check'\. Choose"):
        RunRecord.begin(tmp_path / "out", "check", {"checks": []}, 1, [table])


def test_crash_while_writing_leaves_the_older_record(
    tmp_path: Path, table: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = begin(tmp_path / "out", table)
    before = record.path.read_bytes()

    def crash(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", crash)
    with pytest.raises(OSError, match="No space"):
        record.finish_case("a")
    assert record.path.read_bytes() == before
    assert [path.name for path in record.path.parent.iterdir()] == ["run.json"]


def test_numbers_json_cannot_hold_are_refused() -> None:
    with pytest.raises(ValueError, match="JSON"):
        files.json_text({"width_mm": float("nan")})
