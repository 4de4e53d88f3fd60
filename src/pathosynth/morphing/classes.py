"""The label map as dense classes; a label that belongs to several parts is split."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from pathosynth.morphing.measure import SIDES, left_half
from pathosynth.runs.errors import InputError

_MOST = 255


@dataclass(frozen=True)
class Part:
    """A structure, or a piece of one, that is to change its size.

    Attributes:
        values: label values it is made of.
        volume_ml: wanted volume; None where a length is wanted of it.
        region: bool, broadcastable to the labels: where voxels of these values belong to the part; None is everywhere.
        weight: float32 > 0, broadcastable to the labels: where the part changes more than elsewhere; None is evenly.
        side: "left" or "right" of the midsagittal plane, which divides labels that parts of both sides claim; else "".
    """

    values: tuple[int, ...]
    volume_ml: float | None = None
    region: np.ndarray | None = None
    weight: np.ndarray | None = None
    side: str = ""


@dataclass(frozen=True)
class ClassMap:
    """Labels as dense numbers for the flow.

    Attributes:
        array: (I, J, K) uint8, 0 background, 1..n.
        values: label value of each class; position 0 is background.
        parts: classes of each part.
        halves: pairs of classes, left and right, of labels that the midsagittal plane divides.
    """

    array: np.ndarray
    values: tuple[int, ...]
    parts: dict[str, tuple[int, ...]]
    halves: tuple[tuple[int, int], ...] = ()

    def to_labels(self, classes: np.ndarray, dtype: np.dtype) -> np.ndarray:
        """Label values of an array of classes."""
        return np.take(np.asarray(self.values, dtype), classes)

    def divided(self, classes: np.ndarray) -> np.ndarray:
        """Classes after a deformation, divided again at the midsagittal plane of the inside of the skull."""
        if not self.halves:
            return classes
        is_left = left_half(classes > 0)
        table = {side: np.arange(len(self.values), dtype=classes.dtype) for side in SIDES}
        for left, right in self.halves:
            table["left"][right], table["right"][left] = left, right
        return np.asarray(np.where(is_left, table["left"][classes], table["right"][classes]))

    def merged(self, classes: np.ndarray) -> np.ndarray:
        """Classes with both halves of a divided label as one, the left one."""
        table = np.arange(len(self.values), dtype=classes.dtype)
        for left, right in self.halves:
            table[right] = left
        return np.asarray(table[classes]) if self.halves else classes

    def of_values(self, values: tuple[int, ...]) -> tuple[int, ...]:
        """Classes that carry one of these label values."""
        return tuple(index for index, value in enumerate(self.values) if index and value in values)


def split_classes(labels: np.ndarray, parts: Mapping[str, Part]) -> ClassMap:
    """Number the labels that occur, each once for every part it belongs to and once for what belongs to none.

    Args:
        labels: (I, J, K).
        parts: with regions broadcastable to the labels; an earlier part keeps a voxel that a later one claims too.

    Raises:
        InputError: a part has no voxel, or there are more than 255 classes.
    """
    array = np.zeros(labels.shape, np.uint8)
    values, found = [0], {name: list[int]() for name in parts}

    def add(value: int, mask: np.ndarray) -> int:
        if len(values) > _MOST:
            raise InputError(f"Labels: expected at most {_MOST} labels and parts, found more. Merge labels first.")
        array[mask] = len(values)
        values.append(value)
        return len(values) - 1

    for value in np.flatnonzero(np.bincount(labels.ravel())).tolist():
        rest = labels == value
        for name, part in parts.items():
            if value and value in part.values:
                mine = rest if part.region is None else rest & part.region
                if mine.any():
                    found[name].append(add(value, mine))
                    rest = rest & ~mine
        if value and rest.any():
            add(value, rest)
    empty = [name for name, classes in found.items() if not classes]
    if empty:
        raise InputError(f"Labels: no voxel of {', '.join(empty)}. Check the label map and --scheme.")
    numbered = {name: tuple(classes) for name, classes in found.items()}
    return ClassMap(array, tuple(values), numbered, _halves(values, parts, numbered))


def _halves(
    values: list[int], parts: Mapping[str, Part], numbered: Mapping[str, tuple[int, ...]]
) -> tuple[tuple[int, int], ...]:
    """Pairs of classes, left and right, that carry the same label."""
    of_side = {
        side: [index for name, part in parts.items() if part.side == side for index in numbered[name]] for side in SIDES
    }
    return tuple((a, b) for a in of_side["left"] for b in of_side["right"] if values[a] == values[b])
