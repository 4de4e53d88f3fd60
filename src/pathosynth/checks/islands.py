"""Floating parts, holes, and tissue outside the skull.

With measures of real cases (the yardstick) of the same voxel size, what real label maps have of each kind is allowed:
some protocols leave CSF in hundreds of pieces. Where the skull lies on the brain (Chiari II before repair) external CSF
is a sheet thinner than a voxel, which any grid breaks up, and a few pools: pieces of it under the skull that are
nowhere thicker than two voxels, and pieces that are no small share of the largest, are no islands.
"""

import cc3d
import numpy as np
import pydantic
from scipy import ndimage

from pathosynth.checks import limits
from pathosynth.data.findings import CheckInput, Finding, rejected
from pathosynth.data.labels import LabelScheme
from pathosynth.data.pieces import ISLAND_SHARE, island_shares
from pathosynth.data.volume import Spacing
from pathosynth.runs.config import Config as BaseConfig

THICK_VOXELS = 2.0
"""Distance from the border that some voxel of a piece reaches where it is three voxels thick or more."""
SIDE_SHARE = 0.2
"""Beside real cases, a piece of at least this share of its label's largest is a side of its own."""


class Config(BaseConfig):
    """How much may float. Volumes, not voxels, so that the limit means the same on every grid."""

    stray_mm3: float = pydantic.Field(200.0, ge=0)
    """Largest volume of islands, holes and parts outside the head together, beyond what the source labels had."""
    beyond_mm3: float = pydantic.Field(60.0, ge=0)
    """The same beyond what real cases have, where that is known and there is no source."""
    widen: float = pydantic.Field(2.0, ge=1)
    """How much more than the most that any real case has of one kind is allowed. Of halves of the training sets, held
    against the other halves, 4 % of adult and 0.6 % of fetal maps have more (at 1.25 13 and 1.7 %)."""
    piece_share: float = pydantic.Field(ISLAND_SHARE, gt=0, lt=1)
    """A piece smaller than this share of its label's largest piece is an island (left and right parts are not). The
    largest piece of the source counts where it is smaller: a fourth ventricle does not become an island because the
    lateral ones grew. Compact structures (cerebellum, brainstem, deep grey matter, corpus callosum) are held to more:
    see `data.pieces`."""


def check(case: CheckInput, config: Config) -> Finding:
    """Volume in mm3 of islands, holes and parts outside the head, less that of the source labels where given."""
    reason = case.unusable(image=False, labels=True)
    if reason or case.labels is None:
        return rejected("islands", config.stray_mm3, reason)
    note = ""
    if case.source_labels is None and case.yardstick is not None and len(case.yardstick.subjects) >= limits.FEWEST:
        other = case.yardstick.not_comparable(case.spacing_mm)
        if not other:
            return _against_real(case, config)
        note = f"; not held against real cases: {other}"
    source = case.labels if case.source_labels is None else case.source_labels
    stray = _stray_mm3(case.labels, source, case, config)
    before = dict.fromkeys(stray, 0.0)
    if case.source_labels is not None:
        before |= _stray_mm3(source, source, case, config)
    value = sum(max(0.0, stray[kind] - before[kind]) for kind in stray)
    listed = ", ".join(f"{kind} {volume:.0f} (source {before[kind]:.0f})" for kind, volume in stray.items())
    return Finding("islands", value, config.stray_mm3, value <= config.stray_mm3, f"mm3: {listed}{note}")


