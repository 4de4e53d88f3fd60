"""One seed per case, so that results depend neither on order, nor on batch size, nor on the number of workers."""

import hashlib

import numpy as np


def case_seed(run_seed: int, case: str, purpose: str = "") -> int:
    """Seed of one case in [0, 2^63): the first bytes of SHA-256 over the run's seed, the case and the purpose.

    Args:
        run_seed: what the user gave as ``--seed``.
        case: the case's identifier in the case table.
        purpose: keeps apart what is drawn for one case, e.g. "morph" and "image".
    """
    digest = hashlib.sha256(f"{run_seed}\n{case}\n{purpose}".encode()).digest()
    return int.from_bytes(digest[:8], "little") >> 1


def numpy_generator(seed: int) -> np.random.Generator:
    """Counter-based (Philox) numpy generator; the same seed gives the same numbers on every machine."""
    return np.random.Generator(np.random.Philox(key=seed))
