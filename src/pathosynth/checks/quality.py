"""Is the image as noisy, sharp and rich in contrast as real ones, and does it show what its labels say?

Every measure of `metrics.image_quality` must lie where those of real cases lie (the yardstick that `train` and
`pathosynth bands` keep). Without a yardstick only the place of the labels on the image is judged, which needs none.
"""

import numpy as np
import pydantic

from pathosynth.checks import limits
from pathosynth.data.findings import CheckInput, Finding, rejected
from pathosynth.data.yardstick import Yardstick
from pathosynth.metrics.image_quality import measure
from pathosynth.runs.config import Config as BaseConfig
from pathosynth.runs.errors import InputError

UPWARDS = ("unexplained", "offset", "cjv")
"""Measures that can only be too large; `misfit` of a label and `edgeless` of two too."""


class Config(BaseConfig):
    """How far from real images is too far."""

    percentile: float = pydantic.Field(99.0, gt=50, lt=100)
    """Share of real cases, in percent, that lie within the limits of all measures together (Bonferroni)."""
    least: float = pydantic.Field(0.15, ge=0)
    """Smallest half-width of a band, relative to its middle, because few training cases do not show the whole range."""
    edgeless_mm2: float = pydantic.Field(50.0, gt=0)
    """Piece of a border between two labels that may be missing in the image (8 mm across), more where real cases lack
    more or are few (65 mm2 of 18 that lack none, 200 of 6). Borders of which real cases lack more than this in the
    median are not judged: cortex touches CSF that is thinner than a voxel, white matter fades into deep grey matter."""
    offset_voxels: float = pydantic.Field(0.5, gt=0)
    """Largest distance by which the labels may lie beside what the image shows. Real maps: at most 0.12 voxels (18
    fetal, 26 adult)."""


def check(case: CheckInput, config: Config) -> Finding:
    """Distance of the worst measure from the middle of its band, in units of the band's half-width; above 1 fails."""
    reason = case.unusable(image=True, labels=True)
    if reason or case.image is None or case.labels is None:
        return rejected("quality", 1.0, reason)
    try:
        found = measure(case.image, case.labels, case.scheme, case.spacing_mm)
    except InputError as error:
        return rejected("quality", 1.0, str(error))
    if np.isnan(found["noise"]) or np.isnan(found["unexplained"]):
        return rejected("quality", 1.0, "the head is too thin or too uniform to measure noise and contrast")
    strains = {"offset": (found["offset"] / config.offset_voxels, f"at most {config.offset_voxels:g} voxels")}
    note = ""
    if case.yardstick is None:
        note = "; nothing else judged: no measures of real cases are known"
    elif other := case.yardstick.not_comparable(case.spacing_mm):
        note = f"; nothing else judged: {other}"
    else:
        strains |= _strains(found, case.yardstick, config)
    name = max(strains, key=lambda key: strains[key][0])
    value, allowed = strains[name]
    return Finding("quality", value, 1.0, value <= 1.0, f"worst: {name} {found[name]:.4g}, {allowed}{note}")


def _strains(found: dict[str, float], yardstick: Yardstick, config: Config) -> dict[str, tuple[float, str]]:
    """Strain and band, for people, of every measure that real cases have too."""
    strains = {}
    shared = [name for name in found if name != "offset" and _comparable(name, found[name], yardstick, config)]
    percentile = 100 - (100 - config.percentile) / max(len(shared), 1)
    for name in shared:
        value, known, least, shift = found[name], yardstick.measures[name], config.least, 0.0
        if name.startswith("edgeless"):
            shift = config.edgeless_mm2
            least = float(np.log(2)) * limits.for_few(int(np.isfinite(known).sum()), percentile)
        centre, low, high = limits.interval(_log(known + shift), percentile, least)
        if np.isnan(centre):
            continue
        place = float(_log(np.array([value + shift]))[0])
        up, down = (place - centre) / (high - centre), (centre - place) / (centre - low)
        only_up = name in UPWARDS or name.startswith(("misfit", "edgeless"))
        band = f"real cases {'up to' if only_up else f'{np.exp(low):.4g} to'} {np.exp(high) - shift:.4g}"
        strains[name] = (up if only_up else max(up, down), band)
    return strains


def _comparable(name: str, value: float, yardstick: Yardstick, config: Config) -> bool:
    known = yardstick.measures.get(name, np.zeros(0))
    if not np.isfinite(value) or not np.isfinite(known).any():
        return False
    return not name.startswith("edgeless") or bool(np.nanmedian(known) <= config.edgeless_mm2)


def _log(values: np.ndarray) -> np.ndarray:
    """Logarithm; measures are positive and their spread grows with their size."""
    return np.asarray(np.log(np.maximum(values, 1e-4)))
