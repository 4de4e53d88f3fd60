"""How much a lateral ventricle holds at an atrial width: straight lines fitted on normal and enlarged ventricles.

Ma 2019 (https://pmc.ncbi.nlm.nih.gov/articles/PMC6616102), read from its abstract: 50 normal fetuses of 24 to 38 weeks,
47 with ventriculomegaly of 24 to 37 weeks, MR hydrography, one side each.
"""

from typing import Literal

from pathosynth.runs.errors import InputError

Side = Literal["left", "right"]
Condition = Literal["normal", "ventriculomegaly"]

_LINES: dict[Condition, dict[Side, tuple[float, float]]] = {
    "normal": {"left": (0.438, 1.359), "right": (0.493, 1.012)},
    "ventriculomegaly": {"left": (0.959, -2.074), "right": (0.799, -0.443)},
}
"""mL per mm, and mL at 0 mm."""


def ventricle_ml(atrial_width_mm: float, side: Side, condition: Condition) -> float:
    """Volume of one lateral ventricle expected at an atrial width.

    Raises:
        InputError: the line gives no positive volume there.
    """
    slope, offset = _LINES[condition][side]
    volume = slope * atrial_width_mm + offset
    if atrial_width_mm <= 0 or volume <= 0:
        raise InputError(
            f"Atrial width {atrial_width_mm:g} mm: the line of Ma 2019 ({condition}, {side}) gives {volume:.2f} mL. "
            f"Expected a width above {max(-offset / slope, 0.0):.2f} mm."
        )
    return volume


def atrial_width_mm(ventricle_ml: float, side: Side, condition: Condition) -> float:
    """Atrial width expected at a volume of one lateral ventricle: the line read backwards.

    Raises:
        InputError: the line gives no positive width there.
    """
    slope, offset = _LINES[condition][side]
    width = (ventricle_ml - offset) / slope
    if ventricle_ml <= 0 or width <= 0:
        raise InputError(
            f"Ventricle volume {ventricle_ml:g} mL: the line of Ma 2019 ({condition}, {side}) gives {width:.2f} mm. "
            f"Expected a volume above {max(offset, 0.0):.2f} mL."
        )
    return width
