"""The part of the array that is worked on: the head and a margin, in multiples of the coarse blocks."""

from dataclasses import dataclass

import numpy as np

from pathosynth.data.volume import Spacing
from pathosynth.morphing.coarse import block_factors
from pathosynth.morphing.measure import bounding_box
from pathosynth.runs.errors import MorphError

_MARGIN_BLOCKS = 3


@dataclass(frozen=True)
class Frame:
    """First voxel and size of a box; it may reach beyond the array."""

    low: tuple[int, ...]
    shape: tuple[int, ...]


def frame_head(labels: np.ndarray, spacing_mm: Spacing, room_mm: float) -> Frame:
    """Box of the head with room for the halo and `room_mm` for the skull to grow, a multiple of the block factors."""
    factors = block_factors(spacing_mm)
    low, shape = [], []
    for part, factor, spacing in zip(bounding_box(labels > 0), factors, spacing_mm, strict=True):
        margin = _MARGIN_BLOCKS * factor + int(np.ceil(room_mm / spacing))
        size = part.stop - part.start + 2 * margin
        low.append(part.start - margin)
        shape.append(-(-size // factor) * factor)
    return Frame(tuple(low), tuple(shape))


def cut(array: np.ndarray, frame: Frame) -> np.ndarray:
    """The frame's part of an array, 0 beyond the array."""
    out = np.zeros(frame.shape, array.dtype)
    inside, outside = _overlap(frame, array.shape)
    out[inside] = array[outside]
    return out


def _overlap(frame: Frame, shape: tuple[int, ...]) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
    """The common part of frame and array, in the frame's and in the array's voxels."""
    inside, outside = [], []
    for low, size, full in zip(frame.low, frame.shape, shape, strict=True):
        first, last = max(low, 0), min(low + size, full)
        inside.append(slice(first - low, last - low))
        outside.append(slice(first, last))
    return tuple(inside), tuple(outside)


def paste_labels(inner: np.ndarray, frame: Frame, like: np.ndarray) -> np.ndarray:
    """Put the frame back into a full array."""
    inside, outside = _overlap(frame, like.shape)
    if int((inner > 0).sum()) != int((inner[inside] > 0).sum()):
        raise MorphError("The head grew beyond the image. Pad the label map with background on every side first.")
    out = np.zeros_like(like)
    out[outside] = inner[inside]
    return out


def paste_field(inner: np.ndarray, frame: Frame, shape: tuple[int, ...]) -> np.ndarray:
    """Displacement on the full array, 0 outside the frame."""
    inside, outside = _overlap(frame, shape)
    out = np.zeros((3, *shape), np.float32)
    out[(slice(None), *outside)] = inner[(slice(None), *inside)]
    return out
