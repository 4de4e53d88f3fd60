"""Settings of the pixel diffusion generator and its presets, which are data (``presets.toml``)."""

import tomllib
from importlib import resources
from typing import Any, Literal

from pydantic import Field, model_validator

from pathosynth.diffusion.optimisation import Optimisation
from pathosynth.runs.config import Config as BaseConfig
from pathosynth.runs.config import preset_config


class Network(BaseConfig):
    """Size of the network."""

    kind: Literal["label_unet", "concat_unet"] = "label_unet"
    """`label_unet`: ours; `concat_unet`: MONAI's U-Net as in the first paper."""
    width: int = Field(32, gt=0)
    """Channels of the highest level."""
    multipliers: tuple[int, ...] = Field((1, 2, 4), min_length=1)
    """Channels of each level in units of `width`."""
    blocks: int = Field(2, gt=0)
    """Residual blocks per level."""
    factor: Literal[1, 2, 4] = 2
    """Edge of the space-to-depth block in voxels (`label_unet` only)."""
    head_width: int = Field(16, gt=0)
    """Channels of the full-resolution head (`label_unet` only)."""


class Condition(BaseConfig):
    """What the network is told about the labels."""

    scheme: str = ""
    """Scheme the labels are remapped to before one-hot coding; empty: that of the training cases."""
    distance_sets: tuple[tuple[str, ...], ...] = (
        ("ventricles",),
        ("cortex", "external_csf", "background"),
        ("background",),
    )
    """Unions of label groups whose signed distance is given as one channel each: depth in the mantle decides the
    signal of layered fetal white matter. Groups the scheme does not have are left out of the union."""
    distance_scale_mm: float = Field(6.0, gt=0)
    """Distances d enter as tanh(d / scale)."""
    position_frequencies: int = Field(3, ge=0)
    """Positions in the brain's bounding box enter as they are and as sines and cosines of this many octaves."""


class Schedule(BaseConfig):
    """Noise schedule."""

    name: Literal["cosine", "scaled_linear", "rectified_flow"] = "rectified_flow"
    """Which curve."""
    steps: int = Field(1000, gt=0)
    """Length T of a discrete schedule."""


class Training(Optimisation):
    """How the network is trained."""

    loss: Literal["l1", "l2"] = "l2"
    """Distance between target and prediction."""
    crop_voxels: tuple[int, int, int] = (64, 72, 64)
    """Size of the random training crops."""
    flip: float = Field(0.5, ge=0, le=1)
    """Probability of a left-right mirror image."""
    affine: float = Field(0.5, ge=0, le=1)
    """Probability of a random affine map of the crop."""
    scaling: float = Field(0.1, ge=0, lt=0.5)
    """Affine map: each axis is scaled by exp(U(-scaling, scaling))."""
    rotation_degrees: float = Field(8.0, ge=0, le=180)
    """Affine map: rotation about each axis, U(-r, r)."""
    gamma: float = Field(0.0, ge=0, lt=1)
    """Image values are raised to exp(U(-gamma, gamma))."""
    background_weight: float = Field(0.05, gt=0)
    """Weight of voxels outside the labels in the loss; they are set to zero after sampling anyway."""
    time: Literal["uniform", "logit_normal"] = "logit_normal"
    """Density of the training times; `logit_normal` leans towards noise, where a conditioned image is decided."""
    weight_cap: float = Field(0.3, gt=0, le=1)
    """Objective `sample`: the loss is weighted with 1 / max(t, cap), between an image and a velocity loss."""


class Sampling(BaseConfig):
    """How images are drawn."""

    method: Literal["ddpm", "ddim", "dpmpp_2m", "euler", "heun"] = "ddim"
    """Sampler."""
    steps: int = Field(8, gt=0)
    """Network calls (twice as many for heun)."""
    clip: float | None = None
    """Bound of the predicted clean image at every step."""


class Config(BaseConfig):
    """All settings of one pixel diffusion model."""

    preset: str = "fast"
    """Name of the preset these settings started from."""
    objective: Literal["epsilon", "v", "flow", "sample"] = "sample"
    """What the network predicts: the noise, v, the velocity or the clean image."""
    contrast: str = "T2w"
    """Image column of the case table."""
    network: Network = Network()
    condition: Condition = Condition()
    schedule: Schedule = Schedule()
    training: Training = Training()
    sampling: Sampling = Sampling()

    @property
    def all_contrasts(self) -> tuple[str, ...]:
        """Every contrast the model learns: one."""
        return (self.contrast,)

    @property
    def total_steps(self) -> int:
        """Optimiser steps of the whole training."""
        return self.training.steps

    @model_validator(mode="after")
    def _sizes_fit(self) -> "Config":
        factor = self.network.factor if self.network.kind == "label_unet" else 1
        multiple = factor * 2 ** (len(self.network.multipliers) - 1)
        wrong = [n for n in self.training.crop_voxels if n % multiple]
        if wrong:
            nearest = [max(multiple, round(n / multiple) * multiple) for n in self.training.crop_voxels]
            raise ValueError(f"training.crop_voxels must be multiples of {multiple}; the nearest are {nearest}")
        if self.network.kind == "label_unet" and self.network.width % 8:
            raise ValueError("network.width must be a multiple of 8")
        return self


def presets() -> dict[str, dict[str, Any]]:
    """The shipped presets by name."""
    text = (resources.files(__package__) / "presets.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)


def config_from_preset(name: str, changes: dict[str, Any]) -> Config:
    """Settings of a preset with some of them changed, see `runs.config.preset_config`."""
    return preset_config(Config, presets(), name, changes)
