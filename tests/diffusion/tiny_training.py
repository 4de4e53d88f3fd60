"""A whole training in a few seconds, for the tests that interrupt it. Also run as a script:

python tiny_training.py run FOLDER STEPS ACCUMULATE DROPOUT    one training, under torchrun or alone
python tiny_training.py kill FOLDER KILLS IN_WRITE SEED        one left alone, others killed and resumed
"""

import hashlib
import json
import os
import random
import signal
import sys
import time
from pathlib import Path

import torch
from torch import nn

from pathosynth.diffusion import checkpoint, distributed
from pathosynth.diffusion.ema import Ema
from pathosynth.diffusion.loop import train_steps
from pathosynth.diffusion.objective import noised, target
from pathosynth.diffusion.randomness import generator
from pathosynth.diffusion.schedule import cosine

SCHEDULE = cosine()
KILLED_STEPS = 40


def build(dropout: float = 0.1) -> nn.Module:
    torch.manual_seed(0)
    layers = (
        nn.Conv3d(1, 8, 3, padding=1),
        nn.GroupNorm(2, 8),
        nn.SiLU(),
        nn.Dropout(dropout),
        nn.Conv3d(8, 1, 3, padding=1),
    )
    return nn.Sequential(*layers)


def batch_at(step: int, slot: int) -> dict:
    images = torch.randn(2, 1, 6, 6, 6, generator=generator(1, "batch", step, slot))
    return {"image": images, "cases": [f"case-{step}-{slot}-{i}" for i in range(2)]}


def loss_of(model: nn.Module, batch: dict, draws: torch.Generator) -> torch.Tensor:
    x0 = batch["image"]
    t, eps = SCHEDULE.place(torch.rand(len(x0), generator=draws)), torch.randn(x0.shape, generator=draws)
    return (model(noised(SCHEDULE, x0, eps, t)) - target("v", SCHEDULE, x0, eps, t)).square().mean()


def learning_rate(step: int) -> float:
    return 1e-2 / (1 + step / 10)


def train(
    folder: Path, steps: int, accumulate: int = 2, *, every: int = 3, ballast: int = 0, dropout: float = 0.1
) -> int:
    """Train, resuming from what is in `folder`; loss curve in curve.txt as exact hexadecimal numbers."""
    rank = distributed.setup("cpu")
    model = build(dropout)
    ema, optimizer = Ema(model, 0.99), torch.optim.AdamW(model.parameters(), lr=0.0)
    found, start, stopping = checkpoint.load_latest(folder), 0, False
    if found is not None:
        model.load_state_dict(found.tensors["model"])
        ema.load_state_dict(found.tensors["ema"], found.state["ema_updates"])
        checkpoint.load_optimizer(optimizer, found.tensors["optimizer"], found.state["optimizer"])
        start = found.step
    results = train_steps(
        distributed.wrap(model, rank), optimizer, batch_at, loss_of, start_step=start, steps=steps, seed=5, ema=ema,
        learning_rate=learning_rate, gradient_clip=1.0, accumulate=accumulate, rank=rank,
    )  # fmt: skip
    with distributed.stop_signals() as flag, (folder / f"curve-{rank.rank}.txt").open("ab", buffering=0) as curve:
        for result in results:
            curve.write(f"{result.step} {result.loss.hex()} {result.grad_norm.hex()}\n".encode())
            stopping = distributed.stop_agreed(flag, rank)
            if rank.is_writer and (stopping or result.step % every == 0 or result.step == steps):
                tensors, state = checkpoint.optimizer_parts(optimizer)
                parts = {"model": model.state_dict(), "ema": ema.state_dict(), "optimizer": tensors}
                parts["ballast"] = {"zeros": torch.zeros(ballast)}  # makes the write long enough to be hit
                checkpoint.save(folder, result.step, parts, {"ema_updates": ema.updates, "optimizer": state})
            if stopping:
                break
    distributed.teardown()
    return distributed.EXIT_CODE_STOPPED if stopping else 0


def digest(folder: Path) -> str:
    """SHA-256 over all tensors of the last checkpoint."""
    found = checkpoint.load_latest(folder)
    whole = hashlib.sha256()
    for part, named in sorted(found.tensors.items()):
        for name, value in sorted(named.items()):
            whole.update(f"{part}/{name}".encode() + value.numpy().tobytes())
    return whole.hexdigest()


def in_child(folder: Path) -> int:
    """Train in a forked process; torch is imported already but has not computed anything, so forking is safe."""
    folder.mkdir(parents=True, exist_ok=True)
    pid = os.fork()
    if pid == 0:
        os._exit(train(folder, KILLED_STEPS, every=5, ballast=500_000))
    return pid


def ended(pid: int) -> bool:
    """Whether the training is over; it must have ended well."""
    found, status = os.waitpid(pid, os.WNOHANG)
    if found and status:
        raise SystemExit(f"a resumed training failed with status {status}")
    return found != 0


def being_written(folder: Path) -> list[Path]:
    """Unfinished checkpoints that are not marked as left over from an earlier kill."""
    return [path for path in folder.glob(f"{checkpoint.UNFINISHED}step-*") if not (path / "left-over").exists()]


def wait_for_write(pid: int, folder: Path) -> bool:
    """Until a checkpoint is being written; False if the training ended before."""
    while not ended(pid):
        if being_written(folder):
            return True
        time.sleep(0.0005)
    return False


def kill(folder: Path, kills: int, in_write: int, seed: int) -> dict:
    """Kill trainings with SIGKILL: two of three times after a random time, else while a checkpoint is being written."""
    weight = nn.Parameter(torch.zeros(1))
    weight.grad = torch.zeros(1)
    torch.optim.AdamW([weight]).step()  # imports, once, what every training would import again
    draw, began = random.Random(seed), time.perf_counter()
    os.waitpid(in_child(folder / "untouched"), 0)
    whole = time.perf_counter() - began
    killed = {"between writes": 0, "in write": 0}
    run = attempt = 0
    while sum(killed.values()) < kills or killed["in write"] < in_write:
        attempt += 1
        current = folder / f"run-{run}"
        pid = in_child(current)
        if attempt % 3:
            time.sleep(draw.uniform(0, 0.7 * whole))
            over = ended(pid)
        else:
            over = not wait_for_write(pid, current)
            time.sleep(draw.uniform(0, 0.01))
        if over:
            run += 1
            continue
        os.kill(pid, signal.SIGKILL)
        if os.WIFSIGNALED(os.waitpid(pid, 0)[1]):
            unfinished = being_written(current)
            killed["in write" if unfinished else "between writes"] += 1
            for path in unfinished:
                (path / "left-over").touch()
    os.waitpid(in_child(folder / f"run-{run}"), 0)
    return {**killed, "digests": [digest(path) for path in sorted(folder.iterdir())]}


if __name__ == "__main__":
    torch.set_num_threads(1)
    target_folder = Path(sys.argv[2])
    if sys.argv[1] == "kill":
        print(json.dumps(kill(target_folder, *map(int, sys.argv[3:]))))
    else:
        sys.exit(train(target_folder, *map(int, sys.argv[3:5]), dropout=float(sys.argv[5])))
