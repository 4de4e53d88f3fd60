"""What is measured on a label map: volumes, atrial width, contact faces, components, mantle thickness.

Every number is computed from the integer labels alone, so that it can be repeated on the written file.
"""

from typing import Any

import cc3d
import edt
import numpy as np
import scipy.ndimage as ndi

from pathosynth.data.labels import LabelScheme
from pathosynth.data.volume import Spacing
from pathosynth.morphing.counting import contact_matrix, label_counts, piece_sizes
from pathosynth.morphing.threads import thread_count

Box = tuple[slice, slice, slice]

SIDES = ("left", "right")
SIX = ndi.generate_binary_structure(3, 1)


def volumes_ml(labels: np.ndarray, spacing_mm: Spacing) -> dict[int, float]:
    """Volume of every label that occurs, background left out."""
    voxel_ml = float(np.prod(spacing_mm)) / 1000.0
    counts = label_counts(labels)
    return {value: float(n) * voxel_ml for value, n in enumerate(counts) if n and value}


def bounding_box(mask: np.ndarray, margin: int = 0) -> Box:
    """Smallest box around a mask, grown by `margin` voxels within the array. The whole array if the mask is empty."""
    slices = []
    for axis, size in enumerate(mask.shape):
        hit = np.flatnonzero(mask.any(axis=tuple(a for a in range(3) if a != axis)))
        low, high = (int(hit[0]), int(hit[-1]) + 1) if len(hit) else (0, size)
        slices.append(slice(max(low - margin, 0), min(high + margin, size)))
    return (slices[0], slices[1], slices[2])


def midline_index(intracranial: np.ndarray) -> float:
    """Position of the midsagittal plane along the first axis (voxels): the centroid of the intracranial mask.

    The mask, not the brain, because a rigid skull does not shift when one ventricle pushes tissue across.
    """
    per_slice = intracranial.sum(axis=(1, 2), dtype=np.int64)
    return float(per_slice @ np.arange(len(per_slice))) / float(max(per_slice.sum(), 1))


def left_half(intracranial: np.ndarray) -> np.ndarray:
    """What lies left of the midsagittal plane, (I, 1, 1) bool."""
    return (np.arange(intracranial.shape[0]) < midline_index(intracranial))[:, None, None]


def inside_skull(labels: np.ndarray, scheme: LabelScheme) -> np.ndarray:
    """Labels without those outside the skull (skin, bone, eyes …), where the scheme has such; else not copied."""
    outside = set(scheme.values) - set(scheme.group("intracranial")) if scheme.has("intracranial") else set()
    if not outside:
        return labels
    table = np.arange(max(scheme.values) + 1, dtype=labels.dtype)
    table[list(outside)] = 0
    return np.asarray(table[labels])


def lateral_ventricle_group(scheme: LabelScheme) -> str:
    """The group that stands for the lateral ventricles; all ventricles where the scheme does not separate them."""
    return "lateral_ventricles" if scheme.has("lateral_ventricles") else "ventricles"


def side_masks(labels: np.ndarray, scheme: LabelScheme, group: str) -> dict[str, np.ndarray]:
    """Left and right part of a group: the labels of each side, and those of no side cut at the midsagittal plane.

    (I, J, K) bool each.
    """
    is_left = left_half(inside_skull(labels, scheme) > 0)
    members = set(scheme.group(group))
    named = {side: members & set(side_values(scheme, side)) for side in SIDES}
    shared = np.isin(labels, list(members - named["left"] - named["right"]))
    return {
        side: np.isin(labels, list(named[side])) | (shared & (is_left if side == "left" else ~is_left))
        for side in SIDES
    }


def side_values(scheme: LabelScheme, side: str) -> tuple[int, ...]:
    """Values of one side: labels named ``left_…`` or ``right_…`` and the group ``<side>_lateral_ventricle``."""
    group = f"{side}_lateral_ventricle"
    grouped = scheme.group(group) if scheme.has(group) else ()
    return tuple(v for v in scheme.values if v in grouped or scheme[v].name.startswith(f"{side}_"))


def atrial_widths_mm(ventricles: np.ndarray, midline: float, spacing_mm: Spacing) -> tuple[float, float]:
    """Left and right atrial width: diameter of the largest sphere in the posterior half of each lateral ventricle.

    Twice the largest distance from a ventricle voxel's centre to the nearest centre outside, over the voxels behind
    the middle of the ventricles' front-to-back extent, on each side of the midline. This reproduces the columns
    ``mm_atrium_left`` and ``mm_atrium_right`` that come with the fetal atlases. On a grid of spacing h it takes the
    values 2 h sqrt(n); above 10 mm at 0.8 mm these lie 0.1 to 0.25 mm apart.

    Args:
        ventricles: (I, J, K) bool in RAS orientation.
        midline: first-axis index of the midsagittal plane.
        spacing_mm: of the voxels.

    Returns:
        Left, right; 0 where there is nothing.
    """
    if not ventricles.any():
        return 0.0, 0.0
    box = bounding_box(ventricles, 1)
    mask = np.ascontiguousarray(ventricles[box])
    distance = edt.edt(mask, anisotropy=spacing_mm, parallel=thread_count())
    along = np.flatnonzero(mask.any(axis=(0, 2)))
    posterior = distance[:, np.arange(mask.shape[1]) < (along[0] + along[-1]) / 2]
    left = np.arange(mask.shape[0]) + box[0].start < midline
    return (2.0 * float(posterior[left].max(initial=0.0)), 2.0 * float(posterior[~left].max(initial=0.0)))


