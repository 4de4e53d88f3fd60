"""The model folder: weights (safetensors, EMA), ``config.json``, model card. No pickle on any path."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from pathosynth.data.labels import LabelScheme
from pathosynth.data.volume import Spacing
from pathosynth.diffusion.latents import LatentScale
from pathosynth.diffusion.model_folder import joined, part_of, read_model, write_model
from pathosynth.diffusion.networks.spade_autoencoder import SpadeAutoencoder
from pathosynth.diffusion.networks.spade_monai import MonaiSpadeAutoencoder, MonaiSpadeUNet
from pathosynth.diffusion.networks.spade_unet import SpadeUNet
from pathosynth.diffusion.precision import channels_last, use_bf16
from pathosynth.diffusion.schedule import Schedule, named_schedule
from pathosynth.image_generators.model_card import model_card
from pathosynth.image_generators.model_grid import INTENSITY_RULE
from pathosynth.image_generators.sampling_choice import with_choices
from pathosynth.image_generators.spade_latent_diffusion.config import Config
from pathosynth.runs.config import build_config
from pathosynth.runs.errors import ConfigError, ModelError

GENERATOR = "spade_latent_diffusion"


@dataclass(frozen=True)
class Model:
    """A trained generator.

    Attributes:
        autoencoder, diffusion: in evaluation mode, on `device`.
        config: settings.
        scheme: legend of the labels it understands.
        spacing_mm: voxel edge lengths it was trained at.
        scale: of the latents.
        device: torch device it runs on.
        facts: training data, steps, seed.
    """

    autoencoder: SpadeAutoencoder | MonaiSpadeAutoencoder
    diffusion: nn.Module
    config: Config
    scheme: LabelScheme
    spacing_mm: Spacing
    scale: LatentScale
    device: torch.device
    facts: dict[str, Any]


def build_autoencoder(config: Config, scheme: LabelScheme) -> SpadeAutoencoder | MonaiSpadeAutoencoder:
    """An autoencoder with fresh weights for this scheme."""
    size, labels = config.autoencoder, len(scheme.values) + 1
    if size.kind == "monai":
        return MonaiSpadeAutoencoder(
            label_channels=labels,
            channels=size.channels,
            latent_channels=size.latent_channels,
            blocks=size.blocks,
            hidden=size.hidden,
            checkpointing=size.checkpointing,
        )
    return SpadeAutoencoder(
        label_channels=labels,
        latent_channels=size.latent_channels,
        width=size.channels[0],
        blocks=size.blocks,
        hidden=size.hidden,
        head_width=size.head_width,
        spade=size.spade,
        checkpointing=size.checkpointing,
    )


def build_diffusion(config: Config, scheme: LabelScheme) -> SpadeUNet | MonaiSpadeUNet:
    """A diffusion network with fresh weights for this scheme."""
    size, labels, several = config.diffusion, len(scheme.values) + 1, len(config.contrasts)
    contrasts = several if several > 1 else 0
    if size.kind == "monai":
        return MonaiSpadeUNet(
            label_channels=labels,
            latent_channels=config.autoencoder.latent_channels,
            channels=size.channels,
            blocks=size.blocks,
            hidden=size.hidden,
            contrasts=contrasts,
            steps=size.schedule_steps,
            checkpointing=size.checkpointing,
        )
    return SpadeUNet(
        latent_channels=config.autoencoder.latent_channels,
        label_channels=labels,
        contrasts=contrasts,
        width=size.width,
        multipliers=size.multipliers,
        blocks=size.blocks,
        hidden=size.hidden,
        head_width=size.head_width,
        checkpointing=size.checkpointing,
    )


def build_schedule(config: Config) -> Schedule:
    """The noise schedule the settings name."""
    settings = config.diffusion
    return named_schedule(settings.schedule, settings.schedule_steps, settings.beta)


def save_model(
    folder: Path,
    weights: dict[str, dict[str, Tensor]],
    config: Config,
    scheme: LabelScheme,
    spacing_mm: Spacing,
    scale: LatentScale,
    facts: dict[str, Any],
) -> None:
    """Write ``model.safetensors``, ``config.json`` and the model card ``README.md``.

    Args:
        folder: made where missing.
        weights: averaged weights of "autoencoder" and "diffusion".
        config: settings of the run.
        scheme: legend, stored whole so that the folder stands alone.
        spacing_mm: voxel size trained at.
        scale: of the latents.
        facts: training facts for the card, JSON values only.
    """
    description = {
        "config": config.model_dump(mode="json"),
        "scheme": scheme.model_dump(mode="json", exclude={"path"}),
        "spacing_mm": list(spacing_mm),
        "latent_scale": scale.to_json(),
        "intensity_rule": INTENSITY_RULE,
        "facts": facts,
    }
    millions = {part: sum(value.numel() for value in named.values()) / 1e6 for part, named in weights.items()}
    sizes = ", ".join(f"{part} {number:.1f} M" for part, number in millions.items())
    sampling = config.sampling
    card = model_card(
        "SPADE latent diffusion", config.all_contrasts, scheme, spacing_mm, facts,
        network=f"`{config.preset}`, predicts `{config.diffusion.objective}`; {sizes} parameters",
        sampling=f"{sampling.method}, {sampling.steps} steps, guidance {sampling.guidance:g}",
    )  # fmt: skip
    write_model(folder, GENERATOR, joined(weights), description, card)


def load_model(folder: Path, device: str = "cpu", choices: Mapping[str, Any] | None = None) -> Model:
    """Read a model folder.

    Args:
        folder: what `train` wrote.
        device: torch device.
        choices: another contrast or sampling than the model's own, e.g. ``{"steps": 20}``.

    Raises:
        ModelError: a file is missing, damaged, of an unknown format, or the weights do not fit the settings.
        ConfigError: a choice the model does not offer.
    """
    description, weights = read_model(folder, GENERATOR)
    target = torch.device(device)
    try:
        config = build_config(Config, description["config"], f"{folder}/config.json")
        scheme = LabelScheme.model_validate(description["scheme"])
        scale = LatentScale.from_json(description["latent_scale"])
        autoencoder, diffusion = build_autoencoder(config, scheme), build_diffusion(config, scheme)
        for part, network in (("autoencoder", autoencoder), ("diffusion", diffusion)):
            network.load_state_dict(part_of(weights, part))
            network.to(target).eval().requires_grad_(False)
            if target.type == "cpu" and use_bf16(config.diffusion.precision, target):
                channels_last(network)
        i, j, k = (float(edge) for edge in description["spacing_mm"])
    except (ConfigError, KeyError, ValueError, RuntimeError) as error:
        raise ModelError(f"{folder}: weights and config.json do not fit each other ({error}).") from None
    config = with_choices(config, choices or {})
    runs: Any = torch.compile(diffusion) if config.sampling.compile and target.type == "cuda" else diffusion
    return Model(autoencoder, runs, config, scheme, (i, j, k), scale, target, description["facts"])
