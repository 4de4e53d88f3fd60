"""Surface Dice: how much of both surfaces lies within a tolerance of the other (Nikolov 2018, arXiv:1809.04430)."""

import numpy as np

from pathosynth.data.volume import Spacing
from pathosynth.metrics.mask_pair import MaskPair

UNIT = ""
BETTER = "higher"
TOLERANCE_MM = 1.0
"""About what two readers differ by at a voxel edge of 0.8 to 1 mm."""

_ROUNDING = 1e-6


def compute(
    reference: np.ndarray, prediction: np.ndarray, spacing_mm: Spacing, tolerance_mm: float = TOLERANCE_MM
) -> float:
    """Share of the surface voxels of both masks that lie at most `tolerance_mm` from the other surface, in [0, 1].

    One mask empty: 0. Both empty: NaN.

    Raises:
        InputError: not two boolean masks of one 3D shape.
    """
    return measure(MaskPair.of(reference, prediction, spacing_mm), tolerance_mm)


def measure(pair: MaskPair, tolerance_mm: float = TOLERANCE_MM) -> float:
    """As `compute`."""
    if (value := pair.if_empty(0.0)) is not None:
        return value
    directed = (pair.distances.from_reference, pair.distances.from_prediction)
    near = sum(int(np.count_nonzero(part <= tolerance_mm + _ROUNDING)) for part in directed)
    return near / sum(part.size for part in directed)
