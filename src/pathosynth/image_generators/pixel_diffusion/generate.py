"""Labels to images with a trained model."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from pathosynth.data.grid import crop, crop_box, uncrop
from pathosynth.data.requests import Request
from pathosynth.data.volume import Spacing
from pathosynth.diffusion.objective import to_x0
from pathosynth.diffusion.precision import use_bf16
from pathosynth.diffusion.randomness import generator
from pathosynth.diffusion.sample import sample
from pathosynth.image_generators.model_grid import from_model_range, labels_for, rendered_at
from pathosynth.image_generators.pixel_diffusion.condition import (
    analyse,
    block_positions,
    coarse_channels,
    fine_channels,
)
from pathosynth.image_generators.pixel_diffusion.crops import MARGIN_VOXELS
from pathosynth.image_generators.pixel_diffusion.model import Model, build_schedule
from pathosynth.runs.errors import InputError


def generate(model: Model, requests: Sequence[Request], seeds: Sequence[int]) -> list[np.ndarray]:
    """Render one image per request.

    Args:
        model: from `load_model`, which also takes another sampling.
        requests: label maps; their scheme is remapped to the model's by its explicit table when they differ.
        seeds: one per request; the image depends on labels and seed, not on its neighbours in the list.

    Returns:
        (I, J, K) float32 images on the grids of the requests, 0 outside the labels and about 0..1 inside.

    Raises:
        InputError: a label scheme the model does not know, or no labelled voxel.
    """
    return [_render(model, one, seed) for one, seed in zip(requests, seeds, strict=True)]


def _render(model: Model, request: Request, seed: int) -> np.ndarray:
    labels = labels_for(request.labels, request.scheme, model.scheme)
    if not labels.any():
        raise InputError("Image generation: expected labelled voxels, found background only. Check the label map.")
    return rendered_at(
        labels,
        request.spacing_mm,
        (model.spacing_mm,) * 3,
        lambda own, spacing_mm: _render_on_grid(model, own, spacing_mm, seed),
    )


def _render_on_grid(model: Model, labels: np.ndarray, spacing_mm: Spacing, seed: int) -> np.ndarray:
    """Crop to the brain, pad to a size the network takes, sample, paste back."""
    box = crop_box(labels > 0, MARGIN_VOXELS, model.network.multiple)
    cropped = crop(labels, box, 0)
    values = from_model_range(_sample_crop(model, cropped, spacing_mm, seed))
    return uncrop(np.where(cropped > 0, values, np.float32(0)), box, labels.shape, 0)


@torch.inference_mode()
def _sample_crop(model: Model, labels: np.ndarray, spacing_mm: Spacing, seed: int) -> np.ndarray:
    config, device = model.config, model.device
    anatomy = analyse(labels, model.scheme, spacing_mm, config.condition)
    fine = fine_channels(anatomy.classes, anatomy.class_count, anatomy.distances_mm, config.condition)
    factor = config.network.factor if config.network.kind == "label_unet" else 1
    centre, half = anatomy.centre[:, None, None, None], anatomy.half_extent[:, None, None, None]
    coarse = coarse_channels(
        (block_positions(labels.shape, factor) - centre) / half, anatomy.log_size, config.condition
    )
    schedule = build_schedule(config)
    bf16 = use_bf16(config.training.precision, device)
    # One autocast region around all steps, so that each weight is cast once.
    with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
        condition = model.network.encode_condition(
            torch.from_numpy(fine)[None].to(device), torch.from_numpy(coarse)[None].to(device)
        )

        def denoise(x_t: Tensor, t: Tensor) -> Tensor:
            prediction = model.network(x_t, t, condition).float()
            return to_x0(config.objective, schedule, prediction, x_t, t)

        # Drawn on the CPU so that a seed means the same noise on every device.
        noise = torch.randn((1, 1, *labels.shape), generator=generator(seed, "noise")).to(device)
        x0 = sample(
            denoise,
            noise,
            schedule,
            method=config.sampling.method,
            steps=config.sampling.steps,
            generators=[generator(seed, "sampler")],
            clip=config.sampling.clip,
        )
    return np.asarray(x0[0, 0].float().cpu().numpy())
