"""Slice steps: planted shifts are measured nearly as large as they are, anatomy and coils are not taken for them."""

import numpy as np
import pytest
from scipy import ndimage

from pathosynth.checks import slice_steps
from pathosynth.data.findings import CheckInput
from pathosynth.data.labels import load_scheme
from pathosynth.data.phantom import brain_phantom

SCHEME = load_scheme("kcl8")
PHANTOM = brain_phantom(2)
LABELS = PHANTOM.array


@pytest.fixture(scope="module")
def smooth() -> np.ndarray:
    """Every tissue constant, a strong but smooth coil field, a little noise: nothing a slice did."""
    rng = np.random.default_rng(0)
    means = np.array([0.0, 0.35, 0.8, 0.4, 0.7, 0.15, 0.25, 0.2, 0.18], np.float32)
    coil = ndimage.gaussian_filter(rng.standard_normal(LABELS.shape), 25)
    return (means[LABELS] * np.exp(0.3 * coil / coil.std()) + 0.02 * rng.standard_normal(LABELS.shape)).astype(
        np.float32
    )


def measure(image: np.ndarray) -> float:
    return slice_steps.check(CheckInput(image, LABELS, SCHEME, PHANTOM.spacing_mm), slice_steps.Config()).value


def robust_range(image: np.ndarray) -> float:
    low, high = np.percentile(image[LABELS > 0], [0.5, 99.5])
    return float(high - low)


def test_anatomy_and_coil_field_make_no_steps(smooth: np.ndarray) -> None:
    assert measure(smooth) < 0.4


@pytest.mark.parametrize("axis", range(3))
def test_shading_that_fades_where_the_brain_begins_is_no_step(axis: int, smooth: np.ndarray) -> None:
    image, labels = np.moveaxis(smooth.copy(), axis, -1), np.moveaxis(LABELS.copy(), axis, -1)
    begin = labels.shape[-1] // 3
    labels[..., :begin] = 0
    image -= 0.3 * robust_range(smooth) * np.exp(-np.clip(np.arange(labels.shape[-1]) - begin, 0, None) / 3)
    case = CheckInput(np.moveaxis(image, -1, axis), np.moveaxis(labels, -1, axis), SCHEME, PHANTOM.spacing_mm)
    assert slice_steps.check(case, slice_steps.Config()).value < slice_steps.Config().shift_percent


@pytest.mark.parametrize("axis", range(3))
@pytest.mark.parametrize("percent", [-5.0, 2.0, 4.0])
def test_a_shifted_slice_is_measured_up_to_a_third_too_small(axis: int, percent: float, smooth: np.ndarray) -> None:
    shifted = np.moveaxis(smooth.copy(), axis, 0)
    shifted[smooth.shape[axis] // 2 + 10] += percent / 100 * robust_range(smooth)
    assert measure(np.moveaxis(shifted, 0, axis)) == pytest.approx(0.85 * abs(percent), rel=0.18)


def test_a_shift_that_stays_counts_half(smooth: np.ndarray) -> None:
    shifted = smooth.copy()
    shifted[:, :, 60:] += 0.04 * robust_range(smooth)
    assert measure(shifted) == pytest.approx(2.0, abs=0.4)


def test_a_gain_of_its_own_for_every_slice_is_caught(smooth: np.ndarray) -> None:
    scaled = smooth.copy()
    scaled *= 1 + 0.05 * np.random.default_rng(1).standard_normal(scaled.shape[2]).astype(np.float32)
    assert measure(scaled) > slice_steps.Config().shift_percent


def test_one_tissue_changing_alone_is_anatomy(smooth: np.ndarray) -> None:
    image = smooth.copy()
    image[:, :, 50][LABELS[:, :, 50] == 4] += 0.3
    assert measure(image) < slice_steps.Config().shift_percent


def test_steps_at_the_midline_are_left_out_along_left_right_only(smooth: np.ndarray) -> None:
    image = smooth.copy()
    image[LABELS.shape[0] // 2] += 0.1
    assert measure(image) < slice_steps.Config().shift_percent


def test_too_small_a_head_is_rejected_not_passed() -> None:
    labels = np.zeros((12, 12, 12), np.uint8)
    labels[4:8, 4:8, 4:8] = 1
    image = np.random.default_rng(0).random(labels.shape, dtype=np.float32)
    finding = slice_steps.check(CheckInput(image, labels, SCHEME, (1.0, 1.0, 1.0)), slice_steps.Config())
    assert not finding.passed
    assert np.isnan(finding.value)
