"""The one data distribution whose diffusion is known in closed form: x_0 ~ N(mean, deviation^2), per element."""

import numpy as np
import torch
from torch import Tensor

from pathosynth.diffusion.sample import Denoiser
from pathosynth.diffusion.schedule import Schedule


def levels(schedule: Schedule, t: float) -> tuple[float, float]:
    time = torch.tensor([t], dtype=torch.float64)
    return float(schedule.alpha(time)), float(schedule.sigma(time))


def denoiser(schedule: Schedule, mean: float, deviation: float) -> Denoiser:
    """E[x_0 | x_t], by the rule for jointly normal variables."""

    def denoise(x_t: Tensor, t: Tensor) -> Tensor:
        alpha, sigma = levels(schedule, float(t[0]))
        return mean + alpha * deviation**2 / (alpha**2 * deviation**2 + sigma**2) * (x_t - alpha * mean)

    return denoise


def exact_end(schedule: Schedule, mean: float, deviation: float, noise: Tensor) -> Tensor:
    """End of the probability-flow ODE from x_1 = noise: the flow keeps (x_t - alpha mean) / sd(x_t) constant."""
    alpha, sigma = levels(schedule, 1.0)
    return mean + deviation * (noise - alpha * mean) / np.hypot(alpha * deviation, sigma)
