"""From a plan in millilitres or millimetres to a checked, reshaped label map."""

from typing import Any

import numpy as np

from pathosynth.data.grid import uncrop
from pathosynth.data.labels import LabelScheme
from pathosynth.data.volume import Spacing
from pathosynth.morphing import measure, validity
from pathosynth.morphing.budget import Budget, SlackExhausted, check_budget
from pathosynth.morphing.exact import Exact, flip_to_counts
from pathosynth.morphing.flow import prepare
from pathosynth.morphing.measure import SIDES
from pathosynth.morphing.morphed import Morphed
from pathosynth.morphing.plan import (
    LARGEST_STRAY_VOXELS,
    SPECK_VOXELS,
    WIDEST_GAP_VOXELS,
    Plan,
    Task,
    class_volumes_ml,
    make_task,
)
from pathosynth.morphing.reach import Reached, reach
from pathosynth.morphing.topology import dissolve_specks, limit_pieces
from pathosynth.morphing.width import WIDTH_TOLERANCE_MM, WidthGoal
from pathosynth.runs.errors import MorphError

_FLIPS_WARN, _FLIPS_ERROR = 0.02, 0.10  # a thin label whose walls lie along the grid needs more than a round one


def reshape(labels: np.ndarray, scheme: LabelScheme, spacing_mm: Spacing, plan: Plan) -> Morphed:
    """Carry out a plan and refuse the result if it fails the validity report.

    Args:
        labels: (I, J, K) unsigned integers in RAS orientation; not changed.
        scheme: its legend.
        spacing_mm: voxel edge lengths; may differ between axes.
        plan: what is wanted.

    Raises:
        InputError: the map is not usable.
        MorphError: the plan cannot be paid, its width cannot be reached, or the result is not valid.
    """
    task = make_task(labels, scheme, spacing_mm, plan)
    check_budget(task.budget)
    reached = _reach(task)
    tidy = _tidy(task, reached.classes)
    frozen = task.problem.weighted if plan.widths_mm is not None else ()
    exact = flip_to_counts(
        tidy, task.classes.array, reached.displacement, _counts(task, tidy), task.problem.slack, frozen
    )
    after = task.classes.to_labels(exact.classes, labels.dtype)
    found = _validate(task, reached, exact, after)
    if found.errors:
        spent = _spent(task, after)
        raise MorphError(
            f"The reshaped map is not valid: {'; '.join(found.errors)}. {spent.describe()}. "
            f"{spent.advice(spent.comfortable_skull_share)}"
        )
    report = _request(plan) | measure.describe(task.source, after, scheme, spacing_mm)
    report |= {
        "steps": reached.state.steps,
        "corrections": reached.corrections,
        "solver_iterations": reached.state.iterations,
        "specks_cleaned_voxels": task.specks,
        "tidied_voxels": int((tidy != reached.classes).sum()),
        "flipped_voxels": sum(exact.flips.values()) // 2,
        "budget": _spent(task, after).describe(),
        "validity": found.numbers,
        "warnings": found.warnings,
    }
    out = uncrop(after, task.box, labels.shape, 0)
    if int((out > 0).sum()) != int((after > 0).sum()):
        raise MorphError("The head grew beyond the image. Pad the label map with background on every side first.")
    return Morphed(out, uncrop(reached.displacement, task.box, labels.shape, 0.0), report)


def _reach(task: Task) -> Reached:
    """Run the flow; turn used-up slack into a message that names the budget."""
    plan, midline = task.plan, measure.midline_index(task.cleaned > 0)

    def widths(classes: np.ndarray) -> dict[str, float]:
        mask = np.isin(classes, task.problem.weighted)
        return dict(zip(SIDES, measure.atrial_widths_mm(mask, midline, task.spacing_mm), strict=True))

    goal = None if plan.widths_mm is None else WidthGoal(task.classes.sides, plan.widths_mm, widths)
    try:
        return reach(prepare(task.problem), task.targets_ml, goal)
    except SlackExhausted as stop:
        raise MorphError(_refusal(stop, task)) from None


def _refusal(stop: SlackExhausted, task: Task) -> str:
    """Why the slack did not suffice, with the largest width reached and what would be enough."""
    if not stop.search:
        return f"{task.budget.describe()}, and the external CSF gave way before the target was reached. Ask for less."
    volumes = class_volumes_ml(task.problem)
    need, reached, wanted = task.budget.need, [], []
    for side, found in stop.search.items():
        ratio = found.wanted_mm / max(found.width_mm, 0.1)
        need += found.volume_ml * ratio**found.exponent - float(volumes[list(task.classes.sides[side])].sum())
        reached.append(f"{side} {found.width_mm:.1f}")
        wanted.append(f"{side} {found.wanted_mm:g}")
    guess = Budget(need, task.budget.tissue, task.budget.slack, task.plan.skull_share)
    return (
        f"Atrial width {', '.join(wanted)} mm cannot be reached; the largest width reached is {', '.join(reached)} mm. "
        f"Estimate of what is missing: {guess.describe()}. {guess.advice(guess.comfortable_skull_share)}"
    )


