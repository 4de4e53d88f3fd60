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
import scipy.sparse as sp

from pathosynth.data.volume import Spacing
from pathosynth.morphing import coarse, poisson
from pathosynth.morphing.transport import advance, extend, sample, sampled_sums

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
        exchange_ml: (I, J, K) float32, volume that the skull gives up by coming in (above 0) or takes in by going out
            (below 0) at each voxel of that layer besides its share; their sum is taken out.
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
    exchange_ml: np.ndarray | None = None
    ell_mm: float = 12.0
    tolerance: float = 3e-3


@dataclass(frozen=True)
class FlowGrid:
    """A problem on its coarse grid.

    `fractions` is (n_blocks, channels) CSR: one channel per class 0..n, then one weighted channel per weighted class,
    then the slack; everything the equation needs is a combination of channels, so time hardly grows with their number.
    `shell` marks the domain's blocks outside the skull and `exchange` is the source in each of them
    that exchanges volume with the skull over the whole pseudo-time (their sum is 0). `start_ml` are the classes' soft
    volumes before anything moved.
    """

    problem: FlowProblem
    grid: coarse.CoarseGrid
    levels: tuple[poisson.Level, ...]
    fractions: sp.csr_matrix
    shell: np.ndarray
    exchange: np.ndarray
    start_ml: np.ndarray


@dataclass(frozen=True)
class FlowState:
    """How far the flow has come.

    Attributes:
        displacement: (I', J', K', 3) float32, psi(x) - x in blocks.
        channels_ml: (channels,) volume of every channel in the domain, seen through psi.
        answer: (n_classes + 1,) change of ln V that the grid makes of a requested one; rates are divided by it.
        pressure: (n_domain,) last solution, the next one starts from it.
        steps, iterations: steps taken and solver iterations spent.
        exchanged: part of the volume exchanged with the skull so far, 0 to 1.
    """

    displacement: np.ndarray
    channels_ml: np.ndarray
    answer: np.ndarray
    pressure: np.ndarray | None = None
    steps: int = 0
    iterations: int = 0
    exchanged: float = 0.0

    @property
    def soft_ml(self) -> np.ndarray:
        """Volume of every class 0..n, the sum of its fractions in the domain."""
        return self.channels_ml[: len(self.answer)]


def prepare(problem: FlowProblem) -> FlowGrid:
    """Put a problem on its coarse grid."""
    factors = coarse.block_factors(problem.spacing_mm)
    skull = problem.classes > 0
    inside = _with_shell(skull, problem.spacing_mm, problem.shell_mm) if problem.skull_share > 0 else skull
    grid = coarse.build_grid(inside, problem.spacing_mm, factors)
    fractions = _fractions(problem, grid)
    shell = grid.domain & (coarse.block_mean(skull, factors) < 0.5)
    levels = poisson.build_levels(grid.domain, grid.spacing_mm)
    start_ml = _channels_ml(grid, fractions, np.zeros((*grid.shape, 3), np.float32))[: int(problem.classes.max()) + 1]
    exchange = _exchange(problem, factors, shell)
    return FlowGrid(problem, grid, levels, fractions, shell[grid.domain], exchange, start_ml)


def begin(flow: FlowGrid) -> FlowState:
    """The state before anything moved."""
    still = np.zeros((*flow.grid.shape, 3), np.float32)
    return FlowState(still, _channels_ml(flow.grid, flow.fractions, still), np.full(len(flow.start_ml), _FIRST_ANSWER))


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
    source, screening, kappa = _coefficients(flow, state, targets_ml, remaining)
    operator = poisson.assemble(flow.levels, kappa, screening)
    solution = poisson.solve(operator, source, state.pressure, tolerance=flow.problem.tolerance)
    velocity = poisson.mean_flux(operator, solution.p)
    fastest = float(np.abs(velocity).max(initial=0.0))
    dt = remaining / max(1, int(np.ceil(remaining * fastest)))
    grid = flow.grid
    everywhere = extend(velocity, grid.inside, grid.rank, grid.halo)
    displacement = advance(state.displacement, everywhere, dt, grid.active)
    channels_ml = _channels_ml(grid, flow.fractions, displacement)
    iterations = state.iterations + solution.iterations
    answer = _measured_answer(state, channels_ml, targets_ml, dt / remaining)
    exchanged = state.exchanged + (1.0 - state.exchanged) * dt / remaining
    return FlowState(displacement, channels_ml, answer, solution.p, state.steps + 1, iterations, exchanged), dt


