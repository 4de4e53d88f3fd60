"""Driving the flow until the labels, counted as whole voxels, have the wanted volumes or the wanted widths."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from pathosynth.morphing.flow import FlowGrid, FlowState, begin, step, voxel_displacement
from pathosynth.morphing.measure import Box, bounding_box
from pathosynth.morphing.warp import warp_labels
from pathosynth.runs.errors import MorphError

SLACK_LEFT = 0.15
"""Least part of the slack that must remain; below it the sheet of external CSF tears into shreds."""

_MISS = 0.005
_SOFT_MISS = 0.003
_SMALL_MISS = 0.05
_SMALL_ML = 2.0
_CORRECTIONS = 5
_POLISHES = 6
_SLOPES = (0.5, 4.0)  # how strongly voxel counts may answer soft volumes; flat walls on the lattice answer in jumps
_MOST_STEPS = 80
_WIDTH_AIM_MM, _WIDEST_AIM_MM = 0.1, 0.2
_IDLE_STEPS = 5
_FIRST_EXPONENT = 1.8  # of volume over width, seen on fetal atlases; replaced by the measured one as the flow goes on


@dataclass(frozen=True)
class Reached:
    """The end of a flow: its state, its map at voxel resolution, and the classes it leads to before any flip."""

    state: FlowState
    displacement: np.ndarray
    classes: np.ndarray
    corrections: int


@dataclass(frozen=True)
class WidthGoal:
    """Wanted widths: classes of each side, millimetres, and how widths are measured on a ventricle mask in a box."""

    sides: dict[str, tuple[int, ...]]
    wanted_mm: dict[str, float]
    measure: Callable[[np.ndarray, Box], dict[str, float]]


class SlackExhausted(MorphError):
    """The slack is used up; carries what was reached so that the caller can name the budget."""

    def __init__(self, widths_mm: dict[str, float], volumes_ml: np.ndarray, exponents: dict[str, float]):
        super().__init__(f"the slack is used up at {widths_mm}")
        self.widths_mm = widths_mm
        self.volumes_ml = volumes_ml
        self.exponents = exponents


def reach(flow: FlowGrid, targets_ml: dict[int, float], goal: WidthGoal | None = None) -> Reached:
    """Flow to volumes or widths, then correct until every label has its volume in whole voxels.

    Volumes are met within 0.5 % (5 % below 2 mL), the rest is left to the last-voxel flips. Widths are measured on
    whole voxels after every step; each side's volume target is set again from its width so far,
    V* = V (w* / w)^a, with the exponent a measured on the way.

    Args:
        flow: the problem on its grid.
        targets_ml: wanted volume of each constrained class; kept ones have their present volume.
        goal: wanted widths of the classes that are not among the targets.

    Raises:
        SlackExhausted: less than 15 % of the slack is left on the way.
    """
    state = begin(flow)
    soft, trail = _soft_targets(flow, state, targets_ml), []
    best, best_miss = None, np.inf
    for correction in range(_CORRECTIONS + 1):
        state = _to_end(flow, state, soft) if goal is None else _to_width(flow, state, soft, goal)
        reached = materialise(flow, state, correction)
        hard = hard_volumes_ml(flow, reached.classes)
        miss = _hard_miss(flow, hard, targets_ml)
        if miss < best_miss:
            best, best_miss = reached, miss
        if miss <= 1.0:
            break
        trail.append((state.soft_ml, hard))
        soft = _corrected(trail, targets_ml)
        if goal is not None:
            state, _ = step(flow, state, soft | _held(goal, state.soft_ml), 1.0)
    return replace(best or reached, corrections=correction)


def materialise(flow: FlowGrid, state: FlowState, corrections: int = 0) -> Reached:
    """Classes at voxel resolution; a rigid skull stays voxel for voxel."""
    displacement = voxel_displacement(flow, state)
    mask = flow.problem.classes > 0 if flow.problem.skull_share == 0 else None
    return Reached(state, displacement, warp_labels(flow.problem.classes, displacement, mask=mask), corrections)


def hard_volumes_ml(flow: FlowGrid, classes: np.ndarray) -> np.ndarray:
    """Volume of every class counted in whole voxels, (n_classes + 1,) mL."""
    counts = np.bincount(classes.ravel(), minlength=int(flow.problem.classes.max()) + 1)
    return counts * (float(np.prod(flow.problem.spacing_mm)) / 1000.0)


def _soft_targets(flow: FlowGrid, state: FlowState, targets_ml: dict[int, float]) -> dict[int, float]:
    """Targets on the coarse grid, where a class's volume differs a little from its voxel count."""
    soft, hard = state.soft_ml, hard_volumes_ml(flow, flow.problem.classes)
    return {index: target * soft[index] / hard[index] for index, target in targets_ml.items()}


def _corrected(trail: list[tuple[np.ndarray, np.ndarray]], targets_ml: dict[int, float]) -> dict[int, float]:
    """Soft targets that should bring the voxel counts to their targets: a secant step in the logarithms.

    Args:
        trail: soft and hard volumes at the end of each round so far.
        targets_ml: wanted hard volumes.
    """
    soft, hard = (np.log(np.maximum(v, 1e-6)) for v in trail[-1])
    slope = np.ones_like(soft)
    if len(trail) > 1:
        earlier_soft, earlier_hard = (np.log(np.maximum(v, 1e-6)) for v in trail[-2])
        moved = np.abs(soft - earlier_soft) > 1e-3
        slope[moved] = np.clip((hard - earlier_hard)[moved] / (soft - earlier_soft)[moved], *_SLOPES)
    return {i: float(np.exp(soft[i] + (np.log(t) - hard[i]) / slope[i])) for i, t in targets_ml.items()}


