"""Are the grades of one arm higher than those of another? Effects and tests, each with what it speaks of.

Real and synthetic cases are different cases. What speaks of new readers and new cases takes both as samples; tests over
readers' means or over cases' means speak of these cases or these readers alone.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np
from scipy import stats

from pathosynth.metrics.statistics import FEWEST, paired
from pathosynth.reader.analysis.detection import auc_over_readers
from pathosynth.reader.analysis.estimate import Estimate, undefined
from pathosynth.reader.analysis.mrmc import mean_estimate, mean_over_readers
from pathosynth.reader.analysis.ordinal import odds_ratio
from pathosynth.reader.analysis.superiority import mean_covariances, pair_scores

MOST_ORDERS = 20_000
"""Above so many ways to divide the cases a rank test with ties is not exact but approximate."""

EFFECTS = ("difference", "superiority", "odds_ratio")
"""Difference of means; P(higher) + P(equal) / 2; odds ratio of a higher grade. All of the arm against the reference."""


def compare(values: np.ndarray, second: np.ndarray, names: Sequence[str], seed: int) -> dict[str, Any]:
    """Compare the cases of an arm with those of a reference arm.

    Args:
        values: (cases, readers) grades of both arms, NaN where there is none.
        second: (cases,) whether a case is of the arm; else it is of the reference.
        names: of the cases; a name in both arms is a matched pair.
        seed: of bootstraps.
    """
    both = np.isfinite(values[second]).any(axis=0) & np.isfinite(values[~second]).any(axis=0)
    if not both.any():
        missing = undefined("No reader rated cases of both arms.", readers=0)
        return {"effects": dict.fromkeys(EFFECTS, missing), "tests": {}}
    values = values[:, both]
    found = effects(values, second)
    tests = {
        "readers_and_cases": {
            "speaks_of": "new readers and new cases",
            "test": "superiority over readers and cases (Obuchowski and Rockette)",
            "n": found["superiority"].cases, "p": found["superiority"].p, "why": found["superiority"].why,
        },
        "over_readers": _over_readers(values, second, seed),
        "over_cases": _over_cases(values, second),
        "matched_cases": _matched(values, second, names, seed),
    }  # fmt: skip
    return {"effects": found, "tests": tests}


def effects(values: np.ndarray, second: np.ndarray) -> dict[str, Estimate]:
    """`EFFECTS` of the arm against the reference, for readers and cases like these.

    Args:
        values: (cases, readers) grades; every reader rated cases of both arms.
        second: (cases,) whether a case is of the arm.
    """
    pairs = [pair_scores(values[~second, i], values[second, i]) for i in range(values.shape[1])]
    return {
        "difference": _difference(values, second),
        "superiority": auc_over_readers(pairs),
        "odds_ratio": odds_ratio(values, second),
    }


def _difference(values: np.ndarray, second: np.ndarray) -> Estimate:
    """Mean of the arm minus mean of the reference, a reader's means first."""
    change = np.nanmean(values[second], axis=0) - np.nanmean(values[~second], axis=0)
    covariance = mean_covariances(values[second]) + mean_covariances(values[~second])
    found = mean_estimate(mean_over_readers(list(change), covariance, max(len(values) - 2, 1)))
    return replace(found, cases=len(values))


def _over_readers(values: np.ndarray, second: np.ndarray, seed: int) -> dict[str, Any]:
    """Signed-rank test of readers' mean grades: new readers, these cases."""
    means = np.nanmean(values[second], axis=0), np.nanmean(values[~second], axis=0)
    return _signed_rank(*means, "new readers of these very cases", "readers", seed)


def _matched(values: np.ndarray, second: np.ndarray, names: Sequence[str], seed: int) -> dict[str, Any] | None:
    """Signed-rank test over cases that both arms have by the same name; None without any."""
    means = _case_means(values)
    by_name = [
        {name: mean for name, mean, own in zip(names, means, arm, strict=True) if own and math.isfinite(mean)}
        for arm in (second, ~second)
    ]
    shared = sorted(set(by_name[0]) & set(by_name[1]))
    if not shared:
        return None
    first, other = (np.array([one[name] for name in shared]) for one in by_name)
    return _signed_rank(first, other, "new matched cases, these very readers", "matched cases", seed)


def _signed_rank(first: np.ndarray, other: np.ndarray, speaks_of: str, unit: str, seed: int) -> dict[str, Any]:
    found = paired(first, other, (first, other), seed)
    why = None
    if found.p is None:
        why = f"No difference in any of {found.n} {unit}."
    elif (found.higher + found.lower) < FEWEST:
        why = f"{found.higher + found.lower} {unit} that differ: p cannot fall below {found.smallest_p:.3g}."
    told = asdict(found)
    return {"speaks_of": speaks_of, "test": f"Wilcoxon signed-rank over {unit}", **told, "why": why}


def _over_cases(values: np.ndarray, second: np.ndarray) -> dict[str, Any]:
    """Rank test of cases' mean grades: new cases, these readers."""
    means = _case_means(values)
    one, other = (means[arm & np.isfinite(means)] for arm in (second, ~second))
    told = {"speaks_of": "new cases, these very readers", "test": "Mann-Whitney over cases", "n": len(one) + len(other)}
    if np.ptp(np.r_[one, other]) == 0:
        return told | {"p": None, "effect": None, "why": "All cases have the same mean grade."}
    orders = math.comb(len(one) + len(other), len(one))
    enough = min(len(one), len(other)) > 1  # scipy permutes two cases or more of either arm
    tied = len(np.unique(np.r_[one, other])) < len(one) + len(other)
    exact = stats.PermutationMethod(n_resamples=MOST_ORDERS) if tied and enough and orders <= MOST_ORDERS else "auto"
    found = stats.mannwhitneyu(one, other, alternative="two-sided", method=exact)
    # Rank-biserial correlation (Kerby 2014): share of pairs in favour minus share against.
    effect = 2 * float(found.statistic) / (len(one) * len(other)) - 1
    return told | {"p": float(found.pvalue), "effect": effect, "why": None}


def _case_means(values: np.ndarray) -> np.ndarray:
    """(cases,) mean over readers, NaN where nobody rated."""
    known = np.isfinite(values)
    counts = known.sum(axis=1)
    sums = np.nansum(values, axis=1)
    return np.asarray(np.divide(sums, counts, out=np.full(len(values), np.nan), where=counts > 0))
