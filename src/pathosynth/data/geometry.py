"""Affines in millimetres: is one usable, and how far apart are two of them."""

import numpy as np

SAME_GRID_MM = 1e-3
"""Two grids are the same when no corner of one lies further than this from the same corner of the other."""

SHEAR = 1e-4
"""Largest cosine between two voxel axes that still counts as a right angle."""

SPACING_LIMITS_MM = (0.01, 50.0)
"""Voxel edges outside this range are a wrong unit or a damaged header, not a brain MRI."""


def corners(shape: tuple[int, ...]) -> np.ndarray:
    """Homogeneous voxel indices, (4, 8), of the eight corner voxels of a grid of `shape` (I, J, K)."""
    ends = [(0.0, float(n - 1)) for n in shape[:3]]
    grid = np.array(np.meshgrid(*ends, indexing="ij")).reshape(3, 8)
    return np.vstack([grid, np.ones(8)])


def corner_distance_mm(affine: np.ndarray, other: np.ndarray, shape: tuple[int, ...]) -> float:
    """Largest distance in millimetres between the corners of one grid `shape` placed by two affines."""
    moved = (affine - other) @ corners(shape)
    return float(np.sqrt((moved[:3] ** 2).sum(axis=0)).max())


def spacing_of(affine: np.ndarray) -> np.ndarray:
    """Voxel edge lengths, (3,) float64, in millimetres: the column norms of the affine."""
    return np.asarray(np.sqrt((np.asarray(affine, dtype=np.float64)[:3, :3] ** 2).sum(axis=0)))


def affine_fault(affine: np.ndarray) -> str:
    """What makes a 4x4 affine unusable, in a few words; an empty text when nothing does.

    Usable means: finite, voxel edges within `SPACING_LIMITS_MM`, axes at right angles within `SHEAR`. Reflections
    (a negative determinant) are usable: most scanners write them.
    """
    if not np.isfinite(affine).all():
        return "an affine with NaN or infinite entries"
    spacing = spacing_of(affine)
    low, high = SPACING_LIMITS_MM
    if spacing.min() < low or spacing.max() > high:
        return f"an affine with voxel edges {_listed(spacing)} mm"
    axes = affine[:3, :3] / spacing
    cosines = np.abs(axes.T @ axes - np.eye(3))
    if cosines.max() > SHEAR:
        fault = "singular" if abs(np.linalg.det(axes)) < 1e-6 else "sheared"
        return f"a {fault} affine (its axes are {cosines.max():.2g} off the right angle, as a cosine)"
    return ""


def quaternion_rounding_mm(quaternion: np.ndarray, affine: np.ndarray, shape: tuple[int, ...]) -> float:
    """How far a corner may move because three quaternion entries are stored as float32, in millimetres.

    The fourth entry a = sqrt(1 - b^2 - c^2 - d^2) is not stored; near half a turn it is small and rounding of
    the others moves it by up to sqrt(rounding), so a rotation read back is not the one written.
    """
    rounding = 4 * float(np.finfo(np.float32).eps)
    squared = max(1.0 - float((quaternion.astype(np.float64) ** 2).sum()), 0.0)
    angle = 2.0 * (np.sqrt(squared + rounding) - np.sqrt(max(squared - rounding, 0.0))) + rounding
    extent = spacing_of(affine) * (np.asarray(shape[:3]) - 1)
    return float(angle * np.sqrt((extent**2).sum()))


def _listed(values: np.ndarray) -> str:
    return " x ".join(f"{value:.6g}" for value in values)
