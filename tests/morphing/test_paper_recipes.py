"""The first paper's hypoplasias and microcephaly against closed forms."""

import numpy as np
import pytest
import scipy.ndimage as ndi
import scipy.stats
from head_phantoms import centred_grid, ellipsoid

from pathosynth.data.labels import load_scheme, remap_labels
from pathosynth.data.nifti import read_labels
from pathosynth.data.phantom import brain_phantom
from pathosynth.morphing import edits, measure
from pathosynth.pathologies import paper_cerebellar_hypoplasia as cerebellar
from pathosynth.pathologies import paper_microcephaly as microcephaly
from pathosynth.pathologies import paper_pontocerebellar_hypoplasia as pontocerebellar
from pathosynth.runs.errors import InputError, MorphError

KCL8 = load_scheme("kcl8")
WHITE, VENTRICLE, CEREBELLUM, CSF, CORTEX, STEM = 1, 2, 3, 4, 5, 7
ONE_MM = (1.0, 1.0, 1.0)
RECIPES = (cerebellar, pontocerebellar, microcephaly)
SHRINKS = {
    cerebellar: ("cerebellum_ml", "transcerebellar_diameter_mm", "vermis_height_mm"),
    pontocerebellar: ("brainstem_ml", "cerebellum_ml", "transcerebellar_diameter_mm", "pons_ap_mm"),
    microcephaly: ("brain_ml",),
}
STRONG = {cerebellar: {"divisor": 1.6}, pontocerebellar: {"scale": 0.6}, microcephaly: {"divisor": 1.1}}


def morph(module, labels, scheme=KCL8, seed=0, **values):
    return module.morph(labels, scheme, ONE_MM, module.Config(**values), np.random.default_rng(seed))


def agrees_away_from_the_border(found, signed_distance, voxels=1.0):
    """Whether a mask is what lies inside (negative), where the border is further away than a sampling error."""
    clear = np.abs(signed_distance) > voxels
    return np.array_equal(found[clear], signed_distance[clear] < 0)


def ball(points, centre, radius):
    """Signed distance to a ball, negative inside."""
    return np.sqrt(sum((p - c) ** 2 for p, c in zip(points, centre, strict=True))) - radius


BALL, RADIUS, TILT = (0.0, -18.0, 0.0), 16.0, (0.15, 0.4)


@pytest.fixture(scope="module")
def points():
    return centred_grid((61, 81, 61), ONE_MM)


@pytest.fixture(scope="module")
def balls(points):
    """A cerebellum and a brainstem, two balls that touch at one point, in a bath of external CSF."""
    labels = np.where(ball(points, (0, 0, 0), 39) < 0, CSF, 0).astype(np.uint8)
    labels[ball(points, (0, 14, 0), 16.5) < 0] = STEM
    labels[ball(points, BALL, RADIUS) < 0] = CEREBELLUM
    return labels


@pytest.fixture(scope="module")
def tilted(points):
    """A tilted brainstem of elliptic section, fourth ventricle and cerebellum behind it, a ventricle far above."""
    z = points[2]
    labels = np.where(ball(points, (0, 0, 0), 39) < 0, CSF, 0).astype(np.uint8)
    labels[ball(points, (0, -20, -4), 12) < 0] = CEREBELLUM
    labels[ellipsoid(points, (0, -10, -4), (3, 4, 6))] = VENTRICLE
    labels[(section(points, 1.0) < 1) & (np.abs(z) <= 20)] = STEM
    labels[ball(points, (0, -4, 31), 4) < 0] = VENTRICLE
    return labels


def section(points, scale):
    """Distance from the tilted brainstem's axis in units of its half-widths 9 and 7."""
    x, y, z = points
    return np.hypot((x - TILT[0] * z) / (9 * scale), (y - TILT[1] * z) / (7 * scale))


@pytest.fixture(scope="module")
def brain():
    return brain_phantom(3, (64, 76, 68), 1.6).array


