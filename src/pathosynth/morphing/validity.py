"""Whether a reshaped map is still a brain: what is measured, what warns, what refuses.

The thresholds come from healthy fetal atlases: what flow passes and what torn or over-stretched maps fail.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from pathosynth.data.labels import LabelScheme
from pathosynth.data.volume import Spacing
from pathosynth.morphing import measure
from pathosynth.morphing.counting import contact_matrix, faces_between, label_counts
from pathosynth.morphing.walls import bare_faces
from pathosynth.morphing.warp import jacobian

JACOBIAN_LOW_WARN = 0.005
JACOBIAN_HIGH_WARN, JACOBIAN_HIGH = 6.0, 10.0
KEPT_WARN, KEPT_ERROR = 0.03, 0.06
MISS_ERROR = 0.02
SMALL_ML, SMALL_ERROR, SMALL_GROWING_ERROR = 2.0, 0.15, 0.05  # one layer of voxels is a large part of a small label
REACHED_ERROR, REACHED_VOXELS = 0.005, 10.0
SKULL_ERROR = 0.01
SLACK_WARN, SLACK_ERROR = 0.25, 0.15
CONTACT_FACTOR, CONTACT_EXTRA = 5, 500
BACKGROUND_EXTRA = 20  # faces by which an existing contact of a ventricle with the outside (spinal canal) may widen
MANTLE_WARN_VOXELS = 2.0
SPECK = 20  # voxels that may be squeezed more than the limit, such as the tip of the brainstem
_PAIRS = (("cerebellum", "brainstem"), ("corpus_callosum", "ventricles"))


@dataclass
class Findings:
    """Numbers, warnings and errors, collected check by check."""

    numbers: dict[str, Any] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def limit(self, bad: bool, warn: bool, text: str) -> None:
        """Record `text` as an error or a warning."""
        if bad:
            self.errors.append(text)
        elif warn:
            self.warnings.append(text)


def check_deformation(
    found: Findings, displacement: np.ndarray, inside: np.ndarray, judged: np.ndarray, shrunk: np.ndarray
) -> None:
    """Backward Jacobian: no fold inside the source's skull, no extreme squeeze where it is judged, but in a speck.

    Args:
        found: collects the result.
        displacement: (3, I, J, K) backward, in voxels.
        inside: (I, J, K) bool, the source's head.
        judged: (I, J, K) bool, where the squeeze counts.
        shrunk: (I, J, K) what the label of each voxel has left of its volume, at most 1; so much squeeze was asked for.
    """
    values = jacobian(displacement)
    low = float(values[inside].min())
    p1, p99, high = (float(v) for v in np.percentile(values[judged], [1, 99, 100]))
    beyond = (values * shrunk)[judged]
    squeeze = float(np.partition(beyond, -min(SPECK, len(beyond)))[-min(SPECK, len(beyond))])
    found.numbers["jacobian"] = {"min": low, "p1": p1, "p99": p99, "max": high, "max_beyond_asked": squeeze}
    found.limit(low <= 0, low < JACOBIAN_LOW_WARN, f"smallest backward Jacobian {low:.4f}; expected above 0 (no fold)")
    found.limit(
        squeeze > JACOBIAN_HIGH,
        squeeze > JACOBIAN_HIGH_WARN or high > JACOBIAN_HIGH,
        f"largest backward Jacobian {high:.1f}: tissue squeezed to 1/{squeeze:.0f} of what its label was asked for; "
        f"expected at most {JACOBIAN_HIGH:.0f}",
    )


def check_miss(found: Findings, name: str, miss: float, target_ml: float, voxel_ml: float, *, grows: bool) -> None:
    """How far a label was from its volume before the last-voxel flips; flips must never hide more than a speck."""
    error, warn = (MISS_ERROR, MISS_ERROR) if grows else (KEPT_ERROR, KEPT_WARN)
    if target_ml < SMALL_ML:
        error = SMALL_GROWING_ERROR if grows else SMALL_ERROR
    text = f"{name} missed its volume by {100 * miss:+.1f} % before the last-voxel flips"
    bad = abs(miss) > error and abs(miss) * target_ml > SPECK * voxel_ml
    found.limit(bad, abs(miss) > warn, text)


def check_reached(found: Findings, name: str, reached_ml: float, wanted_ml: float, voxel_ml: float) -> None:
    """Whether a part has its volume in the end, within half a per cent or a few voxels."""
    off = abs(reached_ml - wanted_ml)
    bad = off > max(REACHED_ERROR * wanted_ml, REACHED_VOXELS * voxel_ml)
    found.limit(bad, False, f"{name} has {reached_ml:.2f} mL; expected {wanted_ml:.2f}")


def check_skull(
    found: Findings, before: np.ndarray, after: np.ndarray, skull_share: float, net_ml: float, voxel_ml: float
) -> None:
    """The inside of the skull: unchanged without a skull share, grown by the asked share of the net volume with one."""
    grown = float(after.sum() - before.sum()) * voxel_ml
    found.numbers["skull_gain_ml"] = grown
    if skull_share == 0:
        changed = int((before != after).sum())
        found.limit(changed > 0, False, f"{changed} voxels entered or left the rigid skull; expected none")
        return
    wanted = skull_share * net_ml
    off = abs(grown - wanted)
    bad = off > SKULL_ERROR * float(before.sum()) * voxel_ml
    found.limit(bad, False, f"the skull grew by {grown:.2f} mL; its share is {wanted:.2f} mL")


def check_contacts(
    found: Findings, before: np.ndarray, after: np.ndarray, scheme: LabelScheme, effaced: tuple[int, ...] = ()
) -> None:
    """Faces that must not appear (ventricle or tissue against background, ventricle against cortex) or not vanish.

    A ventricle that touched the outside already may do so at some more faces, and unlabelled holes inside the head are
    not the outside. Where the external CSF is effaced, tissue lies against the skull.
    """
    bare = scheme.has("external_csf") and set(scheme.group("external_csf")) <= set(effaced)
    contacts = [contact_matrix(m) for m in (before, after)]

    def faces(first: str, second: str | None) -> tuple[int, int]:
        other = scheme.group(second) if second else (0,)
        old, new = (faces_between(found, scheme.group(first), other) for found in contacts)
        return old, new

    for group in ("ventricles",) if bare else ("ventricles", "tissue"):
        if scheme.has(group):
            old, new = faces(group, None)
            found.numbers[f"{group}_background_faces"] = new
            text = f"{group} touch background at {new} faces (source {old}); expected no new face"
            most = CONTACT_FACTOR * old + BACKGROUND_EXTRA if old else 0
            torn = group == "ventricles" and new > most and bare_faces(after, scheme.group(group)) > most
            found.limit(torn, new > old, text)
    if scheme.has("cortex"):
        old, new = faces("ventricles", "cortex")
        found.numbers["ventricle_cortex_faces"] = new
        most = CONTACT_FACTOR * old + CONTACT_EXTRA
        found.limit(
            new > most, False, f"ventricles touch cortex at {new} faces (source {old}); expected at most {most}"
        )
    for a, b in _PAIRS:
        if scheme.has(a) and scheme.has(b):
            old, new = faces(a, b)
            found.limit(old > 0 and new == 0, False, f"{a} and {b} touched at {old} faces and no longer do")


def check_pieces(
    found: Findings, before: np.ndarray, after: np.ndarray, scheme: LabelScheme, effaced: tuple[int, ...] = ()
) -> None:
    """No label in more 26-connected pieces than the cleaned source, but effaced ones."""
    old, new = measure.component_counts(before), measure.component_counts(after)
    found.numbers["pieces"] = {scheme[value].name: count for value, count in new.items()}
    for value, count in old.items():
        if value in effaced:
            continue
        text = f"{scheme[value].name} is in {new.get(value, 0)} pieces; the cleaned source has {count}"
        found.limit(new.get(value, 0) > count or value not in new, False, text)


def check_slack(found: Findings, before: np.ndarray, after: np.ndarray, scheme: LabelScheme) -> None:
    """External CSF that is left."""
    if not scheme.has("external_csf"):
        return
    slack, size = list(scheme.group("external_csf")), max(scheme.values) + 1
    old, new = (int(label_counts(m, size)[slack].sum()) for m in (before, after))
    if old:
        left = new / old
        found.numbers["external_csf_left"] = left
        text = f"{100 * left:.0f} % of the external CSF is left; expected at least {100 * SLACK_ERROR:.0f} %"
        found.limit(left < SLACK_ERROR, left < SLACK_WARN, text)


def check_mantle(found: Findings, after: np.ndarray, scheme: LabelScheme, spacing_mm: Spacing) -> None:
    """Thinnest parts of the mantle between ventricle and brain surface."""
    if not (scheme.has("cortex") and scheme.has("external_csf")):
        return
    outside = scheme.mask(after, "external_csf") | measure.touches(after == 0)
    cortex = scheme.mask(after, "cortex")
    thickness = measure.mantle_mm(cortex, outside & ~cortex, scheme.mask(after, "ventricles"), spacing_mm)
    if len(thickness):
        thin = float(np.percentile(thickness, 5))
        found.numbers["mantle_p5_mm"] = thin
        limit = MANTLE_WARN_VOXELS * min(spacing_mm)
        found.limit(False, thin < limit, f"5th percentile of the mantle is {thin:.1f} mm, under two voxels")
