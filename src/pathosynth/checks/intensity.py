"""Does every tissue have the intensity it should have?

With bands learnt from training images: each tissue's median inside its band. Without them: CSF must be the brightest or
the darkest of CSF, grey and white matter, as in T1w, T2w and FLAIR images.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pydantic

from pathosynth.data.findings import Bands, CheckInput, Finding, rejected
from pathosynth.data.intensity import robust_scale
from pathosynth.data.labels import LabelScheme
from pathosynth.data.pairs import Pair
from pathosynth.runs.config import Config as BaseConfig
from pathosynth.runs.errors import InputError

SPAN = 0.2
"""How far inside its range the worst tissue of a good case lies, for the score: 0.1 to 0.25 in real ones."""


class Config(BaseConfig):
    """How far from the training images is too far. Intensities in units of the robust range (`data.intensity`)."""

    widen: float = pydantic.Field(0.5, ge=0)
    """Every learnt band is widened on both sides by this share of its width, because a few training cases do not show
    the whole range."""
    margin: float = pydantic.Field(0.1, ge=0)
    """And by this much, so that a band learnt from one case has a width. Six spina bifida atlas images, each judged by
    bands learnt from the other five, need 0.075."""
    csf_gap: float = pydantic.Field(0.08, ge=0)
    """Without bands: smallest distance of the median of CSF from those of cortex and white matter."""
    smallest_ml: float = pydantic.Field(0.1, ge=0)
    """Labels with less volume are not judged."""


def learn_bands(pairs: Sequence[Pair], scheme: LabelScheme) -> dict[str, tuple[float, float]]:
    """Lowest and highest median of every label over training images, by label name; JSON-able.

    Raises:
        InputError: there is no pair.
    """
    if not pairs:
        raise InputError("Intensity bands: expected at least one training image with labels, found none.")
    return bands_over([label_medians(pair.image, pair.labels, scheme) for pair in pairs])


def bands_over(cases: Sequence[Mapping[str, float]]) -> dict[str, tuple[float, float]]:
    """Lowest and highest median of every label over cases measured by `label_medians`."""
    seen: dict[str, list[float]] = {}
    for medians in cases:
        for name, median in medians.items():
            seen.setdefault(name, []).append(median)
    return {name: (round(min(found), 4), round(max(found), 4)) for name, found in seen.items()}


def check(case: CheckInput, config: Config) -> Finding:
    """How far the worst tissue lies outside its allowed range, in units of the robust range; 0 or less passes."""
    reason = case.unusable(image=True, labels=True)
    if reason or case.image is None or case.labels is None:
        return rejected("intensity", 0.0, reason)
    fewest = max(1, int(config.smallest_ml * 1000 / float(np.prod(case.spacing_mm))))
    try:
        medians = label_medians(case.image, case.labels, case.scheme, fewest)
    except InputError as error:
        return rejected("intensity", 0.0, str(error))
    if case.bands is not None:
        excess = _band_excess(medians, case.bands, config)
    else:
        excess = _order_excess(case.image, case.labels, case.scheme, config)
    if not excess:
        return rejected("intensity", 0.0, "no tissue could be compared: no band and no CSF, cortex and white matter")
    name = max(excess, key=lambda key: excess[key])
    detail = f"worst: {name}, {excess[name]:+.3f} of the intensity range beyond what is allowed"
    return Finding("intensity", excess[name], 0.0, excess[name] <= 0, detail, span=SPAN)


def label_medians(image: np.ndarray, labels: np.ndarray, scheme: LabelScheme, fewest: int = 1) -> dict[str, float]:
    """Median of every label with at least `fewest` voxels, after the intensity rule; by label name."""
    scaled, _, _ = robust_scale(image, labels > 0)
    values = {label.name: scaled[labels == label.value] for label in scheme.labels}
    return {name: float(np.median(v)) for name, v in values.items() if v.size >= fewest}


def _band_excess(medians: Mapping[str, float], bands: Bands, config: Config) -> dict[str, float]:
    """Distance beyond the widened band, negative inside, for every tissue with a band."""
    excess = {}
    for name, median in medians.items():
        if name in bands:
            low, high = bands[name]
            slack = config.margin + config.widen * (high - low)
            excess[name] = max(low - slack - median, median - high - slack)
    return excess


def _order_excess(image: np.ndarray, labels: np.ndarray, scheme: LabelScheme, config: Config) -> dict[str, float]:
    """How much the median of CSF lacks of being `csf_gap` above, or below, those of cortex and white matter."""
    scaled, _, _ = robust_scale(image, labels > 0)
    tissues: dict[str, list[int]] = {}
    for label in scheme.labels:
        tissues.setdefault(label.tissue, []).append(label.value)
    medians = {}
    for tissue in ("csf", "grey_matter", "white_matter"):
        values = scaled[np.isin(labels, tissues.get(tissue, []))]
        if values.size:
            medians[tissue] = float(np.median(values))
    others = [medians[tissue] for tissue in medians if tissue != "csf"]
    if "csf" not in medians or not others:
        return {}
    above, below = medians["csf"] - max(others), min(others) - medians["csf"]
    return {"csf against grey and white matter": config.csf_gap - max(above, below)}
