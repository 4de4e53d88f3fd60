"""Wanted measurements -> new label maps: draws from what is in ``label_generators/``, judges, and draws again."""

import functools
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pathosynth.checks import run_checks
from pathosynth.data import measurements
from pathosynth.data.cases import Case
from pathosynth.data.findings import CheckInput, Finding
from pathosynth.data.generated import Generated
from pathosynth.data.labels import load_scheme
from pathosynth.runs.record import RunRecord
from pathosynth.stages import generated_table, label_models, outputs, wishes
from pathosynth.stages.audits import audited
from pathosynth.stages.batch import Options, Plan, Result
from pathosynth.stages.label_models import Labelling
from pathosynth.stages.models import folders_of
from pathosynth.stages.orders import Ordered, Ordering
from pathosynth.stages.provenance import people

log = logging.getLogger(__name__)

CHECKS = ("geometry", "islands", "nesting", "sides", "copies")
"""What a label map without an image is judged by."""

BYTES_PER_VOXEL = 900
"""Peak per voxel of the label map: 0.89 GiB for 614,400 voxels at 2 mm, 32 classes."""


@dataclass(frozen=True)
class Made:
    """A label map and how it came about.

    Attributes:
        generated: the map, with the steps of the closed loop.
        seed: of the draw that was taken.
        asked: the request, also with the ratio that `c` stands for.
        got: every condition that can be measured, measured.
        findings: of the checks of labels.
        refused: why earlier draws were not taken.
        why: why this one cannot be taken either; empty where it can.
    """

    generated: Generated
    seed: int
    asked: dict[str, float]
    got: dict[str, float]
    findings: tuple[Finding, ...]
    refused: tuple[str, ...] = ()
    why: str = ""


def plan(ordering: Ordering, options: Options) -> Plan:
    """Every label map becomes one task.

    Raises:
        ConfigError: none of the requests may be met.
    """
    tasks = ordering.orders(options.seed)
    return Plan(
        command="generate-labels",
        config=ordering.described(),
        inputs=[],
        tasks=tasks,
        work=functools.partial(make_case, ordering=ordering, out=options.out),
        finish=functools.partial(finish, tasks=tasks, ordering=ordering),
        memory_gib=memory_gib(ordering),
        makes=told(tasks, ordering),
        device=ordering.labelling.device,
        facts=folders_of(ordering.labelling.found),
    )


def memory_gib(ordering: Ordering) -> float:
    """Estimated peak of one worker."""
    return outputs.BASE_GIB + ordering.labelling.voxels * BYTES_PER_VOXEL / 2**30


def told(tasks: Sequence[Ordered], ordering: Ordering) -> str:
    """What is made, for people, with how much of it lies beyond the trained range."""
    labelling = ordering.labelling
    outside = [task for task in tasks if wishes.beyond(task.asked, labelling.known)]
    note = f"; {len(outside)} asked beyond its trained range ({labelling.sampling.beyond})" if outside else ""
    return f"{len(tasks)} label maps of scheme '{labelling.scheme}' with {labelling.found.identity}{note}"


def make(task: Ordered, ordering: Ordering) -> Made:
    """Draw a label map until one passes the checks, or the draws are used up; the last one is returned with its fault.

    Raises:
        MorphError: the generator cannot bring a map to what was asked; it has tried several itself.
        ConfigError: it refuses the request.
    """
    refused: list[str] = []
    while True:
        made = _judged(task, ordering.labelling, refused)
        if not made.why or len(refused) + 1 >= ordering.max_draws:
            return made
        refused.append(made.why)
        log.info("%s: draw %d of %d not taken: %s", task.case, len(refused), ordering.max_draws, made.why)


def child(task: Ordered, made: Made, labelling: Labelling) -> Case:
    """Row of the new case: a subject of its own, no parent, the age that was asked; it has no files yet."""
    return Case(
        case=task.case,
        subject=task.case,
        origin="generated",
        severity=made.got,
        scheme=labelling.scheme,
        seed=made.seed,
        age_weeks=task.asked.get("age_weeks"),
        age_years=task.asked.get("age_years"),
    )


def provenance(made: Made, labelling: Labelling) -> dict[str, Any]:
    """Sidecar of a generated label map."""
    outside = wishes.beyond(made.asked, labelling.known)
    return {
        "Synthetic": True,
        "Model": labelling.found.identity,
        "ModelSubjects": people(labelling.found),
        "ModelAudit": audited(labelling.found).status,
        "Generator": labelling.found.generator,
        "LabelScheme": load_scheme(labelling.scheme).name,
        "Seed": made.seed,
        "Requested": made.asked,
        "Measured": made.got,
        "RelativeError": wishes.relative_error(made.asked, made.got),
        "BeyondTrainedRange": outside,
        "Sampling": labelling.sampling.model_dump(mode="json"),
        "Steps": list(made.generated.steps),
        "Attempts": made.generated.attempts,
        "RefusedDraws": list(made.refused),
    }


