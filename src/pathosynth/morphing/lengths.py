"""Which volume a part must have to get its wanted length: a search, one measurement after the other."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from pathosynth.data.volume import Spacing

LENGTH_TOLERANCE_MM = 0.3
_FIRST_EXPONENT = 1.8  # of volume over atrial width, seen on fetal atlases; replaced by what is measured
_EXPONENTS = (1.0, 4.0)
_TELLING = 0.03  # change of the logarithm of a length large enough to measure the exponent
_STRIDE = 1.6  # most lengthening asked for at once
_AIM_MM, _WIDEST_AIM_MM = 0.15, 0.2  # half of what a length may miss in the end


@dataclass(frozen=True)
class LengthGoal:
    """Wanted lengths.

    Attributes:
        parts: classes of each part.
        wanted_mm: length of each part.
        measure: lengths of each part of a map of classes at voxel resolution.
    """

    parts: dict[str, tuple[int, ...]]
    wanted_mm: dict[str, float]
    measure: Callable[[np.ndarray], dict[str, float]]

    def error_mm(self, lengths_mm: dict[str, float]) -> float:
        """Largest distance of a part from its wanted length."""
        return max(abs(lengths_mm[part] - wanted) for part, wanted in self.wanted_mm.items())

    def aim_mm(self, spacing_mm: Spacing) -> float:
        """How near to stop: the step between two widths that voxels can tell apart, about 2 h^2 / w."""
        gap = 2.0 * max(spacing_mm) ** 2 / min(self.wanted_mm.values())
        return min(max(_AIM_MM, gap), _WIDEST_AIM_MM)


@dataclass(frozen=True)
class LengthSearch:
    """What is known about one part.

    Attributes:
        wanted_mm, aim_mm: the goal and how near is near enough.
        length_mm, volume_ml: the last measurement.
        exponent: d ln V / d ln length.
        low_ml, high_ml: volumes that were too small and too large.
    """

    wanted_mm: float
    aim_mm: float
    length_mm: float
    volume_ml: float
    exponent: float = _FIRST_EXPONENT
    low_ml: float = 0.0
    high_ml: float = np.inf


def measured(search: LengthSearch, length_mm: float, volume_ml: float) -> LengthSearch:
    """Add a measurement; what it contradicts is forgotten."""
    exponent = search.exponent
    lengthening = float(np.log(max(length_mm, 0.1) / max(search.length_mm, 0.1)))
    growth = float(np.log(volume_ml / search.volume_ml))
    if abs(lengthening) > _TELLING and lengthening * growth > 0:
        exponent = float(np.clip(0.5 * (exponent + growth / lengthening), *_EXPONENTS))
    low, high = search.low_ml, search.high_ml
    if length_mm < search.wanted_mm - search.aim_mm:
        low, high = volume_ml, (high if high > volume_ml else np.inf)
    elif length_mm > search.wanted_mm + search.aim_mm:
        low, high = (low if low < volume_ml else 0.0), volume_ml
    return replace(search, length_mm=length_mm, volume_ml=volume_ml, exponent=exponent, low_ml=low, high_ml=high)


def next_volume_ml(search: LengthSearch) -> float:
    """Volume to try next: the middle of what is known to be too small and too large, else V (wanted / length)^a."""
    if abs(search.length_mm - search.wanted_mm) <= search.aim_mm:
        return search.volume_ml
    if search.low_ml > 0 and np.isfinite(search.high_ml):
        return float(np.sqrt(search.low_ml * search.high_ml))
    stretch = float(np.clip(search.wanted_mm / max(search.length_mm, 0.1), 1.0 / _STRIDE, _STRIDE))
    return search.volume_ml * float(stretch**search.exponent)
