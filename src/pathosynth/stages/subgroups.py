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
        ConfigError: what a wish divides by is not known of a case.
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
        ConfigError: it is not known of every case, or of a pathology of none, or several things are meant.
    """
    found = {key: values for key, values in _meant(name, cases).items() if set(values.values()) != {None}}
    whole = [key for key, values in found.items() if None not in values.values()]
    if not found:
        known = sorted(set().union(*(case.severity for case in cases)))
        raise ConfigError(
            f"--subgroup {name}: expected age, pathology or a severity that the reference cases have, found it in none "
            f"(severities: {', '.join(known) or 'none'}). Add it to cases.csv or participants.tsv, or give --above "
            "STRUCTURE=ML."
        )
    if name == "pathology":
        return name, {case: word or "none" for case, word in found[name].items()}
    if len(whole) == 1 or (whole and name == "age"):
        return whole[0], found[whole[0]]
    if whole:
        raise ConfigError(f"--subgroup {name}: expected one measurement, found {', '.join(whole)}. Give one of them.")
    key = min(found, key=lambda one: list(found[one].values()).count(None))
    without = [f"'{case.case}' ({case.labels})" for case in cases if found[key][case.case] is None]
    more = f" and {len(without) - 5} more" if len(without) > 5 else ""
    raise ConfigError(
        f"--subgroup {name}: expected {key} of every reference case, found none of {', '.join(without[:5])}{more}. "
        "Add it to cases.csv or participants.tsv, or leave these cases out."
    )


def _meant(name: str, cases: Sequence[Case]) -> dict[str, dict[str, Any]]:
    """Full name to the value in every case, None where it is not known, of all that `name` may mean."""
    if name == "pathology":
        return {name: {case.case: case.pathology or None for case in cases}}
    if name in ("age", *AGES):
        return {key: {case.case: getattr(case, key) for case in cases} for key in AGES if name in ("age", key)}
    keys = sorted(set().union(*(case.severity for case in cases)))
    wanted = [key for key in keys if name in ("severity", key, f"severity.{key}")]
    return {key: {case.case: case.severity.get(key) for case in cases} for key in wanted}


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
