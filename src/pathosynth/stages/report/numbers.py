"""Lists of numbers as the command line gives them: ``1,2,3`` or ``0:1.5:0.1``, both ends included."""

import math
from typing import Annotated, Any

import pydantic

MOST = 1000
"""Numbers a list may have."""


def parse_numbers(value: Any) -> Any:
    """Numbers from text; what is no text goes through, for the checks that follow.

    ``A:B:STEP`` gives A, A + STEP, … up to B, which is included where it is a whole number of steps away but for
    rounding.

    Raises:
        ValueError: the text is no such list.
    """
    if not isinstance(value, str):
        return value
    numbers = [number for part in value.split(",") for number in _part(part.strip(), value)]
    if len(numbers) > MOST:
        raise ValueError(f"expected at most {MOST} numbers, found {len(numbers)} in '{value}'")
    return tuple(dict.fromkeys(numbers))


def _part(text: str, whole: str) -> list[float]:
    try:
        ends = [float(number) for number in text.split(":")]
    except ValueError:
        ends = []
    if not all(math.isfinite(end) for end in ends) or len(ends) not in (1, 3):
        raise ValueError(f"expected numbers such as 1,2,3 or FROM:TO:STEP such as 0:1.5:0.1, found '{whole}'")
    if len(ends) == 1:
        return ends
    low, high, step = ends
    if step <= 0 or high < low or (high - low) / step > MOST:
        raise ValueError(f"expected FROM:TO:STEP with TO above FROM and at most {MOST} steps, found '{whole}'")
    return [round(low + i * step, 9) for i in range(math.floor((high - low) / step + 1e-6) + 1)]


Numbers = Annotated[
    tuple[Annotated[float, pydantic.Field(allow_inf_nan=False)], ...],
    pydantic.BeforeValidator(parse_numbers),
    pydantic.Field(min_length=1),
]
"""A setting that takes such a list."""
