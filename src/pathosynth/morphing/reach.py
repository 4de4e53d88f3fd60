"""Driving the flow until the labels, counted as whole voxels, have the wanted volumes or the wanted lengths."""

import functools
from dataclasses import dataclass, replace

import numpy as np

from pathosynth.morphing.budget import check_slack
from pathosynth.morphing.classes import ClassMap
from pathosynth.morphing.counting import label_counts
from pathosynth.morphing.flow import FlowGrid, FlowState, begin, step, voxel_displacement
from pathosynth.morphing.lengths import LENGTH_TOLERANCE_MM, LengthGoal, LengthSearch, measured, next_volume_ml
from pathosynth.morphing.warp import warp_blocks
from pathosynth.runs.errors import MorphError

_MISS = 0.005
_SOFT_MISS = 0.01
_SMALL_MISS = 0.05
_SMALL_ML = 2.0
_CORRECTIONS = 5
_POLISHES = 6
_LENGTH_ROUNDS, _IDLE_ROUNDS = 16, 4
_SLOPES = (0.5, 4.0)  # how strongly voxel counts may answer soft volumes; flat walls on the lattice answer in jumps
_MOST_STEPS = 80


@dataclass(frozen=True)
class Reached:
    """The end of a flow: its state, and the classes it leads to before any flip."""

    flow: FlowGrid
    state: FlowState
    classes: np.ndarray
    corrections: int

    @functools.cached_property
    def displacement(self) -> np.ndarray:
        """Backward displacement in voxels, (3, I, J, K) float32; made when asked for, most rounds are not the last."""
        return voxel_displacement(self.flow, self.state)


def reach(
    flow: FlowGrid,
    classes: ClassMap,
    targets_ml: dict[int, float],
    goal: LengthGoal | None = None,
    loose: tuple[int, ...] = (),
) -> Reached:
    """Flow to volumes or lengths, round after round, until whole voxels agree.

    A round flows to the soft targets, counts voxels (and measures lengths), and corrects the targets. Volumes are met
    within 0.5 % (5 % below 2 mL), the rest is left to the last-voxel flips. A part with a wanted length gets a volume
    target from a search on what its last volumes led to.

    Args:
        flow: the problem on its grid.
        classes: what its classes are.
        targets_ml: wanted volume of each constrained class; kept ones have their present volume.
        goal: wanted lengths of the classes that are not among the targets.
        loose: classes too thin to be counted in whole voxels; they flow to their target and are not corrected.

    Raises:
        SlackExhausted: less than 15 % of the slack is left on the way.
    """
    hard = hard_volumes_ml(flow, flow.problem.classes)
    search = {} if goal is None else _begin_search(flow, goal, hard)
    firm = {index: target for index, target in targets_ml.items() if index not in loose}
    state, trail = begin(flow), [(flow.start_ml, hard)]
    best, best_rank, idle = None, (True, np.inf), 0
    for correction in range(_CORRECTIONS + 1 if goal is None else _LENGTH_ROUNDS):
        corrected = _corrected(trail, firm | _search_targets(goal, search, hard))
        state = _to_end(flow, state, targets_ml | corrected, search)
        reached = materialise(flow, state, classes, correction)
        hard = hard_volumes_ml(flow, reached.classes)
        miss, off_mm = _hard_miss(flow, hard, firm), 0.0
        if goal is not None:
            lengths = goal.measure(reached.classes)
            search = {s: measured(k, lengths[s], float(hard[list(goal.parts[s])].sum())) for s, k in search.items()}
            off_mm = goal.error_mm(lengths)
            miss = max(miss, off_mm / goal.aim_mm(flow.problem.spacing_mm))
        rank = (off_mm > LENGTH_TOLERANCE_MM, miss)  # flips can mend a volume, but not a length
        best, best_rank, idle = (reached, rank, 0) if rank < best_rank else (best, best_rank, idle + 1)
        if best_rank <= (False, 1.0) or (idle >= _IDLE_ROUNDS and not best_rank[0]):
            break
        trail.append((state.soft_ml, hard))
    return replace(best or reached, corrections=correction)


def _begin_search(flow: FlowGrid, goal: LengthGoal, hard: np.ndarray) -> dict[str, LengthSearch]:
    """The search of each part before anything moved."""
    lengths, aim = goal.measure(flow.problem.classes), goal.aim_mm(flow.problem.spacing_mm)
    return {
        part: LengthSearch(goal.wanted_mm[part], aim, lengths[part], float(hard[list(classes)].sum()))
        for part, classes in goal.parts.items()
    }


def _search_targets(goal: LengthGoal | None, search: dict[str, LengthSearch], hard: np.ndarray) -> dict[int, float]:
    """Volume to try next for each class of each part; a part's classes keep their proportions."""
    if goal is None:
        return {}
    ratio = {part: next_volume_ml(found) / found.volume_ml for part, found in search.items()}
    return {index: float(hard[index]) * ratio[part] for part, classes in goal.parts.items() for index in classes}


def materialise(flow: FlowGrid, state: FlowState, classes: ClassMap, corrections: int = 0) -> Reached:
    """Classes at voxel resolution; a rigid skull stays voxel for voxel, and so does the midsagittal plane."""
    mask = flow.problem.classes > 0 if flow.problem.skull_share == 0 else None
    warped = warp_blocks(flow.problem.classes, state.displacement, flow.grid.factors, mask)
    return Reached(flow, state, classes.divided(warped), corrections)


def hard_volumes_ml(flow: FlowGrid, classes: np.ndarray) -> np.ndarray:
    """Volume of every class counted in whole voxels, (n_classes + 1,) mL."""
    counts = label_counts(classes, int(flow.problem.classes.max()) + 1)
    return counts * (float(np.prod(flow.problem.spacing_mm)) / 1000.0)


def _corrected(trail: list[tuple[np.ndarray, np.ndarray]], targets_ml: dict[int, float]) -> dict[int, float]:
    """Soft targets that should bring the voxel counts to their targets: a secant step in the logarithms.

    Args:
        trail: soft and hard volumes at the start and at the end of each round so far.
        targets_ml: wanted hard volumes.
    """
    soft, hard = (np.log(np.maximum(v, 1e-6)) for v in trail[-1])
    slope = np.ones_like(soft)
    if len(trail) > 2:
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


def _to_end(flow: FlowGrid, state: FlowState, soft: dict[int, float], search: dict[str, LengthSearch]) -> FlowState:
    """Steps from t = 0 to 1, and short ones after it until the soft volumes are there."""
    first = state.steps
    for _ in range(_POLISHES + 1):
        remaining = 1.0
        while remaining > 1e-6:
            state, used = step(flow, state, soft, remaining)
            remaining -= used
            check_slack(flow, state, search)
            if state.steps - first > _MOST_STEPS:
                raise MorphError(f"The flow took more than {_MOST_STEPS} steps; ask for a smaller change.")
        if _soft_miss(state, soft) < _SOFT_MISS:
            break
    return state
