"""Where the source grows and where the slack gives way: maps on the voxels, written from the labels."""

import numpy as np
import scipy.ndimage as ndi

from pathosynth.data.volume import Spacing

_RAMP_MM = 3.0
_FLOOR = 0.05  # of full growth in the midline: third and fourth ventricle widen a little with the lateral ones
_SULCUS_MM = 5.0  # half the widest gap between gyri that still counts as a sulcus
_FISSURE_MM = 4.0  # half-width of the interhemispheric fissure, which is no sulcus
_STRONGEST_SULCAL = 8.0  # times the compressibility elsewhere: removes a third of the sulcal CSF without folds


def midline_weight(shape: tuple[int, ...], midline: float, spacing_mm: Spacing, half_width_mm: float) -> np.ndarray:
    """5 % within `half_width_mm` of the midsagittal plane, 1 from 3 mm further out, smooth between. (I, 1, 1)."""
    distance = np.abs(np.arange(shape[0]) - midline) * spacing_mm[0]
    t = np.clip((distance - half_width_mm) / _RAMP_MM, 0.0, 1.0)
    smooth = t * t * (3.0 - 2.0 * t)
    return np.asarray(_FLOOR + (1.0 - _FLOOR) * smooth, np.float32)[:, None, None]


def posterior_weight(ventricles: np.ndarray, beta: float) -> np.ndarray:
    """Weight exp(beta (1/2 - y)), y from 0 at the back to 1 at the front of the ventricles; beta > 0 is colpocephaly.

    Shape (1, J, 1).
    """
    per_slice = ventricles.sum(axis=(0, 2), dtype=np.float64)
    share = np.cumsum(per_slice) / max(per_slice.sum(), 1.0)
    back, front = np.searchsorted(share, [0.02, 0.98])
    y = np.clip((np.arange(len(per_slice)) - back) / max(front - back, 1), 0.0, 1.0)
    return np.asarray(np.exp(beta * (0.5 - y)), np.float32)[None, :, None]


def random_weight(
    shape: tuple[int, ...], spacing_mm: Spacing, variation: float, length_mm: float, rng: np.random.Generator
) -> np.ndarray:
    """exp(variation * g), g a smooth Gaussian field of mean 0, standard deviation 1 and the given length. (I, J, K)."""
    noise = rng.standard_normal(shape, dtype=np.float32)
    smooth = ndi.gaussian_filter(noise, [length_mm / s for s in spacing_mm], mode="wrap", truncate=3.0)
    smooth = (smooth - smooth.mean()) / max(float(smooth.std()), 1e-6)
    return np.asarray(np.exp(np.float32(variation) * smooth), np.float32)


def sulcal_weight(
    external_csf: np.ndarray, brain: np.ndarray, midline: float, spacing_mm: Spacing, flattening: float
) -> np.ndarray:
    """Compressibility m(x) of the external CSF: 1 + 7 * flattening in the sulci, 1 elsewhere. (I, J, K) float32.

    Sulci are external CSF inside the closing of the brain by a ball of 5 mm, away from the interhemispheric fissure.
    """
    weight = np.ones(external_csf.shape, np.float32)
    if flattening == 0.0:
        return weight
    near = ndi.distance_transform_edt(~brain, sampling=spacing_mm) <= _SULCUS_MM
    closed = ndi.distance_transform_edt(near, sampling=spacing_mm) > _SULCUS_MM
    lateral = np.abs(np.arange(brain.shape[0]) - midline) * spacing_mm[0] > _FISSURE_MM
    sulci = external_csf & closed & lateral[:, None, None]
    weight[sulci] += np.float32((_STRONGEST_SULCAL - 1.0) * flattening)
    return weight
