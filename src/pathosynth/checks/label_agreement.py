"""Does an independent segmenter, which learnt from real scans only, find in the image what it was made from?

Dice of every label between the map an image was made from and what the segmenter predicts on it. Where the segmenter
itself agrees less with the labels of real scans it never saw, less is asked for (`pathosynth bands --predicted`).
"""

import numpy as np
import pydantic

from pathosynth.checks import limits
from pathosynth.data.findings import CheckInput, Finding, rejected
from pathosynth.metrics import dice
from pathosynth.runs.config import Config as BaseConfig


class Config(BaseConfig):
    """How much agreement is enough."""

    percentile: float = pydantic.Field(99.5, gt=50, lt=100)
    """Share of real cases, in percent, whose Dice lies above the limit of a label."""
    lowest_dice: float = pydantic.Field(0.8, gt=0, lt=1)
    """Lowest Dice of the ventricles where nothing is known of the segmenter on real cases: a single case may lie so far
    below the 0.9 that is asked of the mean."""
    least: float = pydantic.Field(0.02, ge=0)
    """Smallest distance of a limit from the mean Dice of real cases."""
    smallest_ml: float = pydantic.Field(0.1, ge=0)
    """Labels with less volume are not judged."""


def check(case: CheckInput, config: Config) -> Finding:
    """Disagreement (1 - Dice) of the worst label over what is allowed; above 1 fails."""
    reason = case.unusable(image=case.image is not None, labels=True)
    if reason or case.labels is None:
        return rejected("label_agreement", 1.0, reason)
    if case.predicted is None:
        return Finding("label_agreement", 0.0, 1.0, True, "not judged: no predictions were given", judged=False)
    if case.predicted.shape != case.labels.shape:
        shapes = f"{case.predicted.shape}, the label map {case.labels.shape}"
        return rejected("label_agreement", 1.0, f"the prediction has shape {shapes}")
    found = agreement(case, config.smallest_ml)
    allowed = _allowed(case, config)
    strains = {name: (1 - value) / (1 - allowed[name]) for name, value in found.items() if name in allowed}
    if not strains:
        return rejected("label_agreement", 1.0, "no label could be compared: none has a limit and enough volume")
    name = max(strains, key=lambda key: strains[key])
    detail = f"worst: {name}, Dice {found[name]:.3f}, at least {allowed[name]:.3f} expected"
    return Finding("label_agreement", strains[name], 1.0, strains[name] <= 1.0, detail)


def agreement(case: CheckInput, smallest_ml: float = 0.1) -> dict[str, float]:
    """Dice of every label of the map with at least so much volume, by label name, and of the ventricles as one."""
    if case.labels is None or case.predicted is None:
        return {}
    fewest = max(1.0, smallest_ml * 1000 / float(np.prod(case.spacing_mm)))
    masks = {label.name: (case.labels == label.value, case.predicted == label.value) for label in case.scheme.labels}
    if case.scheme.has("ventricles"):
        group = (case.scheme.mask(case.labels, "ventricles"), case.scheme.mask(case.predicted, "ventricles"))
        masks["ventricles"] = group
    return {
        name: dice.compute(truth, found, case.spacing_mm)
        for name, (truth, found) in masks.items()
        if truth.sum() >= fewest
    }


def _allowed(case: CheckInput, config: Config) -> dict[str, float]:
    """Lowest Dice of every label that has a limit."""
    if case.agreement is None:
        return {"ventricles": config.lowest_dice}
    lowest = {}
    for name, values in case.agreement.dice.items():
        low = limits.interval(values, 2 * config.percentile - 100, config.least)[1]
        if np.isfinite(low):
            lowest[name] = float(np.clip(low, 0.0, 0.999))
    return lowest
