"""Does the image look like none of the real ones? Distance to the nearest of them in a fixed feature space.

Features of `metrics.features` (texture, blur, noise, contrast at three scales), brought to unit variance over the real
cases. What lies farther from its nearest real cases than they lie from those of other people is outside their region.
That is told and turns nobody down: it may be worse, or only from another scanner, or sicker. Of 18 healthy fetuses
reshaped into spina bifida with their own images carried along, 7 lie outside the region of those 18.
"""

import numpy as np
import pydantic

from pathosynth.checks import limits
from pathosynth.data.findings import CheckInput, Finding, rejected
from pathosynth.data.yardstick import Yardstick
from pathosynth.metrics.features import NET, random_conv3d
from pathosynth.runs.config import Config as BaseConfig
from pathosynth.runs.errors import InputError


class Config(BaseConfig):
    """Where the region of real images ends."""

    percentile: float = pydantic.Field(99.0, gt=50, lt=100)
    """Share of real images, in percent, that lie inside."""
    neighbours: int = pydantic.Field(3, ge=1)
    """Nearest real cases whose mean distance counts."""


def check(case: CheckInput, config: Config) -> Finding:
    """Mean distance to the nearest real cases, over the largest real cases have from other people; above 1 is told.

    Root mean square over the features, each in standard deviations of the real cases.
    """
    reason = case.unusable(image=True, labels=True)
    if reason or case.image is None or case.labels is None:
        return rejected("unusual", 1.0, reason)
    try:
        vector = random_conv3d(case.image, case.labels > 0)
    except InputError as error:
        return rejected("unusual", 1.0, str(error))
    known = case.yardstick
    if known is None or known.net != NET or known.features.shape[1] != vector.size:
        return _unjudged("no features of real cases are known")
    if other := known.not_comparable(case.spacing_mm):
        return _unjudged(other)
    subjects = np.array(known.subjects)
    if len(set(known.subjects)) <= config.neighbours:
        return _unjudged(f"{len(set(known.subjects))} real people are too few")
    spread = np.maximum(known.features.std(axis=0, ddof=1), 1e-6)
    distance = _distance(vector, known.features, spread, config.neighbours)
    usual, limit = _usual(known, subjects, spread, config)
    value = distance / limit
    detail = f"{distance:.2f} SD from the nearest {config.neighbours} real images, which reach {limit:.2f} among people"
    if value > 1:
        detail += "; look at it: worse, sicker, or of another scanner"
    return Finding("unusual", value, 1.0, True, detail, advice=True, span=max(1 - usual / limit, 0.1))


def _distance(vector: np.ndarray, features: np.ndarray, spread: np.ndarray, neighbours: int) -> float:
    each = np.sqrt((((features - vector) / spread) ** 2).mean(axis=1))
    return float(np.sort(each)[:neighbours].mean())


def _usual(known: Yardstick, subjects: np.ndarray, spread: np.ndarray, config: Config) -> tuple[float, float]:
    """Distance of a real case of a new person: the usual one, and the largest expected, never below that of any."""
    found = [
        _distance(vector, known.features[subjects != subject], spread, config.neighbours)
        for vector, subject in zip(known.features, subjects, strict=True)
    ]
    centre, _, high = limits.interval(np.log(np.array(found)), 2 * config.percentile - 100)
    return float(np.exp(centre)), float(np.exp(high))


def _unjudged(reason: str) -> Finding:
    return Finding("unusual", 0.0, 1.0, True, f"not judged: {reason}", judged=False)
