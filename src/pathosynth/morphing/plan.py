"""What is wanted of a label map, and the flow problem, targets and budget that follow from it."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np

from pathosynth.data.grid import Box, crop
from pathosynth.data.labels import LabelScheme, check_values
from pathosynth.data.volume import Spacing
from pathosynth.morphing import measure, weights
from pathosynth.morphing.budget import Budget
from pathosynth.morphing.classes import ClassMap, Part, split_classes
from pathosynth.morphing.coarse import block_factors
from pathosynth.morphing.counting import label_counts
from pathosynth.morphing.efface import THINNEST_FOLD
from pathosynth.morphing.flow import FlowProblem
from pathosynth.morphing.topology import dissolve_specks, limit_pieces
from pathosynth.runs.errors import InputError

SPECK_VOXELS = 20
_STRAY_VOXELS, _STRAY_SHARE = 200, 0.0005  # of the head; a larger stray piece is an error, not to be tidied away
_WIDEST_GAP_VOXELS = 6.0  # between two large pieces that a source joins by a few voxels, e.g. both hemispheres
SHELL_MM = 10.0
_MARGIN_BLOCKS = 3  # the halo of two blocks and one more


@dataclass(frozen=True)
class Lengths:
    """Lengths wanted of parts, instead of volumes.

    Attributes:
        name: what is measured, e.g. "atrial width".
        wanted_mm: length of each such part.
        measure: lengths of all these parts of a label map; called with (i, j, k) labels, the head with some background
            around it.
    """

    name: str
    wanted_mm: dict[str, float]
    measure: Callable[[np.ndarray], dict[str, float]]


@dataclass(frozen=True)
class Plan:
    """What should change, who pays, and where it happens.

    Attributes:
        parts: what changes to an exact volume or length; see `Part`.
        lengths: wanted lengths of the parts that have no wanted volume.
        folds: wanted volume of whole labels, as a fold of the present one. What is neither here nor a part is kept;
            external CSF is the slack that pays unless it is listed.
        skull_share: part of the net gain that the skull grows by, 0 to 1.
        exchange_ml: (I, J, K) float32, where the skull comes in and where it goes out besides its share; see
            `FlowProblem`. Needs a skull share.
        sulcal_flattening: 0 to 1.
        ell_mm: decay length of the slack.
        mobility: label value to kappa, for structures that should move less.
        effaced: values with wanted volumes so small that they may fall apart: what flow leaves is peeled off to the
            background (`efface`), so the skull must follow (skull_share = 1); their pieces and squeeze are not judged.
    """

    parts: dict[str, Part] = field(default_factory=dict)
    lengths: Lengths | None = None
    folds: dict[int, float] = field(default_factory=dict)
    skull_share: float = 0.0
    exchange_ml: np.ndarray | None = None
    sulcal_flattening: float = 0.0
    ell_mm: float = 12.0
    mobility: dict[int, float] = field(default_factory=dict)
    effaced: tuple[int, ...] = ()


@dataclass(frozen=True)
class Task:
    """A plan for one label map, ready to be carried out. Arrays are in the box.

    Attributes:
        plan, scheme, spacing_mm: as given.
        box: the worked part of the array, the head and a margin; it may reach beyond the array.
        source: labels as they came; labels outside the skull are background.
        cleaned: labels without specks of at most 20 voxels, the map that is moved.
        specks: voxels changed by that.
        classes: `cleaned` as classes, labels split into parts.
        problem: what the flow needs.
        targets_ml: wanted volume of each constrained class, without those that change to a length.
        effaced_ml: wanted volume of each class of an effaced label, which the flow does not go down to.
        budget: what the plan costs as far as it is known beforehand (the volume of a length is not).
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
    effaced_ml: dict[int, float]
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
    labels = measure.inside_skull(labels, scheme)
    box = _head_box(labels, spacing_mm, SHELL_MM if plan.skull_share > 0 else 0.0)
    source = crop(labels, box, 0)
    cleaned = clean_source(source)
    parts = {name: _cropped(part, labels.shape, box) for name, part in plan.parts.items()}
    classes = split_classes(cleaned, parts)
    exchange = None if plan.exchange_ml is None else crop(plan.exchange_ml, box, 0.0)
    problem = _problem(cleaned, classes, scheme, spacing_mm, plan, parts, exchange)
    targets = _targets(problem, classes, plan)
    budget = _budget(problem, plan, targets)
    now = class_volumes_ml(problem)
    effaced = {index: targets[index] for index in classes.of_values(plan.effaced)}
    targets |= {index: max(ml, THINNEST_FOLD * float(now[index])) for index, ml in effaced.items()}
    specks = int((cleaned != source).sum())
    return Task(plan, scheme, spacing_mm, box, source, cleaned, specks, classes, problem, targets, effaced, budget)


