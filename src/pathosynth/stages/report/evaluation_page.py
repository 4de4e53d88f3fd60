"""The page of an evaluation: one HTML file with everything in it, every word from outside escaped."""

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from pathosynth import __version__
from pathosynth.drawing.page import Picture, render
from pathosynth.metrics.surface_dice import TOLERANCE_MM
from pathosynth.stages.report.evaluated import Evaluated
from pathosynth.stages.report.evaluation_figures import run_means, words
from pathosynth.stages.score_tables import Row, better
from pathosynth.stages.subgroups import ALL

TEMPLATE = "evaluation.html.jinja"
COMPARED = ("dice", "hd95_mm", "volume_absolute_error_ml")
MOST_OPEN = 60
"""Comparisons that are shown at once; more are folded."""
NAMES = {
    "dice": "Dice", "hd95_mm": "HD95", "assd_mm": "ASSD", "surface_dice": "surface Dice",
    "volume_absolute_error_ml": "absolute volume error",
}  # fmt: skip


def headline(found: Evaluated) -> list[dict[str, Any]]:
    """One row for each arm and structure: what the page begins with."""
    rows = []
    for arm in found.arms:
        for structure in found.structures:
            dice, far = found.summed(arm, structure, "dice"), found.summed(arm, structure, "hd95_mm")
            agreed = found.agreed(arm, structure)
            rows.append(
                {
                    "arm": arm, "structure": structure, "subjects": dice["subjects"], "cases": dice["cases"],
                    "runs": dice["runs"], "dice": dice["mean_capped"], "dice_low": dice["mean_low"],
                    "dice_high": dice["mean_high"], "hd95_median_mm": far["median"],
                    "hd95_mean_capped_mm": far["mean_capped"], "hd95_mean_finite_mm": far["mean"],
                    "hd95_finite": far["n_finite"], "missed": dice["missed"],
                    "false_positive": dice["false_positive"], "both_empty": dice["both_empty"],
                    "predictions": dice["both"] + dice["missed"] + dice["false_positive"] + dice["both_empty"],
                    "mae_ml": agreed["mae"], "sd_absolute_ml": agreed["sd_absolute"], "bias_ml": agreed["bias"],
                }
            )  # fmt: skip
    return rows


def page(found: Evaluated, pictures: Sequence[Picture], missing: Sequence[str]) -> str:
    """The page as text.

    Args:
        found: the evaluation.
        pictures: in the order of the page.
        missing: pictures whose files are gone.
    """
    named = {picture.name: picture for picture in pictures}
    comparisons = _comparisons(found)
    return render(
        __package__,
        TEMPLATE,
        {"words": words},
        found=found,
        head=_cells(found),
        best=_best(found),
        pictures={name: picture for name, picture in named.items() if not name.startswith("examples_")},
        examples=[picture for name, picture in named.items() if name.startswith("examples_")],
        missing=missing,
        comparisons=comparisons,
        remarks=list(dict.fromkeys(row["note"] for row in comparisons if row["note"])),
        most_open=MOST_OPEN,
        groups=_groups(found),
        trainings=[(arm, run_means(found, arm, found.primary, "dice")) for arm in found.arms],
        runs=_runs(found),
        command=_command(found.settings),
        caveats=_caveats(found),
        version=__version__,
        tolerance=TOLERANCE_MM,
        names=NAMES,
    )


def _cells(found: Evaluated) -> dict[str, dict[str, Row]]:
    """Arm to structure to its row of the headline."""
    cells: dict[str, dict[str, Row]] = {arm: {} for arm in found.arms}
    for row in headline(found):
        cells[row["arm"]][row["structure"]] = row
    return cells


def _best(found: Evaluated) -> dict[str, str]:
    """Structure to the one arm with the highest mean Dice, where no other is as good."""
    cells = _cells(found)
    best: dict[str, str] = {}
    for name in found.structures:
        ranked = sorted(((cells[arm][name]["dice"] or 0.0, arm) for arm in found.arms), reverse=True)
        if len(ranked) > 1 and ranked[0][0] > ranked[1][0]:
            best[name] = ranked[0][1]
    return best


