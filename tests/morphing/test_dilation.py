"""The dilation baseline against the written recipe."""

import numpy as np
import pytest
from head_phantoms import two_ventricles

from pathosynth.data.labels import load_scheme
from pathosynth.data.phantom import brain_phantom
from pathosynth.morphing import measure
from pathosynth.pathologies import dilation
from pathosynth.runs.config import build_config
from pathosynth.runs.errors import ConfigError, MorphError

KCL8 = load_scheme("kcl8")


@pytest.fixture(scope="module")
def brain():
    return brain_phantom(1, (72, 84, 76), 1.5)


def morph(brain, seed=0, **values):
    config = build_config(dilation.Config, values, "test")
    return dilation.morph(brain.array, KCL8, brain.spacing_mm, config, np.random.default_rng(seed))


def test_only_white_matter_is_eaten_and_nothing_moves(brain):
    morphed = morph(brain, iterations=6)
    changed = morphed.labels != brain.array
    assert morphed.displacement is None
    assert changed.sum() > 500
    assert set(np.unique(brain.array[changed])) == {1}
    assert set(np.unique(morphed.labels[changed])) == {2}


def test_k_means_finds_the_hemispheres_whatever_the_start():
    labels = two_ventricles()
    for seed in range(5):
        left, right = dilation.split_sides(labels == 2, np.random.default_rng(seed))
        np.testing.assert_array_equal(left[:30], (labels == 2)[:30])
        np.testing.assert_array_equal(right[30:], (labels == 2)[30:])
        assert not left[30:].any()
        assert not right[:30].any()


def test_sides_have_their_own_iterations(brain):
    before = {s: m.sum() for s, m in measure.side_masks(brain.array, KCL8, "ventricles").items()}
    morphed = morph(brain, iterations={"left": 4, "right": 8})
    after = {s: m.sum() for s, m in measure.side_masks(morphed.labels, KCL8, "ventricles").items()}
    assert after["right"] / before["right"] > 1.3 * after["left"] / before["left"]


def test_random_draws_are_seeded_and_stay_below_the_most(brain):
    reports = [morph(brain, seed).report for seed in (0, 0, 1, 2, 3)]
    assert reports[0] == reports[1]
    assert len({str(r["iterations"]) for r in reports}) > 1
    for report in reports:
        for side in ("left", "right"):
            assert 1 <= report["iterations"][side] < max(report["most_iterations"].values())


def test_the_nearest_volume_is_found(brain):
    volumes = {n: morph(brain, iterations=n).report["severity"]["ventricle_ml"] for n in (5, 6, 7)}
    assert morph(brain, ventricle_ml=volumes[6] + 0.1 * (volumes[7] - volumes[6])).report["iterations"]["left"] == 6


def test_what_cannot_be_met_or_contradicts_itself_is_refused(brain):
    with pytest.raises(MorphError, match="no nearer"):
        morph(brain, ventricle_ml=1.0)
    with pytest.raises(ConfigError, match="not both"):
        morph(brain, ventricle_ml=20.0, iterations=3)
