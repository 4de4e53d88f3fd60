"""Image distances without trained weights, and the adversarial pair."""

import pytest
import scipy.ndimage as ndi
import torch
from torch import Tensor

from pathosynth.diffusion.adversarial import (
    AutoencoderTraining,
    Judged,
    judged,
    least_squares,
    patch_discriminator,
)
from pathosynth.diffusion.perceptual import gradient_distance, lpips_distance, perceptual_distance, spectral_distance
from pathosynth.runs.errors import ConfigError

DISTANCES = [gradient_distance, spectral_distance, perceptual_distance]


def texture() -> Tensor:
    smooth = ndi.gaussian_filter(torch.randn(16, 20, 12, generator=torch.Generator().manual_seed(0)).numpy(), 0.7)
    return torch.from_numpy(smooth)[None, None]


@pytest.mark.parametrize("distance", DISTANCES)
def test_zero_on_equal_and_growing_with_blur(distance: object) -> None:
    image = texture()
    blurred = [torch.from_numpy(ndi.gaussian_filter(image[0, 0].numpy(), s))[None, None] for s in (0.4, 0.8, 1.6, 3.2)]
    values = [float(distance(image, other)) for other in blurred]  # type: ignore[operator]
    assert float(distance(image, image)) == 0  # type: ignore[operator]
    assert values == sorted(values)
    assert values[0] > 0


def test_gradients_of_a_ramp_and_of_a_shifted_image_have_a_closed_form() -> None:
    i, j, k = torch.meshgrid(*(torch.arange(16.0) for _ in range(3)), indexing="ij")
    ramp = (0.3 * i + 0.1 * j - 0.2 * k)[None, None]
    flat = torch.zeros_like(ramp)
    assert float(gradient_distance(ramp, flat, scales=1)) == pytest.approx(0.2, rel=1e-5)
    # Averaging 2^3 voxels doubles the difference between neighbours of a ramp, and again.
    assert float(gradient_distance(ramp, flat, scales=3)) == pytest.approx(0.2 * (1 + 2 + 4) / 3, rel=1e-5)
    assert float(gradient_distance(ramp + 5, ramp)) == pytest.approx(0, abs=1e-5)


def test_spectra_have_closed_forms() -> None:
    image = texture()
    # Where detail lies does not matter to the amplitudes (shift theorem), how strong it is does.
    assert float(spectral_distance(image, image.roll((3, 5), (2, 4)))) < 1e-6
    amplitudes = torch.fft.rfftn(image, dim=(2, 3, 4), norm="ortho").abs().mean()
    assert float(spectral_distance(image, 1.5 * image)) == pytest.approx(0.5 * float(amplitudes), rel=1e-4)
    constant = torch.full((1, 1, 8, 8, 8), 2.0)
    # Only the mean differs: its amplitude is 2 sqrt(512), one of 8 * 8 * 5 coefficients.
    assert float(spectral_distance(constant, 0 * constant)) == pytest.approx(2 * 512**0.5 / (8 * 8 * 5), rel=1e-5)


def test_distances_are_computed_in_float32_under_bfloat16() -> None:
    image = texture()
    with torch.autocast("cpu", torch.bfloat16):
        value = perceptual_distance(image.bfloat16(), 1.5 * image)
    assert value.dtype == torch.float32


def test_lpips_is_refused_where_it_is_not_installed() -> None:
    with pytest.raises(ConfigError, match="nothing is downloaded"):
        lpips_distance()


def test_each_verdict_teaches_only_its_own_network() -> None:
    judge, image = patch_discriminator(channels=4, layers=1), texture()
    made = (0.5 * image).requires_grad_()
    judged(judge, made, image).for_autoencoder.sum().backward()
    assert made.grad is not None
    assert made.grad.abs().max() > 0
    assert all(p.grad is None for p in judge.parameters())
    made.grad = None
    verdicts = judged(judge, made, image)
    (verdicts.made.sum() + verdicts.real.sum()).backward()
    assert made.grad is None
    assert all(p.grad is not None for p in judge.parameters())


def test_least_squares_is_zero_at_its_ideal() -> None:
    ones, zeros = torch.ones(1, 1, 2, 2, 2), torch.zeros(1, 1, 2, 2, 2)
    assert [float(v) for v in least_squares(Judged(ones, zeros, ones))] == [0, 0]
    assert [float(v) for v in least_squares(Judged(zeros, ones, zeros))] == [1, 1]


def test_a_discriminator_learns_to_tell_and_the_image_to_deceive() -> None:
    torch.manual_seed(0)
    judge, real = patch_discriminator(channels=4, layers=1), texture()
    made = torch.nn.Parameter(torch.from_numpy(ndi.gaussian_filter(real[0, 0].numpy(), 2))[None, None].clone())

    class Canvas(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.made = made

        def forward(self, *_: object) -> tuple[Tensor, None]:
            return self.made, None

    model = AutoencoderTraining(Canvas(), judge)
    teach = torch.optim.Adam(judge.parameters(), 1e-2)
    for _ in range(30):
        verdicts = model(real, None, real)[2]
        teach.zero_grad()
        least_squares(verdicts)[1].backward()
        teach.step()
    before = [loss.detach() for loss in least_squares(model(real, None, real)[2])]
    assert float(before[1]) < 0.1
    deceive = torch.optim.Adam([made], 3e-2)
    for _ in range(30):
        deceive.zero_grad()
        least_squares(model(real, None, real)[2])[0].backward()
        deceive.step()
    assert float(least_squares(model(real, None, real)[2])[0].detach()) < 0.5 * float(before[0])
