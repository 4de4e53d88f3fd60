"""An autoencoder in training, with or without a patch discriminator.

Both networks sit in one module and learn in one backward pass: the autoencoder's term judges its image with the
discriminator's weights held fixed, the discriminator's term judges an image that carries no gradient back. So one
optimiser, one checkpoint and one gradient exchange between processes serve both.
"""

from typing import Any, NamedTuple

from monai.networks.nets.patchgan_discriminator import PatchDiscriminator
from torch import Tensor, nn
from torch.func import functional_call


class Judged(NamedTuple):
    """Verdicts of the discriminator, maps of numbers around 0 (made) and 1 (real).

    Attributes:
        for_autoencoder: on the made image; gradients reach the image only.
        made: on the made image; gradients reach the discriminator only.
        real: on the real image.
    """

    for_autoencoder: Tensor
    made: Tensor
    real: Tensor


class AutoencoderTraining(nn.Module):
    """Runs an autoencoder and, where there is one, its discriminator.

    Args:
        autoencoder: called as (image, maps, noise) -> (image, coded).
        discriminator: image -> verdicts; None for no adversarial term.
    """

    def __init__(self, autoencoder: nn.Module, discriminator: nn.Module | None = None) -> None:
        super().__init__()
        self.autoencoder, self.discriminator = autoencoder, discriminator

    def forward(self, image: Tensor, maps: Any, noise: Tensor) -> tuple[Tensor, Any, Judged | None]:
        """(rebuilt image, coded latents, verdicts or None)."""
        rebuilt, coded = self.autoencoder(image, maps, noise)
        if self.discriminator is None:
            return rebuilt, coded, None
        return rebuilt, coded, judged(self.discriminator, rebuilt, image)


def patch_discriminator(channels: int = 32, layers: int = 2) -> nn.Module:
    """MONAI's patch discriminator for 3D images with instance norm, which has no state beside its weights."""
    return PatchDiscriminator(
        spatial_dims=3, in_channels=1, channels=channels, num_layers_d=layers, out_channels=1, norm="INSTANCE"
    )


def judged(discriminator: nn.Module, made: Tensor, real: Tensor) -> Judged:
    """Verdicts on a made and a real image, (B, 1, I, J, K) each."""
    fixed = {name: value.detach() for name, value in discriminator.state_dict().items()}
    # The last of the maps that MONAI's discriminator returns is the verdict, the others are its features.
    for_autoencoder = functional_call(discriminator, fixed, (made,))[-1]
    return Judged(for_autoencoder, discriminator(made.detach())[-1], discriminator(real)[-1])


def least_squares(verdicts: Judged) -> tuple[Tensor, Tensor]:
    """Losses of the autoencoder, (D(made) - 1)^2, and of the discriminator, (D(made)^2 + (D(real) - 1)^2) / 2.

    Mao et al. 2017, eq. 9 with a = 0, b = c = 1.
    """
    for_autoencoder = (verdicts.for_autoencoder.float() - 1).square().mean()
    for_discriminator = (verdicts.made.float().square().mean() + (verdicts.real.float() - 1).square().mean()) / 2
    return for_autoencoder, for_discriminator
