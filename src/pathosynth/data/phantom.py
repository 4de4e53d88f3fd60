"""Procedural brain phantoms: label maps of a fetal-like head, made of nothing but a seed.

They let the whole flow run, be shown and be tested without any data. Landmarks are rounded by hand after a fetus
of 28 to 32 weeks; no voxel of a real scan went in. Defined in mm: one seed is one brain at every voxel size.
"""

from dataclasses import dataclass

import edt
import numpy as np
from scipy import ndimage

from pathosynth.data.volume import Volume
from pathosynth.runs.errors import InputError

WHITE_MATTER, VENTRICLES, CEREBELLUM, EXTERNAL_CSF, CORTEX, DEEP_GREY, BRAINSTEM, CALLOSUM = range(1, 9)
"""Values of scheme ``kcl8``."""

_NOISE_CELL_MM = 4.0
_NOISE_CELLS = 48

# Tubes: rows of (x, y, z, radius) in mm, +x right, +y anterior, +z superior; the left side is mirrored.
_LATERAL_VENTRICLE = ((5.5, 25, 1, 2.0), (6, 21, 3.5, 3.5), (5.8, 14, 7, 3.5), (7.5, 4, 9, 3.4), (11, -6, 6, 3.4),
                      (14.5, -13, 0, 3.6), (15.5, -22, -4, 3.5), (14, -30, -6, 2.3))  # fmt: skip
_TEMPORAL_HORN = ((14.5, -13, 0, 3.2), (19, -7, -7, 2.0), (22, 1, -13, 1.7), (22, 8, -15, 1.5))
_STEM = ((0, 6, -6, 7.5), (0, 3, -12, 7.2), (0, 0.5, -20, 7.4), (0, -3, -29, 5.2), (0, -6, -38, 4.0), (0, -8, -43, 3.6))


@dataclass(frozen=True)
class _Head:
    """What makes one head differ from another; lengths in mm, drawn once per seed."""

    scale: float
    sulcus_depth: float
    sulcus_width: float
    fold_size: float
    cortex: float
    csf_gap: float
    ventricle: tuple[float, float]
    noise: np.ndarray


def brain_phantom(seed: int, shape: tuple[int, int, int] = (96, 112, 96), spacing_mm: float = 1.2) -> Volume:
    """A random fetal-like head as ``kcl8`` labels.

    Args:
        seed: decides the anatomy: size, folds, ventricle widths, asymmetry.
        shape: number of voxels along x (right), y (anterior), z (superior); the head is in the middle.
        spacing_mm: edge length of the cubic voxels.

    Returns:
        uint8 labels in RAS orientation. No specks: ventricles are lateral with third, and fourth; no tissue touches
        the background.

    Raises:
        InputError: the head does not fit into the grid, or the voxels are too coarse for its thinnest parts.
    """
    if not 0.3 <= spacing_mm <= 1.6:
        raise InputError(f"brain_phantom: expected spacing_mm from 0.3 to 1.6, found {spacing_mm}.")
    head = _draw(np.random.default_rng(seed))
    box = _head_box(head, shape, spacing_mm)
    points = _warped_points(head, box, shape, spacing_mm)
    labels = np.zeros(shape, np.uint8)
    labels[box] = _without_specks(_smoothed(_paint(head, points, spacing_mm)))
    affine = np.diag([spacing_mm, spacing_mm, spacing_mm, 1.0])
    affine[:3, 3] = [-spacing_mm * (n - 1) / 2 for n in shape]
    return Volume(labels, affine)


def _draw(rng: np.random.Generator) -> _Head:
    """All random choices of one head."""
    ventricle = rng.uniform(0.92, 1.08)
    return _Head(
        scale=rng.uniform(0.95, 1.05),
        sulcus_depth=rng.uniform(8.5, 11.5),
        sulcus_width=rng.uniform(2.5, 3.1),
        fold_size=rng.uniform(5.2, 6.4),
        cortex=rng.uniform(2.5, 2.9),
        csf_gap=rng.uniform(2.6, 3.6),
        ventricle=(ventricle * rng.uniform(0.93, 1.07), ventricle * rng.uniform(0.93, 1.07)),
        noise=rng.standard_normal((5, _NOISE_CELLS, _NOISE_CELLS, _NOISE_CELLS)).astype(np.float32),
    )


