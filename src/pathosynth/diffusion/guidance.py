"""Classifier-free guidance (Ho & Salimans 2022)."""

import torch
from torch import Tensor

from pathosynth.diffusion.sample import Denoiser


def guided(
    denoise_conditional: Denoiser,
    denoise_unconditional: Denoiser,
    scale: float,
    *,
    interval: tuple[float, float] = (0.0, 1.0),
) -> Denoiser:
    """Denoiser that pushes away from the unconditional answer: unconditional + G (conditional - unconditional).

    Convention: G = `scale` = 1 is the plain conditional model (and skips the unconditional call), 0 the
    unconditional one, above 1 exaggerates. Ho & Salimans write w = G - 1. Mixing image estimates or noise estimates
    gives the same result, because one is a linear function of the other at fixed x_t.

    Args:
        denoise_conditional: image estimate given the condition.
        denoise_unconditional: image estimate without it.
        scale: G.
        interval: times (low, high), both included, where guidance is on; elsewhere G = 1
            (Kynkäänniemi et al. 2024: guiding only the middle is cheaper and keeps diversity).
    """
    if scale == 1.0:
        return denoise_conditional
    low, high = interval

    def denoise(x_t: Tensor, t: Tensor) -> Tensor:
        conditional = denoise_conditional(x_t, t)
        inside = (t >= low) & (t <= high)
        if not bool(inside.any()):
            return conditional
        unconditional = denoise_unconditional(x_t, t)
        pushed = unconditional + scale * (conditional - unconditional)
        return torch.where(inside.reshape(-1, *[1] * (x_t.ndim - 1)), pushed, conditional)

    return denoise
