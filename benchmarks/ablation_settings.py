"""Which knobs are turned, how far, what each should move and what it must not."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Settings = Mapping[str, Any]

COLUMNS: dict[str, tuple[str, tuple[str, ...]]] = {
    "ventricle": ("ventricle mL L / R", ("ventricle_left_ml", "ventricle_right_ml")),
    "width": ("width mm L / R", ("atrial_width_left_mm", "atrial_width_right_mm")),
    "centre": ("centre mm", ("ventricle_centre_mm",)),
    "midline": ("midline mL", ("ventricle_midline_ml",)),
    "v Dice": ("ventricle Dice", ("ventricle_dice",)),
    "mantle": ("mantle mm p5 / p50", ("mantle_p5_mm", "mantle_median_mm")),
    "sulci": ("sulci mL", ("sulcal_csf_ml",)),
    "CSF": ("ext. CSF %", ("external_csf_percent",)),
    "near CSF": ("hindbrain CSF mL", ("hindbrain_csf_ml",)),
    "skull": ("intracranial mL", ("intracranial_ml",)),
    "HC": ("HC mm", ("head_circumference_mm",)),
    "brain": ("brain mL", ("brain_ml",)),
    "WM": ("WM mL", ("white_matter_ml",)),
    "cortex": ("cortex mL", ("cortex_ml",)),
    "cerebellum": ("cerebellum mL", ("cerebellum_ml",)),
    "halves": ("cerebellum mL L / R", ("cerebellum_left_ml", "cerebellum_right_ml")),
    "c Dice": ("cerebellum Dice", ("cerebellum_dice",)),
    "stem": ("brainstem mL", ("brainstem_ml",)),
    "TCD": ("TCD mm", ("transcerebellar_mm",)),
    "vermis": ("vermis mm", ("vermis_height_mm",)),
    "pons": ("pons mm", ("pons_ap_mm",)),
    "descent": ("descent mm", ("descent_mm",)),
    "moved": ("tissue moved mm", ("tissue_moved_mm",)),
    "cerebrum": ("cerebrum moved mm", ("cerebrum_moved_mm",)),
    "faces": ("faces", ("ventricle_cortex_faces",)),
    "J": ("J min / max", ("jacobian_min", "jacobian_max")),
    "CPU": ("CPU s", ("cpu_s",)),
}
"""Columns of the tables in their order: title, and keys of the measures in a cell."""

ALWAYS = ("faces", "J", "CPU")
"""Columns that are shown for every setting, and judged for none."""


@dataclass(frozen=True)
class Knob:
    """One setting and the values it takes.

    Attributes:
        name: as in the pathology's Config.
        moves: columns it should move.
        keeps: columns it must not move.
        values: each a change of the base settings; None takes a setting of the base away. `seed` is the generator's.
        against: setting, as written in the tables, that the values are compared with; the base where empty.
    """

    name: str
    moves: tuple[str, ...]
    keeps: tuple[str, ...]
    values: tuple[Settings, ...]
    against: str = ""

    @property
    def shown(self) -> tuple[str, ...]:
        """Columns with something to say about this knob."""
        return (*self.moves, *self.keeps, *ALWAYS)


@dataclass(frozen=True)
class Ablation:
    """A pathology's base settings and its knobs."""

    base: Settings
    knobs: tuple[Knob, ...]

    def columns(self) -> list[str]:
        """All that some knob should move or keep, in the tables' order.

        Raises:
            KeyError: a knob names a column that does not exist.
        """
        used = {name for knob in self.knobs for name in knob.shown}
        if unknown := used - set(COLUMNS):
            raise KeyError(f"no column {', '.join(sorted(unknown))}; there are {', '.join(COLUMNS)}")
        return [name for name in COLUMNS if name in used]


def one(name: str, moves: str, keeps: str, *values: object) -> Knob:
    """A knob that is one setting; columns separated by commas."""
    return several(name, moves, keeps, *({name: value} for value in values))


def several(name: str, moves: str, keeps: str, *values: Settings, against: str = "") -> Knob:
    """A knob whose values change more than one setting."""
    return Knob(name, tuple(moves.split(", ")), tuple(keeps.split(", ")), values, against)


