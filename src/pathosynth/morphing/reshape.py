"""From a plan in millilitres or millimetres to a checked, reshaped label map."""

from dataclasses import replace
from typing import Any

import numpy as np
import scipy.ndimage as ndi

from pathosynth.data.grid import uncrop
from pathosynth.data.labels import LabelScheme
from pathosynth.data.volume import Spacing
from pathosynth.morphing import measure, validity
from pathosynth.morphing.budget import Budget, SlackExhausted, check_budget
from pathosynth.morphing.counting import label_counts
from pathosynth.morphing.efface import peel
from pathosynth.morphing.exact import Exact, flip_to_counts
from pathosynth.morphing.flow import prepare
from pathosynth.morphing.lengths import LENGTH_TOLERANCE_MM, LengthGoal
from pathosynth.morphing.morphed import Morphed
from pathosynth.morphing.plan import (
    SPECK_VOXELS,
    Plan,
    Task,
    class_volumes_ml,
    limit_surplus,
    make_task,
)
from pathosynth.morphing.reach import Reached, reach
from pathosynth.morphing.topology import dissolve_specks
from pathosynth.morphing.walls import bare, cover_with, cover_with_tissue
from pathosynth.runs.errors import MorphError

_FLIPS_WARN, _FLIPS_ERROR = 0.02, 0.10  # a thin label whose walls lie along the grid needs more than a round one
_DIVISIONS = 4  # rounds of flips until the midsagittal plane stays
_FLIPS_BORDER = 0.6  # of the border voxels of thin and scattered labels such as vessels and lesions


def reshape(labels: np.ndarray, scheme: LabelScheme, spacing_mm: Spacing, plan: Plan) -> Morphed:
    """Carry out a plan and refuse the result if it fails the validity report.

    Args:
        labels: (I, J, K) unsigned integers in RAS orientation; not changed.
        scheme: its legend.
        spacing_mm: voxel edge lengths; may differ between axes.
        plan: what is wanted.

    Raises:
        InputError: the map is not usable.
        MorphError: the plan cannot be paid, its lengths cannot be reached, or the result is not valid.
    """
    task = make_task(labels, scheme, spacing_mm, plan)
    check_budget(task.budget)
    reached = _reach(task)
    tidy = _effaced(task, _tidy(task, reached.classes))
    exact = _to_counts(task, reached, tidy)
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
    out = _with_surroundings(out, labels, scheme)
    return Morphed(out, uncrop(reached.displacement, task.box, labels.shape, 0.0), report)


def _with_surroundings(inside: np.ndarray, labels: np.ndarray, scheme: LabelScheme) -> np.ndarray:
    """What lies outside the skull put back; where the skull drew in, the nearest of it."""
    before = measure.inside_skull(labels, scheme)
    if before is labels:
        return inside
    out = np.where(inside > 0, inside, np.where(before > 0, labels.dtype.type(0), labels))
    left = (before > 0) & (inside == 0)
    if left.any():
        at = ndi.distance_transform_edt(before > 0, return_distances=False, return_indices=True)
        out[left] = labels[tuple(axis[left] for axis in at)]
    return np.asarray(out)


def _reach(task: Task) -> Reached:
    """Run the flow; turn used-up slack into a message that names the budget."""
    lengths = task.plan.lengths
    goal = None
    if lengths is not None:

        def measured(classes: np.ndarray) -> dict[str, float]:
            return lengths.measure(task.classes.to_labels(classes, task.source.dtype))

        goal = LengthGoal(_searched(task), lengths.wanted_mm, measured)
    try:
        return reach(prepare(task.problem), task.classes, task.targets_ml, goal, tuple(task.effaced_ml))
    except SlackExhausted as stop:
        raise MorphError(_refusal(stop, task)) from None


def _to_counts(task: Task, reached: Reached, tidy: np.ndarray) -> Exact:
    """Last-voxel flips, again where they shifted the head so that the midsagittal plane moved on by a voxel."""
    frozen = tuple(index for classes in _searched(task).values() for index in classes)
    slack, halves = (*task.problem.slack, *task.effaced_ml), task.classes.halves
    flips = dict[int, int]()
    for _ in range(_DIVISIONS):
        exact = flip_to_counts(
            tidy, task.classes.array, reached.displacement, _counts(task, tidy), slack, frozen, halves
        )
        flips = {index: number + flips.get(index, 0) for index, number in exact.flips.items()}
        whole = _effaced(task, _sealed(task, exact.classes))
        tidy = task.classes.divided(whole)
        if tidy is whole or np.array_equal(tidy, whole):
            break
    return replace(exact, classes=tidy, flips=flips)


