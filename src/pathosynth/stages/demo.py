"""`synthesize` on procedural brain phantoms: needs nothing but the package."""

from pathosynth.data.cases import Case
from pathosynth.data.labels import load_scheme
from pathosynth.data.phantom import brain_phantom
from pathosynth.runs.seeds import case_seed
from pathosynth.stages import synthesize
from pathosynth.stages.batch import Options, Plan
from pathosynth.stages.generate_images import Rendering
from pathosynth.stages.inputs import Brain
from pathosynth.stages.morph import Morphing

SCHEME = "kcl8"
PATHOLOGY = "ventriculomegaly"
SETTINGS = ("atrial_width_mm=15",)
"""Moderate to severe: 10 mm is the upper limit of normal, 15 mm the start of severe ventriculomegaly."""

SHAPE, SPACING_MM = (116, 136, 116), 1.0
"""Fine enough for widths near 15 mm to exist on the grid: they come 0.13 mm apart, at 1.2 mm up to 0.39."""


def plan(phantoms: int, rendering: Rendering, options: Options) -> Plan:
    """As many phantoms, each made sick, rendered and checked."""
    cases = [phantom_case(number, options.seed) for number in range(1, phantoms + 1)]
    synthesis = synthesize.Synthesis.of(Morphing.of([PATHOLOGY], SETTINGS), rendering, options.seed)
    return synthesize.plan_with(read_phantom, cases, synthesis, options, command="demo")


def phantom_case(number: int, run_seed: int) -> Case:
    """Row of a phantom; its seed says which brain it is."""
    name = f"phantom{number:02d}"
    return Case(case=name, subject=name, scheme=SCHEME, seed=case_seed(run_seed, name, "phantom"))


def read_phantom(case: Case, contrast: str) -> Brain:
    """Draw the phantom of a row; it has no image, whatever the contrast."""
    load_scheme(case.scheme)
    labels = brain_phantom(case.seed or 0, shape=SHAPE, spacing_mm=SPACING_MM)
    return Brain(labels, None, labels)
