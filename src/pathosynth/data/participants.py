"""The ``participants.tsv`` beside a data set: who was scanned, how old, and how ill."""

import json
import math
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from pathosynth.runs.errors import InputError

_AGES = {"age_weeks": ("pma_weeks", "age_weeks", "ga_weeks"), "age_years": ("age_years", "age")}


_AGE_UNITS = {"years": "age", "year": "age", "y": "age", "weeks": "age_weeks", "week": "age_weeks", "wk": "age_weeks"}
"""Units a data dictionary may give the column ``age``, and the column that it then is."""


def read_participants(path: Path, key: str = "participant_id") -> dict[str, dict[str, Any]]:
    """Rows of a ``participants.tsv`` or ``*_sessions.tsv`` by name; empty where there is no such file.

    Args:
        path: of the table; its data dictionary, with the same name and ``.json``, says the unit of the column ``age``.
        key: column of the names.

    Raises:
        InputError: the file is not tab-separated text with a column `key` of unique names, or ages have another unit.
    """
    if not path.is_file():
        return {}
    try:
        table = pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False, encoding="utf-8-sig")
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: not a table of tab-separated values ({error}). Correct or remove it.") from None
    if key not in table.columns or not table[key].is_unique:
        raise InputError(f"{path}: expected a {key} column of unique names. Correct or remove the file.")
    if "age" in table.columns and "age_weeks" not in table.columns:
        table = table.rename(columns={"age": _age_column(path.with_suffix(".json"))})
    return {str(row[key]): {str(k): v for k, v in row.items()} for row in table.to_dict("records")}


def _age_column(dictionary: Path) -> str:
    """What the column ``age`` is by the unit in the data dictionary; in years where that says nothing.

    Raises:
        InputError: it is neither years nor weeks.
    """
    try:
        found = json.loads(dictionary.read_text(encoding="utf-8"))["age"]["Units"]
    except (OSError, ValueError, KeyError, TypeError):
        return "age"
    column = _AGE_UNITS.get(str(found).strip().lower())
    if column is None:
        raise InputError(f"{dictionary}: expected age in years or weeks, found '{found}'. Convert the column.")
    return column


def person_of(name: str) -> str:
    """Who a file or case of this name stems from, where nothing else says so: its ``sub-`` entity, else all of it."""
    found = re.match(r"sub-[A-Za-z0-9]+(?=_|$)", name)
    return found.group() if found else name


def row_of(people: Mapping[str, dict[str, Any]], name: str) -> dict[str, Any]:
    """The participants row of a file or case: the one of its very name, else that of its person; empty without one."""
    return people.get(name) or people.get(person_of(name), {})


def known(row: Mapping[str, Any], columns: Iterable[str]) -> dict[str, Any]:
    """Cells of a participants row in these columns, as far as it has them: not empty and not n/a."""
    return {name: row[name] for name in columns if row.get(name) not in (None, "", "n/a")}


def facts(row: Mapping[str, Any], where: str) -> dict[str, Any]:
    """`age_weeks`, `age_years`, `pathology` and `severity` (JSON text) of a participants row, as far as it has them.

    A severity that is no JSON object, say a grade or a number, is that of the name `severity`.

    Raises:
        InputError: an age is not a number.
    """
    found = known(row, ("pathology", "severity")) | ages(row, where)
    text = str(found.get("severity", "")).strip()
    if text and not text.startswith("{"):
        found["severity"] = json.dumps({"severity": _number_or_text(text)})
    return found


def _number_or_text(text: str) -> float | str:
    try:
        value = float(text)
    except ValueError:
        return text
    return value if math.isfinite(value) else text


def ages(row: Mapping[str, Any], where: str) -> dict[str, float]:
    """`age_weeks` and `age_years` of a participants row, as far as it has them.

    Raises:
        InputError: an age is not a number.
    """
    found = {}
    for field, columns in _AGES.items():
        text = next((str(value) for value in known(row, columns).values()), None)
        if text is not None:
            try:
                found[field] = float(text)
            except ValueError:
                raise InputError(f"{where}: age '{text}' is not a number. Correct it in participants.tsv.") from None
    return found
