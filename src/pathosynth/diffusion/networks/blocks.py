"""What our networks are built of: blocks whose result at a voxel does not depend on the field of view."""

import math
from typing import Any, cast

import torch
import torch.nn.functional as F  # noqa: N812 the name every torch user expects
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

_ONEDNN: bool = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
_ONE = (1, 1, 1)
_SAME_SIZE = ((3, 3, 3), _ONE, _ONE, _ONE, 1)
"""Kernel, stride, padding, dilation and groups of a convolution that keeps the size."""


def space_to_depth(x: Tensor, factor: int) -> Tensor:
    """(B, C, I, J, K) -> (B, C f^3, I/f, J/f, K/f); every voxel is kept."""
    b, c, i, j, k = x.shape
    f = factor
    x = x.reshape(b, c, i // f, f, j // f, f, k // f, f)
    return x.permute(0, 1, 3, 5, 7, 2, 4, 6).reshape(b, c * f**3, i // f, j // f, k // f)


def depth_to_space(x: Tensor, factor: int) -> Tensor:
    """(B, C f^3, I, J, K) -> (B, C, I f, J f, K f), the inverse of `space_to_depth`."""
    b, c, i, j, k = x.shape
    f = factor
    x = x.reshape(b, c // f**3, f, f, f, i, j, k)
    return x.permute(0, 1, 5, 2, 6, 3, 7, 4).reshape(b, c // f**3, i * f, j * f, k * f)


def time_features(t: Tensor, width: int) -> Tensor:
    """Sines and cosines of t in [0, 1] at geometrically spaced frequencies. (B,) -> (B, width)."""
    frequencies = torch.exp(torch.linspace(0.0, 6.0, width // 2, device=t.device))
    angles = t[:, None] * frequencies[None]
    return torch.cat([angles.sin(), angles.cos()], dim=1)


class ChannelNorm(nn.Module):
    """Root-mean-square over the channels of each voxel, times a learned gain (Zhang & Sennrich 2019)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(channels))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, I, J, K) -> the same shape."""
        last = x.permute(0, 2, 3, 4, 1)
        return F.rms_norm(last, (x.shape[1],), self.gain.to(x.dtype)).permute(0, 4, 1, 2, 3)


class Conv3d(nn.Conv3d):
    """torch's own, by oneDNN for one float32 grid on a CPU too.

    For a batch of one that is small or has few channels, torch takes a path of its own that is 1.3 to 11 times as slow
    (96 channels of 12 x 14 x 12: 30 against 10 ms), and its gradient another.
    """

    def forward(self, input: Tensor) -> Tensor:
        """(B, C, I, J, K) -> (B, outputs, I, J, K)."""
        alone = len(input) == 1 and input.device.type == "cpu" and input.dtype == torch.float32
        plain = self.kernel_size == (1, 1, 1) or torch.is_autocast_enabled("cpu") or not _ONEDNN
        if not alone or plain or torch.compiler.is_compiling():
            return super().forward(input)
        padding = cast(tuple[int, ...], self.padding)
        geometry = self.kernel_size, self.stride, padding, self.dilation, self.groups
        if torch.is_grad_enabled() and geometry == _SAME_SIZE:
            return cast(Tensor, _OneGrid.apply(input, self.weight, self.bias))  # type: ignore[no-untyped-call]
        return torch.mkldnn_convolution(input, self.weight, self.bias, padding, self.stride, self.dilation, self.groups)


class _OneGrid(torch.autograd.Function):
    """A convolution 3 x 3 x 3 that keeps the size, with a gradient by oneDNN: two convolutions of the same kind."""

    @staticmethod
    def forward(ctx: Any, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(input, weight)
        return _same_size(input, weight, bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        (input, weight), needed = ctx.saved_tensors, ctx.needs_input_grad
        turned = weight.flip(2, 3, 4).transpose(0, 1)
        of_input = _same_size(gradient, turned) if needed[0] else None
        of_weight = _same_size(input.transpose(0, 1), gradient.transpose(0, 1)).transpose(0, 1) if needed[1] else None
        return of_input, of_weight, gradient.sum((0, 2, 3, 4)) if needed[2] else None


def _same_size(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    return torch.mkldnn_convolution(input, weight, bias, _ONE, _ONE, _ONE, 1)


class ResidualBlock(nn.Module):
    """Norm-SiLU-conv twice around a skip; time scales and shifts the second normalisation."""

    def __init__(self, inputs: int, outputs: int, embedding: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = ChannelNorm(inputs), ChannelNorm(outputs)
        self.conv1 = Conv3d(inputs, outputs, 3, padding=1)
        self.conv2 = Conv3d(outputs, outputs, 3, padding=1)
        self.modulation = nn.Linear(embedding, 2 * outputs)
        self.skip = Conv3d(inputs, outputs, 1) if inputs != outputs else nn.Identity()
        nn.init.zeros_(self.conv2.weight)

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        """(B, inputs, I, J, K), (B, embedding) -> (B, outputs, I, J, K)."""
        h = self.conv1(F.silu(self.norm1(x)))
        scale, shift = self.modulation(embedding)[:, :, None, None, None].chunk(2, dim=1)
        out: Tensor = self.skip(x) + self.conv2(F.silu(self.norm2(h) * (1 + scale) + shift))
        return out


class ConvBlock(nn.Module):
    """Norm-SiLU-conv twice around a skip, for networks that know no time."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = ChannelNorm(channels), ChannelNorm(channels)
        self.conv1 = Conv3d(channels, channels, 3, padding=1)
        self.conv2 = Conv3d(channels, channels, 3, padding=1)
        nn.init.zeros_(self.conv2.weight)

    def forward(self, x: Tensor) -> Tensor:
        """(B, channels, I, J, K) -> the same shape."""
        out: Tensor = x + self.conv2(F.silu(self.norm2(self.conv1(F.silu(self.norm1(x))))))
        return out


def parameter_count(network: nn.Module) -> int:
    """Number of trained numbers."""
    return sum(math.prod(p.shape) for p in network.parameters())
