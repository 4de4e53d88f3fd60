"""HD95: how far apart two surfaces are where they are far apart, without the farthest twentieth."""

import math

import numpy as np

from pathosynth.data.volume import Spacing
from pathosynth.metrics.mask_pair import MaskPair

UNIT = "mm"
BETTER = "lower"
PERCENTILE = 95.0


def compute(reference: np.ndarray, prediction: np.ndarray, spacing_mm: Spacing) -> float:
    """The larger of the two directed 95th percentiles of the surface distances (see `surfaces`), in millimetres.

    Percentiles interpolate linearly. Each direction has its own: pooled distances (as in MedPy) would let a small false
    island vanish among the many voxels of the other surface. One mask empty: +inf. Both empty: NaN.

    Raises:
        InputError: not two boolean masks of one 3D shape.
    """
    return measure(MaskPair.of(reference, prediction, spacing_mm))


def measure(pair: MaskPair) -> float:
    """As `compute`."""
    if (value := pair.if_empty(math.inf)) is not None:
        return value
    directed = (pair.distances.from_reference, pair.distances.from_prediction)
    return max(float(np.percentile(distances, PERCENTILE)) for distances in directed)
