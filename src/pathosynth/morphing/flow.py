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
from pathosynth.morphing.warp import sampling_matrix

_FLOOR_ML = 1e-6


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
    ell_mm: float = 12.0
    tolerance: float = 1e-3


@dataclass(frozen=True)
class FlowGrid:
    """A problem on its coarse grid.

    `fractions` is (n_blocks, channels): one channel per class 0..n, then one weighted channel per weighted class,
    then the slack. `shell` marks the domain's blocks outside the skull.
    """

    problem: FlowProblem
    grid: coarse.CoarseGrid
    levels: tuple[poisson.Level, ...]
    fractions: np.ndarray
    shell: np.ndarray
    points: np.ndarray


@dataclass(frozen=True)
class FlowState:
    """How far the flow has come.

    Attributes:
        displacement: (n_blocks, 3) float32, psi(x) - x in blocks.
        carried: (n_domain, channels) float32, the channels seen through psi.
        pressure: (n_domain,) last solution, the next one starts from it.
        steps, iterations: steps taken and solver iterations spent.
    """

    displacement: np.ndarray
    carried: np.ndarray
    pressure: np.ndarray | None = None
    steps: int = 0
    iterations: int = 0


def prepare(problem: FlowProblem) -> FlowGrid:
    """Put a problem on its coarse grid."""
    factors = coarse.block_factors(problem.spacing_mm)
    skull = problem.classes > 0
    inside = _with_shell(skull, problem.spacing_mm, problem.shell_mm) if problem.skull_share > 0 else skull
    grid = coarse.build_grid(inside, problem.spacing_mm, factors)
    channels = [_mean(problem.classes == index, factors) for index in range(int(problem.classes.max()) + 1)]
    for index in problem.weighted:
        channels.append(_mean((problem.classes == index) * _or_ones(problem.source_weight), factors))
    slack = np.isin(problem.classes, problem.slack)
    channels.append(_mean(slack * _or_ones(problem.slack_weight), factors))
    shell = grid.domain & (coarse.block_mean(skull, factors) < 0.5)
    points = np.stack(np.unravel_index(grid.active, grid.shape), axis=1).astype(np.float32)
    levels = poisson.build_levels(grid.domain, grid.spacing_mm)
    return FlowGrid(problem, grid, levels, np.stack(channels, axis=1), shell[grid.domain], points)


def begin(flow: FlowGrid) -> FlowState:
    """The state before anything moved."""
    carried = flow.fractions[flow.grid.domain.ravel()]
    return FlowState(np.zeros((flow.grid.domain.size, 3), np.float32), carried)


def soft_volumes_ml(flow: FlowGrid, state: FlowState) -> np.ndarray:
    """Volume of every class inside the domain from its carried fractions, (n_classes + 1,) mL."""
    count = int(flow.problem.classes.max()) + 1
    return np.asarray(state.carried[:, :count].sum(axis=0, dtype=np.float64)) * flow.grid.block_ml


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
    carried = sampling_matrix(looks, flow.grid.shape) @ flow.fractions
    return FlowState(displacement, carried, solution.p, state.steps + 1, state.iterations + solution.iterations), dt


def voxel_displacement(flow: FlowGrid, state: FlowState, box: tuple[slice, slice, slice] | None = None) -> np.ndarray:
    """Backward displacement in voxels, (3, i, j, k) float32, of the whole grid or a box of it."""
    shape = flow.problem.classes.shape
    wanted = box or (slice(0, shape[0]), slice(0, shape[1]), slice(0, shape[2]))
    return coarse.refine(state.displacement.reshape(*flow.grid.shape, 3), flow.grid.factors, wanted)


def _coefficients(
    flow: FlowGrid, state: FlowState, targets_ml: dict[int, float], remaining: float
) -> tuple[np.ndarray, np.ndarray]:
    """Source (2) and screening (3) on the domain, float64."""
    problem, block_ml = flow.problem, flow.grid.block_ml
    volumes = soft_volumes_ml(flow, state)
    source, net = np.zeros(len(state.carried)), 0.0
    for index, target in targets_ml.items():
        growth = np.log(max(target, _FLOOR_ML) / max(volumes[index], _FLOOR_ML)) / remaining * volumes[index]
        channel = index
        if index in problem.weighted:
            channel = len(volumes) + problem.weighted.index(index)
        density = state.carried[:, channel].astype(np.float64)
        source += growth * density / max(density.sum() * block_ml, _FLOOR_ML)
        net += growth
    if problem.skull_share > 0:
        source[flow.shell] -= problem.skull_share * net / (flow.shell.sum() * block_ml)
    return source, np.maximum(state.carried[:, -1].astype(np.float64), 0.0) / problem.ell_mm**2


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
    back = np.float32(-dt) * (sampling_matrix(half, grid.shape) @ field_now)
    out = np.zeros_like(displacement)
    out[grid.active] = back + sampling_matrix(points + back, grid.shape) @ displacement
    return out


def _mean(array: np.ndarray, factors: tuple[int, int, int]) -> np.ndarray:
    """Block means, flat."""
    return coarse.block_mean(array, factors).ravel()


def _or_ones(array: np.ndarray | None) -> np.ndarray | np.float32:
    """The array, or 1 where none is given."""
    return np.float32(1.0) if array is None else array


def _with_shell(skull: np.ndarray, spacing_mm: Spacing, shell_mm: float) -> np.ndarray:
    """The skull's inside and a layer around it."""
    distance = ndi.distance_transform_edt(~skull, sampling=spacing_mm)
    return np.asarray(distance <= shell_mm)
