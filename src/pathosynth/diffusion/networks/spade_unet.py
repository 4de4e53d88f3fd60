"""The small latent U-Net: noisy latents and label maps to a prediction, with SPADE in every block.

The trunk works on blocks of 2^3 latents (`space_to_depth`), 8 voxels of the image to a side. Labels reach it as shares
per latent cell, eight cells to a position, so that a structure thinner than a trunk voxel is still told apart, and tell
it where in the head it is; all that depends on the labels alone is kept per label map. A thin head at the resolution of
the latents removes the block pattern of the trunk.
"""

from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F  # noqa: N812 the name every torch user expects
from torch import Tensor, nn

from pathosynth.diffusion.networks.blocks import ChannelNorm, Conv3d, depth_to_space, space_to_depth, time_features
from pathosynth.diffusion.networks.latent_unet import Attention
from pathosynth.diffusion.networks.spade import LabelMaps, recomputed
from pathosynth.diffusion.networks.spade_blocks import LabelModulation, SpadeResidualBlock


class SpadeUNet(nn.Module):
    """Noisy latents + label maps + time (+ contrast) -> prediction of the same size.

    Args:
        latent_channels: C.
        label_channels: N of the label maps.
        contrasts: number of contrasts the network tells apart; 0 for one alone.
        width: channels of the highest level.
        multipliers: channels of each level, in units of `width`.
        blocks: residual blocks per level on the way down and on the way up.
        hidden: channels inside each label modulation.
        head_width: channels of the head at the resolution of the latents.
        embedding: length of the embedding of time and contrast.
        checkpointing: compute the insides of blocks again on the way back.
    """

    FACTOR = 2
    OCTAVES = 3

    def __init__(
        self,
        *,
        latent_channels: int,
        label_channels: int,
        contrasts: int = 0,
        width: int = 96,
        multipliers: Sequence[int] = (1, 2),
        blocks: int = 2,
        hidden: int = 32,
        head_width: int = 32,
        embedding: int = 128,
        checkpointing: bool = False,
    ) -> None:
        super().__init__()
        self.multiple = self.FACTOR * 2 ** (len(multipliers) - 1)
        self.checkpointing = checkpointing
        widths, cells = [width * m for m in multipliers], self.FACTOR**3
        self.time = nn.Sequential(nn.Linear(64, embedding), nn.SiLU(), nn.Linear(embedding, embedding))
        self.contrast = nn.Embedding(contrasts + 1, embedding) if contrasts else None
        self.stem = Conv3d(cells * latent_channels, width, 3, padding=1)
        self.label_stem = LabelModulation(label_channels, width, hidden, self.FACTOR)
        self.place_stem = Conv3d(4 + 6 * self.OCTAVES, width, 1, bias=False)

        def block(inputs: int, outputs: int) -> SpadeResidualBlock:
            labels = LabelModulation(label_channels, outputs, hidden, self.FACTOR)
            return SpadeResidualBlock(inputs, outputs, embedding=embedding, modulation=labels)

        self.down = nn.ModuleList(nn.ModuleList(block(w, w) for _ in range(blocks)) for w in widths)
        self.shrink = nn.ModuleList(Conv3d(a, b, 2, stride=2) for a, b in pairwise(widths))
        self.attention = Attention(widths[-1])
        self.grow = nn.ModuleList(nn.ConvTranspose3d(b, a, 2, stride=2) for a, b in pairwise(widths))
        self.up = nn.ModuleList(
            nn.ModuleList(block(2 * w if n == 0 else w, w) for n in range(blocks)) for w in widths[:-1]
        )
        features = 2 * latent_channels
        self.out_norm = ChannelNorm(width)
        self.out = Conv3d(width, cells * features, 3, padding=1)
        seen = features + latent_channels
        self.head_linear = Conv3d(seen, latent_channels, 1)
        self.head1 = Conv3d(seen, head_width, 3, padding=1)
        self.head_labels = LabelModulation(label_channels, head_width, hidden // 2)
        self.head2 = Conv3d(head_width, latent_channels, 3, padding=1)

    def forward(self, x_t: Tensor, t: Tensor, maps: LabelMaps, contrast: Tensor | None = None) -> Tensor:
        """(B, C, I, J, K) at time t (B,) -> (B, C, I, J, K).

        Args:
            x_t: noisy latents, sides multiples of `self.multiple`.
            t: times in [0, 1].
            maps: labels at the size of the image.
            contrast: (B,) int64, 1... the contrast, 0 for not told; needed where there are several.
        """
        embedding = self.time(time_features(t, 64))
        if self.contrast is not None and contrast is not None:
            embedding = embedding + self.contrast(contrast)
        embedding = F.silu(embedding)
        h = self.stem(space_to_depth(x_t, self.FACTOR))
        scale, shift = self.label_stem(maps, h.shape[2:])
        place = maps.keep(self.place_stem, lambda: self.place_stem(maps.places(h.shape[2:], self.OCTAVES)))
        h = h * (1 + scale) + shift + place
        skips = []
        for level, blocks in enumerate(self.down):
            h = self._through(blocks, h, maps, embedding)
            if level < len(self.shrink):
                skips.append(h)
                h = self.shrink[level](h)
        h = self.attention(h)
        for level in reversed(range(len(self.shrink))):
            h = torch.cat([self.grow[level](h), skips.pop()], dim=1)
            h = self._through(self.up[level], h, maps, embedding)
        h = depth_to_space(self.out(F.silu(self.out_norm(h))), self.FACTOR)
        h = torch.cat([h, x_t.to(h.dtype)], dim=1)
        scale, shift = self.head_labels(maps, h.shape[2:])
        out: Tensor = self.head_linear(h) + self.head2(F.silu(self.head1(h) * (1 + scale) + shift))
        return out

    def _through(self, blocks: nn.Module, h: Tensor, maps: LabelMaps, embedding: Tensor) -> Tensor:
        for block in blocks.children():
            h = recomputed(block, h, maps, embedding) if self.checkpointing else block(h, maps, embedding)
        return h
