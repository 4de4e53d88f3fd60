"""How far what was got lies from what was asked."""

from typing import Any

import numpy as np

LIMITS = 1.96
"""Standard deviations on both sides of the mean between which 95 % of normal errors lie."""


def errors(asked: np.ndarray, got: np.ndarray) -> dict[str, Any]:
    """Errors got - asked of (n,) finite values, in their unit.

    Returns:
        n; bias (mean error), MAE, SD (of a sample) and the limits bias ± 1.96 SD. None stands for what so few values do
        not define: everything without any, SD and limits of one.
    """
    error = got - asked
    if not len(error):
        return {"n": 0, "bias": None, "mae": None, "sd": None, "limits": None}
    bias, sd = float(error.mean()), float(error.std(ddof=1)) if len(error) > 1 else None
    return {
        "n": len(error),
        "bias": bias,
        "mae": float(np.abs(error).mean()),
        "sd": sd,
        "limits": None if sd is None else [bias - LIMITS * sd, bias + LIMITS * sd],
    }