def _head_box(head: _Head, shape: tuple[int, int, int], spacing_mm: float) -> tuple[slice, ...]:
    """The part of the grid that the head may fill, so that nothing is computed outside it."""
    half_mm = np.array([44.0, 53.0, 49.0]) * head.scale + 3.0
    box = []
    for n, half in zip(shape, half_mm, strict=True):
        start, stop = n / 2 - half / spacing_mm, n / 2 + half / spacing_mm
        if start < 1 or stop > n - 1:
            need = int(np.ceil(2 * half / spacing_mm)) + 2
            raise InputError(
                f"brain_phantom: shape {shape} at {spacing_mm} mm is too small for the head; expected at least {need} "
                f"voxels where {n} were given. Use a larger shape or larger voxels."
            )
        box.append(slice(int(np.floor(start)), int(np.ceil(stop))))
    return tuple(box)


def _warped_points(head: _Head, box: tuple[slice, ...], shape: tuple[int, int, int], spacing_mm: float) -> np.ndarray:
    """(3, I, J, K) anatomical position of every voxel of the box in mm, after this head's size and gentle bending."""
    axes = [
        ((np.arange(s.start, s.stop) - (n - 1) / 2) * spacing_mm).astype(np.float32)
        for s, n in zip(box, shape, strict=True)
    ]
    points = np.stack(np.meshgrid(*axes, indexing="ij")) / np.float32(head.scale)
    bend = [1.3 * _smooth_field(head.noise[axis], 14.0, points) for axis in range(3)]
    return points + np.stack(bend)


def _smooth_field(noise: np.ndarray, size_mm: float, points: np.ndarray) -> np.ndarray:
    """Gaussian random field of unit variance and correlation length `size_mm`, read at `points` in mm."""
    field = ndimage.gaussian_filter(noise, size_mm / _NOISE_CELL_MM, mode="wrap")
    field = (field - field.mean()) / field.std()
    return np.asarray(
        ndimage.map_coordinates(field, points / _NOISE_CELL_MM + _NOISE_CELLS / 2, order=1, mode="grid-wrap")
    )


def _ellipsoid(points: np.ndarray, centre: tuple[float, float, float], radii: tuple[float, float, float]) -> np.ndarray:
    """About the signed distance in mm to an ellipsoid, negative inside."""
    r = np.array(radii, np.float32)[:, None, None, None]
    q = (points - np.array(centre, np.float32)[:, None, None, None]) / r
    norm = np.sqrt((q**2).sum(axis=0))
    return np.asarray((norm - 1) * norm / np.sqrt(((q / r) ** 2).sum(axis=0) + 1e-12))


def _tube(points: np.ndarray, rows: tuple[tuple[float, ...], ...], radius_factor: float = 1.0) -> np.ndarray:
    """Signed distance in mm to a chain of balls along the polyline `rows` of (x, y, z, radius); far away 99."""
    rows_array = np.array(rows, np.float64)
    knots = np.arange(len(rows))
    fine = np.linspace(0, len(rows) - 1, 8 * (len(rows) - 1) + 1)
    balls = np.stack([np.interp(fine, knots, column) for column in rows_array.T], axis=1)
    balls[:, 3] *= radius_factor
    distance = np.full(points.shape[1:], 99.0, np.float32)
    near = np.ones(points.shape[1:], bool)
    for axis in range(3):
        near &= (
            np.abs(points[axis] - (balls[:, axis].min() + balls[:, axis].max()) / 2) < np.ptp(balls[:, axis]) / 2 + 12
        )
    inside = points[:, near]
    best = np.full(inside.shape[1], 99.0, np.float32)
    for x, y, z, radius in balls.astype(np.float32):
        np.minimum(best, np.sqrt((inside[0] - x) ** 2 + (inside[1] - y) ** 2 + (inside[2] - z) ** 2) - radius, out=best)
    distance[near] = best
    return distance


def _blend(a: np.ndarray, b: np.ndarray, width_mm: float) -> np.ndarray:
    """Union of two signed distances with a seam rounded over `width_mm`."""
    h = np.clip(0.5 + 0.5 * (b - a) / width_mm, 0, 1)
    return np.asarray(b + h * (a - b) - width_mm * h * (1 - h))


