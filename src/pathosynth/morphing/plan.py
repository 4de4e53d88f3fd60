"""What is wanted of a label map, and the flow problem, targets and budget that follow from it."""

from dataclasses import dataclass, field, replace

import numpy as np

from pathosynth.data.grid import Box, crop
from pathosynth.data.labels import LabelScheme, check_values
from pathosynth.data.volume import Spacing
from pathosynth.morphing import measure, weights
from pathosynth.morphing.budget import Budget
from pathosynth.morphing.classes import ClassMap, split_classes
from pathosynth.morphing.coarse import block_factors
from pathosynth.morphing.flow import FlowProblem
from pathosynth.morphing.measure import SIDES
from pathosynth.morphing.topology import dissolve_specks, limit_pieces
from pathosynth.runs.errors import InputError

SPECK_VOXELS = 20
LARGEST_STRAY_VOXELS = 200  # a larger stray piece is an error, not something to tidy away
WIDEST_GAP_VOXELS = 6.0  # between two large pieces that a source joins by a few voxels, e.g. both hemispheres
SHELL_MM = 10.0
_MARGIN_BLOCKS = 3  # the halo of two blocks and one more


@dataclass(frozen=True)
class Plan:
    """What should change, who pays, and where it happens.

    Attributes:
        group: the structure that grows and is split into sides.
        volumes_ml: wanted volume of each side ("left", "right"), or None.
        widths_mm: wanted atrial width of each side, or None. Exactly one of the two is given.
        folds: wanted volume of other labels, as a fold of the present one; what is not listed is kept.
        skull_share: part of the net gain that the skull grows by, 0 to 1.
        sulcal_flattening: 0 to 1.
        posterior_bias: beta of `weights.posterior_weight`.
        midline_mm: half-width of the midline zone that hardly grows; 0 switches it off.
        ell_mm: decay length of the slack.
        mobility: label value to kappa, for structures that should move less.
        source_map: (I, J, K) float32 extra growth weight on the grid of the labels, or None.
    """

    group: str
    volumes_ml: dict[str, float] | None = None
    widths_mm: dict[str, float] | None = None
    folds: dict[int, float] = field(default_factory=dict)
    skull_share: float = 0.0
    sulcal_flattening: float = 0.0
    posterior_bias: float = 0.0
    midline_mm: float = 3.0
    ell_mm: float = 12.0
    mobility: dict[int, float] = field(default_factory=dict)
    source_map: np.ndarray | None = None


@dataclass(frozen=True)
class Task:
    """A plan for one label map, ready to be carried out. Arrays are in the box.

    Attributes:
        plan, scheme, spacing_mm: as given.
        box: the worked part of the array, the head and a margin; it may reach beyond the array.
        source: labels as they came.
        cleaned: labels without specks of at most 20 voxels, the map that is moved.
        specks: voxels changed by that.
        classes: `cleaned` as classes, the growing structure split into sides.
        problem: what the flow needs.
        targets_ml: wanted volume of each constrained class, without those that grow to a width.
        budget: what the plan costs as far as it is known beforehand (the volume of a width is not).
    """

    plan: Plan
    scheme: LabelScheme
    spacing_mm: Spacing
    box: Box
    source: np.ndarray
    cleaned: np.ndarray
    specks: int
    classes: ClassMap
    problem: FlowProblem
    targets_ml: dict[int, float]
    budget: Budget

    @property
    def voxel_ml(self) -> float:
        """Volume of one voxel in millilitres."""
        return float(np.prod(self.spacing_mm)) / 1000.0


def make_task(labels: np.ndarray, scheme: LabelScheme, spacing_mm: Spacing, plan: Plan) -> Task:
    """Check the input and set a plan up on it.

    Raises:
        InputError: the map is not usable.
    """
    check_labels(labels, scheme, spacing_mm)
    box = _head_box(labels, spacing_mm, SHELL_MM if plan.skull_share > 0 else 0.0)
    source = crop(labels, box, 0)
    cleaned = clean_source(source)
    if plan.source_map is not None:
        plan = replace(plan, source_map=crop(plan.source_map, box, 1.0))
    classes = split_classes(cleaned, scheme, plan.group, measure.midline_index(cleaned > 0))
    problem = _problem(cleaned, classes, scheme, spacing_mm, plan)
    targets = _targets(problem, classes, plan)
    budget = _budget(problem, plan, targets)
    specks = int((cleaned != source).sum())
    return Task(plan, scheme, spacing_mm, box, source, cleaned, specks, classes, problem, targets, budget)


def clean_source(labels: np.ndarray) -> np.ndarray:
    """Labels without pieces of at most 20 voxels, counted by faces; what only they joined is joined by a path."""
    _, owner, sizes = measure.labelled_pieces(labels, 26)
    allowed = np.bincount(owner[sizes > SPECK_VOXELS], minlength=int(labels.max()) + 1)
    cleaned, _ = dissolve_specks(labels, SPECK_VOXELS, clear_floating=True)
    limits = {value: max(int(n), 1) for value, n in enumerate(allowed) if value and (labels == value).any()}
    return limit_pieces(cleaned, limits, 26, LARGEST_STRAY_VOXELS, WIDEST_GAP_VOXELS)


