"""What an image generator is asked for: labels, and what is known of the case they came from."""

from dataclasses import dataclass

import numpy as np

from pathosynth.data.labels import LabelScheme
from pathosynth.data.volume import Spacing
from pathosynth.runs.errors import InputError


@dataclass(frozen=True)
class Request:
    """One image to be rendered.

    Attributes:
        labels: (I, J, K) unsigned integers in RAS orientation, 0 is background.
        scheme: legend of the labels.
        spacing_mm: voxel edge lengths.
        parent_image: (I, J, K) float32 image of the unmorphed case on the same grid, scaled as `data.intensity` does;
            None where there is none.
        displacement: (3, I, J, K) float32 backward displacement in voxels, morphed(x) = parent(x + displacement(x));
            None where the labels were not morphed from a parent.
    """

    labels: np.ndarray
    scheme: LabelScheme
    spacing_mm: Spacing
    parent_image: np.ndarray | None = None
    displacement: np.ndarray | None = None

    def __post_init__(self) -> None:
        """Refuse arrays that do not share one grid.

        Raises:
            InputError: an array has the wrong shape, or the labels are not unsigned integers.
        """
        shape = self.labels.shape
        if self.labels.ndim != 3 or self.labels.dtype.kind != "u":
            raise InputError(
                f"Request: expected 3D labels of an unsigned integer type, found {self.labels.dtype} of shape {shape}. "
                "Read them with data.nifti.read_labels."
            )
        if self.parent_image is not None and self.parent_image.shape != shape:
            raise InputError(
                f"Request: expected a parent image of shape {shape} like the labels, found {self.parent_image.shape}. "
                "Bring image and labels to one grid first (prepare)."
            )
        if self.displacement is not None and self.displacement.shape != (3, *shape):
            raise InputError(
                f"Request: expected a displacement of shape {(3, *shape)}, found {self.displacement.shape}. "
                "Use the displacement written together with these labels."
            )
