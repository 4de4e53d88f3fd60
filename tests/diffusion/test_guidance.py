"""Guidance algebra, with counted calls."""

import pytest
import torch

from pathosynth.diffusion.guidance import guided


class Answer:
    """A denoiser that answers a constant and counts its calls."""

    def __init__(self, value: float):
        self.value, self.calls = value, 0

    def __call__(self, x, t):
        self.calls += 1
        return torch.full_like(x, self.value)


@pytest.mark.parametrize(("scale", "expected"), [(0.0, 2.0), (0.5, 3.5), (1.0, 5.0), (2.0, 8.0), (4.0, 14.0)])
def test_scale_one_is_conditional_zero_is_unconditional_and_the_rest_is_linear(scale, expected):
    x = torch.zeros(2, 1, 3)
    answer = guided(Answer(5.0), Answer(2.0), scale)(x, torch.ones(2))
    assert torch.equal(answer, torch.full_like(x, expected))


def test_scale_one_never_asks_without_condition():
    conditional, unconditional = Answer(5.0), Answer(2.0)
    guided(conditional, unconditional, 1.0)(torch.zeros(1, 3), torch.ones(1))
    assert (conditional.calls, unconditional.calls) == (1, 0)


def test_interval_limits_guidance_and_saves_the_calls_outside():
    conditional, unconditional = Answer(5.0), Answer(2.0)
    denoise = guided(conditional, unconditional, 2.0, interval=(0.2, 0.7))
    x = torch.zeros(4, 3)
    assert torch.equal(denoise(x, torch.full((4,), 0.9)), torch.full_like(x, 5.0))
    assert unconditional.calls == 0
    mixed = denoise(x, torch.tensor([0.1, 0.2, 0.7, 0.8]))
    assert mixed[:, 0].tolist() == [5.0, 8.0, 8.0, 5.0]
    assert unconditional.calls == 1


def test_mixing_images_is_mixing_noise():
    """At fixed x_t, guiding eps estimates and guiding x_0 estimates gives the same image."""
    g = torch.Generator().manual_seed(0)
    x_t, conditional, unconditional = torch.randn(3, 5, 4, generator=g, dtype=torch.float64)
    alpha, sigma, scale = 0.6, 0.8, 3.0
    eps = [(x_t - alpha * x0) / sigma for x0 in (conditional, unconditional)]
    from_noise = (x_t - sigma * (eps[1] + scale * (eps[0] - eps[1]))) / alpha
    from_images = guided(lambda x, t: conditional, lambda x, t: unconditional, scale)(x_t, torch.full((5,), 0.5))
    torch.testing.assert_close(from_images, from_noise)
