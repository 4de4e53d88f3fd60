"""Recipes: which patients a cohort has, as a TOML file or one of those that ship (``recipes/*.toml``)."""

from collections.abc import Iterator, Sequence
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Self

import pydantic

from pathosynth.data.cases import Case
from pathosynth.pathologies import PATHOLOGIES
from pathosynth.runs.config import Config, build_config, read_toml
from pathosynth.runs.errors import ConfigError, InputError
from pathosynth.stages.distributions import Range, distributions, extremes, fixed, parse

Positive = Annotated[float, pydantic.Field(gt=0, allow_inf_nan=False)]
Probability = Annotated[float, pydantic.Field(gt=0, le=1)]
Count = Annotated[int, pydantic.Field(ge=1)]
Name = Annotated[str, pydantic.Field(pattern=r"^[A-Za-z][A-Za-z0-9_+ -]*$")]


class Part(Config):
    """A pathology of a kind of patient."""

    name: str
    """Which one (list pathologies)."""
    probability: Probability = 1.0
    """Share of the patients of this kind who have it; not together with a pool."""
    settings: dict[str, Any] = pydantic.Field(default_factory=dict)
    """Its settings: plain values, or tables {uniform|log_uniform|normal|choice = …} to draw them from."""

    @pydantic.field_validator("settings")
    @classmethod
    def _with_distributions(cls, value: dict[str, Any]) -> dict[str, Any]:
        return parse(value)


class Pool(Config):
    """Which of a kind's pathologies a patient has, drawn one after the other: each of those still possible alike."""

    at_least: Annotated[list[Probability], pydantic.Field(min_length=1)]
    """Probability that at least one, two, three … are drawn; begins with 1 and never grows."""
    exclusive: list[list[str]] = pydantic.Field(default_factory=list)
    """Pathologies of which a patient has at most one."""
    requires: dict[str, list[str]] = pydantic.Field(default_factory=dict)
    """Pathologies that are added wherever another one is drawn."""

    @pydantic.model_validator(mode="after")
    def _falls_from_one(self) -> Self:
        if self.at_least[0] != 1 or self.at_least != sorted(self.at_least, reverse=True):
            raise ValueError(f"at_least: expected probabilities from 1 downwards, found {self.at_least}")
        return self

    def with_required(self, names: Sequence[str]) -> set[str]:
        """These pathologies and all that they require."""
        found, new = set(names), set(names)
        while new:
            new = {other for name in new for other in self.requires.get(name, [])} - found
            found |= new
        return found

    def allows(self, names: Sequence[str]) -> bool:
        """Whether a patient may have all of these, with what they require."""
        found = self.with_required(names)
        return all(len(found.intersection(group)) <= 1 for group in self.exclusive)


class Ages(Config):
    """Which cases are taken. Every age that is given must be known of every case."""

    age_weeks: Range | None = None
    """Youngest and oldest, both included: gestational or postmenstrual age."""
    age_years: Range | None = None
    """Youngest and oldest, both included."""

    @pydantic.model_validator(mode="after")
    def _ascend(self) -> Self:
        for name, ages in self:
            if ages is not None and ages[0] > ages[1]:
                raise ValueError(f"{name}: expected [youngest, oldest], found {list(ages)}")
        return self

    def take(self, case: Case) -> bool:
        """Whether a case is of these ages.

        Raises:
            InputError: its age is not known.
        """
        return all(_within(case, name, ages) for name, ages in self if ages is not None)


class Kind(Config):
    """One kind of patient."""

    name: Name
    """Goes into the names of the cases."""
    weight: Positive = 1.0
    """Share of the cohort, in any unit."""
    cases: Ages | None = None
    """Only these cases become patients of this kind."""
    pathologies: Annotated[list[Part], pydantic.Field(min_length=1)]
    """In the order in which they are put in."""
    pool: Pool | None = None
    """Draw pathologies from the list; without it each comes with its own probability."""

    @pydantic.model_validator(mode="after")
    def _consistent(self) -> Self:
        names = [part.name for part in self.pathologies]
        twice = {name for name in names if names.count(name) > 1}
        if twice:
            raise ValueError(f"pathologies: {', '.join(sorted(twice))} is listed twice")
        if self.pool is None and all(part.probability < 1 for part in self.pathologies):
            raise ValueError("pathologies: expected at least one with probability 1, or some patients would have none")
        if self.pool is not None:
            _check_pool(self.pool, self.pathologies)
        return self

    @property
    def drawn(self) -> bool:
        """Whether its patients differ in what is asked."""
        several = self.pool is not None or any(part.probability < 1 for part in self.pathologies)
        return several or any(True for part in self.pathologies for _ in distributions(part.settings))


