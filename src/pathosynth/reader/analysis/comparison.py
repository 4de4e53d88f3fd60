"""Are the grades of one arm higher than those of another? Effects and tests, each with what it speaks of.

Real and synthetic cases are different cases. What speaks of new readers and new cases takes both as samples; tests over
readers' means or over cases' means speak of these cases or these readers alone.
"""

import math
from dataclasses import asdict, replace
from typing import Any

import numpy as np
from scipy import stats

from pathosynth.metrics.statistics import FEWEST, paired
from pathosynth.reader.analysis.detection import auc_over_readers
from pathosynth.reader.analysis.estimate import Estimate, one_sided, quantile, undefined
from pathosynth.reader.analysis.mrmc import mean_estimate, mean_over_readers
from pathosynth.reader.analysis.ordinal import odds_ratio
from pathosynth.reader.analysis.superiority import pair_scores, sum_covariances
from pathosynth.reader.analysis.units import number_of

MOST_ORDERS = 20_000
"""Above so many ways to divide the cases a rank test with ties is not exact but approximate."""

EFFECTS = ("difference", "superiority", "odds_ratio")
"""Difference of means; P(higher) + P(equal) / 2; odds ratio of a higher grade. All of the arm against the reference."""


MARGIN_LEVEL = 0.9
"""Of the interval that is held against a margin: its ends are those of two one-sided tests at 5 %."""


def compare(
    values: np.ndarray, second: np.ndarray, units: np.ndarray, seed: int, margin: float | None = None
) -> dict[str, Any]:
    """Compare the cases of an arm with those of a reference arm.

    Args:
        values: (cases, readers) grades of both arms, NaN where there is none.
        second: (cases,) whether a case is of the arm; else it is of the reference.
        units: (cases,) of the cases; a unit in both arms is a matched pair.
        seed: of bootstraps.
        margin: difference of mean grades that would not matter; with it there is `against_margin` as well.
    """
    both = np.isfinite(values[second]).any(axis=0) & np.isfinite(values[~second]).any(axis=0)
    if not both.any():
        missing = undefined("No reader rated cases of both arms.", readers=0)
        nothing: dict[str, Any] = {"effects": dict.fromkeys(EFFECTS, missing), "tests": {}}
        return nothing if margin is None else nothing | {"margin": against_margin(missing, margin)}
    values = values[:, both]
    found = effects(values, second, units)
    tests = {
        "readers_and_cases": {
            "speaks_of": "new readers and new cases",
            "test": "superiority over readers and cases (Obuchowski and Rockette)",
            "n": found["superiority"].cases, "p": found["superiority"].p, "why": found["superiority"].why,
        },
        "over_readers": _over_readers(values, second, seed),
        "over_cases": _over_cases(values, second, units),
        "matched_cases": _matched(values, second, units, seed),
    }  # fmt: skip
    if margin is None:
        return {"effects": found, "tests": tests}
    return {"effects": found, "tests": tests, "margin": against_margin(found["difference"], margin)}


def against_margin(difference: Estimate, margin: float) -> dict[str, Any]:
    """Is an arm not worse than the reference by a margin, or the same within it? One-sided tests at 5 %.

    Not worse: the lower end of the 90 % interval of the difference lies above -margin. Equivalent: the upper one below
    the margin as well (Schuirmann 1987).

    Args:
        difference: of means, arm minus reference; higher grades are better.
        margin: in grades, above 0.
    """
    value, low95, df = difference.value, difference.low, difference.df or math.inf
    if value is None or low95 is None:
        return {"margin": margin, "level": MARGIN_LEVEL, "low": None, "high": None, "not_worse": None,
                "p_not_worse": None, "equivalent": None, "p_equivalent": None, "why": difference.why}  # fmt: skip
    error = (value - low95) / quantile(df)
    low, high = (value + side * quantile(df, MARGIN_LEVEL) * error for side in (-1, 1))
    above, below = one_sided((value + margin) / error, df), one_sided((margin - value) / error, df)
    return {"margin": margin, "level": MARGIN_LEVEL, "low": low, "high": high, "not_worse": low > -margin,
            "p_not_worse": above, "equivalent": low > -margin and high < margin, "p_equivalent": max(above, below),
            "why": None}  # fmt: skip


def effects(values: np.ndarray, second: np.ndarray, units: np.ndarray) -> dict[str, Estimate]:
    """`EFFECTS` of the arm against the reference, for readers and cases like these.

    Args:
        values: (cases, readers) grades; every reader rated cases of both arms.
        second: (cases,) whether a case is of the arm.
        units: (cases,) of the cases.
    """
    pairs = [pair_scores(values[~second, i], values[second, i]) for i in range(values.shape[1])]
    return {
        "difference": _difference(values, second, units),
        "superiority": auc_over_readers(pairs, (units[~second], units[second])),
        "odds_ratio": odds_ratio(values, second, units),
    }


def _difference(values: np.ndarray, second: np.ndarray, units: np.ndarray) -> Estimate:
    """Mean of the arm minus mean of the reference, a reader's means first."""
    change = np.nanmean(values[second], axis=0) - np.nanmean(values[~second], axis=0)
    covariance = sum_covariances(values[second], values[~second], (units[second], units[~second]), -1)
    found = mean_estimate(mean_over_readers(list(change), covariance, max(number_of(units) - 2, 1)))
    return replace(found, cases=len(values))


def _over_readers(values: np.ndarray, second: np.ndarray, seed: int) -> dict[str, Any]:
    """Signed-rank test of readers' mean grades: new readers, these cases."""
    means = np.nanmean(values[second], axis=0), np.nanmean(values[~second], axis=0)
    return _signed_rank(*means, "new readers of these very cases", "readers", seed)


def _matched(values: np.ndarray, second: np.ndarray, units: np.ndarray, seed: int) -> dict[str, Any] | None:
    """Signed-rank test over units that both arms have; None without any."""
    one, other = (_unit_means(values[arm], units[arm]) for arm in (second, ~second))
    shared = sorted(set(one) & set(other))
    if not shared:
        return None
    first, then = (np.array([means[unit] for unit in shared]) for means in (one, other))
    return _signed_rank(first, then, "new matched cases, these very readers", "matched cases", seed)


def _signed_rank(first: np.ndarray, other: np.ndarray, speaks_of: str, unit: str, seed: int) -> dict[str, Any]:
    found = paired(first, other, (first, other), seed)
    why = None
    if found.p is None:
        why = f"No difference in any of {found.n} {unit}."
    elif (found.higher + found.lower) < FEWEST:
        why = f"{found.higher + found.lower} {unit} that differ: p cannot fall below {found.smallest_p:.3g}."
    told = asdict(found)
    return {"speaks_of": speaks_of, "test": f"Wilcoxon signed-rank over {unit}", **told, "why": why}


def _over_cases(values: np.ndarray, second: np.ndarray, units: np.ndarray) -> dict[str, Any]:
    """Rank test of cases' mean grades, those of one unit and arm averaged: new cases, these readers."""
    one, other = (np.array(list(_unit_means(values[arm], units[arm]).values())) for arm in (second, ~second))
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


def _unit_means(values: np.ndarray, units: np.ndarray) -> dict[int, float]:
    """Unit to the mean over its cases of their means over readers; what nobody rated is left out."""
    known = np.isfinite(values)
    rated = known.any(axis=1)
    means = np.where(known, values, 0.0)[rated].sum(axis=1) / known[rated].sum(axis=1)
    return {int(unit): float(means[units[rated] == unit].mean()) for unit in np.unique(units[rated])}
