"""Scores of cases -> what they say of arms: summaries, paired comparisons, agreement of volumes.

Order of averaging, everywhere: runs (trainings) of a case, then cases of a subject; subjects are the sample. A missed
or invented structure has Dice 0 and infinite distances, and stays in. One that no map of a case has is left out; where
one prediction invents it, it counts in all of them, so that arms are compared on the same people (see `scored`).
"""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from pathosynth.metrics import METRICS
from pathosynth.metrics.statistics import FEWEST, agreement, holm, paired, summarise
from pathosynth.runs.files import write_text

Row = Mapping[str, Any]
Groups = Mapping[str, frozenset[str]]

ABSOLUTE = "volume_absolute_error_ml"
STATES = ("both", "missed", "false_positive", "both_empty")


def better() -> dict[str, str]:
    """Metric to what is better in it: higher, lower or zero; metrics given with ``--use`` too."""
    return {name: str(module.BETTER) for name, module in METRICS.items()} | {ABSOLUTE: "lower"}


def unit_of(metric: str) -> str:
    """Unit of a metric; empty where it has none."""
    return "mL" if metric == ABSOLUTE else str(METRICS[metric].UNIT)


def measured(row: Row, metric: str, *, capped: bool = False) -> float:
    """A metric of one row; capped, an infinite distance is the diagonal of the field of view."""
    value = abs(row["volume_error_ml"]) if metric == ABSOLUTE else row[metric]
    return float(row["diagonal_mm"]) if capped and np.isinf(value) else float(value)


def scored(rows: Sequence[Row]) -> list[Row]:
    """The rows of structures that some map of their case has, the reference or any of these predictions.

    A prediction that rightly leaves such a structure empty has the best value of every metric, or the invention of
    another would be judged against nothing. Where there is no prediction it has the worst: it was not left empty.
    """
    known = {(row["case"], row["structure"]) for row in rows if row["state"] != "both_empty"}
    kept = [row for row in rows if (row["case"], row["structure"]) in known]
    values = {there: {name: ends[best] for name, best in better().items()} for there, ends in _ENDS.items()}
    return [{**row, **values[row["predicted"]]} if row["state"] == "both_empty" else row for row in kept]


_ENDS = {
    True: {"higher": 1.0, "lower": 0.0, "zero": 0.0},
    False: {"higher": 0.0, "lower": float("inf"), "zero": 0.0},
}
"""Value of a structure the reference does not have, by whether there is a prediction and what is better."""


def by_subject(rows: Sequence[Row], metric: str, *, capped: bool = False) -> dict[str, float]:
    """Mean over runs of every case, then over cases of every subject, of rows that are `scored`."""
    cases: dict[tuple[str, str], list[float]] = {}
    for row in rows:
        cases.setdefault((row["subject"], row["case"]), []).append(measured(row, metric, capped=capped))
    subjects: dict[str, list[float]] = {}
    for (subject, _), values in cases.items():
        subjects.setdefault(subject, []).append(float(np.mean(values)))
    return {subject: float(np.mean(values)) for subject, values in subjects.items()}


def summary_rows(rows: Sequence[Row], groups: Groups, seed: int) -> list[dict[str, Any]]:
    """One row for each arm, structure, subgroup and metric; what is scored in one arm is scored in all."""
    made, counting = [], _divided(scored(rows))
    for (arm, structure), own in _divided(rows).items():
        for group, members in groups.items():
            counts = _counted([row for row in own if row["case"] in members])
            inside = [row for row in counting.get((arm, structure), []) if row["case"] in members]
            first = {"arm": arm, "structure": structure, "subgroup": group}
            for metric, best in better().items():
                values, capped = by_subject(inside, metric), by_subject(inside, metric, capped=True)
                told = summarise(np.array(list(values.values())), np.array(list(capped.values())), seed)
                kind = {"metric": metric, "unit": unit_of(metric), "better": best}
                made.append({**first, **kind, **counts, **asdict(told), **_spread(inside, metric)})
    return made


def _divided(rows: Sequence[Row]) -> dict[tuple[str, str], list[Row]]:
    found: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        found.setdefault((row["arm"], row["structure"]), []).append(row)
    return found


def _counted(rows: Sequence[Row]) -> dict[str, int]:
    """Subjects, cases and runs, and predictions (a case in a run) by state."""
    counts = {name: len({row[key] for row in rows}) for name, key in _COUNTED}
    states = {state: sum(row["state"] == state for row in rows) for state in STATES}
    return counts | states | {"no_prediction": sum(not row["predicted"] for row in rows)}


_COUNTED = (("subjects", "subject"), ("cases", "case"), ("runs", "run"))


