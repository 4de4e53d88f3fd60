"""nnU-Net's raw layout, version 2: ``imagesTr/CASE_0000.nii.gz``, ``labelsTr/CASE.nii.gz``, ``dataset.json``.

nnU-Net wants consecutive label numbers from 0; ``label_mapping.json`` beside ``dataset.json`` holds the scheme's own
numbers. Layout: nnU-Net documentation, "dataset format" and "manual data splits".
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pydantic

from pathosynth.data.cases import CONTRASTS, Case, build_case, check_cases
from pathosynth.data.grid import to_ras
from pathosynth.data.intensity import with_empty_background
from pathosynth.data.labels import LabelScheme, load_scheme, remap_labels
from pathosynth.data.nifti import check_same_grid, read_image, read_labels, write_image, write_labels
from pathosynth.data.participants import person_of
from pathosynth.data.volume import Volume
from pathosynth.runs.config import Config as BaseConfig
from pathosynth.runs.errors import InputError
from pathosynth.runs.files import json_text, write_text

MAPPING = "label_mapping.json"

_FOLDERS = {"train": ("imagesTr", "labelsTr"), "test": ("imagesTs", "labelsTs")}


class Config(BaseConfig):
    """How the labels of an nnU-Net data set become those of a scheme."""

    scheme: str
    """Label scheme the cases shall have."""
    names: dict[str, str] = pydantic.Field(default_factory=dict)
    """Label name in dataset.json to label name in the scheme, where they differ."""
    remapped: Path | None = None
    """Folder for label maps rewritten in the scheme's numbers; needed when the numbers differ."""


def read(root: Path, config: Config) -> list[Case]:
    """Cases of an nnU-Net raw folder; label names decide which number means what, never the numbers alone.

    Raises:
        InputError: the layout is broken, a label name is not in the scheme, or the numbers differ and no folder for
            rewritten label maps was given.
    """
    root = Path(root).absolute()
    scheme = load_scheme(config.scheme)
    description = _read_json(root / "dataset.json")
    mapping = _mapping(root, description, scheme, config)
    ending = str(description.get("file_ending", ".nii.gz"))
    channels = _channels(root, description)
    origins = _read_json(root / MAPPING).get("cases", {}) if (root / MAPPING).is_file() else {}
    cases = []
    for split, (images, labels) in _FOLDERS.items():
        for path in sorted((root / images).glob(f"*_0000{ending}")):
            name = path.name.removesuffix(f"_0000{ending}")
            files = {contrast: root / images / f"{name}_{number:04d}{ending}" for number, contrast in channels.items()}
            label_map = root / labels / f"{name}{ending}"
            stored = origins.get(name, {"subject": person_of(name), "split": "test" if split == "test" else ""})
            fields = {"scheme": config.scheme, "labels": label_map if label_map.is_file() else None, "images": files}
            cases.append(_case(root, name, stored, fields))
    if not cases:
        raise InputError(f"{root}: expected images imagesTr/CASE_0000{ending}, found none. Check the folder.")
    check_cases(cases, str(root))
    return cases if mapping is None else [_remapped(case, mapping, config) for case in cases]


def write(root: Path, cases: Sequence[Case], contrasts: Sequence[str]) -> None:
    """Write cases as an nnU-Net raw folder; cases of split "test" go to ``imagesTs`` and ``labelsTs``.

    Args:
        root: folder ``DatasetXXX_Name``.
        cases: all of one scheme, each with labels and every contrast on one grid.
        contrasts: channels in order.

    Raises:
        InputError: a file or a contrast is missing, grids differ within a case, or the schemes differ.
    """
    root = Path(root).absolute()
    _one_scheme(root, cases)
    for case in cases:
        write_case(root, case, contrasts)
    write_tables(root, cases, contrasts)


