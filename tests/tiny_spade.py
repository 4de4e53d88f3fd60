"""A SPADE latent diffusion model that trains in seconds, and what it is trained on."""

import functools
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from pathosynth.data.labels import load_scheme
from pathosynth.data.pairs import Pair
from pathosynth.data.phantom import brain_phantom
from pathosynth.diffusion.distributed import Rank
from pathosynth.image_generators.spade_latent_diffusion import Config, Model, config_from_preset, load_model, train

SCHEME = load_scheme("kcl8")
INTENSITIES = np.array([0, 0.1, 1.1, 0.5, 0.6, 0.35, 0.7, 0.9, 0.1])


def pair(seed: int, brighter: float, contrast: str = "T1w") -> Pair:
    """A phantom whose labels do not say how bright it is."""
    phantom, rng = brain_phantom(seed), np.random.default_rng(seed)
    image = (INTENSITIES + brighter)[phantom.array] + rng.normal(0, 0.05, phantom.shape)
    name = f"phantom{seed}"
    shown = np.where(phantom.array > 0, image, 0).astype(np.float32)
    return Pair(name, name, phantom.array, shown, phantom.spacing_mm, contrast)


def config(**changes: Any) -> Config:
    """Settings for the smallest networks, at 4 mm."""
    quick = {"precision": "fp32", "warmup_steps": 4, "hidden": 8, "head_width": 8}
    parts: dict[str, Any] = {
        "autoencoder": quick
        | {
            "steps": 110,
            "learning_rate": 4e-3,
            "perceptual": "none",
            "ema_decay": 0.9,
            "channels": [16],
            "latent_channels": 2,
        }
        | {"perceptual": "none", "crop_voxels": [16, 16, 16]},
        "diffusion": quick
        | {"objective": "flow", "steps": 60, "learning_rate": 5e-3, "ema_decay": 0.95, "width": 16, "multipliers": [1]},
        "augmentation": {"copies": 1, "affine": 0.0},
        "grid": {"shape": [24, 32, 24], "spacing_mm": [4.0, 4.0, 4.0]},
        "sampling": {"steps": 4},
    }
    for key, value in changes.items():
        parts[key] = {**parts.get(key, {}), **value} if isinstance(value, dict) else value
    return config_from_preset("small", parts)


def train_tiny(folder: Path) -> None:
    """Write a trained model folder; the same labels were seen bright and dark, so only the noise can decide."""
    list(
        train(
            [pair(0, 0.2), pair(0, -0.1), pair(1, 0.2), pair(1, -0.1)],
            SCHEME,
            config(),
            folder,
            rank=Rank(),
            checkpoint_every=10_000,
        )
    )


@functools.cache
def tiny_model() -> Model:
    """The model of `train_tiny`, trained once per process."""
    with tempfile.TemporaryDirectory() as folder:
        train_tiny(Path(folder))
        return load_model(Path(folder))
