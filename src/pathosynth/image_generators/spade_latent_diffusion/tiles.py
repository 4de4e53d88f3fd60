"""Decoding of large brains in overlapping pieces, with the same result as decoding the whole."""

import itertools

import torch
from torch import Tensor

from pathosynth.diffusion.networks.spade import LabelMaps
from pathosynth.diffusion.networks.spade_autoencoder import SpadeAutoencoder
from pathosynth.diffusion.networks.spade_monai import MonaiSpadeAutoencoder


def decode_tiled(
    autoencoder: SpadeAutoencoder | MonaiSpadeAutoencoder, latents: Tensor, maps: LabelMaps, tile_voxels: int
) -> Tensor:
    """Decode piece by piece where a side is longer than `tile_voxels`.

    Each piece is decoded with a rim as wide as the decoder's reach, which is cut off again, so that pieces equal the
    whole. Networks whose normalisation looks at the whole image (MONAI's) are always decoded whole.

    Args:
        autoencoder: trained.
        latents: (B, C, I/4, J/4, K/4), what the decoder expects.
        maps: labels at (I, J, K).
        tile_voxels: longest side of a piece, without its rim.

    Returns:
        (B, 1, I, J, K).
    """
    if isinstance(autoencoder, MonaiSpadeAutoencoder) or max(maps.shape) <= tile_voxels:
        return autoencoder.decode(latents, maps)
    step = autoencoder.multiple
    rim = -(-autoencoder.receptive_voxels() // step) * step
    tile = max(step, tile_voxels // step * step)
    whole = torch.empty((len(latents), 1, *maps.shape), device=latents.device)
    starts = [range(0, n, tile) for n in maps.shape]
    for corner in itertools.product(*starts):
        inner = [(a, min(a + tile, n)) for a, n in zip(corner, maps.shape, strict=True)]
        outer = [(max(0, a - rim), min(n, b + rim)) for (a, b), n in zip(inner, maps.shape, strict=True)]
        around = (slice(None), slice(None), *(slice(a, b) for a, b in outer))
        cells = (slice(None), slice(None), *(slice(a // step, b // step) for a, b in outer))
        piece = autoencoder.decode(latents[cells], LabelMaps(maps.one_hot[around], maps.pooling))
        kept = [slice(a - low, b - low) for (a, b), (low, _) in zip(inner, outer, strict=True)]
        target = (slice(None), slice(None), *(slice(a, b) for a, b in inner))
        whole[target] = piece[(slice(None), slice(None), *kept)].float()
    return whole
