"""Floating parts, holes, and tissue outside the skull."""

import cc3d
import numpy as np
import pydantic
from scipy import ndimage

from pathosynth.data.findings import CheckInput, Finding, rejected
from pathosynth.runs.config import Config as BaseConfig


class Config(BaseConfig):
    """How much may float. Volumes, not voxels, so that the limit means the same on every grid."""

    stray_mm3: float = pydantic.Field(200.0, ge=0)
    """Largest volume of islands, holes and parts outside the head together, beyond what the source labels had."""
    piece_share: float = pydantic.Field(0.02, gt=0, lt=1)
    """A piece smaller than this share of its label's largest piece is an island (left and right parts are not). The
    largest piece of the source counts where it is smaller: a fourth ventricle does not become an island because the
    lateral ones grew."""


def check(case: CheckInput, config: Config) -> Finding:
    """Volume in mm3 of islands, holes and parts outside the head, less that of the source labels where given."""
    reason = case.unusable(image=False, labels=True)
    if reason or case.labels is None:
        return rejected("islands", config.stray_mm3, reason)
    source = case.labels if case.source_labels is None else case.source_labels
    stray = _stray_mm3(case.labels, source, case, config.piece_share)
    before = dict.fromkeys(stray, 0.0)
    if case.source_labels is not None:
        before |= _stray_mm3(source, source, case, config.piece_share)
    value = sum(max(0.0, stray[kind] - before[kind]) for kind in stray)
    listed = ", ".join(f"{kind} {volume:.0f} (source {before[kind]:.0f})" for kind, volume in stray.items())
    return Finding("islands", value, config.stray_mm3, value <= config.stray_mm3, f"mm3: {listed}")


def _stray_mm3(labels: np.ndarray, source: np.ndarray, case: CheckInput, piece_share: float) -> dict[str, float]:
    """Volume of each kind of stray voxels.

    Islands are 26-connected pieces of a label inside the head; outside are pieces of the whole head that do not
    touch its largest one; holes are background enclosed by the head.
    """
    voxel_mm3 = float(np.prod(case.spacing_mm))
    head = labels > 0
    main = cc3d.largest_k(head, k=1, connectivity=26) > 0
    islands = sum(
        _island_voxels((labels == value) & main, source == value, piece_share) for value in case.scheme.values
    )
    holes = int((ndimage.binary_fill_holes(head) & ~head).sum())
    return {
        "islands": islands * voxel_mm3,
        "outside": float((head & ~main).sum()) * voxel_mm3,
        "holes": holes * voxel_mm3,
    }


def _island_voxels(mask: np.ndarray, source: np.ndarray, piece_share: float) -> int:
    sizes = _piece_sizes(mask)
    if sizes.size < 2:
        return 0
    largest = min(sizes.max(), _piece_sizes(source).max(initial=0) or sizes.max())
    return int(sizes[sizes < piece_share * largest].sum())


def _piece_sizes(mask: np.ndarray) -> np.ndarray:
    pieces = cc3d.connected_components(mask, connectivity=26)
    return np.bincount(pieces.ravel())[1:]
