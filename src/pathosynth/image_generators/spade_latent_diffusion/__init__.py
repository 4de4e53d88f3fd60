"""SPADE latent diffusion: labels steer a diffusion model on latents and the decoder that makes an image of them.

The second paper's image model (arXiv 2411.01351). ``presets.toml`` holds the settings: `small` (ours), `paper`.
"""

from pathosynth.image_generators.spade_latent_diffusion.config import Config, config_from_preset, presets
from pathosynth.image_generators.spade_latent_diffusion.generate import generate
from pathosynth.image_generators.spade_latent_diffusion.model import Model, load_model
from pathosynth.image_generators.spade_latent_diffusion.train import train

__all__ = ["Config", "Model", "config_from_preset", "generate", "load_model", "presets", "train"]
