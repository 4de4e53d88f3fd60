"""Trainings that are killed go on as if they had not been; trainings that are asked to stop save first."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pathosynth.diffusion import checkpoint
from pathosynth.diffusion.distributed import EXIT_CODE_STOPPED, STOP_SIGNALS, Rank, stop_agreed, stop_signals

SCRIPT = Path(__file__).with_name("tiny_training.py")


def start(*arguments: object) -> subprocess.Popen:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, str(SCRIPT), *map(str, arguments)], env=environment, stdout=subprocess.PIPE
    )


def curve(folder: Path) -> dict[str, set[str]]:
    """Step to all losses ever seen there; one that was cut off by the kill has no end of line."""
    lines = (folder / "curve-0.txt").read_text().splitlines(keepends=True)
    found: dict[str, set[str]] = {}
    for line in lines:
        if line.endswith("\n"):
            step, loss = line.strip().split(" ", 1)
            found.setdefault(step, set()).add(loss)
    return found


@pytest.mark.parametrize(
    ("kills", "in_write"),
    [pytest.param(3, 1, id="3 kills"), pytest.param(20, 5, id="20 kills", marks=pytest.mark.slow)],
)
def test_killed_training_ends_with_the_same_losses_and_weights(tmp_path, kills, in_write):
    process = start("kill", tmp_path, kills, in_write, 0)
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 0
    result = json.loads(output)
    assert result["between writes"] + result["in write"] >= kills
    assert result["in write"] >= in_write
    assert len(result["digests"]) >= 2  # the untouched one and the killed ones
    assert len(set(result["digests"])) == 1
    expected = curve(tmp_path / "untouched")
    assert len(expected) == 40
    assert all(len(losses) == 1 for losses in expected.values())
    for folder in tmp_path.glob("run-*"):
        assert curve(folder) == expected


def test_signal_saves_at_the_step_boundary_and_exits_with_the_known_code(tmp_path):
    process = start("run", tmp_path, 100_000, 1, 0.1)
    while not (tmp_path / "curve-0.txt").exists() or not (tmp_path / "curve-0.txt").stat().st_size:
        time.sleep(0.02)
        assert process.poll() is None
    process.send_signal(signal.SIGUSR1)
    assert process.wait(timeout=60) == EXIT_CODE_STOPPED == 75
    assert checkpoint.load_latest(tmp_path).step == len(curve(tmp_path))


@pytest.mark.parametrize("number", STOP_SIGNALS)
def test_flag_is_set_within_the_block_only(number):
    before = signal.getsignal(number)
    with stop_signals() as flag:
        assert not stop_agreed(flag, Rank())
        os.kill(os.getpid(), number)
        assert flag.name == signal.Signals(number).name
        assert stop_agreed(flag, Rank())
    assert signal.getsignal(number) is before
