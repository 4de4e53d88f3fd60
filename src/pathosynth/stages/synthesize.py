"""Morph, render and check in one go: the one-case functions of three stages, one written case (docs/decisions/0001)."""

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pathosynth.data.cases import Case
from pathosynth.data.requests import Request
from pathosynth.runs.record import RunRecord
from pathosynth.runs.seeds import case_seed
from pathosynth.stages import generate_images, inputs, morph, outputs
from pathosynth.stages.batch import Options, Plan, Result
from pathosynth.stages.cohort import Variant, draw_cohort
from pathosynth.stages.generate_images import Rendering
from pathosynth.stages.inputs import Brain
from pathosynth.stages.judging import Checking, judge, verdict
from pathosynth.stages.models import folders_of
from pathosynth.stages.morph import Morphing

Reader = Callable[[Case, str], Brain]
"""Gives the voxels of a parent case: labels, and its image of a contrast where it has one."""


MONTAGE = "montage.png"
MONTAGE_ROWS = 6
"""Cases drawn; `preview` draws others."""


@dataclass(frozen=True)
class Synthesis:
    """How every case of a run is made."""

    morphing: Morphing
    rendering: Rendering
    checking: Checking
    run_seed: int

    @classmethod
    def of(cls, morphing: Morphing, rendering: Rendering, run_seed: int) -> "Synthesis":
        """All checks, with what the model knows of its training cases, but for copies: a morph resembles its parent."""
        return cls(morphing, rendering, Checking.of(found=rendering.found), run_seed)

    def described(self, tasks: Sequence[Variant]) -> dict[str, Any]:
        """What goes into the run record."""
        drawn = morph.described(self.morphing, tasks)
        return {**drawn, **self.rendering.described(), "checks": list(self.checking.names)}


def plan(cases: Sequence[Case], morphing: Morphing, rendering: Rendering, options: Options) -> Plan:
    """Every variant of every case becomes one task.

    Raises:
        InputError: two cases would get the same name.
    """
    return plan_with(read_parent, cases, Synthesis.of(morphing, rendering, options.seed), options, command="synthesize")


def plan_with(reader: Reader, cases: Sequence[Case], synthesis: Synthesis, options: Options, *, command: str) -> Plan:
    """The plan for parents that `reader`, a picklable function, gives the voxels of."""
    tasks = draw_cohort(cases, synthesis.morphing.recipe, options.seed)
    bytes_per_voxel = max(morph.BYTES_PER_VOXEL, generate_images.BYTES_PER_VOXEL)
    return Plan(
        command=command,
        config={**synthesis.described(tasks), "scheme": sorted({case.scheme for case in cases})},
        inputs=inputs.files_of(cases),
        tasks=tasks,
        work=functools.partial(make_case, synthesis=synthesis, reader=reader, out=options.out),
        finish=functools.partial(_finish, tasks=tasks, reader=reader, synthesis=synthesis),
        memory_gib=outputs.memory_gib(cases, bytes_per_voxel),
        makes=f"{len(tasks)} labelled {synthesis.rendering.contrast} images with {morph.told(tasks)}, "
        f"rendered by {synthesis.rendering.found.identity}",
        device=synthesis.rendering.device,
        facts=folders_of(synthesis.rendering.found),
    )


def read_parent(case: Case, contrast: str) -> Brain:
    """Read a parent from its files."""
    return inputs.read_brain(case, inputs.one_scheme([case]), contrast)


def make_case(variant: Variant, *, synthesis: Synthesis, reader: Reader, out: Path) -> Result:
    """Make one case from its parent and write it, complete; what a check turns down goes to ``rejected/``."""
    parent = reader(variant.parent, synthesis.rendering.contrast)
    scheme = inputs.one_scheme([variant.parent])
    made = morph.make(variant, parent.labels, scheme, synthesis.morphing.recipe)
    labels = made.labels
    request = Request(
        labels=labels.array,
        scheme=scheme,
        spacing_mm=labels.spacing_mm,
        parent_image=generate_images.scaled_parent(parent.image, parent.labels),
        displacement=made.morphed.displacement,
    )
    image_seed = case_seed(synthesis.run_seed, variant.case, "image")
    image = labels.with_array(generate_images.image_of(request, synthesis.rendering, image_seed))
    findings = judge(synthesis.checking, labels, image, scheme, parent.labels.array)
    product = outputs.Product(
        row=morph.child(variant, made),
        scheme=scheme,
        original=parent.original,
        labels=labels,
        image=image,
        contrast=synthesis.rendering.contrast,
        sidecar=morph.provenance(variant, made),
        image_sidecar=generate_images.provenance(synthesis.rendering, scheme, image_seed),
    )
    why = verdict(findings)
    facts = {**morph.facts(made), **outputs.write_case(out, product, rejected=bool(why))}
    contrast = synthesis.rendering.contrast
    facts |= outputs.judged_facts([(contrast, finding) for finding in findings])
    return Result("rejected" if why else "done", why, facts)


def _finish(out: Path, record: RunRecord, *, tasks: Sequence[Variant], reader: Reader, synthesis: Synthesis) -> None:
    """Write the tables, and draw the first kept cases beside their parents."""
    morph.finish(out, record, tasks=tasks, morphing=synthesis.morphing)
    parents = {task.case: task.parent for task in tasks}
    draw_montage(out, outputs.kept(out, record, [*parents]), parents, reader, synthesis.rendering.contrast)


def draw_montage(out: Path, cases: Sequence[Case], parents: Mapping[str, Case], reader: Reader, contrast: str) -> None:
    """Draw the first cases, each beside its parent where it has one; no picture where there are no cases.

    Args:
        out: output folder.
        cases: those that were kept, with files.
        parents: by the name of the case made from them.
        reader: gives the voxels of a parent.
        contrast: of the images.
    """
    from pathosynth.stages.preview import montage, row_of  # brings matplotlib in

    rows = []
    for case in cases[:MONTAGE_ROWS]:
        made = read_parent(case, contrast)
        parent = reader(parents[case.case], contrast).labels if case.case in parents else None
        rows.append(row_of(case, made.labels, made.image, parent=parent, contrast=contrast))
    if rows:
        montage(out / MONTAGE, rows)
    else:
        (out / MONTAGE).unlink(missing_ok=True)
