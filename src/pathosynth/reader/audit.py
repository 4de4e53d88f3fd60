"""Audit of the blinding: can a program tell real from synthetic by what the browser gets, without the anatomy?"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import StratifiedGroupKFold

from pathosynth.reader.folder import Opened, TruthFile
from pathosynth.reader.receipts import collect, features
from pathosynth.reader.shortcuts import image_traits
from pathosynth.runs.errors import InputError
from pathosynth.runs.seeds import numpy_generator

FEWEST = 10
"""Images of each origin below which there is nothing to learn from."""

_FOLDS, _ROUNDS, _TREES, _DRAWS = 5, 3, 100, 1000
_HINTS, _SHORTCUTS = 5, 12


@dataclass(frozen=True)
class Area:
    """An area under the ROC curve, 0.5 for no difference, with its 95 % interval over images.

    Attributes:
        auc: of synthetic above real.
        low: lower end.
        high: upper end.
    """

    auc: float
    low: float
    high: float


@dataclass(frozen=True)
class Hint:
    """One number and what it tells alone.

    Attributes:
        name: of the number.
        area: of it.
    """

    name: str
    area: Area


@dataclass(frozen=True)
class Audit:
    """What was found.

    Attributes:
        images: how many.
        showings: how often images were shown to the audit, over all its readers.
        traits: numbers received per showing that are not the same for all.
        received: classifier on everything received but the voxels.
        hints: the single numbers received that tell most, with their area.
        shortcuts: trivial measures of the images, the most telling first.
    """

    images: int
    showings: int
    traits: int
    received: Area
    hints: list[Hint]
    shortcuts: list[Hint]


def told(found: Audit) -> str:
    """The audit as lines for people."""
    lines = [
        f"{found.images} images in {found.showings} showings, {found.traits} numbers received that differ",
        f"everything received but the voxels: AUC {_shown(found.received)}",
        f"  the {len(found.hints)} single numbers that tell most, of {found.traits} (chance alone gives some):",
        *(f"    {hint.name:<28} AUC {_shown(hint.area)}" for hint in found.hints),
        "shortcuts in the images themselves, which no header can hide:",
        *(f"    {hint.name:<28} AUC {_shown(hint.area)}" for hint in found.shortcuts),
    ]
    return "\n".join(lines)


def _shown(area: Area) -> str:
    return f"{area.auc:.3f} ({area.low:.3f} to {area.high:.3f})"


def audit(opened: Opened, truth: TruthFile, readers: int, seed: int) -> Audit:
    """Read the study as `readers` readers and learn to tell the origin from what came.

    Raises:
        InputError: one origin has too few images.
    """
    receipts = collect(opened, readers)
    kind = {file: image.origin == "synthetic" for file, image in truth.images.items()}
    seen = sorted({receipt.file for receipt in receipts})
    if min(sum(kind[file] == wanted for file in seen) for wanted in (False, True)) < FEWEST:
        raise InputError(f"{opened.folder.root}: expected {FEWEST} real and synthetic images, found fewer. Add cases.")
    number = {file: index for index, file in enumerate(seen)}
    shown = _Sample(
        *_table([features(receipt) for receipt in receipts]),
        np.array([kind[receipt.file] for receipt in receipts]),
        np.array([number[receipt.file] for receipt in receipts]),
    )
    images = _Sample(
        *_table([image_traits(opened.folder.volumes / f"{file}.nii") for file in seen]),
        np.array([kind[file] for file in seen]),
        np.arange(len(seen)),
    )
    received = _area(_guessed(shown, seed), shown, seed)
    return Audit(
        len(seen), len(receipts), len(shown.names), received, _telling(shown, seed)[:_HINTS], _telling(images, seed)
    )


@dataclass(frozen=True)
class _Sample:
    """Numbers (n, traits) by name, whether each row is synthetic, and which image it is of."""

    names: list[str]
    table: np.ndarray
    synthetic: np.ndarray
    images: np.ndarray


def _table(rows: Sequence[dict[str, float]]) -> tuple[list[str], np.ndarray]:
    """Rows as one table; what is missing in some rows is -1; what is the same for all is left out."""
    names = sorted({name for row in rows for name in row})
    table = np.array([[row.get(name, -1.0) for name in names] for row in rows])
    varies = np.ptp(table, axis=0) > 0
    return [name for name, used in zip(names, varies, strict=True) if used], table[:, varies]


def _guessed(sample: _Sample, seed: int) -> np.ndarray:
    """Probability (n,) that a row is synthetic, from forests that saw no showing of its image."""
    guesses = np.zeros(len(sample.synthetic))
    if not sample.names:
        return guesses
    for round_ in range(_ROUNDS):
        folds = StratifiedGroupKFold(_FOLDS, shuffle=True, random_state=seed + round_)
        for train, test in folds.split(sample.table, sample.synthetic, sample.images):
            forest = RandomForestClassifier(_TREES, min_samples_leaf=3, random_state=seed + round_, n_jobs=1)
            forest.fit(sample.table[train], sample.synthetic[train])
            guesses[test] += forest.predict_proba(sample.table[test])[:, 1] / _ROUNDS
    return guesses


def _area(values: np.ndarray, sample: _Sample, seed: int) -> Area:
    """Area of one number, and its bootstrap interval over images of each origin."""
    rng = numpy_generator(seed, "audit")
    origin = np.zeros(sample.images.max() + 1, bool)
    origin[sample.images] = sample.synthetic
    drawn = []
    for _ in range(_DRAWS):
        weights = np.zeros(len(origin))
        for kind in (False, True):
            own = np.flatnonzero(origin == kind)
            np.add.at(weights, rng.choice(own, own.size), 1)
        drawn.append(area_under(values, sample.synthetic, weights[sample.images]))
    low, high = np.percentile(drawn, (2.5, 97.5))
    return Area(area_under(values, sample.synthetic), float(low), float(high))


def area_under(values: np.ndarray, positive: np.ndarray, weights: np.ndarray | None = None) -> float:
    """Share of pairs (positive, negative) in which the positive has the higher value, ties counted half; rows weighted.

    Args:
        values: (n,) scores.
        positive: (n,) bool, both kinds present.
        weights: (n,) how often each row counts; by default once.
    """
    weights = np.ones(len(values)) if weights is None else weights
    _, place = np.unique(values, return_inverse=True)
    above = np.bincount(place, weights * positive)
    below = np.bincount(place, weights * ~positive)
    wins = above * (np.cumsum(below) - below / 2)
    return float(wins.sum() / (above.sum() * below.sum()))


def _telling(sample: _Sample, seed: int) -> list[Hint]:
    """Single numbers by how much they tell; intervals only of the first ones, because they take long."""
    areas = {name: area_under(sample.table[:, column], sample.synthetic) for column, name in enumerate(sample.names)}
    order = sorted(areas, key=lambda name: (-abs(areas[name] - 0.5), name))[:_SHORTCUTS]
    return [Hint(name, _area(sample.table[:, sample.names.index(name)], sample, seed)) for name in order]
