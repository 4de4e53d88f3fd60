"""A label map and its image on one grid, as image generators learn from and intensity bands are measured on."""

from dataclasses import dataclass

import numpy as np

from pathosynth.data.volume import Spacing


@dataclass(frozen=True)
class Pair:
    """One training example in RAS orientation.

    Attributes:
        case: name of the case, for messages.
        subject: person (or atlas) it stems from; a morphed case keeps its parent's subject.
        labels: (I, J, K) unsigned integers, 0 is background.
        image: (I, J, K) float32, robustly scaled per volume: 0 at the 0.5th and 1 at the 99.5th percentile inside
            the labels.
        spacing_mm: voxel edge lengths.
        contrast: what kind of MRI the image is, e.g. T1w; empty where it does not matter.
    """

    case: str
    subject: str
    labels: np.ndarray
    image: np.ndarray
    spacing_mm: Spacing
    contrast: str = ""
