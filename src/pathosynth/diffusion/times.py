"""At which diffusion times a network is trained."""

from typing import Literal

import torch
from torch import Tensor

from pathosynth.diffusion.schedule import Schedule

Density = Literal["uniform", "logit_normal"]
_MEAN, _DEVIATION = 0.6, 1.2


def draw_times(count: int, density: Density, draws: torch.Generator, schedule: Schedule) -> Tensor:
    """Training times in (0, 1], (count,).

    Args:
        count: how many.
        density: `uniform` over the schedule, or `logit_normal` (Esser et al. 2024, eq. 19) leaning towards noise, where
            a conditioned image is decided.
        draws: they come from it.
        schedule: noise schedule.
    """
    if density == "uniform":
        return schedule.place(torch.rand(count, generator=draws))
    return torch.sigmoid(torch.randn(count, generator=draws) * _DEVIATION + _MEAN)
