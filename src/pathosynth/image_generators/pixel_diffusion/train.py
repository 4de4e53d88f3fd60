"""Training of a pixel diffusion model from labelled images."""

import logging
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from pathosynth.data.labels import LabelScheme, load_scheme
from pathosynth.data.pairs import Pair
from pathosynth.diffusion import checkpoint
from pathosynth.diffusion.distributed import Rank, bare, wrap
from pathosynth.diffusion.ema import Ema
from pathosynth.diffusion.loop import StepResult, train_steps
from pathosynth.diffusion.objective import noised, target
from pathosynth.diffusion.precision import channels_last, use_bf16
from pathosynth.diffusion.schedule import Schedule
from pathosynth.image_generators.model_grid import common_spacing, in_scheme
from pathosynth.image_generators.pixel_diffusion.config import Config
from pathosynth.image_generators.pixel_diffusion.crops import Batch, batch_at, make_example
from pathosynth.image_generators.pixel_diffusion.model import (
    ConditionedNetwork,
    build_network,
    build_schedule,
    save_model,
)
from pathosynth.runs.errors import ModelError
from pathosynth.runs.seeds import derived_seed

logger = logging.getLogger(__name__)

CHECKPOINTS = "checkpoints"


def train(
    pairs: Sequence[Pair],
    scheme: LabelScheme,
    config: Config,
    out: Path,
    *,
    seed: int = 0,
    rank: Rank,
    checkpoint_every: int = 250,
    stop: Callable[[], bool] = lambda: False,
) -> Iterator[StepResult]:
    """Train step by step; the model folder is written after the last one.

    A folder that holds a checkpoint of the same settings goes on from there, with the same losses and final weights as
    an uninterrupted run (bit for bit on the CPU).

    Args:
        pairs: training examples, all in `scheme`, all of one isotropic voxel size.
        scheme: legend of their labels; remapped to `config.condition.scheme` where that is set.
        config: settings.
        out: model folder.
        seed: decides crops, noise, times and initial weights.
        rank: this process among several, and its device.
        checkpoint_every: steps between checkpoints.
        stop: asked after every step; true asks for a checkpoint now, because the caller is about to leave.

    Yields:
        the result of each step.

    Raises:
        InputError: no pairs, or they differ in voxel size.
        ModelError: the checkpoint in `out` belongs to other settings.
        TrainingError: the loss or a gradient is no longer finite.
    """
    spacing_mm = common_spacing(pairs)
    wanted = load_scheme(config.condition.scheme) if config.condition.scheme else scheme
    examples = [make_example(in_scheme(pair, scheme, wanted), wanted, config) for pair in pairs]
    torch.manual_seed(derived_seed(seed, "weights"))
    network = build_network(config, wanted).to(rank.device)
    bf16 = use_bf16(config.training.precision, rank.device)
    if rank.device.type == "cpu" and bf16:
        channels_last(network)
    decay = config.training.weight_decay
    optimizer = torch.optim.AdamW(network.parameters(), config.training.learning_rate, (0.9, 0.98), weight_decay=decay)
    ema = Ema(network, config.training.ema_decay)
    identity = {"config": config.model_dump(mode="json"), "seed": seed, "cases": sorted(pair.case for pair in pairs)}
    start = _resume(out, identity, network, optimizer, ema)
    schedule, batch = build_schedule(config), config.training.batch
    for result in train_steps(
        wrap(network, rank),
        optimizer,
        lambda step, slot: batch_at(examples, config, seed, step, range(slot * batch, (slot + 1) * batch)),
        lambda model, crops, draws: diffusion_loss(model, crops, draws, config, schedule),
        start_step=start,
        steps=config.training.steps,
        learning_rate=lambda step: learning_rate(step, config),
        seed=seed,
        ema=ema,
        gradient_clip=config.training.gradient_clip,
        accumulate=config.training.accumulate,
        precision="bf16" if bf16 else "fp32",
        rank=rank,
    ):
        last = result.step == config.training.steps
        asked = stop()  # on every rank, because the ranks agree on it
        if rank.is_writer and (last or asked or result.step % checkpoint_every == 0):
            _save_checkpoint(out, result.step, network, optimizer, ema, identity)
        yield result
    if rank.is_writer:
        facts = {
            "steps": config.training.steps,
            "seed": seed,
            "cases": identity["cases"],
            "subjects": sorted({pair.subject for pair in pairs}),
        }
        save_model(out, ema.tensors, config, wanted, spacing_mm, facts)


