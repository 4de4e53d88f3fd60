"""Training of a label generator: an autoencoder on label maps, then diffusion on their cached latents."""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 the name every torch user expects
from torch import Tensor, nn

from pathosynth.data.labelled import LabelledBrain
from pathosynth.data.labels import LabelScheme, in_scheme, load_scheme
from pathosynth.diffusion.distributed import Rank
from pathosynth.diffusion.latents import Latents, kl_divergence
from pathosynth.diffusion.loop import StepResult
from pathosynth.diffusion.objective import noised, target
from pathosynth.diffusion.phases import Phase, Ready, Training, Weights, train_phases
from pathosynth.diffusion.schedule import Schedule, broadcast
from pathosynth.diffusion.times import draw_times
from pathosynth.label_generators.latent_diffusion.conditions import describe, encode, ranges_of
from pathosynth.label_generators.latent_diffusion.config import Config, Diffusion
from pathosynth.label_generators.latent_diffusion.maps import (
    IDENTITY,
    draw_deformation,
    mirrored,
    on_grid,
    tissue_centre_mm,
)
from pathosynth.label_generators.latent_diffusion.model import (
    AUTOENCODER,
    DIFFUSION,
    LabelAutoencoder,
    build_autoencoder,
    build_denoiser,
    build_schedule,
    save_model,
)
from pathosynth.runs.errors import InputError
from pathosynth.runs.seeds import numpy_generator

logger = logging.getLogger(__name__)

_MOST_OUTSIDE = 0.01
"""Share of the labelled voxels that may lie outside the grid: of 20 real heads on the `small` grid up to 0.0053 do."""


@dataclass(frozen=True)
class TrainingSet:
    """Every training map and its copies on the model's grid.

    Attributes:
        classes: (N, I, J, K) uint8 dense class numbers.
        described: measurements of each.
        cases: name of the case each stems from.
    """

    classes: np.ndarray
    described: tuple[dict[str, float], ...]
    cases: tuple[str, ...]


@dataclass(frozen=True)
class Batch:
    """Tensors of one step and the cases they stem from, for messages."""

    tensors: tuple[Tensor, ...]
    cases: tuple[str, ...]


def train(
    brains: Sequence[LabelledBrain],
    scheme: LabelScheme,
    config: Config,
    out: Path,
    *,
    seed: int = 0,
    rank: Rank,
    checkpoint_every: int = 250,
    stop: Callable[[], bool] = lambda: False,
) -> Iterator[StepResult]:
    """Train both networks step by step; the model folder is written after the last step.

    Args:
        brains: training maps, all in `scheme`; voxel sizes may differ.
        scheme: legend of their labels; remapped to `config.grid.scheme` where that is set.
        config: settings.
        out: model folder.
        seed: decides copies, crops, noise, times and initial weights.
        rank: this process among several, and its device.
        checkpoint_every: steps between checkpoints.
        stop: asked after every step; true asks for a checkpoint now, because the caller is about to leave.

    Yields:
        the result of each step, counted through both networks.

    Raises:
        InputError: no maps, or a condition that does not vary.
        ModelError: the checkpoint in `out` belongs to other settings.
        TrainingError: the loss or a gradient is no longer finite.
    """
    if not brains:
        raise InputError("Training: expected at least one label map, found none. Check --input.")
    wanted = load_scheme(config.grid.scheme) if config.grid.scheme else scheme
    examples = training_set(brains, scheme, wanted, config, seed)
    ranges = ranges_of(examples.described, config.conditions)
    values, known = encode(examples.described, ranges)
    cases, subjects = sorted({one.case for one in brains}), sorted({one.subject for one in brains})
    identity = {"config": config.model_dump(mode="json"), "seed": seed, "cases": cases}
    cached: dict[str, Latents] = {}

    def latents_of(weights: Weights) -> Latents:
        if not cached:
            autoencoder = build_autoencoder(config, wanted)
            autoencoder.load_state_dict(weights)
            cached["latents"] = encoded(autoencoder.to(rank.device).eval(), examples.classes)
        return cached["latents"]

    def begin_diffusion(finished: Mapping[str, Weights]) -> Ready:
        conditions = torch.from_numpy(values), torch.from_numpy(known)
        return diffusion_ready(latents_of(finished[AUTOENCODER]), conditions, examples.cases, config, seed)

    phases = (
        Phase(AUTOENCODER, config.autoencoder, lambda: build_autoencoder(config, wanted),
              lambda finished: autoencoder_ready(examples, config, seed)),
        Phase(DIFFUSION, config.diffusion, lambda: build_denoiser(config), begin_diffusion),
    )  # fmt: skip
    weights = yield from train_phases(phases, Training(out, identity, seed, rank, checkpoint_every, stop))
    if rank.is_writer:
        measured = {
            "conditions": {name: {"low": of.low, "high": of.high} for name, of in ranges.items()},
            "latent_scale": latents_of(weights[AUTOENCODER]).scale.to_json(),
        }
        facts = {"steps": config.total_steps, "seed": seed, "cases": cases, "subjects": subjects}
        save_model(out, weights, config, wanted, measured, facts)


