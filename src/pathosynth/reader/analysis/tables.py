"""An analysis as flat tables, one row for each number: what lies beside the page as CSV."""

from collections.abc import Iterator, Mapping
from typing import Any

from pathosynth.reader.analysis.estimate import Estimate

Row = dict[str, Any]
Content = Mapping[str, Any]


def tables(found: Content) -> dict[str, list[Row]]:
    """File name without ending to its rows; tables without rows are left out."""
    questions = found["questions"]
    made = {
        "agreement": [row for name, one in questions.items() for row in _agreement(name, one)],
        "readers": [row for name, one in questions.items() for row in _readers(name, one)],
        "comparisons": [row for name, one in questions.items() for row in _comparisons(name, one)],
        "tests": [row for name, one in questions.items() for row in _tests(name, one)],
        "distributions": [row for name, one in questions.items() for row in _distributions(name, one)],
    }
    return {name: rows for name, rows in made.items() if rows}


def _numbers(one: Estimate) -> Row:
    return {
        "value": one.value, "low": one.low, "high": one.high, "p": one.p, "null": one.null, "df": one.df,
        "cases": one.cases, "readers": one.readers, "why": one.why,
    }  # fmt: skip


def _agreement(name: str, one: Content) -> Iterator[Row]:
    """Of all arms (empty), each arm, and each option of ticks."""
    groups = [("", "", one["agreement"])]
    groups += [(arm, "", found) for arm, found in one.get("agreement_by_arm", {}).items()]
    groups += [("", option, found["agreement"]) for option, found in one.get("options", {}).items()]
    for arm, option, found in groups:
        for key, estimate in found.items():
            yield {"question": name, "arm": arm, "option": option, "statistic": key, **_numbers(estimate)}


def _readers(name: str, one: Content) -> Iterator[Row]:
    """Detection and repeats, of every reader and pooled (empty)."""
    detection = one.get("detection", {})
    blocks = [("detection", "", detection)] if "pooled" in detection else []
    blocks += [("detection", arm, found) for arm, found in detection.get("arms", {}).items()]
    blocks += [("within reader", "", one["within_readers"])] if "within_readers" in one else []
    for what, arm, block in blocks:
        for reader, found in ({"": block["pooled"]} | dict(block["readers"])).items():
            for key, estimate in found.items():
                yield {"question": name, "part": what, "arm": arm, "reader": reader, "statistic": key,
                       **_numbers(estimate)}  # fmt: skip


def _comparisons(name: str, one: Content) -> Iterator[Row]:
    for arm, found in one.get("comparisons", {}).items():
        for key, estimate in found["effects"].items():
            yield {"question": name, "first": arm, "second": found["reference"], "statistic": key, **_numbers(estimate)}
        if "margin" in found:
            held, change = found["margin"], found["effects"]["difference"]
            ends = {"low": held["low"], "high": held["high"], "p": held["p_not_worse"], "null": -held["margin"]}
            why = held["why"] or f"interval {held['level']:.0%}, one-sided p"
            yield {"question": name, "first": arm, "second": found["reference"],
                   "statistic": "difference_against_margin", **_numbers(change), **ends, "why": why}  # fmt: skip
    for pair in one.get("mrmc", {}).get("differences", []):
        yield {"question": name, "first": pair["first"], "second": pair["second"], "statistic": "auc_difference",
               **_numbers(pair["difference"])}  # fmt: skip
    for option, found in one.get("options", {}).items():
        for arm, estimate in found["share_ticked"].items():
            yield {"question": name, "first": arm, "second": "", "statistic": f"share with {option}",
                   **_numbers(estimate)}  # fmt: skip


def _tests(name: str, one: Content) -> Iterator[Row]:
    for arm, found in one.get("comparisons", {}).items():
        for key, test in found["tests"].items():
            if test is not None:
                yield {
                    "question": name, "first": arm, "second": found["reference"], "unit": key, "test": test["test"],
                    "speaks_of": test["speaks_of"], "n": test["n"], "p": test["p"], "p_holm": test.get("p_holm"),
                    "effect": test.get("effect"), "why": test["why"],
                }  # fmt: skip


def _distributions(name: str, one: Content) -> Iterator[Row]:
    for arm, found in one.get("distribution", {}).items():
        for reader, counts in ({"": found["counts"]} | found["readers"]).items():
            total = sum(counts.values())
            for value, n in counts.items():
                share = n / total if total else None
                yield {"question": name, "arm": arm, "reader": reader, "value": value, "n": n, "share": share}
