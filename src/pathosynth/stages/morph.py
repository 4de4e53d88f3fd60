"""Labels -> pathological labels: applies what is in ``pathologies/`` to every case, alone or as a recipe says."""

import functools
import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pathosynth.data.cases import Case
from pathosynth.data.labels import LabelScheme
from pathosynth.data.volume import Volume
from pathosynth.morphing.morphed import Morphed
from pathosynth.pathologies import PATHOLOGIES
from pathosynth.runs.config import build_config, parse_settings
from pathosynth.runs.errors import ConfigError, MorphError
from pathosynth.runs.files import json_text
from pathosynth.runs.record import RunRecord
from pathosynth.runs.seeds import derived_seed
from pathosynth.stages import composition, inputs, morph_table, outputs
from pathosynth.stages.batch import Options, Plan, Result
from pathosynth.stages.cohort import Asked, Variant, draw_again, draw_cohort
from pathosynth.stages.recipes import Kind, Part, Recipe, load_recipe, typical

BYTES_PER_VOXEL = 80
"""Peak of a morph per voxel of the label map: 0.24 GiB for 4.0 million voxels at 0.8 mm."""


@dataclass(frozen=True)
class Morphing:
    """What is put into the cases of a run."""

    recipe: Recipe
    figure: bool = False
    """Whether the distributions are drawn."""

    @classmethod
    def of(cls, pathologies: Sequence[str], settings: Sequence[str], per_case: int | None = None) -> "Morphing":
        """Every case gets all pathologies: build from ``--pathology`` and ``--set``.

        Raises:
            ConfigError: no such pathology, one is named twice, or a setting belongs to none of them or to several.
        """
        for name in pathologies:
            if name not in PATHOLOGIES:
                raise ConfigError(f"--pathology {name}: expected one of {', '.join(PATHOLOGIES)}.")
        values = _addressed(parse_settings(list(settings)), pathologies)
        for name in pathologies:
            build_config(PATHOLOGIES[name].Config, values[name], f"--set for {name}")
        parts = [Part(name=name, settings=values[name]) for name in pathologies]
        only = Kind(name=" ".join(pathologies), pathologies=parts)
        return cls(Recipe(variants_per_case=per_case or 1, max_draws=1, kinds=[only]))

    @classmethod
    def from_recipe(cls, name: str, per_case: int | None = None) -> "Morphing":
        """Build from ``--recipe``; `per_case` replaces the number of variants it says.

        Raises:
            ConfigError: there is no such recipe, or something in it is wrong.
        """
        recipe = load_recipe(name)
        if per_case is not None:
            recipe = recipe.model_copy(update={"variants_per_case": per_case, "total": None})
        return cls(recipe, figure=True)

    def described(self) -> dict[str, Any]:
        """What goes into the run record: the recipe by names, with the defaults of all settings."""
        told = self.recipe.model_dump(mode="json", exclude_none=True)
        told["kinds"] = {kind.name: _kind_described(kind) for kind in self.recipe.kinds}
        return {"recipe": told}


@dataclass(frozen=True)
class Made:
    """A variant that could be met.

    Attributes:
        asked: pathologies with the settings of the draw that was met.
        labels: in RAS orientation.
        morphed: displacement and report.
        severity: measured on the labels, with z-scores where the age is known.
        refused: why earlier draws were not met.
    """

    asked: tuple[Asked, ...]
    labels: Volume
    morphed: Morphed
    severity: dict[str, float]
    refused: tuple[str, ...]


def plan(cases: Sequence[Case], morphing: Morphing, options: Options) -> Plan:
    """Every variant of every case becomes one task.

    Raises:
        InputError: two cases would get the same name, or the recipe takes none of them.
    """
    tasks = draw_cohort(cases, morphing.recipe, options.seed)
    return Plan(
        command="morph",
        config=described(morphing, tasks),
        inputs=inputs.files_of(cases),
        tasks=tasks,
        work=functools.partial(morph_case, morphing=morphing, out=options.out),
        finish=functools.partial(finish, tasks=tasks, morphing=morphing),
        memory_gib=outputs.memory_gib(cases, BYTES_PER_VOXEL),
        makes=f"{len(tasks)} label maps with {told(tasks)}",
    )


def described(morphing: Morphing, tasks: Sequence[Variant]) -> dict[str, Any]:
    """What goes into the run record; with a recipe that draws also which variants it drew, as they hang together."""
    if not morphing.recipe.drawn:
        return morphing.described()
    drawn = sorted((task.case, task.kind, [asdict(asked) for asked in task.asked]) for task in tasks)
    digest = hashlib.sha256(json_text(drawn).encode()).hexdigest()
    cohort = {"parents": len({task.source for task in tasks}), "variants": len(tasks), "sha256": digest}
    return {**morphing.described(), "cohort": cohort}


def told(tasks: Sequence[Variant]) -> str:
    """What is put in, for people: the pathologies, or the number of every kind."""
    kinds = Counter(task.kind for task in tasks)
    if len(kinds) == 1:
        return ", ".join(dict.fromkeys(asked.pathology for task in tasks for asked in task.asked))
    return ", ".join(f"{number} x {kind}" for kind, number in kinds.items())