def diffusion_loss(
    model: nn.Module, batch: Batch, draws: torch.Generator, config: Config, schedule: Schedule
) -> Tensor:
    """Weighted distance between target and prediction at random times, one per crop.

    Args:
        model: network, possibly wrapped.
        batch: crops, on the CPU.
        draws: time and noise come from it.
        config: objective, loss and weights.
        schedule: noise schedule.
    """
    device = next(model.parameters()).device
    x0, weight = batch.image.to(device), batch.weight.to(device)
    t = draw_times(len(x0), draws, config, schedule).to(device)
    eps = torch.randn(x0.shape, generator=draws).to(device)
    x_t = noised(schedule, x0, eps, t)
    condition = cast(ConditionedNetwork, bare(model)).encode_condition(batch.fine.to(device), batch.coarse.to(device))
    prediction: Tensor = model(x_t, t, condition).float()
    difference = prediction - target(config.objective, schedule, x0, eps, t)
    distance = difference.abs() if config.training.loss == "l1" else difference.square()
    per_crop = (distance * weight).mean(dim=(1, 2, 3, 4)) / weight.mean(dim=(1, 2, 3, 4))
    if config.objective == "sample":
        per_crop = per_crop / t.clamp(min=config.training.weight_cap)
    return per_crop.mean()


def draw_times(count: int, draws: torch.Generator, config: Config, schedule: Schedule) -> Tensor:
    """Training times in (0, 1], (count,): uniform over the schedule, or logit-normal (0.6, 1.2)."""
    if config.training.time == "uniform":
        return schedule.place(torch.rand(count, generator=draws))
    return torch.sigmoid(torch.randn(count, generator=draws) * 1.2 + 0.6)


def learning_rate(step: int, config: Config) -> float:
    """Linear warm-up, constant, linear decay to a hundredth."""
    training = config.training
    rate = training.learning_rate * min(1.0, (step + 1) / max(1, training.warmup_steps))
    decay_steps = training.decay_fraction * training.steps
    if decay_steps:
        rate *= max(0.01, min(1.0, (training.steps - step) / decay_steps))
    return rate


def _resume(out: Path, identity: dict[str, Any], network: nn.Module, optimizer: torch.optim.Optimizer, ema: Ema) -> int:
    """Load the newest checkpoint that verifies, if any; returns the number of steps done."""
    found = checkpoint.load_latest(out / CHECKPOINTS)
    if found is None:
        return 0
    if found.state["identity"] != identity:
        raise ModelError(
            f"{out}: holds a checkpoint of other settings, cases or seed. Choose another --output, or --overwrite."
        )
    network.load_state_dict(found.tensors["model"])
    ema.load_state_dict(found.tensors["ema"], found.state["ema_updates"])
    checkpoint.load_optimizer(optimizer, found.tensors["optimizer"], found.state["optimizer"])
    logger.info("resuming %s at step %d", out, found.step)
    return found.step


def _save_checkpoint(
    out: Path, step: int, network: nn.Module, optimizer: torch.optim.Optimizer, ema: Ema, identity: dict[str, Any]
) -> None:
    tensors, optimizer_state = checkpoint.optimizer_parts(optimizer)
    state = {"identity": identity, "ema_updates": ema.updates, "optimizer": optimizer_state}
    checkpoint.save(
        out / CHECKPOINTS, step, {"model": network.state_dict(), "ema": ema.tensors, "optimizer": tensors}, state
    )
