"""The model card of a label generator, in the layout model hubs read (YAML front matter, then Markdown)."""

from collections.abc import Mapping
from typing import Any

from pathosynth.data.labels import LabelScheme
from pathosynth.data.measurements import unit
from pathosynth.label_generators.latent_diffusion.config import Config

TEMPLATE = """---
library_name: pathosynth
license: other
tags: [medical-imaging, brain-mri, label-generation, latent-diffusion, 3d]
---
# Brain label maps of scheme `{scheme}` with chosen measurements

A latent diffusion model of pathosynth that makes label maps of brains whose measurements are asked for.

| | |
|---|---|
| output | label map, scheme `{scheme}`: {labels} |
| grid | {shape} voxels of {spacing_mm} mm |
| preset | `{preset}`, predicts `{objective}`, {parameters:.1f} M parameters |
| sampling | {method}, {sampling_steps} steps, guidance {guidance:g} |
| training | {steps} steps, seed {seed}, {case_count} maps of {subject_count} subjects |

Conditions, any subset, and the range each was trained on:

| measurement | from | to | unit |
|---|---|---|---|
{conditions}

    pathosynth generate-labels -i THIS_FOLDER -o OUT --n 10 --set {example}

## Training data

Subjects: {subjects}

The licence of these weights is bounded by the licence of that data. Name both here before passing the model on.

## Limits

For research; not a medical device. It knows the anatomy, ages and protocol of the subjects above and nothing else. With
few subjects its maps resemble them closely: do not treat them as anonymous, and keep these subjects out of any test of
what is trained on its maps. Requests outside the ranges above are extrapolated, and flagged.
"""


def model_card(
    config: Config,
    scheme: LabelScheme,
    conditions: Mapping[str, Mapping[str, float]],
    facts: Mapping[str, Any],
    parameters: int,
) -> str:
    """Text of the model card.

    Args:
        config: settings of the run.
        scheme: legend of the labels.
        conditions: name to `low` and `high`.
        facts: `steps`, `seed`, `cases` and `subjects` of the training.
        parameters: number of trained numbers.
    """
    name, ends = next(iter(conditions.items()))
    return TEMPLATE.format(
        scheme=scheme.name,
        labels=", ".join(f"{label.value} {label.name}" for label in scheme.labels),
        shape=" x ".join(map(str, config.grid.shape)),
        spacing_mm=" x ".join(f"{edge:g}" for edge in config.grid.spacing_mm),
        preset=config.preset,
        objective=config.diffusion.objective,
        parameters=parameters / 1e6,
        method=config.sampling.method,
        sampling_steps=config.sampling.steps,
        guidance=config.sampling.guidance,
        steps=facts["steps"],
        seed=facts["seed"],
        case_count=len(facts["cases"]),
        subject_count=len(facts["subjects"]),
        conditions="\n".join(
            f"| {one} | {of['low']:.4g} | {of['high']:.4g} | {unit(one)} |" for one, of in conditions.items()
        ),
        example=f"{name}={(ends['low'] + ends['high']) / 2:.3g}",
        subjects=", ".join(facts["subjects"]),
    )
