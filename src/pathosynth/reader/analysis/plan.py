"""The questions a plan of a study can answer: what power a number of cases has, or how many cases give a power."""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pydantic

from pathosynth.reader.analysis import power as p
from pathosynth.reader.analysis.mrmc import Components
from pathosynth.runs.config import Config
from pathosynth.runs.errors import ConfigError, InputError

TAKES = {
    "icc": {"expected", "least", "half_width"},
    "accuracy": {"expected", "reader_sd", "correlation"},
    "auc": {"expected", "reader_sd", "correlation"},
    "mrmc": {"difference", "pilot"},
}
"""What each plan may be given besides readers, cases and power."""

CHANCE = 0.5
READER_SD, CORRELATION = 0.05, 0.3
"""Assumed where nothing is known: readers within ten points of each other, and cases that are hard for all."""


class Question(Config):
    """What is asked of a plan."""

    readers: int = pydantic.Field(ge=1)
    """Each reads every case."""
    cases: int | None = pydantic.Field(None, ge=4)
    """Of a study whose power is asked; without, the fewest for `power` are sought."""
    power: float = pydantic.Field(0.8, gt=0, lt=1)
    """Chance to show what is true."""
    expected: float | None = None
    """ICC, accuracy or AUC expected, between 0 and 1."""
    least: float | None = None
    """What the interval of the ICC is to lie above."""
    half_width: float | None = pydantic.Field(None, gt=0, lt=1)
    """Of the interval of the ICC, at most."""
    reader_sd: float | None = pydantic.Field(None, ge=0, lt=0.5)
    """Of readers' true values."""
    correlation: float | None = pydantic.Field(None, ge=0, lt=1)
    """Of two readers' results on the same cases."""
    difference: float | None = None
    """Of the AUCs of two arms."""
    pilot: Path | None = None
    """JSON of an analysis whose variances are taken."""


@dataclass(frozen=True)
class Plan:
    """An answer.

    Attributes:
        what: key of `TAKES`.
        shows: what the study is to show, in words.
        readers: in it.
        cases: in it.
        power: chance to show it.
        settings: what was assumed.
    """

    what: str
    shows: str
    readers: int
    cases: int
    power: float
    settings: Mapping[str, Any]

    def as_json(self) -> dict[str, Any]:
        """All of it."""
        return asdict(self)

    def words(self) -> str:
        """One line."""
        assumed = ", ".join(f"{name.replace('_', ' ')} {value:g}" for name, value in self.settings.items())
        return (
            f"{self.shows}: {self.readers} readers and {self.cases} cases have a power of {100 * self.power:.1f} %"
            f"{f' ({assumed})' if assumed else ''}."
        )


def plan(what: str, asked: Question) -> Plan:
    """Power of a number of cases, or the fewest cases for a power.

    Raises:
        ConfigError: no such plan, a setting it lacks or does not have, or one that cannot be met.
        InputError: the pilot is no analysis with two arms.
    """
    if what not in TAKES:
        raise ConfigError(f"reader power {what}: expected one of {', '.join(TAKES)}.")
    given = {name for name in set().union(*TAKES.values()) if getattr(asked, name) is not None}
    if given - TAKES[what]:
        names = ", ".join(f"--{name.replace('_', '-')}" for name in sorted(given - TAKES[what]))
        raise ConfigError(f"reader power {what}: takes no {names}. See --help.")
    shows, power, settings = {"icc": _icc, "accuracy": _chance, "auc": _chance, "mrmc": _mrmc}[what](what, asked)
    cases = p.enough_cases(power, asked.power) if asked.cases is None else asked.cases
    return Plan(what, shows, asked.readers, cases, power(cases), settings)


Answer = tuple[str, Callable[[int], float], dict[str, float]]


def _icc(what: str, asked: Question) -> Answer:
    icc = _share(asked.expected, "--expected")
    if asked.readers < 2:
        raise ConfigError(f"reader power icc: expected two readers or more, found {asked.readers}.")
    if (asked.least is None) == (asked.half_width is None):
        raise ConfigError("reader power icc: give either --least (an ICC to exceed) or --half-width (of its interval).")
    if asked.least is not None:
        least = asked.least
        if not 0 <= least < icc:
            raise ConfigError(f"--least {least:g}: expected an ICC from 0 to below the expected {icc:g}.")
        shows = f"An ICC of {icc:g} whose interval lies above {least:g}"
        return shows, lambda cases: p.icc_above(icc, least, asked.readers, cases), {}
    width = float(asked.half_width or 0)
    shows = f"An ICC of {icc:g} with an interval of ± {width:g} or less"
    return shows, lambda cases: p.icc_within(icc, width, asked.readers, cases), {}


def _chance(what: str, asked: Question) -> Answer:
    expected = _share(asked.expected, "--expected")
    sd = READER_SD if asked.reader_sd is None else asked.reader_sd
    correlation = CORRELATION if asked.correlation is None else asked.correlation
    if sd**2 >= expected * (1 - expected) or expected == CHANCE:
        raise ConfigError(f"--expected {expected:g}: expected a value other than 0.5 with a smaller --reader-sd.")
    spread = p.accuracy_spread if what == "accuracy" else p.auc_spread
    shows = f"{'An accuracy' if what == 'accuracy' else 'An AUC'} of {expected:g} that is not chance"

    def power(cases: int) -> float:
        return p.power_of_mean(expected - CHANCE, asked.readers, spread(expected, cases, sd, correlation))

    return shows, power, {"reader_sd": sd, "correlation": correlation}


def _mrmc(what: str, asked: Question) -> Answer:
    if asked.difference is None or asked.pilot is None or asked.readers < 2:
        raise ConfigError("reader power mrmc: needs --difference, --pilot FILE and at least two --readers.")
    parts, pilot_cases = read_pilot(asked.pilot)
    difference, readers = asked.difference, asked.readers
    if p.difference_spread(readers, pilot_cases, parts, pilot_cases) <= 0:
        raise InputError(
            f"{asked.pilot}: expected AUCs that vary between cases or readers, found none that do, as where arms are "
            f"equal or told without a fault. Such a pilot tells nothing of the spread; give one with harder cases."
        )

    def power(cases: int) -> float:
        return p.power_of_difference(difference, readers, cases, parts, pilot_cases)

    return f"A difference of {difference:g} between the AUCs of two arms", power, asdict(parts)


def read_pilot(path: Path) -> tuple[Components, int]:
    """Variances of the first question with an analysis of arms, and its cases.

    Raises:
        InputError: the file is not the JSON of an analysis, or none of its questions compares arms.
    """
    try:
        questions = json.loads(path.read_text(encoding="utf-8"))["questions"]
        found = [one["mrmc"] for one in questions.values() if "components" in one.get("mrmc", {})]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path}: expected the JSON of reader analyse ({type(error).__name__}: {error}).") from None
    if not found:
        raise InputError(
            f"{path}: expected a question with an AUC for each of two arms or more ('mrmc'), found none. Analyse a "
            f"pilot with two synthetic arms, or with --truth."
        )
    return Components(**found[0]["components"]), int(found[0]["cases"])


def _share(value: float | None, option: str) -> float:
    if value is None or not 0 < value < 1:
        raise ConfigError(f"{option} {value}: expected a number between 0 and 1.")
    return value
