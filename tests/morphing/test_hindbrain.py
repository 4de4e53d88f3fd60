"""Small cerebella of every pattern and thin pontes, measured by counting voxels."""

import numpy as np
import pytest
import scipy.ndimage as ndi

from pathosynth.data.labels import load_scheme
from pathosynth.data.norms import load_norm
from pathosynth.data.phantom import brain_phantom
from pathosynth.pathologies import cerebellar_hypoplasia, pontocerebellar_hypoplasia
from pathosynth.runs.config import build_config

KCL8 = load_scheme("kcl8")
VOXEL_ML = 1.6**3 / 1000


@pytest.fixture(scope="module")
def brain():
    return brain_phantom(3, (64, 76, 68), 1.6)


def morph(brain, module=cerebellar_hypoplasia, **values):
    config = build_config(module.Config, values, "test")
    return module.morph(brain.array, KCL8, brain.spacing_mm, config, np.random.default_rng(0))


def per_sagittal_slice(labels, value=3):
    return (labels == value).sum(axis=(1, 2)).astype(float)


def middle(brain):
    """First-axis index of the cerebellum's own midsagittal plane."""
    profile = per_sagittal_slice(brain.array)
    return profile @ np.arange(len(profile)) / profile.sum()


@pytest.mark.parametrize(
    ("values", "expected_ml"),
    [
        ({"cerebellum_ml": 5.0}, 5.0),
        ({"cerebellum_fold": 0.6}, None),
        ({"cerebellum_z": -3.0, "age_weeks": 30.0}, None),
    ],
)
def test_volumes_are_met(brain, values, expected_ml):
    now = (brain.array == 3).sum() * VOXEL_ML
    if "cerebellum_fold" in values:
        expected_ml = 0.6 * now
    if "cerebellum_z" in values:
        norm = load_norm("cerebellum_ml")
        expected_ml = now * (norm.mean(30.0) - 3.0 * norm.sd(30.0)) / norm.mean(30.0)
    morphed = morph(brain, **values)
    assert (morphed.labels == 3).sum() * VOXEL_ML == pytest.approx(expected_ml, rel=0.005)


@pytest.mark.parametrize("wanted", [35.0, 32.0])
def test_the_transcerebellar_diameter_is_met_and_is_the_extent_in_voxels(brain, wanted):
    morphed = morph(brain, transcerebellar_diameter_mm=wanted)
    assert morphed.report["targets"][0]["reached"] == pytest.approx(wanted, abs=0.3)
    counted = np.ptp(np.flatnonzero(per_sagittal_slice(morphed.labels))) + 1
    assert counted * 1.6 == pytest.approx(wanted, abs=2.2 * 1.6), "round ends count less than a layer"


def test_the_norm_decides_what_a_z_score_of_the_diameter_means(brain):
    """Mean 0.0051 t^2 + 1.5165 t - 14.584, standard deviation 0.0343 t + 0.415 (Luis 2025)."""
    exact = 0.0051 * 30**2 + 1.5165 * 30 - 14.584 - 1.5 * (0.0343 * 30 + 0.415)
    (target,) = morph(brain, transcerebellar_diameter_z=-1.5, age_weeks=30.0).report["targets"]
    assert target["asked"] == pytest.approx(exact, abs=0.01)
    assert target["reached"] == pytest.approx(exact, abs=0.3)


def test_a_global_pattern_shrinks_both_sides_alike(brain):
    after = per_sagittal_slice(morph(brain, cerebellum_fold=0.6).labels)
    before, at = per_sagittal_slice(brain.array), round(middle(brain))
    for half in (slice(None, at), slice(at, None)):
        assert after[half].sum() / before[half].sum() == pytest.approx(0.6, abs=0.06)


def test_a_vermian_pattern_shrinks_the_vermis_more_than_the_hemispheres(brain):
    morphed = morph(brain, cerebellum_fold=0.75, pattern="vermian")
    assert (morphed.labels == 3).sum() == pytest.approx(0.75 * (brain.array == 3).sum(), abs=2)
    vermis, hemispheres = squeezes(brain, morphed)
    assert vermis > 1.3
    assert hemispheres == pytest.approx(1.0, abs=0.12)


