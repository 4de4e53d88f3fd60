"""What the page shows of one case: surfaces, arrows, volumes and severities, as plain values for JSON."""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from pathosynth.data.cases import Case
from pathosynth.data.labels import LabelScheme
from pathosynth.data.volume import Volume
from pathosynth.runs.errors import InputError
from pathosynth.stages.mesh_view.structures import Structure, mask_of, structures
from pathosynth.stages.mesh_view.surfaces import Surface, lattice_mm, movement_mm, surface, thinned

Json = dict[str, Any]
Surfaces = dict[str, Surface]

ARROWS_IN_HEAD = 900
"""About how many arrows fill the head; on the surfaces they stand closer by `SURFACE_SPACING`."""
SURFACE_SPACING = 0.55
LEAST_MM = 0.3
"""Shorter arrows are left out; they would only be dots."""

_UNITS = {"_mm": "mm", "_ml": "mL", "_fold": "×", "_z": "SD", "_weeks": "weeks"}


@dataclass(frozen=True)
class Seen:
    """One case in memory, as it is to be shown.

    Attributes:
        case: its row of the table.
        scheme: legend of both label maps.
        labels: in RAS orientation.
        parent: labels of the case it was made from; None where they are not at hand.
        displacement: (3, I, J, K) backward, in voxels of the labels; None where nobody kept it.
        asked: measure to what was asked of it.
        before: severity of the parent, where its row has one.
        notes: what could not be shown.
    """

    case: Case
    scheme: LabelScheme
    labels: Volume
    parent: Volume | None = None
    displacement: np.ndarray | None = None
    asked: Mapping[str, Any] = field(default_factory=dict)
    before: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def scene(seen: Seen) -> Json:
    """Everything the page needs to draw one case; lengths in RAS+ millimetres, volumes in millilitres.

    Raises:
        InputError: there is nothing in the label map that could be drawn.
    """
    shown, absent = structures(seen.scheme)
    panes = [(seen.case.case, seen.labels)]
    if seen.parent is not None:
        panes.insert(0, (seen.case.parent, seen.parent))
    drawn = [_surfaces(labels, shown) for _, labels in panes]
    if not all(drawn):
        raise InputError(f"Case '{seen.case.case}': no structure of its scheme is in the label map. Leave it out.")
    moved = _movements(seen, shown, drawn[-1])
    arrows = None if seen.displacement is None else _arrows(seen, seen.displacement, shown, drawn[-1])
    centres, half_mm = _frame(drawn)
    meshes = [{name: _mesh(found) for name, found in surfaces.items()} for surfaces in drawn]
    for name, values in moved.items():
        meshes[-1][name]["moved_mm"] = _packed(values.astype("<f4"))
    return {
        "case": seen.case.case,
        "pathology": seen.case.pathology,
        "severities": severities(seen.case.severity, seen.asked, seen.before),
        "structures": _legend(shown, [labels for _, labels in panes]),
        "panes": [
            {"title": title, "centre": centre, "meshes": found}
            for (title, _), centre, found in zip(panes, centres, meshes, strict=True)
        ],
        "half_mm": half_mm,
        "arrows": arrows,
        "largest_mm": _largest_mm(moved, arrows),
        "notes": [*seen.notes, *_absences(absent, shown, drawn, panes, seen.scheme)],
    }


def severities(reached: Mapping[str, Any], asked: Mapping[str, Any], before: Mapping[str, Any]) -> list[Json]:
    """One row per measure: name without unit, unit, and its three values, null where not known."""
    names = [*asked, *(name for name in reached if name not in asked)]
    return [_severity(name, reached.get(name), asked.get(name), before.get(name)) for name in names]


def _severity(name: str, reached: Any, asked: Any, before: Any) -> Json:
    suffix = next((end for end in _UNITS if name.endswith(end)), "")
    title = name.removesuffix(suffix).replace("_", " ")
    return {"measure": title, "unit": _UNITS.get(suffix, ""), "parent": before, "asked": asked, "reached": reached}


def _surfaces(labels: Volume, shown: Sequence[Structure]) -> Surfaces:
    """Surfaces of the structures that are there."""
    masks = ((structure, mask_of(labels.array, structure)) for structure in shown)
    return {s.name: surface(labels.with_array(mask), s.most_vertices) for s, mask in masks if mask.any()}


