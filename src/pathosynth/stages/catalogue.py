"""What there is (`list`) and what something is (`info`). Reads, never writes; needs neither torch nor a network."""

import functools
import inspect
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import nibabel as nib
import numpy as np

from pathosynth.checks import CHECKS
from pathosynth.data.cases import Case, read_cases
from pathosynth.data.grid import to_ras
from pathosynth.data.labels import LabelScheme, load_scheme, scheme_names
from pathosynth.data.nifti import read_image, read_labels
from pathosynth.data.volume import Volume
from pathosynth.formats import FORMATS
from pathosynth.formats.flat import VOLUME_SUFFIXES
from pathosynth.image_generators import IMAGE_GENERATORS
from pathosynth.label_generators import LABEL_GENERATORS
from pathosynth.metrics import METRICS
from pathosynth.pathologies import PATHOLOGIES
from pathosynth.runs.errors import ConfigError, InputError
from pathosynth.runs.record import read_record
from pathosynth.segmenters import SEGMENTERS
from pathosynth.stages import wishes
from pathosynth.stages.inputs import TABLE
from pathosynth.stages.label_models import conditions
from pathosynth.stages.models import find_any_model, first_line, shipped_models
from pathosynth.stages.recipes import read_recipe, recipe_names

Rows = list[dict[str, Any]]


def listed(what: str) -> Rows:
    """Everything of one kind, each with its name and one line.

    Raises:
        ConfigError: no such kind.
    """
    if what not in KINDS:
        raise ConfigError(f"list {what}: expected one of {', '.join(KINDS)}.")
    return KINDS[what]()


def _models() -> Rows:
    trained = [_model_row(name, folder) for name, folder in shipped_models().items()]
    untrained = [{"name": name, "about": first_line(name)} for name in ("gaussian_mixture", "carried")]
    return [*trained, *untrained]


def _model_row(name: str, folder: Path) -> dict[str, Any]:
    found = find_any_model(name)
    card, edges = found.card, found.card["spacing_mm"]
    spacing = " x ".join(f"{edge:g}" for edge in edges) if isinstance(edges, list) else f"{edges:g}"
    about = f"{found.generator}, scheme {card['scheme']['name']}, {spacing} mm"
    if found.generator in LABEL_GENERATORS:
        about += f"; makes label maps by {wishes.told(conditions(found))}"
    return {"name": name, "about": about, "folder": str(folder)}


def _schemes() -> Rows:
    return [{"name": name, "about": load_scheme(name).description} for name in scheme_names()]


def _recipes() -> Rows:
    return [{"name": name, "about": read_recipe(name).about} for name in recipe_names()]


def _generators() -> Rows:
    made = {"images": IMAGE_GENERATORS, "label maps": LABEL_GENERATORS}
    return [{"name": name, "makes": what, "about": first_line(name)} for what, table in made.items() for name in table]


def _metrics() -> Rows:
    return [
        {"name": name, "unit": module.UNIT, "better": module.BETTER, "about": _about(module)}
        for name, module in METRICS.items()
    ]


def _with_settings(modules: Mapping[str, ModuleType]) -> Rows:
    return [{"name": name, "about": _about(module), "settings": _settings(module)} for name, module in modules.items()]


KINDS: dict[str, Callable[[], Rows]] = {
    "models": _models,
    "schemes": _schemes,
    "pathologies": functools.partial(_with_settings, PATHOLOGIES),
    "recipes": _recipes,
    "generators": _generators,
    "checks": functools.partial(_with_settings, CHECKS),
    "formats": functools.partial(_with_settings, FORMATS),
    "metrics": _metrics,
    "segmenters": functools.partial(_with_settings, SEGMENTERS),
}


def described(path: Path, scheme: str = "") -> dict[str, Any]:
    """Facts about a label map, an image, a model folder, a run folder or a case table.

    Args:
        path: what the user points at.
        scheme: legend of a label map; without it labels are counted by value.

    Raises:
        InputError: there is nothing there that is understood.
    """
    if str(path) in shipped_models():
        return _model(str(path))
    if not path.exists():
        raise InputError(f"{path}: no such file or folder, and no model of that name ships. Check the path.")
    if path.is_dir():
        return _folder(path)
    if path.suffix == ".csv":
        return {"kind": "case table", "path": str(path), **_table(read_cases(path))}
    if path.name.lower().endswith(VOLUME_SUFFIXES):
        return _volume(path, scheme)
    raise InputError(
        f"{path}: expected a label map or image ({', '.join(VOLUME_SUFFIXES)}), a cases.csv, a model or a run folder."
    )


