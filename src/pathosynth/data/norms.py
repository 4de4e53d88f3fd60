"""Normal curves of the fetal and neonatal brain: mean and spread of a measure at an age, z-scores and back.

A curve belongs to one protocol: a cohort, a modality and a definition of the structure. Labels of two protocols differ
by more than patients do (2 to 3 mL of ventricle between two atlases), so a z-score never mixes them: volumes get one
only when the caller names the protocol that their label map follows, and `Norm.fold_at_z` turns a z-score into a factor
that a label map of any protocol can be asked for, being its own reference. The curves are the files ``norms/*.toml``.
"""

import math
import tomllib
from collections.abc import Iterable, Mapping
from functools import lru_cache
from importlib import resources
from statistics import NormalDist
from typing import Any, Literal, Self

import pydantic

from pathosynth.runs.errors import InputError

DEFAULT_PROTOCOLS = {
    "atrial_width_mm": "luis2025",
    "transcerebellar_diameter_mm": "luis2025",
    "vermis_height_mm": "luis2025",
    "vermis_width_mm": "luis2025",
    "pons_ap_mm": "luis2025",
    "bpd_mm": "luis2025",
    "ofd_mm": "luis2025",
    "brain_width_mm": "luis2025",
    "brain_ofd_mm": "luis2025",
    "corpus_callosum_length_mm": "luis2025",
    "cavum_width_mm": "luis2025",
    "head_circumference_mm": "intergrowth21",
    "lateral_ventricle_ml": "bounti",
    "lateral_ventricles_ml": "multibounti",
    "cerebellum_ml": "bounti",
    "cerebellar_hemispheres_ml": "multibounti",
    "vermis_ml": "multibounti",
    "brainstem_ml": "bounti",
    "white_matter_ml": "bounti",
    "cortex_ml": "bounti",
    "deep_grey_matter_ml": "bounti",
    "external_csf_ml": "bounti",
    "third_ventricle_ml": "bounti",
    "fourth_ventricle_ml": "bounti",
    "cavum_ml": "bounti",
    "parenchyma_ml": "multibounti",
    "intracranial_ml": "multibounti",
}
"""The protocol that a measure is compared with when none is named."""

_STANDARD_NORMAL = NormalDist()


class _Data(pydantic.BaseModel):
    """Frozen, unknown keys refused."""

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class Formula(_Data):
    """Sum of c t^p (ln t)^q over `terms` (c, p, q), t in weeks; its exponential if `exponential`.

    A plain list of numbers is a polynomial, highest power first.
    """

    terms: tuple[tuple[float, float, float], ...]
    exponential: bool = False

    @pydantic.model_validator(mode="before")
    @classmethod
    def _polynomial(cls, data: Any) -> Any:
        if isinstance(data, list):
            return {"terms": [(c, len(data) - 1 - i, 0) for i, c in enumerate(data)]}
        return data

    def at(self, age_weeks: float) -> float:
        """Value at an age."""
        total = sum(c * age_weeks**p * math.log(age_weeks) ** q for c, p, q in self.terms)
        return math.exp(total) if self.exponential else total


