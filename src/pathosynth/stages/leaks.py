"""Nobody is tested on their own child: test subjects must not be among the ancestors of what a segmenter learnt from.

Ancestors of a training case are its subject, its parent, and the people on whom the generators that made it were
trained, as ``segmenter.json`` lists them and as the ``run.json`` beside the training tables says. A test label map that
was read by one of those runs is found by its content, whatever its name. What nothing is known of is said, not passed.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from pathosynth.data.cases import Case
from pathosynth.runs.errors import InputError, ModelError, PathosynthError
from pathosynth.runs.files import sha256
from pathosynth.runs.record import read_record
from pathosynth.segmenters.record import SegmenterRecord, TrainingRow, read_segmenter
from pathosynth.stages import label_models
from pathosynth.stages.models import find_any_model
from pathosynth.stages.predictions import Part, Run

_MOST = 8


@dataclass(frozen=True)
class Ancestor:
    """Who stands behind a training case, and how.

    Attributes:
        identity: subject or case, as it is written there.
        path: steps from the training case to it, for people.
    """

    identity: str
    path: str


@dataclass(frozen=True)
class Origin:
    """What is known of the training behind one folder of predictions.

    Attributes:
        record: of the segmenter; None where there is none.
        subjects: people it was trained on, itself and through generators, as found.
        unknown: what could not be traced, for people; empty where all could.
    """

    record: SegmenterRecord | None
    subjects: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()


def check_leaks(runs: Sequence[Run], reference: Sequence[Case]) -> dict[Path, Origin]:
    """Trace the training behind every folder.

    Returns:
        Folder to what is known of it.

    Raises:
        InputError: a test subject is among the ancestors; names subjects, arm and path.
    """
    by_name = {case.case: case for case in reference}
    found: dict[Path, Origin] = {}
    leaks: list[str] = []
    for run in runs:
        for part in run.parts:
            judged = [by_name[name] for name in part.judged]
            found[part.folder], leaked = _traced(part, judged)
            leaks += [f"arm '{run.arm}' ({part.folder}): {text}" for text in leaked]
    if leaks:
        more = f"\n  and {len(leaks) - _MOST} more" if len(leaks) > _MOST else ""
        listed = "\n  ".join(leaks[:_MOST])
        raise InputError(
            f"Test subjects are among the ancestors of training data:\n  {listed}{more}\nTrain without them, or leave "
            "them out of the test cases. Where a name means two people, rename one; nothing turns this check off."
        )
    return found


def _traced(part: Part, judged: Sequence[Case]) -> tuple[Origin, list[str]]:
    """What is known of one folder, and its leaks in words."""
    try:
        record = read_segmenter(part.folder if part.folder.is_dir() else part.folder.parent)
    except ModelError as error:
        if "neither" not in str(error):
            raise
        return Origin(None, unknown=("it has no segmenter.json, so nothing is known of its training",)), []
    if not record.trained_here:
        return Origin(record, unknown=(f"predictions by '{record.kind}' made elsewhere: training data unknown",)), []
    if not record.training:
        return Origin(record, unknown=("its segmenter.json lists no training case",)), []
    people = {_same(case.subject): case for case in judged} | {_same(case.case): case for case in judged}
    ancestors = list(_ancestors(record.training))
    hits = {(people[_same(one.identity)].subject, one.path): None for one in ancestors if _same(one.identity) in people}
    leaks = [f"subject '{subject}': {path}" for subject, path in hits]
    leaks += _same_files(record.training, judged)
    subjects = sorted({one.identity for one in ancestors})
    return Origin(record, tuple(subjects), tuple(dict.fromkeys(_untraced(record.training)))), leaks


def _same(identity: str) -> str:
    """A name as it is compared: BIDS tools add ``sub-``, file systems lose the case of letters."""
    return identity.removeprefix("sub-").casefold()


def _ancestors(training: Sequence[TrainingRow]) -> Iterator[Ancestor]:
    for row in training:
        yield Ancestor(row.subject, f"training case '{row.case}' of {row.source} is of this subject")
        yield Ancestor(row.case, f"training case '{row.case}' of {row.source} has the name of the test case")
        if row.parent:
            yield Ancestor(row.parent, f"training case '{row.case}' of {row.source} was made from '{row.parent}'")
        for model in row.models:
            for subject in model.subjects or ():
                yield Ancestor(
                    subject,
                    f"training case '{row.case}' of {row.source} was made by '{model.name}', which learnt from them",
                )
    for source in dict.fromkeys(row.source for row in training):
        for place, content in _records(Path(source)):
            for name, subjects in _generators(content).items():
                for subject in subjects or ():
                    yield Ancestor(subject, f"{source} was made with '{name}' ({place}), which learnt from them")


def _untraced(training: Sequence[TrainingRow]) -> Iterator[str]:
    """Generators of which nothing says who they learnt from."""
    for row in training:
        for model in row.models:
            if model.subjects is None:
                yield f"nothing says on whom '{model.name}' was trained, which made cases of {row.source}"
        if row.origin != "real" and not row.models and not row.parent:
            yield f"nothing says how the {row.origin} case '{row.case}' of {row.source} was made"


def _same_files(training: Sequence[TrainingRow], judged: Sequence[Case]) -> list[str]:
    """Test label maps that a run behind the training tables has read, under whatever name."""
    digests = {sha256(case.labels): case for case in judged if case.labels and case.labels.is_file()}
    leaks = []
    for source in dict.fromkeys(row.source for row in training):
        for place, content in _records(Path(source)):
            for path, digest in content.get("inputs", {}).items():
                if digest in digests:
                    case = digests[digest]
                    text = f"its label map was read as {path} for the training table {source} ({place})"
                    leaks.append(f"subject '{case.subject}': {text}")
    return leaks


def _records(table: Path) -> list[tuple[Path, Mapping[str, Any]]]:
    """Run records behind a case table: of its folder and of the folders its run read from, back to the first."""
    found: dict[Path, Mapping[str, Any]] = {}
    waiting = [table if table.is_dir() else table.parent]
    while waiting:
        folder = waiting.pop()
        if folder in found or folder == folder.parent:
            continue
        content = _record(folder)
        if content is None:
            continue
        found[folder] = content
        waiting += sorted({parent for path in content.get("inputs", {}) for parent in list(Path(path).parents)[:4]})
    return [(folder / "run.json", content) for folder, content in found.items()]


@lru_cache(maxsize=4096)
def _record(folder: Path) -> Mapping[str, Any] | None:
    """A folder's run record; None where there is none or something else has that name."""
    try:
        return read_record(folder)
    except (PathosynthError, OSError, json.JSONDecodeError):
        return None


def _generators(content: Mapping[str, Any]) -> dict[str, list[str] | None]:
    """Trained generators a run record names, with the people they learnt from; None where that cannot be found."""
    config = content.get("config", {})
    found: dict[str, list[str] | None] = {}
    for key in ("model", "label_model"):
        name = str(config.get(key) or "").partition("@")[0]
        if name:
            found[name] = _subjects_of(name)
    if config.get("ancestors"):
        found[str(config.get("label_model", "a generator"))] = [str(one) for one in config["ancestors"]]
    if content.get("command") == "train" and content.get("subjects"):
        found[str(config.get("generator", "a generator"))] = [str(one) for one in content["subjects"]]
    return found


@lru_cache(maxsize=64)
def _subjects_of(name: str) -> list[str] | None:
    try:
        model = find_any_model(name)
        return label_models.subjects(model) if model.folder else []
    except PathosynthError:
        return None
