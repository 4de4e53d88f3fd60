"""A small U-Net on latents: it predicts from noisy latents, time and a vector that says what is wanted.

Its trunk works on blocks of latents (space-to-depth) and knows where in the head it is: positions enter the stem,
because a head that lies in the middle of its grid has an anatomy that depends on the place. Attention at the lowest
level lets both hemispheres agree.
"""

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import cast

import torch
import torch.nn.functional as F  # noqa: N812 the name every torch user expects
from torch import Tensor, nn

from pathosynth.diffusion.networks.blocks import (
    ChannelNorm,
    Conv3d,
    ResidualBlock,
    depth_to_space,
    space_to_depth,
    time_features,
)


def positions(shape: Sequence[int], octaves: int, device: torch.device) -> Tensor:
    """Where each cell of a grid is, -1 to 1 per axis, with sines and cosines. (1, 3 + 6 octaves, I, J, K)."""
    axes = [torch.linspace(-1, 1, n, device=device) for n in shape]
    place = torch.stack(torch.meshgrid(*axes, indexing="ij"))
    angles = [torch.pi * 2.0**octave * place for octave in range(octaves)]
    return torch.cat([place, *(wave for angle in angles for wave in (angle.sin(), angle.cos()))])[None]


class Attention(nn.Module):
    """Self-attention over all cells, one head, around a skip."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = ChannelNorm(channels)
        self.mix = nn.Linear(channels, 3 * channels)
        self.out = nn.Linear(channels, channels)
        nn.init.zeros_(self.out.weight)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, I, J, K) -> the same shape."""
        cells = self.norm(x).flatten(2).transpose(1, 2)
        query, key, value = self.mix(cells).chunk(3, dim=-1)
        mixed: Tensor = self.out(F.scaled_dot_product_attention(query, key, value))
        return x + mixed.transpose(1, 2).reshape(x.shape)


class LatentUNet(nn.Module):
    """Noisy latents + time + condition -> prediction of the same size.

    Args:
        channels: of the latents.
        embedding: length of the condition vector.
        factor: edge of the space-to-depth block, in cells of the latents.
        width: channels of the highest level.
        multipliers: channels of each level, in units of `width`.
        blocks: residual blocks per level on the way down and on the way up.
        octaves: of the positions.
        head_width: channels of the head at full latent resolution.
    """

    def __init__(
        self,
        *,
        channels: int,
        embedding: int,
        factor: int = 2,
        width: int = 128,
        multipliers: Sequence[int] = (1, 2),
        blocks: int = 2,
        octaves: int = 3,
        head_width: int = 32,
    ) -> None:
        super().__init__()
        self.factor, self.octaves = factor, octaves
        self.multiple = factor * 2 ** (len(multipliers) - 1)
        widths, cells = [width * m for m in multipliers], factor**3
        self.time = nn.Sequential(nn.Linear(64, embedding), nn.SiLU(), nn.Linear(embedding, embedding))
        self.stem = Conv3d(cells * channels + 3 + 6 * octaves, width, 3, padding=1)
        self.down = nn.ModuleList(nn.ModuleList(ResidualBlock(w, w, embedding) for _ in range(blocks)) for w in widths)
        self.shrink = nn.ModuleList(Conv3d(a, b, 2, stride=2) for a, b in pairwise(widths))
        self.attention = Attention(widths[-1])
        self.grow = nn.ModuleList(nn.ConvTranspose3d(b, a, 2, stride=2) for a, b in pairwise(widths))
        self.up = nn.ModuleList(
            nn.ModuleList(ResidualBlock(2 * w if n == 0 else w, w, embedding) for n in range(blocks))
            for w in widths[:-1]
        )
        self.out_norm = ChannelNorm(width)
        self.out = Conv3d(width, head_width * cells, 3, padding=1)
        self.head1 = Conv3d(head_width + channels, head_width, 3, padding=1)
        self.head2 = Conv3d(head_width, channels, 3, padding=1)
        self.head_linear = Conv3d(head_width + channels, channels, 1)

    def forward(self, z_t: Tensor, t: Tensor, condition: Tensor) -> Tensor:
        """(B, channels, I, J, K), times (B,), (B, embedding) -> (B, channels, I, J, K).

        Sides must be multiples of `multiple`.
        """
        embedding = F.silu(self.time(time_features(t, 64)) + condition)
        blocked = space_to_depth(z_t, self.factor)
        place = positions(blocked.shape[2:], self.octaves, z_t.device).to(blocked.dtype)
        h = self.stem(torch.cat([blocked, place.expand(len(z_t), -1, -1, -1, -1)], dim=1))
        skips = []
        for level, blocks in enumerate(self.down):
            for block in cast(Iterable[ResidualBlock], blocks):
                h = block(h, embedding)
            if level < len(self.shrink):
                skips.append(h)
                h = self.shrink[level](h)
        h = self.attention(h)
        for level in reversed(range(len(self.shrink))):
            h = torch.cat([self.grow[level](h), skips.pop()], dim=1)
            for block in cast(Iterable[ResidualBlock], self.up[level]):
                h = block(h, embedding)
        h = depth_to_space(self.out(F.silu(self.out_norm(h))), self.factor)
        h = torch.cat([h, z_t], dim=1)
        out: Tensor = self.head_linear(h) + self.head2(F.silu(self.head1(h)))
        return out