class Norm(_Data):
    """One measure, one protocol.

    Attributes:
        measure: name with unit, such as ``cerebellum_ml``; `also` lists further names with the same curve.
        protocol: short name of cohort, modality and definition; `population`, `definition` and `source` spell it out.
        weeks: first and last valid age: gestational, or since the last period after birth.
        label_maps: whether a measurement on a label map of any protocol may be compared with it (lengths, not volumes).
        verified: whether the numbers were checked; `verification` says against what.
        mean_formula: of the mean; left out where two centiles are given, whose middle it then is.
        sd_formula: of the standard deviation, which never falls below `sd_floor`.
        centiles: two centiles in place of a standard deviation.
    """

    measure: str = pydantic.Field(pattern=r"^[a-z_]+_(mm|ml)$")
    also: tuple[str, ...] = ()
    protocol: str
    population: Literal["fetus", "neonate"]
    definition: str
    source: str
    weeks: tuple[float, float]
    label_maps: bool
    verified: bool
    verification: str
    mean_formula: Formula | None = pydantic.Field(None, alias="mean")
    sd_formula: Formula | None = pydantic.Field(None, alias="sd")
    sd_floor: float = pydantic.Field(0.0, ge=0)
    centiles: dict[float, Formula] = {}

    @pydantic.model_validator(mode="after")
    def _mean_and_spread(self) -> Self:
        if bool(self.centiles) == bool(self.sd_formula) or (self.sd_formula and not self.mean_formula):
            raise ValueError(f"{self.measure}: give mean and sd, or two centiles")
        if self.centiles and (len(self.centiles) != 2 or sum(self.centiles) != 100):
            raise ValueError(
                f"{self.measure}: expected two centiles that mirror each other, found {list(self.centiles)}"
            )
        return self

    def __str__(self) -> str:
        unsure = "" if self.verified else f"; coefficients not verified: {self.verification}"
        return f"{self.measure} of {self.protocol} ({self.population}, {_range(self.weeks)}, {self.source}{unsure})"

    def mean(self, age_weeks: float) -> float:
        """Mean at an age, in the unit of the measure.

        Raises:
            InputError: the age is outside the curve's range.
        """
        _check_age(self, age_weeks)
        if self.mean_formula:
            return self.mean_formula.at(age_weeks)
        low, high = self.centiles.values()
        return (low.at(age_weeks) + high.at(age_weeks)) / 2

    def sd(self, age_weeks: float) -> float:
        """Standard deviation at an age, never below the curve's floor."""
        _check_age(self, age_weeks)
        if self.sd_formula:
            return max(self.sd_formula.at(age_weeks), self.sd_floor)
        low, high = sorted(self.centiles)
        width = self.centiles[high].at(age_weeks) - self.centiles[low].at(age_weeks)
        return width / (_STANDARD_NORMAL.inv_cdf(high / 100) - _STANDARD_NORMAL.inv_cdf(low / 100))

    def z(self, value: float, age_weeks: float) -> float:
        """How many standard deviations a value lies from the mean."""
        return (value - self.mean(age_weeks)) / self.sd(age_weeks)

    def centile(self, value: float, age_weeks: float) -> float:
        """Percentage of normal cases with a smaller value, 0 to 100."""
        return 100.0 * _STANDARD_NORMAL.cdf(self.z(value, age_weeks))

    def value(self, z: float, age_weeks: float) -> float:
        """The value `z` standard deviations from the mean.

        Raises:
            InputError: that value is not positive, or the age is outside the curve's range.
        """
        mean, sd = self.mean(age_weeks), self.sd(age_weeks)
        if mean + z * sd <= 0:
            raise InputError(
                f"z = {z:g} of {self.measure} at {age_weeks:g} weeks is {mean + z * sd:.3g}, which cannot be. Normal "
                f"is {mean:.3g}, standard deviation {sd:.3g} ({self.protocol}); ask for a z above {-mean / sd:.2f}."
            )
        return mean + z * sd

    def fold_at_z(self, z: float, age_weeks: float) -> float:
        """The factor that takes the normal mean to `z`: (mean + z sd) / mean."""
        return self.value(z, age_weeks) / self.mean(age_weeks)


@lru_cache
def all_norms() -> tuple[Norm, ...]:
    """Every curve that ships, in the order of files and lines."""
    folder = resources.files("pathosynth.data") / "norms"
    norms: list[Norm] = []
    for entry in sorted(folder.iterdir(), key=lambda entry: entry.name):
        if entry.name.endswith(".toml"):
            shared = tomllib.loads(entry.read_text(encoding="utf-8"))
            norms += [Norm.model_validate(shared | curve) for curve in shared.pop("curves")]
    return tuple(norms)


