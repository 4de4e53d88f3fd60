"""A study killed at any moment goes on where it was and ends with the same numbers; so does one on SLURM."""

import os
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import private_slurm
import pytest
import toy_study
from toy_study import Heads

pytest.importorskip("snakemake", reason="needs the extra 'workflow'")

pytestmark = [pytest.mark.slow, pytest.mark.early, pytest.mark.timeout(2400)]  # for a machine with other work

KILLS = 10
PATIENCE = 600
"""Seconds until a run that makes nothing is given up."""


@pytest.fixture(scope="module")
def whole(small_brain: Heads, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, float]:
    """A toy study, the folder of an undisturbed run of it, and the seconds that took; others run beside that folder."""
    folder = tmp_path_factory.mktemp("toy")
    study, clock = toy_study.write_toy(folder / "files", small_brain), time.monotonic()
    toy_study.run(study, folder / "out")
    return study, folder / "out", time.monotonic() - clock


def test_killed_ten_times_ends_the_same(whole: tuple[Path, Path, float]) -> None:
    study, undisturbed, seconds = whole
    out, rng = undisturbed.with_name("killed"), np.random.default_rng(11)
    volumes = toy_study.volumes(undisturbed)
    assert volumes == len(toy_study.written(undisturbed)) >= 2 * KILLS
    jobs: dict[str, str] = {}
    files: dict[str, int] = {}
    for number in range(1, KILLS + 1):
        at_work = number % 2 == 0  # every other kill waits for the first new volume, however slow the machine is
        after = len(files) + 1 if at_work else 0
        delay = rng.uniform(0, 0.1 if at_work else 0.6) * seconds
        kill_on_the_way(study, out, after, delay, most=volumes * number // (KILLS + 1))
        if (out / "jobs").is_dir():
            assert jobs.items() <= toy_study.finished(out).items(), "a job that was done was begun again"
            assert files.items() <= toy_study.written(out).items(), "a case that was finished was made again"
            jobs, files = toy_study.finished(out), toy_study.written(out)
    assert 0 < len(files) < volumes, "the kills met no work in progress"
    toy_study.run(study, out)
    assert jobs.items() <= toy_study.finished(out).items()
    assert files.items() <= toy_study.written(out).items()
    assert toy_study.results(out) == toy_study.results(undisturbed)


def kill_on_the_way(study: Path, out: Path, after: int, seconds: float, most: int) -> None:
    """Run a study and kill it so many seconds after `after` volumes are there, or when there are more than `most`.

    The last limit leaves work for the kills that follow, however fast the machine is.
    """
    call = toy_study.command(study, out, "--cores", "2")
    process = subprocess.Popen(call, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    begun, moment = time.monotonic(), np.inf
    try:
        while time.monotonic() < moment and (there := toy_study.volumes(out)) <= most:
            if there >= after:
                moment = min(moment, time.monotonic() + seconds)
            assert process.poll() is None, "ended before it was killed"
            assert time.monotonic() < begun + PATIENCE, "nothing is being made"
            time.sleep(0.02)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(timeout=30)


def test_a_request_to_stop_ends_a_study_that_runs_in_the_background(whole: tuple[Path, Path, float]) -> None:
    study, undisturbed, seconds = whole
    out = undisturbed.with_name("stopped")
    process = subprocess.Popen(
        toy_study.command(study, out, "--cores", "1"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN),  # as a shell does with `command &`
    )  # fmt: skip
    clock = time.monotonic()
    while not any('"running"' in path.read_text() for path in (out / "jobs").glob("grown*.json")):
        assert time.monotonic() - clock < 10 * seconds + 60, "no job was begun"
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=5 * seconds + 60) == 130
    assert not (out / "evaluation").exists()
    states = {path.name: path.read_text() for path in (out / "jobs").glob("*.json")}
    assert sum('"stopped"' in text or '"running"' in text for text in states.values()) <= 1
    assert not any(name.startswith("rendered") for name in states), "jobs were begun after the request"


def test_no_more_jobs_at_once_than_cores_and_their_number_does_not_change_the_results(
    whole: tuple[Path, Path, float], small_brain: Heads, tmp_path: Path
) -> None:
    study = toy_study.write_toy(tmp_path / "files", small_brain, parts=5)
    toy_study.run(study, tmp_path / "out", "--cores", "1")
    assert toy_study.most_at_once(tmp_path / "out") == 1

    def volumes(out: Path) -> dict[str, str]:
        return {Path(name).name: digest for name, digest in toy_study.results(out).items() if name.endswith(".nii.gz")}

    def order(out: Path) -> list[str]:
        lines = (out / "ingredients/rendered/2-check/all/cases.csv").read_text().splitlines()
        return [line.split(",")[0] for line in lines]

    assert volumes(tmp_path / "out") == volumes(whole[1])
    assert order(tmp_path / "out") == order(whole[1])
    assert len(order(whole[1])) == 1 + 4 * 3


@pytest.mark.slurm
def test_slurm_gives_the_same_as_this_machine(whole: tuple[Path, Path, float], tmp_path: Path) -> None:
    lacking = private_slurm.missing()
    if lacking or os.getuid() != 0:
        pytest.skip(f"needs root and Debian's slurm-wlm and munge; not installed: {', '.join(lacking) or 'nothing'}")
    study, undisturbed, _ = whole
    out = undisturbed.with_name("slurm")
    with private_slurm.private_slurm(tmp_path / "slurm") as environment:
        where = ("--executor", "slurm", "--jobs", "4", "--first-look", "2")
        toy_study.run(study, out, *where, environment=environment, seconds=1400)
    assert toy_study.results(out) == toy_study.results(undisturbed)
    jobs = {path.name for path in (out / "jobs").glob("*/*.done") if path.parent.name != "table"}
    assert {f"{path.parent.name}.done" for path in (out / "logs/slurm").glob("*/*/*.log")} == jobs, "not all ran there"
    assert len(jobs) == 6
