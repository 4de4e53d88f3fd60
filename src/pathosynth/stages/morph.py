"""Labels -> pathological labels: applies what is in ``pathologies/`` to every case."""

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pathosynth.data.cases import Case
from pathosynth.data.labels import LabelScheme
from pathosynth.data.volume import Volume
from pathosynth.morphing.morphed import Morphed
from pathosynth.pathologies import PATHOLOGIES
from pathosynth.runs.config import Config, build_config, parse_settings
from pathosynth.runs.errors import ConfigError, InputError
from pathosynth.runs.seeds import case_seed, numpy_generator
from pathosynth.stages import inputs, outputs
from pathosynth.stages.batch import Options, Plan, Result
from pathosynth.stages.naming import child_name

BYTES_PER_VOXEL = 80
"""Peak of a morph per voxel of the label map: 0.24 GiB for 4.0 million voxels at 0.8 mm."""


@dataclass(frozen=True)
class Morphing:
    """A pathology, its checked settings, and how many variants each case gets."""

    pathology: str
    config: Config
    per_case: int = 1

    @classmethod
    def of(cls, pathology: str, settings: Sequence[str], per_case: int = 1) -> "Morphing":
        """Build from ``--pathology`` and ``--set``.

        Raises:
            ConfigError: no such pathology, or a setting it does not take.
        """
        if pathology not in PATHOLOGIES:
            raise ConfigError(f"--pathology {pathology}: expected one of {', '.join(PATHOLOGIES)}.")
        values = parse_settings(list(settings))
        return cls(pathology, build_config(PATHOLOGIES[pathology].Config, values, f"--set for {pathology}"), per_case)

    def described(self) -> dict[str, Any]:
        """What goes into the run record."""
        settings = self.config.model_dump(mode="json")
        return {"pathology": self.pathology, "settings": settings, "per_case": self.per_case}


@dataclass(frozen=True)
class Variant:
    """One morph to be made: which parent, under which name, with which seed."""

    case: str
    parent: Case
    seed: int

    @property
    def source(self) -> str:
        """Name of the parent."""
        return self.parent.case


def plan(cases: Sequence[Case], morphing: Morphing, options: Options) -> Plan:
    """Every variant of every case becomes one task.

    Raises:
        InputError: two cases would get the same name.
    """
    tasks = variants(cases, morphing, options.seed)
    return Plan(
        command="morph",
        config=morphing.described(),
        inputs=inputs.files_of(cases),
        tasks=tasks,
        work=functools.partial(morph_case, morphing=morphing, out=options.out),
        finish=functools.partial(outputs.finish, order=[task.case for task in tasks]),
        memory_gib=outputs.memory_gib(cases, BYTES_PER_VOXEL),
        makes=f"{len(tasks)} label maps with {morphing.pathology}",
    )


def variants(cases: Sequence[Case], morphing: Morphing, run_seed: int) -> list[Variant]:
    """Names and seeds of what is to be made: parent's name + pathology + number, letters and digits only.

    Raises:
        InputError: two cases would get the same name.
    """
    made: dict[str, Variant] = {}
    for parent in cases:
        for number in range(1, morphing.per_case + 1):
            name = child_name(parent.case, morphing.pathology, number)
            if name in made:
                raise InputError(
                    f"Cases '{made[name].source}' and '{parent.case}' would both become '{name}'. Rename one."
                )
            made[name] = Variant(name, parent, case_seed(run_seed, name, "morph"))
    return list(made.values())


def apply(labels: Volume, scheme: LabelScheme, morphing: Morphing, seed: int) -> Morphed:
    """Reshape one label map in RAS orientation.

    Raises:
        MorphError: the request cannot be met.
    """
    module = PATHOLOGIES[morphing.pathology]
    morphed: Morphed = module.morph(labels.array, scheme, labels.spacing_mm, morphing.config, numpy_generator(seed))
    return morphed


def severity(labels: Volume, scheme: LabelScheme, morphing: Morphing) -> dict[str, float]:
    """Measured severity of a label map in RAS orientation, in the pathology's clinical units."""
    found = PATHOLOGIES[morphing.pathology].severity(labels.array, scheme, labels.spacing_mm)
    return {name: float(value) for name, value in found.items()}


def child(variant: Variant, morphing: Morphing, reached: dict[str, float]) -> Case:
    """Row of the new case; it keeps its parent's subject, split and age, and has no files yet."""
    return variant.parent.model_copy(
        update={
            "case": variant.case,
            "origin": "morphed",
            "parent": variant.parent.case,
            "pathology": morphing.pathology,
            "severity": reached,
            "labels": None,
            "images": {},
            "displacement": None,
            "seed": variant.seed,
        }
    )


def provenance(variant: Variant, morphing: Morphing, morphed: Morphed, reached: dict[str, float]) -> dict[str, Any]:
    """Sidecar of a morphed label map."""
    return {
        "Synthetic": True,
        "Parent": variant.parent.case,
        "ParentSubject": variant.parent.subject,
        "Pathology": morphing.pathology,
        "Requested": morphing.config.model_dump(mode="json", exclude_defaults=True),
        "Severity": reached,
        "Seed": variant.seed,
        "Report": morphed.report,
    }


def morph_case(variant: Variant, *, morphing: Morphing, out: Path) -> Result:
    """Read, reshape and write one case."""
    scheme = inputs.one_scheme([variant.parent])
    brain = inputs.read_brain(variant.parent, scheme)
    morphed = apply(brain.labels, scheme, morphing, variant.seed)
    labels = brain.labels.with_array(morphed.labels)
    reached = severity(labels, scheme, morphing)
    facts = outputs.write_case(
        out,
        outputs.Product(
            row=child(variant, morphing, reached),
            scheme=scheme,
            original=brain.original,
            labels=labels,
            displacement=morphed.displacement,
            sidecar=provenance(variant, morphing, morphed, reached),
        ),
    )
    return Result("done", facts={"severity": reached, **facts})
