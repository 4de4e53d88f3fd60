"""From noise to image: five solvers over one grid of times.

All of them take a denoiser that estimates the image, `denoiser(x_t, t) -> x_0`, whatever the network itself predicts
(see `objective.to_x0`), and read both ends of every step from `schedule.timesteps`.
"""

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor

from pathosynth.diffusion.schedule import Schedule, Spacing
from pathosynth.runs.errors import ConfigError

Denoiser = Callable[[Tensor, Tensor], Tensor]
Method = Literal["ddpm", "ddim", "dpmpp_2m", "euler", "heun"]
METHODS: tuple[str, ...] = get_args(Method)

# Global order of convergence of the deterministic solvers, measured in tests/diffusion/test_sample_order.py on
# schedules whose alpha and sigma are smooth at both ends (rectified flow, cosine with s = 0).
ORDER: dict[str, int] = {"ddim": 1, "euler": 1, "dpmpp_2m": 2, "heun": 2}


@dataclass(frozen=True)
class Level:
    """One time of the grid with its alpha and sigma."""

    t: float
    alpha: float
    sigma: float

    @property
    def log_ratio(self) -> float:
        """Lambda of DPM-Solver, log(alpha / sigma); only where both are above 0."""
        return math.log(self.alpha / self.sigma)


@dataclass(frozen=True)
class Past:
    """What DPM-Solver++ 2M remembers of the step before: its level and the image estimate made there."""

    level: Level
    x0: Tensor


@torch.no_grad()
def sample(
    denoiser: Denoiser,
    noise: Tensor,
    schedule: Schedule,
    *,
    method: Method,
    steps: int,
    generators: Sequence[torch.Generator] | None = None,
    eta: float = 0.0,
    clip: float | None = None,
    spacing: Spacing = "trailing",
    on_step: Callable[[int, Tensor], None] | None = None,
) -> Tensor:
    """Turn standard normal noise into images.

    The seed decides, batch size does not: whatever is random comes from the generator of each sample.

    Args:
        denoiser: image estimate (B, ...) from x_t (B, ...) and times t (B,) float32.
        noise: (B, ...) standard normal, the start at t = 1.
        schedule: the one the denoiser was trained with.
        method: "ddpm" ancestral sampling with the smaller posterior variance, "ddim", "dpmpp_2m", "euler", "heun".
        steps: number of steps; `network_calls` says what they cost.
        generators: one per sample (CPU generators give the same images on every device); needed by "ddpm" and by
            "ddim" with eta above 0.
        eta: "ddim" only: 0 is deterministic, 1 is "ddpm".
        clip: bound every image estimate to [-clip, clip]; None leaves them alone.
        spacing: see `Schedule.timesteps`.
        on_step: called after each step with the number of steps done and the current image estimate.

    Returns:
        x_0, shape and type of `noise`.

    Raises:
        ConfigError: unknown method, wrong number of steps or generators, or eta where it has no meaning.
    """
    _check(method, noise, generators, eta)
    estimate = _estimator(denoiser, clip)
    x, past = noise, None
    for done, (now, then) in enumerate(itertools.pairwise(_levels(schedule, steps, spacing)), start=1):
        x0 = estimate(x, now)
        if method == "heun":
            x = _heun(x, x0, now, then, estimate)
        elif method == "dpmpp_2m":
            x, past = _dpmpp_2m(x, x0, now, then, past), Past(now, x0)
        else:
            x = _ddim(x, x0, now, then, 1.0 if method == "ddpm" else eta, generators)
        if on_step is not None:
            on_step(done, x0)
    return x


def network_calls(method: Method, steps: int) -> int:
    """How often the denoiser is called: once per step, for "heun" twice except in the last one."""
    return 2 * steps - 1 if method == "heun" else steps


def normal_like(noise: Tensor, generators: Sequence[torch.Generator]) -> Tensor:
    """Standard normal noise of the shape of `noise`, sample i drawn from `generators[i]` on that generator's device."""
    drawn = [torch.randn(noise.shape[1:], generator=g, device=g.device, dtype=noise.dtype) for g in generators]
    return torch.stack([each.to(noise.device) for each in drawn])


def _levels(schedule: Schedule, steps: int, spacing: Spacing) -> list[Level]:
    """The grid of the sampler with both ends, as plain double-precision numbers."""
    grid = schedule.timesteps(steps, spacing)
    columns = grid.tolist(), schedule.alpha(grid).tolist(), schedule.sigma(grid).tolist()
    return [Level(*values) for values in zip(*columns, strict=True)]


