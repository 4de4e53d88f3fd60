"""What is independent: the images of one subject, and one case read in two arms, are one unit."""

import numpy as np


def own_units(cases: int) -> np.ndarray:
    """(cases,) every case a unit of its own."""
    return np.arange(cases)


def summed(values: np.ndarray, units: np.ndarray) -> np.ndarray:
    """(units, …) sums over the cases of every unit.

    Args:
        values: (cases, …).
        units: (cases,) which unit a case belongs to, any whole numbers.
    """
    _, place = np.unique(units, return_inverse=True)
    found = np.zeros((int(place.max(initial=-1)) + 1, *values.shape[1:]))
    np.add.at(found, place, values)
    return found


def number_of(units: np.ndarray) -> int:
    """How many different units."""
    return len(np.unique(units))


def too_few(units: np.ndarray) -> str:
    """Why there is no interval over so few."""
    n, cases = number_of(units), len(units)
    of = "" if n == cases else f" of {n} subject{'s' * (n > 1)}"
    return f"{cases} case{'s' * (cases != 1)}{of} are too few for an interval."
