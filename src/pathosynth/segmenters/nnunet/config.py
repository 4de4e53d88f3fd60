"""Settings of nnU-Net and the plans that ship."""

import tomllib
from collections.abc import Mapping
from importlib import resources
from typing import Any, Literal

import pydantic

from pathosynth.runs.config import Config as BaseConfig
from pathosynth.runs.config import build_config
from pathosynth.runs.errors import ConfigError

CHANGEABLE = frozenset({"threads", "tile_step", "test_time_mirroring"})
"""Settings that may be changed after the training."""


class Config(BaseConfig):
    """How nnU-Net plans, trains and predicts. A field that is null is left to nnU-Net."""

    plan: str = ""
    """Name of the plan these settings started from."""
    planner: str = "ExperimentPlanner"
    """nnU-Net's planner, e.g. nnUNetPlannerResEncM."""
    epochs: int = pydantic.Field(default=1000, ge=1)
    """The learning rate falls from epoch to epoch; checkpoints are written between them."""
    iterations: int = pydantic.Field(default=250, ge=1)
    """Steps of the optimiser per epoch."""
    validation_iterations: int = pydantic.Field(default=50, ge=1)
    """Patches looked at after each epoch, for the log only: the last state is used, never the best."""
    save_every: int = pydantic.Field(default=50, ge=1)
    """Epochs between checkpoints; a killed training goes on from the last one."""
    batch: int | None = pydantic.Field(default=None, ge=1)
    """Patches per step."""
    patch_voxels: int | None = pydantic.Field(default=None, ge=8)
    """Edge of the cubic patch."""
    features: tuple[int, ...] | None = pydantic.Field(default=None, min_length=2)
    """Channels per resolution; their number is the number of resolutions, each half of the one before."""
    convolutions: int | None = pydantic.Field(default=None, ge=1)
    """Per resolution on the way down."""
    decoder_convolutions: int | None = pydantic.Field(default=None, ge=1)
    """Per resolution on the way up."""
    spacing_mm: float | None = pydantic.Field(default=None, gt=0)
    """Voxel edge that images are resampled to; null takes the median of the training images."""
    normalise_inside: bool | None = None
    """Mean 0 and deviation 1 over voxels that are not 0, so that the field of view does not matter."""
    optimizer: Literal["sgd", "adamw"] = "sgd"
    """nnU-Net's own is sgd, with Nesterov momentum 0.99, which needs many thousand steps."""
    foreground: float = pydantic.Field(default=0.33, ge=0, le=1)
    """Share of the patches that are centred on a structure, each structure equally often."""
    batch_dice: bool | None = None
    """Dice loss over all patches of a step together, so that a structure that is missing in one does not count."""
    learning_rate: float = pydantic.Field(default=0.01, gt=0)
    """Of the first epoch; falls to 0 as (1 - epoch / epochs)^0.9."""
    bf16: bool = False
    """Compute in bfloat16 on a CPU that can, in training and prediction; GPUs use nnU-Net's own mixed precision."""
    mirroring: Literal["all", "left_right", "none"] = "all"
    """Axes images are flipped along in training; none wherever the labels tell left from right."""
    augmentation: Literal["nnunet", "none"] = "nnunet"
    """Rotation, scaling, flips, noise, blur, contrast and resolution as nnU-Net draws them, or images as they are."""
    augmentation_workers: int | None = pydantic.Field(default=None, ge=0)
    """Processes that make training patches; 0 makes them in the training process, which repeats exactly."""
    compile: bool = False
    """Compile the network; GPU only."""
    folds: int = pydantic.Field(default=0, ge=0)
    """Parts the subjects are dealt into, one of which validates; 0 trains on all cases (see `fold`)."""
    fold: int = pydantic.Field(default=0, ge=0)
    """Part that validates."""
    test_time_mirroring: bool = False
    """Average predictions over flipped images; eight times as slow."""
    tile_step: float = pydantic.Field(default=0.5, gt=0, le=1)
    """Step between tiles in prediction, in patch edges."""
    threads: int = pydantic.Field(default=0, ge=0)
    """CPU cores to compute on; 0 takes all."""
    keep_data: bool = False
    """Keep nnU-Net's copies of the training images after the training."""

    @pydantic.model_validator(mode="after")
    def _fits(self) -> "Config":
        stages = len(self.features or ())
        if self.features and self.patch_voxels is None:
            raise ValueError("features need patch_voxels too")
        if self.features and self.patch_voxels and self.patch_voxels % 2 ** (stages - 1):
            raise ValueError(f"patch_voxels must be a multiple of {2 ** (stages - 1)} for {stages} features")
        if self.folds == 1 or self.fold >= max(self.folds, 1):
            raise ValueError("folds must be 0, or 2 and more, and fold below it")
        return self

    def identity(self) -> dict[str, Any]:
        """Settings a result depends on, JSON-able: all but how many cores compute it and what is kept on disk."""
        return self.model_dump(mode="json", exclude={"threads", "keep_data"})


def plans() -> dict[str, dict[str, Any]]:
    """Shipped plans by name, the first is the default."""
    text = (resources.files("pathosynth.segmenters.nnunet") / "plans.toml").read_text(encoding="utf-8")
    shipped = tomllib.loads(text)
    return {"small": shipped.pop("small"), **shipped}


def config_from_plan(name: str, changes: Mapping[str, Any]) -> Config:
    """Settings of a plan with some of them changed.

    Raises:
        ConfigError: no such plan, an unknown key, or values that do not go together.
    """
    known = plans()
    name = name or next(iter(known))
    if name not in known:
        raise ConfigError(f"--plan {name}: expected one of {', '.join(known)}.")
    return build_config(Config, {**known[name], **changes, "plan": name}, f"plan '{name}'")