def training_set(
    brains: Sequence[LabelledBrain], scheme: LabelScheme, wanted: LabelScheme, config: Config, seed: int
) -> TrainingSet:
    """Every map and its deformed copies on the model's grid; a copy depends on seed, case and number alone."""
    partners = wanted.partner_indices()
    table = np.array([0, *wanted.values], dtype=np.uint16)
    classes, described, cases = [], [], []
    for brain in brains:
        values = in_scheme(brain.labels, scheme, wanted, f"grid.scheme={wanted.name}, case '{brain.case}'")
        dense, centre = wanted.indices(values), tissue_centre_mm(values, wanted, brain.spacing_mm)
        check_fit(dense, brain, centre, config)
        ages = {"age_weeks": brain.age_weeks, "age_years": brain.age_years}
        for number in range(config.augmentation.copies):
            rng = numpy_generator(seed, "copy", brain.case, number)
            moved = draw_deformation(rng, config.augmentation, config.grid) if number else IDENTITY
            one = on_grid(dense, brain.spacing_mm, centre, config.grid, moved)
            classes.append(mirrored(one, partners) if moved.flip else one)
            described.append(describe(table[classes[-1]], wanted, config.grid.spacing_mm, config.conditions, ages))
            cases.append(brain.case)
    logger.info("%d training maps of %d cases", len(cases), len(brains))
    return TrainingSet(np.stack(classes), tuple(described), tuple(cases))


def check_fit(classes: np.ndarray, brain: LabelledBrain, centre_mm: np.ndarray, config: Config) -> None:
    """Refuse a map of which the grid leaves out more than the end of the brainstem: it would teach a cut head.

    Args:
        classes: (I, J, K) dense class numbers.
        brain: where they come from.
        centre_mm: the point that becomes the middle of the grid.
        config: settings.

    Raises:
        InputError: naming the smallest grid that holds the map.
    """
    edges, half = np.asarray(brain.spacing_mm), np.array(config.grid.shape) * config.grid.spacing_mm / 2
    filled = np.argwhere(classes > 0) * edges - centre_mm
    outside = float((np.abs(filled) > half).any(axis=1).mean())
    if outside > _MOST_OUTSIDE:
        needed = np.ceil(2 * (np.abs(filled).max(axis=0) + edges / 2) / config.grid.spacing_mm / config.multiple)
        raise InputError(
            f"Case '{brain.case}': expected labels within the grid of {list(config.grid.shape)} voxels of "
            f"{list(config.grid.spacing_mm)} mm, found {outside:.1%} of them outside. Set "
            f"grid.shape={[int(n) * config.multiple for n in needed]}, or a larger grid.spacing_mm."
        )


