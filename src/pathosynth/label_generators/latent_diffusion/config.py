"""Settings of the label generator and its presets, which are data (``presets.toml``)."""

import tomllib
from importlib import resources
from typing import Any, Literal

from pydantic import Field, model_validator

from pathosynth.diffusion.optimisation import Optimisation
from pathosynth.diffusion.sizes import check_lowest_level, check_multiple
from pathosynth.runs.config import Config as BaseConfig
from pathosynth.runs.config import preset_config


class Grid(BaseConfig):
    """The voxels every label map is brought onto, centred on its tissue."""

    shape: tuple[int, int, int] = (80, 96, 80)
    """Voxels per axis."""
    spacing_mm: tuple[float, float, float] = (2.0, 2.0, 2.0)
    """Voxel edge lengths."""
    scheme: str = ""
    """Scheme the labels are remapped to; empty: that of the training cases."""


class Autoencoder(Optimisation):
    """Label maps to latents and back."""

    kind: Literal["small", "monai"] = "small"
    """`small`: ours; `monai`: AutoencoderKL as in the second paper."""
    coding: Literal["embedding", "one_hot", "binary"] = "embedding"
    """How a class becomes channels."""
    coding_width: int = Field(8, gt=0)
    """Length of an embedding."""
    channels: tuple[int, ...] = Field((64,), min_length=1)
    """`monai`: of each level. `small`: one number, at half resolution."""
    latent_channels: int = Field(4, gt=0)
    """Channels of the latents."""
    kl_weight: float = Field(1e-6, ge=0)
    """Weight of the KL term, summed over the latents, beside the mean cross-entropy."""
    crop_voxels: tuple[int, int, int] | None = (48, 48, 48)
    """Size of the random training crops; None trains on whole maps."""


class Diffusion(Optimisation):
    """Latents from noise and measurements."""

    kind: Literal["small", "monai"] = "small"
    """`small`: ours; `monai`: DiffusionModelUNet with cross-attention as in the second paper."""
    width: int = Field(128, gt=0)
    """`small`: channels of the highest level."""
    multipliers: tuple[int, ...] = Field((1, 2), min_length=1)
    """`small`: channels of each level in units of `width`."""
    blocks: int = Field(2, gt=0)
    """Residual blocks per level."""
    factor: Literal[1, 2, 4] = 2
    """`small`: edge of the space-to-depth block in cells of the latents."""
    channels: tuple[int, ...] = (256, 512, 768)
    """`monai`: channels of each level; attention on all but the first."""
    embedding: int = Field(256, gt=0)
    """Length of a measurement's token."""
    objective: Literal["epsilon", "v", "flow", "sample"] = "sample"
    """What the network predicts."""
    schedule: Literal["cosine", "scaled_linear", "rectified_flow"] = "rectified_flow"
    """Noise schedule."""
    schedule_steps: int = Field(1000, gt=0)
    """Length T of a discrete schedule."""
    time: Literal["uniform", "logit_normal"] = "logit_normal"
    """Density of the training times."""
    weight_cap: float = Field(0.3, gt=0, le=1)
    """Objective `sample`: the loss is weighted with 1 / max(t, cap)."""
    drop: float = Field(0.2, ge=0, le=1)
    """Probability that an example is trained without any measurement, for guidance."""
    keep: float = Field(0.6, gt=0, le=1)
    """Otherwise each measurement is shown with this probability, so that any subset can be asked for."""


class Augmentation(BaseConfig):
    """Copies of every training map, made once before training."""

    copies: int = Field(2, ge=1)
    """Maps per training case; the first is the case itself."""
    flip: float = Field(0.5, ge=0, le=1)
    """Probability that a copy is mirrored, left and right labels exchanged."""
    scaling: float = Field(0.06, ge=0, lt=0.5)
    """Each axis of a copy is scaled by exp(U(-scaling, scaling))."""
    rotation_degrees: float = Field(6.0, ge=0, le=45)
    """Rotation of a copy about each axis, U(-r, r)."""
    shift_mm: float = Field(2.0, ge=0)
    """Displacement of a copy along each axis, U(-s, s)."""
    elastic_mm: float = Field(2.5, ge=0)
    """Standard deviation of the smooth random deformation of a copy."""
    elastic_scale_mm: float = Field(40.0, gt=0)
    """Distance over which that deformation varies."""