def _folder(path: Path) -> dict[str, Any]:
    if (path / "config.json").is_file():
        return _model(str(path))
    facts: dict[str, Any] = {}
    record = read_record(path)
    if record is not None:
        keys = ("command", "status", "seed", "device", "started", "ended", "config", "versions")
        outcomes = Counter(entry["outcome"] for entry in record["cases"].values())
        facts["run"] = {key: record.get(key) for key in keys} | {"outcomes": dict(outcomes)}
    if (path / TABLE).is_file():
        facts |= _table(read_cases(path / TABLE))
    if not facts:
        raise InputError(
            f"{path}: expected a folder with config.json (a model), run.json or cases.csv, found none of them."
        )
    return {"kind": "run", "path": str(path), **facts}


def _model(name_or_folder: str) -> dict[str, Any]:
    """Everything ``config.json`` says; of a label model, the conditions with their units too."""
    found = find_any_model(name_or_folder)
    about = {"kind": "model", "path": str(found.folder), "identity": found.identity, **found.card}
    if found.generator not in LABEL_GENERATORS:
        return about
    ranges = {
        name: {"low": range_.low, "high": range_.high, "unit": range_.unit}
        for name, range_ in conditions(found).items()
    }
    return {**about, "kind": "label model", "conditions": ranges}


def _table(cases: list[Case]) -> dict[str, Any]:
    def count(values: list[str]) -> dict[str, int]:
        return dict(sorted(Counter(value or "none" for value in values).items()))

    return {
        "cases": len(cases),
        "subjects": len({case.subject for case in cases}),
        "schemes": count([case.scheme for case in cases]),
        "splits": count([case.split for case in cases]),
        "origins": count([case.origin for case in cases]),
        "pathologies": count([case.pathology for case in cases]),
        "contrasts": count([contrast for case in cases for contrast in case.images]),
        "without labels": sum(case.labels is None for case in cases),
    }


def _volume(path: Path, scheme: str) -> dict[str, Any]:
    if scheme:
        legend = load_scheme(scheme)
        volume = read_labels(path, legend)
        return {"kind": "label map", **_grid(path, volume), "scheme": legend.name, **_measures(volume, legend)}
    volume = read_image(path)
    values, counts = np.unique(volume.array, return_counts=True)
    if len(values) <= 256 and np.array_equal(values, values.astype(np.int64)):
        found = {str(int(v)): _amount(int(n), volume) for v, n in zip(values, counts, strict=True)}
        return {"kind": "label map, legend unknown (give --scheme)", **_grid(path, volume), "labels": found}
    percentiles = np.percentile(volume.array, (0, 0.5, 50, 99.5, 100))
    named = zip(("lowest", "0.5 %", "median", "99.5 %", "highest"), percentiles, strict=True)
    return {"kind": "image", **_grid(path, volume), "intensity": {name: float(value) for name, value in named}}


def _grid(path: Path, volume: Volume) -> dict[str, Any]:
    return {
        "path": str(path),
        "shape": list(volume.shape),
        "spacing_mm": [round(edge, 4) for edge in volume.spacing_mm],
        "orientation": "".join(nib.aff2axcodes(volume.affine)),
    }


def _amount(voxels: int, volume: Volume) -> dict[str, float]:
    return {
        "voxels": voxels,
        "mm3": round(voxels * volume.voxel_ml * 1000, 1),
        "ml": round(voxels * volume.voxel_ml, 4),
    }


def _measures(volume: Volume, scheme: LabelScheme) -> dict[str, Any]:
    """Volume of every label and group, and the severity that each pathology measures where it can."""
    labels = {label.name: _amount(int((volume.array == label.value).sum()), volume) for label in scheme.labels}
    groups = {group: _amount(int(scheme.mask(volume.array, group).sum()), volume) for group in sorted(scheme.groups)}
    ras = to_ras(volume)
    measured: dict[str, dict[str, float | str]] = {}
    for name, module in PATHOLOGIES.items():
        try:
            found = module.severity(ras.array, scheme, ras.spacing_mm)
            measured[name] = {key: round(float(value), 4) for key, value in found.items()}
        except InputError as error:
            measured[name] = {"not measured": str(error)}
    return {"labels": labels, "groups": groups, "severity": measured}


def _about(module: Any) -> str:
    return (inspect.getdoc(module) or "").split("\n")[0]


def _settings(module: Any) -> dict[str, str]:
    """Every setting with its meaning."""
    return {name: field.description or "" for name, field in module.Config.model_fields.items()}
