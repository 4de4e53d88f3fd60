"""What a check looks at, and what it reports."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from pathosynth.data.labels import LabelScheme
from pathosynth.data.volume import Spacing

Bands = Mapping[str, tuple[float, float]]
"""Tissue name to the lowest and highest median intensity seen in training cases."""


@dataclass(frozen=True)
class CheckInput:
    """One case to be judged.

    Attributes:
        image: (I, J, K) float32, or None where only labels are judged.
        labels: (I, J, K) unsigned integers, 0 is background, or None where only the image is judged.
        scheme: legend of the labels.
        spacing_mm: voxel edge lengths.
        source_labels: labels of the case these were made from, any grid of the same spacing; None where unknown.
        bands: per-tissue intensity bands learnt from training cases; None where the model has none.
    """

    image: np.ndarray | None
    labels: np.ndarray | None
    scheme: LabelScheme
    spacing_mm: Spacing
    source_labels: np.ndarray | None = None
    bands: Bands | None = None


@dataclass(frozen=True)
class Finding:
    """The answer of one check.

    Attributes:
        name: the check.
        value: the measured number; the worst one where several were measured. NaN where nothing could be measured.
        limit: the value beyond which the case fails, same unit as `value`.
        passed: whether the case is kept as far as this check goes. Never true for a NaN value.
        detail: one sentence: what was found, where, and the unit.
    """

    name: str
    value: float
    limit: float
    passed: bool
    detail: str
