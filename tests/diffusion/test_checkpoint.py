"""Checkpoints: exact, atomic, and never silently damaged."""

import errno
import hashlib
import json
import os
import random
import resource
import shutil
from pathlib import Path

import pytest
import torch
from torch import nn

from pathosynth.diffusion import checkpoint
from pathosynth.runs.errors import ModelError, TrainingError


def parts(value: float, size: int = 300) -> checkpoint.Parts:
    return {"model": {"w": torch.full((size,), value), "n": torch.tensor(3)}, "ema": {"w": torch.full((size,), -value)}}


def saved_twice(folder: Path) -> tuple[Path, Path]:
    older = checkpoint.save(folder, 10, parts(1.0), {"loss": 0.1})
    return older, checkpoint.save(folder, 20, parts(2.0), {"loss": 0.2})


def test_everything_comes_back_exactly(tmp_path):
    g = torch.Generator().manual_seed(0)
    tensors = {
        "model": {
            "weight": torch.randn(4, 3, 2, 2, 2, generator=g).to(memory_format=torch.channels_last_3d),
            "half": torch.randn(5, generator=g).bfloat16(),
            "count": torch.tensor(2**40 + 1),
            "empty": torch.zeros(0, 3),
        }
    }
    tensors["model"]["tied"] = tensors["model"]["weight"]
    state = {"rate": 0.1 + 0.2, "name": "Größe", "none": None, "list": [1, 2.5, True], "big": 2**60}
    checkpoint.save(tmp_path, 123, tensors, state)
    found = checkpoint.load_latest(tmp_path)
    assert found.step == 123
    assert found.path.name == "step-00000123"
    assert found.state == state
    assert found.tensors["model"].keys() == tensors["model"].keys()
    for name, value in tensors["model"].items():
        assert found.tensors["model"][name].dtype == value.dtype
        assert torch.equal(found.tensors["model"][name], value)


def test_no_checkpoint_is_none_and_the_newest_are_kept(tmp_path):
    assert checkpoint.load_latest(tmp_path / "nothing") is None
    for step in (1, 2, 30, 100):
        checkpoint.save(tmp_path, step, parts(step), {}, keep=2)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["step-00000030", "step-00000100"]
    assert checkpoint.load_latest(tmp_path).step == 100


def test_saving_a_step_again_replaces_it(tmp_path):
    checkpoint.save(tmp_path, 5, parts(1.0), {"try": 1})
    checkpoint.save(tmp_path, 5, parts(2.0), {"try": 2})
    found = checkpoint.load_latest(tmp_path)
    assert found.state == {"try": 2}
    assert float(found.tensors["model"]["w"][0]) == 2.0


def test_damaged_later_steps_do_not_push_out_new_ones(tmp_path):
    for step in (10, 20, 30):
        checkpoint.save(tmp_path, step, parts(step), {}, keep=3)
    for step in (20, 30):
        (tmp_path / f"step-000000{step}" / "state.json").unlink()
    assert checkpoint.load_latest(tmp_path).step == 10
    checkpoint.save(tmp_path, 15, parts(15), {}, keep=2)
    assert checkpoint.load_latest(tmp_path).step == 15
    checkpoint.save(tmp_path, 20, parts(20), {}, keep=2)
    assert checkpoint.load_latest(tmp_path).step == 20
    assert not (tmp_path / "step-00000010").exists()


