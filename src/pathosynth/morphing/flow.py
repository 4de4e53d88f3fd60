"""Closed-loop label-volume flow: one step of the velocity field that gives every label its wanted volume.

In pseudo-time t from 0 to 1 the labels L_t = L_0 o psi_t are carried by a velocity v = -kappa grad p with

    -div(kappa grad p) + c p = s                                                                        (1)
    s = sum over constrained labels of r_l w_l chi_l,    r_l = ln(V*_l / V_l(t)) / (1 - t)              (2)
    c = m(x) chi_slack / ell^2                                                                          (3)
    d psi / dt + v . grad psi = 0                                                                       (4)

so that labels grow at the rate that still misses, kept labels do not change, and only the slack (external CSF, and a
shell outside the skull for a skull share q) gives way. The rates are measured again on the moved labels at every
step; a velocity solved once and integrated misses its volume by 40 %.
"""

from dataclasses import dataclass, field

import numpy as np
import scipy.ndimage as ndi

from pathosynth.data.volume import Spacing
from pathosynth.morphing import coarse, poisson
from pathosynth.morphing.warp import sample

_FLOOR_ML = 1e-6
_FIRST_ANSWER = 0.7  # velocities averaged to block centres move thin structures less than the equation says
_ANSWERS = (0.3, 1.3)
_TELLING = 0.02  # a requested change of ln V large enough to measure the answer to it


@dataclass(frozen=True)
class FlowProblem:
    """What is to be moved and what may give way. Arrays share one grid whose shape is a multiple of the block factors.

    Attributes:
        classes: (I, J, K) uint8: 0 outside the skull, 1..n the classes moved separately.
        spacing_mm: of the voxels.
        slack: classes that are compressible.
        source_weight: (I, J, K) float32 > 0, where classes in `weighted` grow more than elsewhere.
        weighted: classes that grow by `source_weight` instead of evenly.
        slack_weight: (I, J, K) float32 >= 0, relative compressibility m(x) of the slack.
        mobility: kappa of classes that should move less than the others (1).
        skull_share: q, part of the net volume that the skull grows by.
        shell_mm: thickness of the layer outside the skull that takes that part up.
        skull_weight: (I, J, K) float32, how much more of it the skull takes up here than elsewhere; where it is below
            0, the skull gives way although it comes in elsewhere, and the other way round.
        ell_mm: decay length; long spreads the volume over all slack, short takes it nearby.
        tolerance: relative residual of (1).
    """

    classes: np.ndarray
    spacing_mm: Spacing
    slack: tuple[int, ...]
    source_weight: np.ndarray | None = None
    weighted: tuple[int, ...] = ()
    slack_weight: np.ndarray | None = None
    mobility: dict[int, float] = field(default_factory=dict)
    skull_share: float = 0.0
    shell_mm: float = 10.0
    skull_weight: np.ndarray | None = None
    ell_mm: float = 12.0
    tolerance: float = 3e-3


@dataclass(frozen=True)
class FlowGrid:
    """A problem on its coarse grid.

    `fractions` is (n_blocks, channels): one channel per class 0..n, then one weighted channel per weighted class,
    then the slack. `shell` marks the domain's blocks outside the skull and `shell_part` says what part of the skull's
    share each of them takes up (their sum is 1). `points` are the active blocks' positions and `start_ml` the classes'
    soft volumes before anything moved.
    """

    problem: FlowProblem
    grid: coarse.CoarseGrid
    levels: tuple[poisson.Level, ...]
    fractions: np.ndarray
    shell: np.ndarray
    shell_part: np.ndarray
    points: np.ndarray
    start_ml: np.ndarray


@dataclass(frozen=True)
class FlowState:
    """How far the flow has come.

    Attributes:
        displacement: (n_blocks, 3) float32, psi(x) - x in blocks.
        carried: (n_domain, channels) float32, the channels seen through psi.
        soft_ml: (n_classes + 1,) volume of every class in the domain, summed over its carried fractions.
        answer: (n_classes + 1,) change of ln V that the grid makes of a requested one; rates are divided by it.
        pressure: (n_domain,) last solution, the next one starts from it.
        steps, iterations: steps taken and solver iterations spent.
    """

    displacement: np.ndarray
    carried: np.ndarray
    soft_ml: np.ndarray
    answer: np.ndarray
    pressure: np.ndarray | None = None
    steps: int = 0
    iterations: int = 0


