"""From label maps to training maps: the voxel size changes, volumes, sides and classes do not."""

import numpy as np
import pytest

from pathosynth.data.labels import load_scheme
from pathosynth.label_generators.latent_diffusion.config import Augmentation, Grid
from pathosynth.label_generators.latent_diffusion.maps import (
    Deformation,
    draw_deformation,
    mirrored,
    on_grid,
    tissue_centre_mm,
)
from pathosynth.label_generators.latent_diffusion.tidy import largest_loss, tidied
from pathosynth.runs.errors import InputError
from pathosynth.runs.seeds import numpy_generator

GRID = Grid(shape=(48, 48, 48), spacing_mm=(2.0, 2.0, 2.0))


def ball(shape: tuple[int, ...], centre: tuple[float, ...], radius: float) -> np.ndarray:
    place = np.stack(np.meshgrid(*[np.arange(n) for n in shape], indexing="ij"), axis=-1)
    return (np.linalg.norm(place - np.array(centre), axis=-1) <= radius).astype(np.uint8)


@pytest.mark.parametrize("spacing", [0.8, 1.0, 2.0])
def test_a_ball_keeps_its_volume_and_becomes_the_middle(spacing: float) -> None:
    fine = ball((120, 110, 100), (60, 50, 40), 30 / spacing) if spacing < 2 else ball((60, 60, 60), (30, 25, 20), 15)
    centre = np.array([60, 50, 40]) * spacing if spacing < 2 else np.array([60.0, 50.0, 40.0])
    out = on_grid(fine, (spacing,) * 3, centre, GRID)
    inside_ml = fine.sum() * spacing**3
    assert out.sum() * 8 == pytest.approx(inside_ml, rel=0.02)
    middle = np.argwhere(out).mean(axis=0)
    assert middle == pytest.approx(np.full(3, 23.5), abs=0.5)  # up to half a voxel where the middle lies between voxels


def test_no_deformation_at_the_same_voxel_size_is_a_plain_crop() -> None:
    labels = numpy_generator(3).integers(0, 9, (64, 72, 64)).astype(np.uint8)
    centre = (np.array(labels.shape) - 1) / 2 * 2.0
    out = on_grid(labels, (2.0, 2.0, 2.0), centre, GRID)
    assert np.array_equal(out, labels[8:56, 12:60, 8:56])


def test_scaling_a_copy_scales_its_volume() -> None:
    labels = ball((96, 96, 96), (47.5, 47.5, 47.5), 20)
    larger = Deformation(np.eye(3) / 1.2, np.zeros(3), None, flip=False)
    out = on_grid(labels, (1.0, 1.0, 1.0), np.full(3, 47.5), GRID, larger)
    assert out.sum() * 8 == pytest.approx(labels.sum() * 1.2**3, rel=0.03)


def test_a_map_smaller_than_the_grid_is_padded_with_background() -> None:
    labels = np.full((10, 10, 10), 3, np.uint8)
    out = on_grid(labels, (2.0, 2.0, 2.0), np.full(3, 9.0), GRID)
    assert (out == 3).sum() == 1000
    assert set(np.unique(out)) == {0, 3}


def test_mirroring_twice_is_nothing_and_exchanges_sides() -> None:
    scheme = load_scheme("synthseg")
    partners = scheme.partner_indices()
    classes = numpy_generator(0, "classes").integers(0, len(scheme.values) + 1, (6, 5, 4)).astype(np.uint8)
    assert np.array_equal(mirrored(mirrored(classes, partners), partners), classes)
    left, right = (1 + scheme.values.index(value) for value in (4, 43))
    one = np.zeros((6, 5, 4), np.uint8)
    one[0, 2, 2] = left
    assert np.argwhere(mirrored(one, partners)).tolist() == [[5, 2, 2]]
    assert mirrored(one, partners)[5, 2, 2] == right


def test_copies_are_drawn_by_their_generator_and_stay_moderate() -> None:
    augmentation = Augmentation(scaling=0.1, rotation_degrees=5, shift_mm=3)
    first, again, other = (draw_deformation(numpy_generator(seed), augmentation, GRID) for seed in (1, 1, 2))
    assert np.array_equal(first.matrix, again.matrix)
    assert not np.array_equal(first.matrix, other.matrix)
    for one in (first, other):
        assert np.exp(-0.1) <= np.linalg.svd(one.matrix)[1].min() <= np.linalg.svd(one.matrix)[1].max() <= np.exp(0.1)
        assert np.abs(one.shift_mm).max() <= 3


def test_without_tissue_there_is_no_middle() -> None:
    with pytest.raises(InputError, match="expected labelled tissue"):
        tissue_centre_mm(np.zeros((4, 4, 4), np.uint16), load_scheme("kcl8"), (1.0, 1.0, 1.0))


ORDINARY = (0.0, 0.02, 0.02)
"""Shares of two classes that may be in several pieces."""


def test_tidying_removes_islands_and_holes_and_nothing_else() -> None:
    clean = ball((40, 40, 40), (20, 20, 20), 15) + ball((40, 40, 40), (20, 20, 20), 8)
    dirty = clean.copy()
    dirty[20, 20, 30] = 2  # an island of class 2 in class 1
    dirty[20, 20, 10] = 0  # a hole
    dirty[1, 1, 1] = 1  # off the head
    out, changed = tidied(dirty, ORDINARY)
    assert np.array_equal(out, clean)
    assert changed == 3
    assert tidied(clean, ORDINARY)[1] == 0
    assert np.array_equal(tidied(out, ORDINARY)[0], out)


def test_a_second_piece_of_a_compact_structure_goes_a_large_one_of_another_stays() -> None:
    head = ball((40, 40, 40), (20, 20, 20), 17) + ball((40, 40, 40), (20, 20, 28), 6)
    head[18:22, 18:22, 8:11] = 2  # 48 voxels, a twentieth of the structure
    assert tidied(head, ORDINARY)[1] == 0
    assert tidied(head, (0, 0.02, 1))[1] == 48


def test_tidying_keeps_both_halves_of_a_paired_structure() -> None:
    both = ball((40, 40, 40), (20, 20, 20), 16)
    both[8:12, 20, 20] = 2
    both[28:32, 20, 20] = 2
    assert tidied(both, ORDINARY)[1] == 0


def test_the_largest_loss_names_its_class() -> None:
    head = ball((40, 40, 40), (20, 20, 20), 17) + ball((40, 40, 40), (20, 20, 28), 6)
    clean = head.copy()
    head[18:22, 18:22, 8:11] = 2
    number, lost = largest_loss(head, clean)
    assert number == 2
    assert lost == pytest.approx(48 / (head == 2).sum())
    assert largest_loss(clean, clean)[1] == 0
