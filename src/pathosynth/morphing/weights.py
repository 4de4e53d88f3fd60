"""Where the source grows and where the slack gives way: maps on the voxels, written from the labels."""

import numpy as np
import scipy.ndimage as ndi

from pathosynth.data.volume import Spacing

_RAMP_MM = 3.0
_FLOOR = 0.05  # of full growth in the midline: third and fourth ventricle widen a little with the lateral ones
_SULCUS_MM = 5.0  # half the widest gap between gyri that still counts as a sulcus
_FISSURE_MM = 4.0  # half-width of the interhemispheric fissure, which is no sulcus
_VERMIS_SHARE = 0.125  # of the cerebellum's width, to each side of its midline
_PONS_LEVELS, _PONS_RAMP_MM = (0.40, 0.75), 1.5
_FOSSA_MM = 8.0  # how far around the hindbrain the skull comes in
_STEM_END_MM, _OUTLET_MM = 4.0, 6.0  # length of the stem's end that marks the foramen magnum, and its radius
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


def vermis_weight(cerebellum: np.ndarray, spacing_mm: Spacing, *, inside: float, outside: float) -> np.ndarray:
    """`inside` in the vermis, `outside` in the hemispheres, smooth between. (I, 1, 1) float32.

    The vermis is what lies within an eighth of the cerebellum's width of its own midline.
    """
    per_slice = cerebellum.sum(axis=(1, 2), dtype=np.float64)
    index = np.arange(len(per_slice))
    centre = float(per_slice @ index) / max(per_slice.sum(), 1.0)
    half_mm = _VERMIS_SHARE * float(np.ptp(np.flatnonzero(per_slice)) + 1) * spacing_mm[0]
    distance = np.abs(index - centre) * spacing_mm[0]
    share = 0.5 * (1.0 - np.tanh((distance - half_mm) / (0.5 * half_mm)))
    return np.asarray(outside + (inside - outside) * share, np.float32)[:, None, None]


def pons_weight(brainstem: np.ndarray, spacing_mm: Spacing) -> np.ndarray:
    """1 in the belly of the pons, 5 % in the rest of the brainstem, smooth between. (1, J, K) float32.

    The belly is the front half between two fifths and three quarters of the stem's length from below, along the main
    axis of its projection to the sagittal plane.
    """
    y, z = np.nonzero(brainstem.any(axis=0))
    points = np.stack([y * spacing_mm[1], z * spacing_mm[2]])
    centre = points.mean(axis=1)
    axis = np.linalg.eigh(np.cov(points))[1][:, -1]
    axis = axis * (1.0 if axis[1] > 0 else -1.0)
    front = np.array([axis[1], -axis[0]])  # across the axis, towards the face
    grid = np.stack(np.meshgrid(*(np.arange(n) * s for n, s in zip(brainstem.shape[1:], spacing_mm[1:], strict=True)),
                                indexing="ij")) - centre[:, None, None]  # fmt: skip
    along, across = np.tensordot(axis, grid, 1), np.tensordot(front, grid, 1)
    low, high = np.percentile(axis @ (points - centre[:, None]), [1, 99])
    level = (along - low) / max(high - low, 1e-6)
    belly = 0.25 * (1 + np.tanh((level - _PONS_LEVELS[0]) / 0.08)) * (1 - np.tanh((level - _PONS_LEVELS[1]) / 0.08))
    belly *= 0.5 * (1 + np.tanh(across / _PONS_RAMP_MM))
    return np.asarray(_FLOOR + (1.0 - _FLOOR) * belly, np.float32)[None]


def herniation_ml(
    head: np.ndarray, hindbrain: np.ndarray, brainstem: np.ndarray, spacing_mm: Spacing, herniated_ml: float
) -> np.ndarray:
    """Exchange with the skull that presses the hindbrain down: it comes in around it and yields at the foramen magnum.

    It comes in from the skull near the hindbrain, falling off over 8 mm, and goes out below the end of the brainstem.

    Args:
        head: (I, J, K) bool, the inside of the skull.
        hindbrain: (I, J, K) bool, cerebellum and brainstem.
        brainstem: (I, J, K) bool.
        spacing_mm: of the voxels.
        herniated_ml: volume that is exchanged.

    Returns:
        (I, J, K) float32 in mL, above 0 where the skull comes in; the sum is 0. See `flow.FlowProblem`.
    """
    near = ndi.distance_transform_edt(~hindbrain, sampling=spacing_mm)
    lowest = np.argwhere(brainstem)[:, 2].min(initial=brainstem.shape[2] - 1)
    end = np.argwhere(brainstem & (np.arange(brainstem.shape[2]) <= lowest + _STEM_END_MM / spacing_mm[2]))
    centre = end.mean(axis=0) if len(end) else np.zeros(3)
    x, y, z = ((np.arange(n) - c) * s for n, c, s in zip(head.shape, centre, spacing_mm, strict=True))
    outlet = np.exp(-0.5 * (x[:, None, None] ** 2 + y[None, :, None] ** 2 + z**2) / _OUTLET_MM**2) * (z < 0)
    outlet *= ~head
    inlet = np.exp(-0.5 * (near / _FOSSA_MM) ** 2) * (outlet < 0.1) * ~head
    return np.asarray(herniated_ml * (inlet / max(inlet.sum(), 1e-9) - outlet / max(outlet.sum(), 1e-9)), np.float32)


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