def write_case(root: Path, case: Case, contrasts: Sequence[str], *, canonical: bool = False) -> list[Path]:
    """Write the images and the label map of one case; returns the files.

    Args:
        root: folder of the data set.
        case: with labels and every contrast on one grid.
        contrasts: channels in order.
        canonical: whether arrays run to right, anterior and superior, and a constant background is 0; nnU-Net looks at
            arrays alone, so that cases of different orientation look different to it, and normalises what is not 0.

    Raises:
        InputError: a file or a contrast is missing, or the grids differ.
    """
    missing = [contrast for contrast in contrasts if contrast not in case.images]
    if case.labels is None or missing:
        lacking = "a label map" if case.labels is None else f"contrasts {missing}"
        raise InputError(
            f"{root}: case '{case.case}' lacks {lacking}, which nnU-Net needs. Leave the case out or add it."
        )
    scheme = load_scheme(case.scheme)
    labels = read_labels(case.labels, scheme)
    images = [read_image(case.images[contrast]) for contrast in contrasts]
    for contrast, image in zip(contrasts, images, strict=True):
        check_same_grid(labels, image, f"case '{case.case}', labels and {contrast}")
    if canonical:
        labels, images = to_ras(labels), [canonical_image(image) for image in images]
    image_folder, label_folder = _FOLDERS["test" if case.split == "test" else "train"]
    files = [root / image_folder / f"{case.case}_{number:04d}.nii.gz" for number in range(len(contrasts))]
    for path, image in zip(files, images, strict=True):
        write_image(path, image)
    label_map = root / label_folder / f"{case.case}.nii.gz"
    write_labels(label_map, labels.with_array(scheme.indices(labels.array)))
    return [*files, label_map]


def canonical_image(image: Volume) -> Volume:
    """An image as nnU-Net's networks see it in training and in use: in RAS orientation, a constant background at 0."""
    image = to_ras(image)
    return image.with_array(with_empty_background(image.array))


def write_tables(root: Path, cases: Sequence[Case], contrasts: Sequence[str]) -> None:
    """Write ``dataset.json`` and the mapping for cases that are written.

    Raises:
        InputError: a case appears twice, or the schemes differ.
    """
    scheme = _one_scheme(root, cases)
    numbers = {scheme[value].name: index for index, value in enumerate(scheme.values, start=1)}
    description = {
        "channel_names": {str(number): contrast for number, contrast in enumerate(contrasts)},
        "labels": {"background": 0, **numbers},
        "numTraining": sum(case.split != "test" for case in cases),
        "file_ending": ".nii.gz",
        "name": root.name,
    }
    known = ("subject", "split", "origin", "parent", "pathology", "severity", "seed", "age_weeks", "age_years")
    content = {
        "scheme": scheme.name,
        "mapping": {str(index): value for index, value in enumerate(scheme.values, start=1)},
        "cases": {case.case: case.model_dump(mode="json", include=set(known)) for case in cases},
    }
    write_text(root / MAPPING, json_text(content))
    write_text(root / "dataset.json", json_text(description))


def make_splits(cases: Sequence[Case], *, folds: int = 5, seed: int = 0) -> list[dict[str, list[str]]]:
    """Folds for ``splits_final.json``: synthetic cases train only, and no subject is on both sides of a fold.

    Where cases carry the splits "train" and "val" there is one fold, theirs. Otherwise the subjects with real cases
    are dealt into `folds` parts; synthetic cases of a subject that validates are left out of that fold.

    Raises:
        InputError: a fold would be without validation cases, or a real subject is missing on one side.
    """
    cases = [case for case in cases if case.split != "test"]
    real = sorted({case.subject for case in cases if case.origin == "real"})
    given = {case.subject for case in cases if case.split == "val"}
    if given:
        sides = [given]
    elif len(real) < folds or folds < 2:
        raise InputError(f"Splits: {folds} folds need at least as many subjects with real cases, found {len(real)}.")
    else:
        dealt = np.random.default_rng(seed).permutation(real)
        sides = [{str(subject) for subject in dealt[fold::folds]} for fold in range(folds)]
    splits = [
        {
            "train": [case.case for case in cases if case.subject not in side],
            "val": [case.case for case in cases if case.subject in side and case.origin == "real"],
        }
        for side in sides
    ]
    if not all(split["train"] and split["val"] for split in splits):
        raise InputError("Splits: a fold has no training or no real validation case. Change the split column.")
    return splits