def _hard_miss(flow: FlowGrid, hard: np.ndarray, targets_ml: dict[int, float]) -> float:
    """Largest distance of a class from its target, in units of what the flips should have to bridge."""
    misses = [0.0]
    for index, target in targets_ml.items():
        small = target < _SMALL_ML and index not in flow.problem.weighted
        misses.append(abs(hard[index] / target - 1.0) / (_SMALL_MISS if small else _MISS))
    return float(max(misses))


def _soft_miss(state: FlowState, soft: dict[int, float]) -> float:
    """Largest relative distance of a class of more than 2 mL from its soft target."""
    large = (abs(state.soft_ml[i] / t - 1.0) for i, t in soft.items() if t >= _SMALL_ML)
    return max(large, default=0.0)


def _to_end(flow: FlowGrid, state: FlowState, soft: dict[int, float]) -> FlowState:
    """Steps from t = 0 to 1, and short ones after it until the soft volumes are there."""
    first = state.steps
    for _ in range(_POLISHES + 1):
        remaining = 1.0
        while remaining > 1e-6:
            state, used = step(flow, state, soft, remaining)
            remaining -= used
            _check_slack(flow, state, {}, {})
            if state.steps - first > _MOST_STEPS:
                raise MorphError(f"The flow took more than {_MOST_STEPS} steps; ask for a smaller change.")
        if _soft_miss(state, soft) < _SOFT_MISS:
            break
    return state


def _to_width(flow: FlowGrid, state: FlowState, soft: dict[int, float], goal: WidthGoal) -> FlowState:
    """Steps until the widths are met as closely as the voxels allow; the best state seen."""
    exponents = dict.fromkeys(goal.sides, _FIRST_EXPONENT)
    widths = _widths(flow, state, goal)
    best, best_error, worse = state, _error(widths, goal), 0
    aim = _width_aim_mm(flow, goal)
    while best_error > aim and worse < _IDLE_STEPS and state.steps < _MOST_STEPS:
        volumes = state.soft_ml
        targets = dict(soft)
        for side, classes in goal.sides.items():
            ratio = (goal.wanted_mm[side] / max(widths[side], 0.1)) ** exponents[side]
            targets |= {index: volumes[index] * ratio for index in classes}
        state, _ = step(flow, state, targets, 1.0)
        before, widths = widths, _widths(flow, state, goal)
        _check_slack(flow, state, widths, exponents)
        exponents = _measured_exponents(goal, exponents, before, widths, volumes, state.soft_ml)
        error = _error(widths, goal)
        worse = 0 if error < best_error else worse + 1
        if error < best_error:
            best, best_error = state, error
    return replace(best, steps=state.steps, iterations=state.iterations)


def _width_aim_mm(flow: FlowGrid, goal: WidthGoal) -> float:
    """How near to the wanted width to stop: the step between two values voxels can tell apart, about 2 h^2 / w."""
    gap = 2.0 * max(flow.problem.spacing_mm) ** 2 / min(goal.wanted_mm.values())
    return min(max(_WIDTH_AIM_MM, gap), _WIDEST_AIM_MM)


def _measured_exponents(
    goal: WidthGoal,
    old: dict[str, float],
    before: dict[str, float],
    after: dict[str, float],
    volumes: np.ndarray,
    grown: np.ndarray,
) -> dict[str, float]:
    """Exponents d ln V / d ln w of the last step, where it was long enough to tell."""
    out = dict(old)
    for side, classes in goal.sides.items():
        widening = np.log(max(after[side], 0.1) / max(before[side], 0.1))
        growth = np.log(grown[list(classes)].sum() / volumes[list(classes)].sum())
        if abs(widening) > 0.03 and widening * growth > 0:
            out[side] = float(np.clip(0.5 * old[side] + 0.5 * growth / widening, 1.0, 4.0))
    return out


def _widths(flow: FlowGrid, state: FlowState, goal: WidthGoal) -> dict[str, float]:
    """Widths of the whole-voxel ventricles, warped only in the box where they can be."""
    problem, grid = flow.problem, flow.grid
    members = [index for classes in goal.sides.values() for index in classes]
    seen = np.zeros(grid.shape, bool)
    seen[grid.domain] = state.carried[:, members].sum(axis=1) > 0.01
    box = bounding_box(seen, 2)
    i, j, k = (slice(s.start * f, s.stop * f) for s, f in zip(box, grid.factors, strict=True))
    mask = problem.classes[i, j, k] > 0 if problem.skull_share == 0 else None
    displacement = voxel_displacement(flow, state, box)
    classes = warp_labels(problem.classes, displacement, (i.start, j.start, k.start), mask)
    return goal.measure(np.isin(classes, members), (i, j, k))


def _error(widths: dict[str, float], goal: WidthGoal) -> float:
    """Largest distance of a side from its wanted width."""
    return max(abs(widths[side] - wanted) for side, wanted in goal.wanted_mm.items())


def _held(goal: WidthGoal, volumes: np.ndarray) -> dict[int, float]:
    """The growing classes at their present soft volume."""
    return {index: float(volumes[index]) for classes in goal.sides.values() for index in classes}


def _check_slack(flow: FlowGrid, state: FlowState, widths: dict[str, float], exponents: dict[str, float]) -> None:
    """Stop when the slack is nearly used up."""
    slack = list(flow.problem.slack)
    if not slack:
        return
    if state.soft_ml[slack].sum() < SLACK_LEFT * flow.start_ml[slack].sum():
        raise SlackExhausted(widths, state.soft_ml, exponents)
