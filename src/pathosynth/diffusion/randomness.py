"""Counter-based torch generators: the same numbers whenever and wherever one is asked for."""

import torch

from pathosynth.runs.seeds import Counter, derived_seed


def generator(seed: int, *counters: Counter) -> torch.Generator:
    """CPU generator for (seed, *counters); draw on the CPU and move, then every device sees the same numbers."""
    return torch.Generator().manual_seed(derived_seed(seed, *counters))
