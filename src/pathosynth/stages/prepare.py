"""Any data set -> cases on one isotropic grid at the real voxel size, one intensity scale per volume."""

import functools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pydantic

from pathosynth.data.canonical import Canonical, from_canonical, plan_grid, to_canonical
from pathosynth.data.cases import Case
from pathosynth.data.intensity import background_value, robust_scale, undo_scale
from pathosynth.data.labels import LabelScheme, load_scheme, remap_labels, table_to
from pathosynth.data.nifti import check_same_grid, read_image, read_labels, write_image, write_labels
from pathosynth.data.volume import Volume
from pathosynth.formats import bids
from pathosynth.runs.config import Config
from pathosynth.runs.errors import InputError
from pathosynth.runs.record import RunRecord
from pathosynth.stages import inputs, outputs
from pathosynth.stages.batch import OneCase, Options, Plan, Result, execute

BYTES_PER_VOXEL = 60
"""Peak per voxel of the original volume, measured on 0.8 mm fetal volumes."""

DESC = "prep"
"""BIDS ``desc-`` of prepared images."""


class Preparation(Config):
    """How cases are brought to one form."""

    spacing_mm: float | None = pydantic.Field(default=None, gt=0, le=10)
    """Voxel edge in mm; none keeps each case's real voxel size."""
    margin_mm: float = pydantic.Field(default=5.0, ge=0, le=100)
    """Space kept around the labels, in mm."""
    multiple: int = pydantic.Field(default=1, ge=1, le=64)
    """Round the number of voxels per axis up to a multiple of this."""
    to_scheme: str = ""
    """Scheme the labels are remapped to, by the explicit table of their own scheme; empty keeps them."""


def plan(cases: Sequence[Case], settings: Preparation, options: Options) -> Plan:
    """Every case becomes one task.

    Raises:
        InputError: two cases would get the same BIDS subject name.
        ConfigError: a case's scheme has no table to the wanted one.
    """
    for name in {case.scheme for case in cases}:
        remapping(load_scheme(name), settings.to_scheme)
    labels = [bids.subject_label(case.case).lower() for case in cases]
    doubled = [case.case for case, label in zip(cases, labels, strict=True) if labels.count(label) > 1]
    if doubled:
        raise InputError(f"Cases {', '.join(doubled)} would share one BIDS subject name. Rename all but one.")
    return Plan(
        command="prepare",
        config=settings.model_dump(mode="json"),
        inputs=inputs.files_of(cases),
        tasks=[OneCase(case) for case in cases],
        work=functools.partial(prepare_case, settings=settings, out=options.out),
        finish=functools.partial(_finish, order=[case.case for case in cases]),
        memory_gib=outputs.memory_gib(cases, BYTES_PER_VOXEL),
        makes=f"{len(cases)} cases on isotropic grids",
    )


def prepare(
    cases: Sequence[Case],
    out: Path,
    *,
    spacing_mm: float | None = None,
    margin_mm: float = 5.0,
    multiple: int = 1,
    to_scheme: str = "",
) -> RunRecord:
    """Bring cases through the input gate onto isotropic RAS grids and write them as a BIDS derivative folder.

    Args:
        cases: with label maps; images must lie on the grid of their labels.
        out: folder to be made; the same call again goes on where it stopped.
        spacing_mm: voxel edge; None keeps each case's real voxel size.
        margin_mm: space kept around the labels.
        multiple: round the number of voxels per axis up to a multiple of this.
        to_scheme: scheme the labels are remapped to; empty keeps them.

    Returns:
        The run record, which names every case that failed and why; the others go on.
    """
    settings = Preparation(spacing_mm=spacing_mm, margin_mm=margin_mm, multiple=multiple, to_scheme=to_scheme)
    options = Options(out=Path(out))
    return execute(plan(cases, settings, options), options)


