"""A made label map against a real patient's: alignment, measures and tables shared by the headline_* comparisons.

The made map is brought onto the patient's by a rigid transform (for adults with one isotropic scale) that knows labels
only: cerebrum, deep grey matter and brainstem are laid over each other, coarse to fine, by least squares on the
differences of their smoothed masks. The cerebellum takes no part, so that its place can be judged. Volumes, lengths and
thicknesses are always those of the map's own grid; only places and Dice are taken after the alignment.
"""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import numpy as np
import scipy.ndimage as ndi
from scipy.optimize import least_squares
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation
from scipy.stats import wasserstein_distance

from comparison_tables import Record
from head import Head
from pathosynth.morphing import measure
from pathosynth.runs.errors import PathosynthError

_BLOCKS = (4, 2)  # voxels per side of the blocks, coarse to fine
_POINTS = 80_000  # of the patient's blocks, always the same ones, decide where a map lies
_RADIUS_MM = 50.0  # turns and scales count as millimetres at this distance from the centre
_MARGIN_MM = 8.0
_LOWEST_PERCENTILE = 1.0  # the lowest point of a structure, free of single voxels


@dataclass(frozen=True)
class Placement:
    """Millimetres of the patient's grid to millimetres of the made map's grid, and back.

    Attributes:
        rotation: (3, 3).
        scale: size of the made map over the patient's; 1 for rigid transforms.
        here, there: (3,) mm, a point of the patient and where it lies in the made map.
    """

    rotation: np.ndarray
    scale: float
    here: np.ndarray
    there: np.ndarray

    def to_made(self, points_mm: np.ndarray) -> np.ndarray:
        """(n, 3) points of the patient in the made map."""
        return np.asarray((points_mm - self.here) @ self.rotation.T * self.scale + self.there)

    def to_patient(self, points_mm: np.ndarray) -> np.ndarray:
        """(n, 3) points of the made map in the patient."""
        return np.asarray((points_mm - self.there) / self.scale @ self.rotation + self.here)


def align(made: Head, patient: Head, *, scaled: bool) -> Placement:
    """The transform that lays cerebrum, deep grey matter and brainstem of a made map over the patient's.

    Args:
        made: the map that moves.
        patient: the map that stays.
        scaled: whether one isotropic scale is free as a seventh parameter.
    """
    here, there = (head.points_mm(_cerebrum(head)).mean(axis=0) for head in (patient, made))
    parameters = np.zeros(7 if scaled else 6)
    for block in _BLOCKS:
        points, shares = _samples(patient, block)
        moving = _Moving(made, block, points, shares, here, there)
        parameters = least_squares(moving.residuals, parameters, moving.jacobian, method="lm", xtol=1e-4).x
    return _placement(parameters, here, there)


def _cerebrum(head: Head) -> np.ndarray:
    """Everything inside the skull but external CSF, cerebellum and brainstem."""
    return head.mask("intracranial") & ~head.mask("external_csf", "cerebellum", "brainstem")


def _placement(parameters: np.ndarray, here: np.ndarray, there: np.ndarray) -> Placement:
    """Turn (3), shift (3) and, where it is free, scale, all in millimetres at `_RADIUS_MM`."""
    rotation = Rotation.from_rotvec(parameters[:3] / _RADIUS_MM).as_matrix()
    scale = float(np.exp(parameters[6] / _RADIUS_MM)) if len(parameters) > 6 else 1.0
    return Placement(rotation, scale, here, there + parameters[3:6])


