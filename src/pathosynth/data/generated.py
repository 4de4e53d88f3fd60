"""A label map that a generator made, and how it got there."""

from dataclasses import dataclass
from typing import Any

from pathosynth.data.volume import Volume


@dataclass(frozen=True)
class Generated:
    """One generated label map.

    Attributes:
        labels: (I, J, K) unsigned integers in RAS orientation, values of the model's scheme.
        asked: what was wanted, name to value in the name's unit (`data.measurements`).
        got: the same names measured on `labels`; ages cannot be measured and are missing.
        beyond: names that were asked for outside the range the model was trained on.
        steps: what was done in order, JSON-able: each has `what` (sampled, corrected, decided, scaled,
            morphed, given_up), the measurements after it, and details.
        attempts: maps that were sampled until this one.
    """

    labels: Volume
    asked: dict[str, float]
    got: dict[str, float]
    beyond: tuple[str, ...]
    steps: tuple[dict[str, Any], ...]
    attempts: int