def facts(made: Made, labelling: Labelling) -> dict[str, Any]:
    """What the run record keeps of a label map."""
    return {
        "asked": made.asked,
        "got": made.got,
        "error": wishes.relative_error(made.asked, made.got),
        "beyond": sorted(wishes.beyond(made.asked, labelling.known)),
        "attempts": made.generated.attempts,
        "draws": len(made.refused) + 1,
        "refused": list(made.refused),
        "morphed_ml": morphed_ml(made.generated.steps),
        "decided_ml": decided_ml(made.generated),
        "seed": made.seed,
        "guidance": labelling.sampling.guidance,
    }


def notes(made: Made, labelling: Labelling) -> str:
    """What people should know of a map that was taken: requests beyond the trained range."""
    outside = wishes.beyond(made.asked, labelling.known)
    return f"beyond the trained range: {'; '.join(outside.values())}" if outside else ""


def morphed_ml(steps: Sequence[Mapping[str, Any]]) -> float:
    """Volume that reshaping added to or took from what was asked for, in mL, over the steps called `morphed`.

    Such a step has `asked_ml` (group to the volume it was brought to), and `from` and `got` (measurement before and
    after); the share by which a measurement moved is the same in any unit.
    """
    morphed = [step for step in steps if step["what"] == "morphed"]
    return sum(
        (
            step["asked_ml"][measurements.group_of(name)] * abs(1 - step["from"][name] / got)
            for step in morphed
            for name, got in step["got"].items()
            if got
        ),
        0.0,
    )


def decided_ml(generated: Generated) -> float:
    """Volume of the voxels decided otherwise to meet a request, in mL, over the steps called `decided`."""
    voxels = sum(step.get("changed_voxels", 0) for step in generated.steps if step["what"] == "decided")
    return float(voxels * np.prod(generated.labels.spacing_mm) / 1000)


def make_case(task: Ordered, *, ordering: Ordering, out: Path) -> Result:
    """Draw and write one case; what fails every draw goes to ``rejected/``."""
    return write(task, make(task, ordering), ordering.labelling, out)


def write(task: Ordered, made: Made, labelling: Labelling, out: Path) -> Result:
    """Write a label map that has no image."""
    product = outputs.Product(
        row=child(task, made, labelling),
        scheme=load_scheme(labelling.scheme),
        original=made.generated.labels,
        labels=made.generated.labels,
        sidecar=provenance(made, labelling),
    )
    written = {**facts(made, labelling), **outputs.write_case(out, product, rejected=bool(made.why))}
    written |= outputs.judged_facts([("", finding) for finding in made.findings])
    return Result("rejected" if made.why else "done", made.why or notes(made, labelling), written)


def finish(out: Path, record: RunRecord, *, tasks: Sequence[Ordered], ordering: Ordering) -> None:
    """Write the tables."""
    tasks = [task for task in tasks if task.case in record.content["cases"]]  # a part has not all of them
    outputs.finish(out, record, order=[task.case for task in tasks])
    write_table(out, record, tasks, ordering)


def write_table(out: Path, record: RunRecord, tasks: Sequence[Ordered], ordering: Ordering) -> None:
    """Write ``generated.csv``."""
    known = ordering.labelling.known
    asked = {task.case: wishes.in_measured_units(task.asked, known) for task in tasks}
    generated_table.write(out, record, asked, [name for name in known if not wishes.cannot_be_measured(name)])


def _judged(task: Ordered, labelling: Labelling, refused: Sequence[str]) -> Made:
    """The draw after those refused, measured and checked."""
    seed, scheme = task.seed(len(refused) + 1), load_scheme(labelling.scheme)
    generated = label_models.draw(labelling, task.asked, seed)
    labels, asked = generated.labels, wishes.in_measured_units(task.asked, labelling.known)
    names = [name for name in labelling.known if name in measurements.measurable(scheme)]
    got = measurements.measure(labels.array, scheme, labels.spacing_mm, names)
    known = labelling.found.training_cases
    findings = run_checks(CheckInput(None, labels.array, scheme, labels.spacing_mm, training_cases=known), CHECKS)
    failed = [f"{finding.name}: {finding.detail}" for finding in findings if not finding.passed]
    why = "; ".join([*failed, *_missed(asked, got, labelling)])
    return Made(generated, seed, asked, wishes.scaled(got, labelling.known), tuple(findings), tuple(refused), why)


def _missed(asked: Mapping[str, float], got: Mapping[str, float], labelling: Labelling) -> list[str]:
    """Requests the closed loop should have met and did not; guidance alone beyond the range promises nothing."""
    sampling, known = labelling.sampling, labelling.known
    if not sampling.closed_loop:
        return []
    promised = [
        name for name in asked if name in got and (known[name].holds(asked[name]) or sampling.beyond == "morph")
    ]
    return [
        f"{name}: asked {asked[name]:.4g}, got {got[name]:.4g} {known[name].unit}, "
        f"more than {sampling.tolerance:.1%} apart"
        for name in promised
        if abs(got[name] - asked[name]) > sampling.tolerance * abs(asked[name])
    ]