def prepare_case(item: OneCase, *, settings: Preparation, out: Path) -> Result:
    """Read, bring to the canonical grid and write one case."""
    case, own = item.row, load_scheme(item.row.scheme)
    if case.labels is None:
        raise InputError(f"Case '{case.case}' has no label map. Add it to the case table.")
    original = read_labels(case.labels, own)
    table = remapping(own, settings.to_scheme)
    if table is not None:
        original = original.with_array(remap_labels(original.array, table, others="error"))
    scheme = load_scheme(case.scheme if table is None else settings.to_scheme)
    images = {contrast: read_image(path) for contrast, path in case.images.items()}
    for contrast, image in images.items():
        check_same_grid(original, image, f"case '{case.case}': {case.labels} and {case.images[contrast]}")
    grid = plan_grid(original, spacing_mm=settings.spacing_mm, margin_mm=settings.margin_mm, multiple=settings.multiple)
    labels = to_canonical(original, grid, labels=True)
    scaled = {name: _scaled(image, original, grid) for name, image in images.items()}
    paths = bids.case_paths(out.absolute(), case.case, scheme, images, DESC)
    write_labels(paths["labels"], labels)
    bids.write_sidecar(paths["labels"], {"Origin": case.origin, "Grid": grid.model_dump(mode="json")})
    for contrast, (image, facts) in scaled.items():
        write_image(paths[contrast], image)
        bids.write_sidecar(paths[contrast], {"Origin": case.origin, **facts})
    made = {name: paths[name].relative_to(out.absolute()).as_posix() for name in ("labels", *images)}
    row = case.model_dump(mode="json") | {"labels": made.pop("labels"), "images": made, "displacement": None}
    row["scheme"] = case.scheme if table is None else settings.to_scheme
    files = [row["labels"], *made.values()]
    sidecars = [name.removesuffix(".nii.gz") + ".json" for name in files]
    return Result("done", facts={"row": row, "spacing_mm": grid.spacing_mm, "files": sorted([*files, *sidecars])})


def remapping(scheme: LabelScheme, to_scheme: str) -> dict[int, int] | None:
    """Old value to new value; None where the labels stay as they are.

    Raises:
        ConfigError: there is no such scheme, or no table to it.
    """
    return table_to(scheme, load_scheme(to_scheme), f"--to-scheme {to_scheme}") if to_scheme else None


def restore(case: Case, out: Path) -> Case:
    """Give a prepared case back on the grid of the files it came from, with the original intensities.

    Args:
        case: as `prepare` wrote it; its labels may have been replaced by others on the same grid.
        out: folder for ``CASE_dseg.nii.gz`` and ``CASE_CONTRAST.nii.gz``.

    Returns:
        The case with the new paths. Outside the prepared grid everything is 0.

    Raises:
        InputError: a file or its sidecar is missing or damaged.
    """
    if case.labels is None:
        raise InputError(f"Case '{case.case}' has no label map. Expected a case written by prepare.")
    grid = Canonical.model_validate(_sidecar(case.labels, "Grid"))
    labels = out.absolute() / f"{case.case}_dseg.nii.gz"
    write_labels(labels, from_canonical(read_labels(case.labels, load_scheme(case.scheme)), grid, labels=True))
    images = {}
    for contrast, path in case.images.items():
        low, high = _sidecar(path, "IntensityRange")
        background = _sidecar(path, "Background")
        scaled = read_image(path)
        image = scaled.with_array(undo_scale(scaled.array, float(low), float(high), background))
        images[contrast] = out.absolute() / f"{case.case}_{contrast}.nii.gz"
        write_image(images[contrast], from_canonical(image, grid, labels=False))
    return case.model_copy(update={"labels": labels, "images": images})


def _scaled(image: Volume, labels: Volume, grid: Canonical) -> tuple[Volume, dict[str, Any]]:
    """The image on the canonical grid, scaled by percentiles of the original voxels, and its sidecar."""
    inside = labels.array > 0
    scaled, low, high = robust_scale(image.array, inside)
    moved, background = to_canonical(image.with_array(scaled), grid, labels=False), background_value(image.array)
    if background is not None:  # interpolation blurs its edge, and nnU-Net normalises whatever is not 0
        empty = to_canonical(image.with_array((scaled == 0).astype(np.uint8)), grid, labels=True).array == 1
        moved.array[empty] = 0
    facts = {"IntensityRange": [low, high], "Background": background}
    return moved, {"SkullStripped": bids.skull_stripped(image, labels), **facts}


def _sidecar(volume: Path, key: str) -> Any:
    path = volume.with_name(volume.name.removesuffix(".nii.gz") + ".json")
    try:
        return json.loads(path.read_text(encoding="utf-8"))[key]
    except (OSError, ValueError, KeyError, TypeError):
        raise InputError(
            f"{path}: expected a JSON file with '{key}', as prepare writes it. Prepare it again."
        ) from None


def _finish(out: Path, record: RunRecord, *, order: Sequence[str]) -> None:
    bids.write_tables(out, outputs.kept(out, record, order), name="Prepared brain MRI with labels", command="prepare")