def _spread(rows: Sequence[Row], metric: str) -> dict[str, float | None]:
    """SD, lowest and highest of the runs' capped means; None for a single run."""
    numbers = sorted({row["run"] for row in rows})
    of_runs = [by_subject([row for row in rows if row["run"] == number], metric, capped=True) for number in numbers]
    means = [float(np.mean(list(values.values()))) for values in of_runs if values]
    if len(means) < 2:
        return {"run_sd": None, "run_lowest": None, "run_highest": None}
    return {"run_sd": float(np.std(means, ddof=1)), "run_lowest": min(means), "run_highest": max(means)}


def comparison_rows(rows: Sequence[Row], baseline: str, seed: int) -> list[dict[str, Any]]:
    """Every other arm against the baseline, over subjects; one Holm family for each metric, all arms and structures.

    The size of the family is the number of its tests; where no pair differs there is nothing to test.
    """
    order = list(better())
    metrics = [metric for metric, best in better().items() if best != "zero"]
    made = [row for metric in metrics for row in _family(rows, baseline, metric, seed)]
    return sorted(made, key=lambda row: (row["order"], order.index(row["metric"])))


def _family(rows: Sequence[Row], baseline: str, metric: str, seed: int) -> list[dict[str, Any]]:
    made: list[dict[str, Any]] = []
    divided = _divided(rows)
    for order, ((arm, structure), own) in enumerate(divided.items()):
        if arm == baseline:
            continue
        counting = _divided(scored([*own, *divided[baseline, structure]]))
        both = [counting.get((one, structure), []) for one in (arm, baseline)]
        values = [by_subject(one, metric, capped=capped) for capped in (False, True) for one in both]
        a, b, a_capped, b_capped = (np.array([one[subject] for subject in values[0]]) for one in values)
        found = paired(a, b, (a_capped, b_capped), seed)
        up = better()[metric] == "higher"
        gained, lost = (found.higher, found.lower) if up else (found.lower, found.higher)
        made.append(
            {
                "order": order, "arm": arm, "baseline": baseline, "structure": structure, "metric": metric,
                "unit": unit_of(metric), "subjects": found.n, "better": gained, "worse": lost,
                "difference": found.difference, "low": found.low, "high": found.high, "test": "Wilcoxon signed-rank",
                "p": found.p, "effect_size": found.effect, "smallest_p": found.smallest_p,
                "note": _note(found.n, gained + lost),
            }
        )  # fmt: skip
    adjusted, tests = holm([row["p"] for row in made]), sum(row["p"] is not None for row in made)
    return [row | {"p_adjusted": p, "family": tests} for row, p in zip(made, adjusted, strict=True)]


def _note(pairs: int, differing: int) -> str:
    if differing >= FEWEST:
        return ""
    return f"{differing} of {pairs} pairs differ: with fewer than {FEWEST} no p below 0.05 is possible"


def agreement_rows(rows: Sequence[Row], groups: Groups, seed: int) -> list[dict[str, Any]]:
    """Volumes of every arm and structure against the reference, in millilitres, for each subgroup."""
    made, counting = [], _divided(scored(rows))
    for arm, structure in _divided(rows):
        for group, members in groups.items():
            inside = [row for row in counting.get((arm, structure), []) if row["case"] in members]
            errors, subjects = _errors(inside)
            first = {"arm": arm, "structure": structure, "subgroup": group, "unit": "mL", "subjects": len({*subjects})}
            made.append({**first, **asdict(agreement(errors, subjects, seed))})
    return made


def _errors(rows: Sequence[Row]) -> tuple[np.ndarray, list[str]]:
    """(cases, runs) errors and the subject of each case."""
    cases: dict[str, list[Row]] = {}
    for row in rows:
        cases.setdefault(row["case"], []).append(row)
    errors = [[row["volume_predicted_ml"] - row["volume_reference_ml"] for row in own] for own in cases.values()]
    return np.array(errors, np.float64), [own[0]["subject"] for own in cases.values()]


def write_rows(path: Path, rows: Sequence[Row], without: Sequence[str] = ()) -> None:
    """Write rows with the same keys as CSV: None and NaN as nothing, infinity as ``inf``."""
    columns = [name for name in (rows[0] if rows else {}) if name not in without]
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, columns, lineterminator="\n", extrasaction="ignore")
    writer.writeheader()
    writer.writerows({name: _cell(row[name]) for name in columns} for row in rows)
    write_text(path, text.getvalue())


def _cell(value: Any) -> str:
    if value is None or (isinstance(value, float) and np.isnan(value)):
        return ""
    return str(value).lower() if isinstance(value, bool) else repr(value) if isinstance(value, float) else str(value)


def plain(value: Any) -> Any:
    """The same for JSON, which has no such numbers: NaN as null, infinity as "inf"."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, float) and not np.isfinite(value):
        return None if np.isnan(value) else "inf" if value > 0 else "-inf"
    return value
