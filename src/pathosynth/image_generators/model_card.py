"""The card of an image model: what it is, in the layout model hubs read (YAML front matter, then Markdown)."""

from collections.abc import Mapping, Sequence
from typing import Any

from pathosynth.data.labels import LabelScheme
from pathosynth.data.volume import Spacing
from pathosynth.image_generators.model_grid import INTENSITY_RULE

TEMPLATE = """---
library_name: pathosynth
license: other
tags: [medical-imaging, brain-mri, label-to-image, {tag}, 3d]
---
# {contrasts} images from labels of scheme `{scheme}`

A {kind} model of pathosynth that renders a brain volume from a label map.

| | |
|---|---|
| input | label map, scheme `{scheme}`: {labels} |
| output | float32 image on the same grid; {intensity_rule} |
| voxel size trained at | {spacing} mm; other sizes are rendered at this one and brought back |
| network | {network} |
| sampling | {sampling} |
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
    kind: str,
    contrasts: Sequence[str],
    scheme: LabelScheme,
    spacing_mm: Spacing,
    facts: Mapping[str, Any],
    *,
    network: str,
    sampling: str,
) -> str:
    """Text of the model card.

    Args:
        kind: of the model, in words: "pixel diffusion".
        contrasts: what it renders.
        scheme: legend of the labels.
        spacing_mm: voxel edge lengths trained at.
        facts: `steps`, `seed`, `cases` and `subjects` of the training.
        network: preset, objective and size, in words.
        sampling: method and number of steps, in words.
    """
    return TEMPLATE.format(
        kind=kind,
        tag=kind.lower().replace(" ", "-"),
        contrasts=" and ".join(contrasts),
        scheme=scheme.name,
        labels=", ".join(f"{label.value} {label.name}" for label in scheme.labels),
        intensity_rule=INTENSITY_RULE,
        spacing=" x ".join(f"{edge:g}" for edge in spacing_mm),
        network=network,
        sampling=sampling,
        steps=facts["steps"],
        seed=facts["seed"],
        case_count=len(facts["cases"]),
        subject_count=len(facts["subjects"]),
        subjects=", ".join(facts["subjects"]),
    )