def _searched(task: Task) -> dict[str, tuple[int, ...]]:
    """Classes of the parts that change to a length."""
    wanted = task.plan.lengths.wanted_mm if task.plan.lengths else {}
    return {part: task.classes.parts[part] for part in wanted}


def _refusal(stop: SlackExhausted, task: Task) -> str:
    """Why the slack did not suffice, with the largest length reached and what would be enough."""
    lengths = task.plan.lengths
    if lengths is None:
        return f"{task.budget.describe()}, and the external CSF gave way before the target was reached. Ask for less."
    volumes = class_volumes_ml(task.problem)
    need, reached, wanted = task.budget.need, [], []
    for part, found in stop.search.items():
        ratio = found.wanted_mm / max(found.length_mm, 0.1)
        need += found.volume_ml * ratio**found.exponent - float(volumes[list(task.classes.parts[part])].sum())
        reached.append(f"{part} {found.length_mm:.1f}")
        wanted.append(f"{part} {found.wanted_mm:g}")
    guess = Budget(need, task.budget.tissue, task.budget.slack, task.plan.skull_share)
    return (
        f"{lengths.name.capitalize()} {', '.join(wanted)} mm cannot be reached; reached {', '.join(reached)} mm. "
        f"Estimate of what is missing: {guess.describe()}. {guess.advice(guess.comfortable_skull_share)}"
    )


def _spent(task: Task, after: np.ndarray) -> Budget:
    """What the finished map cost."""
    before, now = (label_counts(m, max(task.scheme.values) + 1) for m in (task.cleaned, after))
    gains = (now - before)[1:] * task.voxel_ml
    slack = [task.classes.values[index] - 1 for index in task.problem.slack]
    gains[slack] = 0.0
    need, given = float(gains[gains > 0].sum()), float(-gains[gains < 0].sum() + 0.0)
    return Budget(need, given, task.budget.slack, task.plan.skull_share)


def _tidy(task: Task, classes: np.ndarray) -> np.ndarray:
    """Dissolve pieces the source does not have, specks first, and keep a wall where the source has one everywhere.

    Both halves of a label count together: a ventricle may cross the midsagittal plane on its way.
    """
    source, out = task.classes.merged(task.problem.classes), task.classes.merged(classes)
    out, _ = dissolve_specks(out, SPECK_VOXELS)
    for connectivity in (6, 26):
        allowed = measure.component_counts(source, connectivity)
        allowed = {index: count for index, count in allowed.items() if index not in task.effaced_ml}
        out = limit_surplus(out, allowed, connectivity)
    inner = _ventricles(task)
    out = out if bare(task.problem.classes, inner).any() else cover_with_tissue(out, inner)
    return task.classes.divided(out)


def _ventricles(task: Task) -> tuple[int, ...]:
    """Classes of the ventricles."""
    return task.classes.of_values(task.scheme.group("ventricles")) if task.scheme.has("ventricles") else ()


def _sealed(task: Task, classes: np.ndarray) -> np.ndarray:
    """Background next to ventricles given to an effaced label, so that no flip lays a ventricle against the skull."""
    if not task.effaced_ml:
        return classes
    return cover_with(classes, _ventricles(task), next(iter(task.effaced_ml)))


def _effaced(task: Task, classes: np.ndarray) -> np.ndarray:
    """Effaced labels peeled down to their volume."""
    voxels = {index: round(ml / task.voxel_ml) for index, ml in task.effaced_ml.items()}
    spared = measure.touches(np.isin(classes, _ventricles(task)))
    return peel(classes, voxels, spared, task.spacing_mm)


def _counts(task: Task, tidy: np.ndarray) -> dict[int, int]:
    """Voxels every constrained class must have, background too where the skull has a share in the net gain.

    A class that changes to a length keeps what it has. Effaced labels take what is left.
    """
    found = label_counts(tidy, len(task.classes.values))
    searched = {index: int(found[index]) for classes in _searched(task).values() for index in classes}
    wanted_ml = task.targets_ml | task.effaced_ml
    counts = searched | {index: round(ml / task.voxel_ml) for index, ml in wanted_ml.items()}
    if task.plan.skull_share > 0:
        now = label_counts(task.problem.classes)
        net = sum(wanted - int(now[index]) for index, wanted in counts.items())
        counts[0] = int(now[0]) - round(task.plan.skull_share * net)
    return {index: wanted for index, wanted in counts.items() if index not in task.effaced_ml}