def squeezes(brain, morphed):
    """How much tissue of vermis and hemispheres is squeezed: mean determinant of the gradient of where voxels look."""
    gradient = np.stack([np.stack(np.gradient(axis)) for axis in morphed.displacement.astype(float)])
    squeeze = np.linalg.det(np.moveaxis(gradient, (0, 1), (-2, -1)) + np.eye(3))
    inside = ndi.binary_erosion(morphed.labels == 3)
    off_mm = np.abs(np.arange(64)[:, None, None] + morphed.displacement[0] - middle(brain)) * 1.6
    return squeeze[inside & (off_mm < 2.5)].mean(), squeeze[inside & (off_mm > 9.0)].mean()


@pytest.mark.parametrize(("side", "other"), [("left", "right"), ("right", "left")])
def test_one_hemisphere_shrinks_and_the_other_keeps_its_volume(brain, side, other):
    before = cerebellar_hypoplasia.severity(brain.array, KCL8, brain.spacing_mm)
    morphed = morph(brain, cerebellum_fold=0.5, pattern=side)
    assert (morphed.labels == 3).sum() * VOXEL_ML == pytest.approx(
        before[f"cerebellum_{other}_ml"] + 0.5 * before[f"cerebellum_{side}_ml"], rel=0.005
    )
    centre, step = middle(brain), -1 if side == "left" else 1
    lateral = np.arange(64) * step > centre * step + 5.0
    kept = np.arange(64) * step < centre * step - 5.0
    ratio = per_sagittal_slice(morphed.labels) / np.maximum(per_sagittal_slice(brain.array), 1)
    seen = per_sagittal_slice(brain.array) > 20
    assert ratio[lateral & seen].mean() < 0.6
    assert ratio[kept & seen].mean() == pytest.approx(1.0, abs=0.06)


def test_a_small_cerebellum_stays_with_its_brainstem(brain):
    morphed = morph(brain, cerebellum_fold=0.5)
    centres = [np.argwhere(labels == 7).mean(axis=0) for labels in (brain.array, morphed.labels)]
    assert np.linalg.norm(centres[0] - centres[1]) * 1.6 < 0.5, "the brainstem is the anchor"
    gaps = [
        np.linalg.norm(np.argwhere(labels == 3).mean(axis=0) - np.argwhere(labels == 7).mean(axis=0))
        for labels in (brain.array, morphed.labels)
    ]
    assert gaps[1] < gaps[0], "it shrinks towards it"


@pytest.mark.parametrize("values", [{"pons_ap_mm": 11.5}, {"pons_ap_fold": 0.8}])
def test_pons_and_cerebellum_are_both_met(brain, values):
    before = pontocerebellar_hypoplasia.severity(brain.array, KCL8, brain.spacing_mm)
    wanted = values.get("pons_ap_mm", 0.8 * before["pons_ap_mm"])
    morphed = morph(brain, pontocerebellar_hypoplasia, cerebellum_fold=0.7, **values)
    after = pontocerebellar_hypoplasia.severity(morphed.labels, KCL8, brain.spacing_mm)
    assert after["pons_ap_mm"] == pytest.approx(wanted, abs=0.3)
    assert (morphed.labels == 3).sum() == pytest.approx(0.7 * (brain.array == 3).sum(), rel=0.005)
    assert before["brainstem_ml"] * 0.5 < after["brainstem_ml"] < before["brainstem_ml"]


def test_two_lengths_at_once(brain):
    values = {"transcerebellar_diameter_mm": 33.0, "pons_ap_mm": 11.7}
    morphed = morph(brain, pontocerebellar_hypoplasia, **values)
    reached = {target["measure"]: target["reached"] for target in morphed.report["targets"]}
    assert reached == pytest.approx(values, abs=0.3)


def test_hemispheres_shrink_more_than_the_vermis_in_pontocerebellar_hypoplasia(brain):
    spared, alike = (
        squeezes(brain, morph(brain, pontocerebellar_hypoplasia, cerebellum_fold=0.6, pons_ap_fold=0.9, vermis=vermis))
        for vermis in (0.2, 1.0)
    )
    assert spared[0] < 0.75 * spared[1]
    assert alike[0] == pytest.approx(alike[1], rel=0.15)
