"""A label map and what is known of the person, as label generators learn from."""

from dataclasses import dataclass

import numpy as np

from pathosynth.data.volume import Spacing


@dataclass(frozen=True)
class LabelledBrain:
    """One training example in RAS orientation.

    Attributes:
        case: name of the case, for messages.
        subject: person (or atlas) it stems from; a morphed case keeps its parent's subject.
        labels: (I, J, K) unsigned integers, 0 is background.
        spacing_mm: voxel edge lengths.
        age_weeks: gestational or postmenstrual age; None where unknown.
        age_years: age; None where unknown.
    """

    case: str
    subject: str
    labels: np.ndarray
    spacing_mm: Spacing
    age_weeks: float | None = None
    age_years: float | None = None
