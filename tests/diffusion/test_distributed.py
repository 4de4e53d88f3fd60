"""Two ranks train what one rank trains."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import tiny_training
import torch

from pathosynth.diffusion import checkpoint
from pathosynth.diffusion.distributed import EXIT_CODE_STOPPED, Rank, bare, setup, wrap
from pathosynth.runs.errors import ConfigError

SCRIPT = Path(__file__).with_name("tiny_training.py")


def torchrun(folder: Path, steps: int) -> subprocess.Popen:
    """Two processes on this machine, one slot each."""
    folder.mkdir()
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    arguments = [str(SCRIPT), "run", str(folder), str(steps), "1", "0.1"]
    return subprocess.Popen([*command, *arguments], env=environment, stderr=subprocess.PIPE, text=True)


def test_slots_are_dealt_out_once():
    for world_size, accumulate in ((1, 1), (1, 4), (3, 2), (4, 1)):
        dealt = [slot for rank in range(world_size) for slot in Rank(rank, world_size).slots(accumulate)]
        assert sorted(dealt) == list(range(world_size * accumulate))


def test_alone_nothing_is_wrapped(monkeypatch):
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK"):
        monkeypatch.delenv(name, raising=False)
    rank, model = setup("cpu"), torch.nn.Linear(1, 1)
    assert rank == Rank(0, 1, 0, torch.device("cpu"))
    assert wrap(model, rank) is model
    assert bare(model) is model
    assert not torch.distributed.is_initialized()


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_gpu_that_is_not_there_is_refused():
    with pytest.raises(ConfigError, match="no usable CUDA GPU"):
        setup("cuda")


@pytest.mark.parametrize("name", ["tpu", "cuda:x", "cpu0"])
def test_a_device_that_does_not_exist_is_refused(name):
    with pytest.raises(ConfigError, match=f"Device '{name}': expected cpu, cuda, cuda:N or mps"):
        setup(name)


def test_two_ranks_with_one_slot_are_one_rank_with_two(tmp_path):
    process = torchrun(tmp_path / "two", 6)
    (tmp_path / "one").mkdir()
    tiny_training.train(tmp_path / "one", 6, accumulate=2)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    one, two = (checkpoint.load_latest(tmp_path / name) for name in ("one", "two"))
    start = tiny_training.build().state_dict()
    for part in ("model", "ema", "optimizer"):
        for name, expected in one.tensors[part].items():
            torch.testing.assert_close(two.tensors[part][name], expected, rtol=1e-4, atol=1e-6)
    assert all(not torch.equal(start[name], value) for name, value in one.tensors["model"].items())
    losses = [(tmp_path / "two" / f"curve-{rank}.txt").read_text() for rank in (0, 1)]
    assert losses[0] == losses[1]


@pytest.mark.slow
def test_signal_to_one_rank_stops_both_after_the_same_step(tmp_path):
    folder = tmp_path / "two"
    process = torchrun(folder, 100_000)
    while not (folder / "curve-1.txt").exists() or not (folder / "curve-1.txt").stat().st_size:
        time.sleep(0.02)
        assert process.poll() is None
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    os.kill(int(children[-1]), signal.SIGUSR1)
    _, errors = process.communicate(timeout=120)
    assert f"exitcode  : {EXIT_CODE_STOPPED}" in errors
    curves = [(folder / f"curve-{rank}.txt").read_text().splitlines() for rank in (0, 1)]
    assert curves[0] == curves[1]
    assert checkpoint.load_latest(folder).step == len(curves[0])
