"""Settings of the SPADE latent diffusion generator and its presets, which are data (``presets.toml``)."""

import tomllib
from importlib import resources
from typing import Any, Literal

from pydantic import Field, model_validator

from pathosynth.diffusion.optimisation import Optimisation
from pathosynth.diffusion.sizes import check_multiple
from pathosynth.runs.config import Config as BaseConfig
from pathosynth.runs.config import preset_config


class Grid(BaseConfig):
    """The voxels a whole brain is trained on, the middle of the labels in the middle."""

    shape: tuple[int, int, int] = (80, 96, 80)
    """Voxels per axis. Larger brains are rendered on a larger grid."""
    spacing_mm: tuple[float, float, float] | None = None
    """Voxel edge lengths; None: those of the training cases."""


class Condition(BaseConfig):
    """What the networks are told about the labels."""

    scheme: str = ""
    """Scheme the labels are remapped to before one-hot coding; empty: that of the training cases."""
    pooling: Literal["area", "nearest"] = "area"
    """How coarse layers see labels: shares per cell, or the label of one voxel in each (the paper)."""


class Autoencoder(Optimisation):
    """Images to latents of a quarter of their size, and back."""

    kind: Literal["small", "monai"] = "small"
    """`small`: ours; `monai`: SPADEAutoencoderKL as in the second paper."""
    spade: bool = True
    """Whether the decoder is told the labels; `small` only."""
    channels: tuple[int, ...] = Field((32,), min_length=1)
    """`small`: one number, at half resolution; `monai`: of each level."""
    blocks: int = Field(1, gt=0)
    """Residual blocks per level."""
    hidden: int = Field(16, gt=0)
    """Channels inside each label modulation."""
    head_width: int = Field(12, gt=0)
    """`small`: channels at full resolution."""
    latent_channels: int = Field(6, gt=0)
    """Channels of the latents."""
    kl_weight: float = Field(3e-6, ge=0)
    """Weight of the KL term, summed over the latents, beside the mean L1. Small, latents repeat what labels tell, which
    the diffusion model must then learn (1e-7: NCC 0.80 on unseen people); large, images vary little between seeds
    (3e-6: 0.95). Measured in benchmarks/results.md."""
    perceptual: Literal["gradients", "lpips", "none"] = "gradients"
    """`gradients`: gradients at several scales and the spectrum, no weights needed; `lpips`: needs the package `lpips`
    and its weights on disk."""
    perceptual_weight: float = Field(0.3, ge=0)
    """Weight of the perceptual term beside the mean L1."""
    adversarial_weight: float = Field(0.0, ge=0)
    """Weight of the patch discriminator's opinion; 0 leaves it out."""
    background_weight: float = Field(0.05, gt=0)
    """Weight of voxels outside the labels; they are set to zero after sampling anyway."""
    crop_voxels: tuple[int, int, int] | None = (48, 56, 48)
    """Size of the random training crops; None trains on whole brains."""
    checkpointing: bool = False
    """Compute the insides of decoder blocks again on the way back: less memory, a third more time."""


class Diffusion(Optimisation):
    """Latents from noise and labels."""

    kind: Literal["small", "monai"] = "small"
    """`small`: ours; `monai`: SPADEDiffusionModelUNet as in the second paper."""
    width: int = Field(96, gt=0)
    """`small`: channels of the highest level."""
    multipliers: tuple[int, ...] = Field((1, 2), min_length=1)
    """`small`: channels of each level in units of `width`."""
    blocks: int = Field(1, gt=0)
    """Residual blocks per level."""
    hidden: int = Field(32, gt=0)
    """Channels inside each label modulation."""
    head_width: int = Field(32, gt=0)
    """`small`: channels at the resolution of the latents."""
    channels: tuple[int, ...] = (128, 256, 512)
    """`monai`: channels of each level; attention on all but the first."""
    objective: Literal["epsilon", "v", "flow", "sample"] = "sample"
    """What the network predicts."""
    schedule: Literal["cosine", "scaled_linear", "rectified_flow"] = "rectified_flow"
    """Noise schedule."""
    schedule_steps: int = Field(1000, gt=0)
    """Length T of a discrete schedule."""
    beta: tuple[float, float] = (0.0015, 0.0205)
    """First and last beta of `scaled_linear`."""
    loss: Literal["l1", "l2"] = "l2"
    """Distance between target and prediction."""
    time: Literal["uniform", "logit_normal"] = "logit_normal"
    """Density of the training times; `logit_normal` leans towards noise."""
    weight_cap: float = Field(0.3, gt=0, le=1)
    """Objective `sample`: the loss is weighted with 1 / max(t, cap)."""
    background_weight: float = Field(0.1, gt=0)
    """Weight of latents without any label in the loss."""
    drop: float = Field(0.1, ge=0, lt=1)
    """Probability that an example is trained without its labels, for guidance."""
    drop_contrast: float = Field(0.1, ge=0, lt=1)
    """Probability that an example is trained without its contrast, where there are several."""
    checkpointing: bool = False
    """Compute the insides of blocks again on the way back."""