def in_scheme(brain, name):
    """The phantom in another scheme; with left and right, and a fourth ventricle, where that has them."""
    if name == "kcl8":
        return brain
    if name in ("feta", "drawem9"):
        feta = remap_labels(brain, KCL8.to["feta"], others="error")
        to_drawem9 = {1: 1, 2: 2, 3: 3, 4: 5, 5: 6, 6: 7, 7: 8}
        return feta if name == "feta" else remap_labels(feta, to_drawem9, others="error")
    right = np.arange(brain.shape[0])[:, None, None] >= brain.shape[0] // 2
    left_values = {1: 2, 2: 4, 3: 8, 4: 24, 5: 3, 6: 10, 7: 16, 8: 2}
    right_values = left_values | {1: 41, 2: 43, 3: 47, 5: 42, 6: 49, 8: 41}
    out = np.where(
        right, remap_labels(brain, right_values, others="error"), remap_labels(brain, left_values, others="error")
    )
    out[(brain == VENTRICLE) & ndi.binary_dilation(brain == CEREBELLUM, iterations=3)] = 15
    return out


@pytest.mark.parametrize("forward", [0.0, 3.0])
@pytest.mark.parametrize("divisor", [1.26, 2.0])
def test_a_ball_becomes_the_ball_divided(points, balls, divisor, forward):
    after = morph(cerebellar, balls, divisor=divisor, forward_voxels=forward).labels
    fixed = np.array([0.0, BALL[1] + RADIUS + forward, 0.0])
    smaller = ball(points, fixed + (np.array(BALL) - fixed) / divisor, RADIUS / divisor)
    assert agrees_away_from_the_border(after == CEREBELLUM, smaller)
    fold = (after == CEREBELLUM).sum() / (balls == CEREBELLUM).sum()
    assert fold == pytest.approx(divisor**-3, rel=0.03)
    assert measure.contact_faces(after == CEREBELLUM, after == STEM) > 0


def test_what_the_cerebellum_frees_is_external_csf_and_nothing_else_changes(brain):
    after = morph(cerebellar, brain, divisor=1.5).labels
    freed = (brain == CEREBELLUM) & (after != CEREBELLUM)
    taken = (brain != CEREBELLUM) & (after == CEREBELLUM)
    assert freed.sum() > 300
    assert np.all(after[freed] == CSF)
    np.testing.assert_array_equal(after[~freed & ~taken], brain[~freed & ~taken])
    assert taken.sum() < 0.1 * (brain == STEM).sum()


def test_voxels_at_the_faces_of_the_array_are_sampled_too():
    full = np.full((10, 10, 10), CEREBELLUM, np.uint8)
    fixed = np.full(3, 2.0)
    found = edits.resampled(full, 1.5 * np.eye(3), fixed)
    source = np.floor(fixed[0] + 1.5 * (np.arange(10) - fixed[0]) + 0.5)
    inside = (source >= 0) & (source <= 9)
    np.testing.assert_array_equal(found > 0, inside[:, None, None] & inside[:, None] & inside)


def test_contact_point_is_the_middle_of_the_shared_face_or_of_the_nearest_one():
    first, second = np.zeros((20, 20, 20), bool), np.zeros((20, 20, 20), bool)
    first[2:9, 3:8, 4:11] = True
    second[4:7, 8:12, 5:8] = True
    np.testing.assert_allclose(edits.contact_point(first, second), (5, 7, 6))
    np.testing.assert_allclose(edits.contact_point(first, np.roll(second, 4, axis=1)), (5, 7, 6))


@pytest.mark.parametrize("scale", [0.8, 0.55])
def test_a_tilted_brainstem_gets_thinner_and_keeps_height_tilt_and_place(points, tilted, scale):
    stem = tilted == STEM
    thin = pontocerebellar.thinned(tilted, stem, np.zeros_like(stem), scale, CSF)
    after = thin == STEM
    np.testing.assert_array_equal(thin == CSF, (tilted == CSF) | (stem & ~after))
    inside = np.abs(points[2]) <= 20
    in_plane = (section(points, scale) - 1) * 7 * scale
    assert agrees_away_from_the_border(after[inside], in_plane[inside])
    assert not after[~inside].any()
    assert after.sum() / stem.sum() == pytest.approx(scale**2, rel=0.04)
    for slice_number in (12, 30, 48):
        before_xy, after_xy = (ndi.center_of_mass(mask[:, :, slice_number]) for mask in (stem, after))
        np.testing.assert_allclose(after_xy, before_xy, atol=0.6)


def test_slopes_are_those_of_the_axis(tilted):
    np.testing.assert_allclose(pontocerebellar.axis_slopes(tilted == STEM), TILT, atol=0.02)
    flat = np.zeros((9, 9, 9), bool)
    flat[2:5, 2:5, 4] = True
    assert pontocerebellar.axis_slopes(flat) == (0.0, 0.0)


