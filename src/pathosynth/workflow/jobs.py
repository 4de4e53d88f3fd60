"""Jobs of a study: each is one command of this package, run in the study's folder, and what it waits for."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from pathosynth.runs.config import Config
from pathosynth.runs.files import json_text, sha256
from pathosynth.segmenters import SEGMENTERS
from pathosynth.workflow.steps import Step
from pathosynth.workflow.study import Resources, Study

ALL = "all"
"""Folder, under that of a step, with the one table of all its parts."""

DEFAULTS = {
    "train": Resources(threads=2, memory_gib=6, minutes=1440),
    "segment": Resources(threads=1, memory_gib=4, minutes=1440),
    "table": Resources(threads=1, memory_gib=0.5, minutes=10),
    "default": Resources(threads=1, memory_gib=3, minutes=240),
}
"""What a job takes unless the study says otherwise."""


class Job(Config):
    """One command."""

    name: str
    """Unique in the study; also the name of its files."""
    stage: str
    """Which command; its resources are looked up by it."""
    command: tuple[str, ...]
    """Words after ``pathosynth``; paths are relative to the study's folder."""
    how: tuple[str, ...] = ()
    """Words after those, of how fast it goes; what comes out does not depend on them."""
    contents: tuple[str, ...] = ()
    """SHA-256 of the files that its words name or that are loaded for it: recipes, schemes, tables, plugins."""
    output: str
    """Folder it writes."""
    needs: tuple[str, ...] = ()
    """Jobs that must be done before."""
    some_may_fail: bool = False
    """Whether exit code 1, some cases failed, is no fault of the job; the table of the step judges their number."""
    resources: Resources = Resources()

    @property
    def words(self) -> tuple[str, ...]:
        """All words after ``pathosynth``."""
        return (*self.command, *self.how)

    @property
    def digest(self) -> str:
        """What it does in short: two jobs with the same digest do the same."""
        return hashlib.sha256(json_text([*self.command, *self.contents]).encode()).hexdigest()[:16]

    @property
    def done(self) -> str:
        """File that says it is done."""
        return f"jobs/{self.stage}/{self.name}.done"


@dataclass(frozen=True)
class Made:
    """A table of cases that a job makes.

    Attributes:
        job: its name.
        folder: where the table lies.
        parents: table the cases were made from, and the job that makes that; None where they stem from nothing.
    """

    job: str
    folder: str
    parents: "Made | None" = None


@dataclass
class Jobs:
    """The jobs of a study while they are entered, and the tables that its ingredients end in."""

    study: Study
    base: Path
    data: Path
    jobs: dict[str, Job] = field(default_factory=dict)
    sets: dict[str, Made] = field(default_factory=dict)

    def add(
        self, name: str, stage: str, output: str, words: Iterable[str], needs: Iterable[str], *, may: bool = False
    ) -> None:
        """Enter one job; `words` come after the stage and before the output.

        Files that words name are given in full, because a job runs in the study's folder.
        """
        words = [self._in_full(word) for word in words]
        resources = resources_of(self.study, stage)
        limits = stage == "segment" and self._takes_threads(words)
        self.jobs[name] = Job(
            name=name, stage=stage, command=(*stage_words(stage), *words, "-o", output), output=output,
            needs=tuple(dict.fromkeys(needs)), some_may_fail=may, resources=resources,
            how=("--set", f"threads={resources.threads}") if limits else (),
            contents=tuple(sha256(path) for word in words if (path := _path_in(word)).is_absolute() and path.is_file()),
        )  # fmt: skip

    def _in_full(self, word: str) -> str:
        """A word, or the value of a ``KEY=VALUE``, that is a file beside the study: its whole path."""
        path = self.base / _path_in(word)
        if not path.suffix or not (path.suffix == ".toml" or path.is_file()):
            return word
        return f"{key}={path}" if (key := word.rpartition("=")[0]) else str(path)

    def _takes_threads(self, words: Iterable[str]) -> bool:
        """Whether the segmenter can be told its cores, and the study does not do so itself."""
        settings = getattr(SEGMENTERS.get(self.study.segmenter.kind), "Config", None)
        return "threads" in getattr(settings, "model_fields", {}) and not any(
            word.startswith("threads=") for word in words
        )

    def add_parts(self, made: Made, stage: str, words: Iterable[str], needs: Iterable[str], step: Step | None) -> Made:
        """Enter the parts of a step, and the table of all of them.

        Args:
            made: what shall come out; its job and folder carry no part.
            stage: which command.
            words: its options.
            needs: jobs it waits for.
            step: how it is divided; None for one part in which nothing may fail.
        """
        words, needs = [*words], [*needs]
        parts = step.parts if step else 1
        names = [f"{number}of{parts}" for number in range(1, parts + 1)]
        for number, name in enumerate(names, start=1):
            share = ("--part", f"{number}/{parts}")
            self.add(f"{made.job}.{name}", stage, f"{made.folder}/{name}", [*words, *share], needs, may=True)
        return self.add_table(made, [f"{made.folder}/{name}" for name in names], step.max_failed if step else 0.0)

    def add_table(self, made: Made, folders: list[str], max_failed: float) -> Made:
        """Enter the table of the parts of a step."""
        words = [*inputs_words(folders), "--max-failed", f"{max_failed:g}"]
        parts = [f"{made.job}.{Path(folder).name}" for folder in folders]
        name, folder = f"{made.job}.{ALL}", f"{made.folder}/{ALL}"
        self.add(name, "table", folder, words, parts)
        return Made(name, folder, made.parents)

    def located(self, model: str) -> tuple[list[str], list[str]]:
        """Word of ``--model`` and the job that trains it, where the study does."""
        if model in self.study.models:
            return [f"models/{model}"], [f"model.{model}"]
        path = self.base / model
        return [str(path) if path.is_dir() else model], []


def _path_in(word: str) -> Path:
    return Path(word.rpartition("=")[2])


def stage_words(stage: str) -> tuple[str, ...]:
    """Words of the command of a stage."""
    return ("study", stage) if stage in ("table", "phantoms") else (stage,)


def resources_of(study: Study, stage: str) -> Resources:
    """What a job of a stage takes: its own numbers, else those of ``default``, of the study before ours."""
    sources = [table.get(key) for key in (stage, "default") for table in (study.resources, DEFAULTS)]
    merged: dict[str, object] = {}
    for source in reversed([one for one in sources if one]):
        merged |= source.model_dump(exclude_unset=True)
    return Resources.model_validate(merged)


def inputs_words(folders: Iterable[str]) -> list[str]:
    """``-i FOLDER`` for every folder."""
    return [word for folder in folders for word in ("-i", folder)]
