"""Case tables -> one case table: what parts of a stage made becomes one set, its files staying where they are."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pathosynth.data.cases import Case, check_cases, read_cases, write_cases
from pathosynth.runs.config import parse_settings
from pathosynth.runs.errors import ConfigError, InputError
from pathosynth.runs.record import RunRecord, read_record
from pathosynth.stages import inputs
from pathosynth.stages.batch import Options


@dataclass(frozen=True)
class Joining:
    """What becomes of the tables.

    Attributes:
        scheme: legend of folders without a table.
        layout: of such folders.
        settings: of the layout.
        split: split all cases are given; empty keeps theirs.
        max_failed: share of the cases that may have failed in the stages that wrote the tables.
        fold: K/N, only the cases of the K-th of N folds of the people; empty for all cases.
        without_fold: K/N, all cases but those.
    """

    scheme: str = ""
    layout: str = "auto"
    settings: Sequence[str] = ()
    split: str = ""
    max_failed: float = 1.0
    fold: str = ""
    without_fold: str = ""

    def described(self) -> dict[str, Any]:
        """What goes into the run record."""
        told = {"split": self.split, "layout": self.layout, "settings": list(self.settings), "scheme": self.scheme}
        return {**told, "fold": self.fold, "without_fold": self.without_fold}


def join(sources: Sequence[Path], joining: Joining, options: Options) -> dict[str, int]:
    """Write the cases of all sources as one table, in their order.

    Returns:
        Number of cases, and of those that had failed.

    Raises:
        InputError: no case is left, too many failed, or two have one name.
        ConfigError: a split, scheme or setting is wrong.
    """
    if joining.split not in ("", "train", "val", "test"):
        raise ConfigError(f"--split {joining.split}: expected train, val or test.")
    records = {source: read_record(source) for source in sources if source.is_dir()}
    failed = _judge_failures(records, joining.max_failed)
    cases = [case for source in sources for case in _read(source, joining)]
    if not cases:
        raise InputError(
            f"{sources[0]}: expected at least one case, found none in {len(sources)} tables. See run.json."
        )
    cases = [case.model_copy(update={"split": joining.split or case.split}) for case in cases]
    check_cases(cases, "table")
    cases = _folded(cases, joining)
    read = [path for source in sources for path in (source, source / inputs.TABLE) if path.is_file()]
    record = RunRecord.begin(options.out, "table", joining.described(), options.seed, read, overwrite=options.overwrite)
    write_cases(options.out / inputs.TABLE, cases)
    record.complete(sources=[str(source) for source in sources])
    return {"cases": len(cases), "failed": len(failed)}


def _read(source: Path, joining: Joining) -> list[Case]:
    """Cases of one source; none where a part of a stage kept none."""
    if source.is_dir() and read_record(source):
        return read_cases(source / inputs.TABLE)
    return inputs.read_input(source, joining.scheme, joining.layout, parse_settings(list(joining.settings)))


def _folded(cases: Sequence[Case], joining: Joining) -> list[Case]:
    """The cases of a fold, or all others; people are dealt to the folds in turn, by name.

    Raises:
        ConfigError: both are asked for, or it is not K/N with K from 1 to N, the number of people at most.
    """
    wanted = joining.fold or joining.without_fold
    if not wanted:
        return list(cases)
    people = sorted({case.subject for case in cases})
    number, slash, of = wanted.partition("/")
    if joining.fold and joining.without_fold:
        raise ConfigError("--fold and --without-fold: expected one of them.")
    if not (slash and number.isdigit() and of.isdigit() and 1 <= int(number) <= int(of) <= len(people)):
        raise ConfigError(
            f"--fold {wanted}: expected K/N, K from 1 to N, N at most the {len(people)} people there are."
        )
    inside = set(people[int(number) - 1 :: int(of)])
    return [case for case in cases if (case.subject in inside) == bool(joining.fold)]


def _judge_failures(records: dict[Path, dict[str, Any] | None], max_failed: float) -> list[str]:
    """Names of the cases that failed.

    Raises:
        InputError: they are more than `max_failed` of all; the first message is quoted.
    """
    entries = {
        (source, name): entry
        for source, record in records.items()
        for name, entry in (record or {"cases": {}})["cases"].items()
    }
    failed = [where for where, entry in entries.items() if entry["outcome"] == "failed"]
    if len(failed) > max_failed * len(entries):
        source, name = failed[0]
        raise InputError(
            f"{len(failed)} of {len(entries)} cases failed, more than a share of {max_failed:g}. The first, '{name}' "
            f"in {source}: {entries[failed[0]]['message']} Correct what it names, or allow more."
        )
    return [name for _, name in failed]
