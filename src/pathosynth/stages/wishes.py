"""What is asked of a label generator: ``ventricle_ml=uniform:10:150`` and the like, and the requests drawn from it.

Of n requests one lies in every n-th of each range (Latin hypercube sampling); which case gets which part is decided by
the seed and the condition's name alone.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pathosynth.data.measurements import AGES, RATIO, unit
from pathosynth.runs.errors import ConfigError
from pathosynth.runs.seeds import numpy_generator
from pathosynth.stages.distributions import Distribution, extremes, parse

SCALED = "c"
"""The second paper's condition: `ventricle_ratio`, with 0 and 1 at the ends of the trained range."""


@dataclass(frozen=True)
class Trained:
    """Range of one condition in the data a model was trained on, in `unit`."""

    low: float
    high: float
    unit: str

    def __str__(self) -> str:
        return f"{self.low:.4g} to {self.high:.4g} {self.unit}"

    def holds(self, value: float) -> bool:
        """Whether a value lies inside; both ends do, up to rounding."""
        slack = 1e-6 * (self.high - self.low)
        return self.low - slack <= value <= self.high + slack


Known = Mapping[str, Trained]
"""What a model can be asked for."""
Wishes = Mapping[str, float | Distribution]
"""Condition to the value all cases get, or to what each case's value is drawn from."""

_FORMS: dict[str, tuple[str, int, Callable[[list[float]], dict[str, Any]]]] = {
    "uniform": ("uniform:FROM:TO", 2, lambda n: {"uniform": n}),
    "log_uniform": ("log_uniform:FROM:TO", 2, lambda n: {"log_uniform": n}),
    "normal": ("normal:MEAN:SD:FROM:TO", 4, lambda n: {"normal": n[:2], "within": n[2:]}),
    "choice": ("choice:A:B:…", 0, lambda n: {"choice": n}),
}
"""Kind to how it is written, how many numbers it has (0: any), and the table a recipe would have."""


def trained(conditions: Mapping[str, tuple[float, float]]) -> dict[str, Trained]:
    """What can be asked for, from the trained range of each condition; with `c` where there is the ratio it scales."""
    known = {name: Trained(low, high, unit(name)) for name, (low, high) in conditions.items()}
    if RATIO in known:
        known[SCALED] = Trained(0.0, 1.0, f"of the trained range of {RATIO}")
    return known


def told(known: Known) -> str:
    """All that can be asked for, with ranges and units, for people."""
    return ", ".join(f"{name} ({range_})" for name, range_ in known.items()) or "nothing"


def parse_wishes(pairs: Sequence[str], known: Known, model: str) -> dict[str, float | Distribution]:
    """Read ``NAME=NUMBER`` and ``NAME=KIND:NUMBER:…``.

    Args:
        pairs: as the user gave them.
        known: what the model can be asked for.
        model: its name, for messages.

    Raises:
        ConfigError: a name is unknown or given twice, a value is malformed or cannot be: the message names what the
            model knows, with its trained ranges.
    """
    wishes: dict[str, float | Distribution] = {}
    for pair in pairs:
        name, equals, text = (part.strip() for part in pair.partition("="))
        if not (name and equals and text):
            raise ConfigError(f"--set {pair}: expected NAME=VALUE. {model} knows {told(known)}.")
        if name not in known:
            raise ConfigError(f"--set {pair}: {model} has no condition '{name}'. It knows {told(known)}.")
        if name in wishes:
            raise ConfigError(f"--set {pair}: '{name}' was given twice. Keep one.")
        wishes[name] = _value(text, pair)
        impossible = [value for value in _ends(wishes[name]) if not _can_be({name: value}, known)]
        if impossible:
            raise ConfigError(
                f"--set {pair}: no brain has a {name} of {impossible[0]:g}. {model} was trained on {known[name]}."
            )
    if SCALED in wishes and RATIO in wishes:
        raise ConfigError(f"--set {SCALED}=… and --set {RATIO}=… say the same thing. Keep one.")
    return wishes