_NO_FOLD = {"ventricle_fold": None}
VENTRICULOMEGALY = Ablation(
    {"ventricle_fold": 2.0},
    (
        several(
            "target", "ventricle, width, mantle, moved, CSF, sulci", "skull, WM, cortex",
            {"ventricle_fold": 0.6}, {"ventricle_fold": 1.5}, {"ventricle_fold": 3.0},
            *({**_NO_FOLD, "atrial_width_mm": width} for width in (12, 15, 20)),
        ),
        one("asymmetry", "ventricle, width, v Dice", "CSF, skull, WM", -0.4, 0.4, 0.8),
        one("posterior_bias", "centre, width, v Dice", "ventricle, CSF, skull", -2.0, -1.0, 1.0, 2.0),
        one("midline_mm", "midline, width, v Dice", "ventricle, CSF, skull", 0.0, 6.0, 10.0),
        one("skull_share", "skull, HC, moved, CSF, sulci", "ventricle, WM, cortex", 0.3, 0.6, 1.0),
        one("sulcal_flattening", "sulci, moved", "ventricle, width, CSF, skull", 0.5, 1.0),
        one("ell_mm", "moved, sulci, v Dice", "ventricle, CSF, skull", 4.0, 30.0, 100.0),
        one("white_matter", "WM, mantle, moved, CSF, sulci", "ventricle, cortex, skull", 0.95, 0.9, 0.8),
        one("cortex", "cortex, mantle, moved, CSF, sulci", "ventricle, WM, skull", 0.9, 0.8),
        several(
            "source_variation", "v Dice, width, centre", "ventricle, CSF, skull, WM",
            *({"source_variation": v, "seed": s} for v, s in ((0.3, 1), (0.6, 1), (0.6, 2), (0.6, 3), (1.2, 1))),
        ),
    ),
)  # fmt: skip

_NO_FOLD = {"cerebellum_fold": None}
CEREBELLAR_HYPOPLASIA = Ablation(
    {"cerebellum_fold": 0.6},
    (
        several(
            "target", "cerebellum, TCD, vermis, near CSF, CSF", "stem, pons, skull, WM",
            *({"cerebellum_fold": fold} for fold in (0.8, 0.4, 0.25)),
            {**_NO_FOLD, "cerebellum_z": -2.0}, {**_NO_FOLD, "transcerebellar_diameter_z": -2.0},
        ),
        one("pattern", "cerebellum, halves, TCD, vermis, c Dice", "stem, pons, skull", "vermian", "left", "right"),
        one("ell_mm", "cerebrum, near CSF, c Dice", "cerebellum, CSF, pons, skull", 2.0, 12.0, 50.0),
        one("skull_share", "skull, near CSF, CSF", "cerebellum, WM", 0.5, 1.0),
        one("sulcal_flattening", "sulci", "cerebellum, CSF, skull", 1.0),
    ),
)  # fmt: skip

PONTOCEREBELLAR_HYPOPLASIA = Ablation(
    {"cerebellum_fold": 0.5, "pons_ap_fold": 0.75},
    (
        several(
            "cerebellum target", "cerebellum, TCD, vermis, near CSF", "pons, skull, WM",
            {"cerebellum_fold": 0.8}, {"cerebellum_fold": 0.3}, {**_NO_FOLD, "transcerebellar_diameter_z": -2.0},
        ),
        several(
            "pons target", "pons, stem", "cerebellum, TCD, vermis, skull, WM",
            *({"pons_ap_fold": fold} for fold in (0.95, 0.85, 0.6)), {"pons_ap_fold": None, "pons_ap_z": -2.0},
        ),
        one("vermis", "vermis, TCD, c Dice", "cerebellum, pons, skull", 0.1, 0.25, 1.0),
        one("ell_mm", "cerebrum, near CSF", "cerebellum, pons, skull", 2.0, 12.0, 50.0),
        one("skull_share", "skull, near CSF, CSF", "cerebellum, pons, WM", 0.5, 1.0),
    ),
)  # fmt: skip