class Sampling(BaseConfig):
    """How label maps are drawn, and how a request is met."""

    method: Literal["ddpm", "ddim", "dpmpp_2m", "euler", "heun"] = "ddim"
    """Sampler."""
    steps: int = Field(16, gt=0)
    """Network calls; twice as many with guidance."""
    guidance: float = Field(2.0, ge=0, allow_inf_nan=False)
    """G of uncond + G (cond - uncond); 1 is the plain conditional model."""
    guidance_interval: tuple[float, float] = (0.2, 1.0)
    """Diffusion times between which guidance is on; near the data it only adds noise."""
    bound: float | None = 4.0
    """Bound of the predicted latents at every step, in training standard deviations: strong guidance cannot leave what
    the decoder knows. None: no bound."""
    closed_loop: bool = True
    """Measure the decoded map and correct until the request is met."""
    tolerance: float = Field(0.02, gt=0, lt=0.5)
    """Largest relative error of a met request."""
    corrections: int = Field(3, ge=0)
    """How often at most the request is corrected with the same noise."""
    decision_limit: float = Field(0.1, ge=0, lt=1)
    """Relative error up to which the decoder's decision is moved to meet the request; beyond it the flow engine
    reshapes the map."""
    candidates: int = Field(4, gt=0)
    """Noises tried until a map is valid and the request is met."""
    beyond: Literal["morph", "guide", "refuse"] = "morph"
    """Requests outside the trained range: `morph` generates at its edge and reshapes the rest of the way; `guide` lets
    the network extrapolate; `refuse` stops."""
    tidy: bool = True
    """Give islands and holes to the label around them."""


class Config(BaseConfig):
    """All settings of one label generator."""

    preset: str = "small"
    """Name of the preset these settings started from."""
    conditions: tuple[str, ...] = ("ventricle_ratio", "ventricle_ml", "intracranial_ml", "cerebellum_ml")
    """Measurements the model is steered by (`data.measurements`), and ages."""
    grid: Grid = Grid()
    autoencoder: Autoencoder = Autoencoder()
    diffusion: Diffusion = Diffusion()
    augmentation: Augmentation = Augmentation()
    sampling: Sampling = Sampling()

    @property
    def total_steps(self) -> int:
        """Optimiser steps of both networks."""
        return self.autoencoder.steps + self.diffusion.steps

    @property
    def downsampling(self) -> int:
        """Voxels per cell of the latents, along each axis."""
        levels = len(self.autoencoder.channels)
        return 4 if self.autoencoder.kind == "small" else int(2 ** (levels - 1))

    @property
    def multiple(self) -> int:
        """What the voxels of each axis must be a multiple of."""
        if self.diffusion.kind == "small":
            return int(self.downsampling * self.diffusion.factor * 2 ** (len(self.diffusion.multipliers) - 1))
        return int(self.downsampling * 2 ** (len(self.diffusion.channels) - 1))

    @model_validator(mode="after")
    def _sizes_fit(self) -> "Config":
        check_multiple("grid.shape", self.grid.shape, self.multiple)
        crop = self.autoencoder.crop_voxels
        if crop is not None:
            check_multiple("autoencoder.crop_voxels", crop, self.downsampling)
            if any(c > n for c, n in zip(crop, self.grid.shape, strict=True)):
                raise ValueError(f"autoencoder.crop_voxels: {list(crop)} is larger than the grid {self.grid.shape}")
        trained = crop or self.grid.shape
        cells = [n // self.downsampling for n in trained]
        check_lowest_level("autoencoder.crop_voxels", cells, self.autoencoder.precision)
        check_lowest_level("grid.shape", [n // self.multiple for n in self.grid.shape], self.diffusion.precision)
        if self.autoencoder.kind == "small" and len(self.autoencoder.channels) != 1:
            raise ValueError("autoencoder.channels: kind 'small' takes one number, the width at half resolution")
        if len(set(self.conditions)) != len(self.conditions) or not self.conditions:
            raise ValueError("conditions: expected at least one name, each once")
        return self


def presets() -> dict[str, dict[str, Any]]:
    """All presets by name, as nested plain values."""
    text = resources.files(__package__).joinpath("presets.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)


def config_from_preset(name: str, changes: dict[str, Any]) -> Config:
    """Settings of a preset with some of them changed, see `runs.config.preset_config`."""
    return preset_config(Config, presets(), name, changes)
