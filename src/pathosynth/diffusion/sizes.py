"""Sizes a network can work with; raised as ValueError, for pydantic validators."""

from collections.abc import Sequence


def check_multiple(name: str, shape: Sequence[int], multiple: int) -> None:
    """Refuse a grid whose sides are no multiples of what the networks need.

    Raises:
        ValueError: naming the nearest possible sizes.
    """
    if any(n % multiple or n < multiple for n in shape):
        below = [max(multiple, n // multiple * multiple) for n in shape]
        above = [max(multiple, -(-n // multiple) * multiple) for n in shape]
        raise ValueError(
            f"{name}: {list(shape)} does not fit the networks, which need multiples of {multiple} voxels; the nearest "
            f"possible are {below} and {above}"
        )


def check_lowest_level(name: str, cells: Sequence[int], precision: str) -> None:
    """Refuse to train in bfloat16 where the coarsest feature map has a side of two cells.

    torch 2.13 on a CPU leaves uninitialised memory in the weight gradient of a 3 x 3 x 3 bfloat16 convolution there
    (relative error 0.9 to infinite at side 2, 0.003 at 1, 3, 4 and more; ``tests/diffusion/test_precision.py``).

    Args:
        name: setting that decides the size, for the message.
        cells: sides of that map.
        precision: fp32, bf16 or auto.

    Raises:
        ValueError: it is so; for a pydantic validator.
    """
    if precision != "fp32" and 2 in cells:
        raise ValueError(
            f"{name}: the networks' coarsest map would have {list(cells)} cells; in bfloat16 a side of 2 gives wrong "
            "gradients on a CPU. Choose a larger size, or precision = 'fp32'"
        )
