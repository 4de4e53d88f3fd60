"""Predictions made elsewhere (SynthSeg, FreeSurfer …): a folder and a label scheme, judged by the same rules.

Nothing is computed but the way onto the test case's grid. Rule: a test voxel gets the value of the prediction voxel
in which its centre lies; beyond the prediction's field of view it is background. No value appears that was not there.
"""

import re
import string
from collections.abc import Container, Mapping, Sequence
from pathlib import Path

import numpy as np
import pydantic

from pathosynth.data.cases import Case
from pathosynth.data.grid import same_grid
from pathosynth.data.labels import check_values, in_scheme, load_scheme, remap_labels, table_to
from pathosynth.data.nifti import read_labels
from pathosynth.data.volume import Volume
from pathosynth.runs.config import Config as BaseConfig
from pathosynth.runs.errors import InputError
from pathosynth.segmenters.job import Prediction

_ENDINGS = (".nii.gz", ".nii", ".mgz")


class Config(BaseConfig):
    """Where predictions lie and what their numbers mean."""

    predictions: Path
    """Folder of label maps."""
    scheme: str
    """Label scheme of the predictions, after `remap`."""
    to_scheme: str = ""
    """Scheme the result shall have, by the remapping table of `scheme`; empty keeps `scheme`."""
    file: str = ""
    """Path of a case's label map in the folder, with {case} and {subject}, e.g. "{subject}/mri/aseg.mgz". Empty: a file
    called as the case, or as the subject where that has one case, with or without "_something" behind the name,
    anywhere in the folder; not one that is called as another case, or has another session or run."""
    remap: dict[int, int] = pydantic.Field(default_factory=dict)
    """Stored value to value of `scheme`, where they differ; 0 drops a value. Other values are taken as they are."""

    @pydantic.field_validator("file")
    @classmethod
    def _only_known_fields(cls, value: str) -> str:
        unknown = {name for _, name, _, _ in string.Formatter().parse(value) if name is not None} - {"case", "subject"}
        if unknown:
            raise ValueError(f"{sorted(unknown)} is unknown in braces; use {{case}} and {{subject}}")
        return value


def check(config: Config) -> str:
    """Refuse settings that cannot work before anything is done; returns the label scheme of what comes out.

    Raises:
        InputError: there is no such folder.
        ConfigError: no such scheme, or no remapping table from one to the other.
    """
    if not config.predictions.is_dir():
        raise InputError(
            f"{config.predictions}: expected a folder of predicted label maps, found none. Check the path."
        )
    wanted = config.to_scheme or config.scheme
    table_to(load_scheme(config.scheme), load_scheme(wanted), f"to_scheme={wanted}")
    return wanted


def labels_of(case: Case, like: Volume, asked: Prediction) -> Volume:
    """The label map predicted for a case, brought onto its grid.

    Args:
        case: the test case.
        like: its image or reference labels; the result lies on exactly this grid.
        asked: its settings say where predictions lie, its people whose they may be.

    Returns:
        Values of the scheme that is asked for.

    Raises:
        InputError: there is no prediction or more than one, a value is not in the scheme, or the two do not overlap.
    """
    config: Config = asked.config
    path = find(case, config, asked.people)
    scheme, wanted = load_scheme(config.scheme), asked.scheme
    stored = read_labels(path, None)
    labels = remap_labels(stored.array, config.remap, others="keep")
    check_values(labels, scheme, str(path))
    labels = in_scheme(labels, scheme, wanted, str(path))
    placed = nearest(Volume(labels, stored.affine), like)
    if labels.any() and not placed.array.any():
        raise InputError(f"{path}: lies outside the image of case '{case.case}'. Check that it is in the same space.")
    return placed


