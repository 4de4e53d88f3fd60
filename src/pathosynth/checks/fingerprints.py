"""Fixed embeddings of a brain for finding copies: what its folds look like, not how large or what shape it is.

Every embedding is arithmetic on the voxels: nothing is learnt, downloaded or drawn at random, so a fingerprint made
today compares with one made in ten years. Its name carries the version; changed arithmetic is a new name.

``folds``: the brain is looked at along 1500 directions from the middle of the cerebrum, in units of its standard
deviation along each axis (position, size and voxel size drop out). Below a hull over the gyri, four shells are read,
and from each direction's value the average over its surroundings is taken, so that sulci against gyri remain and
global shape does not. Ventricles count as white matter. An intensity image is replaced by its ranks inside the
cerebrum first, so that every increasing intensity curve drops out.

``plain``: the same brain on a 16 x 20 x 16 grid of the same frame, nothing taken away, for plain correlation.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy import ndimage, stats

from pathosynth.data.labels import LabelScheme

DIRECTIONS = 1500
SHELLS = (0.09, 0.27, 0.45, 0.63)
"""Depths below the hull in standard deviations of the cerebrum: about 1.3, 4, 7 and 9 mm in an adult."""
SMOOTHING = 0.07
"""Gaussian before reading, in the same unit; 1 mm in an adult."""
SURROUNDINGS = 0.35
"""Angular Gaussian taken away, in radians: 20 degrees, wider than a gyrus."""
HULL_NEIGHBOURS = 24
REACH = 3.2
GRID = (16, 20, 16)
GRID_REACH = 2.4
KINDS = ("folds-labels-v1", "folds-image-v1", "plain-labels-v1", "plain-image-v1")
"""Names of the embeddings: judged ones first."""

_GREY, _INNER, _AROUND = 1, 2, 3


@dataclass(frozen=True)
class Frame:
    """A brain ready to be read: cropped tissue classes and where its cerebrum lies.

    Attributes:
        tissue: (I, J, K) uint8: 1 cortical grey matter, 2 all else inside the cerebrum, ventricles included, 3 CSF
            and hindbrain, 0 background.
        box: where `tissue` was cut out of the label map.
        centre: (3,) centroid of the cerebrum, in voxels of `tissue`.
        size: (3,) standard deviation of its voxels along each axis.
    """

    tissue: np.ndarray
    box: tuple[slice, ...]
    centre: np.ndarray
    size: np.ndarray


def frame_of(labels: np.ndarray, scheme: LabelScheme) -> Frame | None:
    """Find the cerebrum; None where there is none, or where it is flat, so that it has no inside.

    Args:
        labels: (I, J, K) unsigned integers with values of `scheme`.
        scheme: its legend. Only tissue classes and the group ``ventricles`` are used, which are the same for
            left/right partners: a mirrored map with swapped partners has the mirrored fingerprint.
    """
    tissue = _tissue_table(scheme, int(labels.max(initial=0)))[labels]
    cerebrum = (tissue == _GREY) | (tissue == _INNER)
    if not cerebrum.any():
        return None
    box = ndimage.find_objects(cerebrum.astype(np.uint8))[0]
    tissue, cerebrum = np.ascontiguousarray(tissue[box]), cerebrum[box]
    centre, size = np.zeros(3), np.zeros(3)
    for axis in range(3):
        counts = cerebrum.sum(axis=tuple(a for a in range(3) if a != axis)).astype(np.float64)
        at = np.arange(counts.size)
        centre[axis] = (counts * at).sum() / counts.sum()
        size[axis] = np.sqrt((counts * (at - centre[axis]) ** 2).sum() / counts.sum())
    return Frame(tissue, box, centre, size) if size.min() >= 1.0 else None


def label_folds(frame: Frame) -> np.ndarray:
    """``folds-labels-v1``: float32 (2 * shells * DIRECTIONS,), of grey matter and of what lies inside it."""
    return _folds([(frame.tissue == value).astype(np.float32) for value in (_GREY, _INNER)], frame)


def image_folds(frame: Frame, ranks: np.ndarray) -> np.ndarray:
    """``folds-image-v1``: float32 (shells * DIRECTIONS,), of an image's ranks (`image_ranks`)."""
    return _folds([ranks], frame)


def image_ranks(frame: Frame, image: np.ndarray) -> np.ndarray:
    """Rank of every voxel among those of cerebrum and CSF around it, -0.5 to 0.5, ties shared; 0 elsewhere.

    Args:
        frame: of the labels on the same grid.
        image: (I, J, K) finite intensities, whole grid of the label map.

    Returns:
        float32, shape of `frame.tissue`. Any increasing change of the intensities leaves it as it is.
    """
    inside = frame.tissue > 0
    values = image[frame.box][inside]
    ranks = np.zeros(frame.tissue.shape, np.float32)
    ranks[inside] = (stats.rankdata(values) - (values.size + 1) / 2) / values.size
    return ranks


def label_plain(frame: Frame) -> np.ndarray:
    """``plain-labels-v1``: float32 (voxels of GRID,), grey matter 1, inside 2, rest 0, averaged."""
    return _plain(np.where(frame.tissue == _AROUND, 0, frame.tissue).astype(np.float32), frame)


