"""A trained label generator in memory and on disk: ``model.safetensors`` and ``config.json``, nothing pickled."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from monai.networks.nets.diffusion_model_unet import DiffusionModelUNet
from torch import Tensor, nn

from pathosynth.data.labels import LabelScheme
from pathosynth.data.volume import Spacing
from pathosynth.diffusion.latents import LatentScale
from pathosynth.diffusion.model_folder import joined, part_of, read_model, write_model
from pathosynth.diffusion.networks.label_autoencoder import MonaiLabelAutoencoder, SmallLabelAutoencoder
from pathosynth.diffusion.networks.latent_unet import LatentUNet
from pathosynth.diffusion.networks.measurement_embedding import MeasurementEmbedding
from pathosynth.diffusion.precision import channels_last, use_bf16
from pathosynth.diffusion.schedule import Schedule, named_schedule
from pathosynth.label_generators.latent_diffusion.card import model_card
from pathosynth.label_generators.latent_diffusion.conditions import Range
from pathosynth.label_generators.latent_diffusion.config import Config, Diffusion
from pathosynth.runs.config import build_config
from pathosynth.runs.errors import ConfigError, ModelError

GENERATOR = "latent_diffusion"
AUTOENCODER, DIFFUSION = "autoencoder", "diffusion"

LabelAutoencoder = SmallLabelAutoencoder | MonaiLabelAutoencoder


class ConditionedDenoiser(nn.Module):
    """Latent diffusion network and the embedding of its measurements, trained together.

    Args:
        settings: size.
        latent_channels: of the latents.
        conditions: number of measurements.
    """

    def __init__(self, settings: Diffusion, latent_channels: int, conditions: int) -> None:
        super().__init__()
        self.tokens = MeasurementEmbedding(conditions, settings.embedding)
        self.net: nn.Module
        self.attends = settings.kind == "monai"
        if self.attends:
            levels = len(settings.channels)
            self.scale = float(settings.schedule_steps)
            self.net = DiffusionModelUNet(
                spatial_dims=3,
                in_channels=latent_channels,
                out_channels=latent_channels,
                channels=list(settings.channels),
                num_res_blocks=settings.blocks,
                attention_levels=[level > 0 for level in range(levels)],
                num_head_channels=[0, *settings.channels[1:]],
                resblock_updown=True,
                with_conditioning=True,
                cross_attention_dim=settings.embedding,
            )
        else:
            self.net = LatentUNet(
                channels=latent_channels,
                embedding=settings.embedding,
                factor=settings.factor,
                width=settings.width,
                multipliers=settings.multipliers,
                blocks=settings.blocks,
            )

    def forward(self, z_t: Tensor, t: Tensor, values: Tensor, known: Tensor) -> Tensor:
        """Prediction for noisy latents (B, C, I, J, K) at times (B,), given measurements (B, n) where known (B, n)."""
        tokens = self.tokens(values, known)
        if self.attends:
            out: Tensor = self.net(z_t, timesteps=t * self.scale, context=tokens)
            return out
        out = self.net(z_t, t, tokens.sum(dim=1))
        return out


@dataclass(frozen=True)
class Model:
    """A trained label generator.

    Attributes:
        autoencoder, denoiser: in evaluation mode, on `device`.
        config: settings.
        scheme: legend of the labels it makes.
        conditions: trained range of every measurement, in its unit.
        scale: of the latents.
        device: torch device it runs on.
        facts: everything else in ``config.json`` (training data, steps).
    """

    autoencoder: LabelAutoencoder
    denoiser: ConditionedDenoiser
    config: Config
    scheme: LabelScheme
    conditions: dict[str, Range]
    scale: LatentScale
    device: torch.device
    facts: dict[str, Any]

    @property
    def spacing_mm(self) -> Spacing:
        """Voxel edge lengths of the maps it makes."""
        return self.config.grid.spacing_mm

    @property
    def shape(self) -> tuple[int, int, int]:
        """Voxels of the maps it makes."""
        return self.config.grid.shape


def build_autoencoder(config: Config, scheme: LabelScheme) -> LabelAutoencoder:
    """Label autoencoder with fresh weights."""
    size, classes = config.autoencoder, len(scheme.values) + 1
    if size.kind == "monai":
        return MonaiLabelAutoencoder(
            classes=classes,
            coding=size.coding,
            latent_channels=size.latent_channels,
            channels=size.channels,
            coding_width=size.coding_width,
        )
    return SmallLabelAutoencoder(
        classes=classes,
        coding=size.coding,
        latent_channels=size.latent_channels,
        width=size.channels[0],
        coding_width=size.coding_width,
    )


def build_denoiser(config: Config) -> ConditionedDenoiser:
    """Diffusion network with fresh weights."""
    return ConditionedDenoiser(config.diffusion, config.autoencoder.latent_channels, len(config.conditions))


def build_schedule(settings: Diffusion) -> Schedule:
    """The noise schedule the settings name; `scaled_linear` with the paper's end points."""
    return named_schedule(settings.schedule, settings.schedule_steps, (0.0015, 0.0205))


def save_model(
    folder: Path,
    weights: Mapping[str, Mapping[str, Tensor]],
    config: Config,
    scheme: LabelScheme,
    measured: Mapping[str, Any],
    facts: Mapping[str, Any],
) -> None:
    """Write ``model.safetensors``, ``config.json`` and the model card ``README.md``.

    Args:
        folder: made where missing.
        weights: averaged weights of both networks by phase.
        config: settings of the run.
        scheme: legend, stored whole so that the folder stands alone.
        measured: `conditions` (name to low and high) and `latent_scale`, measured on the training maps.
        facts: training facts for the card, JSON values only.
    """
    description = {
        "config": config.model_dump(mode="json"),
        "scheme": scheme.model_dump(mode="json", exclude={"path"}),
        "shape": config.grid.shape,
        "spacing_mm": config.grid.spacing_mm,
        **measured,
        "facts": facts,
    }
    flat = joined(weights)
    count = sum(value.numel() for value in flat.values())
    card = model_card(config, scheme, measured["conditions"], facts, count)
    write_model(folder, GENERATOR, flat, description, card)


def load_model(folder: Path, device: str = "cpu") -> Model:
    """Read a model folder.

    Raises:
        ModelError: a file is missing, damaged, of an unknown format, or the weights do not fit the settings.
    """
    description, weights = read_model(folder, GENERATOR)
    target = torch.device(device)
    try:
        config = build_config(Config, description["config"], f"{folder}/config.json")
        scheme = LabelScheme.model_validate(description["scheme"])
        conditions = {name: Range(**ends) for name, ends in description["conditions"].items()}
        scale = LatentScale.from_json(description["latent_scale"])
        autoencoder, denoiser = build_autoencoder(config, scheme), build_denoiser(config)
        for phase, network in ((AUTOENCODER, autoencoder), (DIFFUSION, denoiser)):
            network.load_state_dict(part_of(weights, phase))
    except (ConfigError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise ModelError(f"{folder}: weights and config.json do not fit each other ({error}).") from None
    for network, settings in ((autoencoder, config.autoencoder), (denoiser, config.diffusion)):
        network.to(target).eval().requires_grad_(False)
        if target.type == "cpu" and use_bf16(settings.precision, target):
            channels_last(network)
    return Model(autoencoder, denoiser, config, scheme, conditions, scale, target, description["facts"])