class Augmentation(BaseConfig):
    """Random maps of training images: new ones for every crop, and copies of whole brains made once."""

    copies: int = Field(8, ge=1)
    """Whole brains per training case whose latents are cached; the first is the case itself."""
    flip: float = Field(0.5, ge=0, le=1)
    """Probability of a left-right mirror image, left and right labels exchanged."""
    affine: float = Field(0.5, ge=0, le=1)
    """Probability of a random affine map of a crop; copies always get one."""
    scaling: float = Field(0.08, ge=0, lt=0.5)
    """Each axis is scaled by exp(U(-scaling, scaling))."""
    rotation_degrees: float = Field(8.0, ge=0, le=180)
    """Rotation about each axis, U(-r, r)."""


class Sampling(BaseConfig):
    """How images are drawn."""

    method: Literal["ddpm", "ddim", "dpmpp_2m", "euler", "heun"] = "ddim"
    """Sampler."""
    steps: int = Field(10, gt=0)
    """Network calls; twice as many with guidance."""
    guidance: float = Field(1.0, ge=0, allow_inf_nan=False)
    """G of unlabelled + G (labelled - unlabelled); 1 is the plain model."""
    guidance_interval: tuple[float, float] = (0.0, 1.0)
    """Diffusion times between which guidance is on."""
    bound: float | None = 5.0
    """Bound of the predicted latents at every step, in training standard deviations; None: no bound."""
    tile_voxels: int = Field(160, gt=0)
    """`small`: brains longer than this along an axis are decoded in overlapping pieces, with the same result."""
    compile: bool = False
    """Compile the diffusion network, on CUDA only; it pays from some dozens of images of one size."""


class Config(BaseConfig):
    """All settings of one SPADE latent diffusion model."""

    preset: str = "small"
    """Name of the preset these settings started from."""
    contrast: str = "T1w"
    """Image column of the case table, and what is rendered unless another is asked for."""
    contrasts: tuple[str, ...] = ()
    """Several image columns that one model learns and tells apart; empty: `contrast` alone."""
    grid: Grid = Grid()
    condition: Condition = Condition()
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
        """Voxels per latent along each axis."""
        return 4 if self.autoencoder.kind == "small" else int(2 ** (len(self.autoencoder.channels) - 1))

    @property
    def multiple(self) -> int:
        """What the voxels of each axis must be a multiple of."""
        if self.diffusion.kind == "small":
            return int(self.downsampling * 2 ** len(self.diffusion.multipliers))
        return int(self.downsampling * 2 ** (len(self.diffusion.channels) - 1))

    @property
    def all_contrasts(self) -> tuple[str, ...]:
        """Every contrast the model learns."""
        return self.contrasts or (self.contrast,)

    @model_validator(mode="after")
    def _fits_together(self) -> "Config":
        crop = self.autoencoder.crop_voxels
        check_multiple("grid.shape", self.grid.shape, self.multiple)
        if crop is not None:
            check_multiple("autoencoder.crop_voxels", crop, self.downsampling)
        if self.autoencoder.kind == "small":
            if len(self.autoencoder.channels) != 1:
                raise ValueError("autoencoder.channels: kind 'small' takes one number, the width at half resolution")
        elif not self.autoencoder.spade:
            raise ValueError("autoencoder.spade = false: only kind 'small' has a decoder without labels")
        if self.contrast not in self.all_contrasts:
            raise ValueError(f"contrast: '{self.contrast}' is not among the contrasts {list(self.contrasts)}")
        monai = [*(self.autoencoder.channels if self.autoencoder.kind == "monai" else ())]
        monai += self.diffusion.channels if self.diffusion.kind == "monai" else ()
        if any(channels % 32 for channels in monai):
            nearest = [max(32, round(channels / 32) * 32) for channels in monai]
            raise ValueError(
                f"channels of kind 'monai' must be multiples of 32 (group norm); the nearest are {nearest}"
            )
        return self


def presets() -> dict[str, dict[str, Any]]:
    """The shipped presets by name."""
    text = (resources.files(__package__) / "presets.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)


def config_from_preset(name: str, changes: dict[str, Any]) -> Config:
    """Settings of a preset with some of them changed, see `runs.config.preset_config`."""
    return preset_config(Config, presets(), name, changes)
