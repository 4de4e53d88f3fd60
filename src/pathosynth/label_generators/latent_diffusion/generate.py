"""Measurements to label maps: sample, measure, correct, and let the flow engine do the last per cent."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pathosynth.data.generated import Generated
from pathosynth.data.measurements import AGES, HEAD, unit
from pathosynth.data.volume import Volume
from pathosynth.diffusion.guidance import guided
from pathosynth.diffusion.objective import to_x0
from pathosynth.diffusion.precision import use_bf16
from pathosynth.diffusion.randomness import generator
from pathosynth.diffusion.sample import sample
from pathosynth.label_generators.latent_diffusion.closing import (
    Draft,
    corrected,
    decided,
    label_values,
    measured,
    relative_error,
    reshaped,
)
from pathosynth.label_generators.latent_diffusion.conditions import encode, resolved, told
from pathosynth.label_generators.latent_diffusion.config import Sampling
from pathosynth.label_generators.latent_diffusion.model import Model, build_schedule
from pathosynth.label_generators.latent_diffusion.tidy import class_shares, largest_loss, tidied
from pathosynth.runs.errors import InputError, MorphError
from pathosynth.runs.seeds import derived_seed

_MOST_APART = 0.25
"""Share of a structure that may lie in islands before a map is given up for the next candidate."""


def generate(
    model: Model,
    wanted: Sequence[Mapping[str, float]],
    seeds: Sequence[int],
    sampling: Sampling | None = None,
) -> list[Generated]:
    """Make one label map per request.

    Args:
        model: from `load_model`.
        wanted: measurements by name in their units (`c` for the scaled ventricle ratio); what is missing is left to
            the model. With the closed loop, volumes and the ratio are met within `sampling.tolerance`; ages steer only.
        seeds: one per request; a map depends on its request and seed, not on its neighbours in the list.
        sampling: instead of the model's own.

    Raises:
        ConfigError: a measurement the model does not know.
        InputError: a request beyond the trained range where `sampling.beyond` is "refuse".
        MorphError: no candidate met the request; the message holds the reasons.
    """
    settings = sampling or model.config.sampling
    return [_one(model, request, seed, settings) for request, seed in zip(wanted, seeds, strict=True)]


def draw(model: Model, asked: Sequence[Mapping[str, float]], seeds: Sequence[int], settings: Sampling) -> np.ndarray:
    """Sample and decode, nothing else. (B, I, J, K) uint8 dense class numbers.

    Args:
        model: from `load_model`.
        asked: requests in the model's own names.
        seeds: one per map.
        settings: sampler and guidance.
    """
    latents = _latents(model, asked, seeds, settings)
    maps = [_logits(model, one).argmax(dim=0) for one in latents]  # one after the other, to save memory
    return torch.stack(maps).to("cpu", torch.uint8).numpy()


@torch.inference_mode()
def _latents(model: Model, asked: Sequence[Mapping[str, float]], seeds: Sequence[int], settings: Sampling) -> Tensor:
    """Latents at unit size, (B, C, i, j, k)."""
    diffusion, device = model.config.diffusion, model.device
    schedule = build_schedule(diffusion)
    values, known = (torch.from_numpy(one).to(device) for one in encode(asked, model.conditions))

    def denoiser(known: Tensor) -> Any:
        def denoise(z_t: Tensor, t: Tensor) -> Tensor:
            prediction = model.denoiser(z_t, t, values, known).float()
            return to_x0(diffusion.objective, schedule, prediction, z_t, t)

        return denoise

    cells = [n // model.config.downsampling for n in model.shape]
    shape = (model.config.autoencoder.latent_channels, *cells)
    noise = torch.stack([torch.randn(shape, generator=generator(seed, "noise")) for seed in seeds])
    with torch.autocast(device.type, torch.bfloat16, enabled=use_bf16(diffusion.precision, device)):
        return sample(
            guided(
                denoiser(known),
                denoiser(torch.zeros_like(known)),
                settings.guidance,
                interval=settings.guidance_interval,
            ),
            noise.to(device),
            schedule,
            method=settings.method,
            steps=settings.steps,
            generators=[generator(seed, "sampler") for seed in seeds],
            clip=settings.bound,
        )


@torch.inference_mode()
def _logits(model: Model, latents: Tensor) -> Tensor:
    """Logits of all classes, (C, I, J, K), from the latents of one map."""
    bf16 = use_bf16(model.config.autoencoder.precision, model.device)
    with torch.autocast(model.device.type, torch.bfloat16, enabled=bf16):
        return model.autoencoder.decode(model.scale.restored(latents[None]))[0]


def _one(model: Model, wanted: Mapping[str, float], seed: int, settings: Sampling) -> Generated:
    asked = resolved(wanted, model.conditions)
    beyond = tuple(name for name, value in asked.items() if not model.conditions[name].holds(value))
    if beyond and settings.beyond == "refuse":
        raise InputError(
            f"Request for {', '.join(f'{n}={asked[n]:g} {unit(n)}' for n in beyond)} is beyond what this model was "
            f"trained on: {told(model.conditions)}. Ask for less, or allow --beyond morph."
        )
    steps: list[dict[str, Any]] = []
    reasons: list[str] = []
    for attempt in range(1, settings.candidates + 1):
        try:
            labels = _candidate(model, asked, _attempt_seed(seed, attempt), settings, steps)
        except (MorphError, InputError) as error:
            reasons.append(str(error).split("\n")[0])
            steps.append({"what": "given_up", "reason": str(error)})
            continue
        volume = Volume(labels, np.diag([*model.spacing_mm, 1.0]))
        return Generated(volume, asked, measured(model, labels, asked), beyond, tuple(steps), attempt)
    raise MorphError(
        f"Request {', '.join(f'{n}={v:g} {unit(n)}' for n, v in asked.items())}: none of {settings.candidates} "
        f"candidates could be brought to it: {'; '.join(reasons)}"
    )


def _candidate(
    model: Model, asked: Mapping[str, float], seed: int, settings: Sampling, steps: list[dict[str, Any]]
) -> np.ndarray:
    """One noise: sample, correct the request with the same noise, move the decision or reshape; label values."""
    targets = {name: value for name, value in asked.items() if name not in AGES}
    request = dict(asked)
    if settings.beyond == "morph":
        request = {name: model.conditions[name].clamped(value) for name, value in request.items()}
    drafts = [_draft(model, request, asked, seed, settings, steps, "sampled")]
    if not settings.closed_loop or not targets:
        return label_values(model, drafts[0].classes)
    for _ in range(settings.corrections):
        if drafts[-1].error <= settings.tolerance:
            break
        request = corrected(drafts, asked)
        if settings.beyond != "guide":
            request = {name: model.conditions[name].clamped(value) for name, value in request.items()}
        if request == drafts[-1].request:
            break
        drafts.append(_draft(model, request, asked, seed, settings, steps, "corrected"))
    best = min(drafts, key=lambda draft: draft.error)
    if best.error <= settings.tolerance:
        return label_values(model, best.classes)
    if best.error <= settings.decision_limit and HEAD not in targets:
        labels = decided(model, best, targets, settings.tolerance, steps)
        if relative_error(targets, measured(model, labels, targets)) <= settings.tolerance:
            return labels
    labels = reshaped(model, label_values(model, best.classes), targets, steps)
    left = relative_error(targets, measured(model, labels, targets))
    if left > settings.tolerance and not _extrapolates(model, targets, settings):
        raise MorphError(f"Reshaping left {left:.1%} between what was asked and got. Use another seed.")
    return labels


def _extrapolates(model: Model, targets: Mapping[str, float], settings: Sampling) -> bool:
    """Whether a request is left to guidance beyond the trained range, where nothing is promised."""
    inside = all(model.conditions[name].holds(value) for name, value in targets.items())
    return settings.beyond == "guide" and not inside


def _draft(
    model: Model,
    request: Mapping[str, float],
    asked: Mapping[str, float],
    seed: int,
    settings: Sampling,
    steps: list[dict[str, Any]],
    what: str,
) -> Draft:
    logits = _logits(model, _latents(model, [request], [seed], settings)[0])
    classes = logits.argmax(dim=0).to("cpu", torch.uint8).numpy()
    if not classes.any():
        raise InputError(f"The model made an empty map for seed {seed}. Use less guidance or another seed.")
    changed = 0
    if settings.tidy:
        classes, changed = _tidied(model, classes, seed)
    got = measured(model, label_values(model, classes), asked)
    steps.append({"what": what, "request": dict(request), "got": got, "tidied_voxels": changed, "seed": seed})
    return Draft(dict(request), classes, logits, got, relative_error(asked, got))


def _tidied(model: Model, classes: np.ndarray, seed: int) -> tuple[np.ndarray, int]:
    """`tidied`, unless much of a structure lay apart: what is left would be no whole one.

    Raises:
        InputError: it did.
    """
    clean, changed = tidied(classes, class_shares(model.scheme))
    number, lost = largest_loss(classes, clean)
    if lost > _MOST_APART:
        name = model.scheme[model.scheme.values[number - 1]].name
        raise InputError(f"The model put {lost:.0%} of {name} apart from the rest for seed {seed}. Use another seed.")
    return clean, changed


def _attempt_seed(seed: int, attempt: int) -> int:
    """The first attempt uses the seed itself, so that open and closed loop start from the same map."""
    return seed if attempt == 1 else derived_seed(seed, "attempt", attempt)
