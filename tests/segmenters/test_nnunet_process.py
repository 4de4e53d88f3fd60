"""Processes: nothing outlives the block that started it. A tiny program stands for nnU-Net."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pathosynth.segmenters.nnunet import process
from pathosynth.segmenters.nnunet.places import PROGRAM

FAMILY = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
print(child.pid, flush=True)
time.sleep(60)
"""


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text().split(")")[1].split()[0] != "Z"


def gone(pid: int, seconds: float = 10.0) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if not alive(pid):
            return True
        time.sleep(0.05)
    return False


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_an_interrupted_command_takes_its_children_along() -> None:
    pids = []

    def interrupted() -> None:
        with process._process([sys.executable, "-c", FAMILY], dict(os.environ)) as started:
            pids.extend([started.pid, int((started.stdout or []).readline())])
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert all(gone(pid) for pid in pids)


PARENT = """
import subprocess, sys, time
words = [sys.executable, sys.argv[1], "signal:pause"]
print(subprocess.Popen(words, start_new_session=True).pid, flush=True)
time.sleep(60)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_nnunet_does_not_outlive_a_program_that_was_killed() -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(PROGRAM / "launch.py")], stdout=subprocess.PIPE, encoding="utf-8"
    )
    assert parent.stdout is not None
    with parent.stdout:
        pid = int(parent.stdout.readline())
    time.sleep(2)
    assert alive(pid)
    parent.kill()
    parent.wait()
    assert gone(pid, 60)


def test_the_end_of_a_log_is_what_was_said_last(tmp_path: Path) -> None:
    log = tmp_path / "log.txt"
    log.write_text("\n".join(f"line {number}" for number in range(1000)) + "\n\n")
    assert process.tail(log).endswith("line 999")
    assert len(process.tail(log)) < 5000
    assert process.tail(tmp_path / "none.txt") == ""