def prepare(problem: FlowProblem) -> FlowGrid:
    """Put a problem on its coarse grid."""
    factors = coarse.block_factors(problem.spacing_mm)
    skull = problem.classes > 0
    inside = _with_shell(skull, problem.spacing_mm, problem.shell_mm) if problem.skull_share > 0 else skull
    grid = coarse.build_grid(inside, problem.spacing_mm, factors)
    share = coarse.class_fractions(problem.classes, factors)
    grown, drained = share, share
    if problem.source_weight is not None and problem.weighted:
        grown = coarse.class_fractions(problem.classes, factors, problem.source_weight)
    if problem.slack_weight is not None:
        drained = coarse.class_fractions(problem.classes, factors, problem.slack_weight)
    slack = drained[:, list(problem.slack)].sum(axis=1, keepdims=True)
    fractions = np.concatenate([share, grown[:, list(problem.weighted)], slack], axis=1)
    shell = grid.domain & (coarse.block_mean(skull, factors) < 0.5)
    points = np.stack(np.unravel_index(grid.active, grid.shape), axis=1).astype(np.float32)
    levels = poisson.build_levels(grid.domain, grid.spacing_mm)
    start_ml = _volumes_ml(fractions[grid.domain.ravel()], int(problem.classes.max()) + 1, grid.block_ml)
    part = _shell_part(problem, factors, shell) if problem.skull_share > 0 else np.empty(0)
    return FlowGrid(problem, grid, levels, fractions, shell[grid.domain], part, points, start_ml)


def begin(flow: FlowGrid) -> FlowState:
    """The state before anything moved."""
    carried = flow.fractions[flow.grid.domain.ravel()]
    return FlowState(
        np.zeros((flow.grid.domain.size, 3), np.float32),
        carried,
        flow.start_ml,
        np.full(len(flow.start_ml), _FIRST_ANSWER),
    )


def step(flow: FlowGrid, state: FlowState, targets_ml: dict[int, float], remaining: float) -> tuple[FlowState, float]:
    """Solve (1) on the moved labels and move them by at most one block.

    Args:
        flow: from `prepare`.
        state: where the flow is.
        targets_ml: wanted soft volume of each constrained class at the end.
        remaining: pseudo-time left, 1 - t.

    Returns:
        The new state and the pseudo-time used.
    """
    source, screening = _coefficients(flow, state, targets_ml, remaining)
    operator = poisson.assemble(flow.levels, _mobility(flow, state), screening)
    solution = poisson.solve(operator, source, state.pressure, tolerance=flow.problem.tolerance)
    velocity = _velocity(flow.levels[0], operator, solution.p)
    fastest = float(np.abs(velocity).max(initial=0.0))
    dt = remaining / max(1, int(np.ceil(remaining * fastest)))
    displacement = _advance(flow, state.displacement, velocity, dt)
    inside = flow.grid.domain.ravel()[flow.grid.active]
    looks = flow.points[inside] + displacement[flow.grid.active[inside]]
    carried = sample(flow.fractions, looks, flow.grid.shape)
    iterations = state.iterations + solution.iterations
    soft_ml = _volumes_ml(carried, len(flow.start_ml), flow.grid.block_ml)
    answer = _measured_answer(state, soft_ml, targets_ml, dt / remaining)
    return FlowState(displacement, carried, soft_ml, answer, solution.p, state.steps + 1, iterations), dt


def voxel_displacement(
    flow: FlowGrid, state: FlowState, blocks: tuple[slice, slice, slice] | None = None
) -> np.ndarray:
    """Backward displacement in voxels, (3, i, j, k) float32, of the whole grid or of some blocks."""
    i, j, k = flow.grid.shape
    wanted = blocks or (slice(0, i), slice(0, j), slice(0, k))
    return coarse.refine(state.displacement.reshape(i, j, k, 3), flow.grid.factors, wanted)


def _volumes_ml(carried: np.ndarray, count: int, block_ml: float) -> np.ndarray:
    """Volume of each of the first `count` channels, summed in float64."""
    return np.array([carried[:, index].sum(dtype=np.float64) for index in range(count)]) * block_ml