def draw(wishes: Wishes, number: int, run_seed: int) -> list[dict[str, float]]:
    """What each of `number` cases is asked for; the i-th case gets the i-th."""
    drawn: list[dict[str, float]] = [{} for _ in range(number)]
    for name, wish in wishes.items():
        rng = numpy_generator(run_seed, "wish", name)
        quantiles = (rng.permutation(number) + rng.random(number)) / max(number, 1)
        for asked, quantile in zip(drawn, quantiles, strict=True):
            asked[name] = wish if isinstance(wish, float) else float(wish.at(float(quantile)))
    return drawn


def beyond(asked: Mapping[str, float], known: Known) -> dict[str, str]:
    """Conditions asked for outside the trained range, each with what was asked and what the range is."""
    named = {name: value for name, value in asked.items() if not (name == RATIO and SCALED in asked)}
    outside = {name: value for name, value in named.items() if not known[name].holds(value)}
    return {name: f"{name} {value:.4g} (trained: {known[name]})" for name, value in outside.items()}


def described(wishes: Wishes) -> dict[str, Any]:
    """What goes into the run record, in the order of the names."""
    return {name: _plain(wishes[name]) for name in sorted(wishes)}


def in_measured_units(asked: Mapping[str, float], known: Known) -> dict[str, float]:
    """The same request with `ventricle_ratio` added where it was given as `c`."""
    if SCALED not in asked:
        return dict(asked)
    low, high = known[RATIO].low, known[RATIO].high
    return {**asked, RATIO: low + asked[SCALED] * (high - low)}


def scaled(got: Mapping[str, float], known: Known) -> dict[str, float]:
    """The same measurements with `c` added where the ratio was measured and the model has it as a condition."""
    if RATIO not in got or RATIO not in known:
        return dict(got)
    low, high = known[RATIO].low, known[RATIO].high
    return {**got, SCALED: (got[RATIO] - low) / (high - low)} if high > low else dict(got)


def relative_error(asked: Mapping[str, float], got: Mapping[str, float]) -> float | None:
    """Largest |got / asked - 1| of what was asked and measured; None where nothing was, or 0 was asked.

    `c` does not count: near 0 its relative error says nothing; the ratio it stands for does.
    """
    errors = [abs(got[name] / asked[name] - 1) for name in asked if name in got and name != SCALED and asked[name]]
    return max(errors, default=None)


def cannot_be_measured(name: str) -> bool:
    """Whether only the generator can bring a condition about, because no label map shows it."""
    return name in AGES


def _value(text: str, pair: str) -> float | Distribution:
    kind, *parts = (part.strip() for part in text.split(":"))
    forms = ", ".join(form for form, _, _ in _FORMS.values())
    if not parts:
        return _number(kind, pair, forms)
    if kind not in _FORMS:
        raise ConfigError(f"--set {pair}: '{kind}' is no distribution. Expected a number or {forms}.")
    form, count, table = _FORMS[kind]
    if count and len(parts) != count:
        raise ConfigError(f"--set {pair}: expected {form}, found {len(parts)} numbers.")
    numbers = [_number(part, pair, form) for part in parts]
    try:
        parsed: Distribution = parse({"wish": table(numbers)})["wish"]
    except ValueError as error:
        raise ConfigError(f"--set {pair}: {str(error).removeprefix('wish: ')}. Expected {form}.") from None
    return parsed


def _number(text: str, pair: str, forms: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ConfigError(f"--set {pair}: '{text}' is not a number. Expected a number or {forms}.")
    return value


def _ends(wish: float | Distribution) -> tuple[float, ...]:
    return (wish,) if isinstance(wish, float) else tuple(float(end) for end in extremes(wish))


def _can_be(asked: Mapping[str, float], known: Known) -> bool:
    """Volumes are above 0, ages not below, a share is below 1; `c` is judged by the share it stands for."""
    values = {name: value for name, value in in_measured_units(asked, known).items() if name != SCALED}
    return all(
        value < (1 if name == RATIO else math.inf) and (value > 0 or (value == 0 and not name.endswith("_ml")))
        for name, value in values.items()
    )


def _plain(wish: float | Distribution) -> Any:
    return wish if isinstance(wish, float) else wish.model_dump(mode="json", exclude_none=True)
