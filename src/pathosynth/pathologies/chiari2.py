"""Chiari II of open spina bifida: effaced CSF, small posterior fossa, hindbrain pressed down, ventricles by age.

Without settings the volumes follow the gestational age and whether the spine was repaired before birth. They are ratios
to a normal brain of the same age and protocol, from an atlas of patients before repair (21 to 25 weeks) and from growth
rates after it (Mufti et al. 2024, PMC10947002); `typical` lists them. The skull follows what brain and CSF lose, and
presses the hindbrain through the foramen magnum.
"""

from typing import Annotated, Literal, Self

import numpy as np
import pydantic
import scipy.ndimage as ndi

from pathosynth.data.labels import LabelScheme
from pathosynth.data.volume import Spacing
from pathosynth.morphing import Morphed, biometry, measure, weights
from pathosynth.morphing.classes import Part
from pathosynth.morphing.measure import SIDES
from pathosynth.morphing.parts import present_ml, side_parts, sides_ml, whole_part
from pathosynth.morphing.plan import Lengths, Plan, check_labels
from pathosynth.pathologies.hindbrain import Age, hindbrain_severity
from pathosynth.pathologies.settings import (
    Fold,
    Positive,
    carry_out,
    needed_age,
    tissue_folds,
    with_targets,
)
from pathosynth.runs.config import Config as BaseConfig
from pathosynth.runs.errors import InputError

HINDBRAIN_MM = 5.0
"""CSF this near to cerebellum or brainstem counts as around the hindbrain."""

_AGES_WEEKS = (18.0, 40.0)
_REPAIR_WEEKS = 25.0  # typical age at repair; the latest of the trial was 25 weeks 6 days
_GROWTH_ML_PER_WEEK = 2.50 - 0.71  # ventricles after repair, patients less controls (medians, PMC10947002)
_BEFORE = {  # weeks, and ratio to a normal brain: atlas of unrepaired patients
    "ventricles": ((21.0, 25.0), (2.2, 4.0)),
    "cerebellum": ((23.0, 24.0), (0.90, 0.50)),
    "brainstem": ((21.0,), (0.66,)),
    "external_csf": ((21.0,), (0.08,)),
}
_AFTER = {  # CSF comes back with time; cerebellum and brainstem: middle of what is seen at any age
    "cerebellum": ((25.0,), (0.64,)),
    "brainstem": ((25.0,), (0.73,)),
    "external_csf": ((25.0, 33.0), (0.4, 0.9)),
}
_HERNIATION_BEFORE, _HERNIATION_AFTER = 1.5, 0.5  # four of five resolve after repair (PMC7960395)
_MIDLINE_MM = 3.0  # half-width of the zone at the midline where the ventricles hardly grow
_VENTRICLES_AT_REPAIR = 3.1  # middle of 2.2 and 4.0


class Config(BaseConfig):
    """Settings of Chiari II. All but the age have typical values for it."""

    age_weeks: Age | None = None
    """Gestational age; taken from the case table where it has one."""
    repair: Literal["none", "fetal"] = "none"
    """Whether the spine was closed before birth (at about 25 weeks), after which the CSF comes back."""
    strength: Annotated[float, pydantic.Field(gt=0, le=1.5)] = 1.0
    """How far it goes from normal (0) to typical (1): volumes in the logarithm, herniation in proportion."""
    ventricle_fold: Positive | None = None
    """Wanted volume of the ventricles as a multiple, instead of the typical one."""
    ventricle_ml: Positive | None = None
    """Wanted volume of the ventricles in mL."""
    atrial_width_mm: Positive | None = None
    """Wanted atrial width of both sides in mm."""
    cerebellum: Fold | None = None
    """Wanted volume of the cerebellum as a multiple."""
    brainstem: Fold | None = None
    """Wanted volume of the brainstem as a multiple."""
    external_csf: Fold | None = None
    """Wanted volume of all external CSF as a multiple."""
    hindbrain_csf: Fold | None = None
    """Wanted CSF around the hindbrain as a multiple; half of `external_csf` without it."""
    white_matter: Fold = 1.0
    """Wanted white matter volume as a multiple."""
    cortex: Fold = 1.0
    """Wanted cortex volume as a multiple."""
    deep_grey_matter: Fold = 1.0
    """Wanted deep grey matter volume as a multiple."""
    corpus_callosum: Fold = 1.0
    """Wanted corpus callosum volume as a multiple."""
    posterior_bias: Annotated[float, pydantic.Field(ge=-2.5, le=2.5)] = 1.0
    """Above 0 the occipital horns grow more: colpocephaly, usual in Chiari II."""
    herniation: Annotated[float, pydantic.Field(ge=0, le=2)] | None = None
    """Volume pressed through the foramen magnum, as a share of the hindbrain; typical is 1.5, after repair 0.5."""

    @pydantic.model_validator(mode="after")
    def _one_ventricle_target(self) -> Self:
        names = ("ventricle_fold", "ventricle_ml", "atrial_width_mm")
        given = [name for name in names if getattr(self, name) is not None]
        if len(given) > 1:
            raise ValueError(f"give at most one of {', '.join(names)}; found {' and '.join(given)}")
        return self


