"""Measures of real cases survive the disk; damage is named."""

from pathlib import Path

import numpy as np
import pytest

from pathosynth.data.yardstick import (
    AgreementBands,
    Yardstick,
    load_agreement,
    load_yardstick,
    save_agreement,
    save_yardstick,
)
from pathosynth.runs.errors import ModelError


def test_a_yardstick_comes_back(tmp_path: Path) -> None:
    measures = {"noise": np.array([0.01, 0.02, np.nan]), "misfit white_matter": np.array([1.0, 2.0, 3.0])}
    features = np.arange(6.0).reshape(3, 2)
    save_yardstick(tmp_path, Yardstick(0.8, (0, 1, 1), measures, "net", features))
    found = load_yardstick(tmp_path)
    assert found is not None
    assert (found.spacing_mm, found.subjects, found.net) == (0.8, (0, 1, 1), "net")
    for name, values in measures.items():
        np.testing.assert_allclose(found.measures[name], values, rtol=1e-4)
    np.testing.assert_array_equal(found.features, features)


def test_agreement_comes_back_and_nothing_is_nothing(tmp_path: Path) -> None:
    assert load_yardstick(tmp_path) is None
    assert load_agreement(tmp_path) is None
    save_agreement(tmp_path, AgreementBands("abc", {"ventricles": np.array([0.9, np.nan])}))
    found = load_agreement(tmp_path)
    assert found is not None
    assert found.segmenter == "abc"
    np.testing.assert_array_equal(found.dice["ventricles"], [0.9, np.nan])


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"format_version": 2, "subjects": [0]}'])
def test_damage_is_named(text: str, tmp_path: Path) -> None:
    (tmp_path / "quality.json").write_text(text)
    with pytest.raises(ModelError, match=r"quality\.json: damaged"):
        load_yardstick(tmp_path)


@pytest.mark.parametrize("version", ["1", "9", "null"])
def test_another_format_is_told_from_damage(version: str, tmp_path: Path) -> None:
    (tmp_path / "quality.json").write_text(f'{{"format_version": {version}, "subjects": [0]}}')
    with pytest.raises(ModelError, match=r"expected format 2, found .* Learn it again"):
        load_yardstick(tmp_path)


def test_agreement_of_before_the_yardstick_changed_is_read(tmp_path: Path) -> None:
    (tmp_path / "agreement.json").write_text('{"format_version": 1, "segmenter": "abc", "dice": {"ventricles": [0.9]}}')
    found = load_agreement(tmp_path)
    assert found is not None
    assert found.dice["ventricles"].tolist() == [0.9]


def test_no_name_of_a_case_or_person_is_stored(tmp_path: Path) -> None:
    from pathosynth.checks.learning import Measured, learn

    rows = [Measured(f"person-{i}", 1.0, {"noise": 0.1 * i}, (1.0, 2.0)) for i in range(3)]
    save_yardstick(tmp_path, learn(rows))
    assert "person" not in (tmp_path / "quality.json").read_text()
