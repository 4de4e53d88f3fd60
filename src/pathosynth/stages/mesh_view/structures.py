"""Which structures of a label scheme are shown, in which colour, and how finely."""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from pathosynth.data.grid import crop, crop_box, uncrop
from pathosynth.data.labels import LabelScheme


@dataclass(frozen=True)
class Structure:
    """One row of the legend.

    Attributes:
        name: as shown; the same name is the same structure in both panes.
        values: its labels.
        color: "#rrggbb", told apart by the colour blind (Okabe & Ito 2008).
        most_vertices: of its surface.
        is_skull: drawn translucent around all others, without the holes inside.
    """

    name: str
    values: tuple[int, ...]
    color: str
    most_vertices: int
    is_skull: bool = False


_CAVITIES = (
    ("lateral ventricle, left", "left_lateral_ventricle", "#0072b2", 8000),
    ("lateral ventricle, right", "right_lateral_ventricle", "#d55e00", 8000),
    ("third ventricle", "third_ventricle", "#f0e442", 2500),
    ("fourth ventricle", "fourth_ventricle", "#e69f00", 2500),
)
_TISSUES = (("cerebellum", "cerebellum", "#009e73", 6000), ("brainstem", "brainstem", "#cc79a7", 4000))
SKULL = "skull, inner side"


def structures(scheme: LabelScheme) -> tuple[tuple[Structure, ...], tuple[str, ...]]:
    """The structures a scheme can show, and the names of those it cannot.

    Ventricles are as separate as the scheme has them; what no part claims is one structure of its own, called
    "ventricles" where there are no parts at all. The third and fourth are not missed in a scheme without parts.
    """
    cavities = _named(scheme, _CAVITIES)
    claimed = {value for part in cavities for value in part.values}
    ventricles = scheme.group("ventricles") if scheme.has("ventricles") else ()
    if rest := tuple(value for value in ventricles if value not in claimed):
        name = "other ventricular fluid" if claimed else "ventricles"
        cavities.append(Structure(name, rest, "#56b4e9", 2500 if claimed else 14000))
    tissues = _named(scheme, _TISSUES)
    inside = scheme.group("intracranial") if scheme.has("intracranial") else scheme.values
    missing = [name for name, group, *_ in _TISSUES if not scheme.has(group)]
    missing += [] if cavities else ["ventricles"]
    return (*cavities, *tissues, Structure(SKULL, inside, "#8c8c8c", 9000, is_skull=True)), tuple(missing)


def _named(scheme: LabelScheme, table: tuple[tuple[str, str, str, int], ...]) -> list[Structure]:
    return [
        Structure(name, scheme.group(group), color, most) for name, group, color, most in table if scheme.has(group)
    ]


def mask_of(labels: np.ndarray, structure: Structure) -> np.ndarray:
    """Where a structure is, bool (I, J, K); the skull's inside without holes."""
    mask = np.isin(labels, structure.values)
    if not structure.is_skull or not mask.any():
        return mask
    box = crop_box(mask, 1)
    return uncrop(ndimage.binary_fill_holes(crop(mask, box, fill=False)), box, mask.shape, fill=False)
