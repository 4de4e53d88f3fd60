"""What a label map is described by: named measurements, scaled by the range the model was trained on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from pathosynth.data.labels import LabelScheme
from pathosynth.data.measurements import AGES, HEAD, RATIO, VENTRICLES, measure, unit
from pathosynth.data.volume import Spacing
from pathosynth.runs.errors import ConfigError, InputError

SCALED_RATIO = "c"
"""The second paper's condition: `ventricle_ratio` with the trained range as 0 to 1."""


@dataclass(frozen=True)
class Range:
    """Smallest and largest value of a measurement among the training maps, in its unit."""

    low: float
    high: float

    def scaled(self, value: float) -> float:
        """0 at the smallest and 1 at the largest trained value, going on beyond."""
        return (value - self.low) / (self.high - self.low)

    def clamped(self, value: float) -> float:
        """The nearest trained value."""
        return min(max(value, self.low), self.high)

    def holds(self, value: float) -> bool:
        """Whether a value is inside, up to rounding."""
        slack = 1e-6 * (self.high - self.low)
        return self.low - slack <= value <= self.high + slack


Ranges = Mapping[str, Range]


def describe(
    labels: np.ndarray, scheme: LabelScheme, spacing_mm: Spacing, names: Sequence[str], ages: Mapping[str, float | None]
) -> dict[str, float]:
    """Values of the named measurements; ages that are not known are missing.

    Args:
        labels: (I, J, K) label values on the model's grid.
        scheme: their legend.
        spacing_mm: voxel edge lengths.
        names: of the model's conditions.
        ages: what the case table says.
    """
    measured = measure(labels, scheme, spacing_mm, [name for name in names if name not in AGES])
    known = {name: float(age) for name in names if name in AGES and (age := ages.get(name)) is not None}
    return measured | known


def ranges_of(described: Sequence[Mapping[str, float]], names: Sequence[str]) -> dict[str, Range]:
    """Trained range of every condition.

    Raises:
        InputError: nobody has a value, or all have the same.
    """
    found = {}
    for name in names:
        values = [one[name] for one in described if name in one]
        if not values or max(values) - min(values) < 1e-9 * max(1.0, abs(max(values))):
            raise InputError(
                f"Condition '{name}': expected different values among the training cases, found "
                f"{f'only {values[0]:g}' if values else 'none'}. "
                "Take it out of `conditions`, or add the missing column to the case table."
            )
        found[name] = Range(min(values), max(values))
    return found


def resolved(wanted: Mapping[str, float], ranges: Ranges) -> dict[str, float]:
    """A request in the model's own names: `c` becomes a ratio; a ratio beside a volume, the size of head they mean.

    Raises:
        ConfigError: a name the model does not know, a value that is not a number, `c` beside the ratio, or a ratio and
            a volume that do not go together.
    """
    asked = dict(wanted)
    if SCALED_RATIO in asked:
        if RATIO in asked or RATIO not in ranges:
            raise ConfigError(f"c is a scaled {RATIO}: give one of them, to a model that knows it ({told(ranges)}).")
        of = ranges[RATIO]
        asked[RATIO] = of.low + asked.pop(SCALED_RATIO) * (of.high - of.low)
    unknown = sorted(set(asked) - set(ranges))
    if unknown:
        raise ConfigError(f"Request for {', '.join(unknown)}: this model knows {told(ranges)}.")
    for name, value in asked.items():
        if not np.isfinite(value) or value < 0:
            raise ConfigError(f"Request {name}={value:g}: expected a finite number of 0 or more in {unit(name)}.")
    return _with_head(asked, ranges) if {RATIO, VENTRICLES} <= set(asked) else asked


def _with_head(asked: Mapping[str, float], ranges: Ranges) -> dict[str, float]:
    """A request for ventricles as a ratio and in mL: the ratio becomes the volume inside the skull.

    Raises:
        ConfigError: that is asked for as well, is none the model knows, or is beyond its trained range.
    """
    both = f"Request {VENTRICLES}={asked[VENTRICLES]:g} mL, {RATIO}={asked[RATIO]:g}"
    if HEAD in asked or HEAD not in ranges:
        why = f"{HEAD} is asked for too" if HEAD in asked else f"this model does not know {HEAD}"
        raise ConfigError(f"{both}: the two mean a size of head, and {why}. Leave one out.")
    head = asked[VENTRICLES] / asked[RATIO] if asked[RATIO] else np.inf
    if not ranges[HEAD].holds(head):
        raise ConfigError(
            f"{both}: the two mean a head of {head:.4g} mL; this model knows {told({HEAD: ranges[HEAD]})}. Give one of "
            f"them, or ask for {HEAD} beside it."
        )
    return {name: value for name, value in asked.items() if name != RATIO} | {HEAD: head}


def told(ranges: Ranges) -> str:
    """The conditions and their trained ranges, for people."""
    return ", ".join(f"{name} {of.low:.4g} to {of.high:.4g} {unit(name)}" for name, of in ranges.items())


def encode(asked: Sequence[Mapping[str, float]], ranges: Ranges) -> tuple[np.ndarray, np.ndarray]:
    """Scaled values and which of them are known. (B, n) float32 and bool, n in the order of `ranges`."""
    known = np.array([[name in one for name in ranges] for one in asked], dtype=bool)
    rows = [[of.scaled(one[name]) if name in one else 0.0 for name, of in ranges.items()] for one in asked]
    return np.array(rows, dtype=np.float32), known
