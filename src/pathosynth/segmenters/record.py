"""``segmenter.json``: what a segmenter is and every case it learnt from, so that nobody is tested on their own child.

It lies in the folder of a trained segmenter and is copied beside every set of predictions, so that predictions can be
moved without losing their provenance.
"""

import json
from pathlib import Path
from typing import Any, Literal

import pydantic

from pathosynth.runs.config import Config
from pathosynth.runs.errors import ModelError
from pathosynth.runs.files import json_text, write_text

FILE_NAME = "segmenter.json"
FOLDER = "segmenter"
"""Where it lies in the output folder of `segment`."""


class MadeBy(Config):
    """A generator that had a part in a training case."""

    name: str
    """Identity in sidecars and run records: name, and for trained weights ``@`` and the start of their SHA-256."""
    subjects: tuple[str, ...] | None = None
    """People the generator was trained on; empty for one that does not learn, None where nothing says who they were."""


class TrainingRow(Config):
    """One training case and what it comes from."""

    case: str
    subject: str
    """Person (or atlas) it stems from."""
    origin: str
    """real, morphed or generated."""
    parent: str = ""
    """Case it was made from; empty for a real one."""
    source: str
    """Case table it was read from."""
    models: tuple[MadeBy, ...] = ()
    """Every generator in its past, of labels and of images."""


class SegmenterRecord(Config):
    """A segmenter: kind, settings and training cases."""

    format: Literal[1] = 1
    kind: str
    """Key of `SEGMENTERS`."""
    plan: str = ""
    """Name of the plan the settings started from."""
    config: dict[str, Any] = pydantic.Field(default_factory=dict)
    """Resolved settings."""
    scheme: str
    """Label scheme of its predictions."""
    contrast: str = ""
    """Image it reads; empty where predictions were made elsewhere."""
    seed: int | None = None
    versions: dict[str, str] = pydantic.Field(default_factory=dict)
    trained_here: bool = True
    """False for predictions made elsewhere: `training` is then empty because it is unknown, not because it is none."""
    training: tuple[TrainingRow, ...] = ()


def record_path(folder: Path) -> Path | None:
    """``segmenter.json`` of a segmenter folder or of an output folder of `segment`; None where neither has one."""
    places = [folder / FILE_NAME, folder / FOLDER / FILE_NAME]
    return next((place for place in places if place.is_file()), None)


def read_segmenter(folder: Path) -> SegmenterRecord:
    """The record of a segmenter folder, or of an output folder of `segment`, which holds one in ``segmenter/``.

    Raises:
        ModelError: there is no record, or it is damaged.
    """
    path = record_path(folder)
    if path is None:
        raise ModelError(
            f"{folder}: expected {FILE_NAME} there or in {FOLDER}/, found neither. Give a folder `segment` wrote."
        )
    try:
        return SegmenterRecord.model_validate(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise ModelError(f"{path}: expected the record of a segmenter ({error}). Copy or train it again.") from None


def write_segmenter(folder: Path, record: SegmenterRecord) -> None:
    """Write ``segmenter.json`` into a segmenter folder."""
    write_text(folder / FILE_NAME, json_text(record.model_dump(mode="json")))
