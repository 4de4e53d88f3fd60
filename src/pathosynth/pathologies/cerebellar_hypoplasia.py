"""A small but complete cerebellum: global, vermian or of one hemisphere; the space it leaves fills with external CSF.

The brainstem is kept and anchored, so that the cerebellum shrinks towards it and stays attached.
"""

import numpy as np

from pathosynth.data.labels import LabelScheme
from pathosynth.data.volume import Spacing
from pathosynth.morphing import Morphed, biometry
from pathosynth.morphing.plan import Lengths, Plan, check_labels
from pathosynth.pathologies.hindbrain import (
    ANCHORED,
    CerebellumSize,
    cerebellum_part,
    cerebellum_target,
    hindbrain_severity,
)
from pathosynth.pathologies.settings import carry_out, with_targets

_PART = "cerebellum"


class Config(CerebellumSize):
    """Settings of cerebellar hypoplasia. Give exactly one target."""


def morph(
    labels: np.ndarray, scheme: LabelScheme, spacing_mm: Spacing, config: Config, rng: np.random.Generator
) -> Morphed:
    """Shrink the cerebellum.

    Args:
        labels: (I, J, K) unsigned integers in RAS orientation; not changed.
        scheme: its legend; needs the groups ``cerebellum`` and ``brainstem``.
        spacing_mm: voxel edge lengths.
        config: severity and pattern.
        rng: not used; nothing is random.

    Raises:
        InputError: the map cannot be used, or a z-score lacks an age.
        MorphError: the request cannot be met.
    """
    check_labels(labels, scheme, spacing_mm)
    name, wanted = cerebellum_target(config, labels, scheme, spacing_mm)
    lengths = None
    if name.endswith("_mm"):
        lengths = Lengths(
            "transcerebellar diameter",
            {_PART: wanted},
            lambda now: {_PART: biometry.transcerebellar_diameter_mm(now, scheme, spacing_mm)},
        )
    plan = Plan(
        {_PART: cerebellum_part(name, wanted, config, labels, scheme, spacing_mm)},
        lengths,
        skull_share=config.skull_share,
        sulcal_flattening=config.sulcal_flattening,
        ell_mm=config.ell_mm,
        mobility=dict.fromkeys(scheme.group("brainstem"), ANCHORED),
    )
    morphed = carry_out("cerebellar_hypoplasia", labels, scheme, spacing_mm, plan)
    return with_targets(morphed, config, {name: wanted}, severity(morphed.labels, scheme, spacing_mm))


severity = hindbrain_severity
