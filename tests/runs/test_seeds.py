"""Seeds depend on the run, the case and the purpose, and on nothing else."""

import hashlib

import numpy as np

from pathosynth.runs.seeds import case_seed, derived_seed, numpy_generator


def test_seed_and_counters_are_told_apart() -> None:
    keys = [(1, 2), (12,), (1, "2"), ("1", 2), ("12",), (2, 1), ("ab",), ("a", "b"), (0,), (-1,), (2**70,), ()]
    assert len({derived_seed(0, *key) for key in keys} | {derived_seed(1, *key) for key in keys}) == 2 * len(keys)


def test_seed_is_the_documented_hash_of_length_and_text_of_every_part() -> None:
    parts = b"".join(len(part).to_bytes(8, "little") + part for part in (b"i7", b"snoise", b"i3"))
    digest = hashlib.blake2b(parts, digest_size=8).hexdigest()
    assert derived_seed(7, "noise", 3) == int("".join(reversed([digest[i : i + 2] for i in range(0, 16, 2)])), 16)


def test_run_case_and_purpose_each_change_the_seed() -> None:
    seeds = {
        case_seed(run, case, what) for run in range(20) for case in ("a", "b", "1") for what in ("", "morph", "image")
    }
    assert len(seeds) == 180
    assert max(seeds) < 2**63


def test_generators_of_neighbouring_counters_are_unrelated() -> None:
    draws = np.stack([numpy_generator(0, seed).standard_normal(4000) for seed in range(8)])
    correlation = np.corrcoef(draws) - np.eye(8)
    assert np.abs(correlation).max() < 5 / np.sqrt(4000)
    np.testing.assert_array_equal(numpy_generator(0, 3).standard_normal(4000), draws[3])
