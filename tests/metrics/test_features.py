"""The random feature net: fixed for ever, blind to unit, sensitive to blur and noise."""

import numpy as np
import pytest
import torch
from scipy import ndimage

from pathosynth.metrics import features, sets
from pathosynth.runs.errors import InputError

BALL = np.linalg.norm(np.indices((26, 28, 25)) - np.array([13, 14, 12])[:, None, None, None], axis=0) < 11

STORED = [1.1140830503552488, 1.5346867040319938, 0.5159834315287518]
"""First numbers behind the weights; others would be another net under the same name."""


def images(seed: int, count: int, blur: float = 0.0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    made = [ndimage.gaussian_filter(rng.normal(size=BALL.shape), 0.8) for _ in range(count)]
    return np.stack([features.random_conv3d(ndimage.gaussian_filter(image, blur), BALL) for image in made])


def test_convolution_is_torch_s(rng: np.random.Generator) -> None:
    for shape in ((9, 8, 11), (8, 8, 8)):
        layer, weights = rng.normal(size=(2, *shape)), rng.normal(size=(5, 2, 3, 3, 3))
        expected = torch.nn.functional.conv3d(
            torch.from_numpy(layer)[None], torch.from_numpy(weights), stride=2, padding=1
        )
        np.testing.assert_allclose(features._strided_convolution(layer, weights), expected[0].numpy(), atol=1e-5)


def test_weights_follow_from_the_name_and_never_change() -> None:
    first = features._weights(features.NET)[0]
    np.testing.assert_allclose(first.sum(axis=(1, 2, 3, 4)), 0, atol=1e-6)
    np.testing.assert_allclose((first**2).sum(axis=(1, 2, 3, 4)), 2, rtol=1e-5)
    drawn = features._normal(features.NET, 100_000)
    assert abs(drawn.mean()) < 0.01
    assert drawn.std() == pytest.approx(1, abs=0.01)
    np.testing.assert_allclose(features._normal(features.NET, 3), STORED, rtol=1e-12)


def test_unit_and_background_do_not_matter() -> None:
    image = ndimage.gaussian_filter(np.random.default_rng(0).normal(size=BALL.shape), 1)
    expected = features.random_conv3d(image, BALL)
    assert expected.shape == (features.DIMENSION,)
    np.testing.assert_allclose(features.random_conv3d(np.where(BALL, 1000 * image + 300, 7), BALL), expected, rtol=1e-3)


def test_distances_grow_with_blur_and_vanish_for_one_distribution() -> None:
    real, other = images(0, 24), images(1, 24)
    ladder = [other, *(images(2, 24, blur) for blur in (0.5, 0.8, 1.4))]
    for measure in (sets.kernel_distance, sets.rbf_mmd):
        found = [measure(*features.standardised(real, made)) for made in ladder]
        assert found == sorted(found)
        assert abs(found[0]) < 0.1 * found[1]
    frechet = [
        sets.frechet(*(features.projected(rows) for rows in features.standardised(real, made))) for made in ladder
    ]
    assert frechet == sorted(frechet)
    assert frechet[1] > 3 * frechet[0]


def test_projection_keeps_lengths_and_does_not_depend_on_the_set() -> None:
    rows = np.random.default_rng(0).normal(size=(50, features.DIMENSION))
    whole = features.projected(rows, features.DIMENSION)
    np.testing.assert_allclose(np.linalg.norm(whole, axis=1), np.linalg.norm(rows, axis=1))
    np.testing.assert_allclose(features.projected(rows[3:4]), features.projected(rows)[3:4])
    np.testing.assert_allclose(features.projected(rows), whole[:, :6])


def test_bad_images_are_refused() -> None:
    image = np.random.default_rng(0).normal(size=BALL.shape)
    for wrong, mask in ((image[1:], BALL), (np.where(BALL, np.nan, image), BALL), (image[:7], BALL[:7])):
        with pytest.raises(InputError, match="finite image"):
            features.random_conv3d(wrong, mask)
    with pytest.raises(InputError, match="mask"):
        features.random_conv3d(image, np.zeros_like(BALL))
    with pytest.raises(InputError, match="dimensions"):
        features.projected(np.zeros((3, 5)), 6)
