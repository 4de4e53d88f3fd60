"""Residual blocks whose second normalisation is scaled and shifted by the labels, and by the time where there is one.

The normalisation is per voxel (`ChannelNorm`), so unlike group or instance normalisation the result at a place does
not depend on the field of view: a network trained on crops computes the same on a whole brain, and tiles of a large
image equal the whole.
"""

import torch
import torch.nn.functional as F  # noqa: N812 the name every torch user expects
from torch import Tensor, nn

from pathosynth.diffusion.networks.blocks import ChannelNorm, Conv3d
from pathosynth.diffusion.networks.spade import LabelMaps


class LabelModulation(nn.Module):
    """Labels -> gamma and beta of one normalisation: two convolutions, kept per label map.

    Args:
        labels: label channels N.
        channels: channels of the features that are modulated.
        hidden: channels in between.
        cells: positions per voxel and axis at which the labels are told (see `LabelMaps.at`).
    """

    def __init__(self, labels: int, channels: int, hidden: int, cells: int = 1) -> None:
        super().__init__()
        self.cells = cells
        self.shared = Conv3d(labels * cells**3, hidden, 3, padding=1)
        self.out = Conv3d(hidden, 2 * channels, 3, padding=1)
        for parameter in self.out.parameters():
            nn.init.zeros_(parameter)

    def forward(self, maps: LabelMaps, shape: torch.Size) -> tuple[Tensor, Tensor]:
        """Gamma and beta, (B, C, I, J, K) each, for features of `shape` (I, J, K)."""
        gamma, beta = maps.keep(self, lambda: self.out(F.silu(self.shared(maps.at(shape, self.cells))))).chunk(2, dim=1)
        return gamma, beta


class SpadeResidualBlock(nn.Module):
    """Norm-SiLU-conv twice around a skip; labels and, where `embedding` is above 0, time modulate the second norm.

    Args:
        inputs: channels of the input.
        outputs: channels of the output.
        embedding: length of the time embedding; 0 for a network without time.
        modulation: from the labels; None for a plain block.
    """

    def __init__(
        self, inputs: int, outputs: int, *, embedding: int = 0, modulation: LabelModulation | None = None
    ) -> None:
        super().__init__()
        self.norm1, self.norm2 = ChannelNorm(inputs), ChannelNorm(outputs)
        self.conv1 = Conv3d(inputs, outputs, 3, padding=1)
        self.conv2 = Conv3d(outputs, outputs, 3, padding=1)
        self.time = nn.Linear(embedding, 2 * outputs) if embedding else None
        self.labels = modulation
        self.skip = Conv3d(inputs, outputs, 1) if inputs != outputs else nn.Identity()
        nn.init.zeros_(self.conv2.weight)

    def forward(self, x: Tensor, maps: LabelMaps | None = None, embedding: Tensor | None = None) -> Tensor:
        """(B, inputs, I, J, K), label maps, (B, embedding) -> (B, outputs, I, J, K)."""
        h = self.norm2(self.conv1(F.silu(self.norm1(x))))
        if self.labels is not None and maps is not None:
            gamma, beta = self.labels(maps, h.shape[2:])
            h = h * (1 + gamma) + beta
        if self.time is not None and embedding is not None:
            scale, shift = self.time(embedding)[:, :, None, None, None].chunk(2, dim=1)
            h = h * (1 + scale) + shift
        out: Tensor = self.skip(x) + self.conv2(F.silu(h))
        return out
