"""Labels to images with a trained model."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from torch import Tensor

from pathosynth.data.grid import Box, crop, crop_box, uncrop
from pathosynth.data.requests import Request
from pathosynth.diffusion.guidance import guided
from pathosynth.diffusion.networks.spade import LabelMaps
from pathosynth.diffusion.objective import to_x0
from pathosynth.diffusion.precision import use_bf16
from pathosynth.diffusion.randomness import generator
from pathosynth.diffusion.sample import Denoiser, sample
from pathosynth.image_generators.model_grid import from_model_range, labels_for, rendered_at
from pathosynth.image_generators.spade_latent_diffusion.examples import one_hot
from pathosynth.image_generators.spade_latent_diffusion.model import Model, build_schedule
from pathosynth.image_generators.spade_latent_diffusion.tiles import decode_tiled

MARGIN_VOXELS = 2


@dataclass
class _Kept:
    """Label maps of the last brain, with all that its layers made of them, for the next seed of the same brain."""

    classes: np.ndarray | None = None
    told: LabelMaps | None = None
    untold: LabelMaps | None = None


def generate(model: Model, requests: Sequence[Request], seeds: Sequence[int]) -> list[np.ndarray]:
    """Render one image per request.

    Several seeds of one label map in a row share all that depends on the labels alone.

    Args:
        model: from `load_model`, which also takes another sampling or contrast.
        requests: label maps; their scheme is remapped to the model's by its explicit table when they differ.
        seeds: one per request; the image depends on labels and seed, not on its neighbours in the list.

    Returns:
        (I, J, K) float32 images on the grids of the requests, 0 outside the labels and about 0..1 inside.

    Raises:
        InputError: a label scheme the model does not know, or no labelled voxel.
    """
    kept = _Kept()

    def render(request: Request, seed: int) -> np.ndarray:
        labels = labels_for(request.labels, request.scheme, model.scheme)
        return rendered_at(
            labels,
            request.spacing_mm,
            model.spacing_mm,
            lambda array, _: _render_on_grid(model, array, seed, kept),
        )

    return [render(one, seed) for one, seed in zip(requests, seeds, strict=True)]


def brain_box(labels: np.ndarray, shape: Sequence[int], multiple: int) -> Box:
    """The box that is rendered: the brain in the middle, at least the grid trained on, sides the networks take."""
    box = crop_box(labels > 0, 0)
    start, stop = [], []
    for low, high, size in zip(box.start, box.stop, shape, strict=True):
        extent = high - low
        wanted = size if extent <= size else -(-(extent + 2 * MARGIN_VOXELS) // multiple) * multiple
        # Rounded as `examples.centred` does.
        first = low + int(np.floor((extent - 1) / 2 - (wanted - 1) / 2))
        start.append(first)
        stop.append(first + wanted)
    return Box((start[0], start[1], start[2]), (stop[0], stop[1], stop[2]))


def _render_on_grid(model: Model, labels: np.ndarray, seed: int, kept: _Kept) -> np.ndarray:
    """Crop to the brain, sample, paste back."""
    box = brain_box(labels, model.config.grid.shape, model.config.multiple)
    classes = model.scheme.indices(crop(labels, box, 0))
    if kept.classes is None or not np.array_equal(kept.classes, classes):
        tensor = torch.from_numpy(classes)[None].to(model.device)
        kept.told = LabelMaps(one_hot(tensor, len(model.scheme.values)), model.config.condition.pooling)
        kept.classes, kept.untold = classes, kept.told.dropped()
    values = from_model_range(_sample(model, kept, seed))
    return uncrop(np.where(classes > 0, values, np.float32(0)), box, labels.shape, 0)


@torch.inference_mode()
def _sample(model: Model, kept: _Kept, seed: int) -> np.ndarray:
    config, sampling, device = model.config, model.config.sampling, model.device
    told, untold = cast(LabelMaps, kept.told), cast(LabelMaps, kept.untold)
    schedule, objective = build_schedule(config), config.diffusion.objective
    # 0 stands for no contrast told.
    number = torch.tensor([config.all_contrasts.index(config.contrast) + 1], device=device)

    def denoiser(maps: LabelMaps) -> Denoiser:
        def denoise(x_t: Tensor, t: Tensor) -> Tensor:
            prediction = model.diffusion(x_t, t, maps, number).float()
            return to_x0(objective, schedule, prediction, x_t, t)

        return denoise

    # One autocast region around all steps, so that each weight is cast once.
    with torch.autocast(device.type, torch.bfloat16, enabled=use_bf16(config.diffusion.precision, device)):
        cells = [n // config.downsampling for n in told.shape]
        # Drawn on the CPU so that a seed means the same noise on every device.
        noise = torch.randn((1, config.autoencoder.latent_channels, *cells), generator=generator(seed, "noise"))
        latents = sample(
            guided(denoiser(told), denoiser(untold), sampling.guidance, interval=sampling.guidance_interval),
            noise.to(device),
            schedule,
            method=sampling.method,
            steps=sampling.steps,
            generators=[generator(seed, "sampler")],
            clip=sampling.bound,
        )
        image = decode_tiled(model.autoencoder, model.scale.restored(latents), told, sampling.tile_voxels)
    return np.asarray(image[0, 0].float().cpu().numpy())
