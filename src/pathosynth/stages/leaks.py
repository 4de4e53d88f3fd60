"""Nobody is tested on their own child: test subjects must not be among the ancestors of what a segmenter learnt from.

Ancestors of a training case are its subject, its parent, and the people on whom the generators that made it were
trained, as ``segmenter.json`` lists them and as every ``run.json`` behind the training tables says. Names that BIDS
tools make one are one person, and so are the sessions and runs of a ``sub-`` name. A training file with the content of
a test file is found under any name. What is not known is told.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from pathosynth.data.cases import Case, read_cases
from pathosynth.data.participants import person_of
from pathosynth.runs.errors import InputError, PathosynthError
from pathosynth.runs.files import sha256
from pathosynth.segmenters.record import SegmenterRecord, TrainingRow, read_segmenter, record_path
from pathosynth.stages.inputs import TABLE, files_of
from pathosynth.stages.predictions import Part, Run
from pathosynth.stages.provenance import training_row

_MOST = 8


@dataclass(frozen=True)
class Ancestor:
    """Who stands behind a training case, and how.

    Attributes:
        identity: subject or case, as it is written there.
        through: the training case or the generator, for people.
        how: what makes it an ancestor, for people.
    """

    identity: str
    through: str
    how: str


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
    folder = part.folder if part.folder.is_dir() else part.folder.parent
    if record_path(folder) is None:
        return Origin(None, unknown=("it has no segmenter.json, so nothing is known of its training",)), []
    record = read_segmenter(folder)
    if not record.trained_here:
        return Origin(record, unknown=(f"predictions by '{record.kind}' made elsewhere: training data unknown",)), []
    if not record.training:
        return Origin(record, unknown=("its segmenter.json lists no training case",)), []
    training = _traced_again(record.training)
    ancestors = list(_ancestors(training))
    leaks = [*_same_people(ancestors, judged), *_same_files(training, judged)]
    subjects = sorted({one.identity for one in ancestors})
    return Origin(record, tuple(subjects), tuple(dict.fromkeys(_untraced(training)))), leaks


def _same_people(ancestors: Sequence[Ancestor], judged: Sequence[Case]) -> list[str]:
    """Test subjects among the ancestors, once for each training case and generator, with the other spelling if any."""
    people = {key: case for case in judged for name in (case.case, case.subject) for key in _compared(name)}
    leaks: dict[tuple[str, str], str] = {}
    for one in ancestors:
        case = next((people[key] for key in _compared(one.identity) if key in people), None)
        if case is not None:
            spelt = "" if one.identity in (case.subject, case.case) else f" (as '{one.identity}')"
            text = f"subject '{case.subject}': {one.through} {one.how}{spelt}"
            leaks.setdefault((case.subject, one.through), text)
    return list(leaks.values())


def _compared(name: str) -> tuple[str, ...]:
    """The forms in which a name is compared, its own and that of its person.

    BIDS tools add ``sub-`` and drop marks like - and _, file systems lose the case of letters.
    """
    plain = (re.sub(r"[\W_]", "", one.removeprefix("sub-")).casefold() or one for one in (name, person_of(name)))
    return tuple(dict.fromkeys(plain))


def _ancestors(training: Sequence[TrainingRow]) -> Iterator[Ancestor]:
    for row in training:
        through = f"training case '{row.case}' of {row.source}"
        yield Ancestor(row.subject, through, "is of this subject")
        yield Ancestor(row.case, through, "has the name of the test case")
        if row.parent:
            yield Ancestor(row.parent, through, f"was made from '{row.parent}'")
    makers = {(model.name, row.source): (model, row) for row in reversed(training) for model in row.models}
    for model, row in makers.values():
        through = f"training case '{row.case}' of {row.source} was made by '{model.name}',"
        yield from (Ancestor(subject, through, "which learnt from this subject") for subject in model.subjects or ())


def _untraced(training: Sequence[TrainingRow]) -> Iterator[str]:
    """What nothing says the origin of, in words."""
    for row in training:
        for model in row.models:
            if model.subjects is None:
                yield f"nothing says on whom '{model.name}' was trained, which made cases of {row.source}"
        if row.origin != "real" and not row.models and not row.parent:
            yield f"nothing says how the {row.origin} case '{row.case}' of {row.source} was made"


def _same_files(training: Sequence[TrainingRow], judged: Sequence[Case]) -> list[str]:
    """Training files with the very content of a test case's, under any name; tables that are gone tell nothing."""
    own = {path: case for case in judged for path in files_of([case])}
    by_size: dict[int, list[Path]] = {}
    for path in own:
        by_size.setdefault(path.stat().st_size, []).append(path)
    leaks = []
    for source in dict.fromkeys(row.source for row in training):
        used = {row.case for row in training if row.source == source}
        for case in _table(Path(source)):
            for path in files_of([case]) if case.case in used else []:
                for test in by_size.get(path.stat().st_size, []):
                    if sha256(path) == sha256(test):
                        text = f"training case '{case.case}' of {source} has the content of {test.name} in {path}"
                        leaks.append(f"subject '{own[test].subject}': {text}")
    return leaks


def _traced_again(training: Sequence[TrainingRow]) -> list[TrainingRow]:
    """The rows, with what their tables, where they still are, say today of generators; both accounts count."""
    tables = {source: {case.case: case for case in _table(Path(source))} for source in {row.source for row in training}}
    rows = []
    for row in training:
        case = tables[row.source].get(row.case)
        today = training_row(case, Path(row.source)).models if case else ()
        unknown = {model.name for model in today if model.subjects is None}
        kept = [model for model in row.models if model.subjects is not None or model.name not in unknown]
        known = {model.name for model in kept if model.subjects is not None}
        added = [model for model in today if model.subjects is not None or model.name not in known]
        rows.append(row.model_copy(update={"models": (*kept, *added)}))
    return rows


@lru_cache(maxsize=64)
def _table(path: Path) -> tuple[Case, ...]:
    try:
        return tuple(read_cases(path / TABLE if path.is_dir() else path))
    except PathosynthError:
        return ()
