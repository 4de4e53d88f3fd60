"""What every pathology returns."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Morphed:
    """A reshaped label map and how it came about.

    Attributes:
        labels: same shape and dtype as the source.
        displacement: (3, I, J, K) float32, backward, in voxels of the array: morphed(x) = source(x + displacement(x)),
            up to the voxels flipped for exact volumes. None where a method edits labels without moving anything.
        report: JSON-able record: request, volumes before and after, widths, validity, steps, warnings.
    """

    labels: np.ndarray
    displacement: np.ndarray | None
    report: dict[str, Any] = field(default_factory=dict)
