"""The drawn images have the statistics their settings say."""

import json
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from pathosynth.data.labels import load_scheme
from pathosynth.data.pairs import Pair
from pathosynth.data.phantom import brain_phantom
from pathosynth.data.requests import Request
from pathosynth.image_generators import gaussian_mixture
from pathosynth.runs.errors import ConfigError, InputError

SCHEME = load_scheme("kcl8")
PHANTOM = brain_phantom(0)
LABELS = np.ascontiguousarray(PHANTOM.array[20:76, 30:82, 26:78])
"""The middle of a head: every label, a little background; small, because many images are drawn."""
PLAIN = {"bias": 0, "blur_mm": 0, "noise": 0, "subclasses": 1}


def render(seed: int = 0, labels: np.ndarray = LABELS, **settings: object) -> np.ndarray:
    config = gaussian_mixture.Config.model_validate(settings)
    return gaussian_mixture.generate(config, [Request(labels, SCHEME, (1.2, 1.2, 1.2))], [seed])[0]


def table(tmp_path: Path, within: float = 0.0, between: float = 0.0) -> str:
    path = tmp_path / "contrast.json"
    entries = {label.name: {"mean": 0.1 * label.value, "between": between, "within": within} for label in SCHEME.labels}
    path.write_text(json.dumps(entries), encoding="utf-8")
    return str(path)


def test_without_spread_and_faults_every_label_has_its_mean(tmp_path: Path) -> None:
    image = render(contrast=table(tmp_path), **PLAIN)
    np.testing.assert_allclose(image, 0.1 * LABELS, atol=1e-6)


def test_noise_has_the_stated_standard_deviation(tmp_path: Path) -> None:
    image = render(contrast=table(tmp_path), **(PLAIN | {"noise": 0.05}))
    assert (image - 0.1 * LABELS)[LABELS > 0].std() == pytest.approx(0.05, rel=0.01)


def test_texture_and_subclasses_share_the_spread_within_a_tissue(tmp_path: Path) -> None:
    within = 0.1
    only_texture = render(contrast=table(tmp_path, within), **(PLAIN | {"subclass_share": 0.0}))
    assert only_texture[LABELS == 1].std() == pytest.approx(within, rel=0.1)
    settings = PLAIN | {"subclass_share": 1.0, "subclasses": 16, "subclass_size_mm": 4.0}
    spreads = [render(seed, contrast=table(tmp_path, within), **settings)[LABELS == 1].std() for seed in range(12)]
    assert np.mean(spreads) == pytest.approx(within, rel=0.15)


def test_subclasses_are_as_many_as_asked_and_lie_in_patches(tmp_path: Path) -> None:
    settings = PLAIN | {"subclasses": 4, "subclass_share": 1.0}
    image = render(contrast=table(tmp_path, 0.1), **settings)
    inside = image[LABELS == 1]
    assert len(np.unique(np.round(inside, 5))) == 4
    white = ndimage.binary_erosion(LABELS == 1)
    assert (image[1:] == image[:-1])[white[1:] & white[:-1]].mean() > 0.6


def test_bias_is_smooth_and_as_strong_as_stated(tmp_path: Path) -> None:
    ratios = [render(s, contrast=table(tmp_path), **(PLAIN | {"bias": 0.2}))[LABELS == 1] / 0.1 for s in range(20)]
    assert np.std(np.log(np.concatenate(ratios))) == pytest.approx(0.2, rel=0.3)
    image = render(contrast=table(tmp_path), **(PLAIN | {"bias": 0.2})) / np.maximum(0.1 * LABELS, 0.1)
    steps = np.abs(np.diff(image, axis=0))[(LABELS[1:] > 0) & (LABELS[:-1] > 0)]
    assert steps.max() < 0.05


