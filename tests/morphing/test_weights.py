"""Where parts change more and where the skull comes in, on bars and balls whose geometry is known."""

import numpy as np
import pytest
from head_phantoms import centred_grid, ellipsoid, spheres

from pathosynth.morphing import weights

ONE_MM = (1.0, 1.0, 1.0)


def test_the_midline_hardly_grows_and_3_mm_further_out_all_does():
    weight = weights.midline_weight((41, 5, 5), 20.0, (0.5, 1.0, 1.0), 3.0).ravel()
    distance = np.abs(np.arange(41) - 20.0) * 0.5
    assert weight[distance <= 3.0] == pytest.approx(0.05)
    assert weight[distance >= 6.0] == pytest.approx(1.0)
    assert weight[distance == 4.5] == pytest.approx(0.05 + 0.95 / 2)
    np.testing.assert_allclose(weight, weight[::-1])


@pytest.mark.parametrize("beta", [-2.0, 0.0, 1.5])
def test_colpocephaly_is_an_exponential_from_back_to_front(beta):
    mask = np.zeros((6, 120, 6), bool)
    mask[:, 10:111] = True
    weight = weights.posterior_weight(mask, beta).ravel()
    assert weight[60] == pytest.approx(1.0, rel=0.03), "the middle"
    assert weight[0] / weight[-1] == pytest.approx(np.exp(beta), rel=0.01)
    assert np.log(weight[30] / weight[60]) == pytest.approx(beta * 30 / 96, abs=0.03)


def test_random_weights_are_the_exponential_of_a_standard_field(rng):
    field = np.log(weights.random_weight((40, 40, 40), ONE_MM, 0.6, 3.0, rng))
    assert field.mean() == pytest.approx(0.0, abs=1e-4)
    assert field.std() == pytest.approx(0.6, rel=1e-3)


def test_random_weights_have_the_length_in_mm_that_is_asked(rng):
    """White noise smoothed by a Gaussian of length s correlates as exp(-d^2 / 4 s^2)."""
    length, spacing = 4.0, (1.0, 2.0, 1.0)
    field = np.log(weights.random_weight((64, 48, 64), spacing, 1.0, length, rng)).astype(float)
    for axis in (0, 1):
        shifted = np.roll(field, int(4 / spacing[axis]), axis)
        assert (field * shifted).mean() == pytest.approx(np.exp(-(4.0**2) / (4 * length**2)), abs=0.08)


@pytest.mark.parametrize(("inside", "outside"), [(1.0, 0.05), (0.5, 1.0)])
def test_the_vermis_is_the_middle_quarter_of_the_cerebellum(inside, outside):
    shape = (80, 20, 20)
    mask = ellipsoid(centred_grid(shape, ONE_MM), (6.0, 0, 0), (20, 8, 8))
    weight = weights.vermis_weight(mask, ONE_MM, inside=inside, outside=outside).ravel()
    x = np.arange(80) - 39.5 - 6.0
    assert weight[np.abs(x) < 0.6] == pytest.approx(inside, abs=0.03 * abs(inside - outside))
    assert weight[np.abs(x) > 12] == pytest.approx(outside, abs=0.01)
    half = np.interp(5.0, x[x > 0], weight[x > 0])
    assert half == pytest.approx((inside + outside) / 2, abs=0.06), "an eighth of 40 mm from its own middle"


def stem(angle_degrees, shape=(20, 80, 90), width=10.0, length=50.0, spacing=ONE_MM):
    """A square bar leaning forwards by an angle; with its coordinates along (0 to 1, upwards) and to the front."""
    p = centred_grid(shape, spacing)
    c, s = np.cos(np.radians(angle_degrees)), np.sin(np.radians(angle_degrees))
    up, front = c * p[2] + s * p[1], c * p[1] - s * p[2]
    mask = (np.abs(up) < length / 2) & (np.abs(front) < width / 2) & (np.abs(p[0]) < 5)
    return mask, up / length + 0.5, front


@pytest.mark.parametrize("angle", [-20, 0, 25])
@pytest.mark.parametrize("spacing", [ONE_MM, (1.0, 0.7, 1.3)])
def test_the_pons_is_the_front_of_the_middle_of_the_stem(angle, spacing):
    shape = tuple(round(n / s) for n, s in zip((20, 80, 90), spacing, strict=True))
    mask, level, front = stem(angle, shape, spacing=spacing)
    weight = np.broadcast_to(weights.pons_weight(mask, spacing), shape)
    peak = np.argwhere(mask & (weight == weight[mask].max()))
    assert np.all((level[tuple(peak.T)] > 0.45) & (level[tuple(peak.T)] < 0.7))
    assert np.all(front[tuple(peak.T)] > 2.5)
    belly = mask & (level > 0.48) & (level < 0.67) & (front > 2.5)
    rest = mask & ((level < 0.25) | (level > 0.9) | (front < -3.5))
    assert weight[belly].min() > 0.75
    assert weight[rest].max() < 0.15
    assert weight.min() >= 0.05 - 1e-6


def test_the_skull_comes_in_around_the_hindbrain_and_goes_out_below_it():
    p = centred_grid((60, 60, 70), ONE_MM)
    head = ellipsoid(p, (0, 0, 4), (26, 26, 28))
    small = ellipsoid(p, (0, -10, -10), (9, 6, 6))
    bar = (np.abs(p[0]) < 4) & (np.abs(p[1] + 4) < 4) & (p[2] < -4) & (p[2] > -22)
    exchange = weights.herniation_ml(head, small | bar, bar, ONE_MM, 3.0)
    assert exchange.dtype == np.float32
    assert exchange.sum(dtype=float) == pytest.approx(0.0, abs=1e-4)
    assert 0.7 * 3.0 < exchange[exchange > 0].sum(dtype=float) <= 3.0, "less what its tails exchange with themselves"
    assert not exchange[head].any(), "only the skull gives way"
    out = np.argwhere(exchange < -1e-3 * exchange.max())
    assert out[:, 2].max() < np.argwhere(bar)[:, 2].min() + 4, "below the end of the stem"
    weight = -np.minimum(exchange, 0)
    centre = [(weight * axis).sum() / weight.sum() for axis in p]
    assert centre[:2] == pytest.approx([0.0, -4.0], abs=1.0), "under the stem"
    inlet = np.maximum(exchange, 0)
    assert (inlet * p[2]).sum() / inlet.sum() < -5, "from around the hindbrain, not from the vault"


def test_sulci_drain_more_easily_than_the_rest_and_only_when_asked():
    labels = spheres((4.0, 16.0, 19.0, 24.0))
    p = centred_grid(labels.shape, ONE_MM)
    sulcus = (np.abs(p[2]) < 1.6) & (p[0] > 8) & np.isin(labels, (1, 5))
    fissure = (np.abs(p[0]) < 1.6) & (p[2] > 8) & np.isin(labels, (1, 5))
    labels[sulcus | fissure] = 4
    csf, brain = labels == 4, np.isin(labels, (1, 2, 5))
    midline = (labels.shape[0] - 1) / 2
    np.testing.assert_array_equal(weights.sulcal_weight(csf, brain, midline, ONE_MM, 0.0), 1.0)
    weight = weights.sulcal_weight(csf, brain, midline, ONE_MM, 0.5)
    assert set(np.unique(weight)) == {1.0, 4.5}
    deep = np.sqrt(sum(axis**2 for axis in p)) < 17
    assert (weight[sulcus & deep] == 4.5).mean() > 0.95
    assert (weight[fissure] == 1.0).all()
    assert (weight[~csf] == 1.0).all()
