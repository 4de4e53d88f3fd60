"""A small cerebellum, hemispheres more than vermis, and a thin flat pons, in a posterior fossa of normal size."""

from typing import Annotated, Self

import numpy as np
import pydantic

from pathosynth.data.labels import LabelScheme
from pathosynth.data.norms import load_norm
from pathosynth.data.volume import Spacing
from pathosynth.morphing import Morphed, biometry, weights
from pathosynth.morphing.parts import present_ml, whole_part
from pathosynth.morphing.plan import Lengths, Plan, check_labels
from pathosynth.pathologies.hindbrain import CerebellumSize, cerebellum_part, cerebellum_target, hindbrain_severity
from pathosynth.pathologies.settings import Fold, Positive, ZScore, carry_out, exactly_one, needed_age, with_targets

_CEREBELLUM, _PONS = "cerebellum", "pons"


class Config(CerebellumSize):
    """Settings of pontocerebellar hypoplasia. Give one target of the cerebellum and one of the pons."""

    pons_ap_mm: Positive | None = None
    """Wanted antero-posterior thickness of the pons in mm."""
    pons_ap_fold: Fold | None = None
    """Wanted thickness as a multiple of the present one."""
    pons_ap_z: ZScore | None = None
    """Wanted z-score of the thickness for the age."""
    vermis: Annotated[float, pydantic.Field(gt=0, le=1)] = 0.5
    """How strongly the vermis shrinks next to the hemispheres (1)."""

    @pydantic.model_validator(mode="after")
    def _one_pons_target(self) -> Self:
        exactly_one(self, ("pons_ap_mm", "pons_ap_fold", "pons_ap_z"))
        if self.pattern != "global":
            raise ValueError(f"pattern='{self.pattern}' contradicts pontocerebellar hypoplasia, which spares no side")
        return self


def morph(
    labels: np.ndarray, scheme: LabelScheme, spacing_mm: Spacing, config: Config, rng: np.random.Generator
) -> Morphed:
    """Shrink the cerebellum and thin the pons.

    Args:
        labels: (I, J, K) unsigned integers in RAS orientation; not changed.
        scheme: its legend; needs the groups ``cerebellum`` and ``brainstem``.
        spacing_mm: voxel edge lengths.
        config: severity of both.
        rng: not used; nothing is random.

    Raises:
        InputError: the map cannot be used, or a z-score lacks an age.
        MorphError: the request cannot be met.
    """
    check_labels(labels, scheme, spacing_mm)
    name, wanted = cerebellum_target(config, labels, scheme, spacing_mm)
    present_ml(labels, scheme, spacing_mm, "brainstem")
    asked = {name: wanted, "pons_ap_mm": _pons_mm(config, labels, scheme, spacing_mm)}
    wanted_mm = {_PONS: asked["pons_ap_mm"]} | ({_CEREBELLUM: wanted} if name.endswith("_mm") else {})

    def measured(now: np.ndarray) -> dict[str, float]:
        found = {_PONS: biometry.pons_ap_mm(now, scheme, spacing_mm)}
        if _CEREBELLUM in wanted_mm:
            found[_CEREBELLUM] = biometry.transcerebellar_diameter_mm(now, scheme, spacing_mm)
        return found

    pons = weights.pons_weight(scheme.mask(labels, "brainstem"), spacing_mm)
    plan = Plan(
        {
            _CEREBELLUM: cerebellum_part(name, wanted, config, labels, scheme, spacing_mm, config.vermis),
            _PONS: whole_part(scheme, "brainstem", None, pons),
        },
        Lengths("extent of", wanted_mm, measured),
        skull_share=config.skull_share,
        sulcal_flattening=config.sulcal_flattening,
        ell_mm=config.ell_mm,
    )
    morphed = carry_out("pontocerebellar_hypoplasia", labels, scheme, spacing_mm, plan)
    return with_targets(morphed, config, asked, severity(morphed.labels, scheme, spacing_mm))


severity = hindbrain_severity


def _pons_mm(config: Config, labels: np.ndarray, scheme: LabelScheme, spacing_mm: Spacing) -> float:
    """Wanted thickness of the pons."""
    if config.pons_ap_mm is not None:
        return config.pons_ap_mm
    if config.pons_ap_fold is not None:
        return config.pons_ap_fold * biometry.pons_ap_mm(labels, scheme, spacing_mm)
    return load_norm("pons_ap_mm").value(config.pons_ap_z or 0.0, needed_age(config))