def test_blur_does_not_darken_the_rim_of_the_head(tmp_path: Path) -> None:
    one_label = np.where(LABELS > 0, 4, 0).astype(np.uint8)
    image = render(labels=one_label, contrast=table(tmp_path), **(PLAIN | {"blur_mm": 4.0}))
    np.testing.assert_allclose(image[LABELS > 0], 0.4, atol=1e-4)


def test_blur_has_the_stated_width(tmp_path: Path) -> None:
    # Two half spaces: the edge becomes an error function, whose steepest slope is height / (sigma sqrt(2 pi)).
    labels = np.full((60, 20, 20), 2, np.uint8)
    labels[30:] = 6
    image = render(labels=labels, contrast=table(tmp_path), **(PLAIN | {"blur_mm": 6.0}))
    sigma = 6.0 / 2.3548 / 1.2
    slope = np.diff(image[:, 10, 10]).max()
    assert slope == pytest.approx(0.4 / (sigma * np.sqrt(2 * np.pi)), rel=0.03)


def test_thick_slices_smear_one_axis_only(tmp_path: Path) -> None:
    settings = PLAIN | {"subclass_share": 0.0, "texture_size_mm": 0.1}
    thin = render(3, contrast=table(tmp_path, 0.1), **settings)
    thick = render(3, contrast=table(tmp_path, 0.1), **settings, slice_thickness_mm=6.0)
    white = ndimage.binary_erosion(LABELS == 1, iterations=3)

    def alike(image: np.ndarray, axis: int) -> float:
        a, b, inside = (np.moveaxis(x, axis, 0) for x in (image, image, white))
        both = inside[1:] & inside[:-1]
        return float(np.corrcoef(a[1:][both], b[:-1][both])[0, 1])

    after = sorted(alike(thick, axis) for axis in range(3))
    assert max(alike(thin, axis) for axis in range(3)) < 0.15
    assert after[1] < 0.35
    assert after[2] > 0.8


def test_random_contrast_ignores_the_field_s_order() -> None:
    brighter = [
        np.median(image[LABELS == 2]) > np.median(image[LABELS == 1])
        for image in (render(seed, contrast="random") for seed in range(20))
    ]
    assert 3 <= sum(brighter) <= 17


def test_t2w_fetal_has_bright_fluid_and_dark_cortex() -> None:
    for seed in range(4):
        image = render(seed)
        fluid, white, cortex = (np.median(image[value == LABELS]) for value in (2, 1, 5))
        assert fluid > white + 0.15
        assert white > cortex + 0.03


def test_measured_contrast_gives_back_what_was_drawn(tmp_path: Path) -> None:
    pairs = []
    for seed in range(40):
        image = render(seed, contrast=table(tmp_path, within=0.05, between=0.03), **(PLAIN | {"subclass_share": 0.0}))
        pairs.append(Pair(str(seed), str(seed), LABELS, image, PHANTOM.spacing_mm))
    measured = gaussian_mixture.measure_contrast(pairs, SCHEME)
    assert set(measured) == {label.name for label in SCHEME.labels}
    for label in SCHEME.labels:
        assert measured[label.name]["mean"] == pytest.approx(0.1 * label.value, abs=0.02)
        assert measured[label.name]["between"] == pytest.approx(0.03, rel=0.4)
        assert measured[label.name]["within"] == pytest.approx(0.05, rel=0.2)


def test_bad_input_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="JSON"):
        render(contrast=str(tmp_path / "missing.json"))
    (tmp_path / "short.json").write_text('{"white_matter": {"mean": 0.3}}', encoding="utf-8")
    with pytest.raises(ConfigError, match="no entry"):
        render(contrast=str(tmp_path / "short.json"))
    with pytest.raises(InputError, match="empty"):
        render(labels=np.zeros_like(LABELS))
    with pytest.raises(InputError, match="not in scheme"):
        render(labels=np.full_like(LABELS, 9))
    with pytest.raises(InputError, match="none"):
        gaussian_mixture.measure_contrast([], SCHEME)
