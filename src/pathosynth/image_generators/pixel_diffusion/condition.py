"""From a label map to what the network is told: one-hot labels, signed distances, positions, brain size."""

from dataclasses import dataclass

import edt
import numpy as np

from pathosynth.data.labels import LabelScheme
from pathosynth.data.volume import Spacing
from pathosynth.image_generators.pixel_diffusion.config import Condition
from pathosynth.runs.errors import InputError


@dataclass(frozen=True)
class Anatomy:
    """A label map prepared for conditioning.

    Attributes:
        classes: (I, J, K) uint8, 0 background, 1..n the labels of the scheme in ascending order.
        class_count: n.
        distances_mm: (D, I, J, K) float32, signed distance to each set: negative inside.
        centre: middle of the brain's bounding box, voxels.
        half_extent: half of its edge lengths, voxels.
        log_size: natural logarithm of the labelled volume over 200 mL.
    """

    classes: np.ndarray
    class_count: int
    distances_mm: np.ndarray
    centre: np.ndarray
    half_extent: np.ndarray
    log_size: float


def channel_counts(config: Condition, scheme: LabelScheme) -> tuple[int, int, int]:
    """Numbers of channels: (at voxel size, of these one-hot, at block size)."""
    classes = len(scheme.values)
    return classes + len(config.distance_sets), classes, 4 + 6 * config.position_frequencies


def analyse(labels: np.ndarray, scheme: LabelScheme, spacing_mm: Spacing, config: Condition) -> Anatomy:
    """Measure a label map once; crops and transforms of it are cheap afterwards.

    Args:
        labels: (I, J, K) unsigned integers, RAS.
        scheme: legend of the labels.
        spacing_mm: voxel edge lengths.
        config: which distances.

    Raises:
        InputError: no voxel is labelled.
    """
    brain = labels > 0
    if not brain.any():
        raise InputError("Label map for an image generator: expected labelled voxels, found background only.")
    corners = np.stack([np.flatnonzero(brain.any(axis=tuple({0, 1, 2} - {a})))[[0, -1]] for a in range(3)])
    distances = [_signed_distance(_union(labels, scheme, names), spacing_mm) for names in config.distance_sets]
    return Anatomy(
        classes=scheme.indices(labels),
        class_count=len(scheme.values),
        distances_mm=np.stack(distances) if distances else np.zeros((0, *labels.shape), np.float32),
        centre=corners.mean(axis=1),
        half_extent=np.maximum(np.diff(corners, axis=1)[:, 0] / 2, 1),
        log_size=float(np.log(brain.sum() * np.prod(spacing_mm) / 1000 / 200)),
    )


def fine_channels(classes: np.ndarray, class_count: int, distances_mm: np.ndarray, config: Condition) -> np.ndarray:
    """One-hot labels (no background channel), then squashed distances. (n + D, I, J, K) float32."""
    one_hot = classes[None] == np.arange(1, class_count + 1, dtype=np.uint8)[:, None, None, None]
    return np.concatenate([one_hot.astype(np.float32), np.tanh(distances_mm / config.distance_scale_mm)])


def coarse_channels(position: np.ndarray, log_size: float, config: Condition) -> np.ndarray:
    """Positions, their sines and cosines, and brain size at block size.

    Args:
        position: (3, I, J, K) position of each block in the brain's bounding box, -1 to 1.
        log_size: see `Anatomy`.
        config: how many octaves.

    Returns:
        (4 + 6 octaves, I, J, K) float32.
    """
    angles = [np.pi * 2.0**octave * position for octave in range(config.position_frequencies)]
    waves = [wave(angle) for angle in angles for wave in (np.sin, np.cos)]
    size = np.full((1, *position.shape[1:]), log_size)
    return np.concatenate([position, *waves, size]).astype(np.float32)


def block_positions(shape: tuple[int, ...], factor: int) -> np.ndarray:
    """Voxel coordinates of block centres, (3, I/f, J/f, K/f)."""
    axes = [np.arange(n // factor) * factor + (factor - 1) / 2 for n in shape]
    return np.stack(np.meshgrid(*axes, indexing="ij"))


def _union(labels: np.ndarray, scheme: LabelScheme, names: tuple[str, ...]) -> np.ndarray:
    values = [value for name in names if scheme.has(name) for value in scheme.group(name)]
    return np.isin(labels, values + [0] * ("background" in names))


def _signed_distance(mask: np.ndarray, spacing_mm: Spacing) -> np.ndarray:
    """Millimetres to the set, negative inside; 100 mm everywhere when the set is empty, as for a missing structure."""
    if not mask.any():
        return np.full(mask.shape, 100.0, np.float32)
    outside = edt.edt(np.ascontiguousarray(~mask), anisotropy=spacing_mm)
    inside = edt.edt(np.ascontiguousarray(mask), anisotropy=spacing_mm)
    return np.asarray(outside - inside, dtype=np.float32)