def morph(
    labels: np.ndarray, scheme: LabelScheme, spacing_mm: Spacing, config: Config, rng: np.random.Generator
) -> Morphed:
    """Turn a normal brain into one with Chiari II.

    Args:
        labels: (I, J, K) unsigned integers in RAS orientation; not changed.
        scheme: its legend; needs ``ventricles``, ``cerebellum``, ``brainstem`` and ``external_csf``.
        spacing_mm: voxel edge lengths.
        config: age, repair, and what should differ from the typical patient.
        rng: not used; nothing is random.

    Raises:
        InputError: the map cannot be used, or the age is missing or outside 18 to 40 weeks.
        MorphError: the request cannot be met.
    """
    check_labels(labels, scheme, spacing_mm)
    group = measure.lateral_ventricle_group(scheme)
    now = sides_ml(labels, scheme, spacing_mm, group)
    for name in ("cerebellum", "brainstem", "external_csf"):
        present_ml(labels, scheme, spacing_mm, name)
    before = severity(labels, scheme, spacing_mm)
    asked = _asked(config, now, before)
    plan = _plan(labels, scheme, spacing_mm, config, asked, before)
    morphed = carry_out("chiari2", labels, scheme, spacing_mm, plan)
    return with_targets(morphed, config, asked, severity(morphed.labels, scheme, spacing_mm))


def severity(labels: np.ndarray, scheme: LabelScheme, spacing_mm: Spacing) -> dict[str, float]:
    """Ventricles, hindbrain, external CSF in all and around the hindbrain (mL), descent and head size (mm)."""
    voxel_ml = float(np.prod(spacing_mm)) / 1000.0
    outer = scheme.mask(labels, "external_csf")
    found = measure.ventricle_severity(labels, scheme, spacing_mm) | hindbrain_severity(labels, scheme, spacing_mm)
    for side, mask in measure.side_masks(labels, scheme, measure.lateral_ventricle_group(scheme)).items():
        found[f"ventricle_{side}_ml"] = float(mask.sum()) * voxel_ml
    found["external_csf_ml"] = float(outer.sum()) * voxel_ml
    found["hindbrain_csf_ml"] = float((outer & _near_hindbrain(labels, scheme, spacing_mm)).sum()) * voxel_ml
    found["hindbrain_descent_mm"] = biometry.hindbrain_descent_mm(labels, scheme, spacing_mm)
    found["head_circumference_mm"] = biometry.head_size_mm(labels, scheme, spacing_mm).head_circumference_mm
    return found


def typical(age_weeks: float, repair: str, ventricles_ml: float) -> dict[str, float]:
    """Volumes of a typical patient as ratios to a normal brain of the same age and protocol.

    Before repair: ventricles 2.2 (21 weeks) to 4.0 (25), cerebellum 0.86 to 0.95 (to 23 weeks) and 0.47 to 0.52 (from
    24), brainstem 0.56 to 0.76, external CSF 0.04 to 0.12. After repair: ventricles grow by 1.8 mL per week more than
    normal ones, external CSF 0.4 to 0.9, cerebellum 0.33 to 0.95, brainstem 0.56 to 0.9. Middles of ranges where
    nothing says more; constant beyond the ages that were seen, but for the ventricles after repair. The ranges are
    those of the one public spina bifida atlas (doi 10.12688/openreseurope.13914): a comparison with its cases is not
    independent.

    Args:
        age_weeks: gestational age.
        repair: "none" or "fetal".
        ventricles_ml: volume of the normal brain's ventricles.

    Raises:
        InputError: the age is outside 18 to 40 weeks.
    """
    low, high = _AGES_WEEKS
    if not low <= age_weeks <= high:
        raise InputError(
            f"age_weeks={age_weeks:g}: typical Chiari II volumes are known for a fetus of {low:g} to {high:g} weeks. "
            "Set every volume by pathology 'profile' instead."
        )
    ratios = {name: float(np.interp(age_weeks, *knots)) for name, knots in _BEFORE.items()}
    if _repaired(age_weeks, repair):
        ratios |= {name: float(np.interp(age_weeks, *knots)) for name, knots in _AFTER.items()}
        gain = _GROWTH_ML_PER_WEEK * (age_weeks - _REPAIR_WEEKS)
        ratios["ventricles"] = _VENTRICLES_AT_REPAIR + gain / ventricles_ml
    return ratios


def _repaired(age_weeks: float, repair: str) -> bool:
    """Whether the spine is closed at this age."""
    return repair == "fetal" and age_weeks >= _REPAIR_WEEKS


def _herniation(config: Config) -> float:
    """Share of the hindbrain that is pressed through the foramen magnum."""
    if config.herniation is not None:
        return config.herniation
    after = _repaired(needed_age(config), config.repair)
    return config.strength * (_HERNIATION_AFTER if after else _HERNIATION_BEFORE)


