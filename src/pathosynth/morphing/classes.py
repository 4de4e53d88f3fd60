"""The label map as dense classes, the growing structure split into its left and right side."""

from dataclasses import dataclass

import numpy as np

from pathosynth.data.labels import LabelScheme
from pathosynth.morphing.measure import SIDES, side_values


@dataclass(frozen=True)
class ClassMap:
    """Labels as dense numbers for the flow.

    Attributes:
        array: (I, J, K) uint8, 0 background, 1..n.
        values: label value of each class; position 0 is background.
        sides: classes of the growing structure on the "left" and "right"; empty where nothing is split.
    """

    array: np.ndarray
    values: tuple[int, ...]
    sides: dict[str, tuple[int, ...]]

    def to_labels(self, classes: np.ndarray, dtype: np.dtype) -> np.ndarray:
        """Label values of an array of classes."""
        return np.take(np.asarray(self.values, dtype), classes)

    def of_values(self, values: tuple[int, ...]) -> tuple[int, ...]:
        """Classes that carry one of these label values."""
        return tuple(index for index, value in enumerate(self.values) if index and value in values)


def split_classes(labels: np.ndarray, scheme: LabelScheme, group: str | None, midline: float) -> ClassMap:
    """Number the labels that occur and split `group` into sides.

    A label with a partner on the other side belongs to the side the scheme gives it (groups ``left_<x>`` and
    ``right_<x>``); a label on both sides is cut at the midsagittal plane.

    Args:
        labels: (I, J, K) in RAS orientation.
        scheme: its legend.
        group: what grows, or None.
        midline: first-axis index of the plane.
    """
    members = scheme.group(group) if group else ()
    known = {side: side_values(scheme, side) for side in SIDES}
    array = np.zeros(labels.shape, np.uint8)
    values = [0]
    sides: dict[str, list[int]] = {side: [] for side in SIDES} if group else {}
    is_left = (np.arange(labels.shape[0]) < midline)[:, None, None]
    for value in np.unique(labels[labels > 0]).tolist():
        mask = labels == value
        side = next((s for s in SIDES if value in known[s]), None)
        if value in members and side is None:
            parts = {"left": mask & is_left, "right": mask & ~is_left}
        else:
            parts = {side or "both": mask}
        for name, part in parts.items():
            if part.any():
                array[part] = len(values)
                if value in members:
                    sides[name].append(len(values))
                values.append(int(value))
    return ClassMap(array, tuple(values), {side: tuple(found) for side, found in sides.items()})
