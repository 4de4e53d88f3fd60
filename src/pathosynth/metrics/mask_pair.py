"""One structure in a reference and in a prediction: what every metric is computed from, each part once."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np

from pathosynth.data.volume import Spacing
from pathosynth.metrics.compiled import compiled
from pathosynth.metrics.surfaces import SurfaceDistances, bounding_box, surface_distances
from pathosynth.runs.errors import InputError

State = Literal["both", "missed", "false_positive", "both_empty"]


@dataclass(frozen=True)
class MaskPair:
    """Two masks on one grid, cropped to what they fill.

    Attributes:
        reference: (I, J, K) bool, the truth.
        prediction: same shape.
        spacing_mm: voxel edge lengths.
        reference_voxels: voxels of the reference.
        predicted_voxels: voxels of the prediction.
        shared_voxels: voxels in both.
    """

    reference: np.ndarray
    prediction: np.ndarray
    spacing_mm: Spacing
    reference_voxels: int
    predicted_voxels: int
    shared_voxels: int

    @classmethod
    def of(cls, reference: np.ndarray, prediction: np.ndarray, spacing_mm: Spacing) -> "MaskPair":
        """From two boolean masks (I, J, K).

        Raises:
            InputError: they are not boolean, not of one 3D shape, or a spacing is not positive.
        """
        if reference.shape != prediction.shape or reference.ndim != 3 or {reference.dtype, prediction.dtype} != {_BOOL}:
            raise InputError(
                "Metrics: expected two boolean masks of one 3D shape, found "
                f"{reference.dtype} {reference.shape} and {prediction.dtype} {prediction.shape}."
            )
        _check_spacing(spacing_mm)
        shared = reference & prediction
        either = reference | prediction
        box = bounding_box(either) if either.any() else (slice(0, 0),) * 3
        counts = [int(np.count_nonzero(mask)) for mask in (reference, prediction, shared)]
        return cls(reference[box], prediction[box], spacing_mm, *counts)

    @property
    def state(self) -> State:
        """Whether both hold the structure, one of them or none."""
        if self.reference_voxels and self.predicted_voxels:
            return "both"
        if self.reference_voxels:
            return "missed"
        return "false_positive" if self.predicted_voxels else "both_empty"

    def if_empty(self, worst: float) -> float | None:
        """What a metric is where a mask is empty: NaN for both, `worst` for one; None where it must be computed."""
        return {"both": None, "both_empty": float("nan")}.get(self.state, worst)

    @property
    def voxel_ml(self) -> float:
        """Volume of a voxel in millilitres."""
        return float(np.prod(self.spacing_mm)) / 1000

    @cached_property
    def distances(self) -> SurfaceDistances:
        """Surface distances; only where both hold the structure."""
        return surface_distances(self.reference, self.prediction, self.spacing_mm)


_BOOL = np.dtype(bool)
_NOTHING = np.zeros((0, 0, 0), bool)


def mask_pairs(
    reference: np.ndarray, prediction: np.ndarray, structures: Mapping[str, tuple[int, ...]], spacing_mm: Spacing
) -> Iterator[tuple[str, MaskPair]]:
    """The masks of several structures from two label maps, counted in one pass over the voxels.

    Args:
        reference: (I, J, K) unsigned integers.
        prediction: same shape.
        structures: name to label values.
        spacing_mm: voxel edge lengths.

    Raises:
        InputError: the shapes differ, the arrays are not unsigned integers or a spacing is not positive.
    """
    if (
        reference.shape != prediction.shape
        or reference.ndim != 3
        or reference.dtype.kind + prediction.dtype.kind != "uu"
    ):
        raise InputError(
            "Metrics: expected two label maps of one 3D shape as unsigned integers, found "
            f"{reference.dtype} {reference.shape} and {prediction.dtype} {prediction.shape}."
        )
    _check_spacing(spacing_mm)
    values = sorted({value for members in structures.values() for value in members})
    table = np.zeros(1 + max(int(reference.max(initial=0)), int(prediction.max(initial=0)), *values, 0), np.int64)
    table[values] = np.arange(1, len(values) + 1)
    here, there = (np.ascontiguousarray(labels, np.uint32) for labels in (reference, prediction))
    counts, boxes = _survey(here, there, table, len(values) + 1)
    for name, members in structures.items():
        rows = table[list(members)]
        chosen = np.zeros(table.size, bool)
        chosen[list(members)] = True
        box = tuple(map(slice, boxes[0, rows].min(axis=0), boxes[1, rows].max(axis=0)))
        sums = (counts[rows].sum(), counts[:, rows].sum(), counts[np.ix_(rows, rows)].sum())
        masks = [chosen[labels[box]] if sums[0] + sums[1] else _NOTHING for labels in (reference, prediction)]
        yield name, MaskPair(masks[0], masks[1], spacing_mm, int(sums[0]), int(sums[1]), int(sums[2]))


@compiled
def _survey(
    reference: np.ndarray, prediction: np.ndarray, table: np.ndarray, side: int
) -> tuple[np.ndarray, np.ndarray]:
    """Voxels by dense label in the reference and in the prediction, (side, side), and boxes around each in either.

    Args:
        reference: (I, J, K) uint32; one type, so that one version is compiled.
        prediction: same shape.
        table: dense label, below `side`, of every value; 0 for what is not asked for.
        side: dense labels, with 0.

    Returns:
        Counts, and (2, side, 3) first voxel and the one after the last of every label.
    """
    counts = np.zeros((side, side), np.int64)
    boxes = np.zeros((2, side, 3), np.int64)
    boxes[0] = max(reference.shape)
    for i in range(reference.shape[0]):
        for j in range(reference.shape[1]):
            for k in range(reference.shape[2]):
                a, b = table[reference[i, j, k]], table[prediction[i, j, k]]
                counts[a, b] += 1
                if a > 0 or b > 0:
                    for label in (a, b):
                        boxes[0, label, 0] = min(boxes[0, label, 0], i)
                        boxes[0, label, 1] = min(boxes[0, label, 1], j)
                        boxes[0, label, 2] = min(boxes[0, label, 2], k)
                        boxes[1, label, 0] = i + 1
                        boxes[1, label, 1] = max(boxes[1, label, 1], j + 1)
                        boxes[1, label, 2] = max(boxes[1, label, 2], k + 1)
    return counts, boxes


def _check_spacing(spacing_mm: Spacing) -> None:
    if len(spacing_mm) != 3 or not all(np.isfinite(edge) and edge > 0 for edge in spacing_mm):
        raise InputError(f"Metrics: expected three voxel edges above 0 mm, found {spacing_mm}.")
