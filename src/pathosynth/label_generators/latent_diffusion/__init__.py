"""Latent diffusion of label maps, steered by named measurements with units (the second paper's first model).

``presets.toml`` holds the settings: `small` (ours) and `paper` (arXiv 2411.01351).
"""

from pathosynth.label_generators.latent_diffusion.config import Config, Sampling, config_from_preset, presets
from pathosynth.label_generators.latent_diffusion.generate import generate
from pathosynth.label_generators.latent_diffusion.membership import denoising_losses
from pathosynth.label_generators.latent_diffusion.model import Model, load_model
from pathosynth.label_generators.latent_diffusion.train import train

__all__ = [
    "Config",
    "Model",
    "Sampling",
    "config_from_preset",
    "denoising_losses",
    "generate",
    "load_model",
    "presets",
    "train",
]