def _asked(config: Config, now_ml: dict[str, float], before: dict[str, float]) -> dict[str, float]:
    """Wanted value of every measure."""
    total = sum(now_ml.values())
    ratios = {name: ratio**config.strength for name, ratio in typical(needed_age(config), config.repair, total).items()}
    outer = config.external_csf or ratios["external_csf"]
    near = _hindbrain_csf(config, outer)
    asked = {
        "cerebellum_ml": before["cerebellum_ml"] * (config.cerebellum or ratios["cerebellum"]),
        "brainstem_ml": before["brainstem_ml"] * (config.brainstem or ratios["brainstem"]),
        "external_csf_ml": before["external_csf_ml"] * outer,
    }
    if near * before["hindbrain_csf_ml"] >= asked["external_csf_ml"]:
        raise InputError(
            f"hindbrain_csf={near:g} asks for more CSF around the hindbrain than external_csf={outer:g} leaves in all. "
            "Lower the one or raise the other."
        )
    if config.atrial_width_mm is not None:
        return asked | {f"atrial_width_{side}_mm": config.atrial_width_mm for side in SIDES}
    fold = config.ventricle_fold or ratios["ventricles"]
    if config.ventricle_ml is not None:
        fold = config.ventricle_ml / total
    return asked | {f"ventricle_{side}_ml": ml * fold for side, ml in now_ml.items()}


def _plan(
    labels: np.ndarray,
    scheme: LabelScheme,
    spacing_mm: Spacing,
    config: Config,
    asked: dict[str, float],
    before: dict[str, float],
) -> Plan:
    """The wanted volumes as a plan for the engine."""
    group, widths = measure.lateral_ventricle_group(scheme), config.atrial_width_mm is not None
    ventricles, head = scheme.mask(labels, group), measure.inside_skull(labels, scheme) > 0
    growth = weights.posterior_weight(ventricles, config.posterior_bias)
    if group == "ventricles":
        growth = growth * weights.midline_weight(labels.shape, measure.midline_index(head), spacing_mm, _MIDLINE_MM)
    volumes = None if widths else {side: asked[f"ventricle_{side}_ml"] for side in SIDES}
    parts = side_parts(labels, scheme, group, volumes, growth)
    for name in ("cerebellum", "brainstem"):
        parts[name] = whole_part(scheme, name, asked[f"{name}_ml"])
    parts |= _csf_parts(labels, scheme, spacing_mm, config, asked, before)
    lengths = Lengths(
        "atrial width",
        {side: asked[f"atrial_width_{side}_mm"] for side in SIDES if widths},
        lambda now: measure.measured_widths_mm(now, scheme, spacing_mm),
    )
    stem, small = scheme.mask(labels, "brainstem"), scheme.mask(labels, "cerebellum")
    herniated_ml = _herniation(config) * (asked["cerebellum_ml"] + asked["brainstem_ml"])
    return Plan(
        parts,
        lengths if widths else None,
        tissue_folds(config, scheme, leave_out=("cerebellum", "brainstem")),
        skull_share=1.0,
        exchange_ml=weights.herniation_ml(head, small | stem, stem, spacing_mm, herniated_ml),
        effaced=scheme.group("external_csf"),
    )


def _hindbrain_csf(config: Config, outer: float) -> float:
    """Wanted CSF around the hindbrain as a multiple; half of that of all external CSF (`outer`) where none is set."""
    return config.hindbrain_csf or 0.5 * outer


def _csf_parts(
    labels: np.ndarray,
    scheme: LabelScheme,
    spacing_mm: Spacing,
    config: Config,
    asked: dict[str, float],
    before: dict[str, float],
) -> dict[str, Part]:
    """External CSF around the hindbrain and the rest of it."""
    values, total = scheme.group("external_csf"), asked["external_csf_ml"]
    near_ml = _hindbrain_csf(config, total / before["external_csf_ml"]) * before["hindbrain_csf_ml"]
    if before["hindbrain_csf_ml"] == 0:
        return {"external CSF": Part(values, total)}
    near = _near_hindbrain(labels, scheme, spacing_mm)
    return {
        "CSF around the hindbrain": Part(values, near_ml, near),
        "other external CSF": Part(values, total - near_ml),
    }


def _near_hindbrain(labels: np.ndarray, scheme: LabelScheme, spacing_mm: Spacing) -> np.ndarray:
    """Voxels within `HINDBRAIN_MM` of cerebellum or brainstem."""
    hindbrain = scheme.mask(labels, "cerebellum") | scheme.mask(labels, "brainstem")
    box = measure.bounding_box(hindbrain, int(np.ceil(HINDBRAIN_MM / min(spacing_mm))) + 1)
    near = np.zeros(labels.shape, bool)
    near[box] = ndi.distance_transform_edt(~hindbrain[box], sampling=spacing_mm) <= HINDBRAIN_MM
    return near
