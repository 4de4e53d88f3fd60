"""MS-SSIM and NCC against MONAI, scikit-image and closed forms."""

import numpy as np
import pytest
import torch
from monai.metrics import MultiScaleSSIMMetric
from scipy import ndimage
from skimage.metrics import structural_similarity

from pathosynth.metrics import structure
from pathosynth.runs.errors import InputError


@pytest.fixture
def pair(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    image = ndimage.gaussian_filter(rng.uniform(0, 1, (48, 52, 45)), 1.5)
    image = (image - image.min()) / np.ptp(image)
    return image, np.clip(image + rng.normal(0, 0.05, image.shape), 0, 1)


def test_one_scale_is_ssim_of_scikit_image(pair: tuple[np.ndarray, np.ndarray]) -> None:
    options = {"data_range": 1.0, "gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    _, everywhere = structural_similarity(*pair, full=True, **options)
    expected = everywhere[5:-5, 5:-5, 5:-5].mean()
    assert structure.ms_ssim(*pair, 1.0, scales=1) == pytest.approx(expected, abs=1e-6)


def test_scales_are_monai_s(pair: tuple[np.ndarray, np.ndarray]) -> None:
    weights = np.array(structure.WEIGHTS[:2]) / sum(structure.WEIGHTS[:2])
    metric = MultiScaleSSIMMetric(spatial_dims=3, data_range=1.0, kernel_size=11, kernel_sigma=1.5, weights=weights)
    expected = float(metric(*(torch.from_numpy(x)[None, None] for x in pair)))
    assert structure.ms_ssim(*pair, 1.0, scales=2) == pytest.approx(expected, abs=1e-4)


def test_equal_images_have_one_and_noise_and_blur_lower_it(pair: tuple[np.ndarray, np.ndarray]) -> None:
    image = pair[0]
    assert structure.ms_ssim(image, image, 1.0) == pytest.approx(1.0)
    noise = np.random.default_rng(1).normal(size=image.shape)
    noisy = [structure.ms_ssim(image, image + amount * noise, 1.0) for amount in (0.0, 0.02, 0.1, 0.3)]
    blurred = [structure.ms_ssim(image, ndimage.gaussian_filter(image, s), 1.0) for s in (0.0, 0.7, 1.5, 3.0)]
    for found in (noisy, blurred):
        assert found == sorted(found, reverse=True)
        assert found[-1] < 0.95


@pytest.mark.parametrize(
    ("shape", "scales"), [((10, 50, 50), 0), ((11, 50, 50), 1), ((80, 96, 80), 3), ((176,) * 3, 5)]
)
def test_scales_that_fit(shape: tuple[int, ...], scales: int) -> None:
    assert structure.scales_for(shape) == scales


def test_diversity_of_one_image_repeated_is_one_and_of_different_ones_lower(rng: np.random.Generator) -> None:
    images = [ndimage.gaussian_filter(rng.uniform(0, 1, (24, 24, 24)), 1) for _ in range(4)]
    same = structure.diversity([images[0]] * 3, 1.0, rng)
    different = structure.diversity(images, 1.0, rng)
    assert same == pytest.approx(1.0)
    assert different < 0.98
    assert structure.diversity(images[::-1], 1.0, rng) == pytest.approx(different)
    pairs = [structure.ms_ssim(images[i], images[j], 1.0) for i in range(4) for j in range(i)]
    assert different == pytest.approx(np.mean(pairs))
    assert min(pairs) <= structure.diversity(images, 1.0, rng, most_pairs=2) <= max(pairs)


def test_ncc_is_pearson_and_ignores_linear_intensity(pair: tuple[np.ndarray, np.ndarray]) -> None:
    a, b = pair
    mask = a > np.median(a)
    assert structure.ncc(a, b, mask) == pytest.approx(np.corrcoef(a[mask], b[mask])[0, 1])
    assert structure.ncc(a, 100 - 3 * a) == pytest.approx(-1.0)
    assert np.isnan(structure.ncc(a, np.full_like(a, 0.1)))


def test_bad_images_are_refused(pair: tuple[np.ndarray, np.ndarray], rng: np.random.Generator) -> None:
    a, b = pair
    with pytest.raises(InputError, match="one shape"):
        structure.ms_ssim(a, b[1:], 1.0)
    with pytest.raises(InputError, match="1 to 3 scales"):
        structure.ms_ssim(a, b, 1.0, scales=4)
    with pytest.raises(InputError, match="range above 0"):
        structure.ms_ssim(a, b, 0.0)
    with pytest.raises(InputError, match="not finite"):
        structure.ncc(a, np.where(a > 0.9, np.nan, b))
    with pytest.raises(InputError, match="mask"):
        structure.ncc(a, b, np.zeros(a.shape, bool))
    with pytest.raises(InputError, match="two images"):
        structure.diversity([a], 1.0, rng)
