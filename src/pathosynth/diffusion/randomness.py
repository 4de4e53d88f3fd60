"""Counter-based randomness: every draw is a function of a seed and of what it is for.

`generator(seed, "noise", step, slot)` gives the same numbers whenever and wherever it is called. No result depends on
the order of the cases, on batch size, on the number of workers or ranks, or on whether a run was interrupted, and no
generator state has to be saved. Seeds of cases come from `runs.seeds`; this is what happens below one of them.
The module needs torch only once `generator` is called.
"""

import hashlib
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch

Counter = int | str


def derived_seed(seed: int, *counters: Counter) -> int:
    """A 64-bit seed from a seed and counters (blake2b): neighbouring counters give unrelated seeds.

    The encoding keeps types and boundaries apart: ("ab",), ("a", "b"), (1, 2), (12,) and ("1", 2) all differ.
    """
    digest = hashlib.blake2b(digest_size=8)
    for part in (seed, *counters):
        text = f"i{int(part)}" if isinstance(part, int) else f"s{part}"
        encoded = text.encode()
        digest.update(len(encoded).to_bytes(8, "little") + encoded)
    return int.from_bytes(digest.digest(), "little")


def generator(seed: int, *counters: Counter) -> "torch.Generator":
    """CPU torch generator for (seed, *counters); draw on the CPU and move, then every device sees the same numbers."""
    import torch

    return torch.Generator().manual_seed(derived_seed(seed, *counters))


def numpy_generator(seed: int, *counters: Counter) -> np.random.Generator:
    """Numpy generator (Philox) for (seed, *counters)."""
    return np.random.Generator(np.random.Philox(derived_seed(seed, *counters)))
