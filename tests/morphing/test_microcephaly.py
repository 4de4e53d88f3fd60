"""Small brains: concentric spheres in closed form, and circumferences by a second ruler."""

import numpy as np
import pytest
import scipy.ndimage as ndi
from head_phantoms import centred_grid, ellipsoid, spheres, two_ventricles

from pathosynth.data.labels import load_scheme
from pathosynth.data.norms import load_norm
from pathosynth.morphing import measure
from pathosynth.pathologies import microcephaly
from pathosynth.runs.config import build_config
from pathosynth.runs.errors import InputError

KCL8 = load_scheme("kcl8")
ONE_MM = (1.0, 1.0, 1.0)
RADII = (8.0, 16.0, 19.0, 24.0)


def morph(labels, spacing=ONE_MM, **values):
    config = build_config(microcephaly.Config, values, "test")
    return microcephaly.morph(labels, KCL8, spacing, config, np.random.default_rng(0))


def radii_of(labels):
    """Radius of the ball with the volume of everything inside each layer, and the scatter of its surface."""
    r = np.sqrt(sum(axis**2 for axis in centred_grid(labels.shape, ONE_MM)))
    found = []
    for values in ((2,), (1, 2), (1, 2, 5), (1, 2, 4, 5)):
        mask = np.isin(labels, values)
        surface = r[mask & measure.touches(~mask)]
        found.append(((mask.sum() * 3 / (4 * np.pi)) ** (1 / 3), np.std(surface)))
    return np.array(found).T


@pytest.mark.parametrize("share", [1.0, 0.5, 0.0])
@pytest.mark.parametrize("fold", [0.8, 0.6])
def test_concentric_spheres_shrink_in_closed_form(fold, share):
    """Every layer of the brain by the cube root of the fold; outside it, the CSF keeps what the head does not give."""
    morphed = morph(spheres(RADII), brain_fold=fold, head_share=share)
    inner = np.array(RADII[:3]) * fold ** (1 / 3)
    outer = np.cbrt(RADII[3] ** 3 - share * (1 - fold) * RADII[2] ** 3)
    radii, scatter = radii_of(morphed.labels)
    assert radii == pytest.approx([*inner, outer], abs=0.12)
    assert scatter.max() < 0.55, "spheres stay spheres"


def test_a_head_that_keeps_its_share_is_untouched_voxel_for_voxel():
    head = two_ventricles()
    morphed = morph(head, brain_fold=0.7, head_share=0.0)
    np.testing.assert_array_equal(morphed.labels > 0, head > 0)
    lost = np.isin(head, (1, 2, 5)).sum() - np.isin(morphed.labels, (1, 2, 5)).sum()
    assert (morphed.labels == 4).sum() - (head == 4).sum() == lost


@pytest.mark.parametrize("share", [0.25, 0.5, 0.75, 1.0])
def test_head_and_csf_share_what_the_brain_loses(share):
    head = two_ventricles()
    morphed = morph(head, brain_fold=0.8, head_share=share)
    lost = int(np.isin(head, (1, 2, 5)).sum() - np.isin(morphed.labels, (1, 2, 5)).sum())
    assert (head > 0).sum() - (morphed.labels > 0).sum() == pytest.approx(share * lost, abs=3)
    assert (morphed.labels == 4).sum() - (head == 4).sum() == pytest.approx((1 - share) * lost, abs=3)


def test_ventricles_follow_the_brain_or_have_a_fold_of_their_own():
    head = two_ventricles()
    before = np.bincount(head.ravel(), minlength=6)
    follows, apart = (
        np.bincount(morph(head, brain_fold=0.8, **values).labels.ravel(), minlength=6) / np.maximum(before, 1)
        for values in ({}, {"ventricles_fold": 1.4})
    )
    assert follows[[1, 2, 5]] == pytest.approx(0.8, rel=0.005)
    assert apart[[1, 2, 5]] == pytest.approx([0.8, 1.4, 0.8], rel=0.005)


