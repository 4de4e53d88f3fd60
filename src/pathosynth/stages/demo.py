"""`synthesize` from nothing: generated label maps, and procedural brain phantoms made sick. Needs only the package."""

import functools
from dataclasses import dataclass, replace
from pathlib import Path

from pathosynth.data.cases import Case
from pathosynth.data.labels import load_scheme
from pathosynth.data.phantom import brain_phantom
from pathosynth.runs.record import RunRecord
from pathosynth.runs.seeds import case_seed
from pathosynth.stages import generate_labels, morph_table, outputs, synthesize, synthesize_generated
from pathosynth.stages.batch import Options, Plan, Result
from pathosynth.stages.cohort import Variant
from pathosynth.stages.generate_images import Rendering
from pathosynth.stages.inputs import Brain
from pathosynth.stages.label_models import Labelling
from pathosynth.stages.models import shipped_models
from pathosynth.stages.morph import Morphing
from pathosynth.stages.orders import Ordered, Ordering
from pathosynth.stages.synthesize import Synthesis
from pathosynth.stages.synthesize_generated import Generation

LABEL_MODEL = "fetal-labels"
VENTRICLES_ML = (12.0, 22.0, 32.0)
"""Of the generated heads: wide, wider, widest; larger ones do not fit every head of that age."""
AGE_WEEKS = 32.0
MAX_DRAWS = 6

SCHEME = "kcl8"
PATHOLOGY = "ventriculomegaly"
SETTINGS = ("atrial_width_mm=15",)
"""Moderate to severe: 10 mm is the upper limit of normal, 15 mm the start of severe ventriculomegaly."""

SHAPE, SPACING_MM = (116, 136, 116), 1.0
"""Fine enough for widths near 15 mm to exist on the grid: they come 0.13 mm apart, at 1.2 mm up to 0.39."""


@dataclass(frozen=True)
class Demo:
    """Both halves of the demonstration.

    Attributes:
        generation: of label maps from nothing.
        generated: what is asked of it.
        synthesis: of sick phantoms.
        morphed: the sick phantoms to be made.
    """

    generation: Generation
    generated: tuple[Ordered, ...]
    synthesis: Synthesis
    morphed: tuple[Variant, ...]

    @property
    def tasks(self) -> list[Ordered | Variant]:
        """Generated heads, then phantoms."""
        return [*self.generated, *self.morphed]


def plan(phantoms: int, rendering: Rendering, options: Options, label_model: str = "") -> Plan:
    """Heads with three chosen ventricle volumes, and as many phantoms made sick; all rendered and checked.

    Args:
        phantoms: number of phantoms.
        rendering: image model.
        options: how to run.
        label_model: name or folder; empty for the shipped one, or for phantoms alone where none ships.

    Raises:
        ModelError: there is no such label model.
    """
    cases = [phantom_case(number, options.seed) for number in range(1, phantoms + 1)]
    synthesis = synthesize.Synthesis.of(Morphing.of([PATHOLOGY], SETTINGS), rendering, options.seed)
    of_phantoms = synthesize.plan_with(read_phantom, cases, synthesis, options, command="demo")
    variants = tuple(task for task in of_phantoms.tasks if isinstance(task, Variant))
    model = label_model or (LABEL_MODEL if LABEL_MODEL in shipped_models() else "")
    if not model:
        return of_phantoms
    generation, generated = _generated(model, rendering, options)
    demo = Demo(generation, generated, synthesis, variants)
    return replace(
        of_phantoms,
        config={"generated": generation.described(), "phantoms": of_phantoms.config},
        tasks=demo.tasks,
        work=functools.partial(make_case, demo=demo, out=options.out),
        finish=functools.partial(_finish, demo=demo),
        memory_gib=max(of_phantoms.memory_gib, synthesize_generated.memory_gib(generation)),
        makes=f"{generate_labels.told(generated, generation.ordering)}; {of_phantoms.makes}",
    )


def make_case(task: Ordered | Variant, *, demo: Demo, out: Path) -> Result:
    """Make one head, from nothing or from its phantom."""
    if isinstance(task, Variant):
        return synthesize.make_case(task, synthesis=demo.synthesis, reader=read_phantom, out=out)
    return synthesize_generated.make_case(task, generation=demo.generation, out=out)


def phantom_case(number: int, run_seed: int) -> Case:
    """Row of a phantom; its seed says which brain it is."""
    name = f"phantom{number:02d}"
    return Case(case=name, subject=name, scheme=SCHEME, seed=case_seed(run_seed, name, "phantom"))


def read_phantom(case: Case, contrast: str) -> Brain:
    """Draw the phantom of a row; it has no image, whatever the contrast."""
    load_scheme(case.scheme)
    labels = brain_phantom(case.seed or 0, shape=SHAPE, spacing_mm=SPACING_MM)
    return Brain(labels, None, labels)


def _generated(model: str, rendering: Rendering, options: Options) -> tuple[Generation, tuple[Ordered, ...]]:
    """One order for each volume, in ascending order."""
    volumes = ":".join(f"{volume:g}" for volume in VENTRICLES_ML)
    labelling = Labelling.of(model, {}, options.device)
    ordering = Ordering.of(labelling, [f"ventricle_ml=choice:{volumes}"], len(VENTRICLES_ML), MAX_DRAWS)
    orders = zip(ordering.orders(options.seed), VENTRICLES_ML, strict=True)
    age = {"age_weeks": AGE_WEEKS} if "age_weeks" in labelling.known else {}
    return Generation.of(ordering, rendering), tuple(
        replace(order, asked={"ventricle_ml": volume, **age}) for order, volume in orders
    )


def _finish(out: Path, record: RunRecord, *, demo: Demo) -> None:
    """Write the tables of both halves, and draw the first heads."""
    order = [task.case for task in demo.tasks]
    outputs.finish(out, record, order=order)
    morph_table.write(out, record, demo.morphed)
    generate_labels.write_table(out, record, demo.generated, demo.generation.ordering)
    parents = {task.case: task.parent for task in demo.morphed}
    contrast = demo.synthesis.rendering.contrast
    synthesize.draw_montage(out, outputs.kept(out, record, order), parents, read_phantom, contrast)