def find(case: Case, config: Config, people: Mapping[str, str]) -> Path:
    """The file predicted for a case and for no other.

    A file belongs to the longest name it begins with: of a case, or of a subject of whom there is one case. One with a
    ses- or run- that the case does not have belongs to another scan.

    Args:
        case: the test case.
        config: where predictions lie.
        people: case to subject, of all cases whose predictions may lie there.

    Raises:
        InputError: there is none, or more than one, or it would be another case's as well.
    """
    folder = config.predictions
    people = {**people, case.case: case.subject}
    if config.file:
        return _templated(case, config, people)
    files = sorted(path for path in folder.rglob("*") if path.name.endswith(_ENDINGS) and path.is_file())
    owned = {path: _longest(path, {*people, *people.values()}) for path in files}
    alone = list(people.values()).count(case.subject) == 1 and people.get(case.subject, case.subject) == case.subject
    others: list[Path] = []
    for name in (case.case, case.subject) if alone else (case.case,):
        called = _called(name, [path for path in files if owned[path] == name])
        matches = [path for path in called if _scan(path.relative_to(folder)) <= _scan(Path(case.case))]
        others += [path for path in called if path not in matches]
        if len(matches) == 1:
            return matches[0]
        if matches:
            raise InputError(
                f"{folder}: found {len(matches)} predictions of case '{case.case}' "
                f"({', '.join(str(path.relative_to(folder)) for path in matches[:4])}), expected one. "
                "Say which with --set file={case}_something.nii.gz."
            )
    unlike = f"; {', '.join(str(path.relative_to(folder)) for path in others[:4])} is of another scan" if others else ""
    raise InputError(
        f"{folder}: no prediction of case '{case.case}' (subject '{case.subject}') among {len(files)} label maps"
        f"{unlike}. Name the file as the case, or say how it is called with --set file=…"
    )


def _templated(case: Case, config: Config, people: Mapping[str, str]) -> Path:
    """The file that the setting `file` names."""
    paths = {name: config.predictions / config.file.format(case=name, subject=people[name]) for name in people}
    path = paths[case.case]
    same = [name for name in paths if paths[name] == path]
    if len(same) > 1:
        raise InputError(
            f"{path}: found as the prediction of cases {', '.join(same[:4])} by file={config.file}, expected a file "
            "for each. Use {case} in `file`."
        )
    if not path.is_file():
        raise InputError(f"{path}: no such file, expected the prediction of case '{case.case}'. Check `file`.")
    return path


def nearest(volume: Volume, like: Volume) -> Volume:
    """Labels on another grid, whatever the directions of its axes: the voxel each centre lies in, else 0.

    Where both grids are one, the voxels are taken as they are.
    """
    if same_grid(volume, like):
        return like.with_array(volume.array)
    to_voxel = np.linalg.inv(volume.affine) @ like.affine
    out = np.zeros(like.shape, dtype=volume.array.dtype)
    j, k = np.meshgrid(np.arange(like.shape[1]), np.arange(like.shape[2]), indexing="ij")
    plane = np.stack([np.zeros_like(j), j, k]).reshape(3, -1)
    shape = np.array(volume.shape)[:, None]
    for i in range(like.shape[0]):
        plane[0] = i
        at = np.floor(to_voxel[:3, :3] @ plane + to_voxel[:3, 3:] + 0.5).astype(np.intp)
        inside = ((at >= 0) & (at < shape)).all(axis=0)
        out[i].reshape(-1)[inside] = volume.array[tuple(at[:, inside])]
    return like.with_array(out)


def _longest(path: Path, names: Container[str]) -> str:
    """The longest of the names that the file is called by; empty where it is none of them."""
    starts = [path.name[: mark.start()] for mark in re.finditer(r"[_.]", path.name)]
    return next((start for start in reversed(starts) if start in names), "")


def _called(name: str, files: Sequence[Path]) -> list[Path]:
    """Files called exactly so, else those with "_" or "." behind the name."""
    exact = [path for path in files if path.name in {name + ending for ending in _ENDINGS}]
    return exact or [path for path in files if path.name.startswith((f"{name}_", f"{name}."))]


def _scan(path: Path) -> set[str]:
    """Which scan of a person it is: session and run in a file's name, session in the folders it lies in."""
    folders = [part for part in path.parent.parts if part.startswith("ses-")]
    return {*folders, *re.findall(r"(?<![A-Za-z0-9-])(?:ses|run)-[A-Za-z0-9]+", path.name)}
