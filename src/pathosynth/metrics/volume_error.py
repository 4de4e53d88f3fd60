"""Volume error: how many millilitres too much or too little."""

import numpy as np

from pathosynth.data.volume import Spacing
from pathosynth.metrics.mask_pair import MaskPair

UNIT = "mL"
BETTER = "zero"


def compute(reference: np.ndarray, prediction: np.ndarray, spacing_mm: Spacing) -> float:
    """Volume of the prediction minus that of the reference in millilitres; positive is too much.

    A missed structure counts with all its volume. Both empty: NaN.

    Raises:
        InputError: not two boolean masks of one 3D shape.
    """
    return measure(MaskPair.of(reference, prediction, spacing_mm))


def measure(pair: MaskPair) -> float:
    """As `compute`."""
    if pair.state == "both_empty":
        return float("nan")
    return (pair.predicted_voxels - pair.reference_voxels) * pair.voxel_ml
