"""Who gets what: the variants of a cohort, stratified, drawn from a recipe, a list of cases and a seed.

Kinds of patients are dealt like cards, so that every kind has its share exactly and every case its share of every kind.
Everything drawn at random is drawn by stratified quantiles (Latin hypercube sampling): of n variants that draw a
setting, one falls into every n-th of its range, and the variants of one case are spread over the range too. The order
of the cases does not matter.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pathosynth.data.cases import Case
from pathosynth.runs.errors import InputError
from pathosynth.runs.seeds import case_seed, numpy_generator
from pathosynth.stages.distributions import distributions, fixed
from pathosynth.stages.naming import child_name, claim
from pathosynth.stages.recipes import Kind, Part, Pool, Recipe


@dataclass(frozen=True)
class Asked:
    """One pathology to be put in, with plain settings."""

    pathology: str
    settings: dict[str, Any]


@dataclass(frozen=True)
class Variant:
    """One morph to be made.

    Attributes:
        case: its name.
        parent: the case it is made from.
        seed: of everything random in making it.
        kind: kind of patient.
        asked: its pathologies with the settings of the first draw, in the order in which they are put in.
    """

    case: str
    parent: Case
    seed: int
    kind: str
    asked: tuple[Asked, ...]

    @property
    def source(self) -> str:
        """Name of the parent."""
        return self.parent.case

    @property
    def pathology(self) -> str:
        """All pathologies, joined by ``+``."""
        return "+".join(asked.pathology for asked in self.asked)


def draw_cohort(cases: Sequence[Case], recipe: Recipe, run_seed: int) -> list[Variant]:
    """The variants of all cases, in the order of the cases.

    Raises:
        InputError: the recipe takes none of the cases, an age it asks for is not known, or two variants would get the
            same name.
    """
    kinds_of = {case.case: kinds for case in cases if (kinds := _kinds_for(case, recipe))}
    if not kinds_of:
        raise InputError(f"The recipe takes none of the {len(cases)} cases: all are outside its ages. Check age_weeks.")
    dealt = _deal(kinds_of, recipe, numpy_generator(run_seed, "cohort"))
    named = _named([case for case in cases if case.case in dealt], dealt)
    asked: dict[str, tuple[Asked, ...]] = {}
    for kind in recipe.kinds:
        of_kind = sorted((parent.case, name) for name, (parent, kind_name) in named.items() if kind_name == kind.name)
        drawn = _draw_kind(kind, [parent for parent, _ in of_kind], run_seed)
        asked |= {name: steps for (_, name), steps in zip(of_kind, drawn, strict=True)}
    return [
        Variant(name, parent, case_seed(run_seed, name, "morph"), kind, asked[name])
        for name, (parent, kind) in named.items()
    ]


def draw_again(variant: Variant, recipe: Recipe, number: int) -> tuple[Asked, ...]:
    """The same pathologies with newly drawn settings, independent of all other draws; number 1 is the first draw."""
    if number == 1:
        return variant.asked
    (kind,) = (kind for kind in recipe.kinds if kind.name == variant.kind)
    parts = {part.name: part for part in kind.pathologies}

    def again(part: Part) -> Asked:
        draw = numpy_generator(variant.seed, "draw", number, part.name)
        return Asked(
            part.name, fixed(part.settings, {name: d.at(draw.random()) for name, d in distributions(part.settings)})
        )

    return tuple(again(parts[asked.pathology]) for asked in variant.asked)


def shares(total: int, weights: Sequence[float]) -> list[int]:
    """`total` divided in proportion to `weights` by largest remainders; equal remainders go to the first."""
    exact = [total * weight / sum(weights) for weight in weights]
    counts = [math.floor(value + 1e-9) for value in exact]
    by_remainder = sorted(range(len(weights)), key=lambda i: (round(counts[i] - exact[i], 9), i))
    for i in by_remainder[: total - sum(counts)]:
        counts[i] += 1
    return counts


def spread(parents: Sequence[str], rng: np.random.Generator) -> np.ndarray:
    """Stratified quantiles in [0, 1) for variants of some parents.

    Of all n quantiles one lies in each [k/n, (k+1)/n). Where every parent has m variants, one of each parent lies in
    each m-th of the range; with unequal numbers this holds nearly.

    Args:
        parents: the parent of each variant.
        rng: decides which variant gets which stratum and where in it.
    """
    n, names = len(parents), np.asarray(parents, dtype=object)
    key = np.empty(n)
    for parent in dict.fromkeys(parents):
        own = np.flatnonzero(names == parent)
        key[own] = (rng.permutation(len(own)) + rng.random(len(own))) / len(own)
    return np.asarray((key.argsort(kind="stable").argsort(kind="stable") + rng.random(n)) / max(n, 1))


def _kinds_for(case: Case, recipe: Recipe) -> tuple[str, ...]:
    """Kinds of patients a case may become."""
    if recipe.cases is not None and not recipe.cases.take(case):
        return ()
    return tuple(kind.name for kind in recipe.kinds if kind.cases is None or kind.cases.take(case))


def _deal(kinds_of: dict[str, tuple[str, ...]], recipe: Recipe, rng: np.random.Generator) -> dict[str, list[str]]:
    """Kinds of the variants of every case; cases that may become the same kinds share one deck of exact shares."""
    names = sorted(kinds_of)
    shuffled = [names[i] for i in rng.permutation(len(names))]
    count = recipe.total or len(names) * (recipe.variants_per_case or 1)
    slots = [shuffled[i % len(shuffled)] for i in range(count)]
    dealt: dict[str, list[str]] = {name: [] for name in names}
    for eligible in sorted(set(kinds_of.values())):
        hands = [name for name in slots if kinds_of[name] == eligible]
        kinds = [kind for kind in recipe.kinds if kind.name in eligible]
        numbers = shares(len(hands), [kind.weight for kind in kinds])
        deck = [kind.name for kind, number in zip(kinds, numbers, strict=True) for _ in range(number)]
        for name, kind_name in zip(hands, deck, strict=True):
            dealt[name].append(kind_name)
    return dealt


def _named(cases: Sequence[Case], dealt: dict[str, list[str]]) -> dict[str, tuple[Case, str]]:
    """Parent and kind by the name of the variant: parent's name + kind + number, letters and digits only."""
    made: dict[str, tuple[Case, str]] = {}
    taken: dict[str, str] = {}
    for parent in cases:
        for number, kind in enumerate(dealt[parent.case], start=1):
            name = child_name(parent.case, kind, number)
            claim(taken, name, parent.case)
            made[name] = (parent, kind)
    return made


