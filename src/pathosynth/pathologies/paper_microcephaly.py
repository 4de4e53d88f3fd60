"""Small brain in a head of the old size, by scaling all labels: the recipe of Fetal&Neonatal-DDPM, as a baseline.

Facts from arXiv 2501.19338 and its published code: all labels are scaled by 1/f, f ~ U(1, 1.1), about the centroid,
and the gap inside the original outline is filled with external CSF. Where the facts are silent: the centroid and the
outline are those of everything inside the skull (group ``intracranial``), external CSF included. The ventricles shrink
with the rest; the paper always adds its ventriculomegaly first, which is left to whoever combines pathologies. There
is no deformation. This recipe knows no lengths, so it does not depend on the voxel size. Unlike the original it is
seeded.
"""

from typing import Annotated

import numpy as np
import pydantic

from pathosynth.data.labels import LabelScheme
from pathosynth.data.volume import Spacing
from pathosynth.morphing import Morphed, edits, measure
from pathosynth.morphing.plan import check_labels
from pathosynth.pathologies import microcephaly
from pathosynth.pathologies.settings import edited
from pathosynth.runs.config import Config as BaseConfig

Divisor = Annotated[float, pydantic.Field(ge=1, le=2)]

REPAINTS = True
"""Labels are painted anew and nothing moves."""


class Config(BaseConfig):
    """Settings of the paper's microcephaly. Without `divisor` it is drawn at random."""

    divisor: Divisor | None = None
    """f: every length of the brain is divided by this."""
    largest_divisor: Divisor = 1.1
    """A random f is uniform between 1 and this."""


def morph(
    labels: np.ndarray, scheme: LabelScheme, spacing_mm: Spacing, config: Config, rng: np.random.Generator
) -> Morphed:
    """Shrink the brain inside an unchanged skull.

    Args:
        labels: (I, J, K) unsigned integers in RAS orientation; not changed.
        scheme: its legend; needs ``intracranial``, ``tissue`` and ``external_csf``.
        spacing_mm: voxel edge lengths, used for the report only.
        config: see there.
        rng: the divisor where it is not given.

    Raises:
        InputError: a group is missing from the scheme or from the map.
    """
    check_labels(labels, scheme, spacing_mm)
    inside, _, _ = (edits.occupied(labels, scheme, group) for group in ("intracranial", "tissue", "external_csf"))
    divisor = draw_divisor(config, rng)
    box = measure.bounding_box(inside)
    outline = inside[box]
    head = np.where(outline, labels[box], 0)
    scaled = edits.resampled(head, divisor * np.eye(3), np.argwhere(outline).mean(axis=0))
    out = labels.copy()
    out[box][outline] = np.where(scaled > 0, scaled, scheme.group("external_csf")[0])[outline]
    facts = {
        "pathology": "paper_microcephaly",
        "drawn": {"divisor": divisor},
        "severity": severity(out, scheme, spacing_mm),
        "warnings": edits.lost_labels(labels, out, scheme),
    }
    return edited(labels, out, scheme, spacing_mm, config, facts)


severity = microcephaly.severity


def draw_divisor(config: Config, rng: np.random.Generator) -> float:
    """The given f, or f ~ U(1, `largest_divisor`)."""
    return config.divisor if config.divisor is not None else float(rng.uniform(1.0, config.largest_divisor))
