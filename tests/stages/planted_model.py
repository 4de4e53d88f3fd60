"""A label model for tests whose control curve is known: boxes, without weights or noise.

By guidance alone, a request c ends at c * gain(G); beyond c = 1 it also leaves ``loose(c, G)`` voxels beside the head.
The closed loop ends at c and leaves nothing. ``config.json`` may plant that every map is empty.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from pathosynth.data.generated import Generated
from pathosynth.data.labels import load_scheme
from pathosynth.data.volume import Volume
from pathosynth.runs.config import Config as BaseConfig

LOW, HIGH = 0.02, 0.12
SPACING_MM, EDGE = 2.0, 20
HEAD = EDGE**3
"""Voxels of the head."""
SHAPE = (EDGE + 24, EDGE + 4, EDGE + 4)
WHITE_MATTER, VENTRICLES, CSF, CORTEX = 1, 2, 4, 5


class Sampling(BaseConfig):
    """How maps are drawn."""

    guidance: float = 2.0
    closed_loop: bool = True
    tolerance: float = 0.02
    beyond: str = "morph"


class Config(BaseConfig):
    """What is planted."""

    empty: bool = False
    sampling: Sampling = Sampling()


def gain(guidance: float) -> float:
    """How much of a request guidance alone reaches."""
    return 0.6 + 0.1 * guidance


def loose(c: float, guidance: float) -> int:
    """Voxels beside the head that guidance alone leaves."""
    return max(0, round(40 * (c - 1) * guidance))


def write_model(folder: Path, *, empty: bool = False, conditions: Sequence[str] = ("ventricle_ratio",)) -> Path:
    """A model folder."""
    card = {
        "format_version": 1,
        "generator": "planted_model",
        "config": Config(empty=empty).model_dump(mode="json"),
        "scheme": load_scheme("kcl8").model_dump(mode="json", exclude={"path"}),
        "spacing_mm": SPACING_MM,
        "shape": list(SHAPE),
        "conditions": {name: {"low": LOW, "high": HIGH} for name in conditions},
        "facts": {"subjects": ["a"], "cases": ["a"], "steps": 1, "seed": 0},
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(card))
    return folder


def load_model(folder: Path, device: str = "cpu") -> Config:
    """What is planted."""
    return Config.model_validate(json.loads((Path(folder) / "config.json").read_text())["config"])


def generate(
    model: Config, wanted: Sequence[Mapping[str, float]], seeds: Sequence[int], sampling: Sampling | None = None
) -> list[Generated]:
    """One map per request; the seed changes nothing."""
    how = sampling or model.sampling
    return [_one(asked, how, model.empty) for asked in wanted]


def _one(asked: Mapping[str, float], how: Sampling, empty: bool) -> Generated:
    c = asked["c"] if how.closed_loop else asked["c"] * gain(how.guidance)
    labels = box_head(round((LOW + c * (HIGH - LOW)) * HEAD))
    count = 0 if how.closed_loop else loose(asked["c"], how.guidance)
    beside = np.zeros((16, 16), np.uint8)
    beside.reshape(-1)[:count] = CORTEX
    labels[EDGE + 6 : EDGE + 22, 4:20, 4] = beside
    affine = np.diag([SPACING_MM, SPACING_MM, SPACING_MM, 1.0])
    return Generated(Volume(labels * (not empty), affine), dict(asked), {}, (), (), 1)


def box_head(ventricles: int) -> np.ndarray:
    """A box of white matter in shells of cortex and CSF, with so many voxels of ventricle about its middle."""
    labels = np.zeros(SHAPE, np.uint8)
    inside = (slice(2, EDGE + 2),) * 3
    labels[inside] = CSF
    labels[(slice(3, EDGE + 1),) * 3] = CORTEX
    labels[(slice(4, EDGE),) * 3] = WHITE_MATTER
    place = np.stack(np.meshgrid(*[np.arange(n) for n in SHAPE], indexing="ij"))
    far = ((place - (EDGE + 3) / 2) ** 2).sum(axis=0)
    labels[np.unravel_index(np.argsort(far, axis=None, kind="stable")[:ventricles], SHAPE)] = VENTRICLES
    return labels
