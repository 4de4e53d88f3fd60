"""What every image generator must do; where it has to learn first, with a model trained in seconds."""

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from pathosynth.data.labels import load_scheme
from pathosynth.data.phantom import brain_phantom
from pathosynth.data.requests import Request
from pathosynth.image_generators import IMAGE_GENERATORS, load
from pathosynth.runs.errors import ConfigError
from tiny_spade import tiny_model

SCHEME = load_scheme("kcl8")
SKIPS = {
    "seed decides": {"carried": "draws nothing: the parent's image decides"},
    "labels decide": {"carried": "the displacement decides where tissue goes, not the labels"},
}
NEED_A_MODEL = {"pixel_diffusion": "needs trained weights; runs through the same contract in its own tests"}

TRAINED: dict[str, Callable[[], Any]] = {"spade_latent_diffusion": tiny_model}

LEAST_VARIATION = {"spade_latent_diffusion": 0.005}
"""Mean change between two seeds; a model trained in seconds draws little else than the mean of what it saw."""


def model_of(name: str) -> Any:
    """Settings of a generator without weights, or a model trained now."""
    return TRAINED[name]() if name in TRAINED else load(name).Config()


def request(seed: int) -> Request:
    phantom = brain_phantom(seed)
    rng = np.random.default_rng(seed)
    image = np.where(phantom.array > 0, rng.random(phantom.shape), 0).astype(np.float32)
    displacement = np.zeros((3, *phantom.shape), np.float32)
    return Request(phantom.array, SCHEME, phantom.spacing_mm, image, displacement)


@pytest.fixture(scope="module")
def requests() -> list[Request]:
    return [request(0), request(1)]


@pytest.fixture(params=[name for name in IMAGE_GENERATORS if name not in NEED_A_MODEL])
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def generate(name: str, requests: list[Request], seeds: list[int]) -> list[np.ndarray]:
    module = load(name)
    images: list[np.ndarray] = module.generate(model_of(name), requests, seeds)
    return images


def skip_where_it_makes_no_sense(promise: str, name: str) -> None:
    if name in SKIPS[promise]:
        pytest.skip(f"{name}: {SKIPS[promise][name]}")


def test_grid_is_kept_and_every_voxel_finite(name: str, requests: list[Request]) -> None:
    for image, wanted in zip(generate(name, requests, [1, 2]), requests, strict=True):
        assert image.shape == wanted.labels.shape
        assert image.dtype == np.float32
        assert np.isfinite(image).all()
        assert not image[wanted.labels == 0].any()
        assert image[wanted.labels > 0].std() > 0.01


def test_same_seed_same_bytes_and_batch_size_does_not_matter(name: str, requests: list[Request]) -> None:
    together = generate(name, requests, [11, 12])
    alone = [generate(name, [one], [seed])[0] for one, seed in zip(requests, [11, 12], strict=True)]
    reversed_order = generate(name, requests[::-1], [12, 11])[::-1]
    for first, second, third in zip(together, alone, reversed_order, strict=True):
        np.testing.assert_array_equal(first, second)
        np.testing.assert_array_equal(first, third)


def test_another_seed_gives_another_image(name: str, requests: list[Request]) -> None:
    skip_where_it_makes_no_sense("seed decides", name)
    first, second = generate(name, [requests[0]] * 2, [1, 2])
    inside = requests[0].labels > 0
    assert np.abs(first - second)[inside].mean() > LEAST_VARIATION.get(name, 0.01)


def test_changing_a_label_changes_the_image_there_and_not_far_away(name: str, requests: list[Request]) -> None:
    skip_where_it_makes_no_sense("labels decide", name)
    one = requests[0]
    labels = one.labels.copy()
    i, j, k = (int(n) for n in np.argwhere(labels == 1)[(labels == 1).sum() // 3])
    there = np.zeros(labels.shape, bool)
    there[i - 4 : i + 5, j - 4 : j + 5, k - 4 : k + 5] = True
    there &= labels == 1
    labels[there] = 2
    before, after = generate(name, [one, Request(labels, SCHEME, one.spacing_mm)], [5, 5])
    change = np.abs(after - before)
    far = np.ones(labels.shape, bool)
    far[i - 12 : i + 13, j - 12 : j + 13, k - 12 : k + 13] = False
    assert change[there].mean() > 0.15
    assert change[far].max() < 0.02


def test_requests_are_not_touched(name: str, requests: list[Request]) -> None:
    one = requests[1]
    copies = [np.array(array) for array in (one.labels, one.parent_image, one.displacement)]
    generate(name, [one], [0])
    for array, copy in zip((one.labels, one.parent_image, one.displacement), copies, strict=True):
        np.testing.assert_array_equal(array, copy)


def test_one_seed_per_request(name: str, requests: list[Request]) -> None:
    with pytest.raises(ValueError, match="shorter"):
        generate(name, requests, [1])


def test_unknown_generator_is_refused_with_the_known_names() -> None:
    with pytest.raises(ConfigError, match="gaussian_mixture"):
        load("photoshop")


def test_generators_without_training_do_not_import_torch() -> None:
    program = (
        "import sys; from pathosynth.image_generators import load; load('carried'); load('gaussian_mixture'); "
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