@torch.inference_mode()
def encoded(autoencoder: LabelAutoencoder, classes: np.ndarray) -> Latents:
    """Mean and deviation of every map's latents, on the CPU."""
    device = next(autoencoder.parameters()).device
    parts = [autoencoder.encode(torch.from_numpy(one)[None].to(device)) for one in classes]
    mean, sigma = (torch.cat([part[n].float().cpu() for part in parts]).clone() for n in (0, 1))
    return Latents.of(mean, sigma)


def autoencoder_ready(examples: TrainingSet, config: Config, seed: int) -> Ready:
    """Crops of the maps, and reconstruction as cross-entropy with a KL term."""
    settings, shape = config.autoencoder, config.grid.shape
    size = settings.crop_voxels or shape

    def batch_at(step: int, slot: int) -> Batch:
        rng = numpy_generator(seed, AUTOENCODER, step, slot)
        picks = rng.integers(len(examples.cases), size=settings.batch)
        crops = []
        for pick in picks:
            low = [int(rng.integers(0, (n - s) // config.downsampling + 1)) * config.downsampling
                   for n, s in zip(shape, size, strict=True)]  # fmt: skip
            crops.append(examples.classes[pick][tuple(slice(o, o + s) for o, s in zip(low, size, strict=True))])
        return Batch((torch.from_numpy(np.stack(crops)),), tuple(examples.cases[pick] for pick in picks))

    def loss_of(model: nn.Module, batch: Batch, draws: torch.Generator) -> Tensor:
        labels = batch.tensors[0].to(next(model.parameters()).device)
        cells = [n // config.downsampling for n in labels.shape[1:]]
        noise = torch.randn((len(labels), settings.latent_channels, *cells), generator=draws).to(labels.device)
        logits, mean, sigma = model(labels, noise)
        return (
            F.cross_entropy(logits.float(), labels.long())
            + settings.kl_weight * kl_divergence(mean.float(), sigma.float()).mean()
        )

    return Ready(batch_at, loss_of)


def diffusion_ready(
    latents: Latents, conditions: tuple[Tensor, Tensor], cases: Sequence[str], config: Config, seed: int
) -> Ready:
    """Posterior samples of the cached latents with their measurements, some of them hidden; and the diffusion loss."""
    settings, schedule = config.diffusion, build_schedule(config.diffusion)
    values, known = conditions

    def batch_at(step: int, slot: int) -> Batch:
        rng = numpy_generator(seed, DIFFUSION, step, slot)
        picks = rng.integers(len(cases), size=settings.batch).tolist()
        noise = torch.from_numpy(rng.standard_normal((settings.batch, *latents.mean.shape[1:]), dtype=np.float32))
        shown = rng.random((settings.batch, values.shape[1])) < settings.keep
        shown &= (rng.random(settings.batch) >= settings.drop)[:, None]
        seen = known[picks] & torch.from_numpy(shown)
        return Batch((latents.draw(picks, noise), values[picks], seen), tuple(cases[pick] for pick in picks))

    def loss_of(model: nn.Module, batch: Batch, draws: torch.Generator) -> Tensor:
        return diffusion_loss(model, batch, draws, settings, schedule)

    return Ready(batch_at, loss_of)


def diffusion_loss(
    model: nn.Module, batch: Batch, draws: torch.Generator, settings: Diffusion, schedule: Schedule
) -> Tensor:
    """Mean squared distance between target and prediction at random times, one per example."""
    device = next(model.parameters()).device
    z0, values, known = (one.to(device) for one in batch.tensors)
    t = draw_times(len(z0), settings.time, draws, schedule).to(device)
    eps = torch.randn(z0.shape, generator=draws).to(device)
    prediction: Tensor = model(noised(schedule, z0, eps, t), t, values, known).float()
    squared = (prediction - target(settings.objective, schedule, z0, eps, t)).square()
    if settings.objective == "sample":
        squared = squared / broadcast(t.clamp(min=settings.weight_cap), squared)
    return squared.mean()
