"""Lengths of clinical reports, in mm, measured on integer label maps in RAS orientation.

Every length is sub-voxel: masks are smoothed by a Gaussian of 1.5 voxels and borders lie where the smooth mask is 0.5,
so that one voxel more or less moves a length by a fraction of a voxel. Flat ends are exact; a round end with radii of
curvature R1 and R2 loses 1.1 h^2 (1/R1 + 1/R2), h the voxel: 0.3 to 0.6 mm of a fetal cerebellum at 0.8 mm. A structure
without voxels has the length 0; a group that the scheme does not name is an `InputError`.

These are proxies of what calipers measure. Ratios and differences within one label protocol carry little bias; a
z-score against `data.norms` carries that of the labels. On 18 normal fetal atlases (21 to 38 weeks, kcl8, 0.8 mm) the
mean z is +2.0 for the transcerebellar diameter, +1.6 for the vermis, +3.1 for the pons (2 mm: the label is thicker than
what is measured clinically), +0.3 and +0.4 for the head's diameters and +0.2 for its circumference.
"""

from dataclasses import dataclass

import numpy as np
import scipy.ndimage as ndi

from pathosynth.data.labels import LabelScheme
from pathosynth.data.volume import Spacing
from pathosynth.morphing.measure import bounding_box, midline_index
from pathosynth.runs.errors import InputError

SLAB_MM = 4.0
"""Thickness of the midsagittal slab on which vermis and pons are measured."""

_SIGMA_VOXELS = 1.5  # at the tips of ellipsoids 1.0 scatters by 0.2 to 0.3 voxels, 1.5 by 0.15 to 0.2
_MARGIN = 6  # voxels around a structure, enough for the smoothing
_PONS_LEVELS = (0.40, 0.80)
_SUPRATENTORIAL = ("white_matter", "cortex", "deep_grey_matter")


@dataclass(frozen=True)
class HeadSize:
    """Size of the space inside the skull (its inner table, without bone and scalp), of its widest axial section.

    Attributes:
        bpd_mm: biparietal diameter, left to right.
        ofd_mm: occipitofrontal diameter, back to front.
        head_circumference_mm: perimeter of the ellipse with the section's area and the ratio of its second moments.
    """

    bpd_mm: float
    ofd_mm: float
    head_circumference_mm: float


def biometry(labels: np.ndarray, scheme: LabelScheme, spacing_mm: Spacing) -> dict[str, float]:
    """Every length that the scheme's groups allow, by the names of `data.norms`.

    Measures that need a group the scheme does not name are left out, and so is the descent of a missing cerebellum.

    Raises:
        InputError: there is a cerebellum but no cerebrum.
    """
    found: dict[str, float] = {}
    if scheme.has("cerebellum"):
        found["transcerebellar_diameter_mm"] = transcerebellar_diameter_mm(labels, scheme, spacing_mm)
        found["vermis_height_mm"] = vermis_height_mm(labels, scheme, spacing_mm)
        if any(scheme.has(group) for group in _SUPRATENTORIAL) and found["transcerebellar_diameter_mm"] > 0:
            found["hindbrain_descent_mm"] = hindbrain_descent_mm(labels, scheme, spacing_mm)
    if scheme.has("brainstem"):
        found["pons_ap_mm"] = pons_ap_mm(labels, scheme, spacing_mm)
    return found | vars(head_size_mm(labels, scheme, spacing_mm))


def transcerebellar_diameter_mm(labels: np.ndarray, scheme: LabelScheme, spacing_mm: Spacing) -> float:
    """Left-right extent of the cerebellum."""
    return extent_mm(_mask(_cropped(labels), scheme, "cerebellum"), 0, spacing_mm)


def vermis_height_mm(labels: np.ndarray, scheme: LabelScheme, spacing_mm: Spacing) -> float:
    """Inferior-superior extent of the cerebellum in the midsagittal slab (`SLAB_MM`)."""
    labels = _cropped(labels)
    section = _midsagittal(_mask(labels, scheme, "cerebellum"), _mask(labels, scheme, "intracranial"), spacing_mm)
    low, high = _outermost(section.max(axis=0, initial=0.0))
    return (high - low) * spacing_mm[2]


def pons_ap_mm(labels: np.ndarray, scheme: LabelScheme, spacing_mm: Spacing) -> float:
    """Largest antero-posterior thickness of the pons: of the brainstem, across its axis, in the midsagittal slab.

    The brainstem is one label, so the pons is found by its place: between 40 and 80 % of the stem's length from below,
    along the axis of its midsagittal section. What lies behind a ventricle (the tectum, behind the aqueduct) does not
    count; nor does anything apart from the longest uninterrupted stretch at a level. Where the aqueduct is not labelled
    (adult schemes, some patients) the tectum can count, and the length is a few mm too large.
    """
    labels = _cropped(labels)
    stem = _mask(labels, scheme, "brainstem")
    if scheme.has("ventricles"):
        stem &= ~_behind(_mask(labels, scheme, "ventricles"))
    section = _midsagittal(stem, _mask(labels, scheme, "intracranial"), spacing_mm)
    if section.max(initial=0.0) <= 0.5:
        return 0.0
    step = 0.25 * min(spacing_mm[1:])
    across = _straightened(section, spacing_mm[1:], step)
    low, high = _outermost(across.max(axis=1))
    levels = low + (high - low) * np.linspace(*_PONS_LEVELS, 50)
    rows = np.arange(int(levels[0]), int(levels[-1]) + 2)
    thickness = [_longest_run(across[row]) for row in rows]
    return float(np.interp(levels, rows, thickness).max()) * step


