"""Closing the loop: from a sampled map that is nearly right to one that meets the request."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from pathosynth.data.measurements import AGES, HEAD, RATIO, group_of, measure
from pathosynth.label_generators.latent_diffusion.decision import moved_to
from pathosynth.label_generators.latent_diffusion.maps import Deformation, on_grid
from pathosynth.label_generators.latent_diffusion.model import Model
from pathosynth.label_generators.latent_diffusion.tidy import class_shares
from pathosynth.morphing.classes import Part
from pathosynth.morphing.plan import Plan
from pathosynth.morphing.reshape import reshape
from pathosynth.runs.errors import ConfigError, MorphError

_FLATTEST, _STEEPEST = 0.5, 4.0
"""Bounds of how much more volume a larger request gives, so that a chance slope does not throw the next one far off."""


@dataclass(frozen=True)
class Draft:
    """A decoded map and the measurements of what was asked for.

    Attributes:
        request: what the network was told.
        classes: (I, J, K) uint8 dense class numbers.
        logits: (C, I, J, K) they were decided by.
        got: measurements of what was asked for.
        error: largest relative difference of these.
    """

    request: dict[str, float]
    classes: np.ndarray
    logits: Tensor
    got: dict[str, float]
    error: float


def decided(
    model: Model, draft: Draft, targets: Mapping[str, float], tolerance: float, steps: list[dict[str, Any]]
) -> np.ndarray:
    """Meet volumes that are a few per cent off by moving the decoder's decision; label values."""
    volumes_ml = _volumes_ml(model, label_values(model, draft.classes), targets)
    voxel_ml = float(np.prod(model.spacing_mm)) / 1000
    number = {value: place for place, value in enumerate(model.scheme.values, start=1)}
    wanted = {
        tuple(number[value] for value in model.scheme.group(group)): max(1, round(ml / voxel_ml))
        for group, ml in volumes_ml.items()
    }
    classes = moved_to(
        draft.logits.float().cpu().numpy(), draft.classes, wanted, tolerance / 4, class_shares(model.scheme)
    )
    labels = label_values(model, classes)
    changed = int((classes != draft.classes).sum())
    steps.append({"what": "decided", "got": measured(model, labels, targets), "changed_voxels": changed})
    return labels


def reshaped(model: Model, labels: np.ndarray, targets: Mapping[str, float], steps: list[dict[str, Any]]) -> np.ndarray:
    """Scale the head to its asked size, then let the flow engine bring every asked volume to its value.

    The head is scaled as a whole, because nothing inside could pay for it. Of what the flow changes external CSF pays,
    so the head keeps its size.

    Raises:
        MorphError: the head would not fit the grid any more, or the flow does not reach a volume.
    """
    before = measured(model, labels, targets)
    if HEAD in targets:
        factor = (targets[HEAD] / before[HEAD]) ** (1 / 3)
        if factor > (largest := _largest_factor(labels)):
            raise MorphError(
                f"{HEAD}={targets[HEAD]:.4g} mL would be cut by the grid of {list(labels.shape)} voxels, which holds "
                f"this head up to {before[HEAD] * largest**3:.4g} mL. Ask for less."
            )
        labels = _scaled(model, labels, factor)
        steps.append({"what": "scaled", "got": measured(model, labels, targets)})
    volumes_ml = _volumes_ml(model, labels, targets)
    if not volumes_ml:
        return labels
    parts = {group: Part(model.scheme.group(group), volume_ml=ml) for group, ml in volumes_ml.items()}
    morphed = reshape(labels, model.scheme, model.spacing_mm, Plan(parts=parts))
    got = measured(model, morphed.labels, targets)
    steps.append({"what": "morphed", "asked_ml": volumes_ml, "got": got, "from": before})
    return morphed.labels


def _volumes_ml(model: Model, labels: np.ndarray, targets: Mapping[str, float]) -> dict[str, float]:
    """Wanted volume of every group, in mL; the ratio is taken of the volume inside the skull as it is.

    Raises:
        ConfigError: two measurements share labels.
    """
    volumes = {}
    for name, value in targets.items():
        if name != HEAD:
            inside = measure(labels, model.scheme, model.spacing_mm, [HEAD])[HEAD] if name == RATIO else 1.0
            volumes[group_of(name)] = value * inside
    values = [value for group in volumes for value in model.scheme.group(group)]
    if len(set(values)) != len(values):
        raise ConfigError(
            f"Request for {', '.join(targets)}: these measurements share labels, so they cannot all be met exactly. "
            "Ask for one of them, or use the open loop."
        )
    return volumes


def label_values(model: Model, classes: np.ndarray) -> np.ndarray:
    """Label values of dense class numbers."""
    values: np.ndarray = np.array([0, *model.scheme.values], dtype=np.uint16)[classes]
    return values


def _largest_factor(labels: np.ndarray) -> float:
    """How much the labels can be enlarged about the middle of the grid before they reach another face of it."""
    factors = []
    for axis, extent in enumerate(labels.shape):
        filled = np.flatnonzero(labels.any(axis=tuple({0, 1, 2} - {axis})))
        half = [extent / 2 - filled[0], filled[-1] + 1 - extent / 2]
        factors += [extent / 2 / reach for reach in half if 0 < reach < extent / 2]  # at a face it is cut already
    return min(factors, default=np.inf)


def _scaled(model: Model, labels: np.ndarray, factor: float) -> np.ndarray:
    """The map enlarged by a factor about its middle, on the same grid."""
    grid = model.config.grid
    centre = (np.array(grid.shape) - 1) / 2 * grid.spacing_mm
    classes = model.scheme.indices(labels)
    larger = on_grid(classes, grid.spacing_mm, centre, grid, Deformation(np.eye(3) / factor, np.zeros(3), None, False))
    return label_values(model, larger)


def measured(model: Model, labels: np.ndarray, asked: Mapping[str, float]) -> dict[str, float]:
    """What was asked for, as far as it can be measured, on label values."""
    return measure(labels, model.scheme, model.spacing_mm, [name for name in asked if name not in AGES])


def relative_error(asked: Mapping[str, float], got: Mapping[str, float]) -> float:
    """Largest relative difference between what was asked and got."""
    return max((abs(value / asked[name] - 1) if asked[name] else np.inf for name, value in got.items()), default=0.0)


def corrected(drafts: Sequence[Draft], asked: Mapping[str, float]) -> dict[str, float]:
    """The next request with the same noise: the last one, moved by what was missing.

    From the second draft on, by the slope of the last two (secant method), because guidance exaggerates.
    """
    last = drafts[-1]
    moved = dict(last.request)
    for name, value in last.got.items():
        slope = 1.0
        if len(drafts) > 1:
            asked_more = last.request[name] - drafts[-2].request[name]
            if asked_more:
                slope = (value - drafts[-2].got[name]) / asked_more
        moved[name] = max(0.0, last.request[name] + (asked[name] - value) / min(max(slope, _FLATTEST), _STEEPEST))
    return moved
