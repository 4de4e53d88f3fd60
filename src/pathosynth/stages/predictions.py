"""Predicted label maps of several arms, matched with the reference cases by name."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pathosynth.data.cases import Case, read_cases
from pathosynth.runs.errors import ConfigError, InputError
from pathosynth.stages import inputs


@dataclass(frozen=True)
class Part:
    """One folder of predictions.

    Attributes:
        folder: as the user gave it.
        cases: reference case to the predicted one; only those that were asked for and are there.
        judged: reference cases this folder answers for.
    """

    folder: Path
    cases: Mapping[str, Case]
    judged: tuple[str, ...]


@dataclass(frozen=True)
class Run:
    """One training of an arm: one folder, or one for each fold.

    Attributes:
        arm: name of what is compared.
        number: 1 for the first training of the arm, 2 for the second …
        parts: folders whose predictions together are the run's.
    """

    arm: str
    number: int
    parts: tuple[Part, ...]

    def prediction(self, case: str) -> Case | None:
        """The predicted case, None where there is none or its file is missing."""
        for part in self.parts:
            found = part.cases.get(case)
            if found is not None and found.labels is not None and found.labels.is_file():
                return found
        return None


def read_reference(path: Path, scheme: str) -> list[Case]:
    """The cases that are judged, with labels; a table's own scheme comes before `scheme`.

    Raises:
        InputError: there are none, or one of them has no label map.
    """
    cases = _read(path, scheme)
    without = [case.case for case in cases if case.labels is None]
    if not cases or without:
        found = f"none of {', '.join(without[:5])}" if without else "no case"
        raise InputError(f"-i {path}: expected a reference label map of every case, found {found}. Complete the table.")
    return cases


def read_runs(texts: Sequence[str], reference: Sequence[Case], scheme: str) -> list[Run]:
    """Read ``NAME=FOLDER`` and, for cross-validation, ``NAME=FOLDER,FOLDER…``; a name given again is another run.

    Raises:
        ConfigError: a text is malformed, there is none, or an arm has a folder twice.
        InputError: a folder cannot be read, holds no prediction of any case, or two folds predict one case.
    """
    if not texts:
        raise ConfigError("evaluate: expected --predicted NAME=FOLDER, found none. Give the folder `segment` wrote.")
    runs, seen = list[Run](), set[tuple[str, Path]]()
    for text in texts:
        name, equals, folders = text.partition("=")
        if not name.strip() or not equals or not folders.strip():
            raise ConfigError(f"--predicted {text}: expected NAME=FOLDER, e.g. real=segmented/real.")
        number = 1 + sum(run.arm == name.strip() for run in runs)
        run = Run(name.strip(), number, _parts(_folders(folders), reference, scheme))
        for part in run.parts:
            source = (run.arm, _table(part.folder).resolve())
            if source in seen:
                raise ConfigError(
                    f"--predicted {text}: expected another training of arm '{run.arm}', found {part.folder} again. "
                    "Give each of its folders once."
                )
            seen.add(source)
        runs.append(run)
    return runs


def _folders(text: str) -> list[Path]:
    """One folder, or several with commas between them; a folder whose own name has a comma is one."""
    return [Path(text)] if Path(text).exists() else [Path(one) for one in text.split(",")]


def _parts(folders: Sequence[Path], reference: Sequence[Case], scheme: str) -> tuple[Part, ...]:
    wanted = [case.case for case in reference]
    parts, owner = [], dict[str, Path]()
    for folder in folders:
        found = {case.case: case for case in _read(folder, scheme)}
        cases = {name: found[name] for name in wanted if name in found}
        if not cases:
            raise InputError(
                f"{folder}: expected predictions of the reference cases ({', '.join(wanted[:3])} …), found "
                f"{', '.join(list(found)[:3]) or 'no case'}. Give the folder in which they were predicted."
            )
        for name in cases:
            if name in owner:
                raise InputError(f"Case '{name}' is predicted in {owner[name]} and in {folder}. Give runs one by one.")
            owner[name] = folder
        parts.append(Part(folder, cases, tuple(cases if len(folders) > 1 else wanted)))
    return tuple(parts)


def _table(path: Path) -> Path:
    """Where the case table of a folder would be, or the table itself."""
    return path / inputs.TABLE if path.is_dir() else path


def _read(path: Path, scheme: str) -> list[Case]:
    """All rows of a case table, with or without labels; or the label maps of a folder without one, in `scheme`."""
    table = _table(path)
    if table.is_file() and table.suffix == ".csv":
        return read_cases(table)
    return inputs.read_input(path, scheme)
