"""Settings that are drawn: a recipe's tables such as ``{uniform = [10, 20]}``, each a quantile function.

Every distribution is a map from a quantile in [0, 1) to a value, so that the same values come from stratified and from
independent quantiles, and a draw can be replayed from its quantile.
"""

import math
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Self

import pydantic
from scipy.special import ndtr, ndtri

from pathosynth.runs.config import Config

Number = Annotated[float, pydantic.Field(allow_inf_nan=False)]
Range = tuple[Number, Number]
Settings = Mapping[str, Any]
"""Settings of a pathology: plain values, `Distribution`s, and tables of them."""


class Uniform(Config):
    """Every value of a range is as likely as any other."""

    uniform: Range
    """From, to."""

    @pydantic.model_validator(mode="after")
    def _ascends(self) -> Self:
        _check_range("uniform", self.uniform)
        return self

    def at(self, quantile: float) -> float:
        """The value at a quantile."""
        low, high = self.uniform
        return low + (high - low) * quantile


class LogUniform(Config):
    """Every ratio is as likely as any other: as many values between 1 and 2 as between 2 and 4."""

    log_uniform: Range
    """From, to; above 0."""

    @pydantic.model_validator(mode="after")
    def _ascends(self) -> Self:
        _check_range("log_uniform", self.log_uniform)
        if self.log_uniform[0] <= 0:
            raise ValueError(f"log_uniform: expected a range above 0, found {list(self.log_uniform)}")
        return self

    def at(self, quantile: float) -> float:
        """The value at a quantile."""
        low, high = self.log_uniform
        return min(max(low * math.exp(math.log(high / low) * quantile), low), high)


class Normal(Config):
    """A Gaussian cut off at both ends."""

    normal: Range
    """Mean and standard deviation before the cut."""
    within: Range
    """Smallest and largest value."""

    @pydantic.model_validator(mode="after")
    def _cut(self) -> Self:
        _check_range("within", self.within)
        mean, sd = self.normal
        if sd <= 0:
            raise ValueError(f"normal: expected [mean, standard deviation above 0], found {list(self.normal)}")
        if not self.within[0] <= mean <= self.within[1]:
            raise ValueError(f"within: expected a range around the mean {mean:g}, found {list(self.within)}")
        return self

    def at(self, quantile: float) -> float:
        """The value at a quantile."""
        mean, sd = self.normal
        low, high = (float(ndtr((end - mean) / sd)) for end in self.within)
        value = mean + sd * float(ndtri(low + (high - low) * quantile))
        return min(max(value, self.within[0]), self.within[1])


class Choice(Config):
    """One of some values."""

    choice: Annotated[list[Any], pydantic.Field(min_length=1)]
    """The values; of any type."""
    weights: list[Annotated[float, pydantic.Field(gt=0, allow_inf_nan=False)]] | None = None
    """How likely each is, in any unit; all the same by default."""

    @pydantic.model_validator(mode="after")
    def _one_weight_each(self) -> Self:
        if self.weights is not None and len(self.weights) != len(self.choice):
            raise ValueError(f"weights: expected one for each of {len(self.choice)} values, found {len(self.weights)}")
        return self

    def at(self, quantile: float) -> Any:
        """The value at a quantile."""
        weights = self.weights or [1.0] * len(self.choice)
        passed, total = 0.0, sum(weights)
        for value, weight in zip(self.choice, weights, strict=True):
            passed += weight / total
            if quantile < passed:
                return value
        return self.choice[-1]


Distribution = Uniform | LogUniform | Normal | Choice

KINDS: dict[str, type[Distribution]] = {
    "uniform": Uniform,
    "log_uniform": LogUniform,
    "normal": Normal,
    "choice": Choice,
}
"""By the key that tells them apart."""


def extremes(distribution: Distribution) -> tuple[Any, ...]:
    """Values between which, or among which, all others lie."""
    if isinstance(distribution, Choice):
        return tuple(distribution.choice)
    return (distribution.at(0.0), distribution.at(1.0))


def parse(settings: Mapping[str, Any], where: str = "") -> dict[str, Any]:
    """The same settings with the tables that describe distributions turned into them.

    Raises:
        ValueError: such a table is wrong; the message names the setting.
    """
    return {name: _parsed(value, f"{where}{name}") for name, value in settings.items()}


def _parsed(value: Any, name: str) -> Any:
    if not isinstance(value, Mapping):
        return value
    kinds = [kind for kind in KINDS if kind in value]
    if not kinds:
        return parse(value, f"{name}.")
    try:
        return KINDS[kinds[0]].model_validate(dict(value))
    except pydantic.ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, p['loc']))} {p['msg']}".strip() for p in error.errors())
        raise ValueError(f"{name}: {problems}") from None


def distributions(settings: Settings, where: str = "") -> Iterator[tuple[str, Distribution]]:
    """Every distribution in some settings with its dotted name, in the order of the settings."""
    for name, value in settings.items():
        if isinstance(value, Distribution):
            yield f"{where}{name}", value
        elif isinstance(value, Mapping):
            yield from distributions(value, f"{where}{name}.")


def fixed(settings: Settings, values: Mapping[str, Any], where: str = "") -> dict[str, Any]:
    """Plain settings: every distribution replaced by the value under its dotted name."""
    out: dict[str, Any] = {}
    for name, value in settings.items():
        if isinstance(value, Distribution):
            out[name] = values[f"{where}{name}"]
        elif isinstance(value, Mapping):
            out[name] = fixed(value, values, f"{where}{name}.")
        else:
            out[name] = value
    return out


def _check_range(name: str, ends: Range) -> None:
    if not ends[0] < ends[1]:
        raise ValueError(f"{name}: expected [smaller, larger], found {list(ends)}")
