"""Dice: how much two masks share."""

import numpy as np

from pathosynth.data.volume import Spacing
from pathosynth.metrics.mask_pair import MaskPair

UNIT = ""
BETTER = "higher"


def compute(reference: np.ndarray, prediction: np.ndarray, spacing_mm: Spacing) -> float:
    """Twice the shared voxels over the sum of both masks, in [0, 1] (Dice 1945).

    One mask empty: 0. Both empty: NaN, because there was nothing to find; such cases are counted, not averaged in.

    Raises:
        InputError: not two boolean masks of one 3D shape.
    """
    return measure(MaskPair.of(reference, prediction, spacing_mm))


def measure(pair: MaskPair) -> float:
    """As `compute`."""
    total = pair.reference_voxels + pair.predicted_voxels
    return 2 * pair.shared_voxels / total if total else float("nan")