def _draw_kind(kind: Kind, parents: Sequence[str], run_seed: int) -> list[tuple[Asked, ...]]:
    """What is asked of the variants of one kind, each given by its parent, in canonical order."""

    def quantiles(of: Sequence[str], *what: str) -> np.ndarray:
        return spread(of, numpy_generator(run_seed, "cohort", kind.name, *what))

    if kind.pool is not None:
        columns = [quantiles(parents, "pool", str(i)) for i in range(len(kind.pool.at_least) + 1)]
        names = [part.name for part in kind.pathologies]
        chosen = [pick(kind.pool, names, [float(u) for u in row]) for row in np.stack(columns, axis=1)]
    else:
        has = {p.name: quantiles(parents, "has", p.name) < p.probability for p in kind.pathologies}
        chosen = [{name for name, column in has.items() if column[i]} for i in range(len(parents))]
    asked: list[list[Asked]] = [[] for _ in parents]
    for part in kind.pathologies:
        users = [i for i, names_of_one in enumerate(chosen) if part.name in names_of_one]
        of = [parents[i] for i in users]
        drawn = {name: (found, quantiles(of, part.name, name)) for name, found in distributions(part.settings)}
        for row, i in enumerate(users):
            values = {name: found.at(float(column[row])) for name, (found, column) in drawn.items()}
            asked[i].append(Asked(part.name, fixed(part.settings, values)))
    return [tuple(steps) for steps in asked]


def pick(pool: Pool, names: Sequence[str], quantiles: Sequence[float]) -> set[str]:
    """Pathologies of one patient: how many from the first quantile, which from the others, then what these require."""
    number = sum(quantiles[0] < probability for probability in pool.at_least)
    found: list[str] = []
    for quantile in quantiles[1 : number + 1]:
        possible = [name for name in names if name not in found and pool.allows([*found, name])]
        if not possible:
            break
        found.append(possible[int(quantile * len(possible))])
    return pool.with_required(found)