def head_size_mm(labels: np.ndarray, scheme: LabelScheme, spacing_mm: Spacing) -> HeadSize:
    """Diameters and circumference of the intracranial space, of the axial section with the largest circumference.

    The diameters are extents. The circumference is that of the ellipse with the section's area and second moments:
    heads are so flat at their poles that an extent moves by whole layers of voxels, 2 to 5 mm of circumference. All 0
    for an empty map.
    """
    inside = np.pad(_mask(_cropped(labels), scheme, "intracranial"), _MARGIN)
    area = inside.sum(axis=(0, 1)) * (spacing_mm[0] * spacing_mm[1])
    ratio = _deviations(inside.sum(axis=1), spacing_mm[0]) / _deviations(inside.sum(axis=0), spacing_mm[1])
    perimeters = _ellipse_perimeter(np.sqrt(area / np.pi * ratio), np.sqrt(area / np.pi / ratio))
    widest = int(perimeters.argmax())
    bpd = _extents(np.asarray(inside.any(axis=1)))[widest] * spacing_mm[0]
    ofd = _extents(np.asarray(inside.any(axis=0)))[widest] * spacing_mm[1]
    return HeadSize(float(bpd), float(ofd), float(perimeters[widest]))


def hindbrain_descent_mm(labels: np.ndarray, scheme: LabelScheme, spacing_mm: Spacing) -> float:
    """How far the cerebellum reaches below the lowest point of the cerebrum (temporal lobes); negative if it does not.

    The temporal lobes lie on the skull base, which the hindbrain passes when it descends. The normal value is not 0 and
    grows with the brain: compare with a normal map of the same protocol and age.

    Raises:
        InputError: the map has no cerebellum or no cerebrum, or the scheme does not name them.
    """
    labels = _cropped(labels)
    groups = [group for group in _SUPRATENTORIAL if scheme.has(group)]
    cerebrum = _mask(labels, scheme, *groups)
    cerebellum = _mask(labels, scheme, "cerebellum")
    for name, mask in (("cerebellum", cerebellum), ("white matter, cortex or deep grey matter", cerebrum)):
        if not mask.any():
            raise InputError(
                f"No {name} in the label map (scheme '{scheme.name}'), so the descent of the hindbrain has no meaning. "
                "Check --scheme and the map."
            )
    return (_lowest(cerebrum) - _lowest(cerebellum)) * spacing_mm[2]


def extent_mm(mask: np.ndarray, axis: int, spacing_mm: Spacing) -> float:
    """Extent of a mask along one axis, between the outermost places where the smooth mask is 0.5; 0 without any."""
    if not mask.any():
        return 0.0
    smooth = ndi.gaussian_filter(_padded(mask), _SIGMA_VOXELS, truncate=3.0)
    low, high = _outermost(smooth.max(axis=tuple(a for a in range(3) if a != axis)))
    return (high - low) * spacing_mm[axis]


def _cropped(labels: np.ndarray) -> np.ndarray:
    """The part of the map that holds labels."""
    return labels[bounding_box(labels > 0)]


def _mask(labels: np.ndarray, scheme: LabelScheme, *groups: str) -> np.ndarray:
    """Where the label belongs to one of the groups; by table, three times faster than a search."""
    values = [value for group in groups for value in scheme.group(group)]
    table = np.zeros(max([int(labels.max(initial=0)), *values]) + 1, bool)
    table[values] = True
    return np.asarray(table[labels])


def _padded(mask: np.ndarray) -> np.ndarray:
    """The mask's bounding box with room for the smoothing, float32."""
    return np.pad(mask[bounding_box(mask)], _MARGIN).astype(np.float32)


def _outermost(profile: np.ndarray) -> tuple[float, float]:
    """First and last place, in voxels, where a profile crosses 0.5, linear between its samples; 0, 0 if it does not."""
    above = np.flatnonzero(profile > 0.5)
    if not len(above):
        return 0.0, 0.0
    padded = np.pad(profile.astype(float), 1)
    first, last = above[0] + 1, above[-1] + 1
    low = first - (padded[first] - 0.5) / (padded[first] - padded[first - 1])
    high = last + (padded[last] - 0.5) / (padded[last] - padded[last + 1])
    return float(low - 1), float(high - 1)


def _extents(silhouette: np.ndarray) -> np.ndarray:
    """Extent along the first axis of every column of a smoothed silhouette: (n,) voxels."""
    smooth = ndi.gaussian_filter(silhouette.astype(np.float32), _SIGMA_VOXELS, truncate=3.0, mode="constant")
    return np.array([np.subtract(*_outermost(column)[::-1]) for column in smooth.T])


