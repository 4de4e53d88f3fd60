"""The model folder: weights (safetensors, EMA), ``config.json``, model card. No pickle on any path."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, cast

import torch
from torch import Tensor, nn

from pathosynth.data.labels import LabelScheme
from pathosynth.diffusion.model_folder import read_model, write_model
from pathosynth.diffusion.networks.concat_unet import ConcatUNet
from pathosynth.diffusion.networks.label_unet import LabelUNet
from pathosynth.diffusion.precision import channels_last, use_bf16
from pathosynth.diffusion.schedule import Schedule, named_schedule
from pathosynth.image_generators.model_card import model_card
from pathosynth.image_generators.model_grid import INTENSITY_RULE
from pathosynth.image_generators.pixel_diffusion.condition import channel_counts
from pathosynth.image_generators.pixel_diffusion.config import Config
from pathosynth.image_generators.sampling_choice import with_choices
from pathosynth.runs.config import build_config
from pathosynth.runs.errors import ConfigError, ModelError

GENERATOR = "pixel_diffusion"


class ConditionedNetwork(Protocol):
    """What a network of this generator offers."""

    multiple: int

    def encode_condition(self, fine: Tensor, coarse: Tensor) -> Any:
        """Condition channels to what `__call__` takes; done once per label map."""

    def __call__(self, x_t: Tensor, t: Tensor, condition: Any) -> Tensor:
        """Prediction of the same shape as `x_t`."""


@dataclass(frozen=True)
class Model:
    """A trained generator.

    Attributes:
        network: in evaluation mode, on `device`.
        config: its settings.
        scheme: legend of the labels it understands.
        spacing_mm: isotropic voxel size it was trained at.
        device: torch device it runs on.
        facts: everything else in ``config.json`` (training data, steps, licence).
    """

    network: ConditionedNetwork
    config: Config
    scheme: LabelScheme
    spacing_mm: float
    device: torch.device
    facts: dict[str, Any]


def build_network(config: Config, scheme: LabelScheme) -> nn.Module:
    """A network with fresh weights for this scheme."""
    fine, one_hot, coarse = channel_counts(config.condition, scheme)
    size = config.network
    if size.kind == "concat_unet":
        return ConcatUNet(
            fine_channels=fine,
            width=size.width,
            multipliers=size.multipliers,
            blocks=size.blocks,
            steps=config.schedule.steps,
        )
    return LabelUNet(
        fine_channels=fine,
        head_channels=one_hot,
        coarse_channels=coarse,
        factor=size.factor,
        width=size.width,
        multipliers=size.multipliers,
        blocks=size.blocks,
        head_width=size.head_width,
    )


def build_schedule(config: Config) -> Schedule:
    """The noise schedule the settings name."""
    return named_schedule(config.schedule.name, config.schedule.steps)


def save_model(
    folder: Path,
    weights: dict[str, Tensor],
    config: Config,
    scheme: LabelScheme,
    spacing_mm: float,
    facts: dict[str, Any],
) -> None:
    """Write ``model.safetensors``, ``config.json`` and the model card ``README.md``.

    Args:
        folder: made where missing.
        weights: the averaged weights.
        config: settings of the run.
        scheme: legend, stored whole so that the folder stands alone.
        spacing_mm: voxel size trained at.
        facts: training facts for the card, JSON values only.
    """
    description = {
        "config": config.model_dump(mode="json"),
        "scheme": scheme.model_dump(mode="json", exclude={"path"}),
        "spacing_mm": spacing_mm,
        "intensity_rule": INTENSITY_RULE,
        "facts": facts,
    }
    millions = sum(value.numel() for value in weights.values()) / 1e6
    card = model_card(
        "pixel diffusion", config.all_contrasts, scheme, (spacing_mm,) * 3, facts,
        network=f"`{config.preset}`, predicts `{config.objective}`, {millions:.1f} M parameters",
        sampling=f"{config.sampling.method}, {config.sampling.steps} steps",
    )  # fmt: skip
    write_model(folder, GENERATOR, weights, description, card)


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
    try:
        config = build_config(Config, description["config"], f"{folder}/config.json")
        scheme = LabelScheme.model_validate(description["scheme"])
        network = build_network(config, scheme)
        network.load_state_dict(weights)
    except (ConfigError, KeyError, ValueError, RuntimeError) as error:
        raise ModelError(f"{folder}: weights and config.json do not fit each other ({error}).") from None
    config, target = with_choices(config, choices or {}), torch.device(device)
    network = network.to(target).eval().requires_grad_(False)
    if target.type == "cpu" and use_bf16(config.training.precision, target):
        channels_last(network)
    conditioned = cast(ConditionedNetwork, network)
    return Model(conditioned, config, scheme, description["spacing_mm"], target, description["facts"])
