"""The case table ``cases.csv``: one row per case, the only thing stages hand to each other besides the files in it.

Paths are absolute in memory and relative to the table on disk, so a folder can be moved. Only this module reads or
writes the table.
"""

import csv
import io
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import pydantic

from pathosynth.runs.errors import InputError
from pathosynth.runs.files import write_text

CONTRASTS = ("T1w", "T2w", "FLAIR", "PDw", "PDT2", "T2starw", "T1map", "T2map", "UNIT1", "angio", "inplaneT2")
"""Image columns a table may have: BIDS suffixes of anatomical images."""

_FIELDS = ("case", "subject", "split", "origin", "parent", "pathology", "severity", "scheme", "labels")
_LATE_FIELDS = ("displacement", "seed", "age_weeks", "age_years")
RENAME = "Rename the file (letters a-z and digits first, then also '_', '.' and '-')"
"""What to do about a file name that cannot be the name of a case."""

_ONE_LINE = r"^[^\x00-\x1f\x7f]*$"  # tables are read by programs that split at tabs and line ends


class Case(pydantic.BaseModel):
    """One row: a label map, its images, and where they come from.

    A synthetic case keeps the subject and the split of its parent.
    """

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    case: str = pydantic.Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")
    """Identifier, unique in the table; usable as a file name."""
    subject: str = pydantic.Field(min_length=1, pattern=_ONE_LINE)
    """Person (or atlas) the case stems from; decides on which side of a split it may be."""
    split: Literal["train", "val", "test", ""] = ""
    origin: Literal["real", "morphed", "generated"] = "real"
    parent: str = pydantic.Field(default="", pattern=_ONE_LINE)
    """Case this one was made from; empty for a real one."""
    pathology: str = pydantic.Field(default="", pattern=_ONE_LINE)
    severity: dict[str, Any] = {}
    """Measured or requested, e.g. {"atrial_width_mm": 15.0}. JSON text in the table."""
    scheme: str
    """Label scheme: a shipped name or the path of a TOML file."""
    labels: Path | None = None
    images: dict[str, Path] = {}
    """Contrast (a BIDS suffix such as T2w) to file."""
    displacement: Path | None = None
    """Backward displacement from this case to its parent, in voxels."""
    seed: int | None = None
    age_weeks: float | None = pydantic.Field(default=None, gt=0, lt=60)
    """Gestational or postmenstrual age."""
    age_years: float | None = pydantic.Field(default=None, ge=0, lt=130)

    @pydantic.field_validator("severity", mode="before")
    @classmethod
    def _parse_json(cls, value: Any) -> Any:
        try:
            return (json.loads(value) if value.strip() else {}) if isinstance(value, str) else value
        except ValueError:
            raise ValueError('expected a JSON object, e.g. {"atrial_width_mm": 15}') from None

    @pydantic.field_validator("images")
    @classmethod
    def _known_contrasts(cls, value: dict[str, Path]) -> dict[str, Path]:
        unknown = sorted(set(value) - set(CONTRASTS))
        if unknown:
            raise ValueError(f"contrasts {unknown} are not among {', '.join(CONTRASTS)}")
        return value


def build_case(values: dict[str, Any], where: str, fix: str) -> Case:
    """A case from plain values.

    Args:
        values: fields of `Case`.
        where: what the case is made from, for the message.
        fix: what to do when a value breaks a rule.

    Raises:
        InputError: a value breaks a rule.
    """
    try:
        return Case.model_validate(values)
    except pydantic.ValidationError as error:
        raise InputError(f"{where}: {_problems(error)}. {fix}.") from None


