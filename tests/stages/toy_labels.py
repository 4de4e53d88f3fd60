"""A label generator for tests, without weights: nested ellipsoids with as many ventricle voxels as were asked for.

Entered with ``--use``, so that workers find it too. What can go wrong is in the model's ``config.json``.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from pathosynth.data.generated import Generated
from pathosynth.data.labels import load_scheme
from pathosynth.data.measurements import measure
from pathosynth.data.volume import Volume
from pathosynth.runs.config import Config as BaseConfig
from pathosynth.runs.config import build_config
from pathosynth.runs.errors import MorphError
from pathosynth.runs.files import json_text, write_text

SHAPE, SPACING_MM = (28, 32, 26), 4.0
CSF, CORTEX, WHITE_MATTER, VENTRICLES = 4, 5, 1, 2
RATIO = (0.01, 0.11)


class Sampling(BaseConfig):
    """How maps are drawn."""

    guidance: float = 2.0
    steps: int = 4
    closed_loop: bool = True
    tolerance: float = 0.02
    beyond: Literal["morph", "guide", "refuse"] = "morph"


class Config(BaseConfig):
    """What goes wrong, each for a share of the draws that the seed decides."""

    sampling: Sampling = Sampling()
    island: float = 0
    """A speck far from its label."""
    torn: float = 0
    """The map cannot be reshaped to what was asked."""
    off: float = 0
    """The closed loop ends 10 % too high."""


def write_model(folder: Path, **faults: float) -> Path:
    """A model folder as `train` would leave it."""
    card = {
        "format_version": 1,
        "generator": "toy_labels",
        "config": Config(**faults).model_dump(mode="json"),
        "scheme": load_scheme("kcl8").model_dump(mode="json", exclude={"path"}),
        "spacing_mm": SPACING_MM,
        "shape": list(SHAPE),
        "conditions": {
            "ventricle_ratio": {"low": RATIO[0], "high": RATIO[1]},
            "ventricle_ml": {"low": 4.0, "high": 48.0},
            "age_weeks": {"low": 21.0, "high": 38.0},
        },
        "facts": {"subjects": ["sub-b", "sub-a"], "cases": ["a", "b"], "steps": 1, "seed": 0},
    }
    write_text(folder / "config.json", json_text(card))
    return folder


def load_model(folder: Path, device: str = "cpu") -> Config:
    """The settings; there is nothing else."""
    return build_config(Config, json.loads((folder / "config.json").read_text())["config"], str(folder))


def generate(
    model: Config, wanted: Sequence[Mapping[str, float]], seeds: Sequence[int], sampling: Sampling | None = None
) -> list[Generated]:
    """One map per request."""
    return [_one(model, asked, seed, sampling or model.sampling) for asked, seed in zip(wanted, seeds, strict=True)]


def _one(model: Config, asked: Mapping[str, float], seed: int, sampling: Sampling) -> Generated:
    def happens(what: str) -> bool:
        digest = hashlib.sha256(f"{what} {seed}".encode()).digest()
        return digest[0] / 256 < getattr(model, what)

    if happens("torn"):
        raise MorphError("the skull is full")
    scheme, voxel_ml = load_scheme("kcl8"), SPACING_MM**3 / 1000
    labels, distance = _head(np.random.default_rng(seed))
    inside_ml = float((labels > 0).sum() * voxel_ml)
    ratio = asked.get("ventricle_ratio", RATIO[0] + asked.get("c", 0.3) * (RATIO[1] - RATIO[0]))
    target = asked.get("ventricle_ml", ratio * inside_ml)
    first = target if sampling.closed_loop else target * (0.7 + 0.1 * sampling.guidance)
    first = min(first, 52.8) if sampling.beyond == "guide" else first
    count = round(first * (1.1 if happens("off") else 1) / voxel_ml)
    labels[np.unravel_index(np.argsort(distance, axis=None, kind="stable")[:count], SHAPE)] = VENTRICLES
    if happens("island"):
        labels[1:4, 1:4, 1:4] = CORTEX
    affine = np.diag([SPACING_MM, SPACING_MM, SPACING_MM, 1.0])
    got = measure(labels, scheme, (SPACING_MM,) * 3, ["ventricle_ml", "ventricle_ratio"])
    steps: tuple[dict[str, Any], ...] = ({"what": "sampled", "got": got, "seed": seed},)
    return Generated(Volume(labels, affine), dict(asked), got, (), steps, 1)


def _head(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Labels without ventricles, a little different for every seed, and each voxel's distance from the middle."""
    axes = [np.arange(n) - (n - 1) / 2 for n in SHAPE]
    place = np.stack(np.meshgrid(*axes, indexing="ij"))
    radii = np.array([0.42, 0.42, 0.42]) * SHAPE * rng.uniform(0.97, 1.0, 3)
    radius = np.sqrt(((place / radii[:, None, None, None]) ** 2).sum(axis=0))
    labels = np.zeros(SHAPE, np.uint8)
    for value, limit in ((CSF, 1.0), (CORTEX, 0.88), (WHITE_MATTER, 0.75)):
        labels[radius < limit] = value
    return labels, (place**2).sum(axis=0)
