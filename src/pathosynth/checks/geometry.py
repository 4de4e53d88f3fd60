"""Is this a whole head of plausible size on a plausible grid, with the ventricles inside it?"""

import numpy as np
import pydantic

from pathosynth.data.findings import CheckInput, Finding, rejected
from pathosynth.data.labels import LabelScheme
from pathosynth.data.volume import Spacing
from pathosynth.runs.config import Config as BaseConfig

FACES = (("left", "right"), ("posterior", "anterior"), ("inferior", "superior"))
"""Sides of the head at the first and the last slice of each axis, in RAS orientation."""


class Config(BaseConfig):
    """What counts as plausible."""

    spacing_mm: tuple[float, float] = (0.2, 4.0)
    """Smallest and largest edge of a voxel."""
    anisotropy: float = pydantic.Field(6.0, ge=1)
    """Largest ratio of a voxel's longest to its shortest edge."""
    intracranial_ml: tuple[float, float] = (20.0, 2500.0)
    """Smallest and largest volume inside the skull: from a fetus in the second trimester to a large adult."""
    ventricle_share: tuple[float, float] = (0.002, 0.75)
    """Smallest and largest share of the ventricles in the volume inside the skull; the largest is hydranencephaly."""
    cut_share: float = pydantic.Field(0.08, ge=0)
    """Largest area over which a face of the grid may cut the inside of the skull flat, beyond what it did in the source
    labels, as a share of the volume inside to the power 2/3: a slice and 2 mm may be missing at the vertex of an adult.
    Real maps cropped to what is inside the skull, many through the brainstem: at most 0.04 with voxels of 0.8 to 2 mm,
    and 0.07 with edges of up to 4 mm (46 adult, 18 fetal)."""
    tissue_share: float = pydantic.Field(0.15, ge=0, le=1)
    """Smallest share of brain tissue in the volume inside the skull."""
    ventricle_background_mm2: float = pydantic.Field(20.0, ge=0)
    """Area over which ventricles may touch what is outside the skull, beyond what they did in the source labels. Real
    maps with CSF around the brain: 26 mm2 in one of 20 adult whole heads, at most 18 in the others, 4 in fetuses."""


def check(case: CheckInput, config: Config) -> Finding:
    """Number of broken rules of grid and volume; 0 passes.

    Works on labels alone, or with an image on the same grid. Inside the skull is the scheme's group ``intracranial``,
    because maps of whole heads label skin and bone too, or every label where the scheme names no such group.
    """
    reason = case.unusable(image=case.image is not None, labels=True)
    if reason or case.labels is None:
        return rejected("geometry", 0.0, reason)
    if not _inside(case.labels, case.scheme).any():
        return rejected("geometry", 0.0, "no voxel is labelled as inside the skull")
    problems = [*_grid_problems(case, config), *_volume_problems(case.labels, case, config)]
    problems += _cut_problems(case.labels, case, config)
    if case.scheme.has("ventricles"):
        problems += _contact_problems(case.labels, case, config)
    detail = "; ".join(problems) or "grid, volumes and ventricles are plausible, and the head is whole"
    return Finding("geometry", float(len(problems)), 0.0, not problems, detail)


def _grid_problems(case: CheckInput, config: Config) -> list[str]:
    edges = np.asarray(case.spacing_mm, float)
    low, high = config.spacing_mm
    if not np.isfinite(edges).all() or edges.min() < low or edges.max() > high:
        return [f"voxel edges {case.spacing_mm} mm are not from {low} to {high}"]
    if edges.max() / edges.min() > config.anisotropy:
        return [f"voxel edges {case.spacing_mm} mm differ by more than a factor {config.anisotropy}"]
    return []


def _inside(labels: np.ndarray, scheme: LabelScheme) -> np.ndarray:
    """Boolean mask, same shape as `labels`, of what is inside the skull."""
    return scheme.mask(labels, "intracranial") if scheme.has("intracranial") else labels > 0


def _volume_problems(labels: np.ndarray, case: CheckInput, config: Config) -> list[str]:
    voxel_ml = float(np.prod(case.spacing_mm)) / 1000
    intracranial = float(_inside(labels, case.scheme).sum()) * voxel_ml
    low, high = config.intracranial_ml
    problems = []
    if not low <= intracranial <= high:
        problems.append(f"{intracranial:.1f} mL inside the skull is not from {low:g} to {high:g}")
    for group, (least, most) in {"ventricles": config.ventricle_share, "tissue": (config.tissue_share, 1.0)}.items():
        if case.scheme.has(group):
            share = float(case.scheme.mask(labels, group).sum()) * voxel_ml / intracranial
            if not least <= share <= most:
                problems.append(f"{group} fill {share:.1%} of the skull, not from {least:.1%} to {most:.1%}")
    return problems


def _cut_problems(labels: np.ndarray, case: CheckInput, config: Config) -> list[str]:
    volume_mm3 = float(_inside(labels, case.scheme).sum()) * float(np.prod(case.spacing_mm))
    limit = config.cut_share * volume_mm3 ** (2 / 3)
    found = _cut_mm2(labels, case.scheme, case.spacing_mm)
    had = {} if case.source_labels is None else _cut_mm2(case.source_labels, case.scheme, case.spacing_mm)
    return [
        f"the {side} edge of the grid cuts {area:.0f} mm2 of the head off flat, allowed {limit + had.get(side, 0):.0f}"
        for side, area in found.items()
        if area > limit + had.get(side, 0)
    ]


def _cut_mm2(labels: np.ndarray, scheme: LabelScheme, spacing_mm: Spacing) -> dict[str, float]:
    """Area of the inside of the skull that each face of the grid cuts flat, by the side of the head.

    Where a round head only touches a face, the next slice is larger by as much as the outermost one shows, or more.
    What the outermost slice has beyond this step is cut.
    """
    areas = {}
    for axis, sides in enumerate(FACES):
        face_mm2 = float(np.prod(spacing_mm)) / spacing_mm[axis]
        for side, (outer, inner) in zip(sides, ((0, 1), (-1, -2)), strict=True):
            shown = int(_inside(labels.take(outer, axis), scheme).sum())
            deeper = int(_inside(labels.take(inner, axis), scheme).sum()) if labels.shape[axis] > 1 else 0
            areas[side] = max(0, min(shown, 2 * shown - deeper)) * face_mm2
    return areas


def _contact_problems(labels: np.ndarray, case: CheckInput, config: Config) -> list[str]:
    found = _outside_contact_mm2(labels, case.scheme, case.spacing_mm)
    allowed = config.ventricle_background_mm2
    if case.source_labels is not None:
        allowed += _outside_contact_mm2(case.source_labels, case.scheme, case.spacing_mm)
    if found <= allowed:
        return []
    return [f"ventricles touch what is outside the skull over {found:.1f} mm2, allowed {allowed:.1f}"]


def _outside_contact_mm2(labels: np.ndarray, scheme: LabelScheme, spacing_mm: Spacing) -> float:
    """Area of the voxel faces between ventricles and what is outside the skull; so is what is beyond the grid."""
    padded = np.pad(labels, 1)
    ventricles, outside = scheme.mask(padded, "ventricles"), ~_inside(padded, scheme)
    area = 0.0
    for axis, edge in enumerate(spacing_mm):
        v, b = np.moveaxis(ventricles, axis, 0), np.moveaxis(outside, axis, 0)
        faces = int((v[1:] & b[:-1]).sum() + (v[:-1] & b[1:]).sum())
        area += faces * float(np.prod(spacing_mm)) / edge
    return area
