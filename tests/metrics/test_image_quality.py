"""Measures of one image against what was put into it."""

import numpy as np
import pytest
from scipy import ndimage

from pathosynth.data.labels import load_scheme
from pathosynth.metrics.image_quality import (
    RESOLUTION_MM,
    SPOT_MM,
    edgeless,
    measure,
    noise,
    offset,
    sharpness,
    step,
    unexplained,
)

SCHEME = load_scheme("kcl8")
SHAPE = (40, 44, 36)
WHITE, VENTRICLES, CSF, CORTEX = 1, 2, 4, 5


def nested() -> np.ndarray:
    """White matter with a ventricle inside cortex inside CSF: balls about one centre."""
    i, j, k = np.indices(SHAPE)
    far = np.sqrt((i - 20) ** 2 + (j - 22) ** 2 + (k - 18) ** 2)
    labels = np.zeros(SHAPE, np.uint8)
    for value, radius in ((CSF, 17), (CORTEX, 14.5), (WHITE, 12), (VENTRICLES, 5)):
        labels[far < radius] = value
    return labels


def painted(labels: np.ndarray, rng: np.random.Generator, sigma: float = 2.0) -> np.ndarray:
    means = np.array([0, 120, 200, 0, 180, 90, 0, 0, 0])
    return np.where(labels > 0, means[labels] + rng.normal(0, sigma, labels.shape), 0).astype(np.float32)


@pytest.mark.parametrize("sigma", [0.5, 3.0])
def test_noise_is_what_was_added_whatever_lies_below(sigma: float, rng: np.random.Generator) -> None:
    i, j, k = np.indices(SHAPE)
    smooth = 3.0 * i + 0.1 * j**2 + 10 * np.sin(k / 5) + 100.0 * (i > 20)  # sums of functions of one axis drop out
    found = noise(smooth + rng.normal(0, sigma, SHAPE), np.ones(SHAPE, bool))
    assert found == pytest.approx(sigma, rel=0.03)


def test_noise_of_an_image_without_any_is_zero() -> None:
    assert noise(np.ones(SHAPE), np.ones(SHAPE, bool)) == 0
    assert np.isnan(noise(np.ones(SHAPE), np.zeros(SHAPE, bool)))


def test_step_is_the_slope_and_noise_is_taken_off(rng: np.random.Generator) -> None:
    ramp = 2.0 * np.indices(SHAPE)[0]
    inside = np.ones(SHAPE, bool)
    expected = np.sqrt((2.0 / 0.5) ** 2 / 3)  # one of three axes has a slope of 2 per voxel of 0.5 mm
    assert step(ramp, inside, (0.5, 1.0, 1.0), 0.0) == pytest.approx(expected)
    noisy = ramp + rng.normal(0, 0.5, SHAPE)
    assert step(noisy, inside, (0.5, 1.0, 1.0), 0.5) == pytest.approx(expected, rel=0.02)


def test_unexplained_is_the_variance_within_labels(rng: np.random.Generator) -> None:
    dense = np.ones(SHAPE, np.uint8)
    dense[:20] = 2
    values = rng.normal(0, 1, SHAPE)
    image = values + 4.0 * (dense == 2)
    inside = [image[dense == value] for value in (1, 2)]
    within = sum(part.size * part.var() for part in inside)
    assert unexplained(image, dense) == pytest.approx(within / (image.size * image.var()))
    assert np.isnan(unexplained(np.ones(SHAPE), dense))


@pytest.mark.parametrize("move", [(0, 0, 0), (1, 0, 0), (0, -2, 0), (0, 0, 1)])
def test_offset_is_the_distance_the_labels_were_moved(move: tuple[int, int, int], rng: np.random.Generator) -> None:
    labels = nested()
    image = painted(labels, rng)
    moved = np.roll(labels, move, (0, 1, 2))
    assert offset(image, SCHEME.indices(moved)) == pytest.approx(np.linalg.norm(move), abs=0.15)


def test_unit_and_offset_of_intensities_drop_out(rng: np.random.Generator) -> None:
    labels = nested()
    image = painted(labels, rng)
    first, second = (measure(one, labels, SCHEME, (1.0, 1.0, 1.0)) for one in (image, image * 7 + 300))
    assert first.keys() == second.keys()
    for name, value in first.items():
        assert second[name] == pytest.approx(value, rel=1e-3, nan_ok=True), name


