"""The model card: what a trained model is, in the layout model hubs read (YAML front matter, then Markdown)."""

from collections.abc import Mapping
from typing import Any

from pathosynth.data.labels import LabelScheme
from pathosynth.image_generators.pixel_diffusion.config import Config

TEMPLATE = """---
library_name: pathosynth
license: other
tags: [medical-imaging, brain-mri, label-to-image, diffusion, 3d]
---
# {contrast} images from labels of scheme `{scheme}`

A pixel diffusion model of pathosynth that renders a {contrast} brain volume from a label map.

| | |
|---|---|
| input | label map, scheme `{scheme}`: {labels} |
| output | float32 image on the same grid; {intensity_rule} |
| voxel size trained at | {spacing_mm} mm isotropic; other sizes are rendered at this one and brought back |
| preset | `{preset}`, predicts `{objective}`, {parameters:.1f} M parameters |
| sampling | {method}, {sampling_steps} steps |
| training | {steps} steps, seed {seed}, {case_count} cases of {subject_count} subjects |

    pathosynth generate-images -i LABELS -o OUT --scheme {scheme} --model THIS_FOLDER

## Training data

Subjects: {subjects}

The licence of these weights is bounded by the licence of that data. Name both here before passing the model on.

## Limits

For research; not a medical device. It knows the anatomy, contrast, voxel size and ages of the subjects above and
nothing else; structures without a label of their own (vessels, lesions) are invented. With few subjects the images
resemble them closely: do not treat them as anonymous. Whether a segmenter gains from these images has to be measured
on real patients.
"""


def model_card(
    config: Config,
    scheme: LabelScheme,
    spacing_mm: float,
    facts: Mapping[str, Any],
    intensity_rule: str,
    parameters: int,
) -> str:
    """Text of the model card.

    Args:
        config: settings of the run.
        scheme: legend of the labels.
        spacing_mm: voxel size trained at.
        facts: `steps`, `seed`, `cases` and `subjects` of the training.
        intensity_rule: what 0 and 1 mean in an image.
        parameters: number of trained numbers.
    """
    return TEMPLATE.format(
        contrast=config.contrast,
        scheme=scheme.name,
        labels=", ".join(f"{label.value} {label.name}" for label in scheme.labels),
        intensity_rule=intensity_rule,
        spacing_mm=f"{spacing_mm:g}",
        preset=config.preset,
        objective=config.objective,
        parameters=parameters / 1e6,
        method=config.sampling.method,
        sampling_steps=config.sampling.steps,
        steps=facts["steps"],
        seed=facts["seed"],
        case_count=len(facts["cases"]),
        subject_count=len(facts["subjects"]),
        subjects=", ".join(facts["subjects"]),
    )
