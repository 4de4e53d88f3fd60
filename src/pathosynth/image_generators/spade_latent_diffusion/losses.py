"""What the two networks are trained to make small."""

from collections.abc import Callable
from typing import cast

import torch
from torch import Tensor, nn

from pathosynth.diffusion.adversarial import least_squares
from pathosynth.diffusion.latents import Latents, kl_divergence
from pathosynth.diffusion.networks.spade import LabelMaps
from pathosynth.diffusion.objective import noised, target
from pathosynth.diffusion.perceptual import Distance, lpips_distance, perceptual_distance
from pathosynth.diffusion.schedule import Schedule
from pathosynth.diffusion.times import draw_times
from pathosynth.image_generators.spade_latent_diffusion.brains import Brains, Whole
from pathosynth.image_generators.spade_latent_diffusion.config import Config
from pathosynth.image_generators.spade_latent_diffusion.examples import Crops, one_hot


def autoencoder_loss(config: Config, class_count: int) -> Callable[[nn.Module, Crops, torch.Generator], Tensor]:
    """L1 + perceptual + KL, and the adversarial terms where they are on.

    Raises:
        ConfigError: LPIPS is asked for and not there.
    """
    settings = config.autoencoder
    distance: Distance | None = None
    if settings.perceptual_weight and settings.perceptual != "none":
        distance = lpips_distance() if settings.perceptual == "lpips" else perceptual_distance

    def loss(model: nn.Module, crops: Crops, draws: torch.Generator) -> Tensor:
        device = next(model.parameters()).device
        image, classes = crops.image.to(device), crops.classes.to(device)
        maps = LabelMaps(one_hot(classes, class_count), config.condition.pooling)
        cells = [n // config.downsampling for n in image.shape[2:]]
        noise = torch.randn((len(image), settings.latent_channels, *cells), generator=draws).to(device)
        rebuilt, coded, verdicts = model(image, maps, noise)
        rebuilt = rebuilt.float()
        weight = torch.where(classes[:, None] > 0, 1.0, settings.background_weight)
        total = ((rebuilt - image).abs() * weight).sum() / weight.sum()
        total = total + settings.kl_weight * kl_divergence(coded.mean, coded.sigma).mean()
        if distance is not None:
            total = total + settings.perceptual_weight * distance(rebuilt, image)
        if verdicts is not None:
            made, judge = least_squares(verdicts)
            total = total + settings.adversarial_weight * made + judge
        return cast(Tensor, total)

    return loss


def diffusion_loss(
    config: Config, brains: Brains, latents: Latents, schedule: Schedule
) -> Callable[[nn.Module, Whole, torch.Generator], Tensor]:
    """Weighted distance between target and prediction at random times, one per brain."""
    settings = config.diffusion

    def loss(model: nn.Module, batch: Whole, draws: torch.Generator) -> Tensor:
        device = next(model.parameters()).device
        count, shape = len(batch.indices), latents.mean.shape[1:]
        x0 = latents.draw(batch.indices, torch.randn((count, *shape), generator=draws)).to(device)
        t = draw_times(count, settings.time, draws, schedule).to(device)
        eps = torch.randn(x0.shape, generator=draws).to(device)
        unlabelled = (torch.rand(count, generator=draws) < settings.drop).to(device)
        untold = torch.rand(count, generator=draws) < settings.drop_contrast
        contrast = torch.where(untold, 0, brains.contrast[batch.indices]).to(device)
        maps = LabelMaps(one_hot(batch.classes.to(device), brains.class_count), config.condition.pooling)
        share = 1 - maps.at(shape[1:])[:, :1]
        prediction = model(noised(schedule, x0, eps, t), t, maps.dropped(unlabelled), contrast).float()
        difference = prediction - target(settings.objective, schedule, x0, eps, t)
        distance = difference.abs() if settings.loss == "l1" else difference.square()
        weight = torch.where(share > 0, 1.0, settings.background_weight)
        per_brain = (distance * weight).mean(dim=(1, 2, 3, 4)) / weight.mean(dim=(1, 2, 3, 4))
        if settings.objective == "sample":
            per_brain = per_brain / t.clamp(min=settings.weight_cap)
        return cast(Tensor, per_brain.mean())

    return loss