def _paint(head: _Head, points: np.ndarray, spacing_mm: float) -> np.ndarray:
    """Lay the structures over each other, from the skull inwards."""
    mirrored = np.concatenate([np.abs(points[:1]), points[1:]])
    core = _core(points)
    cerebellum = _cerebellum(mirrored) < 0
    stem = _tube(points, _STEM) < 0
    below = _near(cerebellum | (stem & ~core), 2.2, spacing_mm)
    hemispheres = (_hemispheres(head, points, mirrored, core, spacing_mm) & ~below) | core
    labels = np.where(_skull(head, mirrored, hemispheres | cerebellum | stem, spacing_mm), EXTERNAL_CSF, 0).astype(
        np.uint8
    )
    depth = edt.edt(hemispheres, anisotropy=(spacing_mm,) * 3)
    labels[hemispheres] = np.where(depth[hemispheres] <= head.cortex, CORTEX, WHITE_MATTER)
    labels[core] = WHITE_MATTER
    labels[_ellipsoid(mirrored, (9.2, 8, -1.5), (9.3, 15.5, 8.3)) < 0] = DEEP_GREY
    labels[stem & (labels != DEEP_GREY)] = BRAINSTEM
    labels[cerebellum] = CEREBELLUM
    labels[_arch(points) < 0] = CALLOSUM
    away_from_csf = _near(labels == EXTERNAL_CSF, max(1.3, spacing_mm), spacing_mm) | (labels == 0)
    labels[_ventricles(head, points, mirrored) & ~away_from_csf & (labels != CALLOSUM)] = VENTRICLES
    return labels


def _near(mask: np.ndarray, distance_mm: float, spacing_mm: float) -> np.ndarray:
    """Where `mask` is not further than `distance_mm`."""
    return np.asarray(edt.edt(~mask, anisotropy=(spacing_mm,) * 3) <= distance_mm)


