"""Latents of a training set, encoded once: means and deviations, and the numbers that bring them to unit size.

Caching means and deviations instead of one draw keeps what an autoencoder's noise adds out of the cache; measured on
or scaled by one batch, as is common, the scale would differ between training and sampling.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from pathosynth.runs.errors import ModelError

LEAST_TOLD = 0.1
"""Deviation of a channel's means, in units of its draws, below which it tells nothing but noise."""


@dataclass(frozen=True, eq=False)
class LatentScale:
    """Shift and size of every latent channel over a training set: draws z = (latent - shift) / size have mean 0, SD 1.

    Attributes:
        shift, size: (C,) float32.
    """

    shift: Tensor
    size: Tensor

    @classmethod
    def of(cls, mean: Tensor, sigma: Tensor) -> "LatentScale":
        """Measure it on what the diffusion model sees: draws from the posterior.

        Their variance is that of the means plus the mean of the squared sigmas. Measured on the means alone, a channel
        that the autoencoder leaves to noise (means near 0, sigma near 1) came out many times too large, and its noise
        drowned the loss of all others.

        Args:
            mean: of all training latents, (N, C, I, J, K).
            sigma: of all training latents, of the same shape.

        Raises:
            ModelError: no channel varies by more than its noise: the autoencoder has not learnt to use any.
        """
        means, noise = (values.transpose(0, 1).flatten(1).float() for values in (mean, sigma))
        variance, shift = torch.var_mean(means, dim=1)
        size = (variance + noise.square().mean(dim=1)).sqrt()
        told = variance.sqrt() / size.clamp(min=1e-12)
        if not bool((told > LEAST_TOLD).any()) or not bool((size > 1e-6).all()):
            deviations, sizes = ([round(float(v), 6) for v in values] for values in (variance.sqrt(), size))
            raise ModelError(
                "Autoencoder: expected latents that vary over the training set, found channels whose means vary by "
                f"{deviations} where draws vary by {sizes}. Train the autoencoder longer, or lower its KL weight."
            )
        return cls(shift, size)

    @classmethod
    def from_json(cls, stored: dict[str, Any]) -> "LatentScale":
        """The inverse of `to_json`."""
        return cls(torch.tensor(stored["shift"]), torch.tensor(stored["size"]))

    def to_json(self) -> dict[str, list[float]]:
        """Numbers for ``config.json``."""
        return {"shift": self.shift.tolist(), "size": self.size.tolist()}

    def normalised(self, latents: Tensor) -> Tensor:
        """Latents (B, C, ...) at unit size."""
        shift, size = self._like(latents)
        return (latents - shift) / size

    def restored(self, z: Tensor) -> Tensor:
        """What the decoder expects, from latents at unit size."""
        shift, size = self._like(z)
        return z * size + shift

    def _like(self, x: Tensor) -> tuple[Tensor, Tensor]:
        shape = (1, -1, *[1] * (x.ndim - 2))
        return self.shift.reshape(shape).to(x), self.size.reshape(shape).to(x)


@dataclass(frozen=True, eq=False)
class Latents:
    """Encoded training set.

    Attributes:
        mean, sigma: (N, C, I, J, K) float32, of the autoencoder's posterior.
        scale: measured on both.
    """

    mean: Tensor
    sigma: Tensor
    scale: LatentScale

    @classmethod
    def of(cls, mean: Tensor, sigma: Tensor) -> "Latents":
        """Latents with their scale."""
        return cls(mean, sigma, LatentScale.of(mean, sigma))

    def draw(self, indices: list[int], noise: Tensor) -> Tensor:
        """Posterior samples at unit size for the diffusion model, (B, C, I, J, K).

        Args:
            indices: which examples, B of them.
            noise: standard normal, (B, C, I, J, K).
        """
        return self.scale.normalised(self.mean[indices] + self.sigma[indices] * noise)


def kl_divergence(mean: Tensor, sigma: Tensor) -> Tensor:
    """Kullback-Leibler divergence of N(mean, sigma) from the standard normal, summed per example: (B,).

    Kingma & Welling 2014, appendix B.
    """
    each = 0.5 * (mean.square() + sigma.square() - 1) - sigma.clamp(min=1e-15).log()
    return each.flatten(1).sum(dim=1)
