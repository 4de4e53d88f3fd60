"""What a run judged: every finding and score, kept or rejected, and where the files of a case lie."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pathosynth.data.cases import Case, read_cases
from pathosynth.runs.errors import InputError
from pathosynth.runs.record import read_record
from pathosynth.stages import inputs

Row = Mapping[str, Any]
TABLES = (inputs.TABLE, "rejected.csv")


@dataclass(frozen=True)
class JudgedCase:
    """One case.

    Attributes:
        name: of the case.
        kept: whether no check turned it down.
        why: reasons, where it was turned down.
        score: 1 best, 0 worst; None where the run wrote none.
        findings: rows with `check`, `contrast`, `value`, `limit`, `strain`, `judged`, `passed` and `detail`.
        case: with its files; None where these are not known.
    """

    name: str
    kept: bool
    why: str
    score: float | None
    findings: tuple[Row, ...]
    case: Case | None

    @property
    def failed(self) -> tuple[str, ...]:
        """Checks that turned it down."""
        return tuple(dict.fromkeys(row["check"] for row in self.findings if not row["passed"]))

    @property
    def advised(self) -> tuple[str, ...]:
        """Checks beyond whose limit it lies without being turned down by them."""
        beyond = (row for row in self.findings if row["passed"] and row["strain"] is not None and row["strain"] > 1)
        return tuple(dict.fromkeys(row["check"] for row in beyond))


@dataclass(frozen=True)
class Judged:
    """All cases of a run, in its order."""

    folder: Path
    command: str
    cases: tuple[JudgedCase, ...]

    @property
    def checks(self) -> tuple[str, ...]:
        """Checks that ran, in their order."""
        return tuple(dict.fromkeys(row["check"] for one in self.cases for row in one.findings))

    @property
    def rejected(self) -> tuple[JudgedCase, ...]:
        """Cases turned down, the worst score first."""
        return tuple(sorted((one for one in self.cases if not one.kept), key=lambda one: (one.score or 0.0, one.name)))


def read_judged(folder: Path) -> Judged:
    """Read the output of `check`, `synthesize`, or any other run that judged.

    Raises:
        InputError: there is no run record, or nothing was judged.
    """
    record = read_record(folder) if folder.is_dir() else None
    entries = {} if record is None else {k: v for k, v in record["cases"].items() if v.get("findings")}
    if record is None or not entries:
        found = "no run.json" if record is None else f"a run of {record['command']} without checks"
        raise InputError(f"{folder}: expected what `pathosynth check` or `synthesize` wrote, found {found}.")
    known = {case.case: case for name in TABLES if (folder / name).is_file() for case in read_cases(folder / name)}
    cases = tuple(
        JudgedCase(
            name, entry["outcome"] == "done", entry.get("message", ""), entry.get("score"),
            tuple(_complete(row) for row in entry["findings"]), known.get(name) or _made(folder, entry),
        )
        for name, entry in entries.items()
    )  # fmt: skip
    return Judged(folder, record["command"], cases)


def _complete(row: Row) -> Row:
    """Findings of older runs have no strain."""
    return {"strain": None, "judged": True, **row}


def _made(folder: Path, entry: Row) -> Case | None:
    """A case the run made itself, kept or in ``rejected/``."""
    row = entry.get("row")
    if not row:
        return None
    files = {"labels": folder / row["labels"], "displacement": None}
    return Case.model_validate(
        {**row, **files, "images": {name: folder / path for name, path in row["images"].items()}}
    )