def voxel_displacement(
    flow: FlowGrid, state: FlowState, blocks: tuple[slice, slice, slice] | None = None
) -> np.ndarray:
    """Backward displacement in voxels, (3, i, j, k) float32, of the whole grid or of some blocks."""
    i, j, k = flow.grid.shape
    wanted = blocks or (slice(0, i), slice(0, j), slice(0, k))
    return coarse.refine(state.displacement, flow.grid.factors, wanted)


def _fractions(problem: FlowProblem, grid: coarse.CoarseGrid) -> sp.csr_matrix:
    """The channels of `FlowGrid.fractions`."""
    count = int(problem.classes.max()) + 1
    grown, slack = np.full((2, count), -1)
    grown[list(problem.weighted)] = np.arange(len(problem.weighted))
    slack[list(problem.slack)] = 0
    layers = ((np.arange(count), None), (grown, problem.source_weight), (slack, problem.slack_weight))
    parts = [coarse.class_fractions(problem.classes, grid.factors, channels, weight) for channels, weight in layers]
    return sp.csr_matrix(sp.hstack(parts if problem.weighted else [parts[0], parts[2]], format="csr"))


def _channels_ml(grid: coarse.CoarseGrid, fractions: sp.csr_matrix, displacement: np.ndarray) -> np.ndarray:
    """Volume of every channel in the domain, seen through psi."""
    return sampled_sums(fractions, displacement, grid.inside) * grid.block_ml


def _coefficients(
    flow: FlowGrid, state: FlowState, targets_ml: dict[int, float], remaining: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Source (2), screening (3) and mobility on the domain: combinations of channels, seen through psi.

    Mobility is the mean over the classes in each block, 1 where nothing is anchored.
    """
    problem, block_ml = flow.problem, flow.grid.block_ml
    volumes = state.soft_ml
    parts = np.zeros((flow.fractions.shape[1], 3))
    for index, target in targets_ml.items():
        rate = np.log(max(target, _FLOOR_ML) / max(volumes[index], _FLOOR_ML)) / remaining
        growth = rate * volumes[index] / state.answer[index]
        channel = index
        if index in problem.weighted:
            channel = len(volumes) + problem.weighted.index(index)
        parts[channel, 0] += growth / max(state.channels_ml[channel], _FLOOR_ML)
    parts[-1, 1] = 1.0 / problem.ell_mm**2
    for index, value in problem.mobility.items():
        parts[index, 2] = value - 1.0
    combined = (flow.fractions @ parts).astype(np.float32).reshape(*flow.grid.shape, 3)
    source, screening, kappa = sample(combined, state.displacement, flow.grid.inside).astype(np.float64).T
    if problem.skull_share > 0:
        grows = problem.skull_share * sum(target - flow.start_ml[index] for index, target in targets_ml.items())
        misses = grows - float(volumes[1:].sum() - flow.start_ml[1:].sum())
        source[flow.shell] -= misses / remaining / (flow.shell.sum() * block_ml)
        source[flow.shell] += flow.exchange * (1.0 - state.exchanged) / remaining
    return source, screening, 1.0 + kappa


def _measured_answer(state: FlowState, grown_ml: np.ndarray, targets_ml: dict[int, float], part: float) -> np.ndarray:
    """Realised over requested change of ln V for the classes that were asked for enough; the last one otherwise."""
    answer = state.answer.copy()
    for index, target in targets_ml.items():
        requested = part * np.log(max(target, _FLOOR_ML) / max(state.soft_ml[index], _FLOOR_ML)) / state.answer[index]
        if abs(requested) > _TELLING:
            realised = np.log(max(grown_ml[index], _FLOOR_ML) / max(state.soft_ml[index], _FLOOR_ML))
            answer[index] = np.clip(realised / requested, *_ANSWERS)
    return answer


def _exchange(problem: FlowProblem, factors: tuple[int, int, int], shell: np.ndarray) -> np.ndarray:
    """Source in the blocks of the shell that exchanges volume with the skull; the sum is 0."""
    if problem.exchange_ml is None:
        return np.zeros(int(shell.sum()))
    voxel_ml = float(np.prod(problem.spacing_mm)) / 1000.0
    density = coarse.block_mean(problem.exchange_ml, factors)[shell].astype(np.float64) / voxel_ml
    return np.asarray(density - density.mean())


def _with_shell(skull: np.ndarray, spacing_mm: Spacing, shell_mm: float) -> np.ndarray:
    """The skull's inside and a layer around it."""
    distance = ndi.distance_transform_edt(~skull, sampling=spacing_mm)
    return np.asarray(distance <= shell_mm)
