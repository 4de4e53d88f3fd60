"""Arms as modalities: is one generator easier to tell from real cases than another, or one way of reading better?"""

from typing import Any

import numpy as np

from pathosynth.reader.analysis.detection import auc_covariances, auc_estimate
from pathosynth.reader.analysis.mrmc import Comparison, compare_modalities, mean_over_readers
from pathosynth.reader.analysis.ratings import Question
from pathosynth.reader.analysis.superiority import Units, auc, pair_scores

FEW = "Needs two arms that some reader judged cases of both kinds in."


def compare_arms(question: Question) -> dict[str, Any]:
    """AUCs of every arm over readers and cases, and their comparison (Obuchowski and Rockette, unbiased covariances).

    With a truth, arms are modalities in which the cases may be the same, and an AUC is that of positive over negative
    cases. Without, an AUC is that of an arm's synthetic cases over the real cases, which all arms share.

    Args:
        question: of a kind with order; without a truth, one whose real cases are known.
    """
    arms, pairs, units = _pairs(question)
    kept = [i for i in range(len(question.readers)) if all(np.isfinite(one[i]).any() for one in pairs.values())]
    if len(arms) < 2 or not kept:
        return {"arms": list(arms), "why": FEW}
    r = len(kept)
    stacked = [pairs[arm][i] for arm in arms for i in kept]
    values = np.array([auc(one) for one in stacked]).reshape(len(arms), r)
    covariance = auc_covariances(stacked, units).reshape(len(arms), r, len(arms), r)
    means = {}
    for place, arm in enumerate(arms):
        known = np.isfinite(np.array([pairs[arm][i] for i in kept])).any(axis=0)
        means[arm] = auc_estimate(mean_over_readers(list(values[place]), covariance[place, :, place]), known, units)
    names = [question.readers[i] for i in kept]
    cases = len({case for case, _ in question.cases}) if question.positive is not None else len(question.cases)
    return {"arms": list(arms), "readers": names, "cases": cases, "mean_auc": means,
            "auc": {arm: dict(zip(names, map(float, values[place]), strict=True)) for place, arm in enumerate(arms)},
            **_told(compare_modalities(values, covariance), arms)}  # fmt: skip


def _pairs(question: Question) -> tuple[tuple[str, ...], dict[str, list[np.ndarray]], Units]:
    """Arms, pair scores of every arm and reader on one grid of negative and positive cases, and units of these."""
    if question.positive is None:
        (_, negative), arms = question.reference(), question.compared()
        found = {}
        for arm, own in arms.items():
            shown = np.where(own[:, None], question.values, np.nan)[~negative]
            found[arm] = [pair_scores(question.values[negative, i], shown[:, i]) for i in range(len(question.readers))]
        return tuple(arms), found, (question.units[negative], question.units[~negative])
    truth = {case: bool(one) for (case, _), one in zip(question.cases, question.positive, strict=True)}
    place = {case: i for i, case in enumerate(truth)}
    positive = np.array(list(truth.values()), bool)
    found = {}
    for arm in question.arms:
        scores = np.full((len(place), len(question.readers)), np.nan)
        for (case, own_arm), row in zip(question.cases, question.values, strict=True):
            if own_arm == arm:
                scores[place[case]] = row
        found[arm] = [pair_scores(scores[~positive, i], scores[positive, i]) for i in range(len(question.readers))]
    unit = dict(zip((case for case, _ in question.cases), question.units, strict=True))
    units = np.array([unit[case] for case in place])
    return question.arms, found, (units[~positive], units[positive])


def _told(found: Comparison, arms: tuple[str, ...]) -> dict[str, Any]:
    parts = found.components
    return {
        "f": found.f, "df1": found.df1, "df2": found.df2, "p": found.p, "why": found.why,
        "differences": [
            {"first": arms[i], "second": arms[k], "difference": one} for (i, k), one in found.differences.items()
        ],
        "components": {
            "error": parts.error, "cov1": parts.cov1, "cov2": parts.cov2, "cov3": parts.cov3, "reader": parts.reader,
            "interaction": parts.interaction,
        },
    }  # fmt: skip
