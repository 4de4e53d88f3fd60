"""Pixel diffusion: labels condition a 3D U-Net that denoises the image at voxel size.

``presets.toml`` holds the settings: `fast` (ours), `paper` (the first paper's), `overfit` (its second experiment).
"""

from pathosynth.image_generators.pixel_diffusion.config import Config, config_from_preset, presets
from pathosynth.image_generators.pixel_diffusion.generate import generate
from pathosynth.image_generators.pixel_diffusion.membership import denoising_losses
from pathosynth.image_generators.pixel_diffusion.model import Model, load_model
from pathosynth.image_generators.pixel_diffusion.train import train

__all__ = ["Config", "Model", "config_from_preset", "denoising_losses", "generate", "load_model", "presets", "train"]
