"""Counter-based randomness: a pure function, sensitive to every counter."""

import subprocess
import sys

import numpy as np
import torch

from pathosynth.diffusion.randomness import generator
from pathosynth.runs.seeds import derived_seed


def test_same_counters_same_numbers_in_any_order_and_in_another_process():
    wanted = [torch.randn(3, generator=generator(7, "noise", i)).tolist() for i in range(4)]
    backwards = [torch.randn(3, generator=generator(7, "noise", i)).tolist() for i in reversed(range(4))]
    assert wanted == backwards[::-1]
    code = "from pathosynth.runs.seeds import derived_seed; print(derived_seed(7, 'noise', 3))"
    elsewhere = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(elsewhere.stdout) == derived_seed(7, "noise", 3)


def test_neighbouring_counters_are_uncorrelated():
    draws = torch.stack([torch.randn(2000, generator=generator(0, step)) for step in range(20)]).numpy()
    off_diagonal = np.corrcoef(draws)[np.triu_indices(20, 1)]
    assert np.abs(off_diagonal).max() < 5 / np.sqrt(2000)
