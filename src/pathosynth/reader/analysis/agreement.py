"""Every measure of agreement between readers by its name, for one question."""

import numpy as np

from pathosynth.reader.analysis import icc
from pathosynth.reader.analysis.alpha import LEVELS, krippendorff_alpha
from pathosynth.reader.analysis.detection import pooled_share
from pathosynth.reader.analysis.estimate import Estimate, undefined
from pathosynth.reader.analysis.kappa import cohen_kappa, fleiss_kappa, percent_agreement
from pathosynth.reader.analysis.ratings import Question

ALPHAS = tuple(f"alpha_{level}" for level in LEVELS)
KAPPAS = ("fleiss_kappa", "weighted_kappa")
NAMES = (*icc.NAMES, *ALPHAS, *KAPPAS)
"""Always there, with a value or a sentence."""

FURTHER = ("weighted_kappa_linear", "weighted_kappa_quadratic", "cohen_kappa", "percent_agreement")
"""There as well: both weightings, no weights (means over pairs of readers), and agreement without correction."""

WHOLE_SETS = "Ticks are compared as whole sets, which have no order; see the single options."
NO_ORDER = "The answers are names, which have neither distance nor order."
TEXT = "Text is not analysed; if these are names, ticks or grades say so with --kind or --scale."


def agreement(values: np.ndarray, kind: str, weights: str, units: np.ndarray) -> dict[str, Estimate]:
    """Agreement between readers; what the kind of question does not allow says so.

    Args:
        values: (cases, readers), NaN where there is no rating.
        kind: of the question.
        weights: of the main weighted kappa, linear or quadratic.
        units: (cases,) of the cases, over which intervals are; those of ICCs take cases for independent.
    """
    if kind == "text":
        return dict.fromkeys((*NAMES, *FURTHER), undefined(TEXT))
    found = {
        "alpha_nominal": krippendorff_alpha(values, "nominal", units),
        "fleiss_kappa": fleiss_kappa(values, units),
        "cohen_kappa": cohen_kappa(values, "none", units),
        "percent_agreement": percent_agreement(values, units),
    }
    if kind in ("nominal", "ticks"):
        without = undefined(NO_ORDER if kind == "nominal" else WHOLE_SETS)
        return {name: found.get(name, without) for name in (*NAMES, *FURTHER)}
    found |= icc.intraclass_correlations(values)
    found |= {f"alpha_{level}": krippendorff_alpha(values, level, units) for level in LEVELS[1:]}
    found |= {f"weighted_kappa_{one}": cohen_kappa(values, one, units) for one in ("linear", "quadratic")}
    found["weighted_kappa"] = found[f"weighted_kappa_{weights}"]
    return {name: found[name] for name in (*NAMES, *FURTHER)}


def options(question: Question) -> dict[str, dict[str, object]]:
    """Every option that can be ticked: agreement on it, and how often each arm has it."""
    found: dict[str, dict[str, object]] = {}
    for name, ticked in zip(question.coded.options, question.ticked, strict=True):
        cases = {arm: question.of_arm(arm) for arm in question.arms}
        shares = {arm: _share(ticked[own], question.units[own]) for arm, own in cases.items()}
        found[name] = {"agreement": agreement(ticked, "nominal", "quadratic", question.units), "share_ticked": shares}
    return found


def _share(ticked: np.ndarray, units: np.ndarray) -> Estimate:
    """Share of readings with a tick, for readers and cases like these."""
    read = ticked[:, np.isfinite(ticked).any(axis=0)]
    return pooled_share(read, units) if read.size else undefined("No reading of this arm.", 0, 0)
