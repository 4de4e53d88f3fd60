"""What every label generator must do, tried on all of them after a short training on heads of nested balls.

A training of half a minute on one core makes most of these tests slow; what needs none is tested beside each generator.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from pathosynth.data.generated import Generated
from pathosynth.data.labelled import LabelledBrain
from pathosynth.data.labels import load_scheme
from pathosynth.data.measurements import measure
from pathosynth.label_generators import LABEL_GENERATORS, load
from pathosynth.runs.errors import ConfigError, PathosynthError

SCHEME = load_scheme("kcl8")
SHAPE, SPACING_MM = (24, 24, 24), (4.0, 4.0, 4.0)
TOLERANCE = 0.02
SHORT: dict[str, dict[str, Any]] = {
    "latent_diffusion": {
        "conditions": ["ventricle_ratio", "ventricle_ml", "age_weeks"],
        "grid": {"shape": list(SHAPE), "spacing_mm": list(SPACING_MM)},
        "autoencoder": {"steps": 400, "precision": "fp32", "channels": [16], "crop_voxels": [16, 16, 16],
                        "learning_rate": 5e-3, "ema_decay": 0.95},
        "diffusion": {"steps": 700, "precision": "fp32", "width": 32, "multipliers": [1], "blocks": 1,
                      "embedding": 32, "batch": 4, "learning_rate": 3e-3, "ema_decay": 0.95},
        "augmentation": {"copies": 1},
        "sampling": {"steps": 6, "candidates": 16},  # what so short a training learns differs between processors
    },
}  # fmt: skip
"""Settings of the short training, by generator."""

needs_training = pytest.mark.slow


def heads(count: int = 10) -> list[LabelledBrain]:
    """Balls of CSF and white matter around ventricles of 12 to 48 mL; the ages grow with them."""
    middle = [(np.arange(n) - (n - 1) / 2) * edge for n, edge in zip(SHAPE, SPACING_MM, strict=True)]
    radius = np.linalg.norm(np.stack(np.meshgrid(*middle, indexing="ij")), axis=0)
    made = []
    for number in range(count):
        volume_ml = 12 + 36 * number / (count - 1)
        edge = (volume_ml * 1000 * 3 / (4 * np.pi)) ** (1 / 3)
        labels = np.select([radius < edge, radius < 34, radius < 42], [2, 1, 4], 0).astype(np.uint16)
        made.append(LabelledBrain(f"c{number}", f"s{number}", labels, SPACING_MM, age_weeks=24.0 + number))
    return made


@pytest.fixture(scope="session", params=[*LABEL_GENERATORS])
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="session")
def generator(name: str) -> ModuleType:
    return load(name)


@pytest.fixture(scope="session")
def folder(name: str, generator: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    import torch

    from pathosynth.diffusion.distributed import Rank

    out = tmp_path_factory.mktemp(name)
    config = generator.config_from_preset(next(iter(generator.presets())), SHORT[name])
    results = generator.train(heads(), SCHEME, config, out, seed=1, rank=Rank(device=torch.device("cpu")))
    assert [result.step for result in results] == list(range(1, config.total_steps + 1))
    return out


@pytest.fixture(scope="session")
def model(generator: ModuleType, folder: Path) -> Any:
    return generator.load_model(folder)


def made(
    generator: ModuleType, model: Any, wanted: Sequence[Mapping[str, float]], seeds: Sequence[int], **changes: Any
) -> list[Generated]:
    sampling = model.config.sampling.model_copy(update=changes)
    maps: list[Generated] = generator.generate(model, wanted, seeds, sampling)
    return maps


def ventricles_ml(one: Generated) -> float:
    return measure(one.labels.array, SCHEME, one.labels.spacing_mm, ["ventricle_ml"])["ventricle_ml"]


@needs_training
def test_labels_are_of_the_scheme_on_the_grid_of_the_model(generator: ModuleType, model: Any) -> None:
    (one,) = made(generator, model, [{}], [3])
    assert one.labels.shape == tuple(model.shape) == SHAPE
    assert one.labels.spacing_mm == pytest.approx(SPACING_MM)
    assert np.array_equal(np.sign(np.diag(one.labels.affine)[:3]), [1, 1, 1]), "RAS"
    assert one.labels.array.dtype.kind == "u"
    assert set(np.unique(one.labels.array)) <= {0, *SCHEME.values}
    assert (one.labels.array > 0).mean() == pytest.approx(np.mean([(h.labels > 0).mean() for h in heads()]), rel=0.3)


@needs_training
def test_same_seed_same_labels_and_neighbours_do_not_matter(generator: ModuleType, model: Any) -> None:
    wanted = [{"ventricle_ml": 30.0}, {}]
    together = made(generator, model, wanted, [5, 6], closed_loop=False)
    alone = [made(generator, model, [w], [s], closed_loop=False)[0] for w, s in zip(wanted, [5, 6], strict=True)]
    reversed_order = made(generator, model, wanted[::-1], [6, 5], closed_loop=False)[::-1]
    for first, second, third in zip(together, alone, reversed_order, strict=True):
        np.testing.assert_array_equal(first.labels.array, second.labels.array)
        np.testing.assert_array_equal(first.labels.array, third.labels.array)
    other = made(generator, model, wanted[:1], [7], closed_loop=False)[0]
    assert (other.labels.array != together[0].labels.array).any()


@needs_training
@pytest.mark.parametrize("ml", [18.0, 28.0, 42.0])
def test_a_requested_volume_is_met(generator: ModuleType, model: Any, ml: float) -> None:
    (one,) = made(generator, model, [{"ventricle_ml": ml}], [1], tolerance=TOLERANCE)
    assert ventricles_ml(one) == pytest.approx(ml, rel=TOLERANCE)
    assert one.got["ventricle_ml"] == pytest.approx(ventricles_ml(one))
    assert (one.asked, one.beyond) == ({"ventricle_ml": ml}, ())
    assert one.steps[0]["what"] == "sampled"
    assert one.attempts >= 1


@needs_training
def test_a_ratio_can_be_asked_for_by_its_place_in_the_trained_range(generator: ModuleType, model: Any) -> None:
    (one,) = made(generator, model, [{"c": 0.5}], [2], tolerance=TOLERANCE)
    trained = model.conditions["ventricle_ratio"]
    got = measure(one.labels.array, SCHEME, one.labels.spacing_mm, ["ventricle_ratio"])["ventricle_ratio"]
    assert got == pytest.approx((trained.low + trained.high) / 2, rel=TOLERANCE)


@needs_training
def test_more_asked_is_more_drawn_even_in_the_open_loop(generator: ModuleType, model: Any) -> None:
    asked = [16.0, 30.0, 44.0]
    drawn = [
        np.mean([ventricles_ml(one) for one in made(generator, model, [{"ventricle_ml": ml}] * 2, [1, 2],
                                                    closed_loop=False)])
        for ml in asked
    ]  # fmt: skip
    assert drawn[0] < drawn[1] < drawn[2]


@needs_training
def test_beyond_the_trained_range_is_flagged_and_met_or_refused(generator: ModuleType, model: Any) -> None:
    ml = model.conditions["ventricle_ml"].high * 1.06
    (one,) = made(generator, model, [{"ventricle_ml": ml}], [4], beyond="morph", tolerance=TOLERANCE)
    assert one.beyond == ("ventricle_ml",)
    assert ventricles_ml(one) == pytest.approx(ml, rel=TOLERANCE)
    (guided,) = made(generator, model, [{"ventricle_ml": ml}], [4], beyond="guide", closed_loop=False)
    assert guided.beyond == ("ventricle_ml",)
    with pytest.raises(PathosynthError, match="ventricle_ml"):
        made(generator, model, [{"ventricle_ml": ml}], [4], beyond="refuse")


@needs_training
def test_an_unknown_name_is_refused_with_the_known_ones(generator: ModuleType, model: Any) -> None:
    with pytest.raises(ConfigError, match=r"ventricle_ml") as refused:
        made(generator, model, [{"head_size": 3.0}], [0])
    assert "head_size" in str(refused.value)


@needs_training
def test_the_trained_ranges_are_those_of_the_training_heads(model: Any) -> None:
    volumes = [measure(head.labels, SCHEME, SPACING_MM, ["ventricle_ml"])["ventricle_ml"] for head in heads()]
    trained = model.conditions["ventricle_ml"]
    assert (trained.low, trained.high) == (pytest.approx(min(volumes), rel=0.05), pytest.approx(max(volumes), rel=0.05))
    assert (model.conditions["age_weeks"].low, model.conditions["age_weeks"].high) == (24, 33)
    assert model.facts["subjects"] == sorted(head.subject for head in heads())


@needs_training
def test_one_seed_per_request(generator: ModuleType, model: Any) -> None:
    with pytest.raises(ValueError, match="shorter"):
        made(generator, model, [{}, {}], [1])


def test_unknown_generator_is_refused_with_the_known_names() -> None:
    with pytest.raises(ConfigError, match="latent_diffusion"):
        load("clay")