def test_only_the_hindbrain_changes_and_freed_space_is_external_csf(tilted):
    after = morph(pontocerebellar, tilted, scale=0.6).labels
    changed = after != tilted
    hindbrain = np.isin(tilted, (VENTRICLE, CEREBELLUM, STEM))
    assert changed[hindbrain].sum() > 3000
    assert np.all(after[changed & ~hindbrain] == CEREBELLUM)
    assert np.isin(after[changed], (VENTRICLE, CEREBELLUM, STEM, CSF)).all()
    above = np.s_[:, :, 55:]
    np.testing.assert_array_equal(after[above], tilted[above], "a ventricle far from the hindbrain has changed")
    assert 0 < (after == CEREBELLUM).sum() < 0.35 * (tilted == CEREBELLUM).sum()


def test_the_fourth_ventricle_lies_within_five_steps_or_is_named(tilted, brain):
    hindbrain = np.isin(tilted, (CEREBELLUM, STEM))
    steps = ndi.distance_transform_cdt(~hindbrain, metric="taxicab")
    found = pontocerebellar.fourth_ventricle(tilted, KCL8, 5)
    np.testing.assert_array_equal(found, (tilted == VENTRICLE) & (steps <= 5))
    named = in_scheme(brain, "synthseg")
    np.testing.assert_array_equal(pontocerebellar.fourth_ventricle(named, load_scheme("synthseg"), 5), named == 15)


def test_the_cerebellum_grows_by_the_quantile_of_the_gaussian_and_only_into_freed_space():
    labels = np.full((50, 60, 50), CSF, np.uint8)
    labels[:, :30] = CEREBELLUM
    freed = labels == CSF
    freed[:, :, :25] = False
    grown = pontocerebellar.regrown(labels, labels == CEREBELLUM, freed, pontocerebellar.Config())
    # The border lies between voxels 29 and 30: voxel 30 + k is k + 0.5 away from it.
    depth = int(np.floor(6.0 * scipy.stats.norm.ppf(0.7) + 0.5))
    expected = labels.copy()
    expected[:, 30 : 30 + depth, 25:] = CEREBELLUM
    np.testing.assert_array_equal(grown, expected)


def test_a_smaller_brain_in_the_same_outline(points):
    radii = {CSF: (28, 36, 27), CORTEX: (23, 30, 22), WHITE: (19, 26, 18), VENTRICLE: (6, 12, 5)}
    labels = np.zeros(points[0].shape, np.uint8)
    for value, lengths in radii.items():
        labels[ellipsoid(points, (0, 0, 0), lengths)] = value
    after = morph(microcephaly, labels, divisor=1.3)
    np.testing.assert_array_equal(after.labels > 0, labels > 0)
    healthy = microcephaly.severity(labels, KCL8, ONE_MM)
    assert all(after.report["severity"][name] == healthy[name] for name in ("intracranial_ml", "head_circumference_mm"))
    expected = (labels > 0) * np.uint8(CSF)
    for value in (CORTEX, WHITE, VENTRICLE):
        expected[ellipsoid([1.3 * p for p in points], (0, 0, 0), radii[value])] = value
    assert (after.labels != expected).mean() < 0.01
    tissue_fold = np.isin(after.labels, (CORTEX, WHITE)).sum() / np.isin(labels, (CORTEX, WHITE)).sum()
    assert tissue_fold == pytest.approx(1.3**-3, rel=0.01)
    assert after.report["severity"]["brain_ml"] == pytest.approx(np.isin(after.labels, (CORTEX, WHITE)).sum() / 1000)


