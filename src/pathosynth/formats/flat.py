"""A folder of label maps and images, paired by file name: the plainest data set there is."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pathosynth.data.cases import CONTRASTS, RENAME, Case, build_case, check_cases
from pathosynth.data.labels import load_scheme
from pathosynth.data.participants import facts, person_of, read_participants, row_of
from pathosynth.runs.config import Config as BaseConfig
from pathosynth.runs.errors import InputError

VOLUME_SUFFIXES = (".nii.gz", ".nii", ".mgz")


class Config(BaseConfig):
    """How the files of a flat folder are named."""

    scheme: str
    """Label scheme of the label maps."""
    labels_suffix: str = "_dseg"
    """End of a label map's name before its extension; where no file has it, every volume that is not an image or a
    mask is taken for a label map."""
    subject_column: str = ""
    """Column of participants.tsv naming the person, where several cases stem from one; empty: the ``sub-`` entity of
    the file name, so that sessions and runs are one person; without it each case its own."""


def read(root: Path, config: Config) -> list[Case]:
    """Pair label maps ``STEM_dseg.nii.gz`` with images ``STEM_T2w.nii.gz`` (any BIDS contrast).

    A ``participants.tsv`` beside them gives age (columns ga_weeks, age_weeks, age_years or age), pathology and severity
    (a JSON object of measurements, or one grade), by STEM or by its ``sub-`` entity.

    Raises:
        InputError: the folder or its label maps are missing, two label maps share the images of one stem, or a file
            that is taken is there with two extensions.
    """
    root = Path(root).absolute()
    load_scheme(config.scheme)
    if not root.is_dir():
        raise InputError(f"{root}: expected a folder of label maps, found no folder. Check the path.")
    files = [path for path in sorted(root.iterdir()) if path.name.lower().endswith(VOLUME_SUFFIXES)]
    volumes = {stem(path): path for path in files}
    label_maps = _label_maps(volumes, config.labels_suffix)
    if not label_maps:
        raise InputError(
            f"{root}: expected label maps named *{config.labels_suffix}.nii.gz or plain *.nii.gz, found none among "
            f"{len(volumes)} volumes. Name the suffix (prepare --set labels_suffix=...) or give another folder."
        )
    people = read_participants(root / "participants.tsv")
    cases = [_case(name, path, volumes, row_of(people, name), config) for name, path in label_maps.items()]
    check_cases(cases, str(root))
    _check_alone(cases, files)
    return cases


def stem(path: Path) -> str:
    """File name without its volume extension."""
    return next((path.name[: -len(end)] for end in VOLUME_SUFFIXES if path.name.lower().endswith(end)), path.stem)


def _label_maps(volumes: dict[str, Path], suffix: str) -> dict[str, Path]:
    """Case name to label map."""
    named = {name.removesuffix(suffix): path for name, path in volumes.items() if name.endswith(suffix) and suffix}
    if named:
        described = {name: name.split("_desc-")[0] for name in named}
        doubled = sorted(name for name in named if list(described.values()).count(described[name]) > 1)
        if doubled:
            raise InputError(
                f"Found several label maps for the same images: {', '.join(doubled[:4])}. "
                "Choose one kind with prepare, for instance pathosynth prepare --set "
                f"labels_suffix=_desc-{doubled[0].split('_desc-')[-1]}{suffix}, and go on from its output."
            )
        return {described[name]: path for name, path in named.items()}
    others = (*(f"_{contrast}" for contrast in CONTRASTS), "_mask", "_probseg", "_xfm", "_0000")
    return {name: path for name, path in volumes.items() if not name.endswith(others)}


def _check_alone(cases: Sequence[Case], files: Sequence[Path]) -> None:
    """Refuse a volume that is there twice, as .nii and as .nii.gz: which one is meant cannot be known."""
    taken = {path for case in cases for path in (case.labels, *case.images.values())}
    twice = {stem(path): path for path in files if path not in taken}
    doubled = [f"{twice[stem(path)].name} and {path.name}" for path in files if path in taken and stem(path) in twice]
    if doubled:
        raise InputError(
            f"{files[0].parent}: expected one file of each name, found {'; '.join(doubled[:4])}. Move one of them away."
        )


def _case(name: str, labels: Path, volumes: dict[str, Path], row: dict[str, Any], config: Config) -> Case:
    images = {contrast: volumes[f"{name}_{contrast}"] for contrast in CONTRASTS if f"{name}_{contrast}" in volumes}
    values = {
        "case": name,
        "subject": row.get(config.subject_column) or person_of(name),
        "scheme": config.scheme,
        "labels": labels,
        "images": images,
        **facts(row, f"{labels.parent}, {name}"),
    }
    return build_case(values, str(labels), f"{RENAME}, or correct its row in participants.tsv")