def class_volumes_ml(problem: FlowProblem) -> np.ndarray:
    """Volume of every class of the source, (n_classes + 1,) mL."""
    counts = np.bincount(problem.classes.ravel())
    return np.asarray(counts * (float(np.prod(problem.spacing_mm)) / 1000.0))


def check_labels(labels: np.ndarray, scheme: LabelScheme, spacing_mm: Spacing) -> None:
    """Refuse arrays that are not a label map of this scheme.

    Raises:
        InputError: not 3D, not integers, negative or unknown values, empty, or impossible voxel sizes.
    """
    if labels.ndim != 3:
        raise InputError(f"Labels: expected a 3D array, found shape {labels.shape}. Give one volume.")
    if not np.issubdtype(labels.dtype, np.integer):
        raise InputError(f"Labels: expected integers, found {labels.dtype}. Convert the map without interpolation.")
    if len(spacing_mm) != 3 or not all(np.isfinite(s) and s > 0 for s in spacing_mm):
        raise InputError(f"Voxel size: expected three positive millimetres, found {tuple(spacing_mm)}.")
    if labels.size == 0 or not labels.any():
        raise InputError("Labels: the map is empty (background only). Check that the right file was given.")
    if labels.min() < 0:
        raise InputError(f"Labels: expected values >= 0, found {int(labels.min())}.")
    check_values(labels, scheme)


def _head_box(labels: np.ndarray, spacing_mm: Spacing, room_mm: float) -> Box:
    """The head with room for the halo and `room_mm` for the skull to grow, a multiple of the coarse blocks."""
    factors = block_factors(spacing_mm)
    start, stop = [], []
    for part, factor, spacing in zip(measure.bounding_box(labels > 0), factors, spacing_mm, strict=True):
        margin = _MARGIN_BLOCKS * factor + int(np.ceil(room_mm / spacing))
        start.append(part.start - margin)
        stop.append(part.start - margin - (part.start - part.stop - 2 * margin) // factor * factor)
    return Box((start[0], start[1], start[2]), (stop[0], stop[1], stop[2]))


def _problem(
    labels: np.ndarray, classes: ClassMap, scheme: LabelScheme, spacing_mm: Spacing, plan: Plan
) -> FlowProblem:
    """The flow problem of a plan."""
    midline = measure.midline_index(labels > 0)
    growing = scheme.mask(labels, plan.group)
    source = np.ones(labels.shape, np.float32)
    if plan.midline_mm > 0 and measure.lateral_ventricle_group(scheme) == "ventricles":
        source *= weights.midline_weight(labels.shape, midline, spacing_mm, plan.midline_mm)
    if plan.posterior_bias:
        source *= weights.posterior_weight(growing, plan.posterior_bias)
    if plan.source_map is not None:
        source *= plan.source_map
    slack = scheme.group("external_csf") if scheme.has("external_csf") else ()
    slack = tuple(value for value in slack if value not in plan.folds)
    sulcal = None
    if plan.sulcal_flattening > 0 and slack:
        external = np.isin(labels, slack)
        brain = (labels > 0) & ~external
        sulcal = weights.sulcal_weight(external, brain, midline, spacing_mm, plan.sulcal_flattening)
    return FlowProblem(
        classes.array,
        spacing_mm,
        classes.of_values(slack),
        source_weight=source,
        weighted=tuple(index for side in SIDES for index in classes.sides[side]),
        slack_weight=sulcal,
        mobility={index: kappa for v, kappa in plan.mobility.items() for index in classes.of_values((v,))},
        skull_share=plan.skull_share,
        shell_mm=SHELL_MM,
        ell_mm=plan.ell_mm,
    )


def _targets(problem: FlowProblem, classes: ClassMap, plan: Plan) -> dict[int, float]:
    """Wanted volume of every class but the slack; growing classes only where volumes are asked for."""
    now = class_volumes_ml(problem)
    free = {*problem.weighted, *problem.slack}
    targets = {
        index: float(now[index]) * plan.folds.get(value, 1.0)
        for index, value in enumerate(classes.values)
        if index and index not in free
    }
    for side, wanted in (plan.volumes_ml or {}).items():
        members = classes.sides[side]
        total = float(now[list(members)].sum())
        targets |= {index: float(now[index]) * wanted / total for index in members}
    return targets


def _budget(problem: FlowProblem, plan: Plan, targets: dict[int, float]) -> Budget:
    """What the plan costs as far as it is known before the flow (a width's volume is not)."""
    now = class_volumes_ml(problem)
    gains = [ml - float(now[index]) for index, ml in targets.items()]
    slack = float(now[list(problem.slack)].sum())
    return Budget(sum(g for g in gains if g > 0), -sum(g for g in gains if g < 0), slack, plan.skull_share)