def make(variant: Variant, parent: Volume, scheme: LabelScheme, recipe: Recipe) -> Made:
    """Reshape the labels of a parent; a draw that cannot be met is replaced by another one.

    Args:
        variant: what to make.
        parent: labels in RAS orientation.
        scheme: their legend.
        recipe: which the variant was drawn from.

    Raises:
        MorphError: no draw could be met.
    """
    refused: list[str] = []
    for number in range(1, recipe.max_draws + 1):
        asked = draw_again(variant, recipe, number)
        steps = composition.steps_for(asked, variant.parent)
        try:
            morphed = composition.apply(parent, scheme, steps, derived_seed(variant.seed, number))
        except MorphError as error:
            refused.append(str(error))
            continue
        labels = parent.with_array(morphed.labels)
        severity = composition.severity(labels, scheme, [step.pathology for step in steps])
        scores, warnings = composition.z_scores(severity, variant.parent.age_weeks)
        morphed.report["warnings"] += warnings
        return Made(asked, labels, morphed, severity | scores, tuple(refused))
    if recipe.max_draws == 1:
        raise MorphError(refused[0])
    reasons = "; ".join(f"{number} x {reason}" for reason, number in Counter(refused).items())
    raise MorphError(f"None of {recipe.max_draws} draws of '{variant.kind}' could be met: {reasons}")


def child(variant: Variant, made: Made) -> Case:
    """Row of the new case; it keeps its parent's subject, split and age, and has no files yet."""
    return variant.parent.model_copy(
        update={
            "case": variant.case,
            "origin": "morphed",
            "parent": variant.parent.case,
            "pathology": variant.pathology,
            "severity": made.severity,
            "labels": None,
            "images": {},
            "displacement": None,
            "seed": variant.seed,
        }
    )


def provenance(variant: Variant, made: Made) -> dict[str, Any]:
    """Sidecar of a morphed label map."""
    return {
        "Synthetic": True,
        "Parent": variant.parent.case,
        "ParentSubject": variant.parent.subject,
        "Kind": variant.kind,
        "Pathology": variant.pathology,
        "Requested": {asked.pathology: asked.settings for asked in made.asked},
        "Severity": made.severity,
        "Seed": variant.seed,
        "RefusedDraws": list(made.refused),
        "Report": made.morphed.report,
    }


def facts(made: Made) -> dict[str, Any]:
    """What the run record keeps of a variant."""
    report = made.morphed.report
    reports = [*report["steps"], *(c["report"] for c in report["corrections"] if c["done"]), report]
    return {
        "severity": made.severity,
        "asked": [asdict(asked) for asked in made.asked],
        "targets": report["targets"],
        "corrections": len(report["corrections"]),
        "refused": list(made.refused),
        "warnings": sum(len(one.get("warnings", [])) for one in reports),
    }


def morph_case(variant: Variant, *, morphing: Morphing, out: Path) -> Result:
    """Read, reshape and write one case."""
    scheme = inputs.one_scheme([variant.parent])
    brain = inputs.read_brain(variant.parent, scheme)
    made = make(variant, brain.labels, scheme, morphing.recipe)
    product = outputs.Product(
        row=child(variant, made),
        scheme=scheme,
        original=brain.original,
        labels=made.labels,
        displacement=made.morphed.displacement,
        sidecar=provenance(variant, made),
    )
    return Result("done", facts={**facts(made), **outputs.write_case(out, product)})


def finish(out: Path, record: RunRecord, *, tasks: Sequence[Variant], morphing: Morphing) -> None:
    """Write the tables, and draw what a recipe asked and got."""
    tasks = [task for task in tasks if task.case in record.content["cases"]]  # a part has not all of them
    outputs.finish(out, record, order=[task.case for task in tasks])
    morph_table.write(out, record, tasks)
    if morphing.figure:
        from pathosynth.stages import morph_figure  # brings matplotlib in

        morph_figure.draw(out, record, tasks, morphing.recipe)
    else:
        (out / morph_table.FIGURE).unlink(missing_ok=True)


def _kind_described(kind: Kind) -> dict[str, Any]:
    told = kind.model_dump(mode="json", exclude_none=True, exclude={"name"})
    told["order"] = [part.name for part in kind.pathologies]
    told["pathologies"] = {
        part.name: {
            "probability": part.probability,
            "settings": typical(part).model_dump(mode="json") | part.model_dump(mode="json")["settings"],
        }
        for part in kind.pathologies
    }
    return told


def _addressed(values: dict[str, Any], pathologies: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Settings of each pathology: ``NAME.key`` goes to NAME, a plain key to the only pathology that has it.

    Raises:
        ConfigError: a pathology is named twice, or a plain key belongs to several or, where there are several, to none.
    """
    if len(set(pathologies)) != len(pathologies):
        raise ConfigError(f"--pathology: expected each once, found {', '.join(pathologies)}.")
    found: dict[str, dict[str, Any]] = {name: {} for name in pathologies}
    for key, value in values.items():
        if key in PATHOLOGIES and isinstance(value, dict):
            if key not in found:
                raise ConfigError(f"--set {key}.…: {key} is not put in. Add --pathology {key}.")
            found[key] |= value
            continue
        owners = [name for name in pathologies if key in PATHOLOGIES[name].Config.model_fields]
        if len(pathologies) > 1 and len(owners) != 1:
            which = " or ".join(f"--set {name}.{key}=…" for name in owners or pathologies)
            what = "several pathologies have" if owners else "no pathology has"
            raise ConfigError(f"--set {key}: {what} this setting. Say which is meant: {which}.")
        found[(owners or pathologies)[0]][key] = value
    return found
