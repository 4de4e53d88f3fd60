"""Study files: which data, which ingredients are made of them, which arms are trained and how they are judged."""

from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Self

import pydantic

from pathosynth.runs.config import Config, build_config, read_toml
from pathosynth.runs.errors import ConfigError
from pathosynth.workflow.steps import ModelTraining, Step

REAL = "real"
"""The ingredient every study has: its training cases themselves, prepared."""

Name = Annotated[str, pydantic.Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_+-]*$")]
Count = Annotated[int, pydantic.Field(ge=1)]


def _different(seeds: list[int]) -> list[int]:
    if len(set(seeds)) < len(seeds):
        raise ValueError(f"expected seeds that differ, found {seeds}; a training that is repeated is no other one")
    return seeds


Seeds = Annotated[list[int], pydantic.AfterValidator(_different)]


class Phantoms(Config):
    """Procedural heads in place of data, so that a study runs from nothing."""

    train: Count = 4
    """Healthy heads."""
    test: Count = 2
    """Other heads, with enlarged ventricles."""
    spacing_mm: float = pydantic.Field(1.6, ge=0.3, le=1.6)
    """Voxel edge."""


class Data(Config):
    """What is trained and tested on."""

    scheme: str
    """Legend of the label maps: a shipped name or a .toml file."""
    contrast: str
    """Image that is segmented, e.g. T2w."""
    train: list[str] = pydantic.Field(default_factory=list)
    """Folders or case tables, relative to the data root (``--data``)."""
    test: list[str] = pydantic.Field(default_factory=list)
    """Folders or case tables; the files are tested on as they are."""
    phantoms: Phantoms | None = None
    """Make phantoms instead of reading folders."""
    format: str = "auto"
    """Layout of the folders (list formats)."""
    settings: dict[str, Any] = pydantic.Field(default_factory=dict)
    """Settings of the format, e.g. labels_suffix."""
    spacing_mm: float | None = pydantic.Field(None, gt=0, le=10)
    """Voxel edge the training cases are brought to; by default each keeps its own."""
    margin_mm: float = pydantic.Field(5.0, ge=0, le=100)
    """Space kept around the training cases' labels."""
    parts: Count = 1
    """Jobs that prepare each training folder."""

    @pydantic.model_validator(mode="after")
    def _one_source(self) -> Self:
        folders = bool(self.train and self.test)
        if folders == (self.phantoms is not None) or bool(self.train) != bool(self.test):
            raise ValueError("expected folders to train and to test on, or phantoms")
        return self


class Ingredient(Config):
    """A set of cases: a chain of stages, each working on what the one before it made."""

    source: str = pydantic.Field(REAL, alias="from")
    """Ingredient the chain begins with; a chain that begins with generate-labels needs none."""
    steps: Annotated[list[Step], pydantic.Field(min_length=1)]
    """Stages in order."""


class Arm(Config):
    """One segmenter that is compared: what it learns from."""

    train: list[str] = pydantic.Field(default_factory=list)
    """Ingredients."""
    folds: int | None = pydantic.Field(None, ge=2)
    """Learn from the test cases too, by cross-validation over people in this many folds: a ceiling, no contender."""
    settings: dict[str, Any] = pydantic.Field(default_factory=dict)
    """Settings of the segmenter that differ in this arm."""
    seeds: Seeds = pydantic.Field(default_factory=list)
    """Seeds of this arm, e.g. fewer for a costly ceiling; empty for those of the segmenter."""

    @pydantic.model_validator(mode="before")
    @classmethod
    def _plain_list(cls, value: Any) -> Any:
        return {"train": value} if isinstance(value, list) else value

    @pydantic.model_validator(mode="after")
    def _learns_from_something(self) -> Self:
        if not self.train and self.folds is None:
            raise ValueError("expected ingredients to train on, or folds")
        return self


class Segmenting(Config):
    """The segmenter, the same for every arm."""

    kind: str = "nnunet"
    """Which one (list segmenters)."""
    plan: str = ""
    """Preset of its settings; empty for its first."""
    seeds: Annotated[Seeds, pydantic.Field(min_length=1)] = pydantic.Field(default_factory=lambda: [0])
    """Every arm is trained once with each."""
    settings: dict[str, Any] = pydantic.Field(default_factory=dict)
    """Settings that differ from the plan."""