@pytest.mark.parametrize("seed", range(40))
def test_one_flipped_bit_anywhere_is_noticed(tmp_path, seed, caplog):
    older, newer = saved_twice(tmp_path)
    draw = random.Random(seed)
    files = sorted(newer.iterdir())
    damaged = files[seed % len(files)]
    content = bytearray(damaged.read_bytes())
    content[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
    damaged.write_bytes(content)
    found = checkpoint.load_latest(tmp_path)
    assert found.path == older
    assert found.state == {"loss": 0.1}
    assert float(found.tensors["ema"]["w"][0]) == -1.0
    assert str(damaged) in caplog.text


@pytest.mark.parametrize("name", ["model.safetensors", "ema.safetensors", "state.json", "MANIFEST.json"])
@pytest.mark.parametrize("damage", ["missing", "empty", "one byte short", "one byte long"])
def test_missing_and_cut_files_are_noticed(tmp_path, name, damage, caplog):
    older, newer = saved_twice(tmp_path)
    content = (newer / name).read_bytes()
    (newer / name).unlink()
    if damage != "missing":
        changed = {"empty": b"", "one byte short": content[:-1], "one byte long": content + b" "}
        (newer / name).write_bytes(changed[damage])
    assert checkpoint.load_latest(tmp_path).path == older
    assert str(newer / name) in caplog.text


def test_all_damaged_is_an_error_not_a_fresh_start(tmp_path):
    for path in saved_twice(tmp_path):
        (path / "state.json").write_text("{}")
    with pytest.raises(ModelError, match=r"no checkpoint is intact.*step-00000020.*step-00000010"):
        checkpoint.load_latest(tmp_path)


def test_leftovers_of_a_killed_write_are_ignored_and_cleared(tmp_path):
    _, newer = saved_twice(tmp_path)
    leftover = tmp_path / f"{checkpoint.UNFINISHED}step-00000030"
    shutil.copytree(newer, leftover)
    assert checkpoint.load_latest(tmp_path).path == newer
    checkpoint.save(tmp_path, 30, parts(3.0), {})
    assert not leftover.exists()
    assert checkpoint.load_latest(tmp_path).step == 30


def test_manifest_lists_every_file_with_its_own_hash(tmp_path):
    path = checkpoint.save(tmp_path, 1, parts(1.0), {})
    files = json.loads((path / "MANIFEST.json").read_text())["content"]["files"]
    assert set(files) == {p.name for p in path.iterdir()} - {"MANIFEST.json"}
    for name, entry in files.items():
        content = (path / name).read_bytes()
        assert entry == {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}


@pytest.fixture
def _small_files():
    """No file of this process may grow beyond 200 kB: writing then fails as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.usefixtures("_small_files")
@pytest.mark.parametrize("part", ["model", "state"])
def test_failed_write_leaves_the_checkpoint_before_intact(tmp_path, part):
    _, newer = saved_twice(tmp_path)
    tensors, state = parts(3.0, 60_000 if part == "model" else 10), {"text": "x" * 300_000} if part == "state" else {}
    with pytest.raises(TrainingError, match=r"step-00000030: the checkpoint could not be written.*are intact.*disk"):
        checkpoint.save(tmp_path, 30, tensors, state)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["step-00000010", "step-00000020"]
    assert checkpoint.load_latest(tmp_path).path == newer


def test_disk_that_fills_up_while_flushing_leaves_the_checkpoint_before_intact(tmp_path, monkeypatch):
    _, newer = saved_twice(tmp_path)

    def full(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(TrainingError, match="No space left on device"):
        checkpoint.save(tmp_path, 30, parts(3.0), {})
    monkeypatch.undo()
    assert checkpoint.load_latest(tmp_path).path == newer


def test_too_little_space_is_known_before_writing(tmp_path, monkeypatch):
    _, newer = saved_twice(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10**9, 10**9 - 1000, 1000))
    with pytest.raises(TrainingError, match=r"it needs [\d.]+ MB, the disk has 0\.0 MB left"):
        checkpoint.save(tmp_path, 30, parts(3.0), {})
    assert checkpoint.load_latest(tmp_path).path == newer


@pytest.mark.parametrize("kind", ["adamw", "sgd"])
def test_optimiser_goes_on_bitwise(tmp_path, kind):
    def start():
        torch.manual_seed(0)
        model = nn.Conv3d(2, 3, 3).to(memory_format=torch.channels_last_3d)
        if kind == "sgd":
            return model, torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
        groups = [{"params": [model.weight], "weight_decay": 0.01}, {"params": [model.bias], "weight_decay": 0.0}]
        return model, torch.optim.AdamW(groups, lr=0.01, betas=(0.9, 0.98))

    def steps(model, optimizer, which):
        for i in which:
            x = torch.randn(2, 2, 5, 5, 5, generator=torch.Generator().manual_seed(i))
            optimizer.zero_grad()
            model(x).square().mean().backward()
            optimizer.step()

    model, optimizer = start()
    steps(model, optimizer, range(5))
    tensors, state = checkpoint.optimizer_parts(optimizer)
    checkpoint.save(tmp_path, 5, {"model": model.state_dict(), "optimizer": tensors}, {"optimizer": state})
    steps(model, optimizer, range(5, 9))

    resumed, other = start()
    found = checkpoint.load_latest(tmp_path)
    resumed.load_state_dict(found.tensors["model"])
    checkpoint.load_optimizer(other, found.tensors["optimizer"], found.state["optimizer"])
    for values in other.state.values():
        assert all(v.stride() == resumed.weight.stride() for v in values.values() if v.ndim == 5)
    assert other.param_groups[0].keys() == optimizer.param_groups[0].keys()
    steps(resumed, other, range(5, 9))
    for mine, theirs in zip(resumed.parameters(), model.parameters(), strict=True):
        assert torch.equal(mine, theirs)


def test_optimiser_of_another_model_is_refused():
    small, large = nn.Linear(2, 2), nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    tensors, state = checkpoint.optimizer_parts(torch.optim.AdamW(small.parameters()))
    with pytest.raises(ModelError, match="optimiser does not fit"):
        checkpoint.load_optimizer(torch.optim.AdamW(large.parameters()), tensors, state)
