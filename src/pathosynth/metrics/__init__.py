"""Two things -> a number.

Two masks of one structure: the files of `METRICS`, each with `UNIT`, `BETTER` (higher, lower or zero) and
`compute(reference, prediction, spacing_mm)`; `measure(pair)` is the same of a `MaskPair`, whose counts and surface
distances all metrics share. One rule for empty masks: both empty is NaN (nothing to find); a missed or an invented
structure is the worst value there is, 0 for Dice and +inf for distances. Where others of the same case are compared
that did invent the structure, the tables of `evaluate` give the best value to what rightly left it empty.

Two sets of cases: `sets`. Two images: `structure`; `features` makes vectors of images. Many numbers: `statistics`.
"""

from types import ModuleType

from pathosynth.metrics import assd, dice, hausdorff95, surface_dice, volume_error

METRICS: dict[str, ModuleType] = {
    "dice": dice,
    "hd95_mm": hausdorff95,
    "assd_mm": assd,
    "surface_dice": surface_dice,
    "volume_error_ml": volume_error,
}
"""Column of a score table to module."""