class _Moving:
    """The made map's three masks, sampled where a transform takes the patient's points; differences and derivatives."""

    def __init__(
        self, made: Head, block: int, points: np.ndarray, shares: np.ndarray, here: np.ndarray, there: np.ndarray
    ) -> None:
        self.points, self.shares, self.here, self.there = points, shares, here, there
        self.masks, self.edges_mm = _pyramid(made, block), block * np.array(made.spacing_mm)
        self.slopes = [np.gradient(mask, *self.edges_mm) for mask in self.masks]
        self.first_mm = (block - 1) / 2 * np.array(made.spacing_mm)
        self.weights = 1.0 / np.sqrt((shares**2).sum(axis=1))

    def places(self, parameters: np.ndarray) -> np.ndarray:
        """(n, 3) mm in the made map."""
        return _placement(parameters, self.here, self.there).to_made(self.points)

    def sample(self, array: np.ndarray, places: np.ndarray) -> np.ndarray:
        at = ((places - self.first_mm) / self.edges_mm).T
        return np.asarray(ndi.map_coordinates(array, at, order=1, prefilter=False))

    def residuals(self, parameters: np.ndarray) -> np.ndarray:
        """Differences of the three masks, each in units of the patient's mask, (3 n,)."""
        places = self.places(parameters)
        moved = np.stack([self.sample(mask, places) for mask in self.masks])
        return np.asarray((self.weights[:, None] * (moved - self.shares)).ravel())

    def jacobian(self, parameters: np.ndarray) -> np.ndarray:
        """(3 n, parameters)."""
        places, step = self.places(parameters), 1e-3
        moves = [(self.places(parameters + step * unit) - places) / step for unit in np.eye(len(parameters))]
        rows = []
        for weight, slopes in zip(self.weights, self.slopes, strict=True):
            slope = np.stack([self.sample(component, places) for component in slopes], axis=1)
            rows.append(weight * np.stack([(slope * move).sum(axis=1) for move in moves], axis=1))
        return np.concatenate(rows)


def _samples(patient: Head, block: int) -> tuple[np.ndarray, np.ndarray]:
    """Centres of blocks in and around the cerebrum (n, 3) mm, and the share of the three masks in each (3, n)."""
    margin = int(np.ceil(_MARGIN_MM / (block * min(patient.spacing_mm))))
    masks = [np.pad(mask, margin) for mask in _pyramid(patient, block)]
    box = measure.bounding_box(masks[0] > 0.05, margin)
    chosen = np.random.default_rng(0).permutation(masks[0][box].size)[:_POINTS]
    start = np.array([part.start for part in box]) - margin
    index = np.indices(masks[0][box].shape).reshape(3, -1).T[chosen] + start
    points = (index * block + (block - 1) / 2) * np.array(patient.spacing_mm)
    return points, np.stack([mask[box].ravel()[chosen] for mask in masks])