@pytest.mark.parametrize(
    ("values", "fold"),
    [
        ({"brain_ml": 35.0}, None),
        ({"brain_fold": 0.75}, 0.75),
        ({"brain_z": -3.0, "age_weeks": 30.0}, None),
    ],
)
def test_volumes_are_met(values, fold):
    head = two_ventricles()
    now = np.isin(head, (1, 5)).sum() / 1000
    norm = load_norm("parenchyma_ml")
    wanted = values.get("brain_ml") or (fold or 1 - 3 * norm.sd(30.0) / norm.mean(30.0)) * now
    assert np.isin(morph(head, **values).labels, (1, 5)).sum() / 1000 == pytest.approx(wanted, rel=0.005)


def fitted_circumference_mm(labels, spacing=ONE_MM):
    """Largest perimeter of an ellipse fitted to the outline of an axial section, by least squares on the outline."""
    best = 0.0
    for section in np.moveaxis(labels > 0, 2, 0):
        outline = np.argwhere(section & ~ndi.binary_erosion(section)) * spacing[:2]
        if len(outline) < 30:
            continue
        middle = outline.mean(axis=0)
        x, y = (outline - middle).T
        a, b, c, d, e = np.linalg.lstsq(np.stack([x * x, x * y, y * y, x, y], 1), np.ones(len(x)), rcond=None)[0]
        quadric = np.array([[a, b / 2], [b / 2, c]])
        centre = np.linalg.solve(-2 * quadric, [d, e])
        half = np.sqrt((1 + centre @ quadric @ centre) / np.linalg.eigvalsh(quadric)) + 0.5 * spacing[0]
        angle = np.linspace(0, 2 * np.pi, 2001)
        points = np.stack([half[0] * np.cos(angle), half[1] * np.sin(angle)])
        best = max(best, np.linalg.norm(np.diff(points), axis=0).sum())
    return best


def test_the_second_ruler_is_right():
    p = centred_grid((90, 110, 60), ONE_MM)
    head = ellipsoid(p, (0.2, 0.3, 0.1), (36, 46, 26)).astype(np.uint8)
    exact = 2 * np.pi * 46 * (1 - (1 - (36 / 46) ** 2) / 4 - 3 * (1 - (36 / 46) ** 2) ** 2 / 64)
    assert fitted_circumference_mm(head) == pytest.approx(exact, abs=1.0)


@pytest.mark.parametrize("shrink", [0.98, 0.95, 0.9])
def test_the_circumference_is_met_and_agrees_with_a_fitted_ellipse(shrink):
    head = two_ventricles()
    before = microcephaly.severity(head, KCL8, ONE_MM)["head_circumference_mm"]
    morphed = morph(head, head_circumference_mm=shrink * before)
    (target,) = morphed.report["targets"]
    assert target["reached"] == pytest.approx(shrink * before, abs=0.3)
    assert target["reached"] == microcephaly.severity(morphed.labels, KCL8, ONE_MM)["head_circumference_mm"]
    change = fitted_circumference_mm(morphed.labels) - fitted_circumference_mm(head)
    assert change == pytest.approx((shrink - 1) * before, abs=2.0)
    volume = (morphed.labels > 0).sum() / (head > 0).sum()
    assert volume ** (1 / 3) == pytest.approx(shrink, abs=0.02), "no more than the circumference asks for"


def test_a_z_score_of_the_circumference_is_that_of_intergrowth():
    """Mean -28.2849 + 1.69267 t^2 - 0.397485 t^2 ln t at 28 weeks is 260 mm, standard deviation 8.9."""
    config = build_config(microcephaly.Config, {"head_circumference_z": -2.0, "age_weeks": 28.0}, "test")
    name, wanted = microcephaly._target(config, 1.0)
    assert name == "head_circumference_mm"
    assert wanted == pytest.approx(260 - 2 * 8.9, abs=0.6)


def test_a_scheme_that_merges_fluids_is_refused():
    fetal4 = np.minimum(two_ventricles(), 3)
    config = build_config(microcephaly.Config, {"brain_fold": 0.8}, "test")
    with pytest.raises(InputError, match="ventricles"):
        microcephaly.morph(fetal4, load_scheme("fetal4"), ONE_MM, config, np.random.default_rng(0))
