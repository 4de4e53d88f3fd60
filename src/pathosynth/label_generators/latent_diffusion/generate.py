"""Measurements to label maps: sample, measure, correct, and let the flow engine do the last per cent."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pathosynth.data.generated import Generated
from pathosynth.data.measurements import AGES, RATIO, group_of, measure, unit
from pathosynth.data.volume import Volume
from pathosynth.diffusion.guidance import guided
from pathosynth.diffusion.objective import to_x0
from pathosynth.diffusion.precision import use_bf16
from pathosynth.diffusion.randomness import generator
from pathosynth.diffusion.sample import sample
from pathosynth.label_generators.latent_diffusion.conditions import encode, resolved, told
from pathosynth.label_generators.latent_diffusion.config import Sampling
from pathosynth.label_generators.latent_diffusion.maps import Deformation, on_grid
from pathosynth.label_generators.latent_diffusion.model import Model, build_schedule
from pathosynth.label_generators.latent_diffusion.tidy import tidied
from pathosynth.morphing.classes import Part
from pathosynth.morphing.plan import Plan
from pathosynth.morphing.reshape import reshape
from pathosynth.runs.errors import ConfigError, InputError, MorphError
from pathosynth.runs.seeds import derived_seed

HEAD = "intracranial_ml"
"""Met by scaling the map, not by the flow: nothing inside could pay for it."""


@dataclass(frozen=True)
class Draft:
    """A decoded map and the measurements of what was asked for."""

    labels: np.ndarray
    got: dict[str, float]
    error: float


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
    return _decoded(model, _latents(model, asked, seeds, settings))


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
def _decoded(model: Model, latents: Tensor) -> np.ndarray:
    """Most likely class of every voxel, one map after the other to save memory."""
    bf16 = use_bf16(model.config.autoencoder.precision, model.device)
    with torch.autocast(model.device.type, torch.bfloat16, enabled=bf16):
        maps = [model.autoencoder.decode(model.scale.restored(one[None])).argmax(dim=1)[0] for one in latents]
    return torch.stack(maps).to("cpu", torch.uint8).numpy()


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
        return Generated(volume, asked, _measured(model, labels, asked), beyond, tuple(steps), attempt)
    raise MorphError(
        f"Request {', '.join(f'{n}={v:g} {unit(n)}' for n, v in asked.items())}: none of {settings.candidates} "
        f"candidates could be brought to it: {'; '.join(reasons)}"
    )


def _candidate(
    model: Model, asked: Mapping[str, float], seed: int, settings: Sampling, steps: list[dict[str, Any]]
) -> np.ndarray:
    """One noise: sample, correct the request with the same noise, reshape the rest; returns label values."""
    targets = {name: value for name, value in asked.items() if name not in AGES}
    request = dict(asked)
    if settings.beyond == "morph":
        request = {name: model.conditions[name].clamped(value) for name, value in request.items()}
    best = _draft(model, request, asked, seed, settings, steps, "sampled")
    if not settings.closed_loop or not targets:
        return best.labels
    for _ in range(settings.corrections):
        if best.error <= settings.tolerance:
            break
        request = _corrected(model, request, asked, best.got, settings)
        again = _draft(model, request, asked, seed, settings, steps, "corrected")
        best = min(best, again, key=lambda draft: draft.error)
    if best.error <= settings.tolerance:
        return best.labels
    return _reshaped(model, best, targets, steps)


def _draft(
    model: Model,
    request: Mapping[str, float],
    asked: Mapping[str, float],
    seed: int,
    settings: Sampling,
    steps: list[dict[str, Any]],
    what: str,
) -> Draft:
    classes = draw(model, [request], [seed], settings)[0]
    if not classes.any():
        raise InputError(f"The model made an empty map for seed {seed}. Use less guidance or another seed.")
    changed = 0
    if settings.tidy:
        classes, changed = tidied(classes)
    labels = np.array([0, *model.scheme.values], dtype=np.uint16)[classes]
    got = _measured(model, labels, asked)
    steps.append({"what": what, "request": dict(request), "got": got, "tidied_voxels": changed, "seed": seed})
    return Draft(labels, got, _error(asked, got))


def _corrected(
    model: Model,
    request: Mapping[str, float],
    asked: Mapping[str, float],
    got: Mapping[str, float],
    settings: Sampling,
) -> dict[str, float]:
    """The request moved by what was missing, kept inside the trained range unless the model may extrapolate."""
    moved = dict(request)
    for name, value in got.items():
        moved[name] = max(0.0, request[name] + asked[name] - value)
        if settings.beyond != "guide":
            moved[name] = model.conditions[name].clamped(moved[name])
    return moved


def _reshaped(model: Model, draft: Draft, targets: Mapping[str, float], steps: list[dict[str, Any]]) -> np.ndarray:
    """Scale the head to its asked size, then let the flow engine bring every asked volume to its value.

    External CSF pays for what the flow changes, so the head keeps its size.
    """
    labels = draft.labels
    head_ml = measure(labels, model.scheme, model.spacing_mm, [HEAD])[HEAD] if model.scheme.has("intracranial") else 0.0
    if HEAD in targets:
        labels = _scaled(model, labels, (targets[HEAD] / head_ml) ** (1 / 3))
        head_ml = targets[HEAD]
        steps.append({"what": "scaled", "got": _measured(model, labels, targets)})
    volumes_ml = {
        group_of(name): value * (head_ml if name == RATIO else 1.0) for name, value in targets.items() if name != HEAD
    }
    if not volumes_ml:
        return labels
    parts = {group: Part(model.scheme.group(group), volume_ml=ml) for group, ml in volumes_ml.items()}
    values = [value for part in parts.values() for value in part.values]
    if len(set(values)) != len(values):
        raise ConfigError(
            f"Request for {', '.join(targets)}: these measurements share labels, so they cannot all be met exactly. "
            "Ask for one of them, or use the open loop."
        )
    morphed = reshape(labels, model.scheme, model.spacing_mm, Plan(parts=parts))
    got = _measured(model, morphed.labels, targets)
    steps.append({"what": "morphed", "asked_ml": volumes_ml, "got": got, "from": draft.got})
    return morphed.labels


def _scaled(model: Model, labels: np.ndarray, factor: float) -> np.ndarray:
    """The map enlarged by a factor about its middle, on the same grid."""
    grid = model.config.grid
    centre = (np.array(grid.shape) - 1) / 2 * grid.spacing_mm
    classes = model.scheme.indices(labels)
    larger = on_grid(classes, grid.spacing_mm, centre, grid, Deformation(np.eye(3) / factor, np.zeros(3), None, False))
    scaled: np.ndarray = np.array([0, *model.scheme.values], dtype=np.uint16)[larger]
    return scaled


def _measured(model: Model, labels: np.ndarray, asked: Mapping[str, float]) -> dict[str, float]:
    return measure(labels, model.scheme, model.spacing_mm, [name for name in asked if name not in AGES])


def _error(asked: Mapping[str, float], got: Mapping[str, float]) -> float:
    """Largest relative difference between what was asked and got."""
    return max((abs(value / asked[name] - 1) if asked[name] else np.inf for name, value in got.items()), default=0.0)


def _attempt_seed(seed: int, attempt: int) -> int:
    """The first attempt uses the seed itself, so that open and closed loop start from the same map."""
    return seed if attempt == 1 else derived_seed(seed, "attempt", attempt)