def _comparisons(found: Evaluated) -> list[Row]:
    """Comparisons of the metrics people ask for, the primary structure first, and whether each is for the better."""
    place = {name: order for order, name in enumerate(found.structures)}
    shown = [dict(row) for row in found.comparisons if row["metric"] in COMPARED and row["structure"] in place]
    rows = [row | {"good": _good(row)} for row in shown]
    arm_place = {arm: order for order, arm in enumerate(found.arms)}
    key = {metric: order for order, metric in enumerate(COMPARED)}
    return sorted(rows, key=lambda row: (place[row["structure"]], key[row["metric"]], arm_place[row["arm"]]))


def _good(row: Mapping[str, Any]) -> bool:
    up = (row["difference"] or 0.0) > 0
    return up == (better()[row["metric"]] == "higher")


def _groups(found: Evaluated) -> list[Row]:
    """Subgroups of the primary structure."""
    names = [name for name in found.provenance["subgroups"] if name != ALL]
    return [
        {
            "subgroup": name, "arm": arm, "dice": found.summed(arm, found.primary, "dice", name),
            "hd95": found.summed(arm, found.primary, "hd95_mm", name),
            "agreed": found.agreed(arm, found.primary, name),
        }
        for name in names
        for arm in found.arms
    ]  # fmt: skip


def _runs(found: Evaluated) -> list[Row]:
    """One row for each folder of predictions."""
    return [
        {"arm": run["arm"], "run": run["run"], **part} for run in found.provenance["runs"] for part in run["parts"]
    ]  # fmt: skip


def _command(settings: Mapping[str, Any]) -> str:
    """The command that gives these numbers again."""
    parts = ["pathosynth", "evaluate", "-i", settings["reference"]]
    for arm in settings["arms"]:
        parts += ["--predicted", f"{arm['arm']}={','.join(arm['folders'])}"]
    parts += ["--scheme", settings["scheme"], "--baseline", settings["baseline"]]
    for option, values in (("structure", "structures"), ("subgroup", "subgroups"), ("above", "above")):
        for value in settings[values]:
            parts += [f"--{option}", value]
    return " ".join(shlex.quote(part) for part in parts) + " -o OUT"


def _caveats(found: Evaluated) -> list[str]:
    """What a reader should know before believing a number."""
    provenance, notes = found.provenance, list[str]()
    subjects = len({row["subject"] for row in found.scores})
    fewest = provenance["fewest_pairs"]
    if subjects < fewest:
        notes.append(f"{subjects} subjects: with fewer than {fewest} no paired test can fall below p = 0.05.")
    elif subjects < 20:
        notes.append(f"{subjects} subjects: intervals are wide, and bootstrap intervals of so few somewhat too short.")
    absent = provenance["without_prediction"]
    if absent:
        listed = ", ".join(absent[:6]) + (" …" if len(absent) > 6 else "")
        notes.append(f"Without prediction, so that every structure counts as missed: {listed}.")
    runs = {arm: {row["run"] for row in found.scores if row["arm"] == arm} for arm in found.arms}
    single = [arm for arm, numbers in runs.items() if len(numbers) < 3]
    if single:
        notes.append(f"Fewer than three trainings of {', '.join(single)}: the spread over seeds is not known.")
    unknown: dict[str, list[str]] = {}
    for run in _runs(found):
        for text in run["unknown"]:
            unknown.setdefault(text, []).append(f"{run['arm']} (run {run['run']})")
    notes += [f"A leak cannot be ruled out for {', '.join(arms)}: {text}." for text, arms in list(unknown.items())[:8]]
    if found.absent:
        notes.append(f"In no map at all, and not shown: {', '.join(words(name) for name in found.absent)}.")
    empty, judged = (
        [row for row in rows if row["state"] == "both_empty" and row["structure"] in found.structures]
        for rows in (found.scores, found.counting)
    )
    if right := sum(row["predicted"] for row in judged):
        notes.append(
            f"{right} times a prediction rightly lacks a structure that another prediction of the case invents; this "
            "counts as the best value."
        )
    if left_out := len(empty) - len(judged):
        notes.append(f"{left_out} times a structure is in no map of the case; these are left out of all means.")
    return notes
