"""What a stage leaves behind: one BIDS folder per case that appears whole, and the tables at the end."""

import csv
import io
import os
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

from pathosynth.checks import score
from pathosynth.data.cases import Case
from pathosynth.data.findings import Finding
from pathosynth.data.grid import to_orientation_of
from pathosynth.data.labels import LabelScheme
from pathosynth.data.nifti import write_field, write_image, write_labels
from pathosynth.data.volume import Volume
from pathosynth.formats import bids
from pathosynth.runs.files import write_text
from pathosynth.runs.record import RunRecord

INTENSITY_SCALE = 1000
"""Images are written as int16; a model's 1.0 becomes this."""

BASE_GIB = 0.4
"""What Python takes with torch imported."""

REJECTED = "rejected"
"""Subfolder of OUT for cases a check turned down; not part of the data set, kept to be looked at."""


@dataclass(frozen=True)
class Product:
    """One finished case in memory.

    Attributes:
        row: its row; paths are filled in when it is written.
        scheme: legend of the labels.
        original: labels as read from disk; the outputs lie on exactly this grid.
        labels: in RAS orientation.
        image: in RAS orientation, 0 background, about 0..1 inside; None where there is none.
        contrast: BIDS suffix of the image.
        displacement: (3, I, J, K) backward displacement in voxels of the RAS grid; None where nothing moved.
        sidecar: provenance of the labels.
        image_sidecar: provenance of the image.
    """

    row: Case
    scheme: LabelScheme
    original: Volume
    labels: Volume
    image: Volume | None = None
    contrast: str = "T2w"
    displacement: np.ndarray | None = None
    sidecar: dict[str, Any] = field(default_factory=dict)
    image_sidecar: dict[str, Any] = field(default_factory=dict)


def write_case(out: Path, product: Product, *, rejected: bool = False) -> dict[str, Any]:
    """Write one case as ``sub-NAME/anat/…``; the folder is made aside and renamed when it is complete.

    Returns:
        Facts for the run record: `row` with paths relative to `out`, and the `files` written.
    """
    root = out / REJECTED if rejected else out
    partial = root / f".{product.row.case}.partial"
    shutil.rmtree(partial, ignore_errors=True)
    made = _write_files(partial, product)
    final = root / f"sub-{bids.subject_label(product.row.case)}"
    shutil.rmtree(final, ignore_errors=True)
    os.replace(partial / final.name, final)  # noqa: PTH105, one call for the atomic step
    partial.rmdir()
    here = {role: (root / path.relative_to(partial)).relative_to(out).as_posix() for role, path in made.items()}
    images = {role: path for role, path in here.items() if role not in ("labels", "displacement")}
    paths = {"labels": here["labels"], "displacement": here.get("displacement"), "images": images}
    files = sorted(path.relative_to(out).as_posix() for path in final.rglob("*") if path.is_file())
    return {"row": product.row.model_dump(mode="json") | paths, "files": files}


def _write_files(root: Path, product: Product) -> dict[str, Path]:
    """Write the volumes of a case and their sidecars; returns the volumes' paths by role."""
    contrasts = () if product.image is None else (product.contrast,)
    paths = bids.case_paths(root, product.row.case, product.scheme, contrasts, "synth")
    write_labels(paths["labels"], to_orientation_of(product.labels, product.original))
    bids.write_sidecar(paths["labels"], finite(product.sidecar))
    if product.image is not None:
        stored = product.image.with_array(_int16(product.image.array))
        path = paths[product.contrast]
        write_image(path, to_orientation_of(stored, product.original), description="pathosynth")
        sources = {"Sources": [f"bids::{paths['labels'].relative_to(root).as_posix()}"]}
        bids.write_sidecar(path, finite(product.image_sidecar | sources))
    if product.displacement is None:
        del paths["displacement"]
    else:
        write_field(paths["displacement"], product.displacement, product.labels.affine)
    return paths


def finite(value: Any) -> Any:
    """The same value with NaN and infinity, which JSON does not have, as null, and numpy numbers as plain ones."""
    if isinstance(value, dict):
        return {str(key): finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple | np.ndarray):
        return [finite(item) for item in value]
    if isinstance(value, np.generic):
        return finite(value.item())
    return None if isinstance(value, float) and not np.isfinite(value) else value


def _int16(image: np.ndarray) -> np.ndarray:
    limits = np.iinfo(np.int16)
    rounded: np.ndarray = np.rint(np.clip(image * INTENSITY_SCALE, limits.min, limits.max)).astype(np.int16)
    return rounded


def finding_facts(findings: Iterable[tuple[str, Finding]]) -> list[dict[str, Any]]:
    """Findings, each with its contrast, for the run record."""
    return [
        {
            "contrast": contrast, "check": f.name, "value": finite(float(f.value)), "limit": finite(float(f.limit)),
            "passed": bool(f.passed), "judged": f.judged, "strain": finite(float(f.strain)), "detail": f.detail,
        }
        for contrast, f in findings
    ]  # fmt: skip


def judged_facts(found: Sequence[tuple[str, Finding]]) -> dict[str, Any]:
    """Findings, each with its contrast, and the score of the case, for the run record."""
    return {"findings": finding_facts(found), "score": round(score([finding for _, finding in found]), 6)}


def kept(out: Path, record: RunRecord, order: Sequence[str]) -> list[Case]:
    """Cases of a run that were made and kept, in the order of the plan, with absolute paths."""
    return [
        _row(out, entry["row"])
        for name in order
        if (entry := record.content["cases"].get(name, {})).get("outcome") == "done" and "row" in entry
    ]


def _row(out: Path, stored: dict[str, Any]) -> Case:
    paths = {
        "labels": out.absolute() / stored["labels"],
        "displacement": out.absolute() / stored["displacement"] if stored["displacement"] else None,
        "images": {contrast: out.absolute() / path for contrast, path in stored["images"].items()},
    }
    return Case.model_validate(stored | paths)


def finish(out: Path, record: RunRecord, *, order: Sequence[str]) -> None:
    """Write the case table, the checks where there were any, and what makes the folder a BIDS derivative."""
    bids.write_tables(
        out, kept(out, record, order), name="Synthetic brain MRI with labels", command=record.content["command"]
    )
    write_checks(out, record, order)


def write_checks(out: Path, record: RunRecord, order: Sequence[str]) -> None:
    """Write ``checks.csv``: one row per case and check, for kept and rejected cases alike; nothing where none ran.

    Every row has the score of its case (`checks.score`).
    """
    columns = ("case", "contrast", "check", "value", "limit", "strain", "judged", "passed", "score", "detail")
    rows = [
        {"case": name, "score": entry.get("score", ""), **finding}
        for name in order
        if (entry := record.content["cases"].get(name))
        for finding in entry.get("findings", [])
    ]
    if rows:
        write_rows(out / "checks.csv", [{name: row.get(name, "") for name in columns} for row in rows])


def write_rows(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    """Write rows with the same keys as CSV; None becomes an empty cell, truth a small word."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(rows[0]) if rows else [], lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({key: str(value).lower() if isinstance(value, bool) else value for key, value in row.items()})
    write_text(path, text.getvalue())


def memory_gib(cases: Iterable[Case], bytes_per_voxel: float) -> float:
    """Estimated peak for the largest label map of the input, from the headers alone; unreadable files count nothing."""
    voxels = [_voxels(case.labels) for case in cases if case.labels]
    return BASE_GIB + max(voxels, default=0) * bytes_per_voxel / 2**30


def _voxels(path: Path) -> int:
    try:
        return int(np.prod(nib.load(path).shape))  # type: ignore[attr-defined]
    except Exception:
        return 0
