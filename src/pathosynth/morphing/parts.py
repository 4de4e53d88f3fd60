"""The parts a pathology asks the engine to change: a structure as a whole, one side of it, and what must be there."""

import numpy as np

from pathosynth.data.labels import LabelScheme
from pathosynth.data.volume import Spacing
from pathosynth.morphing import measure
from pathosynth.morphing.classes import Part
from pathosynth.morphing.measure import SIDES
from pathosynth.runs.errors import InputError

_SMALLEST_ML = 0.3
_SMALLEST_VOXELS = 100


def present_ml(labels: np.ndarray, scheme: LabelScheme, spacing_mm: Spacing, group: str) -> float:
    """Volume of a group that is to change, in mL.

    Raises:
        InputError: the scheme has no such group, or too little of it is there to know its shape.
    """
    if not scheme.has(group):
        raise InputError(
            f"Scheme '{scheme.name}' does not tell {group} from other labels (no group '{group}'; it has "
            f"{', '.join(sorted(scheme.groups))}), so nothing says what should change. Morph the full label map first, "
            "then remap it to this scheme."
        )
    ml = float(scheme.mask(labels, group).sum()) * float(np.prod(spacing_mm)) / 1000.0
    check_size(group, scheme.group(group), ml, scheme, spacing_mm)
    return ml


def check_size(name: str, values: tuple[int, ...], ml: float, scheme: LabelScheme, spacing_mm: Spacing) -> None:
    """Refuse a structure that is missing or too small to know its shape.

    Args:
        name: what it is called in the message.
        values: label values it is made of.
        ml: present volume.
        scheme: their legend.
        spacing_mm: voxel edge lengths.

    Raises:
        InputError: it has less than 100 voxels or 0.3 mL.
    """
    voxels = round(ml * 1000.0 / float(np.prod(spacing_mm)))
    legend = ", ".join(f"{value} {scheme[value].name}" for value in values)
    if voxels == 0:
        raise InputError(f"No {name}: the label map has no voxel of '{name}' ({legend}). Check --scheme.")
    if voxels < _SMALLEST_VOXELS or ml < _SMALLEST_ML:
        raise InputError(
            f"{name} ({legend}): expected at least {_SMALLEST_VOXELS} voxels and {_SMALLEST_ML} mL, to know the shape; "
            f"found {voxels} voxel{'s'[: voxels > 1]}, {ml:.3f} mL. Check the label map."
        )


def sides_ml(labels: np.ndarray, scheme: LabelScheme, spacing_mm: Spacing, group: str) -> dict[str, float]:
    """Volume of each side of a group that is to change, in mL.

    Raises:
        InputError: there is too little of it, or it is on one side only.
    """
    present_ml(labels, scheme, spacing_mm, group)
    voxel_ml = float(np.prod(spacing_mm)) / 1000.0
    found = {side: float(m.sum()) * voxel_ml for side, m in measure.side_masks(labels, scheme, group).items()}
    empty = [side for side, ml in found.items() if ml == 0]
    if empty:
        raise InputError(f"No {group} on the {empty[0]} side. Check orientation (RAS) and the label map.")
    return found


def side_parts(
    labels: np.ndarray,
    scheme: LabelScheme,
    group: str,
    volumes_ml: dict[str, float] | None,
    weight: np.ndarray | None = None,
) -> dict[str, Part]:
    """Left and right part of a group: by the labels of each side, cut at the midsagittal plane where they are shared.

    Together they stay on their sides: what crosses the plane changes its part.

    Args:
        labels: (I, J, K) in RAS orientation.
        scheme: its legend.
        group: what is split.
        volumes_ml: wanted volume of "left" and "right"; None where lengths are wanted.
        weight: of both parts; see `Part`.
    """
    members = set(scheme.group(group))
    named = {side: members & set(measure.side_values(scheme, side)) for side in SIDES}
    shared = members - named["left"] - named["right"]
    is_left = measure.left_half(measure.inside_skull(labels, scheme) > 0)
    parts = {}
    for side in SIDES:
        region = None
        if shared:
            half = is_left if side == "left" else ~is_left
            region = half | np.isin(labels, list(named[side])) if named[side] else half
        wanted = None if volumes_ml is None else volumes_ml[side]
        parts[side] = Part(tuple(sorted(named[side] | shared)), wanted, region, weight, side)
    return parts


def whole_part(scheme: LabelScheme, group: str, volume_ml: float | None, weight: np.ndarray | None = None) -> Part:
    """A group as one part."""
    return Part(scheme.group(group), volume_ml, None, weight)
