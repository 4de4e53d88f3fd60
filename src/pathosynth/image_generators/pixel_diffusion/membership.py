"""How well a model denoises one labelled image, for membership inference: known ones are denoised better."""

from collections.abc import Sequence

import numpy as np
import torch

from pathosynth.data.grid import crop, crop_box
from pathosynth.data.labels import LabelScheme
from pathosynth.data.pairs import Pair
from pathosynth.diffusion.objective import noised, to_x0
from pathosynth.diffusion.randomness import generator
from pathosynth.image_generators.model_grid import pair_for, to_model_range
from pathosynth.image_generators.pixel_diffusion.condition import (
    analyse,
    block_positions,
    coarse_channels,
    fine_channels,
)
from pathosynth.image_generators.pixel_diffusion.crops import MARGIN_VOXELS
from pathosynth.image_generators.pixel_diffusion.model import Model, build_schedule
from pathosynth.runs.errors import InputError


@torch.inference_mode()
def denoising_losses(model: Model, pair: Pair, scheme: LabelScheme, levels: Sequence[float], seed: int) -> list[float]:
    """Mean squared error of the denoised image inside the head, one number for every noise level.

    Args:
        model: from `load_model`.
        pair: labels and image, at the model's voxel size.
        scheme: legend of its labels.
        levels: diffusion times, above 0 to 1; the same noise is drawn for every model and the same seed.
        seed: of the noise; compare cases of a model, or models on a case, with one seed.

    Raises:
        InputError: a voxel size the model was not trained at, or labels it does not know.
    """
    if np.abs(np.array(pair.spacing_mm) / model.spacing_mm - 1).max() > 0.05:
        raise InputError(
            f"{pair.case}: expected voxels of {model.spacing_mm:g} mm, as the model was trained at, found "
            f"{pair.spacing_mm}. Run `pathosynth prepare --spacing-mm {model.spacing_mm:g}`."
        )
    own = pair_for(pair, scheme, model.scheme)
    config, device, schedule = model.config, model.device, build_schedule(model.config)
    box = crop_box(own.labels > 0, MARGIN_VOXELS, model.network.multiple)
    labels = crop(own.labels, box, 0)
    image = np.where(labels > 0, to_model_range(crop(own.image, box, 0)), np.float32(-1))
    anatomy = analyse(labels, model.scheme, own.spacing_mm, config.condition)
    fine = fine_channels(anatomy.classes, anatomy.class_count, anatomy.distances_mm, config.condition)
    factor = config.network.factor if config.network.kind == "label_unet" else 1
    centre, half = anatomy.centre[:, None, None, None], anatomy.half_extent[:, None, None, None]
    place = (block_positions(labels.shape, factor) - centre) / half
    coarse = coarse_channels(place, anatomy.log_size, config.condition)
    condition = model.network.encode_condition(
        torch.from_numpy(fine)[None].to(device), torch.from_numpy(coarse)[None].to(device)
    )
    x0 = torch.from_numpy(np.ascontiguousarray(image))[None, None].to(device)
    inside = torch.from_numpy(labels > 0)[None, None].to(device)
    found = []
    for level in levels:
        t = torch.full((1,), float(level), device=device)
        eps = torch.randn(x0.shape, generator=generator(seed, "membership", str(level))).to(device)
        x_t = noised(schedule, x0, eps, t)
        guess = to_x0(config.objective, schedule, model.network(x_t, t, condition).float(), x_t, t)
        found.append(float((guess - x0).square()[inside].mean()))
    return found
