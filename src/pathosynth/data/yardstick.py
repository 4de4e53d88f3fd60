"""What real cases measure, kept so that made ones can be held against them: ``quality.json`` and ``agreement.json``.

The files lie beside ``bands.json`` in a model folder, or in a folder that `pathosynth bands` wrote. They hold numbers
of every real case and no names: people are numbered.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pathosynth.data.volume import Spacing
from pathosynth.runs.errors import ModelError
from pathosynth.runs.files import json_text, write_text

QUALITY_FILE = "quality.json"
AGREEMENT_FILE = "agreement.json"
FORMAT_VERSIONS = {QUALITY_FILE: 2, AGREEMENT_FILE: 1}
"""Of `QUALITY_FILE` 1 until sharpness was told as a share of what the labels let expect, and hemispheres were no loose
pieces."""

SAME_SPACING = 0.05
"""Largest difference of voxel edges, as a share, at which measures are comparable."""


@dataclass(frozen=True)
class Yardstick:
    """Measures of real cases, one column per case.

    Attributes:
        spacing_mm: voxel edge the cases had; measures of another voxel size are not comparable.
        subjects: (n) number of the person (or atlas) behind every case.
        measures: name to (n,) values, NaN where a case has none.
        net: name of the feature net behind `features`.
        features: (n, d) image features; (0, d) or (n, 0) where there are no images.
    """

    spacing_mm: float
    subjects: tuple[int, ...]
    measures: Mapping[str, np.ndarray]
    net: str
    features: np.ndarray

    def not_comparable(self, spacing_mm: Spacing) -> str:
        """Why a case of these voxel edges cannot be held against the real ones; empty where it can."""
        if np.abs(np.array(spacing_mm) / self.spacing_mm - 1).max() <= SAME_SPACING:
            return ""
        edges = " x ".join(f"{edge:g}" for edge in spacing_mm)
        return f"voxels of {edges} mm, real cases of {self.spacing_mm:g} mm"


@dataclass(frozen=True)
class AgreementBands:
    """How well one segmenter agrees with the labels of real cases it did not learn from.

    Attributes:
        segmenter: SHA-256 of its ``segmenter.json``; empty where it has none.
        dice: label name to (n,) Dice, NaN where a case lacks the label.
    """

    segmenter: str
    dice: Mapping[str, np.ndarray]


def save_yardstick(folder: Path, yardstick: Yardstick) -> None:
    """Write `QUALITY_FILE`; five digits, 1 kB per case."""
    content = {
        "format_version": FORMAT_VERSIONS[QUALITY_FILE],
        "spacing_mm": yardstick.spacing_mm,
        "subjects": list(yardstick.subjects),
        "measures": {name: _plain(values) for name, values in yardstick.measures.items()},
        "net": yardstick.net,
        "features": [_plain(row) for row in yardstick.features],
    }
    write_text(folder / QUALITY_FILE, json_text(content))


def load_yardstick(folder: Path) -> Yardstick | None:
    """Read `QUALITY_FILE` of a folder; None where it has none.

    Raises:
        ModelError: the file is damaged or of an unknown format.
    """
    content = _read(folder / QUALITY_FILE)
    if content is None:
        return None
    try:
        subjects = tuple(int(number) for number in content["subjects"])
        measures = {str(name): _array(values) for name, values in content["measures"].items()}
        features = np.array([_array(row) for row in content["features"]], np.float64).reshape(len(subjects), -1)
        if any(values.shape != (len(subjects),) for values in measures.values()):
            raise ValueError(f"expected {len(subjects)} values of every measure")
        return Yardstick(float(content["spacing_mm"]), subjects, measures, str(content["net"]), features)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise _damaged(folder / QUALITY_FILE, error) from None


def save_agreement(folder: Path, bands: AgreementBands) -> None:
    """Write `AGREEMENT_FILE`."""
    dice = {name: _plain(values) for name, values in bands.dice.items()}
    content = {"format_version": FORMAT_VERSIONS[AGREEMENT_FILE], "segmenter": bands.segmenter, "dice": dice}
    write_text(folder / AGREEMENT_FILE, json_text(content))


def load_agreement(folder: Path) -> AgreementBands | None:
    """Read `AGREEMENT_FILE` of a folder; None where it has none.

    Raises:
        ModelError: the file is damaged or of an unknown format.
    """
    content = _read(folder / AGREEMENT_FILE)
    if content is None:
        return None
    try:
        dice = {str(name): _array(values) for name, values in content["dice"].items()}
        return AgreementBands(str(content["segmenter"]), dice)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise _damaged(folder / AGREEMENT_FILE, error) from None


def _read(path: Path) -> dict[str, Any] | None:
    if not path.is_file():
        return None
    try:
        content = dict(json.loads(path.read_text(encoding="utf-8")))
        version = content["format_version"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _damaged(path, error) from None
    expected = FORMAT_VERSIONS[path.name]
    if version != expected:
        raise ModelError(
            f"{path}: expected format {expected}, found {version!r}, of another version of pathosynth: its numbers "
            "mean something else. Learn it again with `pathosynth bands`."
        )
    return content


def _damaged(path: Path, error: Exception) -> ModelError:
    return ModelError(f"{path}: damaged ({type(error).__name__}: {error}). Learn it again with `pathosynth bands`.")


def _plain(values: np.ndarray) -> list[float | None]:
    return [float(f"{value:.5g}") if np.isfinite(value) else None for value in values]


def _array(values: list[float | None]) -> np.ndarray:
    return np.array([np.nan if value is None else value for value in values], np.float64)