_NO_FOLD = {"brain_fold": None}
MICROCEPHALY = Ablation(
    {"brain_fold": 0.8},
    (
        several(
            "target", "brain, WM, cortex, mantle, ventricle, skull, HC, TCD, moved", "CSF",
            *({"brain_fold": fold} for fold in (0.9, 0.65, 0.5)),
            {**_NO_FOLD, "brain_z": -3.0}, {**_NO_FOLD, "head_circumference_z": -3.0},
        ),
        one("head_share", "skull, HC, CSF, sulci, moved", "brain, cortex, ventricle", 0.0, 0.5),
        one("ventricles_fold", "ventricle, width, mantle, skull", "brain, CSF", 0.5, 1.0, 2.0),
        several("sulcal_flattening", "sulci, moved", "brain, ventricle",
                *({"head_share": 0.0, "sulcal_flattening": v} for v in (0.5, 1.0)), against="head_share 0"),
        several("ell_mm", "sulci, moved", "brain, ventricle",
                *({"head_share": 0.0, "ell_mm": v} for v in (4.0, 50.0)), against="head_share 0"),
    ),
)  # fmt: skip

CHIARI2 = Ablation(
    {"repair": "fetal"},
    (
        one("age_weeks", "ventricle, CSF, near CSF, skull, HC", "WM, cortex", 23.0, 29.0, 35.0),
        one("repair", "ventricle, cerebellum, stem, CSF, near CSF, descent, skull, HC", "WM, cortex", "none"),
        one("strength", "ventricle, cerebellum, stem, CSF, near CSF, skull, HC", "WM, cortex", 0.25, 0.5, 1.4),
        one("herniation", "descent, vermis, TCD", "ventricle, cerebellum, stem, CSF, WM", 0.0, 0.25, 0.75, 1.5, 3.0),
        one("hindbrain_csf", "near CSF", "ventricle, CSF, cerebellum", 0.05, 0.4, 0.8),
        one("external_csf", "CSF, near CSF, skull, HC", "ventricle, cerebellum, WM", 0.2, 0.7),
        one("posterior_bias", "centre, width, v Dice", "ventricle, cerebellum, skull", -1.0, 0.0, 2.0),
        several("ventricle target", "ventricle, width, skull", "cerebellum, CSF, WM",
                {"ventricle_fold": 1.5}, {"atrial_width_mm": 12.0}),
    ),
)  # fmt: skip

_FOLDS = {"ventricles": 1.5, "white_matter": 0.9, "cerebellum": 0.8}
_CHANGES = (
    {"ventricles": 3.0}, {"white_matter": 0.7}, {"cerebellum": 0.5}, {"cortex": 0.8}, {"external_csf": 0.6},
    {"external_csf": 0.2},
)  # fmt: skip
PROFILE = Ablation(
    {"folds": _FOLDS},
    (
        several("folds", "ventricle, WM, cortex, cerebellum, CSF, skull, mantle", "stem",
                *({"folds": {**_FOLDS, **change}} for change in _CHANGES)),
        one("skull_share", "skull, HC, CSF, sulci, moved", "ventricle, WM, cerebellum, cortex", 0.0, 0.5),
        several("ell_mm", "moved, sulci", "ventricle, WM, cerebellum",
                *({"skull_share": 0.0, "ell_mm": v} for v in (4.0, 50.0)), against="skull_share 0"),
        several("sulcal_flattening", "sulci, moved", "ventricle, WM, cerebellum",
                {"skull_share": 0.0, "sulcal_flattening": 1.0}, against="skull_share 0"),
    ),
)  # fmt: skip

ABLATIONS = {
    "ventriculomegaly": VENTRICULOMEGALY,
    "cerebellar_hypoplasia": CEREBELLAR_HYPOPLASIA,
    "pontocerebellar_hypoplasia": PONTOCEREBELLAR_HYPOPLASIA,
    "microcephaly": MICROCEPHALY,
    "chiari2": CHIARI2,
    "profile": PROFILE,
}
