"""How much noise is in an image at each time: x_t = alpha(t) x_0 + sigma(t) eps.

Time runs from 0 (data) to 1 (noise). A schedule with a table of T steps keeps the exact table of its paper: the
paper's step i = 1..T is t = i / T, and t = 0 is the image itself (alpha 1, sigma 0). Every sampler reads both ends of
its step from the same grid, so no step can land on a time other than the one it was computed for.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from pathosynth.runs.errors import ConfigError, InputError

Spacing = Literal["trailing", "uniform"]


@dataclass(frozen=True, eq=False)
class Schedule:
    """Noise levels over t in [0, 1]; a value without state.

    Attributes:
        name: the constructor it came from, a key of `SCHEDULES`.
        alphas_cumprod: (T,) float64, alpha squared at t = 1/T, 2/T, ... 1; None for the straight path of rectified
            flow, where alpha = 1 - t and sigma = t.
        shift: rectified flow only: where times are placed, see `place`.
    """

    name: str
    alphas_cumprod: Tensor | None = None
    shift: float = 1.0

    @property
    def steps(self) -> int | None:
        """Length T of the table; None for a schedule in continuous time."""
        return None if self.alphas_cumprod is None else len(self.alphas_cumprod)

    def alpha(self, t: Tensor) -> Tensor:
        """How much of the image is left: 1 at t = 0. Shape of `t`; float64 for a float64 `t`, else float32."""
        return self._levels(t)[0].to(_result_type(t))

    def sigma(self, t: Tensor) -> Tensor:
        """Standard deviation of the noise: 0 at t = 0. Shape of `t`; float64 for a float64 `t`, else float32."""
        return self._levels(t)[1].to(_result_type(t))

    def log_snr(self, t: Tensor) -> Tensor:
        """Logarithm of alpha^2 / sigma^2 (Kingma et al. 2021, eq. 3); +inf at t = 0, -inf where alpha is 0."""
        alpha, sigma = self._levels(t)
        return (2 * (alpha.log() - sigma.log())).to(_result_type(t))

    def place(self, u: Tensor) -> Tensor:
        """Turn numbers drawn uniformly from [0, 1) into training times: those the sampler can ask for, never 0.

        With a table: one of 1/T ... 1, all equally likely. Rectified flow: t = s v / (1 + (s - 1) v), v = 1 - u
        (Esser et al. 2024, eq. 23, s = `shift`), so that s > 1 trains and samples more at the noisy end.
        """
        if self.steps is not None:
            return ((u * self.steps).floor() + 1).clamp(max=self.steps) / self.steps
        return _shift(1 - u, self.shift)

    def timesteps(self, n: int, spacing: Spacing = "trailing") -> Tensor:
        """The n + 1 decreasing times of a sampler with n steps, from 1 to exactly 0, float64.

        A step goes from one entry to the next and uses nothing else, unlike samplers that compute their own
        "previous step" as t - T // n and miss the grid when n does not divide T. With a table every entry is one of
        its steps; trailing and uniform are those of Lin et al. 2024, table 2: trailing is evenly spaced down to 0;
        uniform ("linspace") is evenly spaced down to the first entry of the table, followed by 0. Without a table
        both are the same.

        Raises:
            ConfigError: n is below 1 or above the length of the table, or the spacing is unknown.
        """
        if n < 1 or (self.steps is not None and n > self.steps):
            raise ConfigError(
                f"{n} sampling steps: the '{self.name}' schedule allows 1 to {self.steps or 'any number'}. "
                "Choose a number of steps in that range."
            )
        if spacing not in ("trailing", "uniform"):
            raise ConfigError(f"Spacing '{spacing}' is unknown. Expected 'trailing' or 'uniform'.")
        if self.steps is None:
            return _shift(torch.linspace(1, 0, n + 1, dtype=torch.float64), self.shift)
        if spacing == "trailing":
            index = torch.linspace(self.steps, 0, n + 1, dtype=torch.float64).round()
        else:
            index = torch.linspace(self.steps - 1, 0, n, dtype=torch.float64).round() + 1
            index = torch.cat([index, torch.zeros(1, dtype=torch.float64)])
        return index / self.steps

    def _levels(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """Alpha and sigma in float64."""
        t = _checked(t)
        if self.alphas_cumprod is None:
            return 1 - t, t
        table = self.alphas_cumprod.to(t.device)
        sigma_1 = (1 - table[0]).sqrt()
        log_snr = table.log() - torch.log1p(-table)
        position = t * len(table)
        nearest = position.round()
        # A float32 t cannot hold i / T exactly; the table entry is meant.
        position = torch.where((position - nearest).abs() < 1e-4, nearest, position)
        low = position.floor().clamp(1, max(len(table) - 1, 1))
        high = (low + 1).clamp(max=len(table))
        between = torch.lerp(log_snr[low.long() - 1], log_snr[high.long() - 1], (position - low).clamp(min=0))
        # Below the first entry the log-SNR has no finite end; there sigma goes straight to 0.
        sigma = torch.where(position < 1, position * sigma_1, torch.sigmoid(-between).sqrt())
        alpha = torch.where(position < 1, (1 - sigma**2).sqrt(), torch.sigmoid(between).sqrt())
        return alpha, sigma


def cosine(s: float = 0.008, steps: int = 1000) -> Schedule:
    """Cosine schedule with betas clipped at 0.999 (Nichol & Dhariwal 2021, eq. 17).

    Args:
        s: offset that keeps the first steps from being too small.
        steps: length T of the table.
    """
    edges = torch.arange(steps + 1, dtype=torch.float64) / steps
    f = torch.cos((edges + s) / (1 + s) * math.pi / 2) ** 2
    return _from_betas("cosine", (1 - f[1:] / f[:-1]).clamp(max=0.999))


def scaled_linear(beta_start: float = 0.0015, beta_end: float = 0.0195, steps: int = 1000) -> Schedule:
    """Betas whose square roots are evenly spaced (Rombach et al. 2022, the schedule of latent diffusion).

    Sigma rises like the square root of t near the data and alpha does not reach 0 at t = 1: solvers lose an order on
    evenly spaced times and start from noise that is not quite the model's own.
    """
    roots = torch.linspace(math.sqrt(beta_start), math.sqrt(beta_end), steps, dtype=torch.float64)
    return _from_betas("scaled_linear", roots**2)


def rectified_flow(shift: float = 1.0) -> Schedule:
    """Straight path x_t = (1 - t) x_0 + t eps (Liu et al. 2023, eq. 1; Lipman et al. 2023, eq. 22, time reversed).

    Args:
        shift: above 1 places more times at the noisy end (Esser et al. 2024, eq. 23); the path stays the same.
    """
    if shift <= 0:
        raise ConfigError(f"shift={shift}: expected a number above 0; 1 leaves the times evenly spaced.")
    return Schedule("rectified_flow", shift=shift)


SCHEDULES: dict[str, Callable[..., Schedule]] = {
    "cosine": cosine,
    "scaled_linear": scaled_linear,
    "rectified_flow": rectified_flow,
}


def named_schedule(name: str, steps: int, betas: tuple[float, float] = (0.0015, 0.0195)) -> Schedule:
    """A schedule by its name in a generator's settings.

    Args:
        name: key of `SCHEDULES`.
        steps: length of the table; rectified flow has none.
        betas: first and last beta of `scaled_linear`.
    """
    if name == "scaled_linear":
        return scaled_linear(*betas, steps=steps)
    return cosine(steps=steps) if name == "cosine" else rectified_flow()


def broadcast(values: Tensor, x: Tensor) -> Tensor:
    """Reshape one value per sample, (B,), so that it multiplies `x`, (B, ...), in the type of `x`."""
    return values.reshape(-1, *[1] * (x.ndim - 1)).to(x)


def _from_betas(name: str, betas: Tensor) -> Schedule:
    """Schedule of a beta table: alphas_cumprod[i] = prod (1 - beta) (Ho et al. 2020, eq. 4)."""
    if len(betas) < 1 or not bool(((betas > 0) & (betas < 1)).all()):
        raise ConfigError(f"{name} schedule: expected betas between 0 and 1, found {betas.min()} to {betas.max()}.")
    return Schedule(name, torch.cumprod(1 - betas, dim=0))


def _shift(t: Tensor, shift: float) -> Tensor:
    return shift * t / (1 + (shift - 1) * t)


def _checked(t: Tensor) -> Tensor:
    """Time as float64.

    Raises:
        InputError: half precision (it cannot tell neighbouring steps apart) or a value outside [0, 1].
    """
    if t.dtype not in (torch.float32, torch.float64):
        raise InputError(f"Diffusion time: expected float32 or float64, found {t.dtype}. Convert t with .float().")
    if not bool(((t >= 0) & (t <= 1)).all()):
        raise InputError(f"Diffusion time: expected values in [0, 1], found {t.min():g} to {t.max():g}.")
    return t.double()


def _result_type(t: Tensor) -> torch.dtype:
    return torch.float64 if t.dtype == torch.float64 else torch.float32
