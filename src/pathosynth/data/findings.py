"""What a check looks at, and what it reports."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from pathosynth.data.copy_reference import CopyReference
from pathosynth.data.labels import LabelScheme
from pathosynth.data.volume import Spacing
from pathosynth.data.yardstick import AgreementBands, Yardstick

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
        training_cases: fingerprints of the model's training cases; None where the model has none.
        yardstick: what real cases measure; None where nothing is known of any.
        predicted: (I, J, K) labels of `scheme` that an independent segmenter found in the image; None without one.
        agreement: how well that segmenter agrees with real cases it did not learn from; None where that is unknown.
    """

    image: np.ndarray | None
    labels: np.ndarray | None
    scheme: LabelScheme
    spacing_mm: Spacing
    source_labels: np.ndarray | None = None
    bands: Bands | None = None
    training_cases: CopyReference | None = None
    yardstick: Yardstick | None = None
    predicted: np.ndarray | None = None
    agreement: AgreementBands | None = None

    def unusable(self, *, image: bool, labels: bool) -> str:
        """Why this case cannot be judged at all, or "" where it can.

        Args:
            image: whether the check needs an image; then a missing, not finite or constant one is a reason.
            labels: whether the check needs labels; then missing or empty ones are a reason.
        """
        if labels and (self.labels is None or not (self.labels > 0).any()):
            return "the label map is missing or empty"
        if image and (self.image is None or self.image.size == 0):
            return "the image is missing or empty"
        if image and self.image is not None:
            if labels and self.labels is not None and self.image.shape != self.labels.shape:
                return f"the image has shape {self.image.shape}, the label map {self.labels.shape}"
            if not np.isfinite(self.image).all():
                return f"{int((~np.isfinite(self.image)).sum())} image voxels are not finite"
            values = self.image if self.labels is None or not labels else self.image[self.labels > 0]
            if values.min() == values.max():
                return f"the image is constant ({float(values.flat[0]):g}) where it should show the brain"
        return ""


@dataclass(frozen=True)
class Finding:
    """The answer of one check.

    Attributes:
        name: the check.
        value: the measured number; the worst one where several were measured. NaN where nothing could be measured.
        limit: the value beyond which the case fails, same unit as `value`.
        passed: whether the case is kept as far as this check goes. Never true for a NaN value.
        detail: one sentence: what was found, where, and the unit.
        judged: false where there was nothing to compare with, so that the case passes unseen.
        advice: true where a case beyond the limit is to be looked at, not turned down; the score leaves it out.
        span: how far below the limit a good value lies; None where 0 is the best, or the limit is 0 and every value up
            to it as good as the best.
    """

    name: str
    value: float
    limit: float
    passed: bool
    detail: str
    judged: bool = True
    advice: bool = False
    span: float | None = None

    @property
    def strain(self) -> float:
        """Share of what is allowed that is used up: 0 is best, 1 the limit; infinite where nothing was measured."""
        if np.isnan(self.value):
            return float("inf")
        if self.span is not None:
            return max(0.0, 1 + (self.value - self.limit) / self.span)
        if self.limit > 0:
            return max(0.0, self.value / self.limit)
        return 0.0 if self.passed else 1 + self.value - self.limit

    def __post_init__(self) -> None:
        """Refuse a case that passes without a measurement.

        Raises:
            ValueError: `passed` is true although `value` is NaN.
        """
        if self.passed and np.isnan(self.value):
            raise ValueError(f"check '{self.name}': passed without a value ({self.detail})")


def rejected(name: str, limit: float, reason: str) -> Finding:
    """The finding for a case in which nothing could be measured; it never passes."""
    return Finding(name, float("nan"), limit, False, reason)
