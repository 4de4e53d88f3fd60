"""Training in phases, one network after the other: checkpoints, resuming and the running average, written once.

A phase begins when the one before has ended; what it needs of that one (an autoencoder for the latents) it gets as the
averaged weights. Steps are counted through, so that a caller sees one training.
"""

import logging
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from pathosynth.diffusion import checkpoint
from pathosynth.diffusion.distributed import Rank, wrap
from pathosynth.diffusion.ema import Ema
from pathosynth.diffusion.loop import StepResult, train_steps
from pathosynth.diffusion.optimisation import Optimisation
from pathosynth.diffusion.precision import channels_last, use_bf16
from pathosynth.runs.errors import ModelError
from pathosynth.runs.seeds import derived_seed

logger = logging.getLogger(__name__)

CHECKPOINTS = "checkpoints"

Weights = dict[str, Tensor]


@dataclass(frozen=True)
class Ready:
    """What a phase trains on, once it has begun.

    Attributes:
        batch_at: batch of (step, slot), see `loop.train_steps`.
        loss_of: mean loss of a batch.
    """

    batch_at: Callable[[int, int], Any]
    loss_of: Callable[[nn.Module, Any, torch.Generator], Tensor]


@dataclass(frozen=True)
class Phase:
    """One network and how it is trained.

    Attributes:
        name: folder of its checkpoints; also seeds its weights and draws.
        settings: optimiser, steps, precision.
        build: a network with fresh weights.
        begin: called when the phase begins, with the averaged weights of the phases before by name.
    """

    name: str
    settings: Optimisation
    build: Callable[[], nn.Module]
    begin: Callable[[Mapping[str, Weights]], Ready]


@dataclass(frozen=True)
class Training:
    """What all phases of one training share.

    Attributes:
        out: model folder; checkpoints lie in ``checkpoints/PHASE``.
        identity: JSON values that a checkpoint must agree with to be gone on from.
        seed: decides initial weights, batches, noise and times.
        rank: this process among several, and its device.
        checkpoint_every: steps between checkpoints.
        stop: asked after every step; true asks for a checkpoint now, because the caller is about to leave.
    """

    out: Path
    identity: dict[str, Any]
    seed: int
    rank: Rank
    checkpoint_every: int = 250
    stop: Callable[[], bool] = lambda: False


def train_phases(phases: Sequence[Phase], training: Training) -> Generator[StepResult, None, dict[str, Weights]]:
    """Train every phase that is not finished, step by step.

    A folder that holds checkpoints of the same identity goes on from there, with the same losses and final weights as
    an uninterrupted run (bit for bit on the CPU).

    Yields:
        the result of each step, counted through the phases.

    Returns:
        The averaged weights by phase: `weights = yield from train_phases(...)`.

    Raises:
        ModelError: a checkpoint belongs to other settings.
        TrainingError: a loss or a gradient is no longer finite.
    """
    finished: dict[str, Weights] = {}
    offset = 0
    for phase in phases:
        state = _begin(phase, training)
        if state.start < phase.settings.steps:
            for result in _train(phase, state, phase.begin(finished), training):
                yield replace(result, step=offset + result.step)
        finished[phase.name] = {name: value.clone() for name, value in state.ema.tensors.items()}
        offset += phase.settings.steps
    return finished


@dataclass(frozen=True)
class _State:
    network: nn.Module
    optimizer: torch.optim.Optimizer
    ema: Ema
    start: int
    bf16: bool


def _begin(phase: Phase, training: Training) -> _State:
    """Fresh weights, or those of the newest checkpoint that verifies."""
    settings, device = phase.settings, training.rank.device
    torch.manual_seed(derived_seed(training.seed, "weights", phase.name))
    network = phase.build().to(device)
    bf16 = use_bf16(settings.precision, device)
    if device.type == "cpu" and bf16:
        channels_last(network)
    optimizer = torch.optim.AdamW(
        network.parameters(), settings.learning_rate, (0.9, 0.98), weight_decay=settings.weight_decay
    )
    ema = Ema(network, settings.ema_decay)
    return _State(network, optimizer, ema, _resume(phase.name, training, network, optimizer, ema), bf16)


def _train(phase: Phase, state: _State, ready: Ready, training: Training) -> Iterator[StepResult]:
    settings = phase.settings
    for result in train_steps(
        wrap(state.network, training.rank),
        state.optimizer,
        ready.batch_at,
        ready.loss_of,
        start_step=state.start,
        steps=settings.steps,
        learning_rate=settings.learning_rate_at,
        seed=derived_seed(training.seed, phase.name),
        ema=state.ema,
        gradient_clip=settings.gradient_clip,
        accumulate=settings.accumulate,
        precision="bf16" if state.bf16 else "fp32",
        rank=training.rank,
    ):
        last = result.step == settings.steps
        asked = training.stop()  # on every rank, because the ranks agree on it
        if training.rank.is_writer and (last or asked or result.step % training.checkpoint_every == 0):
            _save(phase.name, training, result.step, state)
        yield result


def _resume(phase: str, training: Training, network: nn.Module, optimizer: torch.optim.Optimizer, ema: Ema) -> int:
    """Load the newest checkpoint that verifies, if any; returns the number of steps done."""
    found = checkpoint.load_latest(training.out / CHECKPOINTS / phase)
    if found is None:
        return 0
    if found.state["identity"] != training.identity:
        raise ModelError(
            f"{training.out}: holds a checkpoint of other settings, cases or seed. "
            "Choose another --output, or --overwrite."
        )
    network.load_state_dict(found.tensors["model"])
    ema.load_state_dict(found.tensors["ema"], found.state["ema_updates"])
    checkpoint.load_optimizer(optimizer, found.tensors["optimizer"], found.state["optimizer"])
    logger.info("resuming %s of %s at step %d", phase, training.out, found.step)
    return found.step


def _save(phase: str, training: Training, step: int, state: _State) -> None:
    tensors, optimizer_state = checkpoint.optimizer_parts(state.optimizer)
    about = {"identity": training.identity, "ema_updates": state.ema.updates, "optimizer": optimizer_state}
    parts = {"model": state.network.state_dict(), "ema": state.ema.tensors, "optimizer": tensors}
    checkpoint.save(training.out / CHECKPOINTS / phase, step, parts, about)