def loose_parts(labels: np.ndarray, scheme: LabelScheme, spacing_mm: Spacing) -> dict[str, float]:
    """What the yardstick knows of label maps, in mm3: holes, parts outside the head, and loose parts of every label.

    ``second`` is the largest 26-connected piece of a label beside its main ones, ``loose`` all smaller ones together.
    Main are the largest and, unless the label is compact, those of at least `SIDE_SHARE` of it: hemispheres that touch
    in one brain and not in the next, and grow with the head.
    """
    voxel_mm3 = float(np.prod(spacing_mm))
    head = labels > 0
    main = cc3d.largest_k(head, k=1, connectivity=26) > 0
    found = {
        "outside": float((head & ~main).sum()) * voxel_mm3,
        "holes": float((ndimage.binary_fill_holes(head) & ~head).sum()) * voxel_mm3,
    }
    sheets, shares = _sheets(scheme), island_shares(scheme, SIDE_SHARE)
    for label in scheme.labels:
        sizes = np.sort(_piece_sizes((labels == label.value) & main, head if label.value in sheets else None))
        if sizes.size:
            lost = sizes[:-1][sizes[:-1] < shares[label.value] * sizes[-1]]
            found[f"second {label.name}"] = float(lost[-1:].sum()) * voxel_mm3
            found[f"loose {label.name}"] = float(lost[:-1].sum()) * voxel_mm3
    return found


def _against_real(case: CheckInput, config: Config) -> Finding:
    """Volume in mm3 beyond what real cases have of each kind; a kind they are not known to have counts in full."""
    if case.labels is None or case.yardstick is None:
        raise ValueError("expected labels and a yardstick")
    found = loose_parts(case.labels, case.scheme, case.spacing_mm)
    beyond = {}
    for kind, volume in found.items():
        known = case.yardstick.measures.get(kind, np.zeros(1))
        beyond[kind] = max(0.0, volume - config.widen * float(np.nanmax(known, initial=0.0)))
    value = sum(beyond.values())
    worst = max(beyond, key=lambda kind: beyond[kind])
    detail = f"{value:.0f} mm3 beyond what real cases have; worst: {worst}, {found[worst]:.0f} mm3"
    return Finding("islands", value, config.beyond_mm3, value <= config.beyond_mm3, detail)


def _stray_mm3(labels: np.ndarray, source: np.ndarray, case: CheckInput, config: Config) -> dict[str, float]:
    """Volume of each kind of stray voxels.

    Islands are 26-connected pieces of a label inside the head; outside are pieces of the whole head that do not
    touch its largest one; holes are background enclosed by the head.
    """
    voxel_mm3 = float(np.prod(case.spacing_mm))
    head = labels > 0
    main = cc3d.largest_k(head, k=1, connectivity=26) > 0
    shares = island_shares(case.scheme, config.piece_share)
    sheets = _sheets(case.scheme)
    islands = sum(
        _island_voxels(
            _piece_sizes((labels == value) & main, head if value in sheets else None), source == value, shares[value]
        )
        for value in case.scheme.values
    )
    holes = int((ndimage.binary_fill_holes(head) & ~head).sum())
    return {
        "islands": islands * voxel_mm3,
        "outside": float((head & ~main).sum()) * voxel_mm3,
        "holes": holes * voxel_mm3,
    }


def _island_voxels(sizes: np.ndarray, source: np.ndarray, piece_share: float) -> int:
    if sizes.size < 2:
        return 0
    largest = min(sizes.max(), _piece_sizes(source).max(initial=0) or sizes.max())
    return int(sizes[sizes < piece_share * largest].sum())


def _piece_sizes(mask: np.ndarray, head: np.ndarray | None = None) -> np.ndarray:
    """Voxels of every 26-connected piece.

    Args:
        mask: (I, J, K) of one label.
        head: all labels, where this one is a sheet: pieces torn off under the skull and pools are left out.
    """
    pieces = cc3d.connected_components(mask, connectivity=26)
    sizes = np.bincount(pieces.ravel())[1:]
    if head is None or sizes.size < 2:
        return sizes
    numbers = np.arange(1, sizes.size + 1)
    depth = ndimage.distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1, 1:-1]
    within = ndimage.binary_erosion(head, ndimage.generate_binary_structure(3, 3))
    torn = (ndimage.maximum(depth, pieces, numbers) < THICK_VOXELS) & (ndimage.minimum(within, pieces, numbers) == 0)
    kept = ~torn & (sizes < ISLAND_SHARE * sizes.max())
    kept[sizes.argmax()] = True
    return np.asarray(sizes[kept])


def _sheets(scheme: LabelScheme) -> tuple[int, ...]:
    return scheme.group("external_csf") if scheme.has("external_csf") else ()
