"""How well a model denoises the latents of one label map, for membership inference: known ones are denoised better."""

from collections.abc import Sequence

import numpy as np
import torch

from pathosynth.data.labelled import LabelledBrain
from pathosynth.data.labels import LabelScheme, remap_labels
from pathosynth.diffusion.objective import noised, to_x0
from pathosynth.diffusion.randomness import generator
from pathosynth.label_generators.latent_diffusion.maps import on_grid, tissue_centre_mm
from pathosynth.label_generators.latent_diffusion.model import Model, build_schedule
from pathosynth.runs.errors import InputError


@torch.inference_mode()
def denoising_losses(
    model: Model, brain: LabelledBrain, scheme: LabelScheme, levels: Sequence[float], seed: int
) -> list[float]:
    """Mean squared error of the denoised latents, no measurement told, one number for every noise level.

    Args:
        model: from `load_model`.
        brain: label map of any voxel size.
        scheme: its legend.
        levels: diffusion times, above 0 to 1; the same noise is drawn for every model and the same seed.
        seed: of the noise; compare cases of a model, or models on a case, with one seed.

    Raises:
        InputError: labels the model does not know.
    """
    values = brain.labels
    if scheme.name != model.scheme.name:
        if model.scheme.name not in scheme.to:
            raise InputError(
                f"{brain.case}: this model was trained on scheme '{model.scheme.name}', the map is in '{scheme.name}', "
                f"and there is no remapping. Add a table [to.{model.scheme.name}] to the scheme."
            )
        values = remap_labels(values, scheme.to[model.scheme.name], others="error")
    centre = tissue_centre_mm(values, model.scheme, brain.spacing_mm)
    classes = on_grid(model.scheme.indices(values), brain.spacing_mm, centre, model.config.grid)
    mean, _ = model.autoencoder.encode(torch.from_numpy(np.ascontiguousarray(classes))[None].to(model.device))
    z0, schedule = model.scale.normalised(mean.float()), build_schedule(model.config.diffusion)
    count = len(model.config.conditions)
    hidden = (
        torch.zeros((1, count), device=model.device),
        torch.zeros((1, count), dtype=torch.bool, device=model.device),
    )
    found = []
    for level in levels:
        t = torch.full((1,), float(level), device=model.device)
        eps = torch.randn(z0.shape, generator=generator(seed, "membership", str(level))).to(model.device)
        z_t = noised(schedule, z0, eps, t)
        prediction = model.denoiser(z_t, t, *hidden).float()
        guess = to_x0(model.config.diffusion.objective, schedule, prediction, z_t, t)
        found.append(float((guess - z0).square().mean()))
    return found