def clean_source(labels: np.ndarray) -> np.ndarray:
    """Labels without pieces of at most 20 voxels, counted by faces; what only they joined is joined by a path."""
    _, owner, sizes = measure.labelled_pieces(labels, 26)
    allowed = np.bincount(owner[sizes > SPECK_VOXELS], minlength=int(labels.max()) + 1)
    cleaned, _ = dissolve_specks(labels, SPECK_VOXELS, clear_floating=True)
    limits = {value: max(int(allowed[value]), 1) for value, n in enumerate(label_counts(labels)) if value and n}
    return limit_surplus(cleaned, limits, 26)


def limit_surplus(labels: np.ndarray, allowed: dict[int, int], connectivity: int) -> np.ndarray:
    """`limit_pieces` with the sizes and gaps that hold for every map."""
    stray = max(_STRAY_VOXELS, int(_STRAY_SHARE * np.count_nonzero(labels)))
    return limit_pieces(
        labels,
        allowed,
        connectivity,
        speck_voxels=SPECK_VOXELS,
        stray_voxels=stray,
        reach_voxels=_WIDEST_GAP_VOXELS,
    )


def class_volumes_ml(problem: FlowProblem) -> np.ndarray:
    """Volume of every class of the source, (n_classes + 1,) mL."""
    counts = label_counts(problem.classes)
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


def _cropped(part: Part, shape: tuple[int, ...], box: Box) -> Part:
    """A part whose arrays are in the box."""
    region = None if part.region is None else crop(np.broadcast_to(part.region, shape), box, False)
    weight = None if part.weight is None else crop(np.broadcast_to(part.weight, shape), box, 1.0)
    return replace(part, region=region, weight=weight)


def _problem(
    labels: np.ndarray, classes: ClassMap, scheme: LabelScheme, spacing_mm: Spacing, plan: Plan,
    parts: dict[str, Part], exchange_ml: np.ndarray | None,
) -> FlowProblem:  # fmt: skip
    """The flow problem of a plan."""
    slack = scheme.group("external_csf") if scheme.has("external_csf") else ()
    wanted = {value for part in parts.values() for value in part.values}
    slack = tuple(value for value in slack if value not in plan.folds and value not in wanted)
    sulcal = None
    if plan.sulcal_flattening > 0 and slack:
        external, midline = np.isin(labels, slack), measure.midline_index(labels > 0)
        sulcal = weights.sulcal_weight(external, (labels > 0) & ~external, midline, spacing_mm, plan.sulcal_flattening)
    return FlowProblem(
        classes.array,
        spacing_mm,
        classes.of_values(slack),
        source_weight=_source_weight(classes, parts),
        weighted=tuple(sorted(index for members in classes.parts.values() for index in members)),
        slack_weight=sulcal,
        mobility={index: kappa for v, kappa in plan.mobility.items() for index in classes.of_values((v,))},
        skull_share=plan.skull_share,
        shell_mm=SHELL_MM,
        exchange_ml=exchange_ml,
        ell_mm=plan.ell_mm,
    )


def _source_weight(classes: ClassMap, parts: dict[str, Part]) -> np.ndarray:
    """Where each part changes more, (I, J, K) float32; 1 outside the parts."""
    out = np.ones(classes.array.shape, np.float32)
    for name, part in parts.items():
        if part.weight is not None:
            mine = np.isin(classes.array, classes.parts[name])
            out[mine] = part.weight[mine]
    return out


def _targets(problem: FlowProblem, classes: ClassMap, plan: Plan) -> dict[int, float]:
    """Wanted volume of every class but the slack and the parts that change to a length."""
    now = class_volumes_ml(problem)
    free = {*problem.weighted, *problem.slack}
    targets = {
        index: float(now[index]) * plan.folds.get(value, 1.0)
        for index, value in enumerate(classes.values)
        if index and index not in free
    }
    for name, part in plan.parts.items():
        if part.volume_ml is not None:
            members = classes.parts[name]
            total = float(now[list(members)].sum())
            targets |= {index: float(now[index]) * part.volume_ml / total for index in members}
    return targets


def _budget(problem: FlowProblem, plan: Plan, targets: dict[int, float]) -> Budget:
    """What the plan costs as far as it is known before the flow (a length's volume is not)."""
    now = class_volumes_ml(problem)
    gains = [ml - float(now[index]) for index, ml in targets.items()]
    slack = float(now[list(problem.slack)].sum())
    return Budget(sum(g for g in gains if g > 0), -sum(g for g in gains if g < 0), slack, plan.skull_share)
