"""What is asked of a label generator: names, units, ranges, and how a network is told."""

import numpy as np
import pytest
import torch

from pathosynth.data.labels import load_scheme
from pathosynth.data.measurements import measurable, measure, unit
from pathosynth.diffusion.networks.measurement_embedding import MeasurementEmbedding
from pathosynth.label_generators.latent_diffusion.conditions import Range, describe, encode, ranges_of, resolved
from pathosynth.runs.errors import ConfigError, InputError

RANGES = {"ventricle_ratio": Range(0.01, 0.11), "ventricle_ml": Range(10.0, 150.0), "age_weeks": Range(21.0, 33.0)}


def test_measurements_are_volumes_and_their_ratio() -> None:
    scheme = load_scheme("synthseg")
    labels = np.zeros((10, 10, 10), np.uint16)
    labels[:5] = 2  # 500 voxels of white matter
    labels[0, 0, :4] = 4  # 4 of a lateral ventricle
    labels[0, 1, :6] = 15  # 6 of the fourth
    found = measure(labels, scheme, (2.0, 1.0, 0.5), ["ventricle_ml", "ventricle_ratio", "fourth_ventricle_ml"])
    assert found == pytest.approx({"ventricle_ml": 0.010, "ventricle_ratio": 0.02, "fourth_ventricle_ml": 0.006})
    assert (unit("ventricle_ml"), unit("ventricle_ratio"), unit("age_weeks")) == ("mL", "ratio", "weeks")
    assert "ventricles_ml" in measurable(scheme)


def test_unknown_measurements_are_named() -> None:
    with pytest.raises(ConfigError, match="hippocampus_ml are unknown in scheme 'kcl8'"):
        measure(np.ones((2, 2, 2), np.uint16), load_scheme("kcl8"), (1, 1, 1), ["hippocampus_ml"])


def test_c_is_the_ratio_scaled_by_the_trained_range() -> None:
    assert resolved({"c": 0.5}, RANGES) == pytest.approx({"ventricle_ratio": 0.06})
    assert resolved({"c": 1.5}, RANGES)["ventricle_ratio"] == pytest.approx(0.16)
    with pytest.raises(ConfigError, match="give one of them"):
        resolved({"c": 0.5, "ventricle_ratio": 0.05}, RANGES)


@pytest.mark.parametrize(("request_", "match"), [({"mood": 1.0}, "mood: this model knows ventricle_ratio 0.01 to 0.11"),
                                                 ({"ventricle_ml": float("nan")}, "finite number"),
                                                 ({"ventricle_ml": -3.0}, "0 or more in mL")])  # fmt: skip
def test_requests_that_mean_nothing_are_refused(request_: dict[str, float], match: str) -> None:
    with pytest.raises(ConfigError, match=match):
        resolved(request_, RANGES)


def test_a_ratio_beside_a_volume_is_a_size_of_head() -> None:
    ranges = RANGES | {"intracranial_ml": Range(1000.0, 2000.0)}
    both = {"ventricle_ml": 60.0, "ventricle_ratio": 0.04, "age_weeks": 30.0}
    assert resolved(both, ranges) == pytest.approx({"ventricle_ml": 60.0, "intracranial_ml": 1500.0, "age_weeks": 30.0})
    with pytest.raises(ConfigError, match="a head of 500 mL; this model knows intracranial_ml 1000 to 2000 mL"):
        resolved({"ventricle_ml": 30.0, "c": 0.5}, ranges)
    with pytest.raises(ConfigError, match="intracranial_ml is asked for too"):
        resolved(both | {"intracranial_ml": 1500.0}, ranges)
    with pytest.raises(ConfigError, match="does not know intracranial_ml"):
        resolved(both, RANGES)


def test_encoding_scales_and_says_what_is_known() -> None:
    values, known = encode([{"ventricle_ml": 80.0}, {"age_weeks": 33.0, "ventricle_ratio": 0.21}], RANGES)
    assert values == pytest.approx(np.array([[0, 0.5, 0], [2.0, 0, 1.0]]), abs=1e-6)
    assert known.tolist() == [[False, True, False], [True, False, True]]


def test_a_condition_that_does_not_vary_is_refused() -> None:
    with pytest.raises(InputError, match=r"age_years.*found none"):
        ranges_of([{"ventricle_ml": 1.0}, {"ventricle_ml": 2.0}], ["ventricle_ml", "age_years"])
    with pytest.raises(InputError, match="only 1"):
        ranges_of([{"ventricle_ml": 1.0}, {"ventricle_ml": 1.0}], ["ventricle_ml"])


def test_ages_that_are_not_known_are_missing() -> None:
    labels = np.ones((3, 3, 3), np.uint16)
    found = describe(labels, load_scheme("kcl8"), (1, 1, 1), ("white_matter_ml", "age_weeks"), {"age_weeks": None})
    assert set(found) == {"white_matter_ml"}


def test_the_value_of_a_hidden_measurement_has_no_influence() -> None:
    torch.manual_seed(0)
    embedding = MeasurementEmbedding(3, 16)
    known = torch.tensor([[True, False, True]])
    first = embedding(torch.tensor([[0.3, 0.5, 0.7]]), known)
    second = embedding(torch.tensor([[0.3, float("nan"), 0.7]]), known)
    assert torch.equal(first, second)
    assert torch.equal(first[0, 1], embedding.missing[1])
    assert not torch.equal(first, embedding(torch.tensor([[0.4, 0.5, 0.7]]), known))


def test_far_beyond_the_range_the_embedding_goes_on_straight() -> None:
    torch.manual_seed(0)
    embedding = MeasurementEmbedding(1, 8)
    at = [embedding(torch.tensor([[value]]), torch.tensor([[True]])) for value in (1e4, 1.1e4, 1.2e4)]
    assert torch.allclose(at[1] - at[0], at[2] - at[1], rtol=1e-2)
