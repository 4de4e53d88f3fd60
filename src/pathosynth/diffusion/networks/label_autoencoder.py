"""Label maps to latents and back: a small autoencoder of our own, and MONAI's as in the second paper.

Both take dense class numbers (0 background, 1..n) and answer with logits of all classes. How a class number becomes
channels is a choice: `embedding` learns a vector per class (the paper), `one_hot` gives every class a channel, `binary`
writes the number in base 2 (MAISI, arXiv 2409.11169).
"""

import math
from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F  # noqa: N812 the name every torch user expects
from monai.networks.nets.autoencoderkl import AutoencoderKL
from torch import Tensor, nn

from pathosynth.diffusion.networks.blocks import ChannelNorm, Conv3d, ConvBlock, depth_to_space, space_to_depth

Coding = Literal["embedding", "one_hot", "binary"]
_LOG_VARIANCE = (-30.0, 20.0)


class LabelCoding(nn.Module):
    """Class numbers as channels.

    Args:
        classes: number of classes with background.
        coding: how.
        width: length of an embedding; the other codings know theirs.
    """

    def __init__(self, classes: int, coding: Coding, width: int) -> None:
        super().__init__()
        self.classes, self.coding = classes, coding
        planes = max(1, math.ceil(math.log2(classes)))
        self.channels = {"embedding": width, "one_hot": classes, "binary": planes}[coding]
        self.table = nn.Embedding(classes, width) if coding == "embedding" else None

    def forward(self, labels: Tensor) -> Tensor:
        """(B, I, J, K) integers below `classes` -> (B, channels, I, J, K)."""
        if self.table is not None:
            coded: Tensor = self.table(labels.long())
        elif self.coding == "one_hot":
            coded = F.one_hot(labels.long(), self.classes).float()
        else:
            bits = torch.arange(self.channels, device=labels.device)
            coded = ((labels.long()[..., None] >> bits) & 1).float() * 2 - 1
        return coded.permute(0, 4, 1, 2, 3)


class SmallLabelAutoencoder(nn.Module):
    """Latents of a quarter of the resolution; convolutions run at half of it or below.

    Args:
        classes: number of classes with background.
        coding: see `LabelCoding`.
        latent_channels: of the latents.
        width: channels at half resolution; twice as many at a quarter.
        coding_width: length of an embedding.
        head_width: channels at full resolution.
    """

    multiple = 4
    downsampling = 4

    def __init__(
        self, *, classes: int, coding: Coding, latent_channels: int, width: int, coding_width: int, head_width: int = 16
    ) -> None:
        super().__init__()
        self.coding = LabelCoding(classes, coding, coding_width)
        self.stem = Conv3d(8 * self.coding.channels, width, 3, padding=1)
        self.encode_half = ConvBlock(width)
        self.shrink = Conv3d(width, 2 * width, 2, stride=2)
        self.encode_quarter = nn.Sequential(ConvBlock(2 * width), ConvBlock(2 * width), ChannelNorm(2 * width))
        self.posterior = Conv3d(2 * width, 2 * latent_channels, 3, padding=1)
        self.unfold = Conv3d(latent_channels, 2 * width, 3, padding=1)
        self.decode_quarter = nn.Sequential(ConvBlock(2 * width), ConvBlock(2 * width))
        self.grow = nn.ConvTranspose3d(2 * width, width, 2, stride=2)
        self.decode_half = nn.Sequential(ConvBlock(width), ConvBlock(width), ChannelNorm(width))
        self.to_full = Conv3d(width, 8 * head_width, 3, padding=1)
        self.head = Conv3d(head_width, head_width, 3, padding=1)
        self.logits = Conv3d(head_width, classes, 1)

    def encode(self, labels: Tensor) -> tuple[Tensor, Tensor]:
        """(B, I, J, K) class numbers -> mean and deviation of the posterior, (B, C, I/4, J/4, K/4) each."""
        h = self.encode_half(self.stem(space_to_depth(self.coding(labels), 2)))
        mean, log_variance = self.posterior(F.silu(self.encode_quarter(self.shrink(h)))).chunk(2, dim=1)
        return mean, (0.5 * log_variance.clamp(*_LOG_VARIANCE)).exp()

    def decode(self, latents: Tensor) -> Tensor:
        """(B, C, I/4, J/4, K/4) -> logits (B, classes, I, J, K)."""
        h = self.decode_half(self.grow(self.decode_quarter(self.unfold(latents))))
        h = depth_to_space(self.to_full(F.silu(h)), 2)
        out: Tensor = self.logits(F.silu(h + self.head(F.silu(h))))
        return out

    def forward(self, labels: Tensor, noise: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Class numbers and standard normal noise of the latents' shape -> logits, mean, deviation."""
        mean, sigma = self.encode(labels)
        return self.decode(mean + sigma * noise.to(mean)), mean, sigma


class MonaiLabelAutoencoder(nn.Module):
    """The second paper's: MONAI's AutoencoderKL without attention behind a learned vector per class.

    Args:
        classes: number of classes with background.
        coding: see `LabelCoding`.
        latent_channels: of the latents.
        channels: of each level; every level but the last halves the resolution.
        coding_width: length of an embedding.
    """

    def __init__(
        self, *, classes: int, coding: Coding, latent_channels: int, channels: Sequence[int], coding_width: int
    ) -> None:
        super().__init__()
        self.multiple = self.downsampling = 2 ** (len(channels) - 1)
        self.coding = LabelCoding(classes, coding, coding_width)
        self.net = AutoencoderKL(
            spatial_dims=3,
            in_channels=self.coding.channels,
            out_channels=classes,
            channels=list(channels),
            num_res_blocks=2,
            latent_channels=latent_channels,
            attention_levels=[False] * len(channels),
            with_encoder_nonlocal_attn=False,
            with_decoder_nonlocal_attn=False,
        )

    def encode(self, labels: Tensor) -> tuple[Tensor, Tensor]:
        """As `SmallLabelAutoencoder.encode`."""
        mean, sigma = self.net.encode(self.coding(labels))
        return mean, sigma

    def decode(self, latents: Tensor) -> Tensor:
        """As `SmallLabelAutoencoder.decode`."""
        out: Tensor = self.net.decode(latents)
        return out

    def forward(self, labels: Tensor, noise: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """As `SmallLabelAutoencoder.forward`."""
        mean, sigma = self.encode(labels)
        return self.decode(mean + sigma * noise.to(mean)), mean, sigma
