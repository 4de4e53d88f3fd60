"""Small cerebellum by scaling it towards the brainstem: the recipe of Fetal&Neonatal-DDPM, as a baseline.

Facts from arXiv 2501.19338 and its published code: the cerebellum is scaled by 1/f, f ~ U(1, 2), about its contact
point with the brainstem (+3 voxels), and the freed space becomes external CSF. Where the facts are silent: the contact
point is the mean of the cerebellar voxels that touch the brainstem, "+3 voxels" is forwards (into the brainstem, so
that contact is kept), and the scaled cerebellum is pasted over what lies there, which takes a few percent of the
brainstem. Nothing moves in between, so there is no deformation. The three voxels make the severity depend, a little,
on the voxel size. Unlike the original it is seeded.
"""

from typing import Annotated

import numpy as np
import pydantic

from pathosynth.data.labels import LabelScheme
from pathosynth.data.volume import Spacing
from pathosynth.morphing import Morphed, edits
from pathosynth.morphing.plan import check_labels
from pathosynth.pathologies.hindbrain import hindbrain_severity
from pathosynth.pathologies.settings import edited
from pathosynth.runs.config import Config as BaseConfig

Divisor = Annotated[float, pydantic.Field(ge=1, le=4)]

REPAINTS = True
"""Labels are painted anew and nothing moves."""


class Config(BaseConfig):
    """Settings of the paper's cerebellar hypoplasia. Without `divisor` it is drawn at random."""

    divisor: Divisor | None = None
    """f: every length of the cerebellum is divided by this."""
    largest_divisor: Divisor = 2.0
    """A random f is uniform between 1 and this."""
    forward_voxels: Annotated[float, pydantic.Field(ge=-20, le=20)] = 3.0
    """How far in front of the contact point the fixed point of the scaling lies, in voxels."""


def morph(
    labels: np.ndarray, scheme: LabelScheme, spacing_mm: Spacing, config: Config, rng: np.random.Generator
) -> Morphed:
    """Shrink the cerebellum towards the brainstem.

    Args:
        labels: (I, J, K) unsigned integers in RAS orientation; not changed.
        scheme: its legend; needs ``cerebellum``, ``brainstem`` and ``external_csf``.
        spacing_mm: voxel edge lengths, used for the report only.
        config: see there.
        rng: the divisor where it is not given.

    Raises:
        InputError: a group is missing from the scheme or from the map.
        MorphError: nothing is left of the cerebellum.
    """
    check_labels(labels, scheme, spacing_mm)
    cerebellum, stem, _ = (
        edits.occupied(labels, scheme, group) for group in ("cerebellum", "brainstem", "external_csf")
    )
    divisor = draw_divisor(config, rng)
    filler = scheme.group("external_csf")[0]
    out = edits.shrink_to_contact(labels, cerebellum, stem, divisor, config.forward_voxels, filler)
    facts = {
        "pathology": "paper_cerebellar_hypoplasia",
        "drawn": {"divisor": divisor},
        "severity": severity(out, scheme, spacing_mm),
        "warnings": edits.lost_labels(labels, out, scheme),
    }
    return edited(labels, out, scheme, spacing_mm, config, facts)


severity = hindbrain_severity


def draw_divisor(config: Config, rng: np.random.Generator) -> float:
    """The given f, or f ~ U(1, `largest_divisor`)."""
    return config.divisor if config.divisor is not None else float(rng.uniform(1.0, config.largest_divisor))
