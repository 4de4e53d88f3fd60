"""How alike is a fingerprint to those of training cases, and how alike may different people be?

Similarity is the correlation of two fingerprints after what the training cases have in common is taken away: their
mean and, with enough subjects, the few directions in which they differ most (age, protocol of labelling, head shape).
What is left is what is one's own. Both a brain and its mirror image are compared.
"""

from dataclasses import dataclass

import numpy as np
from scipy import stats

from pathosynth.checks.fingerprints import mirrored
from pathosynth.data.copy_reference import KnownCases

FEWEST_SUBJECTS = 3
SUBJECTS_PER_DIRECTION = 6
MOST_DIRECTIONS = 4
WIDEN = 1.5
"""Reach of the prediction limit over that of a normal distribution, whose tails are too thin for people of several
protocols. Chosen on 20 adult label maps (of 1, 1.25, 1.5 and 2): with 10 of them known, 6.0, 4.0, 1.5 and 0.5 % of
stranger checks were false alarms and 100, 98, 95 and 90 % of copies warped by 2 mm were found. Checks of one person in
several splits are not independent."""
HIGHEST_LIMIT = 0.97
"""An exact copy has 0.99 or more after storage in 8 bits, and is found whatever the subjects are like."""


@dataclass(frozen=True)
class Nearest:
    """The training case that is most like a fingerprint.

    Attributes:
        case: its name.
        similarity: -1 to 1; 1 is the same.
        mirror: whether the mirror image was nearer than the brain as it is.
    """

    case: str
    similarity: float
    mirror: bool


def store(vectors: np.ndarray) -> np.ndarray:
    """(n, d) int8 of (n, d) fingerprints, each scaled so that its largest absolute value is 127."""
    return np.asarray(np.rint(vectors / np.abs(vectors).max(axis=1, keepdims=True) * 127), dtype=np.int8)


def nearest(vector: np.ndarray, known: KnownCases, kind: str) -> Nearest:
    """The most similar training case.

    Args:
        vector: (d,) fingerprint, not constant.
        known: the training cases, at least one.
        kind: name of the embedding.
    """
    rows = similarities(vector[None], known.vectors, known.subjects, kind)[:, 0]
    mirror, case = np.unravel_index(int(rows.argmax()), rows.shape)
    return Nearest(known.cases[case], float(rows[mirror, case]), bool(mirror))


def similarities(vectors: np.ndarray, known: np.ndarray, subjects: tuple[str, ...], kind: str) -> np.ndarray:
    """(2, m, n) similarity of (m, d) fingerprints, as they are and mirrored, to (n, d) known ones of `subjects`.

    With one known subject nothing is common or one's own, so that nothing is taken away.
    """
    reference = _unit(known.astype(np.float32))
    queries = np.stack([_unit(vectors), _unit(mirrored(vectors, kind))])
    if len(set(subjects)) < 2 or kind.startswith("plain"):
        mean = 0.0 if not kind.startswith("plain") else np.float32(reference.mean())
        return np.asarray(_unit(queries - mean) @ _unit(reference - mean).T)
    both = np.concatenate([reference, mirrored(reference, kind)])
    mean = both.mean(axis=0)
    _, _, directions = np.linalg.svd(both - mean, full_matrices=False)
    shared = directions[: min(MOST_DIRECTIONS, len(set(subjects)) // SUBJECTS_PER_DIRECTION)]
    return np.asarray(_own(queries, mean, shared) @ _own(reference, mean, shared).T)


def alike_between_subjects(known: np.ndarray, subjects: tuple[str, ...], kind: str) -> np.ndarray:
    """(subjects,) highest similarity of each subject to the others, who then do not know it, as a new one would be met.

    All cases of a subject (scanned twice, morphed) are left out together. Empty below `FEWEST_SUBJECTS`.
    """
    names = sorted(set(subjects))
    if len(names) < FEWEST_SUBJECTS:
        return np.zeros(0, np.float32)
    owner, found = np.array(subjects), []
    for name in names:
        rest = owner != name
        own = known[~rest].astype(np.float32)
        found.append(similarities(own, known[rest], tuple(owner[rest].tolist()), kind).max())
    return np.array(found, np.float32)


def limit(alike: np.ndarray, percentile: float) -> float:
    """Similarity above which a new subject is not expected in more than (100 - percentile) % of cases, NaN for too few.

    The larger of the empirical percentile and the one-sided prediction limit of a new observation after Fisher's z,
    mean + `WIDEN` t(n - 1) sd sqrt(1 + 1/n), never above `HIGHEST_LIMIT`. A percentile of 6 or 20 numbers alone is
    their largest, which a new subject exceeds with probability 1/7 or 1/21; the prediction limit leans on the normal
    distribution instead and widens where subjects are few. Neither knows of a population that is not among the
    subjects. With 6 subjects the limit can tell copies from strangers only where they are far apart; a rate of
    0.5 % cannot be verified with fewer than some 600 new subjects (rule of three).
    """
    if alike.size < FEWEST_SUBJECTS:
        return float("nan")
    z = np.arctanh(np.clip(alike.astype(np.float64), -0.999, 0.999))
    reach = stats.t.ppf(percentile / 100, z.size - 1) * z.std(ddof=1) * np.sqrt(1 + 1 / z.size)
    highest = max(float(np.percentile(alike, percentile)), float(np.tanh(z.mean() + WIDEN * reach)))
    return min(highest, HIGHEST_LIMIT)


def _unit(vectors: np.ndarray) -> np.ndarray:
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.asarray(vectors / np.maximum(length, 1e-12), dtype=np.float32)


def _own(vectors: np.ndarray, mean: np.ndarray, shared: np.ndarray) -> np.ndarray:
    """Unit vectors without the mean and the shared directions."""
    centred = vectors - mean
    return _unit(centred - (centred @ shared.T) @ shared)
