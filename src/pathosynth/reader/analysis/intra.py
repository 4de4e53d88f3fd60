"""Does a reader say the same the second time? First readings against hidden repeats."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from pathosynth.reader.analysis.estimate import Estimate, undefined
from pathosynth.reader.analysis.kappa import cohen_kappa, percent_agreement

NONE = "No case was read twice."


def within_readers(repeated: np.ndarray, readers: Sequence[str], weights: str) -> dict[str, dict[str, Estimate]]:
    """Weighted kappa and percent agreement of every reader with itself, and pooled over all readers' pairs.

    A pair of readings of one case is the unit, in the pooled figures too.

    Args:
        repeated: (readings, 4) case, reader, first value, value of a repeat; NaN where one is missing.
        readers: names.
        weights: of kappa.

    Returns:
        Statistics by reader; those of all readers together under "".
    """
    known = repeated[np.isfinite(repeated).all(axis=1)]
    by_reader = {name: known[known[:, 1] == i] for i, name in enumerate(readers)}
    return {name: _statistics(one, weights) for name, one in ({"": known} | by_reader).items()}


def _statistics(pairs: np.ndarray, weights: str) -> dict[str, Estimate]:
    if not len(pairs):
        return {"weighted_kappa": undefined(NONE, 0), "percent_agreement": undefined(NONE, 0)}
    twice = pairs[:, 2:]
    found = {"weighted_kappa": cohen_kappa(twice, weights), "percent_agreement": percent_agreement(twice)}
    return {name: replace(one, readers=None) for name, one in found.items()}  # the two columns are one reader