def _spent(task: Task, after: np.ndarray) -> Budget:
    """What the finished map cost."""
    before, now = (np.bincount(m.ravel(), minlength=max(task.scheme.values) + 1) for m in (task.cleaned, after))
    gains = (now - before)[1:] * task.voxel_ml
    slack = [task.classes.values[index] - 1 for index in task.problem.slack]
    gains[slack] = 0.0
    need, given = float(gains[gains > 0].sum()), float(-gains[gains < 0].sum() + 0.0)
    return Budget(need, given, task.budget.slack, task.plan.skull_share)


def _tidy(task: Task, classes: np.ndarray) -> np.ndarray:
    """Dissolve pieces the source does not have: specks first, then the smallest of what is too many."""
    out, _ = dissolve_specks(classes, SPECK_VOXELS)
    for connectivity in (6, 26):
        allowed = measure.component_counts(task.problem.classes, connectivity)
        out = limit_pieces(out, allowed, connectivity, LARGEST_STRAY_VOXELS, WIDEST_GAP_VOXELS)
    return out


def _counts(task: Task, tidy: np.ndarray) -> dict[int, int]:
    """Voxels every constrained class must have, background too where the skull has a share in the net gain.

    A class that grows to a width keeps what it has.
    """
    growing = {index: int((tidy == index).sum()) for index in task.problem.weighted}
    counts = growing | {index: round(ml / task.voxel_ml) for index, ml in task.targets_ml.items()}
    if task.plan.skull_share > 0:
        source = task.problem.classes
        net = sum(wanted - int((source == index).sum()) for index, wanted in counts.items())
        counts[0] = int((source == 0).sum()) - round(task.plan.skull_share * net)
    return counts


def _validate(task: Task, reached: Reached, exact: Exact, after: np.ndarray) -> validity.Findings:
    """The validity report: errors refuse the map, warnings are recorded."""
    found, scheme, before = validity.Findings(), task.scheme, task.cleaned
    validity.check_deformation(found, reached.displacement, before > 0)
    validity.check_pieces(found, before, after, scheme)
    validity.check_contacts(found, before, after, scheme)
    validity.check_slack(found, before, after, scheme)
    validity.check_mantle(found, after, scheme, task.spacing_mm)
    volumes = np.bincount(after.ravel(), minlength=max(scheme.values) + 1) * task.voxel_ml
    slack = {task.classes.values[index] for index in task.problem.slack}
    paid = [value for value in scheme.values if value not in slack]
    net = float(volumes[paid].sum()) - float(np.isin(before, paid).sum()) * task.voxel_ml
    validity.check_skull(found, before > 0, after > 0, task.plan.skull_share, net, task.voxel_ml)
    _check_volumes(found, task, reached, exact)
    _check_widths(found, task, after)
    return found


def _check_volumes(found: validity.Findings, task: Task, reached: Reached, exact: Exact) -> None:
    """Misses before the flips, the number of flips, and voxels that could not be placed."""
    before_flips = np.bincount(reached.classes.ravel(), minlength=len(task.classes.values)) * task.voxel_ml
    for index, target in task.targets_ml.items():
        name = task.scheme[task.classes.values[index]].name
        validity.check_miss(
            found, name, float(before_flips[index]) / target - 1.0, target, index in task.problem.weighted
        )
        share = exact.flips.get(index, 0) * task.voxel_ml / target
        found.limit(
            share > _FLIPS_ERROR, share > _FLIPS_WARN, f"{name}: {100 * share:.1f} % of its voxels were flipped"
        )
    names = {0: "background"} | {label.value: label.name for label in task.scheme.labels}
    lost = {names[task.classes.values[i]]: n for i, n in exact.missing.items() if n}
    found.limit(False, bool(lost), f"voxels that no flip could place without changing the topology: {lost}")


def _check_widths(found: validity.Findings, task: Task, after: np.ndarray) -> None:
    """Requested widths, measured again on the final integer labels."""
    measured = measure.measured_widths_mm(after, task.scheme, task.spacing_mm)
    for side, wanted in (task.plan.widths_mm or {}).items():
        off = measured[side] - wanted
        text = f"atrial width {side} is {measured[side]:.2f} mm; expected {wanted:g} within {WIDTH_TOLERANCE_MM} mm"
        found.limit(abs(off) > WIDTH_TOLERANCE_MM, False, text)


def _request(plan: Plan) -> dict[str, Any]:
    """The plan without its arrays, JSON-able."""
    return {"plan": {name: v for name, v in vars(plan).items() if name != "source_map" and v is not None}}
