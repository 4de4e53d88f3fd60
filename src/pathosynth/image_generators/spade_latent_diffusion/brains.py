"""Whole training brains on the model's grid: their labels in memory, their latents encoded once."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from pathosynth.data.labels import LabelScheme
from pathosynth.diffusion.latents import Latents
from pathosynth.diffusion.networks.spade_autoencoder import SpadeAutoencoder
from pathosynth.diffusion.networks.spade_monai import MonaiSpadeAutoencoder
from pathosynth.image_generators.spade_latent_diffusion.config import Config
from pathosynth.image_generators.spade_latent_diffusion.examples import Example, centred, draw_copy, look
from pathosynth.runs.seeds import numpy_generator


@dataclass(frozen=True, eq=False)
class Brains:
    """Label maps of the training brains and their copies.

    Attributes:
        classes: (N, I, J, K) uint8.
        contrast: (N,) int64, from 1.
        cases: N names.
        class_count: labels of the scheme, without background.
    """

    classes: Tensor
    contrast: Tensor
    cases: tuple[str, ...]
    class_count: int


@dataclass(frozen=True, eq=False)
class Whole:
    """Brains of one step: their numbers in the cache, their labels (B, I, J, K) uint8, case names."""

    indices: list[int]
    classes: Tensor
    cases: tuple[str, ...]


@torch.no_grad()
def encode_brains(
    examples: Sequence[Example],
    scheme: LabelScheme,
    config: Config,
    autoencoder: SpadeAutoencoder | MonaiSpadeAutoencoder,
    seed: int,
) -> tuple[Brains, Latents]:
    """Every example and its copies on the model's grid, encoded.

    Args:
        examples: training examples.
        scheme: of their classes.
        config: grid and augmentation.
        autoencoder: trained, on its device.
        seed: decides the copies.
    """
    device = next(autoencoder.parameters()).device
    size, sides = config.grid.shape, scheme.partner_indices()
    classes, means, sigmas, numbers, cases = [], [], [], [], []
    for example in examples:
        for copy in range(config.augmentation.copies):
            rng = numpy_generator(seed, "copy", example.case, example.contrast, copy)
            place = draw_copy(example, config.augmentation, size, rng) if copy else centred(example, np.eye(3), size)
            image, labels = look(example, place, sides)
            coded = autoencoder.encode(torch.from_numpy(image)[None, None].to(device))
            means.append(coded.mean[0].float().cpu())
            sigmas.append(coded.sigma[0].float().cpu())
            classes.append(torch.from_numpy(labels))
            numbers.append(example.contrast)
            cases.append(example.case)
    brains = Brains(torch.stack(classes), torch.tensor(numbers), tuple(cases), len(scheme.values))
    return brains, Latents.of(torch.stack(means), torch.stack(sigmas))


def brains_at(brains: Brains, seed: int, step: int, slots: Sequence[int]) -> Whole:
    """The diffusion model's brains of one step, a function of (seed, step, slot)."""
    count = len(brains.cases)
    indices = [int(numpy_generator(seed, "brain", step, slot).integers(count)) for slot in slots]
    return Whole(indices, brains.classes[indices], tuple(brains.cases[i] for i in indices))