def touches(mask: np.ndarray) -> np.ndarray:
    """Voxels that share a face with a voxel of the mask (the mask's own inner voxels included)."""
    out = np.zeros_like(mask)
    for axis in range(3):
        moved, grown = np.moveaxis(mask, axis, 0), np.moveaxis(out, axis, 0)
        grown[1:] |= moved[:-1]
        grown[:-1] |= moved[1:]
    return out


def contact_faces(first: np.ndarray, second: np.ndarray) -> int:
    """Number of voxel faces that two masks without a common voxel share."""
    return int(contact_matrix(first.astype(np.uint8) + 2 * second.astype(np.uint8), 4)[1, 2])


def component_counts(labels: np.ndarray, connectivity: int = 26) -> dict[int, int]:
    """Number of connected pieces of every label that occurs, background left out."""
    _, owner, _ = labelled_pieces(labels, connectivity)
    return {value: int(n) for value, n in enumerate(np.bincount(owner)) if n and value}


def labelled_pieces(labels: np.ndarray, connectivity: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Connected pieces of equal label: (I, J, K) piece numbers, and the label and voxel count of each piece.

    Piece 0 is the background, label 0.
    """
    pieces, count = cc3d.connected_components(labels, connectivity=connectivity, return_N=True)  # type: ignore[call-overload]
    return pieces, *piece_sizes(pieces, labels, count + 1)


def mantle_mm(cortex: np.ndarray, outside: np.ndarray, ventricles: np.ndarray, spacing_mm: Spacing) -> np.ndarray:
    """Thickness of the brain mantle: distance from each outer cortical voxel to the ventricles, in mm.

    Args:
        cortex: (I, J, K) bool.
        outside: (I, J, K) bool, external CSF and background.
        ventricles: (I, J, K) bool.
        spacing_mm: of the voxels.

    Returns:
        (n,) distances, one per cortical voxel that touches `outside`. Empty without cortex or ventricles.
    """
    surface = cortex & touches(outside)
    if not surface.any() or not ventricles.any():
        return np.empty(0)
    box = bounding_box(surface | ventricles)
    distance = edt.edt(np.ascontiguousarray(~ventricles[box]), anisotropy=spacing_mm, parallel=thread_count())
    return np.asarray(distance[surface[box]], float)


def describe(before: np.ndarray, after: np.ndarray, scheme: LabelScheme, spacing_mm: Spacing) -> dict[str, Any]:
    """Volumes by name and atrial widths of two maps, JSON-able."""
    out: dict[str, Any] = {}
    for name, labels in (("before", before), ("after", after)):
        volumes = volumes_ml(labels, spacing_mm)
        out[f"volumes_ml_{name}"] = {scheme[value].name: round(ml, 4) for value, ml in volumes.items()}
        widths = measured_widths_mm(labels, scheme, spacing_mm)
        out[f"atrial_width_mm_{name}"] = {side: round(mm, 3) for side, mm in widths.items()}
    return out


def measured_widths_mm(labels: np.ndarray, scheme: LabelScheme, spacing_mm: Spacing) -> dict[str, float]:
    """Atrial width of each side of an integer label map; see `atrial_widths_mm`."""
    ventricles = scheme.mask(labels, lateral_ventricle_group(scheme))
    widths = atrial_widths_mm(ventricles, midline_index(inside_skull(labels, scheme) > 0), spacing_mm)
    return dict(zip(SIDES, widths, strict=True))


def ventricle_severity(labels: np.ndarray, scheme: LabelScheme, spacing_mm: Spacing) -> dict[str, float]:
    """Ventricle volume (mL, of the lateral ventricles where the scheme separates them) and atrial widths (mm)."""
    mask = scheme.mask(labels, lateral_ventricle_group(scheme))
    widths = measured_widths_mm(labels, scheme, spacing_mm)
    return {
        "ventricle_ml": float(mask.sum()) * float(np.prod(spacing_mm)) / 1000.0,
        "atrial_width_left_mm": widths["left"],
        "atrial_width_right_mm": widths["right"],
        "atrial_width_mm": max(widths.values()),
    }
