"""What real cases measure, learnt case by case: the yardstick that `quality`, `unusual` and `islands` compare with."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pathosynth.checks.islands import loose_parts
from pathosynth.data.labels import LabelScheme
from pathosynth.data.volume import Spacing
from pathosynth.data.yardstick import SAME_SPACING, Yardstick
from pathosynth.metrics.features import NET, random_conv3d
from pathosynth.metrics.image_quality import measure
from pathosynth.runs.errors import InputError


@dataclass(frozen=True)
class Measured:
    """What one real case measures.

    Attributes:
        subject: person (or atlas).
        spacing_mm: mean voxel edge.
        measures: of image and labels, by name.
        features: of the image; empty without one.
    """

    subject: str
    spacing_mm: float
    measures: dict[str, float]
    features: tuple[float, ...] = ()


def measured(
    subject: str, labels: np.ndarray, image: np.ndarray | None, scheme: LabelScheme, spacing_mm: Spacing
) -> Measured:
    """Measure one case.

    Args:
        subject: person (or atlas) it stems from.
        labels: (I, J, K) unsigned integers of `scheme`.
        image: same grid; None where there are only labels.
        scheme: legend.
        spacing_mm: voxel edge lengths.

    Raises:
        InputError: no label, or an image without contrast.
    """
    if not (labels > 0).any():
        raise InputError(f"Yardstick: the label map of subject '{subject}' is empty. Leave it out.")
    measures, features = loose_parts(labels, scheme, spacing_mm), tuple[float, ...]()
    if image is not None:
        measures |= measure(image, labels, scheme, spacing_mm)
        features = tuple(float(value) for value in random_conv3d(image, labels > 0))
    return Measured(subject, float(np.mean(spacing_mm)), measures, features)


def learn(cases: Sequence[Measured]) -> Yardstick:
    """One yardstick of all cases.

    Raises:
        InputError: there is no case, voxel sizes differ by more than 5 %, or only some have images.
    """
    if not cases:
        raise InputError("Yardstick: expected at least one real case, found none. Give cases with labels.")
    edges = np.array([case.spacing_mm for case in cases])
    if np.ptp(edges) > SAME_SPACING * edges.mean() or len({len(case.features) for case in cases}) > 1:
        raise InputError(
            f"Yardstick: expected cases of one voxel size, all with images or none, found {edges.min():g} to "
            f"{edges.max():g} mm. Bring them to one grid with `pathosynth prepare --spacing-mm`."
        )
    number = {subject: place for place, subject in enumerate(dict.fromkeys(case.subject for case in cases))}
    names = dict.fromkeys(name for case in cases for name in case.measures)
    return Yardstick(
        spacing_mm=round(float(edges.mean()), 4),
        subjects=tuple(number[case.subject] for case in cases),
        measures={name: np.array([case.measures.get(name, np.nan) for case in cases]) for name in names},
        net=NET,
        features=np.array([case.features for case in cases], np.float64).reshape(len(cases), -1),
    )
