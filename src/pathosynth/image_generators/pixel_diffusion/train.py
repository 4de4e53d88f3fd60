"""Training of a pixel diffusion model from labelled images."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn

from pathosynth.data.labels import LabelScheme, load_scheme
from pathosynth.data.pairs import Pair
from pathosynth.diffusion.distributed import Rank, bare
from pathosynth.diffusion.loop import StepResult
from pathosynth.diffusion.objective import noised, target
from pathosynth.diffusion.phases import Phase, Ready, Training, Weights, train_phases
from pathosynth.diffusion.schedule import Schedule
from pathosynth.diffusion.times import draw_times
from pathosynth.image_generators.model_grid import common_spacing, pair_for
from pathosynth.image_generators.pixel_diffusion.config import Config
from pathosynth.image_generators.pixel_diffusion.crops import Batch, batch_at, make_example
from pathosynth.image_generators.pixel_diffusion.model import (
    ConditionedNetwork,
    build_network,
    build_schedule,
    save_model,
)


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
    identity = {"config": config.model_dump(mode="json"), "seed": seed, "cases": sorted(pair.case for pair in pairs)}

    def begin(finished: Mapping[str, Weights]) -> Ready:
        examples = [make_example(pair_for(pair, scheme, wanted), wanted, config) for pair in pairs]
        schedule, batch = build_schedule(config), config.training.batch
        return Ready(
            lambda step, slot: batch_at(examples, config, seed, step, range(slot * batch, (slot + 1) * batch)),
            lambda model, crops, draws: diffusion_loss(model, crops, draws, config, schedule),
        )

    phase = Phase("diffusion", config.training, lambda: build_network(config, wanted), begin)
    weights = yield from train_phases([phase], Training(out, identity, seed, rank, checkpoint_every, stop))
    if rank.is_writer:
        facts = {
            "steps": config.training.steps,
            "seed": seed,
            "cases": identity["cases"],
            "subjects": sorted({pair.subject for pair in pairs}),
        }
        save_model(out, weights[phase.name], config, wanted, spacing_mm, facts)


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
    t = draw_times(len(x0), config.training.time, draws, schedule).to(device)
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
