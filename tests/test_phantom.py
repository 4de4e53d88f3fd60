"""The procedural head must be a head: clean topology, plausible sizes, the same at every voxel size."""

import edt
import numpy as np
import pytest
from scipy import ndimage

from pathosynth.data.labels import load_scheme
from pathosynth.data.phantom import brain_phantom
from pathosynth.data.volume import Volume
from pathosynth.runs.errors import InputError

SCHEME = load_scheme("kcl8")
SEEDS = range(6)


@pytest.fixture(scope="module")
def phantoms() -> list[Volume]:
    return [brain_phantom(seed) for seed in SEEDS]


def faces(a: np.ndarray, b: np.ndarray) -> int:
    """Number of voxels of `a` that share a face with `b`."""
    return int((ndimage.binary_dilation(a) & b).sum())


def test_volumes_are_those_of_a_fetus_of_28_to_32_weeks(phantoms: list[Volume]) -> None:
    # Ranges around the healthy fetal atlas at 28-32 weeks (234-342 mL inside the skull), with room for individuals.
    expected = {
        "intracranial": (220, 360), "ventricles": (4.5, 11), "white_matter": (70, 150), "cortex": (40, 85),
        "external_csf": (70, 125), "deep_grey_matter": (7, 14), "cerebellum": (5, 12), "brainstem": (3, 6.5),
        "corpus_callosum": (1, 4),
    }  # fmt: skip
    for phantom in phantoms:
        for group, (low, high) in expected.items():
            volume_ml = SCHEME.mask(phantom.array, group).sum() * phantom.voxel_ml
            assert low < volume_ml < high, group


def test_labels_are_in_one_piece_and_without_holes(phantoms: list[Volume]) -> None:
    most = {"ventricles": 3, "deep_grey_matter": 2, "cortex": 2, "corpus_callosum": 1, "cerebellum": 1, "brainstem": 1}
    six = ndimage.generate_binary_structure(3, 1)
    for phantom in phantoms:
        for group, count in most.items():
            assert ndimage.label(SCHEME.mask(phantom.array, group), six)[1] <= count, group
        assert ndimage.label(phantom.array > 0, six)[1] == 1
        assert ndimage.label(phantom.array == 0, six)[1] == 1


def test_structures_touch_what_they_should_and_nothing_else(phantoms: list[Volume]) -> None:
    for phantom in phantoms:
        mask = {group: SCHEME.mask(phantom.array, group) for group in SCHEME.groups}
        background = phantom.array == 0
        assert faces(mask["ventricles"], background) == 0
        assert faces(mask["tissue"], background) == 0
        assert faces(mask["cerebellum"], mask["brainstem"]) > 20
        assert faces(mask["corpus_callosum"], mask["ventricles"]) > 20
        assert faces(mask["brainstem"], mask["deep_grey_matter"]) > 5
        assert faces(mask["ventricles"], mask["cortex"]) < 200


def test_lateral_ventricles_are_narrow_on_both_sides(phantoms: list[Volume]) -> None:
    # Twice the largest inscribed radius in the back half: below 10 mm is normal in a fetus.
    for phantom in phantoms:
        ventricles = SCHEME.mask(phantom.array, "ventricles")
        width_mm = 2 * edt.edt(ventricles, anisotropy=phantom.spacing_mm)
        i, j = phantom.shape[0] // 2, phantom.shape[1] * 45 // 100
        assert 4 < width_mm[:i, :j].max() < 11
        assert 4 < width_mm[i:, :j].max() < 11


def test_cortex_is_folded(phantoms: list[Volume]) -> None:
    # The surface of the cerebrum against that of its closing by 8 mm: a smooth brain gives 1.
    for phantom in phantoms:
        brain = SCHEME.mask(phantom.array, "cortex") | SCHEME.mask(phantom.array, "white_matter")
        sulci_ml = (ndimage.binary_closing(np.pad(brain, 8), iterations=6)[8:-8, 8:-8, 8:-8] & ~brain).sum()
        assert sulci_ml * phantom.voxel_ml > 10


def test_seed_alone_decides() -> None:
    first, again, other = brain_phantom(3), brain_phantom(3), brain_phantom(4)
    np.testing.assert_array_equal(first.array, again.array)
    assert (first.array != other.array).mean() > 0.02


def test_the_same_anatomy_at_another_voxel_size() -> None:
    coarse, fine = brain_phantom(1), brain_phantom(1, (144, 168, 144), 0.8)
    # The cortex is two voxels thick on the coarse grid, so its volume is only roughly kept.
    for group, tolerance in {"intracranial": 0.03, "ventricles": 0.1, "cerebellum": 0.1, "cortex": 0.25}.items():
        a = SCHEME.mask(coarse.array, group).sum() * coarse.voxel_ml
        b = SCHEME.mask(fine.array, group).sum() * fine.voxel_ml
        assert a == pytest.approx(b, rel=tolerance), group


def test_grid_is_ras_millimetres_around_the_centre() -> None:
    phantom = brain_phantom(0, (100, 110, 98), 1.2)
    assert phantom.spacing_mm == pytest.approx((1.2, 1.2, 1.2))
    centre = phantom.affine @ [*((np.array(phantom.shape) - 1) / 2), 1]
    np.testing.assert_allclose(centre[:3], 0, atol=1e-9)
    where = [np.argwhere(SCHEME.mask(phantom.array, group)).mean(axis=0) for group in ("cerebellum", "corpus_callosum")]
    assert where[0][1] < where[1][1]
    assert where[0][2] < where[1][2]


@pytest.mark.parametrize(("shape", "spacing_mm"), [((60, 112, 96), 1.2), ((96, 112, 96), 0.8), ((96, 112, 96), 3.0)])
def test_a_grid_that_does_not_hold_the_head_is_refused(shape: tuple[int, int, int], spacing_mm: float) -> None:
    with pytest.raises(InputError, match="expected"):
        brain_phantom(0, shape, spacing_mm)
