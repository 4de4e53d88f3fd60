"""The file of training fingerprints: what was written is read, anything else refused."""

from pathlib import Path

import numpy as np
import pytest

from pathosynth.data.copy_reference import FILE, CopyReference, KnownCases, load_reference, save_reference
from pathosynth.runs.errors import ModelError


def known(rng: np.random.Generator, cases: int, copy: float) -> KnownCases:
    names, subjects = tuple(f"fälle{i}" for i in range(cases)), tuple(f"person{i // 2}" for i in range(cases))
    vectors = rng.integers(-127, 128, (cases, 6000)).astype(np.int8)
    return KnownCases(names, subjects, vectors, rng.uniform(0, 0.2, cases // 2).astype(np.float32), copy - 0.1, copy)


@pytest.fixture
def reference(rng: np.random.Generator) -> CopyReference:
    return {"folds-labels-v1": known(rng, 5, 0.3), "folds-image-v1": known(rng, 1, float("nan"))}


def test_what_was_written_is_read(tmp_path: Path, reference: CopyReference) -> None:
    assert load_reference(tmp_path) is None
    save_reference(tmp_path, reference)
    found = load_reference(tmp_path)
    assert found is not None
    assert list(found) == list(reference)
    for kind, expected in reference.items():
        np.testing.assert_array_equal(found[kind].vectors, expected.vectors)
        np.testing.assert_array_equal(found[kind].alike, expected.alike)
        assert (found[kind].cases, found[kind].subjects) == (expected.cases, expected.subjects)
        np.testing.assert_equal((found[kind].suspect, found[kind].copy), (expected.suspect, expected.copy))


def test_the_file_is_as_small_as_its_fingerprints(tmp_path: Path, reference: CopyReference) -> None:
    save_reference(tmp_path, reference)
    assert (tmp_path / FILE).stat().st_size < 6 * 6000 + 2000


def test_a_damaged_file_is_refused(tmp_path: Path, reference: CopyReference) -> None:
    save_reference(tmp_path, reference)
    whole = (tmp_path / FILE).read_bytes()
    other_format = whole.replace(b"format_version", b"format_versiom", 1)
    for damaged in (whole[:200], whole[:-10], b"", other_format):
        (tmp_path / FILE).write_bytes(damaged)
        with pytest.raises(ModelError, match=FILE):
            load_reference(tmp_path)


def test_counts_that_do_not_fit_are_refused(tmp_path: Path, rng: np.random.Generator) -> None:
    whole = known(rng, 4, 0.3)
    short = KnownCases(whole.cases[:3], whole.subjects, whole.vectors, whole.alike, whole.suspect, whole.copy)
    save_reference(tmp_path, {"folds-labels-v1": short})
    with pytest.raises(ModelError, match="4, 6000"):
        load_reference(tmp_path)
