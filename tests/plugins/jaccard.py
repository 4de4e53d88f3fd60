"""Jaccard index: shared voxels over those in either mask."""

import numpy as np

from pathosynth.data.volume import Spacing
from pathosynth.metrics.mask_pair import MaskPair

UNIT = ""
BETTER = "higher"


def compute(reference: np.ndarray, prediction: np.ndarray, spacing_mm: Spacing) -> float:
    """Shared voxels over those in either mask; one mask empty: 0, both empty: NaN."""
    return measure(MaskPair.of(reference, prediction, spacing_mm))


def measure(pair: MaskPair) -> float:
    either = pair.reference_voxels + pair.predicted_voxels - pair.shared_voxels
    return pair.shared_voxels / either if either else float("nan")
