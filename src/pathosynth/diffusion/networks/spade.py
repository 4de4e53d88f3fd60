"""SPADE: labels scale and shift normalised features, and what depends on the labels alone is computed once.

Spatially adaptive normalisation (Park et al. 2019, eq. 1) is y = norm(x) (1 + gamma(labels)) + beta(labels). Neither
gamma nor beta depends on the noise, on the time or on the seed, yet in MONAI's networks they are computed at every
step: 41 % of the work of the second paper's U-Net and 71 % of its decoder's. Here a `LabelMaps` value carries the
labels through a network in the place of the plain tensor and remembers what each layer made of them.

MONAI hands `seg` through to its SPADE blocks untouched, so `with_label_maps` makes one of its networks ready for a
`LabelMaps` as `seg`. Nothing here asks what class a network is, so wrapped and compiled networks keep their labels.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Literal, TypeVar, cast

import torch
import torch.nn.functional as F  # noqa: N812 the name every torch user expects
from monai.networks.blocks.spade_norm import SPADE
from monai.networks.nets.spade_autoencoderkl import SPADEResBlock
from monai.networks.nets.spade_diffusion_model_unet import SPADEDiffResBlock
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from pathosynth.diffusion.networks.blocks import space_to_depth
from pathosynth.runs.errors import InputError

Pooling = Literal["area", "nearest"]
Made = TypeVar("Made")
Network = TypeVar("Network", bound=nn.Module)
Shape = Sequence[int]
Stamp = tuple[object, ...]

REFERENCE_VOXELS = 100_000
"""Labelled voxels that count as size 0 on the logarithmic scale."""


class LabelMaps:
    """The label maps of a batch, one per sample, with what layers have made of them.

    While gradients are recorded nothing that has weights is kept, so no step can see values of another step's weights.
    Otherwise values are kept until the weights they were made with change.
    """

    def __init__(self, one_hot: Tensor, pooling: Pooling = "area") -> None:
        """Take the labels at the size of the image.

        Args:
            one_hot: (B, N, I, J, K) float, a share per label and voxel; all channels 0 means that the labels of this
                sample are not told (guidance).
            pooling: how coarser layers see them: "area" gives the share of each label in a cell, so that thin
                structures fade but do not vanish; "nearest" is MONAI's and the paper's.
        """
        self.one_hot, self.pooling = one_hot, pooling
        self._pooled: dict[tuple[tuple[int, ...], int], Tensor] = {}
        self._kept: dict[nn.Module, tuple[Stamp, object]] = {}

    @property
    def shape(self) -> tuple[int, ...]:
        """(I, J, K) of the labels."""
        return tuple(self.one_hot.shape[2:])

    def dropped(self, which: Tensor | None = None) -> "LabelMaps":
        """The same with the labels of some samples not told.

        Args:
            which: (B,) bool; None for all of them.
        """
        told = torch.zeros(len(self.one_hot)) if which is None else (~which).float()
        return LabelMaps(self.one_hot * told.to(self.one_hot).reshape(-1, 1, 1, 1, 1), self.pooling)

    def at(self, shape: Shape, cells: int = 1) -> Tensor:
        """Labels for a layer of `shape` (I', J', K').

        Args:
            shape: size of the layer.
            cells: keep this many positions per voxel and axis as channels of their own (space to depth).

        Returns:
            (B, N cells^3, I', J', K'), shares in [0, 1].
        """
        key = (tuple(shape), cells)
        if key not in self._pooled:
            with torch.inference_mode(False), torch.no_grad():
                fine = self._resized(tuple(n * cells for n in shape))
                self._pooled[key] = space_to_depth(fine, cells) if cells > 1 else fine
        return self._pooled[key]

    def places(self, shape: Shape, octaves: int) -> Tensor:
        """Where each voxel of a layer of `shape` lies in the head, as the labels tell it.

        Returns:
            (B, 4 + 6 octaves, I', J', K'): position in the labels' bounding box, -1 to 1 along each axis, its sines and
            cosines, and the logarithm of the labelled volume; 0 where labels are not told. The first channel of the
            labels is background.
        """
        key = (tuple(shape), -octaves - 1)
        if key not in self._pooled:
            with torch.inference_mode(False), torch.no_grad():
                self._pooled[key] = torch.stack([_places(one, tuple(shape), octaves) for one in self.one_hot])
        return self._pooled[key]

    def keep(self, layer: nn.Module, make: Callable[[], Made]) -> Made:
        """What `make` gives, computed once for this layer and its present weights; with gradients, every time."""
        if torch.is_grad_enabled():
            return make()
        stamp = _stamp(layer, self.one_hot.device.type)
        found = self._kept.get(layer)
        if found is None or found[0] != stamp:
            found = self._kept[layer] = (stamp, make())
        return cast(Made, found[1])

    def _resized(self, shape: tuple[int, ...]) -> Tensor:
        if shape == self.shape:
            return self.one_hot
        if any(fine < coarse for fine, coarse in zip(self.shape, shape, strict=True)):
            raise InputError(
                f"SPADE: expected labels at least as fine as the layer, {shape}, found {self.shape}. "
                "Give the labels at the size of the image."
            )
        if self.pooling == "nearest":
            return F.interpolate(self.one_hot, size=shape, mode="nearest")
        if all(fine % coarse == 0 for fine, coarse in zip(self.shape, shape, strict=True)):
            return F.avg_pool3d(self.one_hot, [fine // coarse for fine, coarse in zip(self.shape, shape, strict=True)])
        return F.adaptive_avg_pool3d(self.one_hot, (shape[0], shape[1], shape[2]))


class SpadeNorm(nn.Module):
    """MONAI's SPADE with its label-only part apart; the same parameters under the same names.

    MONAI normalises gamma and beta themselves over each sample (its convolutions end in an instance norm).
    """

    def __init__(self, spade: SPADE) -> None:
        """Take over the layers of `spade`, weights included."""
        super().__init__()
        self.param_free_norm = spade.param_free_norm
        self.mlp_shared, self.mlp_gamma, self.mlp_beta = spade.mlp_shared, spade.mlp_gamma, spade.mlp_beta

    def modulation(self, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Labels (B, N, I, J, K) at the size of the layer -> gamma and beta, (B, C, I, J, K) each."""
        hidden = self.mlp_shared(labels)
        return self.mlp_gamma(hidden), self.mlp_beta(hidden)

    def forward(self, x: Tensor, segmap: LabelMaps) -> Tensor:
        """(B, C, I, J, K) -> the same shape."""
        gamma, beta = segmap.keep(self, lambda: self.modulation(segmap.at(x.shape[2:])))
        normalised: Tensor = self.param_free_norm(x.contiguous())
        return normalised * (1 + gamma) + beta


def with_label_maps(network: Network, *, checkpointing: bool = False) -> Network:
    """Replace every SPADE layer of a MONAI network, in place, so that it takes a `LabelMaps` as `seg`.

    Args:
        network: e.g. MONAI's `SPADEDiffusionModelUNet` or `SPADEAutoencoderKL`; its state dict stays as it is.
        checkpointing: compute the insides of SPADE blocks again on the way back instead of keeping them; each norm's
            128 channels at its layer's size are most of the memory of training.
    """
    for module in list(network.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, SPADE):
                setattr(module, name, SpadeNorm(child))
        if checkpointing and isinstance(module, SPADEResBlock | SPADEDiffResBlock):
            # MONAI's decoder tells its blocks by their class, so they are not wrapped in another module.
            module.forward = functools.partial(recomputed, module.forward)  # type: ignore[method-assign]
    return network


def recomputed(block: Callable[..., Tensor], *inputs: object) -> Tensor:
    """`block(*inputs)`; where gradients are recorded, its insides are computed again on the way back."""
    if not torch.is_grad_enabled():
        return block(*inputs)
    out: Tensor = checkpoint(block, *inputs, use_reentrant=False, preserve_rng_state=False)
    return out


def _places(one_hot: Tensor, shape: tuple[int, ...], octaves: int) -> Tensor:
    """`LabelMaps.places` of one sample, (4 + 6 octaves, I', J', K')."""
    inside = one_hot[1:].sum(dim=0) > 0.5
    if not bool(inside.any()):
        return one_hot.new_zeros((4 + 6 * octaves, *shape))
    axes = []
    for axis, n in enumerate(shape):
        hit = inside.amax(dim=tuple({0, 1, 2} - {axis})).nonzero()
        low, high = hit[0].float(), hit[-1].float()
        cells = (torch.arange(n, device=one_hot.device) + 0.5) * (inside.shape[axis] / n) - 0.5
        axes.append((cells - (low + high) / 2) / ((high - low) / 2).clamp(min=1))
    place = torch.stack(torch.meshgrid(*axes, indexing="ij")).to(one_hot.dtype)
    angles = [torch.pi * 2.0**octave * place for octave in range(octaves)]
    size = torch.log(inside.sum() / REFERENCE_VOXELS).expand(1, *shape)
    return torch.cat([place, *(wave for angle in angles for wave in (angle.sin(), angle.cos())), size])


def _stamp(layer: nn.Module, device: str) -> Stamp:
    """Changes whenever what a layer computes may change: its weights, or the number format of the region around it."""
    weights = [(p.data_ptr(), 0 if p.is_inference() else p._version) for p in layer.parameters()]
    return (torch.is_autocast_enabled(device), torch.get_autocast_dtype(device), *weights)