def _pyramid(head: Head, block: int) -> list[np.ndarray]:
    """The three masks as smoothed shares of blocks of voxels, float32."""
    masks = (_cerebrum(head), head.mask("deep_grey_matter"), head.mask("brainstem"))
    pad = [(0, -n % block) for n in head.labels.shape]
    out = []
    for mask in masks:
        full = np.pad(mask, pad).astype(np.float32)
        i, j, k = (n // block for n in full.shape)
        share = full.reshape(i, block, j, block, k, block).mean(axis=(1, 3, 5))
        out.append(ndi.gaussian_filter(share, 1.0, mode="constant").astype(np.float32))
    return out


def onto(made: Head, patient: Head, placement: Placement) -> np.ndarray:
    """Labels of a made map on the patient's grid, nearest neighbour."""
    points = np.indices(patient.labels.shape, dtype=np.float32).reshape(3, -1).T * np.array(patient.spacing_mm)
    index = np.rint(placement.to_made(points) / np.array(made.spacing_mm)).astype(np.int32)
    inside = ((index >= 0) & (index < made.labels.shape)).all(axis=1)
    out = np.zeros(len(index), made.labels.dtype)
    out[inside] = made.labels[tuple(index[inside].T)]
    return out.reshape(patient.labels.shape)


def self_check(head: Head, *, scaled: bool) -> str:
    """Turn, shift (and scale) a map by a known transform, align it back, and say how far off the brain is at most.

    Raises:
        SystemExit: it is off by more than half a voxel, or a map differs from itself.
    """
    centre = head.points_mm(_cerebrum(head)).mean(axis=0)
    rotation = Rotation.from_euler("xyz", [8.0, -5.0, 6.0], degrees=True).as_matrix()
    truth = Placement(rotation, 1.06 if scaled else 1.0, centre, centre + np.array([4.0, -3.0, 5.0]))
    turned = Head(onto(head, head, truth), head.scheme, head.spacing_mm)
    points = head.points_mm(_cerebrum(turned))
    error = np.linalg.norm(align(head, turned, scaled=scaled).to_made(points) - truth.to_made(points), axis=1)
    itself, _ = compare(head, head, scaled=scaled)
    known = "8, -5, 6 degrees, 7.1 mm" + (", scale 1.06" if scaled else "")
    text = (
        f"Alignment check ({known}): at most {error.max():.2f} mm off, mean {error.mean():.2f} mm; "
        f"a map against itself: ventricle Dice {itself['dice_ventricles']:.3f}."
    )
    if error.max() > 0.5 * min(head.spacing_mm) or itself["dice_ventricles"] < 0.999:
        raise SystemExit(f"{text} Expected half a voxel and 0.999: the comparison cannot be trusted.")
    return text


def compare(made: Head, patient: Head, *, scaled: bool) -> tuple[dict[str, float], dict[str, float]]:
    """Measures of a made map by the keys of `comparison_tables`, and the patient's own where it has any."""
    placement = align(made, patient, scaled=scaled)
    placed, voxel_ml = onto(made, patient, placement), float(np.prod(made.spacing_mm)) / 1000.0
    present, values = list(patient.volumes_ml), dict(made.alone)
    ratios = {v: max(made.volumes_ml.get(v, 0.0), voxel_ml) / patient.volumes_ml[v] for v in present}
    values |= {f"ratio_{patient.scheme[v].name}": ratio for v, ratio in ratios.items()}
    values["ln_ratio"] = float(np.mean([abs(np.log(ratio)) for ratio in ratios.values()]))
    values["dice_ventricles"] = dice(placed, patient.labels, patient.scheme.group("ventricles"))
    values["dice_labels"] = float(np.mean([dice(placed, patient.labels, (v,)) for v in present]))
    values |= mantle_distances(made, patient, placement)
    for group in ("cerebellum", "brainstem"):
        own, other = (head.points_mm(head.mask(group)) for head in (patient, made))
        values[f"{group}_lowest_mm"] = lowest_mm(placement.to_patient(other)) - lowest_mm(own)
    return values, patient.alone


def attempt(
    blank: Record, make: Callable[[], np.ndarray], patient: Head, *, scaled: bool, leave_out: Iterable[str]
) -> Record:
    """The record of one map, made and compared, or why it was refused.

    Args:
        blank: what is known beforehand.
        make: gives the labels, on the patient's voxel size.
        patient: what they are compared with.
        scaled: see `align`.
        leave_out: measures without meaning here.
    """
    begun = time.perf_counter()
    try:
        labels = make()
    except PathosynthError as error:
        return replace(blank, refused=str(error))
    seconds = time.perf_counter() - begun
    values, real = compare(Head(labels, patient.scheme, patient.spacing_mm), patient, scaled=scaled)
    values = {key: value for key, value in values.items() if key not in leave_out}
    return replace(blank, values=values, real=real, seconds=seconds)


def dice(first: np.ndarray, second: np.ndarray, values: Iterable[int]) -> float:
    """Twice the shared voxels over the sum of both masks; NaN where both are empty."""
    a, b = np.isin(first, list(values)), np.isin(second, list(values))
    total = int(a.sum()) + int(b.sum())
    return 2.0 * int((a & b).sum()) / total if total else float("nan")


def lowest_mm(points: np.ndarray) -> float:
    """Height of the lowest of (n, 3) points in mm; NaN without any."""
    return float(np.percentile(points[:, 2], _LOWEST_PERCENTILE)) if len(points) else float("nan")


def mantle_distances(made: Head, patient: Head, placement: Placement) -> dict[str, float]:
    """Mantle thickness: distance of the distributions, and mean difference to the nearest point after alignment, mm."""
    (points, thickness), (real_points, real_thickness) = made.mantle, patient.mantle
    if not len(points) or not len(real_points):
        return {"mantle_quantiles_mm": float("nan"), "mantle_points_mm": float("nan")}
    _, nearest = cKDTree(placement.to_patient(points)).query(real_points)
    return {
        "mantle_quantiles_mm": float(wasserstein_distance(thickness, real_thickness)),
        "mantle_points_mm": float(np.abs(thickness[nearest] - real_thickness).mean()),
    }
