"""Volumes by the decoder's own doubt: where it hesitates between a structure and what is around, it is told which.

A voxel belongs to a structure where one of the structure's logits is the largest. Moving that decision by a constant
moves the structure's surface everywhere by as much as the decoder is unsure there, so a volume a few per cent off is
met without a deformation.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import scipy.ndimage as ndi

from pathosynth.label_generators.latent_diffusion.tidy import tidied

_REACH_VOXELS = 3
_ROUNDS = 6


def moved_to(
    logits: np.ndarray,
    classes: np.ndarray,
    wanted: Mapping[tuple[int, ...], int],
    tolerance: float,
    shares: Sequence[float],
) -> np.ndarray:
    """Move the decision for some structures until they have the wanted numbers of voxels.

    Args:
        logits: (C, I, J, K) float32 of all classes, background first.
        classes: (I, J, K) uint8, the map decided by them, tidied.
        wanted: classes of each structure, no class in two of them, to its number of voxels.
        tolerance: relative error at which to stop; the best round's map is returned in any case.
        shares: of `tidied`.
    """
    found = classes
    for members, count in wanted.items():
        found = _one(logits, found, list(members), count, (tolerance, shares))
    return found


def _one(
    logits: np.ndarray, classes: np.ndarray, members: list[int], count: int, rules: tuple[float, Sequence[float]]
) -> np.ndarray:
    tolerance, shares = rules
    others = [number for number in range(len(logits)) if number not in members]
    inside = np.asarray(members, np.uint8)[logits[members].argmax(axis=0)]
    outside = np.asarray(others, np.uint8)[logits[others].argmax(axis=0)]
    # Where the decision was already in favour, the gain is above 0.
    gain = logits[members].max(axis=0) - logits[others].max(axis=0)
    near = ndi.binary_dilation(np.isin(classes, members), iterations=_REACH_VOXELS)
    places = np.flatnonzero(near)
    ranked = places[np.argsort(-gain.ravel()[places], kind="stable")]  # as many as asked for, also among equals
    best, best_error, ask = classes, np.inf, count
    for _ in range(_ROUNDS):
        chosen = np.zeros(classes.shape, bool)
        chosen.ravel()[ranked[: max(ask, 1)]] = True
        lost = np.isin(classes, members) & ~chosen
        trial, _ = tidied(np.where(chosen, inside, np.where(lost, outside, classes)).astype(np.uint8), shares)
        got = int(np.isin(trial, members).sum())
        error = abs(got / count - 1)
        if error < best_error:
            best, best_error = trial, error
        if error <= tolerance:
            break
        ask += count - got
    return best