def write_splits(path: Path, splits: Sequence[dict[str, list[str]]]) -> None:
    """Write ``splits_final.json``; nnU-Net looks for it in ``nnUNet_preprocessed/DatasetXXX_Name``."""
    write_text(path, json_text(list(splits)))


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read as JSON ({error}). Expected an nnU-Net v2 raw folder.") from None
    if not isinstance(content, dict):
        raise InputError(f"{path}: expected a JSON object, found {type(content).__name__}.")
    return content


def _case(root: Path, name: str, stored: Any, fields: dict[str, Any]) -> Case:
    values = {**stored, **fields, "case": name} if isinstance(stored, dict) else {"case": name}
    return build_case(values, f"{root}, case '{name}'", f"Correct its name or {MAPPING}")


def _channels(root: Path, description: dict[str, Any]) -> dict[int, str]:
    names = description.get("channel_names")
    by_lower = {contrast.lower(): contrast for contrast in CONTRASTS} | {"t1": "T1w", "t2": "T2w"}
    stored = names if isinstance(names, dict) else {}
    channels = {int(key): by_lower.get(str(name).lower(), "") for key, name in stored.items() if key.isdecimal()}
    if not channels or len(channels) != len(stored) or not all(channels.values()):
        raise InputError(
            f"{root / 'dataset.json'}: found channel_names {names}, expected names among {', '.join(CONTRASTS)}. "
            "Rename the channels."
        )
    return channels


def _mapping(root: Path, description: dict[str, Any], scheme: LabelScheme, config: Config) -> dict[int, int] | None:
    """Stored number to the scheme's number; None when they are equal."""
    stored = description.get("labels")
    if not isinstance(stored, dict) or not all(isinstance(number, int) for number in stored.values()):
        raise InputError(
            f"{root / 'dataset.json'}: found labels {stored}, expected name to one number each (no regions). "
            "Export plain labels."
        )
    values = {label.name: label.value for label in scheme.labels}
    named = {number: config.names.get(str(name), str(name)) for name, number in stored.items() if number != 0}
    unknown = sorted(set(named.values()) - set(values))
    if unknown:
        raise InputError(
            f"{root / 'dataset.json'}: label names {unknown} are not in scheme '{scheme.name}', expected some of "
            f"{sorted(values)}. Give names={{theirs = ours}} or another scheme."
        )
    mapping = {number: values[name] for number, name in named.items()}
    if all(number == value for number, value in mapping.items()):
        return None
    if config.remapped is None:
        raise InputError(
            f"{root}: its label numbers differ from scheme '{scheme.name}' ({mapping}). Give remapped=FOLDER, where "
            "label maps in the scheme's numbers will be written."
        )
    return mapping


def _remapped(case: Case, mapping: dict[int, int], config: Config) -> Case:
    """The case with its label map rewritten in the scheme's numbers."""
    if case.labels is None or config.remapped is None:
        return case
    stored = read_labels(case.labels, None)
    path = config.remapped.absolute() / f"{case.case}_dseg.nii.gz"
    write_labels(path, Volume(remap_labels(stored.array, mapping, others="error"), stored.affine))
    return case.model_copy(update={"labels": path})


def _one_scheme(root: Path, cases: Sequence[Case]) -> LabelScheme:
    check_cases(cases, str(root))
    if len({case.scheme for case in cases}) != 1:
        raise InputError(f"{root}: expected cases of one label scheme, found {sorted({c.scheme for c in cases})}.")
    return load_scheme(cases[0].scheme)
