"""Intensity: bands and order of tissues with known medians."""

import json

import numpy as np
import pytest

from pathosynth.checks import intensity
from pathosynth.data.findings import CheckInput
from pathosynth.data.labels import load_scheme
from pathosynth.data.pairs import Pair
from pathosynth.runs.errors import InputError

SCHEME = load_scheme("kcl8")
SPACING = (1.0, 1.0, 1.0)


def stripes(**means: float) -> tuple[np.ndarray, np.ndarray]:
    """Equal stripes of all eight tissues, uniform within +-0.01 of their mean; labels 2 and 6 span the range 0..1."""
    names = [label.name for label in SCHEME.labels]
    default = dict(zip(names, [0.4, 1.0, 0.5, 0.9, 0.2, 0.0, 0.3, 0.35], strict=True)) | means
    labels = np.repeat(np.arange(1, 9, dtype=np.uint8), 10)[:, None, None] * np.ones((1, 20, 20), np.uint8)
    centre = np.array([0.0, *(default[name] for name in names)], np.float32)
    wobble = np.random.default_rng(0).uniform(-0.01, 0.01, labels.shape).astype(np.float32)
    return centre[labels] + wobble, labels


def pair(image: np.ndarray, labels: np.ndarray, case: str = "a") -> Pair:
    return Pair(case, case, labels, image, SPACING)


def value(image: np.ndarray, labels: np.ndarray, bands: dict[str, tuple[float, float]] | None) -> float:
    case = CheckInput(image, labels, SCHEME, SPACING, bands=bands)
    return intensity.check(case, intensity.Config(widen=0.5, margin=0.06)).value


def test_bands_are_the_extreme_medians_and_survive_json() -> None:
    pairs = [pair(*stripes(white_matter=mean)) for mean in (0.4, 0.5, 0.44)]
    bands = intensity.learn_bands(pairs, SCHEME)
    assert bands["white_matter"] == pytest.approx((0.4, 0.5), abs=0.02)
    assert bands["cerebellum"] == pytest.approx((0.5, 0.5), abs=0.02)
    assert {name: tuple(band) for name, band in json.loads(json.dumps(bands)).items()} == bands


def test_excess_is_the_distance_beyond_the_widened_band() -> None:
    bands = {"white_matter": (0.4, 0.5)}
    # Allowed: 0.4 - 0.06 - 0.05 = 0.29 to 0.61.
    assert value(*stripes(white_matter=0.7), bands) == pytest.approx(0.09, abs=0.02)
    assert value(*stripes(white_matter=0.25), bands) == pytest.approx(0.04, abs=0.02)
    assert value(*stripes(white_matter=0.58), bands) <= 0


def test_worst_tissue_decides_and_is_named() -> None:
    image, labels = stripes(cerebellum=0.8)
    bands = intensity.learn_bands([pair(*stripes())], SCHEME)
    finding = intensity.check(CheckInput(image, labels, SCHEME, SPACING, bands=bands), intensity.Config())
    assert not finding.passed
    assert "cerebellum" in finding.detail


def test_tissues_without_band_are_not_judged_but_none_at_all_fails() -> None:
    image, labels = stripes(cerebellum=0.8)
    assert value(image, labels, {"white_matter": (0.4, 0.4)}) <= 0
    assert np.isnan(value(image, labels, {"unknown_structure": (0.0, 1.0)}))


@pytest.mark.parametrize("sign", [1, -1])
def test_without_bands_fluid_must_stand_out_brighter_or_darker(sign: int) -> None:
    image, labels = stripes()
    assert value(sign * image, labels, None) < 0
    blurred, labels = stripes(ventricular_csf=0.3, external_csf=0.3, cerebellum=1.0)
    assert value(sign * blurred, labels, None) > 0


def test_learning_from_nothing_is_refused() -> None:
    with pytest.raises(InputError, match="none"):
        intensity.learn_bands([], SCHEME)
