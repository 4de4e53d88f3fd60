"""Sanity view: one HTML page with rotating surfaces of healthy and morphed brains and the way the tissue moved."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pathosynth.data.cases import Case
from pathosynth.data.labels import load_scheme
from pathosynth.data.nifti import check_same_grid, read_field
from pathosynth.data.volume import Volume
from pathosynth.runs.errors import InputError
from pathosynth.runs.files import write_text
from pathosynth.stages import inputs
from pathosynth.stages.mesh_view.page import page
from pathosynth.stages.mesh_view.scene import Seen, scene

__all__ = ["mesh_view", "read_case"]


def mesh_view(
    cases: Sequence[Case], out_html: Path, *, parents: Sequence[Case] = (), most: int = 8
) -> tuple[float, list[str]]:
    """Write the page of the first cases of a table; a case whose parent is at hand is shown beside it.

    Args:
        cases: what is shown, each with a label map.
        out_html: written whole or not at all.
        parents: cases they may be made from.
        most: how many cases the page holds at most.

    Returns:
        Size of the page in megabytes (10^6 bytes), and what could not be shown, each with its case.

    Raises:
        InputError: there is no case, a file cannot be read, or a displacement does not lie on its case's grid.
    """
    if not cases:
        raise InputError("Mesh view: expected at least one case, found none. Check the case table.")
    known = {case.case: case for case in (*parents, *cases)}
    scenes = [scene(read_case(case, known.get(case.parent))) for case in cases[:most]]
    write_text(out_html, page(scenes))
    notes = [f"{shown['case']}: {note}" for shown in scenes for note in shown["notes"]]
    return out_html.stat().st_size / 1e6, notes


def read_case(case: Case, parent: Case | None) -> Seen:
    """Read what is to be seen of a case, with a note for each thing that is not there.

    Raises:
        InputError: a file is damaged, the parent has another scheme, or the displacement another grid.
    """
    scheme = load_scheme(case.scheme)
    if parent is not None and parent.scheme != case.scheme:
        raise InputError(
            f"Case '{case.case}' is in scheme '{case.scheme}', its parent '{parent.case}' in '{parent.scheme}'. "
            "Expected one scheme for both; remap one of them."
        )
    labels = inputs.read_brain(case, scheme).labels
    healthy = inputs.read_brain(parent, scheme).labels if parent is not None else None
    field = _displacement(case, labels)
    if field is not None and healthy is not None:
        check_same_grid(labels, healthy, f"case '{case.case}' with a displacement, and its parent '{case.parent}'")
    asked, notes = _asked(case)
    if case.parent and parent is None:
        notes.append(f"The parent '{case.parent}' is not at hand; give its table with --parents to see it.")
    if case.parent and field is None:
        notes.append("The case has no displacement file; there are no arrows and no distances.")
    reached = parent.severity if parent is not None else {}
    return Seen(case, scheme, labels, healthy, field, asked, reached, tuple(notes))


def _displacement(case: Case, labels: Volume) -> np.ndarray | None:
    if case.displacement is None:
        return None
    field, affine = read_field(case.displacement)
    where = f"case '{case.case}': {case.labels} in RAS orientation and {case.displacement}"
    check_same_grid(labels, Volume(field[0], affine), where)
    return field


def _asked(case: Case) -> tuple[dict[str, Any], list[str]]:
    """Measure to asked value from the sidecar of the label map, and a note where the sidecar cannot be read."""
    path = case.labels
    sidecar = path.with_name(path.name.removesuffix(".nii.gz") + ".json") if path is not None else None
    if sidecar is None or not sidecar.is_file():
        return {}, []
    try:
        return asked_values(json.loads(sidecar.read_text(encoding="utf-8"))), []
    except (ValueError, AttributeError, TypeError, KeyError):
        return {}, [f"{sidecar.name} could not be read; what was asked is not shown."]


def asked_values(sidecar: Mapping[str, Any]) -> dict[str, Any]:
    """What was asked of each measure: the report's exact targets, else the numbers among the settings given."""
    targets = sidecar.get("Report", {}).get("targets")
    if targets:
        return {target["measure"]: target["asked"] for target in targets}
    return {name: value for name, value in sidecar.get("Requested", {}).items() if type(value) in (int, float)}
