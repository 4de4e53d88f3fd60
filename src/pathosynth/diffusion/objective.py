"""What the network is trained to predict, and how to get image and noise back from it.

With x_t = alpha x_0 + sigma eps:

=========  ========================  ======================================================================
objective  target                    source
=========  ========================  ======================================================================
epsilon    eps                       Ho et al. 2020, eq. 14
sample     x_0                       Salimans & Ho 2022, section 4
v          alpha eps - sigma x_0     Salimans & Ho 2022, section 4 (needs alpha^2 + sigma^2 = 1 to be inverted simply)
flow       eps - x_0                 Liu et al. 2023, eq. 1; Lipman et al. 2023, eq. 23, time reversed
=========  ========================  ======================================================================

Each target is a x_0 + b eps, so image and noise follow from two linear equations; where their determinant vanishes
(epsilon at alpha = 0, sample at sigma = 0) the quantity that divides is kept at or above `SMALLEST`.
"""

from typing import Literal, get_args

from torch import Tensor

from pathosynth.diffusion.schedule import Schedule, broadcast
from pathosynth.runs.errors import ConfigError

Objective = Literal["epsilon", "v", "flow", "sample"]
OBJECTIVES: tuple[str, ...] = get_args(Objective)

# Below the smallest alpha of the cosine table (4.9e-5), so that every tabulated step is inverted exactly; only
# epsilon on a path that ends at alpha = 0 meets it, where a prediction says nothing about the image.
SMALLEST = 1e-5


def target(objective: Objective, schedule: Schedule, x0: Tensor, eps: Tensor, t: Tensor) -> Tensor:
    """What the network should answer for image `x0` and noise `eps`, both (B, ...), at times `t`, (B,)."""
    a, b = _coefficients(objective, *_levels(schedule, x0, t))
    return a * x0 + b * eps


def noised(schedule: Schedule, x0: Tensor, eps: Tensor, t: Tensor) -> Tensor:
    """Noisy image x_t = alpha x_0 + sigma eps (Ho et al. 2020, eq. 4); shapes as in `target`."""
    alpha, sigma = _levels(schedule, x0, t)
    return alpha * x0 + sigma * eps


def to_x0(objective: Objective, schedule: Schedule, prediction: Tensor, x_t: Tensor, t: Tensor) -> Tensor:
    """Image estimate from the network's answer `prediction` at `x_t`, both (B, ...), and `t`, (B,).

    At t = 0 the answer is `x_t` itself whatever was predicted, except for `sample`, where it is the prediction.
    For `epsilon` where alpha is below `SMALLEST`, alpha is taken as `SMALLEST`: the answer is finite and meaningless.
    """
    alpha, sigma = _levels(schedule, x_t, t)
    if objective == "epsilon":
        return (x_t - sigma * prediction) / alpha.clamp(min=SMALLEST)
    a, b = _coefficients(objective, alpha, sigma)
    # x_t = alpha x0 + sigma eps, prediction = a x0 + b eps  =>  x0 = (b x_t - sigma prediction) / (alpha b - sigma a)
    if objective == "sample":
        return prediction
    return (b * x_t - sigma * prediction) / (alpha * b - sigma * a)


def to_eps(objective: Objective, schedule: Schedule, prediction: Tensor, x_t: Tensor, t: Tensor) -> Tensor:
    """Noise estimate from the network's answer; shapes as in `to_x0`.

    For `sample` where sigma is below `SMALLEST` (t = 0), sigma is taken as `SMALLEST`.
    """
    alpha, sigma = _levels(schedule, x_t, t)
    if objective == "epsilon":
        return prediction
    if objective == "sample":
        return (x_t - alpha * prediction) / sigma.clamp(min=SMALLEST)
    a, b = _coefficients(objective, alpha, sigma)
    return (alpha * prediction - a * x_t) / (alpha * b - sigma * a)


def _levels(schedule: Schedule, x: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
    return broadcast(schedule.alpha(t), x), broadcast(schedule.sigma(t), x)


def _coefficients(objective: Objective, alpha: Tensor, sigma: Tensor) -> tuple[Tensor | float, Tensor | float]:
    """The pair (a, b) of target = a x_0 + b eps."""
    if objective == "epsilon":
        return 0.0, 1.0
    if objective == "sample":
        return 1.0, 0.0
    if objective == "v":
        return -sigma, alpha
    if objective == "flow":
        return -1.0, 1.0
    raise ConfigError(f"Objective '{objective}' is unknown. Expected one of {', '.join(OBJECTIVES)}.")
