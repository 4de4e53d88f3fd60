"""The training loop: a generator that yields after every step.

Logging, saving, validation and stopping are plain code in the caller's `for`. Nothing here has a memory of its own:
batch, noise, time and dropout of a step are functions of (seed, step, slot), so a run resumed from a checkpoint is
bitwise the run that was never interrupted (same machine, same number of threads).
"""

import contextlib
import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, TypeVar

import torch
from torch import Tensor, nn

from pathosynth.diffusion.distributed import Rank, bare, mean_over_ranks
from pathosynth.diffusion.ema import Ema
from pathosynth.diffusion.randomness import generator
from pathosynth.runs.errors import ConfigError, TrainingError
from pathosynth.runs.seeds import derived_seed

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
        optimizer: its rate is set at every step.
        batch_at: batch of (step, slot), a pure function; see `case_names` for how errors can name its cases.
        loss_of: mean loss of a batch; the CPU generator is that of (seed, step, slot) and gives times and noise.
        start_step: steps finished before.
        steps: steps finished in the end.
        learning_rate: rate for a step counted from 0.
        seed: the run's seed.
        ema: updated after each step from the bare model.
        gradient_clip: largest length of the gradient; longer ones are scaled down. None: no bound.
        accumulate: slots per rank and step; their gradients are averaged.
        precision: "bf16" computes the loss under autocast; weights, optimiser and EMA stay in float32.
        rank: this process among the others; None: alone, on the model's device.

    Raises:
        TrainingError: loss or gradient are not finite; the weights are those before the step.
    """
    _check(accumulate, precision, start_step, steps)
    rank = rank or Rank(device=next(model.parameters()).device)
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    model.train()
    for step in range(start_step, steps):
        began = time.perf_counter()
        rate = learning_rate(step)
        _prepare(optimizer, rate)
        loss, cases = _add_gradients(model, batch_at, loss_of, _Place(seed, step, accumulate, precision, rank))
        norm = nn.utils.clip_grad_norm_(parameters, float("inf") if gradient_clip is None else gradient_clip)
        loss_value, norm_value = _finite(torch.stack([mean_over_ranks(loss, rank), norm.to(loss)]), step, cases)
        optimizer.step()
        if ema is not None:
            ema.update(bare(model))
        yield StepResult(step + 1, loss_value, norm_value, rate, time.perf_counter() - began)


def case_names(batch: object) -> list[str]:
    """Names of the cases in a batch, for messages: its key or attribute `cases`, or nothing."""
    cases = batch.get("cases") if isinstance(batch, Mapping) else getattr(batch, "cases", None)
    return [cases] if isinstance(cases, str) else [str(case) for case in cases or []]


def _prepare(optimizer: torch.optim.Optimizer, rate: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = rate
    optimizer.zero_grad(set_to_none=True)


@dataclass(frozen=True)
class _Place:
    """Where in the training a step is and how it computes."""

    seed: int
    step: int
    accumulate: int
    precision: Precision
    rank: Rank


def _add_gradients(
    model: nn.Module,
    batch_at: Callable[[int, int], Batch],
    loss_of: Callable[[nn.Module, Batch, torch.Generator], Tensor],
    place: _Place,
) -> tuple[Tensor, list[str]]:
    """Forward and backward through this rank's slots; their mean loss and the names of their cases."""
    seed, step, device = place.seed, place.step, place.rank.device
    slots = place.rank.slots(place.accumulate)
    total, cases = torch.zeros((), device=device), []
    for slot in slots:
        batch = batch_at(step, slot)
        cases += case_names(batch)
        with _synchronised(model, last=slot == slots[-1]), _own_random_state(device, seed, step, slot):
            with torch.autocast(device.type, dtype=torch.bfloat16, enabled=place.precision == "bf16"):
                loss = loss_of(model, batch, generator(seed, "loss", step, slot)).float() / place.accumulate
            loss.backward()  # type: ignore[no-untyped-call]
        total += loss.detach()
    return total, cases


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


def _finite(numbers: Tensor, step: int, names: list[str]) -> tuple[float, float]:
    """Loss and gradient length as numbers, one transfer from the device.

    Raises:
        TrainingError: one of them is not finite.
    """
    loss, norm = numbers.tolist()
    if not (math.isfinite(loss) and math.isfinite(norm)):
        cases = ", ".join(names) or "not named by the batch"
        raise TrainingError(
            f"Step {step}: loss {loss:g}, gradient length {norm:g}; both must be finite. Cases on this rank: {cases}. "
            "Look at these cases, or lower the learning rate, and start again: the last checkpoint is intact."
        )
    return loss, norm


def _check(accumulate: int, precision: str, start_step: int, steps: int) -> None:
    if accumulate < 1 or start_step < 0 or steps < 0:
        raise ConfigError(
            f"Training: expected accumulate of at least 1 and no negative step, found accumulate={accumulate}, "
            f"start_step={start_step}, steps={steps}."
        )
    if precision not in ("fp32", "bf16"):
        raise ConfigError(f"Precision '{precision}' is unknown. Expected 'fp32' or 'bf16'.")
