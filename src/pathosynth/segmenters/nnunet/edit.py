"""Changes to a copy of nnU-Net's plans: patch, batch, width, voxel size, and what our trainer reads from them."""

import copy
import json
from pathlib import Path
from typing import Any

from pathosynth.data.labels import LabelScheme
from pathosynth.runs.errors import ModelError
from pathosynth.runs.files import json_text, write_text
from pathosynth.segmenters.nnunet.config import Config
from pathosynth.segmenters.nnunet.places import CONFIGURATION, PLANS

SETTINGS = "pathosynth"
"""Key of the plans under which our trainer finds its settings."""

_X_AXIS = 2  # nnU-Net reads arrays as (z, y, x); exported images are in RAS, so x runs from left to right


def write_plans(source: Path, target: Path, config: Config, scheme: LabelScheme, seed: int) -> None:
    """Copy the plans nnU-Net made under a new name, changed.

    Raises:
        ModelError: nnU-Net's plans are not what this version knows.
    """
    try:
        plans = json.loads(source.read_text(encoding="utf-8"))
        changed = edited(plans, config, scheme, seed)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(
            f"{source}: expected the plans of nnU-Net 2 with a {CONFIGURATION} configuration "
            f"({type(error).__name__}: {error}). See log.txt two folders above."
        ) from None
    write_text(target, json_text(changed))


def edited(plans: dict[str, Any], config: Config, scheme: LabelScheme, seed: int) -> dict[str, Any]:
    """Plans with the configuration changed where `config` says something; the input is left as it is.

    Raises:
        KeyError: a part this version of nnU-Net should have is missing.
    """
    plans = copy.deepcopy(plans)
    plans["plans_name"] = PLANS
    own = plans["configurations"][CONFIGURATION]
    if config.batch is not None:
        own["batch_size"] = config.batch
    if config.patch_voxels is not None:
        own["patch_size"] = [config.patch_voxels] * 3
    if config.spacing_mm is not None:
        own["spacing"] = [config.spacing_mm] * 3
    if config.normalise_inside is not None:
        own["use_mask_for_norm"] = [config.normalise_inside] * len(own["use_mask_for_norm"])
    if config.batch_dice is not None:
        own["batch_dice"] = config.batch_dice
    _change_network(own["architecture"]["arch_kwargs"], config)
    plans[SETTINGS] = trainer_settings(config, mirror_axes(config, scheme, plans["transpose_forward"]), seed)
    return plans


def mirror_axes(config: Config, scheme: LabelScheme, transpose_forward: list[int]) -> list[int]:
    """Axes of nnU-Net's arrays that may be flipped.

    A scheme that tells left from right is never mirrored: a flipped image would carry the labels of the other side.
    """
    if (
        config.mirroring == "none"
        or config.augmentation == "none"
        or any(label.partner is not None for label in scheme.labels)
    ):
        return []
    return [0, 1, 2] if config.mirroring == "all" else [transpose_forward.index(_X_AXIS)]


def trainer_settings(config: Config, axes: list[int], seed: int) -> dict[str, Any]:
    """What ``program/trainer`` reads."""
    return {
        "epochs": config.epochs,
        "iterations": config.iterations,
        "validation_iterations": config.validation_iterations,
        "save_every": config.save_every,
        "optimizer": config.optimizer,
        "learning_rate": config.learning_rate,
        "foreground": config.foreground,
        "augmentation": config.augmentation,
        "precision_on_cpu": config.precision,
        "mirror_axes": axes,
        "seed": seed,
    }


def _change_network(network: dict[str, Any], config: Config) -> None:
    """Width, depth and convolutions, of plain and residual networks alike."""
    down = next(key for key in ("n_conv_per_stage", "n_blocks_per_stage") if key in network)
    if config.features is not None:
        stages = len(config.features)
        network["n_stages"] = stages
        network["features_per_stage"] = list(config.features)
        network["kernel_sizes"] = [[3, 3, 3]] * stages
        network["strides"] = [[1, 1, 1]] + [[2, 2, 2]] * (stages - 1)
        network[down] = (network[down] + [network[down][-1]] * stages)[:stages]
        decoder = network["n_conv_per_stage_decoder"]
        network["n_conv_per_stage_decoder"] = (decoder + [decoder[-1]] * stages)[: stages - 1]
    if config.convolutions is not None:
        network[down] = [config.convolutions] * len(network[down])
    if config.decoder_convolutions is not None:
        decoder = network["n_conv_per_stage_decoder"]
        network["n_conv_per_stage_decoder"] = [config.decoder_convolutions] * len(decoder)