def _legend(shown: Sequence[Structure], maps: Sequence[Volume]) -> list[Json]:
    """Name, colour and volumes of every structure, in the order of the panes; volumes are those of the voxels."""
    return [
        {
            "name": s.name,
            "color": s.color,
            "skull": s.is_skull,
            "ml": [round(int(np.isin(labels.array, s.values).sum()) * labels.voxel_ml, 3) for labels in maps],
        }
        for s in shown
    ]


def _absences(
    absent: Sequence[str], shown: Sequence[Structure], drawn: Sequence[Surfaces],
    panes: Sequence[tuple[str, Volume]], scheme: LabelScheme,
) -> list[str]:  # fmt: skip
    notes = [f"Scheme '{scheme.name}' has no {name}; it is not shown." for name in absent]
    for (title, _), surfaces in zip(panes, drawn, strict=True):
        notes += [f"'{title}' has no {s.name}; it is left out." for s in shown if s.name not in surfaces]
    return notes


def _movements(seen: Seen, shown: Sequence[Structure], surfaces: Surfaces) -> dict[str, np.ndarray]:
    """Distance in mm every vertex of the made case has come, but for the skull; empty without a displacement."""
    if seen.displacement is None:
        return {}
    affine, moves = seen.labels.affine, seen.displacement
    found = {s.name: surfaces[s.name] for s in shown if s.name in surfaces and not s.is_skull}
    return {name: np.linalg.norm(movement_mm(moves, affine, f.vertices_mm), axis=1) for name, f in found.items()}


def _arrows(seen: Seen, moves: np.ndarray, shown: Sequence[Structure], surfaces: Surfaces) -> Json:
    """Arrows on the surfaces and throughout the head: rows of start x, y, z and end x, y, z in mm, in the made case."""
    head = seen.labels.with_array(mask_of(seen.labels.array, shown[-1]))
    apart = float(np.cbrt(head.array.sum() * head.voxel_ml * 1000 / ARROWS_IN_HEAD))
    inner = [surfaces[s.name].vertices_mm for s in shown if not s.is_skull and s.name in surfaces]
    on = [thinned(points, SURFACE_SPACING * apart) for points in inner]
    return {
        "surfaces": _rows(moves, seen.labels.affine, np.concatenate(on) if on else np.zeros((0, 3))),
        "head": _rows(moves, seen.labels.affine, lattice_mm(head, apart)),
    }


def _rows(moves: np.ndarray, affine: np.ndarray, points_mm: np.ndarray) -> list[list[float]]:
    vectors = movement_mm(moves, affine, points_mm)
    kept = np.linalg.norm(vectors, axis=1) >= LEAST_MM
    rows: list[list[float]] = np.hstack([points_mm - vectors, points_mm])[kept].round(2).tolist()
    return rows


def _largest_mm(moved: Mapping[str, np.ndarray], arrows: Json | None) -> float:
    """Top of the colour bar: the longest way any vertex or arrow shows, 0 where nothing moved."""
    lengths = [float(values.max(initial=0)) for values in moved.values()]
    for rows in (arrows or {}).values():
        ends = np.reshape(rows, (-1, 2, 3))
        lengths.append(float(np.linalg.norm(ends[:, 1] - ends[:, 0], axis=1).max(initial=0)))
    return round(max(lengths, default=0.0), 2)


def _frame(drawn: Sequence[Surfaces]) -> tuple[list[list[float]], float]:
    """Middle of each pane in mm, and half the edge of a cube that holds every one of them: one scale for all."""
    corners = []
    for surfaces in drawn:
        points = np.concatenate([found.vertices_mm for found in surfaces.values()])
        corners.append((points.min(axis=0).astype(float), points.max(axis=0).astype(float)))
    centres = [((low + high) / 2).round(2).tolist() for low, high in corners]
    return centres, round(max(float((high - low).max()) for low, high in corners) / 2, 2)


def _mesh(found: Surface) -> Json:
    """Coordinates and triangles as typed arrays, in the form plotly.js reads."""
    numbers = "<u2" if len(found.vertices_mm) <= 2**16 else "<u4"
    columns = zip("xyz", found.vertices_mm.T, strict=True)
    corners = zip("ijk", found.triangles.T, strict=True)
    return {axis: _packed(values.astype("<f4")) for axis, values in columns} | {
        corner: _packed(values.astype(numbers)) for corner, values in corners
    }


def _packed(values: np.ndarray) -> Json:
    return {"dtype": values.dtype.str[1:], "bdata": base64.b64encode(values.tobytes()).decode("ascii")}
