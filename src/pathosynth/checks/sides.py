"""Are left structures on the left and right ones on the right?"""

import numpy as np
import pydantic

from pathosynth.data.findings import CheckInput, Finding, rejected
from pathosynth.data.labels import LabelScheme
from pathosynth.morphing.measure import midline_index
from pathosynth.runs.config import Config as BaseConfig


class Config(BaseConfig):
    """How much may lie across."""

    beyond_mm: float = pydantic.Field(8.0, ge=0)
    """Distance from the midsagittal plane within which either side's structures may lie: brains are bent."""
    wrong_share: float = pydantic.Field(0.002, ge=0, le=1)
    """Largest share of the voxels of paired labels that lie farther across. Real maps: at most 0.0001 (10 and 13
    adults with sides)."""


def check(case: CheckInput, config: Config) -> Finding:
    """Share of the voxels of paired labels that lie on the other side of the midsagittal plane.

    Labels with a partner are left or right as their name says; the array is in RAS orientation, left first.
    """
    reason = case.unusable(image=False, labels=True)
    if reason or case.labels is None:
        return rejected("sides", config.wrong_share, reason)
    left, right = (_values(case.scheme, side) for side in ("left", "right"))
    paired = np.isin(case.labels, left + right)
    if not paired.any():
        return Finding(
            "sides", 0.0, config.wrong_share, True, "not judged: no label has a partner on the other side", judged=False
        )
    middle, far = midline_index(case.labels > 0), config.beyond_mm / case.spacing_mm[0]
    index = np.arange(case.labels.shape[0])
    wrong = (
        np.isin(case.labels[index > middle + far], left).sum() + np.isin(case.labels[index < middle - far], right).sum()
    )
    value = float(wrong / paired.sum())
    detail = f"{value:.3%} of the paired labels lie more than {config.beyond_mm:g} mm across the midsagittal plane"
    return Finding("sides", value, config.wrong_share, value <= config.wrong_share, detail)


def _values(scheme: LabelScheme, side: str) -> list[int]:
    """Paired labels of one side inside the skull."""
    inside = scheme.group("intracranial") if scheme.has("intracranial") else scheme.values
    paired = [label for label in scheme.labels if label.partner is not None and label.value in inside]
    return [label.value for label in paired if label.name.startswith(side)]