def _estimator(denoiser: Denoiser, clip: float | None) -> Callable[[Tensor, Level], Tensor]:
    """The denoiser at one level for the whole batch, in the type of x and within the bounds."""

    def estimate(x: Tensor, level: Level) -> Tensor:
        t = torch.full((len(x),), level.t, dtype=torch.float32, device=x.device)
        x0 = denoiser(x, t).to(x.dtype)
        return x0 if clip is None else x0.clamp(-clip, clip)

    return estimate


def _ddim(
    x: Tensor, x0: Tensor, now: Level, then: Level, eta: float, generators: Sequence[torch.Generator] | None
) -> Tensor:
    """One step of DDIM (Song et al. 2021, eq. 12), for any alpha and sigma.

    The noise put back is eta times the posterior deviation (Ho et al. 2020, eq. 7, of the actual pair of times):
    eta = 0 is the Euler method of the probability-flow ODE, eta = 1 is ancestral sampling.
    """
    eps = (x - now.alpha * x0) / now.sigma
    if eta == 0 or then.sigma == 0:
        return then.alpha * x0 + then.sigma * eps
    # Var[x_then | x_now, x_0] = sigma_then^2 / sigma_now^2 (sigma_now^2 - (alpha_now / alpha_then)^2 sigma_then^2)
    kept = (now.alpha / then.alpha) * (then.sigma / now.sigma)
    deviation = eta * then.sigma * math.sqrt(1 - kept**2)
    direction = math.sqrt(then.sigma**2 - deviation**2)
    return then.alpha * x0 + direction * eps + deviation * normal_like(x, generators or [])


def _dpmpp_2m(x: Tensor, x0: Tensor, now: Level, then: Level, past: Past | None) -> Tensor:
    """One step of DPM-Solver++ 2M (Lu et al. 2022b, algorithm 2), lambda = log(alpha / sigma).

    First order (that is DDIM) where a lambda of the step or of the one before is infinite: at the start, from pure
    noise, and into t = 0.
    """
    decay = then.sigma / now.sigma
    gain = then.alpha - now.alpha * decay  # alpha_then (1 - exp(-h)), h = lambda_then - lambda_now
    if past is None or then.sigma == 0 or past.level.alpha == 0:
        return decay * x + gain * x0
    r = (now.log_ratio - past.level.log_ratio) / (then.log_ratio - now.log_ratio)
    return decay * x + gain * (x0 + (x0 - past.x0) / (2 * r))


def _heun(x: Tensor, x0: Tensor, now: Level, then: Level, estimate: Callable[[Tensor, Level], Tensor]) -> Tensor:
    """One step of Heun's method (Karras et al. 2022, algorithm 1) on the straightened probability-flow ODE.

    Divided by alpha + sigma, every schedule is rectified flow: y = (1 - tau) x_0 + tau eps, tau = sigma / (alpha +
    sigma), dy/dtau = eps - x_0, smooth from pure noise to data, where Karras' sigma / alpha is infinite at the noise.
    The last step, into tau = 0, is Euler's, as in the paper.
    """
    if then.sigma == 0:
        return then.alpha * x0
    tau, tau_then = now.sigma / (now.alpha + now.sigma), then.sigma / (then.alpha + then.sigma)
    slope = (x - now.alpha * x0) / now.sigma - x0
    y = x / (now.alpha + now.sigma)
    x_then = (y + (tau_then - tau) * slope) * (then.alpha + then.sigma)
    x0_then = estimate(x_then, then)
    slope_then = (x_then - then.alpha * x0_then) / then.sigma - x0_then
    return (y + (tau_then - tau) * (slope + slope_then) / 2) * (then.alpha + then.sigma)


def _check(method: str, noise: Tensor, generators: Sequence[torch.Generator] | None, eta: float) -> None:
    if method not in METHODS:
        raise ConfigError(f"Sampling method '{method}' is unknown. Expected one of {', '.join(METHODS)}.")
    if eta and method != "ddim":
        raise ConfigError(f"eta={eta} with method '{method}': eta belongs to 'ddim'. Leave it at 0.")
    if not 0 <= eta <= 1:
        raise ConfigError(f"eta={eta}: expected a number from 0 (deterministic) to 1 (ancestral).")
    if (method == "ddpm" or eta) and (generators is None or len(generators) != len(noise)):
        found = "none" if generators is None else len(generators)
        raise ConfigError(
            f"Method '{method}' adds noise: expected {len(noise)} generators, one per sample, found {found}."
        )