def load_norm(measure: str, protocol: str | None = None) -> Norm:
    """The curve of a measure: of the protocol named, or of the default one (`DEFAULT_PROTOCOLS`).

    Raises:
        InputError: no curve of that measure, or not of that protocol; the message lists what there is.
    """
    candidates = [norm for norm in all_norms() if measure in (norm.measure, *norm.also)]
    if not candidates:
        known = ", ".join(sorted({norm.measure for norm in all_norms()}))
        raise InputError(f"No normal curve of '{measure}'. There are curves of {known}. Add one to data/norms/.")
    wanted = protocol or DEFAULT_PROTOCOLS[candidates[0].measure]
    for norm in candidates:
        if norm.protocol == wanted:
            return norm
    raise InputError(
        f"No normal curve of '{measure}' by protocol '{wanted}'. Protocols with this measure: "
        f"{', '.join(norm.protocol for norm in candidates)}. Name one of them."
    )


def one_protocol(norms: Iterable[Norm]) -> str:
    """The protocol that all these curves share.

    Raises:
        InputError: there are several; their numbers must not be combined.
    """
    measures: dict[str, list[str]] = {}
    for norm in norms:
        measures.setdefault(norm.protocol, []).append(norm.measure)
    if len(measures) != 1:
        found = "; ".join(f"{protocol}: {', '.join(names)}" for protocol, names in measures.items())
        raise InputError(
            f"Expected curves of one protocol, found {found or 'none'}. Structures are delimited differently in each; "
            "name one protocol that has all the measures, or ask for them one by one."
        )
    return next(iter(measures))


def folds_at_z(z: Mapping[str, float], age_weeks: float, protocol: str | None = None) -> dict[str, float]:
    """Factors on the normal means for several measures at once, all of one protocol.

    Args:
        z: wanted z-score of each measure.
        age_weeks: gestational age.
        protocol: of all curves; the default of each measure if none is named, which must then be the same.

    Raises:
        InputError: the measures have no protocol in common, or the age is out of range.
    """
    norms = {measure: load_norm(measure, protocol) for measure in z}
    if norms:
        one_protocol(norms.values())
    return {measure: norm.fold_at_z(z[measure], age_weeks) for measure, norm in norms.items()}


def z_scores(severity: Mapping[str, float], age_weeks: float, volume_protocol: str | None = None) -> dict[str, float]:
    """z-scores of measurements on a label map, as ``cerebellum_z`` for ``cerebellum_ml``.

    Lengths are compared with their default curve. Volumes depend on how a structure is delimited, so they get a z-score
    only where `volume_protocol` says which protocol the label map follows and has a curve. Other measures are left out.

    Raises:
        InputError: the age is outside the range of a curve that is needed, or no protocol has that name.
    """
    if volume_protocol and volume_protocol not in {norm.protocol for norm in all_norms()}:
        known = ", ".join(sorted({norm.protocol for norm in all_norms()}))
        raise InputError(f"No protocol '{volume_protocol}'. There are {known}.")
    scores = {}
    for measure, value in severity.items():
        norm = _comparable(measure, volume_protocol)
        if norm:
            scores[f"{measure.rpartition('_')[0]}_z"] = norm.z(value, age_weeks)
    return scores


def _comparable(measure: str, volume_protocol: str | None) -> Norm | None:
    """The curve that a measurement on a label map may be compared with, if there is one."""
    for norm in all_norms():
        if measure in (norm.measure, *norm.also):
            default = DEFAULT_PROTOCOLS[norm.measure] if norm.label_maps else volume_protocol
            if norm.protocol == default:
                return norm
    return None


def _check_age(norm: Norm, age_weeks: float) -> None:
    """Refuse ages a curve was not fitted on."""
    first, last = norm.weeks
    if first <= age_weeks <= last:
        return
    others = [
        f"{other.protocol} ({other.population}, {_range(other.weeks)})"
        for other in all_norms()
        if other.measure == norm.measure and other.weeks[0] <= age_weeks <= other.weeks[1]
    ]
    step = (
        f"Name a protocol that covers it: {', '.join(others)}"
        if others
        else "Correct the age, or leave the z-score out"
    )
    raise InputError(
        f"Age {age_weeks:g} weeks is outside the range of {norm.measure} of {norm.protocol}: expected "
        f"{_range(norm.weeks)} ({norm.population}, {norm.source}). {step}."
    )


def _range(weeks: tuple[float, float]) -> str:
    return f"{weeks[0]:g} to {weeks[1]:g} weeks"