def _validate(task: Task, reached: Reached, exact: Exact, after: np.ndarray) -> validity.Findings:
    """The validity report: errors refuse the map, warnings are recorded."""
    found, scheme, before = validity.Findings(), task.scheme, task.cleaned
    effaced = task.plan.effaced
    judged = after > 0
    if effaced:
        judged &= ~ndi.binary_dilation(np.isin(after, effaced), iterations=2)
    validity.check_deformation(found, reached.displacement, before > 0, judged, _shrunk(before, after))
    validity.check_pieces(found, before, after, scheme, effaced)
    validity.check_contacts(found, before, after, scheme, effaced)
    if task.problem.slack:
        validity.check_slack(found, before, after, scheme)
    validity.check_mantle(found, after, scheme, task.spacing_mm)
    volumes = label_counts(after, max(scheme.values) + 1) * task.voxel_ml
    slack = {task.classes.values[index] for index in task.problem.slack}
    paid = [value for value in scheme.values if value not in slack]
    net = float(volumes[paid].sum()) - float(label_counts(before, max(scheme.values) + 1)[paid].sum()) * task.voxel_ml
    validity.check_skull(found, before > 0, after > 0, task.plan.skull_share, net, task.voxel_ml)
    _check_volumes(found, task, reached, exact)
    _check_lengths(found, task, after)
    return found


def _shrunk(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """What the label of each voxel has left of its volume, at most 1. (I, J, K) float32."""
    size = int(before.max()) + 1
    old, new = label_counts(before, size), label_counts(after, size)
    left = np.minimum(new / np.maximum(old, 1), 1.0).astype(np.float32)
    return np.asarray(left[after])


def _check_volumes(found: validity.Findings, task: Task, reached: Reached, exact: Exact) -> None:
    """Misses before the flips, the number of flips, and voxels that could not be placed."""
    before_flips = label_counts(reached.classes, len(task.classes.values)) * task.voxel_ml
    reached_ml = label_counts(exact.classes, len(task.classes.values)) * task.voxel_ml
    for part, members in task.classes.parts.items():
        wanted = [task.targets_ml[index] for index in members if index in task.targets_ml]
        if wanted and not set(members) & set(task.effaced_ml):
            miss = float(before_flips[list(members)].sum()) / sum(wanted) - 1.0
            validity.check_miss(found, part, miss, sum(wanted), task.voxel_ml, grows=True)
            validity.check_reached(found, part, float(reached_ml[list(members)].sum()), sum(wanted), task.voxel_ml)
    for index, target in task.targets_ml.items():
        if index not in task.effaced_ml:
            name = task.scheme[task.classes.values[index]].name
            miss = float(before_flips[index]) / target - 1.0
            validity.check_miss(found, name, miss, target, task.voxel_ml, grows=False)
            _check_flips(found, name, exact, index, target / task.voxel_ml)
    names = {0: "background"} | {label.value: label.name for label in task.scheme.labels}
    lost = {names[task.classes.values[i]]: n for i, n in exact.missing.items() if n}
    found.limit(False, bool(lost), f"voxels that no flip could place without changing the topology: {lost}")


def _check_flips(found: validity.Findings, name: str, exact: Exact, index: int, voxels: float) -> None:
    """Flips of a class: few next to its voxels, or next to its border voxels where it is thin or scattered."""
    share = exact.flips.get(index, 0) / voxels
    if share > _FLIPS_WARN:
        mask = exact.classes == index
        border = int((mask & measure.touches(~mask)).sum())
        bad = share > _FLIPS_ERROR and exact.flips[index] > _FLIPS_BORDER * border
        found.limit(bad, True, f"{name}: {100 * share:.1f} % of its voxels were flipped")


def _check_lengths(found: validity.Findings, task: Task, after: np.ndarray) -> None:
    """Requested lengths, measured again on the final integer labels."""
    lengths = task.plan.lengths
    if lengths is None:
        return
    measured = lengths.measure(after)
    for part, wanted in lengths.wanted_mm.items():
        off = abs(measured[part] - wanted)
        text = f"{lengths.name} {part} is {measured[part]:.2f} mm; expected {wanted:g} within {LENGTH_TOLERANCE_MM} mm"
        found.limit(off > LENGTH_TOLERANCE_MM, False, text)


def _request(plan: Plan) -> dict[str, Any]:
    """The plan without its arrays, JSON-able."""
    parts = {
        name: {"labels": part.values, "volume_ml": part.volume_ml, "weighted": part.weight is not None}
        for name, part in plan.parts.items()
    }
    lengths = None if plan.lengths is None else {plan.lengths.name: plan.lengths.wanted_mm}
    plain = {
        name: getattr(plan, name)
        for name in ("folds", "skull_share", "sulcal_flattening", "ell_mm", "mobility", "effaced")
    }
    return {"plan": {"parts": parts, "lengths_mm": lengths, **plain}}
