"""Steps of an ingredient: which stage, with which of its settings; each becomes the words of one command."""

import json
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal, Self

import pydantic

from pathosynth.runs.config import Config

Count = Annotated[int, pydantic.Field(ge=1)]


class Common(Config):
    """What every step has."""

    parts: Count = 1
    """Jobs the step is divided into; the results do not depend on it."""
    max_failed: float = pydantic.Field(0.34, ge=0, le=1)
    """Share of the cases that may fail before the study stops."""


class Morph(Common):
    """Reshape labels."""

    stage: Literal["morph"]
    recipe: str = ""
    """A cohort: a shipped name or a .toml file."""
    pathologies: list[str] = pydantic.Field(default_factory=list)
    """Pathologies for every case, instead of a recipe."""
    settings: dict[str, Any] = pydantic.Field(default_factory=dict)
    """Settings of the pathologies."""
    per_case: Count | None = None
    """Variants of each case; by default 1, or what the recipe says."""

    @pydantic.model_validator(mode="after")
    def _one_kind(self) -> Self:
        if bool(self.recipe) == bool(self.pathologies):
            raise ValueError("expected a recipe or pathologies")
        return self

    def words(self) -> Iterator[str]:
        """Options of `pathosynth morph`."""
        yield from _option("--recipe", self.recipe)
        for name in self.pathologies:
            yield from ("--pathology", name)
        yield from settings_words(self.settings)
        yield from _option("--per-case", self.per_case)


class GenerateLabels(Common):
    """New label maps from a label model."""

    stage: Literal["generate-labels"]
    model: str
    """A model of the study, a shipped label model or a model folder."""
    n: Count
    """Label maps to make."""
    settings: dict[str, Any] = pydantic.Field(default_factory=dict)
    """What they shall measure, e.g. ventricle_ml = "uniform:10:150"."""
    guidance: float | None = pydantic.Field(None, ge=0)
    """How strongly the request steers."""
    open_loop: bool = False
    """Take what the model draws, without correction."""

    def words(self) -> Iterator[str]:
        """Options of `pathosynth generate-labels` but the model."""
        yield from ("--n", str(self.n))
        yield from settings_words(self.settings)
        yield from _option("--guidance", self.guidance)
        yield from ("--open-loop",) if self.open_loop else ()


class GenerateImages(Common):
    """An image for every label map."""

    stage: Literal["generate-images"]
    model: str
    """A model of the study, a shipped one, a generator without weights (gaussian_mixture, carried), or a folder."""
    settings: dict[str, Any] = pydantic.Field(default_factory=dict)
    """Settings of a generator without weights."""
    per_case: Count = 1
    """Images of each label map."""
    contrast: str = ""
    """What a generator without weights makes or carries; empty for T2w."""
    best_of: Count = 1
    """Seeds that are rendered for each image; the one that the checks score best is kept."""

    def words(self) -> Iterator[str]:
        """Options of `pathosynth generate-images` but the model."""
        yield from settings_words(self.settings)
        yield from _option("--per-case", self.per_case if self.per_case > 1 else None)
        yield from _option("--contrast", self.contrast)
        yield from _option("--best-of", self.best_of if self.best_of > 1 else None)


class Prepare(Common):
    """Bring cases to another grid or scheme."""

    stage: Literal["prepare"]
    to_scheme: str = ""
    """Scheme the labels are remapped to."""
    spacing_mm: float | None = pydantic.Field(None, gt=0, le=10)
    """Voxel edge; by default each case keeps its own."""
    margin_mm: float | None = pydantic.Field(None, ge=0, le=100)
    """Space kept around the labels."""

    def words(self) -> Iterator[str]:
        """Options of `pathosynth prepare`."""
        yield from _option("--to-scheme", self.to_scheme)
        yield from _option("--spacing-mm", self.spacing_mm)
        yield from _option("--margin-mm", self.margin_mm)


class Check(Common):
    """Keep or reject."""

    stage: Literal["check"]
    checks: list[str] = pydantic.Field(default_factory=list)
    """Which checks; all of them by default."""
    model: str = ""
    """Model whose training intensities and cases are the yardstick."""

    def words(self) -> Iterator[str]:
        """Options of `pathosynth check` but the model."""
        for name in self.checks:
            yield from ("--check", name)


Step = Annotated[Morph | GenerateLabels | GenerateImages | Check | Prepare, pydantic.Field(discriminator="stage")]


class ModelTraining(Config):
    """A generator that the study trains."""

    generator: str
    """Which one (list generators)."""
    train: Annotated[list[str], pydantic.Field(min_length=1)] = pydantic.Field(default_factory=lambda: ["real"])
    """Ingredients it learns from."""
    preset: str = ""
    """Settings to start from; empty for the generator's first."""
    settings: dict[str, Any] = pydantic.Field(default_factory=dict)
    """Settings that differ from the preset."""
    max_steps: Count | None = None
    """Length of the training, for generators of one network."""

    def words(self) -> Iterator[str]:
        """Options of `pathosynth train`."""
        yield from ("--generator", self.generator)
        yield from _option("--preset", self.preset)
        yield from settings_words(self.settings)
        yield from _option("--max-steps", self.max_steps)


def settings_words(settings: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """``--set key=value`` for every setting; nested ones as ``a.b=value``."""
    for key, value in settings.items():
        if isinstance(value, Mapping):
            yield from settings_words(value, f"{prefix}{key}.")
        else:
            yield from ("--set", f"{prefix}{key}={value if isinstance(value, str) else json.dumps(value)}")


def _option(name: str, value: Any) -> Iterator[str]:
    if value not in (None, ""):
        yield from (name, f"{value:g}" if isinstance(value, float) else str(value))
