"""Counter-based randomness: every draw is a function of a seed and of what it is for.

No result depends on the order of the cases, on batch size, on the number of workers or processes, or on whether a run
was interrupted, and no generator state has to be saved.
"""

import hashlib

import numpy as np

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


def case_seed(run_seed: int, case: str, purpose: str = "") -> int:
    """Seed of one case in [0, 2^63), so that it fits any table.

    Args:
        run_seed: what the user gave as ``--seed``.
        case: the case's identifier in the case table.
        purpose: keeps apart what is drawn for one case, e.g. "morph" and "image".
    """
    return derived_seed(run_seed, "case", case, purpose) >> 1


def numpy_generator(seed: int, *counters: Counter) -> np.random.Generator:
    """Numpy generator (Philox) for (seed, *counters); the same numbers on every machine."""
    return np.random.Generator(np.random.Philox(derived_seed(seed, *counters)))
