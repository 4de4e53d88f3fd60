"""Small heads of analytic shape, in scheme kcl8: 1 white matter, 2 ventricles, 4 external CSF, 5 cortex."""

import numpy as np

SHAPE_MM = (60.0, 72.0, 60.0)
OFF_LATTICE_MM = (0.0, 0.31, 0.17)
"""Centre of the head; on a lattice point, whole layers of voxels would change sides at once."""


def ellipsoid(points, centre, radii):
    return sum(((p - c) / r) ** 2 for p, c, r in zip(points, centre, radii, strict=True)) <= 1.0


def centred_grid(shape, spacing_mm):
    axes = [(np.arange(n) - (n - 1) / 2) * s for n, s in zip(shape, spacing_mm, strict=True)]
    return np.meshgrid(*axes, indexing="ij")


def two_ventricles(spacing_mm=(1.0, 1.0, 1.0), gap_mm=8.0, dtype=np.uint8):
    """Mirror-symmetric head: two lateral ventricles in white matter, cortex, external CSF."""
    shape = [2 * round(length / s / 2) for length, s in zip(SHAPE_MM, spacing_mm, strict=True)]
    p = centred_grid(shape, spacing_mm)
    labels = np.zeros(shape, dtype)
    for value, radii in ((4, (26, 32, 26)), (5, (22, 28, 22)), (1, (19, 25, 19))):
        labels[ellipsoid(p, OFF_LATTICE_MM, radii)] = value
    for sign in (-1, 1):
        labels[ellipsoid(p, (sign * gap_mm, -3, 0.1), (4.3, 12.1, 5.2))] = 2
    return labels


def spheres(radii_mm=(8.0, 16.0, 19.0, 24.0), spacing_mm=1.0, half=28):
    """Concentric spheres: ventricle, white matter, cortex, external CSF."""
    p = centred_grid((2 * half,) * 3, (spacing_mm,) * 3)
    r = np.sqrt(sum(c**2 for c in p))
    labels = np.zeros(r.shape, np.uint8)
    for value, radius in zip((4, 5, 1, 2), radii_mm[::-1], strict=True):
        labels[r <= radius] = value
    return labels