class Evaluation(Config):
    """How the arms are judged."""

    baseline: str = ""
    """Arm all others are compared with; empty for the first one."""
    structures: list[str] = pydantic.Field(default_factory=list)
    """Groups of the label scheme; empty for what `evaluate` takes by itself."""
    subgroups: list[str] = pydantic.Field(default_factory=list)
    """How the cases are divided, e.g. age_weeks=26,32."""
    above: dict[str, float] = pydantic.Field(default_factory=dict)
    """Group to volume in mL: cases above it are also judged apart."""
    report: bool = True
    """Draw the report page."""


class Resources(Config):
    """What a job of one stage may take."""

    threads: int | None = pydantic.Field(None, ge=1, le=1024)
    """Cores."""
    memory_gib: float | None = pydantic.Field(None, gt=0)
    """Memory."""
    minutes: int | None = pydantic.Field(None, ge=1)
    """Time limit on a cluster."""
    partition: str = ""
    """SLURM partition; empty for the cluster's default."""
    gres: str = ""
    """SLURM generic resources, e.g. gpu:1."""


class Study(Config):
    """A whole study."""

    about: str = ""
    """One line for people."""
    seed: int = pydantic.Field(0, ge=0)
    """Seed of everything that is made; segmenters have their own."""
    device: str = "auto"
    """Where models compute."""
    retries: int = pydantic.Field(0, ge=0, le=20)
    """How often a failed job is tried again, e.g. one that a cluster stopped at its time limit: it goes on."""
    data: Data
    models: dict[Name, ModelTraining] = pydantic.Field(default_factory=dict)
    """Generators that the study trains."""
    ingredients: dict[Name, Ingredient] = pydantic.Field(default_factory=dict)
    """Sets of cases by name; `real` is there by itself."""
    arms: dict[Name, Arm] = pydantic.Field(default_factory=dict)
    """Segmenters by name; none where the study ends with the data."""
    segmenter: Segmenting = Segmenting()
    evaluation: Evaluation = Evaluation()
    resources: dict[str, Resources] = pydantic.Field(default_factory=dict)
    """By stage, e.g. train, or default."""

    @pydantic.model_validator(mode="after")
    def _references_exist(self) -> Self:
        if {REAL, "test"} & {*self.ingredients, *self.models}:
            raise ValueError("ingredients and models: the names 'real' and 'test' are taken")
        if both := sorted({*self.ingredients} & {*self.models}):
            raise ValueError(f"{', '.join(both)} names an ingredient and a model; give each a name of its own")
        sets = [REAL, *self.ingredients]
        for name, ingredient in self.ingredients.items():
            _among(sets, [ingredient.source], f"ingredients.{name}.from")
        for name, model in self.models.items():
            _among(sets, model.train, f"models.{name}.train")
        for name, arm in self.arms.items():
            _among(sets, arm.train, f"arms.{name}")
        if self.evaluation.baseline:
            _among(list(self.arms), [self.evaluation.baseline], "evaluation.baseline")
        return self


def _among(known: list[str], named: list[str], where: str) -> None:
    unknown = [name for name in named if name not in known]
    if unknown:
        raise ValueError(f"{where}: {', '.join(unknown)} is not among {', '.join(known) or 'no names at all'}")


def study_names() -> list[str]:
    """Studies that ship."""
    return sorted(entry.name.removesuffix(".toml") for entry in _folder().iterdir() if entry.name.endswith(".toml"))


def load_study(name: str) -> tuple[Study, Path]:
    """A study by its shipped name or from a TOML file, and the folder that relative paths in it start from.

    Raises:
        ConfigError: there is no such study, or something in it is wrong; the message names file and key.
    """
    path = Path(name)
    if name in study_names():
        path = Path(str(_folder() / f"{name}.toml"))
    elif path.suffix != ".toml":
        raise ConfigError(f"study {name}: expected a .toml file or one of {', '.join(study_names())}.")
    folder = Path.cwd() if name in study_names() else path.absolute().parent
    return build_config(Study, read_toml(path), str(path)), folder


def _folder() -> Any:
    return resources.files("pathosynth.workflow") / "studies"
