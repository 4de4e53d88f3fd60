"""Two sets of cases compared in numbers; what is too small to be compared is None."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pathosynth.data.measurements import unit
from pathosynth.metrics.features import standardised
from pathosynth.metrics.sets import Closeness, Support, closeness, support, wasserstein
from pathosynth.stages.report.describe import constant, describe
from pathosynth.stages.report.measured import MeasuredSet

SPLITS = 50
"""Random halves of the real set."""

FEWEST_SUBJECTS = 4
"""Below so many people a half is no sample."""


@dataclass(frozen=True)
class Compared:
    """One generated set next to the real one.

    Attributes:
        one: what was measured of it.
        distances: measurement to the Wasserstein distance in its unit and in SDs of the real set; None where the real
            set has no spread.
        support: coverage and density in standardised measurements; None with fewer than two real cases.
        closeness: distances to the nearest real case in the same space; None with fewer than two real subjects.
    """

    one: MeasuredSet
    distances: Mapping[str, tuple[float, float | None]]
    support: Support | None
    closeness: Closeness | None


def compared(real: MeasuredSet, one: MeasuredSet, names: Sequence[str], neighbours: int) -> Compared:
    """Compare a generated set with the real one.

    Args:
        real: first set.
        one: generated set.
        names: measurements, all of which span the space of coverage and distances.
        neighbours: for the coverage; at most all other real cases.
    """
    found = wasserstein(_cases(real, names), _cases(one, names))
    distances = {
        name: (distance, None if constant(real.values[name]) else in_sd) for name, (distance, in_sd) in found.items()
    }
    a, b = standardised(_table(real, names), _table(one, names))
    rank = min(neighbours, len(a) - 1)
    people = len(set(real.subjects))
    return Compared(
        one,
        distances,
        support(a, b, rank) if rank > 0 else None,
        closeness(a, b, real.subjects) if people > 1 else None,
    )


def halves(real: MeasuredSet, names: Sequence[str], rng: np.random.Generator) -> dict[str, float] | None:
    """Wasserstein distance in SDs of the real set between two halves of it, the mean of random splits.

    It is what chance alone makes of sets half as large. People are not divided. None with fewer than 4 of them;
    measurements without spread are missing.
    """
    people = sorted(set(real.subjects))
    if len(people) < FEWEST_SUBJECTS:
        return None
    cases, owner = _cases(real, names), np.array(real.subjects)
    sd = {name: float(real.values[name].std(ddof=1)) for name in names if not constant(real.values[name])}
    found: dict[str, list[float]] = {name: [] for name in sd}
    for _ in range(SPLITS):
        chosen = np.isin(owner, rng.permutation(people)[: len(people) // 2])
        split = wasserstein(
            [case for case, first in zip(cases, chosen, strict=True) if first],
            [case for case, first in zip(cases, chosen, strict=True) if not first],
        )
        for name, values in found.items():
            values.append(split[name][0] / sd[name])
    return {name: float(np.mean(values)) for name, values in found.items()}


def rows_of(real: MeasuredSet, found: Sequence[Compared], chance: Mapping[str, float] | None) -> list[dict[str, Any]]:
    """One row for each set and measurement."""
    return [
        {
            "set": other.one.name, "measure": name, "unit": unit(name),
            "n_real": len(real.cases), "n": len(other.one.cases),
            "median_real": float(np.median(real.values[name])), "median": float(np.median(other.one.values[name])),
            "wasserstein": distance, "wasserstein_sd": in_sd,
            "real_halves_sd": None if chance is None else chance.get(name),
        }
        for other in found
        for name, (distance, in_sd) in other.distances.items()
    ]  # fmt: skip


def nearest_rows(real: MeasuredSet, other: Compared) -> list[dict[str, Any]]:
    """Distance of every generated case to the nearest real one."""
    if other.closeness is None:
        return []
    return [
        {"set": other.one.name, "case": case, "distance_sd": float(distance), "nearest_to": real.name}
        for case, distance in zip(other.one.cases, other.closeness.generated, strict=True)
    ]


def summary(real: MeasuredSet, found: Sequence[Compared], chance: Mapping[str, float] | None) -> dict[str, Any]:
    """Both sets' distributions, distances, coverage and nearness, per generated set."""
    return {
        "figure": "sets",
        "real": {"set": real.name, "n": len(real.cases), "subjects": len(set(real.subjects)), **_described(real)},
        "real_halves_sd": None if chance is None else dict(chance),
        "sets": {other.one.name: _summed(other) for other in found},
    }


def _summed(other: Compared) -> dict[str, Any]:
    in_sd = [sds for _, sds in other.distances.values() if sds is not None]
    near, cover = other.closeness, other.support
    return {
        "n": len(other.one.cases),
        "wasserstein": {name: {"distance": d, "sd": sds} for name, (d, sds) in other.distances.items()},
        "mean_wasserstein_sd": float(np.mean(in_sd)) if in_sd else None,
        "coverage": None if cover is None else cover.coverage,
        "expected_coverage": None if cover is None else cover.expected_coverage,
        "density": None if cover is None else cover.density,
        "nearest_real_sd": None if near is None else describe(near.generated),
        "real_nearest_real_sd": None if near is None else describe(near.real),
        "nearer_than_95_percent": None if near is None else near.nearer,
        "farther_than_95_percent": None if near is None else near.farther,
        **_described(other.one),
    }


def _described(one: MeasuredSet) -> dict[str, Any]:
    return {"measured": {name: {"unit": unit(name), **describe(values)} for name, values in one.values.items()}}


def _cases(one: MeasuredSet, names: Sequence[str]) -> list[dict[str, float]]:
    return [{name: float(one.values[name][i]) for name in names} for i in range(len(one.cases))]


def _table(one: MeasuredSet, names: Sequence[str]) -> np.ndarray:
    return np.stack([one.values[name] for name in names], axis=1)