def test_a_dent_in_the_skull_stays_and_what_lies_outside_is_left_alone(brain):
    scheme, labels = load_scheme("drawem9"), in_scheme(brain, "drawem9")
    inside = labels > 0
    labels = np.where(ndi.binary_dilation(inside, iterations=2) & ~inside, 4, labels).astype(np.uint8)
    labels[: labels.shape[0] // 2, labels.shape[1] // 2 :] = 0
    after = morph(microcephaly, labels, scheme, divisor=1.2).labels
    outside = np.isin(labels, (0, 4))
    np.testing.assert_array_equal(after[outside], labels[outside])
    assert not np.isin(after[~outside], (0, 4)).any()


@pytest.mark.parametrize("module", RECIPES)
def test_nothing_changes_at_the_healthy_end(module, brain):
    np.testing.assert_array_equal(morph(module, brain, **dict.fromkeys(STRONG[module], 1.0)).labels, brain)


@pytest.mark.parametrize("name", ["kcl8", "feta", "drawem9", "aseg", "synthseg"])
@pytest.mark.parametrize("module", RECIPES)
def test_every_scheme_keeps_its_values_on_their_side(module, name, brain):
    scheme, labels = load_scheme(name), in_scheme(brain, name)
    morphed = morph(module, labels, scheme, **STRONG[module])
    assert morphed.labels.dtype == labels.dtype
    assert morphed.report["warnings"] == []
    np.testing.assert_array_equal(np.unique(morphed.labels), np.unique(labels))
    np.testing.assert_array_equal(morphed.labels > 0, labels > 0)
    before = module.severity(labels, scheme, ONE_MM)
    assert all(morphed.report["severity"][name] < 0.95 * before[name] for name in SHRINKS[module])
    for value in scheme.values:
        if scheme[value].partner is not None:
            x = np.argwhere(morphed.labels == value)[:, 0]
            is_left = scheme[value].name.startswith("left")
            middle = labels.shape[0] // 2
            assert np.all(x <= middle) if is_left else np.all(x >= middle - 1)


@pytest.mark.parametrize(
    ("draw", "config", "low", "high"),
    [
        (cerebellar.draw_divisor, cerebellar.Config, 1.0, 2.0),
        (pontocerebellar.draw_scale, pontocerebellar.Config, 0.5, 1.0),
        (microcephaly.draw_divisor, microcephaly.Config, 1.0, 1.1),
    ],
)
def test_draws_are_uniform_between_the_stated_limits(draw, config, low, high):
    seeds = range(3000)  # the first numbers of seeds 0-299 alone are an unlucky sample of any uniform draw (p = 0.004)
    drawn = np.array([draw(config(), np.random.default_rng(seed)) for seed in seeds])
    assert low <= drawn.min() < drawn.max() <= high
    assert scipy.stats.kstest(drawn, "uniform", args=(low, high - low)).pvalue > 0.001
    first = np.array([np.random.default_rng(seed).random() for seed in seeds])
    np.testing.assert_allclose(drawn, low + (high - low) * first, rtol=1e-12)


@pytest.mark.parametrize("module", RECIPES)
def test_the_seed_decides_and_is_told(module, brain):
    first, again, other = (morph(module, brain, seed=seed) for seed in (4, 4, 5))
    np.testing.assert_array_equal(first.labels, again.labels)
    assert first.report == again.report
    assert first.report["drawn"] != other.report["drawn"]
    assert (first.labels != other.labels).any()
    name = next(iter(STRONG[module]))
    replayed = morph(module, brain, seed=99, **{name: first.report["drawn"][name]})
    np.testing.assert_array_equal(replayed.labels, first.labels)


@pytest.mark.parametrize("module", RECIPES)
def test_a_map_without_external_csf_is_refused(module, brain):
    with pytest.raises(InputError, match="external_csf"):
        morph(module, np.where(brain == CSF, WHITE, brain).astype(np.uint8))


def test_a_structure_of_a_few_voxels_is_not_made_to_vanish():
    labels = np.full((20, 20, 20), CSF, np.uint8)
    labels[8:11, 12:15, 8:11] = STEM
    labels[9, 2, 9] = CEREBELLUM
    with pytest.raises(MorphError, match="smaller divisor"):
        morph(cerebellar, labels, divisor=2.0)


@pytest.mark.real_data
@pytest.mark.slow
def test_healthy_fetal_atlases(real_data):
    """Half a cerebellum still touches the brainstem, which has no more pieces than before, in every atlas."""
    paths = sorted((real_data / "fetal_healthy").glob("*_dseg.nii.gz"))
    assert paths
    for path in paths:
        labels = read_labels(path, KCL8).array
        faces = measure.contact_faces(labels == CEREBELLUM, labels == STEM)
        half = morph(cerebellar, labels, divisor=2 ** (1 / 3)).labels
        assert (half == CEREBELLUM).sum() == pytest.approx((labels == CEREBELLUM).sum() / 2, rel=0.05), path.name
        assert measure.contact_faces(half == CEREBELLUM, half == STEM) > 0.7 * faces, path.name
        assert measure.component_counts(half)[STEM] <= measure.component_counts(labels)[STEM], path.name