def _coefficients(
    flow: FlowGrid, state: FlowState, targets_ml: dict[int, float], remaining: float
) -> tuple[np.ndarray, np.ndarray]:
    """Source (2) and screening (3) on the domain, float64."""
    problem, block_ml = flow.problem, flow.grid.block_ml
    volumes = state.soft_ml
    source = np.zeros(len(state.carried))
    for index, target in targets_ml.items():
        rate = np.log(max(target, _FLOOR_ML) / max(volumes[index], _FLOOR_ML)) / remaining
        growth = rate * volumes[index] / state.answer[index]
        channel = index
        if index in problem.weighted:
            channel = len(volumes) + problem.weighted.index(index)
        density = state.carried[:, channel].astype(np.float64)
        source += growth * density / max(density.sum() * block_ml, _FLOOR_ML)
    if problem.skull_share > 0:
        grows = problem.skull_share * sum(target - flow.start_ml[index] for index, target in targets_ml.items())
        misses = grows - float(volumes[1:].sum() - flow.start_ml[1:].sum())
        source[flow.shell] -= misses / remaining / block_ml * flow.shell_part
    return source, np.maximum(state.carried[:, -1].astype(np.float64), 0.0) / problem.ell_mm**2


def _measured_answer(state: FlowState, grown_ml: np.ndarray, targets_ml: dict[int, float], part: float) -> np.ndarray:
    """Realised over requested change of ln V for the classes that were asked for enough; the last one otherwise."""
    answer = state.answer.copy()
    for index, target in targets_ml.items():
        requested = part * np.log(max(target, _FLOOR_ML) / max(state.soft_ml[index], _FLOOR_ML)) / state.answer[index]
        if abs(requested) > _TELLING:
            realised = np.log(max(grown_ml[index], _FLOOR_ML) / max(state.soft_ml[index], _FLOOR_ML))
            answer[index] = np.clip(realised / requested, *_ANSWERS)
    return answer


def _mobility(flow: FlowGrid, state: FlowState) -> np.ndarray | float:
    """Mobility kappa on the domain, the mean over the classes in each block; 1 where nothing is anchored."""
    kappa: np.ndarray | float = 1.0
    for index, value in flow.problem.mobility.items():
        kappa = kappa - (1.0 - value) * state.carried[:, index].astype(np.float64)
    return kappa


def _velocity(level: poisson.Level, operator: poisson.Operator, p: np.ndarray) -> np.ndarray:
    """Velocity -kappa grad p at block centres, the mean of both faces; (n_domain, 3) in blocks per pseudo-time."""
    flux = -0.5 * operator.face_weight * (p[level.second] - p[level.first])
    out = np.empty((level.size, 3), np.float32)
    ends = [0, *level.axis_ends]
    for axis in range(3):
        faces = slice(ends[axis], ends[axis + 1])
        out[:, axis] = np.bincount(level.first[faces], flux[faces], level.size)
        out[:, axis] += np.bincount(level.second[faces], flux[faces], level.size)
    return out


def _advance(flow: FlowGrid, displacement: np.ndarray, velocity: np.ndarray, dt: float) -> np.ndarray:
    """One midpoint step of (4): psi_new(y) = psi(y - dt v(y - dt/2 v(y)))."""
    grid, points = flow.grid, flow.points
    field_now = np.zeros_like(displacement)
    near = grid.extension @ velocity
    field_now[grid.active] = near
    half = points - np.float32(0.5 * dt) * near
    back = np.float32(-dt) * sample(field_now, half, grid.shape)
    out = np.zeros_like(displacement)
    out[grid.active] = back + sample(displacement, points + back, grid.shape)
    return out


def _shell_part(problem: FlowProblem, factors: tuple[int, int, int], shell: np.ndarray) -> np.ndarray:
    """Part of the skull's share that each block of the shell takes up; the sum is 1 also where weights are below 0."""
    weight = np.ones(int(shell.sum()))
    if problem.skull_weight is not None:
        weight = coarse.block_mean(problem.skull_weight, factors)[shell].astype(np.float64)
    return np.asarray(weight / weight.sum())


def _with_shell(skull: np.ndarray, spacing_mm: Spacing, shell_mm: float) -> np.ndarray:
    """The skull's inside and a layer around it."""
    distance = ndi.distance_transform_edt(~skull, sampling=spacing_mm)
    return np.asarray(distance <= shell_mm)
