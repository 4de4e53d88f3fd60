"""Subgroups of the reference cases: bins of age or severity, and cases above a volume."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pathosynth.data.cases import Case
from pathosynth.runs.errors import ConfigError

ALL = "all"
AGES = ("age_weeks", "age_years")


@dataclass(frozen=True)
class Wish:
    """One ``--subgroup`` or ``--above``.

    Attributes:
        name: age, severity, pathology, a key of the severity, or a structure for its reference volume.
        edges: ascending; without any, numbers are divided at their median and words make a group each.
        volume: whether `name` is a structure.
    """

    name: str
    edges: tuple[float, ...] = ()
    volume: bool = False


def parse(subgroups: Sequence[str], above: Sequence[str]) -> tuple[Wish, ...]:
    """Read ``--subgroup age``, ``--subgroup atrial_width_mm=10,15`` and ``--above ventricles=50``.

    Raises:
        ConfigError: a text is malformed.
    """
    wishes = []
    for text, volume in [(text, False) for text in subgroups] + [(text, True) for text in above]:
        option = "--above" if volume else "--subgroup"
        name, _, numbers = text.partition("=")
        try:
            edges = tuple(float(number) for number in numbers.split(",")) if numbers else ()
        except ValueError:
            raise ConfigError(f"{option} {text}: expected numbers after '=', e.g. {option} {name}=25,50.") from None
        if not name or list(edges) != sorted(set(edges)) or not np.isfinite(edges).all() or (volume and not edges):
            raise ConfigError(f"{option} {text}: expected NAME=EDGE,EDGE… with ascending edges.")
        wishes.append(Wish(name, edges, volume))
    return tuple(wishes)


def members(
    wishes: Sequence[Wish], cases: Sequence[Case], volumes_ml: Mapping[str, Mapping[str, float]]
) -> dict[str, frozenset[str]]:
    """Names of groups and of the cases in them, all cases first. Groups without a case are left out.

    Args:
        wishes: what to divide by.
        cases: reference cases.
        volumes_ml: structure to case to reference volume.

    Raises:
        ConfigError: nothing is known of a case that a wish divides by.
    """
    groups = {ALL: frozenset(case.case for case in cases)}
    for wish in wishes:
        if wish.volume:
            if wish.name not in volumes_ml:
                raise ConfigError(f"--above {wish.name}: expected a structure that is judged: {', '.join(volumes_ml)}.")
            name, values = f"{wish.name} mL", dict(volumes_ml[wish.name])
        else:
            name, values = _values(wish.name, cases)
        groups |= _divided(name, values, wish.edges)
    return groups


def _values(name: str, cases: Sequence[Case]) -> tuple[str, dict[str, Any]]:
    """What the cases are divided by: its full name, and its value in every case.

    Raises:
        ConfigError: it is not known of every case.
    """
    if name in ("age", *AGES):
        names = [one for one in AGES if name in ("age", one) and all(getattr(case, one) is not None for case in cases)]
        if names:
            return names[0], {case.case: getattr(case, names[0]) for case in cases}
        raise ConfigError(f"--subgroup {name}: expected an age of every case in the reference table. Add it there.")
    if name == "pathology":
        return name, {case.case: case.pathology or "none" for case in cases}
    shared = sorted(set.intersection(*(set(case.severity) for case in cases)))
    key = shared[0] if name == "severity" and len(shared) == 1 else name.removeprefix("severity.")
    if key not in shared:
        raise ConfigError(
            f"--subgroup {name}: expected age, pathology or a severity known of every reference case "
            f"({', '.join(shared) or 'there is none'}). Give --subgroup with one of them, or --above STRUCTURE=ML."
        )
    return key, {case.case: case.severity[key] for case in cases}


def _divided(name: str, values: Mapping[str, Any], edges: Sequence[float]) -> dict[str, frozenset[str]]:
    if not all(isinstance(value, int | float) and not isinstance(value, bool) for value in values.values()):
        words = {case: str(value) for case, value in values.items()}
        return {f"{name} = {word}": _where(words, word) for word in sorted(set(words.values()))}
    chosen = tuple(edges) or (float(np.median(list(values.values()))),)
    bins = {case: int(np.searchsorted(chosen, value, side="right")) for case, value in values.items()}
    return {_told(name, chosen, one): _where(bins, one) for one in sorted(set(bins.values()))}


def _where(values: Mapping[str, Any], wanted: Any) -> frozenset[str]:
    return frozenset(case for case, value in values.items() if value == wanted)


def _told(name: str, edges: Sequence[float], place: int) -> str:
    if place == 0:
        return f"{name} < {edges[0]:g}"
    if place == len(edges):
        return f"{name} >= {edges[-1]:g}"
    return f"{edges[place - 1]:g} <= {name} < {edges[place]:g}"
