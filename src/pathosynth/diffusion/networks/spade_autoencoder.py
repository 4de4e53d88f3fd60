"""The small autoencoder: images to latents four times coarser, and back with the labels' help.

The encoder sees the image only. The decoder is told the labels (SPADE), so the latents have to carry what labels do
not say: contrast, texture, what lies inside a structure. Both work at half resolution behind a space-to-depth stem; two
thin convolutions at full resolution see the labels again, which keeps edges where the labels have them. Normalising
the channels of a voxel takes away how large they are, that is how bright an image is, so a linear path leads around the
last normalisation of either network.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F  # noqa: N812 the name every torch user expects
from torch import Tensor, nn

from pathosynth.diffusion.networks.blocks import ChannelNorm, Conv3d, depth_to_space, space_to_depth
from pathosynth.diffusion.networks.spade import LabelMaps, recomputed
from pathosynth.diffusion.networks.spade_blocks import LabelModulation, SpadeResidualBlock

LOG_VARIANCE = (-30.0, 20.0)
"""Bounds of the latents' log-variance, as in MONAI's autoencoder."""

FIRST_LOG_VARIANCE = -5.0
"""Training starts with sigma 0.08. From a sigma of 1 the decoder, which knows the labels, learns to do without the
latents: after 750 steps on T1w images sigma still was 1 and the means' deviation 0.14 to 0.43."""


class Coded(NamedTuple):
    """An image as its latents' distribution: mean and standard deviation, (B, C, I/4, J/4, K/4) each."""

    mean: Tensor
    sigma: Tensor


class SpadeAutoencoder(nn.Module):
    """Image <-> latents of a quarter of its size.

    Args:
        label_channels: N of the label maps.
        latent_channels: C.
        width: channels at half resolution; twice as many at a quarter.
        blocks: residual blocks per level, each way.
        hidden: channels inside each label modulation.
        head_width: channels at full resolution.
        spade: whether the decoder is told the labels; without, it is a plain decoder.
        checkpointing: compute the insides of decoder blocks again on the way back.
    """

    multiple = 4

    def __init__(
        self,
        *,
        label_channels: int,
        latent_channels: int = 6,
        width: int = 32,
        blocks: int = 1,
        hidden: int = 16,
        head_width: int = 12,
        spade: bool = True,
        checkpointing: bool = False,
    ) -> None:
        super().__init__()
        self.spade, self.checkpointing, self.latent_channels = spade, checkpointing, latent_channels
        half, quarter, features = width, 2 * width, 8

        def decoder_block(channels: int) -> SpadeResidualBlock:
            labels = LabelModulation(label_channels, channels, hidden) if spade else None
            return SpadeResidualBlock(channels, channels, modulation=labels)

        self.stem = Conv3d(8, half, 3, padding=1)
        self.encode_half = nn.Sequential(*(SpadeResidualBlock(half, half) for _ in range(blocks)))
        self.shrink = Conv3d(half, quarter, 2, stride=2)
        self.encode_quarter = nn.Sequential(*(SpadeResidualBlock(quarter, quarter) for _ in range(blocks)))
        self.coded_norm = ChannelNorm(quarter)
        self.coded = Conv3d(quarter, 2 * latent_channels, 3, padding=1)
        self.coded_linear = Conv3d(quarter, 2 * latent_channels, 1, bias=False)
        for layer in (self.coded, self.coded_linear):
            nn.init.zeros_(layer.weight[latent_channels:])
        nn.init.constant_(list(self.coded.parameters())[1][latent_channels:], FIRST_LOG_VARIANCE)
        self.latent_stem = Conv3d(latent_channels, quarter, 3, padding=1)
        self.decode_quarter = nn.ModuleList(decoder_block(quarter) for _ in range(blocks))
        self.grow = nn.ConvTranspose3d(quarter, half, 2, stride=2)
        self.decode_half = nn.ModuleList(decoder_block(half) for _ in range(blocks))
        self.out_norm = ChannelNorm(half)
        self.out = Conv3d(half, 8 * features, 3, padding=1)
        self.out_linear = Conv3d(half, 8 * features, 1, bias=False)
        seen = features + (label_channels if spade else 0)
        self.head_linear = Conv3d(seen, 1, 1)
        self.head1 = Conv3d(seen, head_width, 3, padding=1)
        self.head2 = Conv3d(head_width, 1, 3, padding=1)

    def receptive_voxels(self) -> int:
        """How far, in voxels of the image, a latent or label reaches into the decoded image, at most."""
        # Labels enter a block two convolutions before its last one, so they reach no further than features do.
        reach = 2 * len(self.decode_quarter) + 1
        return 4 * reach + 2 * reach + 2

    def encode(self, image: Tensor) -> Coded:
        """(B, 1, I, J, K) in [-1, 1], sides multiples of 4 -> mean and sigma of the latents."""
        h = self.encode_half(self.stem(space_to_depth(image, 2)))
        h = self.encode_quarter(self.shrink(h))
        coded = self.coded(F.silu(self.coded_norm(h))) + self.coded_linear(h)
        mean, log_variance = coded.float().chunk(2, dim=1)
        return Coded(mean, torch.exp(log_variance.clamp(*LOG_VARIANCE) / 2))

    def decode(self, latents: Tensor, maps: LabelMaps) -> Tensor:
        """(B, C, I/4, J/4, K/4) and the labels at (I, J, K) -> image (B, 1, I, J, K)."""
        h = self.latent_stem(latents)
        for block in self.decode_quarter:
            h = recomputed(block, h, maps) if self.checkpointing else block(h, maps)
        h = self.grow(h)
        for block in self.decode_half:
            h = recomputed(block, h, maps) if self.checkpointing else block(h, maps)
        h = depth_to_space(self.out(F.silu(self.out_norm(h))) + self.out_linear(h), 2)
        if self.spade:
            h = torch.cat([h, maps.one_hot.to(h.dtype)], dim=1)
        image: Tensor = self.head_linear(h) + self.head2(F.silu(self.head1(h)))
        return image

    def forward(self, image: Tensor, maps: LabelMaps, noise: Tensor) -> tuple[Tensor, Coded]:
        """Image rebuilt from latents mean + sigma `noise`, and their distribution."""
        coded = self.encode(image)
        return self.decode(coded.mean + coded.sigma * noise, maps), coded
