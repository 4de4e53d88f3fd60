"""Training of a SPADE latent diffusion model from labelled images, in two phases."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import torch

from pathosynth.data.labels import LabelScheme, load_scheme
from pathosynth.data.pairs import Pair
from pathosynth.diffusion.adversarial import AutoencoderTraining, patch_discriminator
from pathosynth.diffusion.distributed import Rank
from pathosynth.diffusion.latents import Latents, LatentScale
from pathosynth.diffusion.loop import StepResult
from pathosynth.diffusion.optimisation import Optimisation
from pathosynth.diffusion.phases import Phase, Ready, Training, Weights, train_phases
from pathosynth.diffusion.precision import use_bf16
from pathosynth.image_generators.model_grid import common_spacing, pair_for
from pathosynth.image_generators.spade_latent_diffusion.brains import Brains, brains_at, encode_brains
from pathosynth.image_generators.spade_latent_diffusion.config import Config
from pathosynth.image_generators.spade_latent_diffusion.examples import Example, check_fit, crops_at, make_example
from pathosynth.image_generators.spade_latent_diffusion.losses import autoencoder_loss, diffusion_loss
from pathosynth.image_generators.spade_latent_diffusion.model import (
    build_autoencoder,
    build_diffusion,
    build_schedule,
    save_model,
)

PART = "autoencoder."


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
    """Train step by step, first the autoencoder, then the diffusion model; the model folder is written at the end.

    A folder that holds a checkpoint of the same settings goes on from there, with the same losses and final weights as
    an uninterrupted run (bit for bit on the CPU).

    Args:
        pairs: training examples, all in `scheme`, all of one isotropic voxel size; with several contrasts, each image
            is a pair of its own.
        scheme: legend of their labels; remapped to `config.condition.scheme` where that is set.
        config: settings.
        out: model folder.
        seed: decides crops, noise, times and initial weights.
        rank: this process among several, and its device.
        checkpoint_every: steps between checkpoints.
        stop: asked after every step; true asks for a checkpoint now, because the caller is about to leave.

    Yields:
        the result of each step, counted through both phases.

    Raises:
        InputError: no pairs, they differ in voxel size, or a brain is larger than the grid.
        ModelError: the checkpoint in `out` belongs to other settings.
        TrainingError: the loss or a gradient is no longer finite.
    """
    edge = common_spacing(pairs)
    wanted = load_scheme(config.condition.scheme) if config.condition.scheme else scheme
    examples = [make_example(pair_for(pair, scheme, wanted), wanted, config) for pair in pairs]
    check_fit(examples, config)
    cases = sorted(f"{pair.case} {pair.contrast}".strip() for pair in pairs)
    identity = {"config": config.model_dump(mode="json"), "seed": seed, "cases": cases}
    training = Training(out, identity, seed, rank, checkpoint_every, stop)
    scales: list[LatentScale] = []
    phases = [
        _autoencoder_phase(examples, wanted, config, seed),
        _diffusion_phase(examples, wanted, config, training, scales.append),
    ]
    weights = yield from train_phases(phases, training)
    if rank.is_writer:
        scale = scales[0] if scales else _encoded(examples, wanted, config, training, weights)[1].scale
        facts = {
            "steps": config.total_steps,
            "seed": seed,
            "cases": cases,
            "subjects": sorted({pair.subject for pair in pairs}),
        }
        parts = {"autoencoder": _bare_autoencoder(weights), "diffusion": weights["diffusion"]}
        save_model(out, parts, config, wanted, config.grid.spacing_mm or (edge, edge, edge), scale, facts)


def _autoencoder_phase(examples: Sequence[Example], scheme: LabelScheme, config: Config, seed: int) -> Phase:
    settings = config.autoencoder

    def build() -> AutoencoderTraining:
        judge = patch_discriminator() if settings.adversarial_weight else None
        return AutoencoderTraining(build_autoencoder(config, scheme), judge)

    def begin(_: Mapping[str, Weights]) -> Ready:
        return Ready(
            lambda step, slot: crops_at(examples, config, scheme, seed, step, _own(slot, settings)),
            autoencoder_loss(config, len(scheme.values)),
        )

    return Phase("autoencoder", settings, build, begin)


def _diffusion_phase(
    examples: Sequence[Example],
    scheme: LabelScheme,
    config: Config,
    training: Training,
    note: Callable[[LatentScale], None],
) -> Phase:
    settings = config.diffusion

    def begin(finished: Mapping[str, Weights]) -> Ready:
        brains, latents = _encoded(examples, scheme, config, training, finished)
        note(latents.scale)
        return Ready(
            lambda step, slot: brains_at(brains, training.seed, step, _own(slot, settings)),
            diffusion_loss(config, brains, latents, build_schedule(config)),
        )

    return Phase("diffusion", settings, lambda: build_diffusion(config, scheme), begin)


def _encoded(
    examples: Sequence[Example],
    scheme: LabelScheme,
    config: Config,
    training: Training,
    finished: Mapping[str, Weights],
) -> tuple[Brains, Latents]:
    """The training brains and their latents, from the averaged weights of the autoencoder."""
    device = training.rank.device
    autoencoder = build_autoencoder(config, scheme)
    autoencoder.load_state_dict(_bare_autoencoder(finished))
    autoencoder.to(device).eval()
    with torch.autocast(device.type, torch.bfloat16, enabled=use_bf16(config.autoencoder.precision, device)):
        return encode_brains(examples, scheme, config, autoencoder, training.seed)


def _bare_autoencoder(finished: Mapping[str, Weights]) -> Weights:
    """The autoencoder's weights without those of its discriminator."""
    every = finished["autoencoder"]
    return {name.removeprefix(PART): value for name, value in every.items() if name.startswith(PART)}


def _own(slot: int, settings: Optimisation) -> range:
    """Which of a step's examples belong to a slot."""
    return range(slot * settings.batch, (slot + 1) * settings.batch)
