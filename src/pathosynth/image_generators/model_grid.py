"""Between a user's label map and the scheme, voxel size and intensity range a trained model works in."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import scipy.ndimage as ndi

from pathosynth.data.grid import resample_labels, resample_onto
from pathosynth.data.labels import LabelScheme, in_scheme
from pathosynth.data.pairs import Pair
from pathosynth.data.volume import Spacing, Volume
from pathosynth.runs.errors import InputError

INTENSITY_RULE = "0 and 1 are the 0.5th and 99.5th percentile inside the labels, per volume; background 0"

SPACING_TOLERANCE = 0.05
"""Relative difference of voxel size up to which labels are rendered on their own grid.

Beyond it they are resampled to the model's and the image is brought back. Training images are scaled by more than this.
"""


def labels_for(labels: np.ndarray, scheme: LabelScheme, wanted: LabelScheme) -> np.ndarray:
    """Labels in the model's scheme, by the explicit table of their own scheme.

    Raises:
        ConfigError: there is no such table.
        InputError: a value is not in the scheme.
    """
    return in_scheme(labels, scheme, wanted, f"This model was trained on scheme '{wanted.name}'")


def pair_for(pair: Pair, scheme: LabelScheme, wanted: LabelScheme) -> Pair:
    """A training pair with its labels in the model's scheme; errors as `labels_for`."""
    return replace(pair, labels=labels_for(pair.labels, scheme, wanted))


def common_spacing(pairs: Sequence[Pair]) -> float:
    """The one isotropic voxel size of all training pairs, millimetres.

    Raises:
        InputError: no pairs, or they differ in voxel size.
    """
    if not pairs:
        raise InputError("Training: expected at least one case with labels and an image, found none. Check --input.")
    sizes = np.array([pair.spacing_mm for pair in pairs])
    if np.ptp(sizes) > 0.01 * sizes.mean():
        raise InputError(
            f"Training: expected one isotropic voxel size, found {sizes.min():.3f} to {sizes.max():.3f} mm. "
            "Run `pathosynth prepare --spacing-mm ...` first."
        )
    return round(float(sizes.mean()), 4)


def to_model_range(image: np.ndarray) -> np.ndarray:
    """Robustly scaled intensities (0..1) to the network's -1..1; vessels are cut at 1.5 times the 99.5th percentile."""
    scaled: np.ndarray = (np.clip(image, 0.0, 1.5) * 2 - 1).astype(np.float32)
    return scaled


def from_model_range(values: np.ndarray) -> np.ndarray:
    """The inverse of `to_model_range`; nothing is darker than background."""
    image: np.ndarray = np.clip((values + 1) / 2, 0.0, 1.5).astype(np.float32)
    return image


def rendered_at(
    labels: np.ndarray,
    spacing_mm: Spacing,
    model_spacing_mm: Spacing,
    render: Callable[[np.ndarray, Spacing], np.ndarray],
) -> np.ndarray:
    """An image on the labels' own voxels, made at the model's voxel size where the two differ.

    Args:
        labels: (I, J, K) in the model's scheme.
        spacing_mm: their voxel edge lengths.
        model_spacing_mm: voxel edge lengths the model was trained at.
        render: labels and their voxel size to an image on their voxels, 0 outside the labels.

    Raises:
        InputError: no voxel is labelled.
    """
    if not labels.any():
        raise InputError("Image generation: expected labelled voxels, found background only. Check the label map.")
    ratios = np.array(spacing_mm) / np.array(model_spacing_mm)
    if np.abs(ratios - 1).max() <= SPACING_TOLERANCE:
        return render(labels, spacing_mm)
    own = Volume(labels, np.diag([*spacing_mm, 1.0]))
    grid = labels_at(own, model_spacing_mm)
    return bring_back(render(grid.array, grid.spacing_mm), grid, own)


def labels_at(own: Volume, spacing_mm: Spacing) -> Volume:
    """Labels on voxels of another size, same centre and at least the same field of view; largest share wins."""
    if np.ptp(spacing_mm) == 0:
        return resample_labels(own, spacing_mm[0])
    return resample_onto(own, grid_around(own, spacing_mm), labels=True)


def grid_around(own: Volume, spacing_mm: Spacing) -> Volume:
    """An empty grid of that voxel size with the centre of `own` and at least its field of view."""
    old, new = np.array(own.spacing_mm), np.array(spacing_mm)
    shape = [max(1, int(np.ceil(n * a / b - 1e-6))) for n, a, b in zip(own.shape, old, new, strict=True)]
    affine = np.diag([*new, 1.0])
    affine[:3, 3] = own.affine[:3, 3] + ((np.array(own.shape) - 1) * old - (np.array(shape) - 1) * new) / 2
    return Volume(np.zeros(shape, own.array.dtype), affine)


def bring_back(image: np.ndarray, grid: Volume, own: Volume) -> np.ndarray:
    """An image made on `grid`, on the voxels of the labels `own`.

    Smoothed first where these are larger, as in `data.grid`; divided by what the brain's mask becomes on the same way,
    so that background does not darken the brain's edge.
    """
    ratios = np.array(own.spacing_mm) / np.array(grid.spacing_mm)
    blur = [0.425 * np.sqrt(max(r**2 - 1, 0.0)) for r in ratios]

    def moved(array: np.ndarray) -> np.ndarray:
        return resample_onto(Volume(ndi.gaussian_filter(array, blur), grid.affine), own, labels=False).array

    cover = moved((grid.array > 0).astype(np.float32))
    back: np.ndarray = np.where(own.array > 0, moved(image) / np.maximum(cover, 0.05), 0).astype(np.float32)
    return back