def _deviations(counts: np.ndarray, spacing_mm: float) -> np.ndarray:
    """Standard deviation in mm of the places counted along the first axis, of every column; (n,), at least a voxel's.

    A voxel is not a point but spread evenly over its width.
    """
    total = np.maximum(counts.sum(axis=0), 1)
    index = np.arange(len(counts))
    mean = index @ counts / total
    variance = index**2 @ counts / total - mean**2
    return np.asarray(spacing_mm * np.sqrt(np.maximum(variance, 0.0) + 1.0 / 12.0))


def _lowest(mask: np.ndarray) -> float:
    """Lowest place of a mask along the third axis, in voxels of the array: of its smoothed view from the side."""
    box = bounding_box(mask)
    silhouette = np.pad(mask[box].any(axis=0), _MARGIN).astype(np.float32)
    smooth = ndi.gaussian_filter(silhouette, _SIGMA_VOXELS, truncate=3.0)
    return _outermost(smooth.max(axis=0))[0] + float(box[2].start) - _MARGIN


def _midsagittal(mask: np.ndarray, intracranial: np.ndarray, spacing_mm: Spacing) -> np.ndarray:
    """Smoothed mean of a mask over the midsagittal slab: (J, K) of its padded box, empty without voxels.

    Slices count by their overlap with the slab, so that the mean moves smoothly with the midsagittal plane.
    """
    if not mask.any():
        return np.zeros((0, 0), np.float32)
    middle, half = midline_index(intracranial), SLAB_MM / 2 / spacing_mm[0]
    index = np.arange(mask.shape[0])
    overlap = np.clip(np.minimum(index + 0.5, middle + half) - np.maximum(index - 0.5, middle - half), 0.0, 1.0)
    slab, box = np.flatnonzero(overlap), bounding_box(mask)
    mean = np.tensordot(overlap[slab] / overlap.sum(), mask[slab[0] : slab[-1] + 1, box[1], box[2]], axes=1)
    return np.asarray(ndi.gaussian_filter(np.pad(mean, _MARGIN), _SIGMA_VOXELS, truncate=3.0))


def _behind(mask: np.ndarray) -> np.ndarray:
    """Voxels that have a voxel of the mask in front of them, on their antero-posterior row."""
    return np.asarray(np.logical_or.accumulate(mask[:, ::-1], axis=1)[:, ::-1])


def _stem_axis(points: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Direction of the stem, upwards: main axis of its lower three quarters, without the flaring midbrain.

    Args:
        points: (2, n) in mm, to the front and upwards.
        weight: (n,) of the smooth section.
    """
    axis = _main_axis(points, weight)
    level = axis @ points
    inside = level[weight > 0.5]
    return _main_axis(points, weight * (level < inside.min() + 0.75 * np.ptp(inside)))


def _main_axis(points: np.ndarray, weight: np.ndarray) -> np.ndarray:
    axis = np.asarray(np.linalg.eigh(np.cov(points, aweights=weight))[1][:, -1])
    return axis if axis[1] >= 0 else -axis


def _straightened(section: np.ndarray, spacing_mm: tuple[float, ...], step_mm: float) -> np.ndarray:
    """A section of the brainstem turned so that its axis runs along the first axis, upwards; the second to the front.

    Args:
        section: (J, K) smooth mask, to the front and upwards.
        spacing_mm: of its two axes.
        step_mm: between samples of the result.
    """
    j, k = np.indices(section.shape)
    points = np.stack([j * spacing_mm[0], k * spacing_mm[1]]).reshape(2, -1)
    weight = section.ravel()
    axis = _stem_axis(points, weight)
    front = np.array([axis[1], -axis[0]])
    centre = points @ weight / weight.sum()
    reach = np.abs(np.stack([axis, front]) @ (points[:, weight > 0.01] - centre[:, None])).max(axis=1)
    along, across = (np.arange(-end, end + step_mm, step_mm) for end in reach)
    at = centre + along[:, None, None] * axis + across[None, :, None] * front
    return np.asarray(ndi.map_coordinates(section, np.moveaxis(at / spacing_mm, -1, 0), order=1))


def _longest_run(line: np.ndarray) -> float:
    """Length, in samples, of the longest stretch of a line above 0.5, its ends between the samples."""
    runs, count = ndi.label(line > 0.5)
    lengths: list[float] = [0.0]
    for run in range(1, count + 1):
        low, high = _outermost(np.where((runs == run) | (line <= 0.5), line, 0.0))
        lengths.append(high - low)
    return max(lengths)


def _ellipse_perimeter(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Perimeter of ellipses with half-axes a and b (Ramanujan 1914, second formula)."""
    h = ((a - b) / np.maximum(a + b, 1e-9)) ** 2
    return np.asarray(np.pi * (a + b) * (1 + 3 * h / (10 + np.sqrt(4 - 3 * h))))