def _arch_angle(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Polar position around the callosum's arch in the sagittal plane: radius relative to it, and angle."""
    y, z = (points[1] - 7.5) / 20.5, (points[2] + 2.5) / 14.5
    return np.hypot(y, z), np.arctan2(z, y)


def _arch(points: np.ndarray) -> np.ndarray:
    """Signed distance, roughly, to the corpus callosum: an arch 2.8 mm thick and 15 mm wide, open below."""
    radius, angle = _arch_angle(points)
    across = np.abs(radius - 1) * 15.0 - 1.4
    return np.asarray(np.maximum.reduce([across, np.abs(points[0]) - 7.5, np.where(angle > 0.0, -1, 1)]))


def _core(points: np.ndarray) -> np.ndarray:
    """The middle of the brain, under the callosum, where the two halves are joined."""
    radius, _ = _arch_angle(points)
    low = _ellipsoid(points, (0, 8, -3.5), (17, 14, 8.5)) < 0
    return np.asarray(((radius < 1.09) & (points[2] > -7) & (np.abs(points[0]) < 9)) | low)


def _cerebellum(mirrored: np.ndarray) -> np.ndarray:
    """Two hemispheres and the vermis; signed distance. Folia would be finer than the voxels."""
    lobe = _ellipsoid(mirrored, (9.5, -13, -24), (11.5, 10.0, 8.8))
    vermis = _ellipsoid(mirrored, (0, -13, -22.5), (7.5, 9.0, 9.5))
    return _blend(lobe, vermis, 3.0)


def _hemispheres(
    head: _Head, points: np.ndarray, mirrored: np.ndarray, core: np.ndarray, spacing_mm: float
) -> np.ndarray:
    """Folded cerebral hemispheres: a smooth hull whose surface is pushed inwards along sulci."""
    main = _ellipsoid(mirrored, (11.5, 1.5, 4.5), (25.5, 43.5, 28.0))
    temporal = _ellipsoid(mirrored, (22, 6, -13), (12.5, 21, 11.5))
    fissure = 1.35 + 0.3 * np.cos(points[1] / 14.0)
    hull = (_blend(main, temporal, 7.0) < 0) & ((mirrored[0] > fissure) | core)
    depth = edt.edt(hull, anisotropy=(spacing_mm,) * 3)
    return np.asarray(hull & (depth > _sulcal_depth(head, points, mirrored)))


def _sulcal_depth(head: _Head, points: np.ndarray, mirrored: np.ndarray) -> np.ndarray:
    """How deep the surface is pushed in at every point, in mm, constant along rays from each hemisphere's middle.

    Sulci lie where a smooth random field on the sphere crosses zero; a second field varies their depth. The Sylvian
    fissure is added at its place.
    """
    centre = np.array([12.0, 1.5, 3.0], np.float32)[:, None, None, None] * np.sign(
        np.stack([points[0], points[0] * 0 + 1, points[0] * 0 + 1])
    )
    radii = np.array([24.0, 42.0, 30.0], np.float32)[:, None, None, None]
    ray = (points - centre) / radii
    ray *= np.array([34.0, 42.0, 34.0], np.float32)[:, None, None, None] / np.sqrt((ray**2).sum(axis=0) + 1e-6)
    ray[0] += 60 * np.sign(points[0])
    across = _smooth_field(head.noise[3], head.fold_size, ray) * head.fold_size * np.sqrt(2)
    strength = np.clip(0.55 + 0.35 * _smooth_field(head.noise[4], 9.0, ray), 0.1, 1.0)
    medial = np.clip((mirrored[0] - 3) / 9, 0.35, 1.0)
    sulci = head.sulcus_depth * strength * medial * np.exp(-((across / head.sulcus_width) ** 2))
    return np.asarray(np.maximum(sulci, _sylvian_depth(head, mirrored)))


def _sylvian_depth(head: _Head, mirrored: np.ndarray) -> np.ndarray:
    """The lateral fissure, rising backwards along the side of the head."""
    line = (mirrored[2] + 5.5 + 0.22 * (mirrored[1] - 6)) / 2.6
    along = np.clip((22 - np.abs(mirrored[1] - 6)) / 8, 0, 1)
    lateral = np.clip((mirrored[0] - 12) / 8, 0, 1)
    return np.asarray(1.15 * head.sulcus_depth * along * lateral * np.exp(-(line**2)))


def _skull(head: _Head, mirrored: np.ndarray, brain: np.ndarray, spacing_mm: float) -> np.ndarray:
    """Inside of the skull: smooth, at least `csf_gap` away from the brain, with the posterior fossa and the way out."""
    vault = _ellipsoid(mirrored, (0, 0.5, 3), (38.5, 47.5, 32.0))
    fossa = _ellipsoid(mirrored, (0, -12, -20), (27, 22, 19.0))
    base = _ellipsoid(mirrored, (20, 6, -14), (16.5, 25, 14.0))
    inside = _blend(_blend(vault, fossa, 9.0), base, 8.0) < 0
    return np.asarray(inside | _near(brain, head.csf_gap, spacing_mm))


def _ventricles(head: _Head, points: np.ndarray, mirrored: np.ndarray) -> np.ndarray:
    """Lateral ventricles with their three horns, the cavum between them, third and fourth ventricle.

    The aqueduct is left out: it is thinner than the voxels.
    """
    horns = np.zeros(points.shape[1:], bool)
    for sign, factor in zip((-1.0, 1.0), head.ventricle, strict=True):
        side = points * np.array([sign, 1, 1], np.float32)[:, None, None, None]
        horns |= (_tube(side, _LATERAL_VENTRICLE, factor) < 0) | (_tube(side, _TEMPORAL_HORN, factor) < 0)
    radius, _ = _arch_angle(points)
    cavum = (radius < 0.88) & (points[2] > 4.0) & (mirrored[0] < 4.5)
    third = (mirrored[0] < 1.5) & (_ellipsoid(points, (0, 8, -1), (99, 10, 8.0)) < 0)
    fourth = _ellipsoid(points, (0, -7.6, -21), (4.2, 2.7, 5.5)) < 0
    return np.asarray(horns | cavum | third | fourth)


def _smoothed(labels: np.ndarray, sigma_voxels: float = 0.7) -> np.ndarray:
    """Give every voxel to the label with most of a Gaussian neighbourhood, so that borders are not jagged.

    The mask of the head is kept; ties go to the lower label.
    """
    best, most = labels.copy(), np.zeros(labels.shape, np.float32)
    for value in range(1, int(labels.max()) + 1):
        share = ndimage.gaussian_filter((labels == value).astype(np.float32), sigma_voxels, truncate=3)
        wins = (share > most) & (labels > 0)
        best[wins], most[wins] = value, share[wins]
    return best


def _without_specks(labels: np.ndarray, smallest: float = 0.02) -> np.ndarray:
    """Give pieces (6-connected) below the share `smallest` of their label's largest piece to the nearest kept label."""
    stray = np.zeros(labels.shape, bool)
    for value in range(int(labels.max()) + 1):
        pieces, count = ndimage.label(labels == value)
        if count > 1:
            sizes = np.bincount(pieces.ravel())
            stray |= (pieces > 0) & (sizes < smallest * sizes[1:].max())[pieces]
    if not stray.any():
        return labels
    nearest = ndimage.distance_transform_edt(stray, return_distances=False, return_indices=True)
    return np.asarray(labels[tuple(nearest)])
