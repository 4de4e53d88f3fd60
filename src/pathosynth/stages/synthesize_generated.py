"""Generate labels, render and check in one go: `synthesize` without any input (docs/decisions/0001)."""

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pathosynth.data.labels import load_scheme
from pathosynth.data.requests import Request
from pathosynth.runs.record import RunRecord
from pathosynth.runs.seeds import case_seed
from pathosynth.stages import generate_images, generate_labels, outputs
from pathosynth.stages.batch import Options, Plan, Result
from pathosynth.stages.generate_images import Rendering
from pathosynth.stages.judging import Checking, judge, verdict
from pathosynth.stages.models import folders_of
from pathosynth.stages.orders import Ordered, Ordering
from pathosynth.stages.synthesize import draw_montage, read_parent


@dataclass(frozen=True)
class Generation:
    """How every case of a run is made."""

    ordering: Ordering
    rendering: Rendering
    checking: Checking

    @classmethod
    def of(cls, ordering: Ordering, rendering: Rendering) -> "Generation":
        """All checks, with what the models know of their training: intensities, and cases that may have been copied."""
        made, drawn = (found.training_cases or {} for found in (ordering.labelling.found, rendering.found))
        known = {kind: cases for kind, cases in drawn.items() if "image" in kind}
        known |= {kind: cases for kind, cases in made.items() if "labels" in kind}
        return cls(ordering, rendering, Checking.of(found=rendering.found, training_cases=known or None))

    def described(self) -> dict[str, Any]:
        """What goes into the run record."""
        return {**self.ordering.described(), **self.rendering.described(), "checks": list(self.checking.names)}


def plan(generation: Generation, options: Options) -> Plan:
    """Every ordered label map, with its image, becomes one task.

    Raises:
        ConfigError: none of the requests may be met.
    """
    tasks, rendering = generation.ordering.orders(options.seed), generation.rendering
    return Plan(
        command="synthesize",
        config=generation.described(),
        inputs=[],
        tasks=tasks,
        work=functools.partial(make_case, generation=generation, out=options.out),
        finish=functools.partial(_finish, tasks=tasks, generation=generation),
        memory_gib=memory_gib(generation),
        makes=f"{generate_labels.told(tasks, generation.ordering)}, and a {rendering.contrast} image of each "
        f"rendered by {rendering.found.identity}",
        device=rendering.device if rendering.device != "cpu" else generation.ordering.labelling.device,
        facts=folders_of(rendering.found, generation.ordering.labelling.found),
    )


def memory_gib(generation: Generation) -> float:
    """Estimated peak of one worker: labels and image are made one after the other."""
    image = outputs.BASE_GIB + generation.ordering.labelling.voxels * generate_images.BYTES_PER_VOXEL / 2**30
    return max(generate_labels.memory_gib(generation.ordering), image)


def make_case(task: Ordered, *, generation: Generation, out: Path) -> Result:
    """Make labels and image of one case and write it, complete; what a check turns down goes to ``rejected/``.

    Labels that are turned down are not rendered.
    """
    labelling, rendering = generation.ordering.labelling, generation.rendering
    made, scheme = generate_labels.make(task, generation.ordering), load_scheme(labelling.scheme)
    if made.why:
        return generate_labels.write(task, made, labelling, out)
    labels, contrast = made.generated.labels, rendering.contrast
    image_seed = case_seed(task.run_seed, task.case, "image")
    request = Request(labels.array, scheme, labels.spacing_mm)
    image = labels.with_array(generate_images.image_of(request, rendering, image_seed))
    findings = judge(generation.checking, labels, image, scheme)
    product = outputs.Product(
        row=generate_labels.child(task, made, labelling),
        scheme=scheme,
        original=labels,
        labels=labels,
        image=image,
        contrast=contrast,
        sidecar=generate_labels.provenance(made, labelling),
        image_sidecar=generate_images.provenance(rendering, scheme, image_seed),
    )
    why = verdict(findings)
    facts = {**generate_labels.facts(made, labelling), **outputs.write_case(out, product, rejected=bool(why))}
    facts |= outputs.judged_facts([(contrast, finding) for finding in findings])
    return Result("rejected" if why else "done", why or generate_labels.notes(made, labelling), facts)


def _finish(out: Path, record: RunRecord, *, tasks: Sequence[Ordered], generation: Generation) -> None:
    """Write the tables, and draw the first kept cases."""
    generate_labels.finish(out, record, tasks=tasks, ordering=generation.ordering)
    kept = outputs.kept(out, record, [task.case for task in tasks])
    draw_montage(out, kept, {}, read_parent, generation.rendering.contrast)
