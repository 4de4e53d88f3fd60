"""Names and numbers of statistics as people read them."""

from collections.abc import Mapping
from typing import Any

from pathosynth.drawing.page import number, p_value
from pathosynth.reader.analysis.estimate import Estimate

NAMES = {
    "icc1": "ICC(1,1)", "icc2": "ICC(2,1)", "icc3": "ICC(3,1)",
    "icc1k": "ICC(1,k)", "icc2k": "ICC(2,k)", "icc3k": "ICC(3,k)",
    "alpha_nominal": "Krippendorff's α, nominal", "alpha_ordinal": "Krippendorff's α, ordinal",
    "alpha_interval": "Krippendorff's α, interval", "alpha_ratio": "Krippendorff's α, ratio",
    "fleiss_kappa": "Fleiss' κ", "weighted_kappa": "weighted κ", "weighted_kappa_linear": "weighted κ, linear",
    "weighted_kappa_quadratic": "weighted κ, quadratic", "cohen_kappa": "Cohen's κ, mean of pairs",
    "percent_agreement": "share of agreeing pairs",
    "accuracy": "accuracy", "sensitivity": "synthetic recognised", "specificity": "real recognised",
    "auc": "AUC of confidence", "d_prime": "d′", "criterion": "criterion c",
    "difference": "difference of means", "superiority": "P(higher) + ½ P(equal)",
    "odds_ratio": "odds ratio of a higher grade",
}  # fmt: skip
"""Of every statistic."""

BANDS = ((0.5, "poor"), (0.75, "moderate"), (0.9, "good"), (2.0, "excellent"))
"""Upper ends of Koo and Li's (2016) bands of an ICC."""


def interval(one: Estimate, digits: int = 2) -> str:
    """Both ends, or a dash for one there is not."""
    if one.low is None and one.high is None:
        return "–"
    return f"{number(one.low, digits)} to {number(one.high, digits)}"


def told(one: Estimate, digits: int = 2) -> str:
    """Value, interval and p; the sentence where there is no value."""
    if one.value is None:
        return str(one.why)
    p = "" if one.p is None else f", p {'= ' if one.p >= 0.001 else ''}{p_value(one.p)}"
    return f"{number(one.value, digits)} ({interval(one, digits)}){p}"


def band(one: Estimate) -> str:
    """What Koo and Li call the interval of an ICC, e.g. ``moderate to good``."""
    if one.low is None or one.high is None:
        return ""
    low, high = (next(word for end, word in BANDS if value < end) for value in (one.low, one.high))
    return low if low == high else f"{low} to {high}"


def against(margin: Mapping[str, Any]) -> str:
    """What an arm is, held against a margin, in words."""
    m = number(margin["margin"])
    if margin["not_worse"] is None:
        return str(margin["why"])
    verdict = f"the same within {m}" if margin["equivalent"] else f"not worse by {m}"
    shown = verdict if margin["not_worse"] else f"not shown to be no worse by {m}"
    p = margin["p_equivalent"] if margin["equivalent"] else margin["p_not_worse"]
    ends = f"{number(margin['low'])} to {number(margin['high'])}"
    return f"{shown} (90 % interval {ends}; one-sided p {'= ' if p >= 0.001 else ''}{p_value(p)})"


def summary(found: Mapping[str, Any]) -> str:
    """A few lines for a terminal."""
    lines = []
    for name, one in found["questions"].items():
        lines.append(f"{name}: {one['kind']}, {len(one['readers'])} readers, {one['cases']} cases")
        if one["kind"] == "text":
            continue
        shown = ("icc2", "alpha_ordinal", "weighted_kappa") if one["kind"] in ("graded", "detection") else ()
        for key in (*shown, "fleiss_kappa", "percent_agreement"):
            lines.append(f"  {NAMES[key]:<28}{told(one['agreement'][key])}")
        for key in ("accuracy", "auc", "d_prime"):
            pooled = one.get("detection", {}).get("pooled", {})
            if key in pooled and (one["kind"] == "detection" or pooled[key].value is not None):
                lines.append(f"  {NAMES[key]:<28}{told(pooled[key])}")
        for arm, compared in one.get("comparisons", {}).items():
            above = f"{arm} above {compared['reference']}"
            lines.append(f"  {above:<28}{told(compared['effects']['superiority'])}")
            if "margin" in compared:
                lines.append(f"  {arm + ' by its mean grade':<28}{against(compared['margin'])}")
    if found["caveats"]:
        lines += ["Before reading on:", *(f"  {text}" for text in found["caveats"])]
    return "\n".join(lines)