def read_cases(path: Path) -> list[Case]:
    """Read a case table; paths in it become absolute. Whether the files exist is found out when they are read.

    Raises:
        InputError: the table is missing, not CSV, has unknown columns, a row breaks a rule, a case appears twice, or
            a subject is in two splits.
    """
    path = Path(path).absolute()
    try:
        rows = list(csv.reader(io.StringIO(path.read_bytes().decode("utf-8-sig"), newline=""), strict=True))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise InputError(f"{path}: cannot be read as a case table ({reason}). Expected a cases.csv in UTF-8.") from None
    header = rows[0] if rows else []
    unknown = sorted(set(header) - {*_FIELDS, *_LATE_FIELDS, *CONTRASTS})
    if len(set(header)) != len(header) or unknown or not {"case", "subject", "scheme"} <= set(header):
        raise InputError(
            f"{path}: expected columns case, subject and scheme, each once, and optionally "
            f"{', '.join((*_FIELDS, *_LATE_FIELDS, *CONTRASTS))}; found {', '.join(header) or 'none'}. "
            f"{'Remove or rename ' + ', '.join(unknown) if unknown else 'Correct the header line'}."
        )
    cases = [_parse_row(path, number, header, row) for number, row in enumerate(rows[1:], start=2)]
    check_cases(cases, str(path))
    return cases


def write_cases(path: Path, cases: Sequence[Case]) -> None:
    """Write a case table, whole or not at all; paths are stored relative to its folder.

    Raises:
        InputError: a case appears twice, or a subject is in two splits.
    """
    path = Path(path).absolute()
    check_cases(cases, str(path))
    contrasts = [name for name in CONTRASTS if any(name in case.images for case in cases)]
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*_FIELDS, *contrasts, *_LATE_FIELDS])
    for case in cases:
        values = case.model_dump(exclude={"images", "severity"})
        values["severity"] = json.dumps(case.severity, sort_keys=True, allow_nan=False) if case.severity else ""
        values |= {"labels": case.labels, "displacement": case.displacement, **case.images}
        columns = [*_FIELDS, *contrasts, *_LATE_FIELDS]
        writer.writerow([_cell(values.get(name), path.parent) for name in columns])
    write_text(path, text.getvalue())


def check_cases(cases: Sequence[Case], where: str) -> None:
    """Refuse a set of cases that would leak or overwrite.

    Raises:
        InputError: a case name appears twice (upper and lower case count as equal), or a subject is in two splits.
    """
    names: set[str] = set()
    splits: dict[str, str] = {}
    for case in cases:
        if case.case.lower() in names:
            raise InputError(f"{where}: case '{case.case}' appears twice. Give every case its own name.")
        names.add(case.case.lower())
        if splits.setdefault(case.subject, case.split) != case.split:
            raise InputError(
                f"{where}: subject '{case.subject}' is in split '{splits[case.subject]}' and, as case '{case.case}', "
                f"in split '{case.split}'. Put all cases of a subject on one side."
            )


def _parse_row(path: Path, number: int, header: list[str], row: list[str]) -> Case:
    if len(row) != len(header):
        raise InputError(f"{path}, line {number}: found {len(row)} cells, expected {len(header)}. Correct the line.")
    cells = {name: text for name, text in zip(header, row, strict=True) if text != ""}
    names = [name for name in ("labels", "displacement", *CONTRASTS) if name in cells]
    files = {name: Path(os.path.normpath(path.parent / cells.pop(name))) for name in names}
    images = {name: file for name, file in files.items() if name in CONTRASTS}
    fields: dict[str, Any] = {name: file for name, file in files.items() if name not in CONTRASTS}
    if cells.get("scheme", "").endswith(".toml"):
        cells["scheme"] = os.path.normpath(path.parent / cells["scheme"])
    return build_case({**cells, **fields, "images": images}, f"{path}, line {number}", "Correct the line")


def _problems(error: pydantic.ValidationError) -> str:
    return "; ".join(
        f"{'.'.join(map(str, item['loc']))}: {item['msg']} (found {item['input']!r})" for item in error.errors()
    )


def _cell(value: Any, folder: Path) -> str:
    if value is None:
        return ""
    if isinstance(value, Path):
        return Path(os.path.relpath(value.absolute(), folder)).as_posix()
    if isinstance(value, str) and value.endswith(".toml"):
        return Path(os.path.relpath(value, folder)).as_posix()
    return repr(value) if isinstance(value, float) else str(value)
