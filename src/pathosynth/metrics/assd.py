"""ASSD: how far apart two surfaces are on average."""

import math

import numpy as np

from pathosynth.data.volume import Spacing
from pathosynth.metrics.mask_pair import MaskPair

UNIT = "mm"
BETTER = "lower"


def compute(reference: np.ndarray, prediction: np.ndarray, spacing_mm: Spacing) -> float:
    """Average symmetric surface distance: the mean over the surface voxels of both masks (see `surfaces`), in mm.

    One mask empty: +inf. Both empty: NaN.

    Raises:
        InputError: not two boolean masks of one 3D shape.
    """
    return measure(MaskPair.of(reference, prediction, spacing_mm))


def measure(pair: MaskPair) -> float:
    """As `compute`."""
    if (value := pair.if_empty(math.inf)) is not None:
        return value
    directed = (pair.distances.from_reference, pair.distances.from_prediction)
    return float(sum(part.sum() for part in directed) / sum(part.size for part in directed))
