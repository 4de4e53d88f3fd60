"""Peeling a spherical shell: how many voxels stay, and which ones."""

import numpy as np
import pytest
from head_phantoms import centred_grid

from pathosynth.morphing.efface import peel

CORE, SHELL = 1, 2
ONE_MM = (1.0, 1.0, 1.0)


def radius(shape=(30, 30, 30), spacing=ONE_MM):
    return np.sqrt(sum(axis**2 for axis in centred_grid(shape, spacing)))


def ball(shape=(30, 30, 30), spacing=ONE_MM, core=7.0, shell=11.0):
    r = radius(shape, spacing)
    return np.where(r <= core, CORE, np.where(r <= shell, SHELL, 0)).astype(np.uint8)


def peeled(classes, left, spared=None, spacing=ONE_MM):
    return peel(classes, left, np.zeros(classes.shape, bool) if spared is None else spared, spacing)


@pytest.mark.parametrize("left", [0, 1, 500, 2000])
def test_exactly_as_many_voxels_stay_and_nothing_else_changes(left):
    classes = ball()
    out = peeled(classes, {SHELL: left})
    assert (out == SHELL).sum() == left
    np.testing.assert_array_equal(out == CORE, classes == CORE)
    np.testing.assert_array_equal((out != classes), (classes == SHELL) & (out == 0))


@pytest.mark.parametrize("spacing", [ONE_MM, (1.0, 1.0, 2.0)])
def test_the_outermost_go_first(spacing):
    shape = tuple(round(30 / s) for s in spacing)
    classes, r = ball(shape, spacing), radius(shape, spacing)
    out = peeled(classes, {SHELL: (classes == SHELL).sum() // 2}, spacing=spacing)
    gone = (classes == SHELL) & (out == 0)
    assert r[gone].min() > r[out == SHELL].max() - 0.9 * max(spacing), "no deeper than the lattice is coarse"
    assert r[gone].mean() > r[out == SHELL].mean() + 1.0


@pytest.mark.parametrize("left", [700, 2000, 2500, 3000])
def test_no_side_is_peeled_more_than_the_other(left):
    """Half a layer must not be the half that comes first in memory: the midsagittal plane would move."""
    out = peeled(ball(), {SHELL: left})
    assert np.argwhere(out > 0).mean(axis=0) == pytest.approx([14.5] * 3, abs=0.04)


def test_a_class_with_no_voxel_too_many_stays():
    classes = ball()
    for left in ((classes == SHELL).sum(), 10**6):
        np.testing.assert_array_equal(peeled(classes, {SHELL: int(left)}), classes)


def test_nothing_to_peel_gives_back_what_came():
    classes = ball()
    assert peel(classes, {}, classes > 9, ONE_MM) is classes


def test_spared_voxels_stay_even_if_too_many_are_left():
    classes = ball()
    spared = (classes == SHELL) & (np.arange(30) < 15)
    out = peeled(classes, {SHELL: 10}, spared)
    np.testing.assert_array_equal(out == SHELL, spared)


def test_every_class_is_peeled_to_its_own_number():
    classes = ball()
    half = (classes == SHELL) & (np.arange(30)[:, None, None] < 15)
    classes[half] = 3
    out = peeled(classes, {SHELL: 100, 3: 700})
    assert [(out == value).sum() for value in (SHELL, 3)] == [100, 700]


def test_the_input_is_not_changed():
    classes = ball()
    peeled(classes, {SHELL: 3})
    np.testing.assert_array_equal(classes, ball())
