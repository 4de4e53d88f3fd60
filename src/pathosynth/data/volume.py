"""A 3D array and where it lies in space; never one without the other."""

from dataclasses import dataclass

import numpy as np

Spacing = tuple[float, float, float]
"""Voxel edge lengths along the three array axes, in millimetres."""


@dataclass(frozen=True)
class Volume:
    """Voxels on a regular grid.

    Attributes:
        array: (I, J, K) voxels. Images are float32, labels an unsigned integer type.
        affine: (4, 4) float64, voxel indices to millimetres in RAS+ space.
    """

    array: np.ndarray
    affine: np.ndarray

    @property
    def shape(self) -> tuple[int, int, int]:
        """Number of voxels along each axis."""
        i, j, k = self.array.shape
        return (i, j, k)

    @property
    def spacing_mm(self) -> Spacing:
        """Voxel edge lengths in millimetres."""
        x, y, z = np.sqrt((self.affine[:3, :3] ** 2).sum(axis=0))
        return (float(x), float(y), float(z))

    @property
    def voxel_ml(self) -> float:
        """Volume of one voxel in millilitres."""
        return float(abs(np.linalg.det(self.affine[:3, :3]))) / 1000.0

    def with_array(self, array: np.ndarray) -> "Volume":
        """The same grid with other voxels.

        Raises:
            ValueError: the shape differs.
        """
        if array.shape != self.array.shape:
            raise ValueError(f"expected an array of shape {self.array.shape}, found {array.shape}")
        return Volume(array, self.affine)
