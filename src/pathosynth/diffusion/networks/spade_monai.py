"""The `paper` networks: MONAI's SPADE autoencoder and SPADE diffusion U-Net, told labels through a `LabelMaps`.

Source: the second paper's configuration (arXiv 2411.01351): 20 M and 236 M parameters.
"""

from collections.abc import Sequence

from monai.networks.nets.spade_autoencoderkl import SPADEAutoencoderKL
from monai.networks.nets.spade_diffusion_model_unet import SPADEDiffusionModelUNet
from torch import Tensor, nn

from pathosynth.diffusion.networks.spade import LabelMaps, with_label_maps
from pathosynth.diffusion.networks.spade_autoencoder import Coded


class MonaiSpadeAutoencoder(nn.Module):
    """MONAI's SPADEAutoencoderKL without attention, called like our own.

    Args:
        label_channels: N of the label maps.
        channels: of each level; each after the first halves the size.
        latent_channels: C.
        blocks: residual blocks per level.
        hidden: channels inside each label modulation.
        checkpointing: compute the insides of decoder blocks again on the way back.
    """

    def __init__(
        self,
        *,
        label_channels: int,
        channels: Sequence[int],
        latent_channels: int,
        blocks: int = 2,
        hidden: int = 128,
        checkpointing: bool = False,
    ) -> None:
        super().__init__()
        self.latent_channels = latent_channels
        self.multiple = 2 ** (len(channels) - 1)
        network = SPADEAutoencoderKL(
            spatial_dims=3,
            label_nc=label_channels,
            channels=tuple(channels),
            num_res_blocks=blocks,
            attention_levels=[False] * len(channels),
            latent_channels=latent_channels,
            norm_num_groups=32,
            with_encoder_nonlocal_attn=False,
            with_decoder_nonlocal_attn=False,
            spade_intermediate_channels=hidden,
        )
        self.network = with_label_maps(network, checkpointing=checkpointing)

    def encode(self, image: Tensor) -> Coded:
        """(B, 1, I, J, K) -> mean and sigma of the latents."""
        mean, sigma = self.network.encode(image)
        return Coded(mean.float(), sigma.float())

    def decode(self, latents: Tensor, maps: LabelMaps) -> Tensor:
        """(B, C, I/f, J/f, K/f) and the labels at (I, J, K) -> image (B, 1, I, J, K)."""
        image: Tensor = self.network.decode(latents, maps)  # type: ignore[arg-type] # handed through to the SPADE layers
        return image

    def forward(self, image: Tensor, maps: LabelMaps, noise: Tensor) -> tuple[Tensor, Coded]:
        """Image rebuilt from latents mean + sigma `noise`, and their distribution."""
        coded = self.encode(image)
        return self.decode(coded.mean + coded.sigma * noise, maps), coded


class MonaiSpadeUNet(nn.Module):
    """MONAI's SPADEDiffusionModelUNet, attention on all levels but the first, residual resampling; called like our own.

    Args:
        label_channels: N of the label maps.
        latent_channels: C.
        channels: of each level.
        blocks: residual blocks per level.
        hidden: channels inside each label modulation.
        contrasts: number of contrasts the network tells apart; 0 for one alone.
        steps: length T of the discrete schedule; the time embedding sees t T.
        checkpointing: compute the insides of SPADE blocks again on the way back.
    """

    def __init__(
        self,
        *,
        label_channels: int,
        latent_channels: int,
        channels: Sequence[int],
        blocks: int = 2,
        hidden: int = 128,
        contrasts: int = 0,
        steps: int = 1000,
        checkpointing: bool = False,
    ) -> None:
        super().__init__()
        self.steps, self.several = steps, contrasts > 0
        self.multiple = 2 ** (len(channels) - 1)
        network = SPADEDiffusionModelUNet(
            spatial_dims=3,
            in_channels=latent_channels,
            out_channels=latent_channels,
            label_nc=label_channels,
            num_res_blocks=blocks,
            channels=tuple(channels),
            attention_levels=[level > 0 for level in range(len(channels))],
            norm_num_groups=32,
            resblock_updown=True,
            num_head_channels=[0, *channels[1:]],
            num_class_embeds=contrasts + 1 if contrasts else None,
            spade_intermediate_channels=hidden,
        )
        self.network = with_label_maps(network, checkpointing=checkpointing)

    def forward(self, x_t: Tensor, t: Tensor, maps: LabelMaps, contrast: Tensor | None = None) -> Tensor:
        """(B, C, I, J, K) at time t (B,) -> (B, C, I, J, K); arguments as in `SpadeUNet`."""
        told = contrast if self.several else None
        seg: Tensor = maps  # type: ignore[assignment] # handed through to the SPADE layers
        out: Tensor = self.network(x_t, t * self.steps, seg, class_labels=told)
        return out
