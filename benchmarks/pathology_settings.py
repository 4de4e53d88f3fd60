"""Settings of every pathology for the contract on real maps: a mild and a severe one each, by age group.

A value written ``Times(f)`` is f times what the map itself measures, by the pathology's own ruler of that name.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from contract_checks import Promise


@dataclass(frozen=True)
class Times:
    """A setting relative to the present value."""

    factor: float


@dataclass(frozen=True)
class Setting:
    """One request and what it promises.

    Attributes:
        name: row of the table.
        pathology: its module.
        values: of its Config.
        promise: what may change.
        ages: gestational weeks it makes sense for; None: any.
    """

    name: str
    pathology: str
    values: Mapping[str, Any]
    promise: Promise
    ages: tuple[float, float] | None = None


_LATERAL = ("lateral_ventricles",)
_SKULL = 0.3


def _ventricles(
    name: str, values: Mapping[str, Any], folds: Mapping[str, float], more: tuple[str, ...] = ()
) -> Setting:
    rigid = not values.get("skull_share")
    return Setting(name, "ventriculomegaly", values, Promise((*_LATERAL, *more), folds, rigid))


def _cerebellum(name: str, values: Mapping[str, Any], fold: float | None = None) -> Setting:
    promise = Promise(("cerebellum",), {} if fold is None else {"cerebellum": fold})
    return Setting(f"cerebellum {name}", "cerebellar_hypoplasia", values, promise)


def _pontocerebellar(fold: float, pons: float) -> Setting:
    values = {"cerebellum_fold": fold, "pons_ap_fold": pons}
    promise = Promise(("cerebellum", "brainstem"), {"cerebellum": fold})
    return Setting(f"cerebellum {fold:g}, pons {pons:g}", "pontocerebellar_hypoplasia", values, promise)


def _brain(fold: float, head_share: float) -> Setting:
    values = {"brain_fold": fold, "head_share": head_share}
    promise = Promise(("tissue", "ventricles"), {"tissue": fold}, rigid=head_share == 0)
    return Setting(f"brain {fold:g}, head share {head_share:g}", "microcephaly", values, promise)


def _head(name: str, values: Mapping[str, Any], ages: tuple[float, float] | None = None) -> Setting:
    return Setting(name, "microcephaly", values, Promise(("tissue", "ventricles"), rigid=False), ages)


def _chiari(repair: str, ages: tuple[float, float]) -> Setting:
    promise = Promise(("ventricles", "cerebellum", "brainstem"), rigid=False, effaced=True)
    return Setting(f"chiari2, repair {repair}", "chiari2", {"repair": repair}, promise, ages)


def _profile(name: str, folds: Mapping[str, float]) -> Setting:
    promise = Promise(tuple(folds), folds, rigid=False)
    return Setting(f"profile {name}", "profile", {"folds": dict(folds)}, promise)


_HINDBRAIN = (
    _cerebellum("0.7", {"cerebellum_fold": 0.7}, 0.7),
    _cerebellum("0.5", {"cerebellum_fold": 0.5}, 0.5),
    _cerebellum("diameter 0.9", {"transcerebellar_diameter_mm": Times(0.9)}),
    _cerebellum("diameter 0.8", {"transcerebellar_diameter_mm": Times(0.8)}),
    _cerebellum("vermian 0.8", {"cerebellum_fold": 0.8, "pattern": "vermian"}, 0.8),
    _cerebellum("left 0.6", {"cerebellum_fold": 0.6, "pattern": "left"}),
    _pontocerebellar(0.8, 0.9),
    _pontocerebellar(0.6, 0.8),
)
_GLOBAL = (
    _brain(0.9, 1.0),
    _brain(0.75, 1.0),
    _brain(0.75, 0.5),
    _brain(0.75, 0.0),
    _profile("mild", {"cortex": 0.95, "ventricles": 1.2, "external_csf": 1.1}),
    _profile("severe", {"cortex": 0.9, "ventricles": 1.5, "external_csf": 1.2}),
)
_GROWN = {"ventricle_fold": 2.0, "posterior_bias": 2.0, "skull_share": _SKULL}
_ASYMMETRIC = {"ventricle_fold": {"left": 1.5, "right": 2.2}, "skull_share": _SKULL}

FETAL_HEALTHY = (
    _ventricles("width 12 mm", {"atrial_width_mm": 12.0, "skull_share": _SKULL}, {}),
    _ventricles("width 15 mm", {"atrial_width_mm": 15.0, "skull_share": _SKULL}, {}),
    _ventricles("left 1.5, right 2.2", _ASYMMETRIC, {}),
    _ventricles("colpocephaly 2", _GROWN, {"ventricles": 2.0}),
    *_HINDBRAIN,
    *_GLOBAL,
    _head("head circumference -3 SD", {"head_circumference_z": -3.0}),
    _chiari("none", (21, 25)),
    _chiari("fetal", (25, 38)),
)
FETAL_PATIENTS = (
    _ventricles("width 1.15", {"atrial_width_mm": Times(1.15), "skull_share": 0.8}, {}),
    _ventricles("width 1.35", {"atrial_width_mm": Times(1.35), "skull_share": 0.8}, {}),
    _ventricles("left 1.2, right 1.5", {"ventricle_fold": {"left": 1.2, "right": 1.5}, "skull_share": 0.8}, {}),
    _ventricles(
        "colpocephaly 1.5", {"ventricle_fold": 1.5, "posterior_bias": 2.0, "skull_share": 0.8}, {"ventricles": 1.5}
    ),
    *_HINDBRAIN,
    *_GLOBAL,
    _head("head circumference 0.9", {"head_circumference_mm": Times(0.9)}),
)
_HYDROCEPHALUS = {"ventricle_fold": 2.5, "white_matter": 0.95}
_ATROPHY = {"ventricle_fold": 1.6, "cortex": 0.9, "white_matter": 0.92}
_ADULT = (
    _ventricles("fold 1.5", {"ventricle_fold": 1.5}, {"lateral_ventricles": 1.5}),
    _ventricles("fold 2.5", {"ventricle_fold": 2.5}, {"lateral_ventricles": 2.5}),
    _ventricles("hydrocephalus", _HYDROCEPHALUS, {"lateral_ventricles": 2.5, "white_matter": 0.95}, ("white_matter",)),
    _ventricles(
        "atrophy",
        _ATROPHY,
        {"lateral_ventricles": 1.6, "cortex": 0.9, "white_matter": 0.92},
        ("cortex", "white_matter"),
    ),
    _cerebellum("0.8", {"cerebellum_fold": 0.8}, 0.8),
)
_ADULT_MORE = (
    _pontocerebellar(0.8, 0.9),
    _brain(0.9, 0.0),
    _brain(0.9, 0.5),
    _profile("severe", {"cortex": 0.9, "ventricles": 1.5, "external_csf": 1.2}),
)
_APART = {"inferior_horns": 2.0, "third_ventricle": 1.5, "fourth_ventricle": 1.2}
ADULT_HEADS = (
    *_ADULT,
    _ventricles(
        "each ventricle apart",
        {"ventricle_fold": 1.5} | {f"{name}_fold": fold for name, fold in _APART.items()},
        {"lateral_ventricles": 1.5, **_APART},
        ("third_ventricle", "fourth_ventricle"),
    ),
    *_ADULT_MORE,
)
ADULT_BRAINS = (*_ADULT, *_ADULT_MORE)
ADULT_GYRI = (
    _ventricles("fold 1.5, skull 1", {"ventricle_fold": 1.5, "skull_share": 1.0}, {"lateral_ventricles": 1.5}),
    _ventricles(
        "each ventricle apart, skull 1",
        {"ventricle_fold": 1.5, "skull_share": 1.0} | {f"{name}_fold": fold for name, fold in _APART.items()},
        {"lateral_ventricles": 1.5, **_APART},
        ("third_ventricle", "fourth_ventricle"),
    ),
    _brain(0.9, 1.0),
)
