"""A segmenter for tests and to copy from: every voxel gets the label whose mean intensity in training is nearest."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from pathosynth.data.cases import Case
from pathosynth.data.nifti import check_same_grid, read_image, read_labels, write_labels
from pathosynth.data.volume import Volume
from pathosynth.runs.config import Config as BaseConfig
from pathosynth.runs.config import build_config
from pathosynth.runs.errors import ConfigError, InputError
from pathosynth.runs.files import json_text, write_text
from pathosynth.segmenters.job import Machine, Notice, Prediction, TrainingData

CHANGEABLE = frozenset({"darkest"})
PLANS: dict[str, dict[str, Any]] = {"plain": {}, "few": {"cases": 2}}


class Config(BaseConfig):
    """What is learnt from and what is left out."""

    plan: str = ""
    """Name of the plan these settings started from."""
    cases: int = 0
    """Training cases that are looked at; 0 looks at all."""
    darkest: float = 0.0
    """Voxels up to this intensity are background."""


def plans() -> dict[str, dict[str, Any]]:
    return PLANS


def config_from_plan(name: str, changes: Mapping[str, Any]) -> Config:
    name = name or "plain"
    if name not in PLANS:
        raise ConfigError(f"--plan {name}: expected one of {', '.join(PLANS)}.")
    return build_config(Config, {**PLANS[name], **changes, "plan": name}, f"plan '{name}'")


def train(data: TrainingData, config: Config, folder: Path, *, seed: int, machine: Machine, notice: Notice) -> None:
    raw = folder / "raw"
    data.write(raw)
    label_maps = sorted((raw / "labelsTr").glob("*.nii.gz"))[: config.cases or None]
    sums, counts = np.zeros(len(data.scheme.values)), np.zeros(len(data.scheme.values))
    for number, path in enumerate(label_maps, start=1):
        labels = read_labels(path, None).array  # 1..n in the order of the scheme's values
        image = read_image(raw / "imagesTr" / path.name.replace(".nii.gz", "_0000.nii.gz")).array
        for index in range(len(sums)):
            sums[index] += image[labels == index + 1].sum()
            counts[index] += (labels == index + 1).sum()
        notice(number, len(label_maps), 0.0)
    means = {str(v): s / n for v, s, n in zip(data.scheme.values, sums, counts, strict=True) if n}
    write_text(folder / "means.json", json_text(means))


def image_path(work: Path, case: str) -> Path:
    return work / "images" / f"{case}.nii.gz"


def predict(asked: Prediction, machine: Machine) -> None:
    means = {int(v): mean for v, mean in json.loads((asked.folder / "means.json").read_text()).items()}
    values = np.array(list(means), dtype=np.uint16)
    (asked.work / "predicted").mkdir(exist_ok=True)
    for path in (asked.work / "images").iterdir():
        image = read_image(path)
        nearest = np.abs(image.array[..., None] - np.array(list(means.values()))).argmin(axis=-1)
        labels = np.where(image.array > asked.config.darkest, values[nearest], 0).astype(np.uint16)
        write_labels(asked.work / "predicted" / path.name, image.with_array(labels))


def labels_of(case: Case, like: Volume, asked: Prediction) -> Volume:
    path = asked.work / "predicted" / f"{case.case}.nii.gz"
    if not path.is_file():
        raise InputError(f"Case '{case.case}': no prediction was made.")
    found = read_labels(path, asked.scheme, may_be_empty=True)
    check_same_grid(found, like, f"case '{case.case}'")
    return found
