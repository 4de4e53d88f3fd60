"""Which cases are real: as named, as the file says of each, or by the name of their arm."""

from collections.abc import Sequence
from pathlib import Path

from pathosynth.reader.analysis.kinds import ORIGINS
from pathosynth.reader.analysis.rows import ORIGIN, Row
from pathosynth.runs.errors import ConfigError, InputError

REAL = "real"
"""Arm that is taken to be real where nothing else says which is; in any case of letters, as arms named are."""

Case = tuple[str, str]
"""Name and arm."""


def real_cases(path: Path, rows: Sequence[Row], named: Sequence[str] = ()) -> set[Case] | None:
    """The real cases, or None where nothing says which they are.

    Args:
        path: named in errors.
        rows: of the file.
        named: arms that are real; they go before what the file says.

    Raises:
        ConfigError: an arm is named that the file does not have.
        InputError: the file's `ORIGIN` is something else than real or synthetic, or says both of a case.
    """
    arms = list(dict.fromkeys(row.arm for row in rows))
    absent = [name for name in named if name.casefold() not in {arm.casefold() for arm in arms}]
    if absent:
        raise ConfigError(f"--real {absent[0]}: no such arm. {path} has {', '.join(arms)}.")
    if not named and any(row.origin for row in rows):
        return {case for case, origin in _origins(path, rows).items() if origin == "real"}
    wanted = {name.casefold() for name in named or (REAL,)}
    found = {(row.case, row.arm) for row in rows if row.arm.casefold() in wanted}
    return found or None


def _origins(path: Path, rows: Sequence[Row]) -> dict[Case, str]:
    found: dict[Case, str] = {}
    for row in rows:
        if row.origin not in ORIGINS:
            raise InputError(
                f"{path}, line {row.line}: expected an {ORIGIN} of {' or '.join(ORIGINS)}, found '{row.origin}'. "
                f"Correct it, rename the column, or say with --real which arms are real."
            )
        if found.setdefault((row.case, row.arm), row.origin) != row.origin:
            raise InputError(
                f"{path}, line {row.line}: expected one {ORIGIN} of case '{row.case}', found another in an earlier "
                f"line. Correct one."
            )
    return found
