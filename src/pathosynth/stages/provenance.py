"""Who is behind a synthetic case: the generators in its past and the people they were trained on.

Read from the sidecars beside a case's files and from the run records of the folders they came from, folder by folder
back to real data.
"""

import json
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

from pathosynth.data.cases import Case
from pathosynth.runs.errors import PathosynthError
from pathosynth.runs.record import FILE_NAME, read_record
from pathosynth.segmenters.record import MadeBy, TrainingRow
from pathosynth.stages.models import Found, find_any_model, shipped_models

_NAMES = {"model": "model_subjects", "label_model": "ancestors"}
"""Key of a run record's settings that names a generator, and the key beside it that names its people."""


def training_row(case: Case, source: Path) -> TrainingRow:
    """A case of a training table with every generator in its past."""
    return TrainingRow(
        case=case.case, subject=case.subject, origin=case.origin, parent=case.parent, source=str(source.resolve()),
        models=_joined(_past(case)),
    )  # fmt: skip


def people(found: Found) -> list[str] | None:
    """Subjects a model was trained on, with those behind synthetic training cases; None where nothing says who.

    A generator that does not learn has none.
    """
    if found.folder is None:
        return []
    try:
        own = {str(subject) for subject in found.card["facts"]["subjects"]}
    except (KeyError, TypeError):
        return None
    behind = [made.subjects for made in _folder(found.folder.resolve())]
    return sorted(own.union(*(subjects for subjects in behind if subjects is not None)))


def past(case: Case) -> list[tuple[str, str]]:
    """Identity of every generator in a case's past, and what the sidecars say of its audit."""
    told = {
        identity: audit for path in (case.labels, *case.images.values()) if path for identity, audit in _audit(path)
    }
    learnt = [made.name for made in _joined(_past(case)) if "@" in made.name]
    return [(identity, told.get(identity, "none")) for identity in learnt]


def model_folders(case: Case) -> dict[str, Path]:
    """Identity to folder of the generators behind a case, as the run records of its folders say."""
    found: dict[str, Path] = {}
    for path in (case.labels, *case.images.values()):
        folder = _run_folder(path.resolve().parent) if path else None
        if folder is not None:
            found |= _recorded_folders(folder)
    return found


@lru_cache(maxsize=256)
def _recorded_folders(folder: Path, seen: frozenset[Path] = frozenset()) -> dict[str, Path]:
    try:
        record = read_record(folder) or {}
    except PathosynthError:
        return {}
    before = {_run_folder(Path(path).parent) for path in record.get("inputs", {})} - {None, folder} - seen
    found = {name: path for one in before if one for name, path in _recorded_folders(one, seen | {folder}).items()}
    return found | {str(name): Path(path) for name, path in record.get("models", {}).items()}


def _audit(path: Path) -> Iterator[tuple[str, str]]:
    content = _beside(path)
    if isinstance(content.get("Model"), str) and isinstance(content.get("ModelAudit"), str):
        yield content["Model"], content["ModelAudit"]


def _past(case: Case) -> Iterator[MadeBy]:
    for path in (case.labels, *case.images.values()):
        if path is not None:
            yield from _sidecar(path)
            yield from _folders_of([path])


def _sidecar(path: Path) -> Iterator[MadeBy]:
    """What the JSON file beside a volume says."""
    content = _beside(path)
    if isinstance(content.get("Model"), str):
        yield _made_by(content["Model"], content.get("ModelSubjects"))


def _beside(path: Path) -> dict[str, Any]:
    """The JSON file beside a volume; empty where there is none that can be read."""
    beside = path.with_name(path.name.removesuffix(".nii.gz") + ".json")
    try:
        content = json.loads(beside.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _folders_of(paths: Iterable[Path]) -> Iterator[MadeBy]:
    for folder in {_run_folder(path.resolve().parent) for path in paths}:
        if folder is not None:
            yield from _folder(folder)


@lru_cache(maxsize=4096)
def _run_folder(folder: Path) -> Path | None:
    """The nearest folder upwards with a run record."""
    return next((one for one in (folder, *folder.parents) if (one / FILE_NAME).is_file()), None)


@lru_cache(maxsize=256)
def _folder(folder: Path, seen: frozenset[Path] = frozenset()) -> tuple[MadeBy, ...]:
    """Generators named in a folder's run record and, through the files it read, in those before it."""
    try:
        record = read_record(folder)
    except PathosynthError:
        return ()
    if record is None:
        return ()
    before = {_run_folder(Path(path).parent) for path in record.get("inputs", {})} - {None, folder} - seen
    earlier = [made for one in sorted(before, key=str) if one for made in _folder(one, seen | {folder})]
    return (*_named(record.get("config", {})), *earlier)


def _named(settings: Any) -> Iterator[MadeBy]:
    """Generators named anywhere in the settings of a run."""
    if not isinstance(settings, dict):
        return
    for key, beside in _NAMES.items():
        if isinstance(settings.get(key), str) and settings[key]:
            yield _made_by(settings[key], settings.get(beside))
    for value in settings.values():
        yield from _named(value)


def _made_by(identity: str, subjects: Any) -> MadeBy:
    known = tuple(str(one) for one in subjects) if isinstance(subjects, list) else _looked_up(identity)
    return MadeBy(name=identity, subjects=known)


@lru_cache(maxsize=64)
def _looked_up(identity: str) -> tuple[str, ...] | None:
    """People behind a generator that is only named: a shipped model, or one without weights, which has none."""
    name, weights, _ = identity.partition("@")
    if not weights:
        return ()
    if name not in shipped_models():
        return None
    found = find_any_model(name)
    subjects = people(found) if found.identity == identity else None
    return None if subjects is None else tuple(subjects)


def _joined(found: Iterable[MadeBy]) -> tuple[MadeBy, ...]:
    """Each generator once; who was known in one place is known."""
    by_name: dict[str, MadeBy] = {}
    for made in found:
        if by_name.get(made.name) is None or by_name[made.name].subjects is None:
            by_name[made.name] = made
    return tuple(by_name[name] for name in sorted(by_name))
