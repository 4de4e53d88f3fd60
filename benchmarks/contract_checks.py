"""The contract of a morph, checked on the returned arrays by other means than the engine's own.

Only numpy, scipy and cc3d look at the maps; from the package come the scheme, the rulers that
a pathology declares (`severity`), and what counts as the cleaned source.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import cc3d
import numpy as np
import scipy.ndimage as ndi

from pathosynth.data.labels import LabelScheme
from pathosynth.data.volume import Spacing

TARGET_SHARE, TARGET_MM = 0.005, 0.3
KEPT_SHARE, KEPT_VOXELS = 0.03, 5  # the voxels are for labels of a few voxels
CONTACT_FACES = 200
SPECK_VOXELS = 20
CORE_VOXELS = 20


@dataclass(frozen=True)
class Source:
    """A map before the morph.

    Attributes:
        labels: (I, J, K) as read, in RAS orientation.
        cleaned: the same, inside the skull and without specks.
        scheme: its legend.
        spacing_mm: voxel edge lengths.
    """

    labels: np.ndarray
    cleaned: np.ndarray
    scheme: LabelScheme
    spacing_mm: Spacing

    @cached_property
    def faces(self) -> dict[tuple[int, int], int]:
        """Faces between labels of the cleaned map."""
        return faces(self.cleaned)

    @cached_property
    def pieces(self) -> dict[int, int]:
        """Pieces of every label of the cleaned map, of any size: a speck may grow."""
        return pieces(self.cleaned, 0)


@dataclass(frozen=True)
class Promise:
    """What a setting may do to a map.

    Attributes:
        changes: groups that change in volume; every other label but the external CSF is kept.
        folds: groups and their volume after as a multiple of that before, as a person reads the setting.
        rigid: nothing outside the skull, and not the skull, may change.
        effaced: external CSF may fall apart and leave its neighbours.
    """

    changes: tuple[str, ...]
    folds: Mapping[str, float] = field(default_factory=dict)
    rigid: bool = True
    effaced: bool = False


def failures(
    source: Source, after: np.ndarray, displacement: np.ndarray, targets: list[dict[str, Any]],
    severity: Mapping[str, float], promise: Promise,
) -> tuple[list[str], dict[str, float]]:  # fmt: skip
    """Broken terms of the contract, each as ``check: what``, and the numbers behind the checks.

    Args:
        source: before.
        after: (I, J, K) the returned map.
        displacement: (3, I, J, K) backward, in voxels.
        targets: the report's asked and reached values.
        severity: of `after`, measured again.
        promise: what the setting may do.
    """
    found, numbers = list[str](), dict[str, float]()
    for check in (_targets(targets, severity, numbers), _folds(source, after, promise, numbers)):
        found += check
    found += _jacobian(source, displacement, numbers)
    found += _kept(source, after, promise, numbers)
    found += _contacts(source, after, promise, numbers)
    found += _pieces(source, after, promise)
    found += _labels(source, after)
    found += _erased(source, after, displacement, promise, numbers)
    if promise.rigid:
        found += _outside(source, after)
    return found, numbers


def _targets(targets: list[dict[str, Any]], severity: Mapping[str, float], numbers: dict[str, float]) -> list[str]:
    """Every asked value against the severity measured again, which must also be what the report says."""
    out, numbers["miss_percent"], numbers["miss_mm"] = [], 0.0, 0.0
    for target in targets:
        name, asked, now = target["measure"], target["asked"], severity[target["measure"]]
        if abs(now - target["reached"]) > 1e-6:
            out.append(f"report: {name} reached {target['reached']:.3f}, measured {now:.3f}")
        length = target["unit"] == "mm"
        off = abs(now - asked) if length else 100 * abs(now / asked - 1)
        key = "miss_mm" if length else "miss_percent"
        numbers[key] = max(numbers[key], off)
        if off > (TARGET_MM if length else 100 * TARGET_SHARE):
            out.append(f"target: {name} asked {asked:.3f}, reached {now:.3f}")
    return out if targets else [*out, "target: the report has none"]


def _folds(source: Source, after: np.ndarray, promise: Promise, numbers: dict[str, float]) -> list[str]:
    """Voxel counts of whole groups against the setting, from the map as read or as cleaned."""
    out = []
    for group, fold in promise.folds.items():
        values = list(_values(source.scheme, group))
        now = int(np.isin(after, values).sum())
        wanted = [fold * int(np.isin(m, values).sum()) for m in (source.labels, source.cleaned)]
        off = min(abs(now - w) for w in wanted)
        numbers["miss_percent"] = max(numbers["miss_percent"], 100 * off / wanted[0])
        if off > max(TARGET_SHARE * wanted[0], 2):
            out.append(f"target: {group} is {now / wanted[0] * fold:.4f} of the source, asked {fold:g}")
    return out


def _jacobian(source: Source, displacement: np.ndarray, numbers: dict[str, float]) -> list[str]:
    """Determinant of the backward map by `numpy.gradient`, inside the skull of the source."""
    inside = np.isin(source.labels, _intracranial(source.scheme))
    box = _box(inside, 2)
    moved = displacement[(slice(None), *box)].astype(np.float32)
    rows = [list(np.gradient(component)) for component in moved]
    for axis in range(3):
        rows[axis][axis] += 1.0
    a, b, c = rows
    det = a[0] * (b[1] * c[2] - b[2] * c[1]) - a[1] * (b[0] * c[2] - b[2] * c[0]) + a[2] * (b[0] * c[1] - b[1] * c[0])
    judged = det[inside[box]]
    numbers["jacobian_min"], numbers["folds"] = float(judged.min()), float((judged <= 0).sum())
    if not numbers["folds"]:
        return []
    return [f"fold: {numbers['folds']:.0f} voxels, smallest {numbers['jacobian_min']:.4f}"]


def _kept(source: Source, after: np.ndarray, promise: Promise, numbers: dict[str, float]) -> list[str]:
    """Volumes of labels that no target names."""
    scheme, free = source.scheme, set(source.scheme.group("external_csf"))
    for group in promise.changes:
        free |= set(_values(scheme, group))
    size, out = max(scheme.values) + 1, []
    before, now = (np.bincount(m.ravel(), minlength=size) for m in (source.cleaned, after))
    numbers["kept_percent"] = 0.0
    for value in sorted(set(_intracranial(scheme)) - free):
        if not before[value]:
            continue
        off = abs(int(now[value]) - int(before[value]))
        if off > KEPT_VOXELS:
            numbers["kept_percent"] = max(numbers["kept_percent"], 100 * off / before[value])
        if off > max(KEPT_SHARE * before[value], KEPT_VOXELS):
            out.append(f"kept: {scheme[value].name} {100 * (now[value] / before[value] - 1):+.1f} %")
    return out


def _contacts(source: Source, after: np.ndarray, promise: Promise, numbers: dict[str, float]) -> list[str]:
    """Pairs that shared many faces and share none, and ventricles against the background where none were."""
    scheme = source.scheme
    before, now = source.faces, faces(inside_skull(after, scheme))
    loose = set(scheme.group("external_csf")) if promise.effaced else set()
    out = [
        f"contact: {scheme[a].name} and {scheme[b].name} shared {n} faces, now none"
        for (a, b), n in before.items()
        if a and n > CONTACT_FACES and (a, b) not in now and not {a, b} & loose
    ]
    bare = [sum(pairs.get((0, v), 0) for v in scheme.group("ventricles")) for pairs in (before, now)]
    numbers["bare_faces_before"], numbers["bare_faces"] = bare
    if bare[1] and not bare[0]:
        out.append(f"contact: ventricles at background, {bare[1]} faces")
    return out


def _pieces(source: Source, after: np.ndarray, promise: Promise) -> list[str]:
    """26-connected pieces of more than a speck, no more of any label than in the cleaned source."""
    scheme, out = source.scheme, []
    before, now = source.pieces, pieces(inside_skull(after, scheme))
    for value, count in now.items():
        if count > before.get(value, 0) and not (promise.effaced and value in scheme.group("external_csf")):
            out.append(f"pieces: {scheme[value].name} {before.get(value, 0)} -> {count}")
    return out


def _erased(
    source: Source, after: np.ndarray, displacement: np.ndarray, promise: Promise, numbers: dict[str, float]
) -> list[str]:
    """Whole places where the map is not what the displacement brings; flips and tidying change layers and specks.

    A place counts by its core: voxels all of whose six neighbours are wrong too, and were the same label.
    """
    scheme, box = source.scheme, _box(source.cleaned > 0, 2)
    index = np.indices(tuple(s.stop - s.start for s in box), np.int32)
    at = [
        np.rint(i + s.start + displacement[(a, *box)]).astype(np.int32)
        for a, (i, s) in enumerate(zip(index, box, strict=True))
    ]
    brought = source.cleaned[tuple(np.clip(i, 0, n - 1) for i, n in zip(at, after.shape, strict=True))]
    wrong, out = np.where(brought != after[box], brought, 0), list[str]()
    loose = set(scheme.group("external_csf")) if promise.effaced else set()
    numbers["erased_core"] = 0.0
    for value in set(np.flatnonzero(np.bincount(wrong.ravel()))) - {0, *loose}:
        cores = cc3d.connected_components(ndi.binary_erosion(wrong == value), connectivity=26)
        core = int(np.bincount(cores.ravel())[1:].max(initial=0))
        numbers["erased_core"] = max(numbers["erased_core"], float(core))
        if core > CORE_VOXELS:
            out.append(f"erased: {scheme[int(value)].name} in a place with a core of {core} voxels")
    return out


def _labels(source: Source, after: np.ndarray) -> list[str]:
    """Labels that came or went."""
    names = {0: "background"} | {label.value: label.name for label in source.scheme.labels}
    before, now = ({int(v) for v in np.unique(m)} for m in (source.labels, after))
    came, went = sorted(now - before), sorted(before - now)
    out = [f"labels: {names.get(v, v)} invented" for v in came] + [f"labels: {names[v]} lost" for v in went]
    return out if after.dtype == source.labels.dtype else [*out, f"labels: dtype {after.dtype}"]


def _outside(source: Source, after: np.ndarray) -> list[str]:
    """Voxels outside a rigid skull that changed, and voxels inside that left; specks of the source apart."""
    outside = ~np.isin(source.labels, _intracranial(source.scheme))
    changed = int((after[outside] != source.labels[outside]).sum())
    specks = (source.cleaned == 0) & ~outside
    left = int((~np.isin(after, _intracranial(source.scheme)) & ~outside & ~specks).sum())
    return [f"skull: {changed} voxels outside changed, {left} inside left"] if changed or left else []


def inside_skull(labels: np.ndarray, scheme: LabelScheme) -> np.ndarray:
    """The map without what lies outside the skull."""
    return np.where(np.isin(labels, _intracranial(scheme)), labels, labels.dtype.type(0))


def faces(labels: np.ndarray) -> dict[tuple[int, int], int]:
    """Faces that voxels of every two labels share, by (smaller, larger) value."""
    size, counts = int(labels.max()) + 1, dict[tuple[int, int], int]()
    for axis in range(3):
        lower = np.moveaxis(labels, axis, 0)[:-1].astype(np.int64).ravel()
        upper = np.moveaxis(labels, axis, 0)[1:].astype(np.int64).ravel()
        differ = lower != upper
        lower, upper = lower[differ], upper[differ]
        codes, n = np.unique(np.minimum(lower, upper) * size + np.maximum(lower, upper), return_counts=True)
        for code, count in zip(codes.tolist(), n.tolist(), strict=True):
            pair = (code // size, code % size)
            counts[pair] = counts.get(pair, 0) + count
    return counts


def pieces(labels: np.ndarray, ignored: int = SPECK_VOXELS) -> dict[int, int]:
    """26-connected pieces of more than `ignored` voxels of every label."""
    parts, count = cc3d.connected_components(labels, connectivity=26, return_N=True)
    sizes = np.bincount(parts.ravel(), minlength=count + 1)
    owner, out = np.zeros(count + 1, labels.dtype), dict[int, int]()
    owner[parts.ravel()] = labels.ravel()
    for piece in range(1, count + 1):
        if sizes[piece] > ignored:
            out[int(owner[piece])] = out.get(int(owner[piece]), 0) + 1
    return out


def _values(scheme: LabelScheme, group: str) -> tuple[int, ...]:
    """Values of a group; lateral ventricles are all ventricles where the scheme does not separate them."""
    return scheme.group("ventricles" if group == "lateral_ventricles" and not scheme.has(group) else group)


def _intracranial(scheme: LabelScheme) -> list[int]:
    return list(scheme.group("intracranial") if scheme.has("intracranial") else scheme.values)


def _box(mask: np.ndarray, margin: int) -> tuple[slice, slice, slice]:
    hits = [np.flatnonzero(mask.any(axis=tuple(a for a in range(3) if a != axis))) for axis in range(3)]
    i, j, k = (slice(max(int(h[0]) - margin, 0), int(h[-1]) + margin + 1) for h in hits)
    return i, j, k
