"""The `fast` network: a small 3D U-Net behind a space-to-depth stem, with a full-resolution head.

Choices that matter, each measured on fetal T2w atlases (see ``benchmarks/results.md``):

* **Space-to-depth stem.** Blocks of f^3 voxels become channels, so the trunk works on f^3 times fewer positions.
* **Normalisation per voxel** (RMS over channels) instead of GroupNorm: its result does not depend on the field of
  view, so a network trained on crops computes the same on a whole volume.
* **Full-resolution head.** Two thin convolutions at voxel size see the noisy image and the labels, which removes the
  block pattern a bare depth-to-space output leaves.
* **The condition enters through its own stem**, a linear map of labels and positions that depends neither on noise
  nor on time: it is computed once per label map and reused by every step (`encode_condition`).
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


class LabelUNet(nn.Module):
    """Noisy image + label condition + time -> prediction of the same size.

    Args:
        fine_channels: channels of the condition at voxel size (one-hot labels first, then distance maps).
        head_channels: how many of them, from the first, the full-resolution head sees (the one-hot labels).
        coarse_channels: channels of the condition at block size (positions, brain size).
        factor: edge of the space-to-depth block, in voxels.
        width: channels of the highest level.
        multipliers: channels of each level, in units of `width`.
        blocks: residual blocks per level on the way down and on the way up.
        head_width: channels of the full-resolution head.
    """

    def __init__(
        self,
        *,
        fine_channels: int,
        head_channels: int,
        coarse_channels: int,
        factor: int = 2,
        width: int = 32,
        multipliers: Sequence[int] = (1, 2, 4),
        blocks: int = 2,
        head_width: int = 16,
        embedding: int = 128,
    ) -> None:
        super().__init__()
        self.factor, self.head_channels = factor, head_channels
        self.multiple = factor * 2 ** (len(multipliers) - 1)
        widths = [width * m for m in multipliers]
        cells = factor**3
        self.time = nn.Sequential(nn.Linear(64, embedding), nn.SiLU(), nn.Linear(embedding, embedding), nn.SiLU())
        self.stem_image = Conv3d(cells, width, 3, padding=1)
        self.stem_condition = Conv3d(cells * fine_channels + coarse_channels, width, 3, padding=1, bias=False)
        self.down = nn.ModuleList(nn.ModuleList(ResidualBlock(w, w, embedding) for _ in range(blocks)) for w in widths)
        self.shrink = nn.ModuleList(Conv3d(a, b, 2, stride=2) for a, b in pairwise(widths))
        self.grow = nn.ModuleList(nn.ConvTranspose3d(b, a, 2, stride=2) for a, b in pairwise(widths))
        self.up = nn.ModuleList(
            nn.ModuleList(ResidualBlock(2 * w if n == 0 else w, w, embedding) for n in range(blocks))
            for w in widths[:-1]
        )
        self.out_norm = ChannelNorm(width)
        features = 8
        self.out = Conv3d(width, features * cells, 3, padding=1)
        seen = features + 1 + head_channels
        self.head_linear = Conv3d(seen, 1, 1)
        self.head1 = Conv3d(seen, head_width, 3, padding=1)
        self.head2 = Conv3d(head_width, 1, 3, padding=1)

    def encode_condition(self, fine: Tensor, coarse: Tensor) -> tuple[Tensor, Tensor]:
        """(B, fine, I, J, K) and (B, coarse, I/f, J/f, K/f) -> the (labels, features) that `forward` needs."""
        features = self.stem_condition(torch.cat([space_to_depth(fine, self.factor), coarse], dim=1))
        return fine[:, : self.head_channels], features

    def forward(self, x_t: Tensor, t: Tensor, condition: tuple[Tensor, Tensor]) -> Tensor:
        """(B, 1, I, J, K) at time t (B,) -> (B, 1, I, J, K); sides must be multiples of `self.multiple`."""
        labels, features = condition
        embedding = self.time(time_features(t, 64))
        h = self.stem_image(space_to_depth(x_t, self.factor)) + features
        skips = []
        for level, blocks in enumerate(self.down):
            for block in cast(Iterable[ResidualBlock], blocks):
                h = block(h, embedding)
            if level < len(self.shrink):
                skips.append(h)
                h = self.shrink[level](h)
        for level in reversed(range(len(self.shrink))):
            h = torch.cat([self.grow[level](h), skips.pop()], dim=1)
            for block in cast(Iterable[ResidualBlock], self.up[level]):
                h = block(h, embedding)
        h = depth_to_space(self.out(F.silu(self.out_norm(h))), self.factor)
        h = torch.cat([h, x_t, labels], dim=1)
        out: Tensor = self.head_linear(h) + self.head2(F.silu(self.head1(h)))
        return out
