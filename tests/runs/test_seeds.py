"""Seeds depend on the run, the case and the purpose, and on nothing else."""

import hashlib

import numpy as np

from pathosynth.runs.seeds import case_seed, numpy_generator


def test_seed_is_the_documented_hash() -> None:
    digest = hashlib.sha256(b"7\nsub-01\nimage").hexdigest()
    little_endian = int("".join(reversed([digest[i : i + 2] for i in range(0, 16, 2)])), 16)
    assert case_seed(7, "sub-01", "image") == little_endian // 2


def test_run_case_and_purpose_each_change_the_seed() -> None:
    seeds = {
        case_seed(run, case, what) for run in range(20) for case in ("a", "b", "1") for what in ("", "morph", "image")
    }
    assert len(seeds) == 180
    assert max(seeds) < 2**63


def test_generators_of_neighbouring_seeds_are_unrelated() -> None:
    draws = np.stack([numpy_generator(seed).standard_normal(4000) for seed in range(8)])
    correlation = np.corrcoef(draws) - np.eye(8)
    assert np.abs(correlation).max() < 5 / np.sqrt(4000)
    np.testing.assert_array_equal(numpy_generator(3).standard_normal(4000), draws[3])