class Recipe(Config):
    """A cohort: kinds of patients, how many, drawn how."""

    about: str = ""
    """One line for people."""
    variants_per_case: Count | None = None
    """Variants of every healthy case; 1 unless `total` is given."""
    total: Count | None = None
    """Variants in all, spread evenly over the cases."""
    max_draws: Annotated[int, pydantic.Field(ge=1, le=100)] = 5
    """How often the settings of a variant are drawn before it fails, where the request cannot be met."""
    cases: Ages | None = None
    """Only these cases are used."""
    kinds: Annotated[list[Kind], pydantic.Field(min_length=1)]
    """Kinds of patients; each gets its share of the cohort exactly, up to rounding."""

    @pydantic.model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.variants_per_case is not None and self.total is not None:
            raise ValueError("give variants_per_case or total, not both")
        names = [kind.name for kind in self.kinds]
        if len(set(names)) != len(names):
            raise ValueError(f"kinds: every name may occur once, found {', '.join(names)}")
        return self

    @property
    def drawn(self) -> bool:
        """Whether what a case becomes depends on which other cases there are."""
        return len(self.kinds) > 1 or self.total is not None or any(kind.drawn for kind in self.kinds)


def _within(case: Case, name: str, ages: Range) -> bool:
    age: float | None = getattr(case, name)
    if age is None:
        raise InputError(
            f"Case '{case.case}' has no {name}, by which the recipe chooses cases. Add the column to the case table, "
            "or remove the ages from a copy of the recipe."
        )
    return ages[0] <= age <= ages[1]


def _check_pool(pool: Pool, parts: Sequence[Part]) -> None:
    names = [part.name for part in parts]
    named = {*pool.requires, *(name for group in (*pool.exclusive, *pool.requires.values()) for name in group)}
    if named - set(names):
        raise ValueError(f"pool: {', '.join(sorted(named - set(names)))} is not among the pathologies")
    if any(part.probability < 1 for part in parts):
        raise ValueError("probability: a pool draws the pathologies; remove it")
    alone = [name for name in names if not pool.allows([name])]
    if alone:
        raise ValueError(f"pool: {', '.join(alone)} requires what it, or another one it requires, excludes")
    if len(pool.at_least) > len(names):
        raise ValueError(f"pool.at_least: {len(pool.at_least)} are drawn at most, of {len(names)} pathologies")


def recipe_names() -> list[str]:
    """Recipes that ship."""
    return sorted(entry.name.removesuffix(".toml") for entry in _folder().iterdir() if entry.name.endswith(".toml"))


def load_recipe(name: str) -> Recipe:
    """A recipe by its shipped name or from a TOML file, every setting it may draw checked.

    Raises:
        ConfigError: there is no such recipe, or something in it is wrong; the message names file and key.
    """
    recipe = read_recipe(name)
    check_recipe(recipe, f"--recipe {name}")
    return recipe


def read_recipe(name: str) -> Recipe:
    """A recipe whose pathologies and their settings are not looked at.

    Raises:
        ConfigError: there is no such recipe, or it is not built like one.
    """
    path = Path(name)
    if name in recipe_names():
        path = Path(str(_folder() / f"{name}.toml"))
    elif path.suffix != ".toml":
        raise ConfigError(f"--recipe {name}: expected a .toml file or one of {', '.join(recipe_names())}.")
    return build_config(Recipe, read_toml(path), f"--recipe {name}")


def check_recipe(recipe: Recipe, where: str) -> None:
    """Build every pathology's settings at the ends of what may be drawn.

    Raises:
        ConfigError: a pathology does not exist, or it refuses a value; kind, pathology and key are named.
    """
    for kind in recipe.kinds:
        for part in kind.pathologies:
            here = f"{where}, kind '{kind.name}', pathology '{part.name}'"
            if part.name not in PATHOLOGIES:
                raise ConfigError(f"{here}: expected one of {', '.join(PATHOLOGIES)}.")
            for values in _probes(part):
                build_config(PATHOLOGIES[part.name].Config, values, here)


def typical(part: Part) -> Config:
    """Settings of a part with the middle of everything that is drawn.

    Raises:
        ConfigError: the pathology refuses them.
    """
    model: type[Config] = PATHOLOGIES[part.name].Config
    return build_config(model, next(_probes(part)), f"settings of {part.name}")


def _probes(part: Part) -> Iterator[dict[str, Any]]:
    """Plain settings: the middle of every distribution, then each of its extremes in turn."""
    middle = {name: found.at(0.5) for name, found in distributions(part.settings)}
    yield fixed(part.settings, middle)
    for name, found in distributions(part.settings):
        for value in extremes(found):
            yield fixed(part.settings, middle | {name: value})


def _folder() -> Any:
    return resources.files("pathosynth") / "recipes"
