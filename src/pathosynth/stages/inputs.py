"""What a stage starts from: cases from a table, a folder or one file, and a case's voxels in memory."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from pathosynth.data.cases import CONTRASTS, RENAME, Case, build_case, read_cases
from pathosynth.data.grid import to_ras
from pathosynth.data.labels import LabelScheme, load_scheme
from pathosynth.data.nifti import check_same_grid, read_image, read_labels
from pathosynth.data.participants import facts, person_of, read_participants, row_of
from pathosynth.data.volume import Volume
from pathosynth.formats import FORMATS, flat
from pathosynth.formats.flat import VOLUME_SUFFIXES
from pathosynth.runs.config import build_config
from pathosynth.runs.errors import ConfigError, InputError

TABLE = "cases.csv"


@dataclass(frozen=True)
class Brain:
    """One case in memory.

    Attributes:
        labels: in RAS orientation.
        image: in RAS orientation, same grid; None where there is none or none was asked for.
        original: the labels as they lie on disk; outputs get exactly this grid.
    """

    labels: Volume
    image: Volume | None
    original: Volume


def read_input(
    path: Path, scheme: str = "", layout: str = "auto", settings: Mapping[str, Any] = MappingProxyType({})
) -> list[Case]:
    """Cases of a ``cases.csv``, of the folder it lies in, of any folder of label maps, or of one label map.

    Args:
        path: what the user gave.
        scheme: ``--scheme``; may be empty where the table names one for every case.
        layout: key of `FORMATS` for a folder; auto prefers a case table, then looks at the files.
        settings: of the format.

    Raises:
        InputError: there is nothing usable at `path`.
        ConfigError: no scheme is known for a case, the table names another one, or a setting is wrong.
    """
    if not path.exists():
        raise InputError(f"{path}: no such file or folder. Check the path.")
    if layout not in ("auto", *FORMATS):
        raise ConfigError(f"--format {layout}: expected auto or one of {', '.join(FORMATS)}.")
    if path.is_dir() and (path / TABLE).is_file() and layout == "auto":
        path = path / TABLE
    if path.suffix == ".csv":
        cases = read_cases(path)
    elif path.is_dir():
        module = FORMATS[_layout_of(path) if layout == "auto" else layout]
        values = {"scheme": _required(scheme, path), **settings}
        cases = module.read(path, build_config(module.Config, values, f"{path}: settings of the format"))
    else:
        cases = [_single(path, _required(scheme, path))]
    labelled = [_with_scheme(case, scheme, path) for case in cases if case.labels is not None]
    if not labelled:
        raise InputError(f"{path}: expected at least one case with a label map, found none. Check the input folder.")
    return labelled


def read_brain(case: Case, scheme: LabelScheme, contrast: str = "") -> Brain:
    """Read a case's labels, and its image of one contrast where it has one.

    Raises:
        InputError: a file is damaged, or labels and image do not share a grid.
    """
    if case.labels is None:
        raise InputError(f"Case '{case.case}' has no label map. Add it to the case table.")
    original = read_labels(case.labels, scheme)
    path = case.images.get(contrast)
    image = read_image(path) if path else None
    if image is not None:
        check_same_grid(original, image, f"case '{case.case}': {case.labels} and {path}")
    return Brain(to_ras(original), to_ras(image) if image is not None else None, original)


def files_of(cases: Iterable[Case]) -> list[Path]:
    """Every existing file the cases name, for the run record."""
    named = [path for case in cases for path in (case.labels, case.displacement, *case.images.values()) if path]
    return [path for path in dict.fromkeys(named) if path.is_file()]


def one_scheme(cases: Sequence[Case]) -> LabelScheme:
    """The label scheme all cases share.

    Raises:
        ConfigError: they use several.
    """
    names = sorted({case.scheme for case in cases})
    if len(names) != 1:
        raise ConfigError(
            f"Expected one label scheme for all cases, found {', '.join(names)}. Split the table by scheme."
        )
    return load_scheme(names[0])


def _single(path: Path, scheme: str) -> Case:
    """The case of one label map, with the images beside it under the same name and what is known of the person."""
    name = re.sub(r"(_(seg|desc)-[A-Za-z0-9]+)*_dseg$", "", flat.stem(path))
    path = path.absolute()
    beside = {c: [path.with_name(f"{name}_{c}{end}") for end in VOLUME_SUFFIXES] for c in CONTRASTS}
    found = {contrast: [image for image in beside[contrast] if image.is_file()] for contrast in CONTRASTS}
    images = {contrast: files[0] for contrast, files in found.items() if files and path not in files}
    row = row_of(read_participants(path.parent / "participants.tsv"), name)
    values: dict[str, Any] = {"case": name, "subject": person_of(name), "scheme": scheme, "labels": path}
    values |= {"images": images, **facts(row, str(path))}
    return build_case(values, str(path), RENAME)


def _layout_of(folder: Path) -> str:
    """The layout a folder's entries speak for."""
    if (folder / "dataset.json").is_file() and (folder / "labelsTr").is_dir():
        return "nnunet"
    return "bids" if any(entry.is_dir() for entry in folder.glob("sub-*")) else "flat"


def _required(scheme: str, path: Path) -> str:
    if not scheme:
        raise ConfigError(f"{path}: expected --scheme, the legend of these label maps. See `pathosynth list schemes`.")
    load_scheme(scheme)
    return scheme


def _with_scheme(case: Case, scheme: str, path: Path) -> Case:
    if case.scheme and scheme and case.scheme != scheme:
        raise ConfigError(
            f"{path}: case '{case.case}' is in scheme '{case.scheme}', --scheme says '{scheme}'. Leave it out."
        )
    return case.model_copy(update={"scheme": case.scheme or _required(scheme, path)})
