"""How different two images look, without any trained weights: gradients at several scales, and the spectrum.

A mean of absolute differences is smallest for a blurred image wherever detail cannot be predicted. Gradients compare
edges, and amplitudes of the spectrum compare how much detail of each fineness there is, wherever exactly it lies.
Nothing has to be downloaded; LPIPS is an option for those who have its weights.
"""

import importlib.util
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F  # noqa: N812 the name every torch user expects
from torch import Tensor

from pathosynth.runs.errors import ConfigError

Distance = Callable[[Tensor, Tensor], Tensor]

SCALES = 3
LPIPS_WEIGHTS = "squeezenet1_1-b8a52dc0.pth"


def gradient_distance(x: Tensor, y: Tensor, scales: int = SCALES) -> Tensor:
    """Mean absolute difference of the finite differences along each axis, averaged over scales 1, 2, 4 ...

    Args:
        x: (B, C, I, J, K).
        y: the same shape.
        scales: how many; coarser ones that an image is too small for are left out.
    """
    total, used, difference = torch.zeros((), device=x.device), 0, (x - y).float()
    for scale in range(scales):
        if scale:
            if min(difference.shape[2:]) < 4:
                break
            difference = F.avg_pool3d(difference, 2)
        total = total + torch.stack([difference.diff(dim=axis).abs().mean() for axis in (2, 3, 4)]).mean()
        used += 1
    return total / used


def spectral_distance(x: Tensor, y: Tensor) -> Tensor:
    """Mean absolute difference of the amplitudes of the two spectra (orthonormal transform, so in units of the image).

    Args:
        x: (B, C, I, J, K).
        y: the same shape.
    """
    return (_amplitudes(x) - _amplitudes(y)).abs().mean()


def perceptual_distance(x: Tensor, y: Tensor) -> Tensor:
    """Gradient distance and spectral distance, one plus the other."""
    return gradient_distance(x, y) + spectral_distance(x, y)


def lpips_distance() -> Distance:
    """LPIPS-SqueezeNet on a fifth of the slices of each axis, as in the second paper.

    Raises:
        ConfigError: the package or its weights are not on this machine; nothing is downloaded.
    """
    weights = Path(torch.hub.get_dir()) / "checkpoints" / LPIPS_WEIGHTS
    if importlib.util.find_spec("lpips") is None or not weights.is_file():
        missing = "the package lpips" if importlib.util.find_spec("lpips") is None else f"the weights {weights}"
        raise ConfigError(
            f"perceptual = 'lpips': {missing} is not installed here, and nothing is downloaded during training. "
            "Install it (pip install lpips; torchvision fetches the weights once), or use perceptual = 'gradients'."
        )
    from monai.losses.perceptual import PerceptualLoss

    loss = PerceptualLoss(spatial_dims=3, network_type="squeeze", is_fake_3d=True, fake_3d_ratio=0.2).eval()
    loss.requires_grad_(False)

    def distance(x: Tensor, y: Tensor) -> Tensor:
        out: Tensor = loss.to(x.device)(x.float(), y.float())
        return out

    return distance


def _amplitudes(x: Tensor) -> Tensor:
    with torch.autocast(x.device.type, enabled=False):
        spectrum: Tensor = torch.fft.rfftn(x.float(), dim=(2, 3, 4), norm="ortho").abs()
        return spectrum
