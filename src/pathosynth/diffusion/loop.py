"""The training loop: a generator that yields after every step.

Logging, saving, validation and stopping are plain code in the caller's `for`. Nothing here has a memory of its own:
batch, noise, time and dropout of a step are functions of (seed, step, slot), so a run resumed from a checkpoint is
bitwise the run that was never interrupted (same machine, same number of threads).
"""

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

import torch
from torch import Tensor, nn

from pathosynth.diffusion.distributed import Rank, bare, mean_over_ranks
from pathosynth.diffusion.ema import Ema
from pathosynth.diffusion.randomness import derived_seed, generator
from pathosynth.runs.errors import ConfigError, TrainingError

Batch = TypeVar("Batch")
Precision = Literal["fp32", "bf16"]


@dataclass(frozen=True)
class StepResult:
    """What one step did.

    Attributes:
        step: steps finished so far; save under this number and resume with it as `start_step`.
        loss: mean over all slots of all ranks.
        grad_norm: length of the whole gradient before clipping.
        learning_rate: the rate that was used.
        seconds: wall-clock time of the step.
    """

    step: int
    loss: float
    grad_norm: float
    learning_rate: float
    seconds: float


def train_steps(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    batch_at: Callable[[int, int], Batch],
    loss_of: Callable[[nn.Module, Batch, torch.Generator], Tensor],
    *,
    start_step: int = 0,
    steps: int,
    learning_rate: Callable[[int], float],
    seed: int = 0,
    ema: Ema | None = None,
    gradient_clip: float | None = None,
    accumulate: int = 1,
    precision: Precision = "fp32",
    rank: Rank | None = None,
) -> Iterator[StepResult]:
    """Train from `start_step` to `steps`, yielding after each step.

    Args:
        model: on the rank's device already (`distributed.wrap`).
        optimizer: its learning rate is set by `learning_rate` at every step.
        batch_at: batch of (step, slot): a pure function, see `randomness`. A batch that is a mapping with the key
            "cases" or has an attribute `cases` is named by them in error messages.
        loss_of: mean loss of a batch; the CPU generator is that of (seed, step, slot) and gives times and noise.
        start_step: number of steps finished before.
        steps: total number of steps when done.
        learning_rate: rate for a step counted from 0.
        seed: the run's seed.
        ema: updated after each step from the bare model.
        gradient_clip: largest length of the gradient; longer ones are scaled down. None: no bound.
        accumulate: slots per rank and step; their gradients are averaged.
        precision: "bf16" computes the loss under autocast; weights, optimiser and EMA stay in float32.
        rank: this process among the others; None for a single process on the model's device.

    Raises:
        TrainingError: loss or gradient are not finite; the weights are those before the step.
    """
    _check(accumulate, precision, start_step, steps)
    rank = rank or Rank(device=next(model.parameters()).device)
    slots = rank.slots(accumulate)
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    model.train()
    for step in range(start_step, steps):
        began = time.perf_counter()
        rate = learning_rate(step)
        for group in optimizer.param_groups:
            group["lr"] = rate
        optimizer.zero_grad(set_to_none=True)
        total = torch.zeros((), device=rank.device)
        names: list[str] = []
        for slot in slots:
            batch = batch_at(step, slot)
            names += case_names(batch)
            with _synchronised(model, last=slot == slots[-1]), _own_random_state(rank.device, seed, step, slot):
                loss = _loss(model, batch, loss_of, generator(seed, "loss", step, slot), rank.device, precision)
                (loss / accumulate).backward()  # type: ignore[no-untyped-call]
            total += loss.detach() / accumulate
        norm = nn.utils.clip_grad_norm_(parameters, float("inf") if gradient_clip is None else gradient_clip)
        numbers = torch.stack([mean_over_ranks(total, rank), norm.to(total)])
        _require_finite(numbers, step, names)
        optimizer.step()
        if ema is not None:
            ema.update(bare(model))
        loss_value, norm_value = numbers.tolist()
        yield StepResult(step + 1, loss_value, norm_value, rate, time.perf_counter() - began)


def case_names(batch: object) -> list[str]:
    """Names of the cases in a batch, for messages: its key or attribute `cases`, or nothing."""
    cases = batch.get("cases") if isinstance(batch, Mapping) else getattr(batch, "cases", None)
    return [cases] if isinstance(cases, str) else [str(case) for case in cases or []]


def _loss(
    model: nn.Module,
    batch: Any,
    loss_of: Callable[[nn.Module, Any, torch.Generator], Tensor],
    draws: torch.Generator,
    device: torch.device,
    precision: Precision,
) -> Tensor:
    with torch.autocast(device.type, dtype=torch.bfloat16, enabled=precision == "bf16"):
        return loss_of(model, batch, draws).float()


@contextlib.contextmanager
def _own_random_state(device: torch.device, seed: int, step: int, slot: int) -> Iterator[None]:
    """Make layers that draw from torch's global generator (dropout) draw by (seed, step, slot); put it back after."""
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(derived_seed(seed, "layers", step, slot))
        yield


def _synchronised(model: nn.Module, last: bool) -> contextlib.AbstractContextManager[None]:
    """Exchange gradients between ranks only after the last slot of a step."""
    if last or not isinstance(model, nn.parallel.DistributedDataParallel):
        return contextlib.nullcontext()
    return model.no_sync()


def _require_finite(numbers: Tensor, step: int, names: list[str]) -> None:
    loss, norm = numbers.tolist()
    if not bool(torch.isfinite(numbers).all()):
        cases = ", ".join(names) or "not named by the batch"
        raise TrainingError(
            f"Step {step}: loss {loss:g}, gradient length {norm:g}; both must be finite. Cases on this rank: {cases}. "
            "Look at these cases, or lower the learning rate, and start again: the last checkpoint is intact."
        )


def _check(accumulate: int, precision: str, start_step: int, steps: int) -> None:
    if accumulate < 1 or start_step < 0 or steps < 0:
        raise ConfigError(
            f"Training: expected accumulate of at least 1 and no negative step, found accumulate={accumulate}, "
            f"start_step={start_step}, steps={steps}."
        )
    if precision not in ("fp32", "bf16"):
        raise ConfigError(f"Precision '{precision}' is unknown. Expected 'fp32' or 'bf16'.")