def test_each_measure_answers_to_its_defect(rng: np.random.Generator) -> None:
    labels = nested()
    image = painted(labels, rng)
    good = measure(image, labels, SCHEME, (1.0, 1.0, 1.0))
    inside = ndimage.gaussian_filter((labels > 0).astype(np.float32), 1.0)
    blurred = np.where(labels > 0, ndimage.gaussian_filter(image, 1.0) / np.maximum(inside, 0.02), 0)
    blurred = measure(blurred.astype(np.float32), labels, SCHEME, (1.0, 1.0, 1.0))
    assert blurred["sharpness"] < 0.8 * good["sharpness"]
    assert blurred["noise"] < 0.5 * good["noise"]
    louder = measure(painted(labels, rng, 4.0), labels, SCHEME, (1.0, 1.0, 1.0))
    assert louder["noise"] == pytest.approx(2 * good["noise"], rel=0.1)
    assert louder["cjv"] == pytest.approx(2 * good["cjv"], rel=0.1)
    wrong = labels.copy()
    wrong[26:31, 20:25, 16:21][wrong[26:31, 20:25, 16:21] == WHITE] = VENTRICLES
    spotted = measure(image, wrong, SCHEME, (1.0, 1.0, 1.0))
    assert spotted["misfit ventricular_csf"] > 3 * good["misfit ventricular_csf"]
    assert good["edgeless white_matter|ventricular_csf"] == 0
    assert spotted["edgeless white_matter|ventricular_csf"] > 50


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (0.5, 0.5, 0.5)])
def test_border_that_the_image_does_not_show_is_measured_in_mm2(spacing: tuple[float, ...]) -> None:
    labels = np.full(SHAPE, WHITE, np.uint8)
    labels[20:] = VENTRICLES
    image = np.zeros(SHAPE, np.float32)
    image[20:] = 1
    edge = spacing[0]
    assert edgeless(image, labels, SCHEME, spacing) == {"edgeless white_matter|ventricular_csf": 0}
    image[20:] = np.indices(SHAPE)[1][20:] >= 22  # half of the border is gone
    measured = edgeless(image, labels, SCHEME, spacing)["edgeless white_matter|ventricular_csf"]
    assert measured == pytest.approx(22 * 36 * edge**2, abs=1.5 * SPOT_MM * 36 * edge)  # where it ends is blurred


def test_border_of_labels_that_look_alike_is_not_looked_at(rng: np.random.Generator) -> None:
    labels = nested()
    image = np.where(labels == CORTEX, 180, painted(labels, rng)).astype(np.float32)  # as bright as CSF
    names = measure(image, labels, SCHEME, (1.0, 1.0, 1.0)).keys()
    assert "edgeless external_csf|cortical_grey_matter" not in names
    assert "edgeless white_matter|cortical_grey_matter" in names


def test_sharpness_is_the_share_of_what_labels_let_expect(rng: np.random.Generator) -> None:
    halves, columns = np.ones(SHAPE, np.uint8), np.ones(SHAPE, np.uint8)
    halves[20:] = 2
    columns[(np.indices(SHAPE) // 10).sum(axis=0) % 2 == 1] = 2
    for dense in (halves, columns):  # little and much border, of other contrast, and with noise
        image = ndimage.gaussian_filter(60.0 * dense, RESOLUTION_MM)
        assert sharpness(image, dense, (1.0, 1.0, 1.0), 0.0) == pytest.approx(1, abs=0.05)
        assert sharpness(0.1 * image, dense, (1.0, 1.0, 1.0), 0.0) == pytest.approx(1, abs=0.05)
        noisy = image + rng.normal(0, 0.5, SHAPE)
        assert sharpness(noisy, dense, (1.0, 1.0, 1.0), 0.5) == pytest.approx(1, abs=0.1)
    blurred = ndimage.gaussian_filter(60.0 * halves, 1.6)  # the slope of a blurred step is as its width ^ -1/2
    assert sharpness(blurred, halves, (1.0, 1.0, 1.0), 0.0) == pytest.approx(2**-0.5, abs=0.03)
    assert np.isnan(sharpness(np.ones(SHAPE, np.float32), SCHEME.indices(nested()), (1.0, 1.0, 1.0), 0.0))


def test_what_a_label_shares_with_its_neighbour_is_no_misfit(rng: np.random.Generator) -> None:
    labels = nested()
    image = painted(labels, rng)
    ventricles = labels == VENTRICLES
    rim = ventricles & ~ndimage.binary_erosion(ventricles)
    mixed = image.copy()
    mixed[rim] = np.median(image[labels == WHITE])
    assert measure(mixed, labels, SCHEME, (1.0, 1.0, 1.0))["misfit ventricular_csf"] < 0.05


def test_air_is_only_judged_where_there_is_some(rng: np.random.Generator) -> None:
    labels = nested()
    image = painted(labels, rng)
    assert np.isnan(measure(image, labels, SCHEME, (1.0, 1.0, 1.0))["efc"])
    quiet = np.where(labels > 0, image, rng.normal(0, 1, SHAPE)).astype(np.float32)
    ghosts = np.where(labels > 0, image, rng.normal(0, 20, SHAPE)).astype(np.float32)
    first, second = (measure(one, labels, SCHEME, (1.0, 1.0, 1.0)) for one in (quiet, ghosts))
    assert first["efc"] < second["efc"]
    assert first["fber"] - second["fber"] == pytest.approx(2 * np.log10(20), abs=0.05)