def image_plain(frame: Frame, ranks: np.ndarray) -> np.ndarray:
    """``plain-image-v1``: float32 (voxels of GRID,), an image's ranks (`image_ranks`), averaged."""
    return _plain(ranks, frame)


def mirrored(vectors: np.ndarray, kind: str) -> np.ndarray:
    """Fingerprints (..., d) of the mirrored brains, partner labels swapped; exact but for rounding."""
    lead = vectors.shape[:-1]
    if kind.startswith("plain"):
        return vectors.reshape(*lead, *GRID)[..., ::-1, :, :].reshape(vectors.shape)
    sides = vectors.reshape(*lead, -1, 2, DIRECTIONS // 2)
    return sides[..., ::-1, :].reshape(vectors.shape)


@lru_cache
def _tissue_classes(scheme_labels: tuple[tuple[int, str, bool], ...], most: int) -> np.ndarray:
    """Table from label value to `Frame.tissue`; values outside the scheme become background."""
    table = np.zeros(most + 1, np.uint8)
    for value, tissue, ventricle in scheme_labels:
        if ventricle or tissue in ("white_matter", "deep_grey_matter"):
            table[value] = _INNER
        elif tissue != "other":
            table[value] = _GREY if tissue == "grey_matter" else _AROUND
    return table


def _tissue_table(scheme: LabelScheme, most: int) -> np.ndarray:
    ventricles = scheme.group("ventricles") if scheme.has("ventricles") else ()
    rows = tuple((label.value, label.tissue, label.value in ventricles) for label in scheme.labels)
    return _tissue_classes(rows, max(most, *scheme.values))


@lru_cache
def _directions() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Unit vectors (DIRECTIONS, 3), right half first and its mirror image second; each one's nearest; surroundings.

    The vectors are a Fibonacci lattice. Nearest is (DIRECTIONS, HULL_NEIGHBOURS) indices; surroundings a
    (DIRECTIONS, DIRECTIONS) float32 averaging matrix with rows of sum 1.
    """
    index = np.arange(DIRECTIONS) + 0.5
    polar, turn = np.arccos(1 - 2 * index / DIRECTIONS), np.pi * (1 + np.sqrt(5)) * index
    unit = np.stack([np.cos(turn) * np.sin(polar), np.sin(turn) * np.sin(polar), np.cos(polar)], axis=1)
    right = unit[np.argsort(-unit[:, 0], kind="stable")[: DIRECTIONS // 2]]
    unit = np.concatenate([right, right * [-1, 1, 1]])
    angle = np.arccos(np.clip(unit @ unit.T, -1, 1))
    weight = np.exp(-0.5 * (angle / SURROUNDINGS) ** 2)
    return unit, np.argsort(angle, axis=1)[:, :HULL_NEIGHBOURS], weight / weight.sum(axis=1, keepdims=True)


def _hull(frame: Frame) -> np.ndarray:
    """(DIRECTIONS,) radius of a hull over the gyri: the 80th percentile of the outer radius over near directions."""
    unit, nearest, _ = _directions()
    steps = np.linspace(0, REACH, 97)
    where = frame.centre[:, None, None] + frame.size[:, None, None] * (unit.T[:, :, None] * steps)
    at = np.rint(where).astype(np.int32)
    limit = np.array(frame.tissue.shape)[:, None, None]
    within = ((at >= 0) & (at < limit)).all(axis=0)
    i, j, k = np.clip(at, 0, limit - 1)
    found = frame.tissue[i, j, k]
    cerebrum = within & ((found == _GREY) | (found == _INNER))
    radius = np.where(cerebrum, steps, 0.0).max(axis=1)
    return np.asarray(np.percentile(radius[nearest], 80, axis=1))


def _folds(channels: list[np.ndarray], frame: Frame) -> np.ndarray:
    """Smoothed channels read on the shells, minus the average over each direction's surroundings."""
    unit, _, surroundings = _directions()
    radii = _hull(frame)[None, :] - np.array(SHELLS)[:, None]
    where = frame.centre[:, None, None] + frame.size[:, None, None] * (unit.T[:, None, :] * radii)
    read = []
    for channel in channels:
        smooth = ndimage.gaussian_filter(channel, SMOOTHING * frame.size, mode="constant", truncate=2.5)
        read.append(ndimage.map_coordinates(smooth, where, order=1, mode="constant"))
    values = np.concatenate(read)
    return np.asarray(values - values @ surroundings.T, dtype=np.float32).ravel()


def _plain(channel: np.ndarray, frame: Frame) -> np.ndarray:
    """The channel averaged with a Gaussian of half a grid step, at the points of the grid."""
    for axis, count in enumerate(GRID):
        points = frame.centre[axis] + frame.size[axis] * np.linspace(-GRID_REACH, GRID_REACH, count)
        width = GRID_REACH * frame.size[axis] / (count - 1)
        weights = np.exp(-0.5 * ((np.arange(channel.shape[axis]) - points[:, None]) / width) ** 2)
        rows = (weights / (width * np.sqrt(2 * np.pi))).astype(np.float32)
        channel = np.moveaxis(np.tensordot(rows, channel, axes=(1, axis)), 0, axis)
    return np.ascontiguousarray(channel, dtype=np.float32).ravel()
