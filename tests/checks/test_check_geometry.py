"""Geometry: areas and shares with known answers."""

from dataclasses import replace

import numpy as np
import pytest

from pathosynth.checks import geometry
from pathosynth.data.findings import CheckInput
from pathosynth.data.labels import load_scheme

SCHEME = load_scheme("kcl8")
WHITE, VENTRICLE = 1, 2


def box_head(spacing_mm: tuple[float, float, float] = (1.0, 1.0, 1.0)) -> CheckInput:
    """A head of 50^3 voxels, white matter with a ventricle of 20^3 in its middle."""
    labels = np.zeros((60, 60, 60), np.uint8)
    labels[5:55, 5:55, 5:55] = WHITE
    labels[20:40, 20:40, 20:40] = VENTRICLE
    return CheckInput(None, labels, SCHEME, spacing_mm)


def test_box_head_passes() -> None:
    assert geometry.check(box_head(), geometry.Config()).passed


@pytest.mark.parametrize("spacing_mm", [(0.1, 0.1, 0.1), (0.5, 0.5, 4.5), (0.5, 0.5, 3.9), (float("nan"), 1.0, 1.0)])
def test_implausible_voxels_are_named(spacing_mm: tuple[float, float, float]) -> None:
    finding = geometry.check(box_head(spacing_mm), geometry.Config(intracranial_ml=(0.0, 1e6)))
    assert not finding.passed
    assert "voxel edges" in finding.detail


def test_volume_is_in_millilitres_not_voxels() -> None:
    # 50^3 voxels: 125 mL at 1 mm, 15.6 mL at 0.5 mm, 3375 mL at 3 mm.
    assert geometry.check(box_head((1.0, 1.0, 1.0)), geometry.Config()).passed
    assert "15.6 mL" in geometry.check(box_head((0.5, 0.5, 0.5)), geometry.Config()).detail
    assert "3375.0 mL" in geometry.check(box_head((3.0, 3.0, 3.0)), geometry.Config()).detail


def test_contact_area_counts_each_face_with_its_own_area() -> None:
    # A bar of 2 x 3 voxels through the wall, open at the end along z: 2 * 3 faces of 0.5 * 2 mm, walls are tissue.
    case = box_head((0.5, 2.0, 1.0))
    labels = case.labels.copy()
    labels[30:32, 30:33, 40:55] = VENTRICLE
    area = geometry._outside_contact_mm2(labels, SCHEME, case.spacing_mm)
    assert area == pytest.approx(6 * 0.5 * 2.0)


def test_the_edge_of_the_grid_counts_as_background() -> None:
    labels = box_head().labels[20:40]
    assert geometry._outside_contact_mm2(labels, SCHEME, (1.0, 1.0, 1.0)) == pytest.approx(2 * 400)


def test_contact_the_source_had_is_allowed() -> None:
    case = box_head()
    labels = case.labels.copy()
    labels[28:34, 28:34, 40:55] = VENTRICLE
    finding = geometry.check(replace(case, labels=labels), geometry.Config())
    assert "touch what is outside the skull over 36.0 mm2" in finding.detail
    assert geometry.check(replace(case, labels=labels, source_labels=labels), geometry.Config()).passed


def test_a_head_of_fluid_and_one_without_ventricles_are_refused() -> None:
    case = box_head()
    fluid = np.where(case.labels == WHITE, 4, case.labels).astype(np.uint8)
    dry = np.where(case.labels == VENTRICLE, WHITE, case.labels).astype(np.uint8)
    assert "tissue fill 0.0%" in geometry.check(replace(case, labels=fluid), geometry.Config()).detail
    assert "ventricles fill 0.0%" in geometry.check(replace(case, labels=dry), geometry.Config()).detail


def whole_head(scheme: str, inside: dict[int, int], outside: int) -> CheckInput:
    """`box_head` at 2 mm in the labels of another scheme, within a slab of tissue outside the skull."""
    case = box_head((2.0, 2.0, 2.0))
    labels = np.select([case.labels == value for value in inside], list(inside.values()), outside)
    return replace(case, labels=labels.astype(np.uint16), scheme=load_scheme(scheme))


@pytest.mark.parametrize(
    ("scheme", "inside", "outside"),
    [
        ("synthsegfull", {WHITE: 2, VENTRICLE: 4}, 511),
        ("drawem9", {WHITE: 3, VENTRICLE: 5}, 4),
        ("neuromorph", {WHITE: 44, VENTRICLE: 51}, 74),
    ],
)
def test_labels_outside_the_skull_are_not_inside_it(scheme: str, inside: dict[int, int], outside: int) -> None:
    # Inside 50^3 voxels of 8 mm3, 1000 mL, of which 20^3 or 6.4 % are ventricle; with what is around it 1728 mL.
    case = whole_head(scheme, inside, outside)
    assert geometry.check(case, geometry.Config(intracranial_ml=(999, 1001), ventricle_share=(0.063, 0.065))).passed
    assert "1000.0 mL inside" in geometry.check(case, geometry.Config(intracranial_ml=(1001, 2000))).detail
    assert not geometry.check(case, geometry.Config(tissue_share=0.94)).passed
    open_ventricle = case.labels.copy()
    open_ventricle[28:33, 28:33, 40:55] = inside[VENTRICLE]
    finding = geometry.check(replace(case, labels=open_ventricle), geometry.Config())
    assert "ventricles touch what is outside the skull over 100.0 mm2" in finding.detail


def test_a_map_with_nothing_inside_the_skull_is_refused() -> None:
    skin = np.full((20, 20, 20), 511, np.uint16)
    finding = geometry.check(CheckInput(None, skin, load_scheme("synthsegfull"), (1.0,) * 3), geometry.Config())
    assert not finding.passed
    assert np.isnan(finding.value)
    assert "inside the skull" in finding.detail


def ball(spacing_mm: tuple[float, float, float], shape: tuple[int, int, int] = (0, 0, 0)) -> CheckInput:
    """A round head of 40 mm radius with a round ventricle, in the middle of the grid; by default cropped to it."""
    size = [n or round(80 / edge) for n, edge in zip(shape, spacing_mm, strict=True)]
    axes = [(np.arange(n) + 0.5 - n / 2) * edge for n, edge in zip(size, spacing_mm, strict=True)]
    far = np.sqrt(sum(axis**2 for axis in np.meshgrid(*axes, indexing="ij")))
    labels = np.where(far < 15, VENTRICLE, np.where(far < 40, WHITE, 0)).astype(np.uint8)
    return CheckInput(None, labels, SCHEME, spacing_mm)


@pytest.mark.parametrize("spacing_mm", [(0.8, 0.8, 0.8), (1.0, 1.0, 1.0), (2.0, 2.0, 2.0), (1.0, 1.0, 4.0)])
def test_a_round_head_cropped_to_its_bounds_is_whole(spacing_mm: tuple[float, float, float]) -> None:
    case = ball(spacing_mm)
    assert all(case.labels.take(end, axis).any() for axis in range(3) for end in (0, -1))
    finding = geometry.check(case, geometry.Config(cut_share=0.02))
    assert finding.passed, finding.detail


@pytest.mark.parametrize(("axis", "end", "side"), [(0, 0, "left"), (1, -1, "anterior"), (2, -1, "superior")])
@pytest.mark.parametrize("depth_mm", [8.0, 40.0, 48.0])
def test_a_flat_cut_has_the_area_of_the_circle_it_leaves(axis: int, end: int, side: str, depth_mm: float) -> None:
    # Slices of height h at depth d: pi (2 R d - d2), less the step to the next slice, pi (2 (R - d) h - h2).
    case, h, left = ball((1.0, 1.0, 1.0)), 1.0, depth_mm + 0.5
    keep = np.arange(80)[int(depth_mm) :] if end == 0 else np.arange(80)[: -int(depth_mm)]
    cut = replace(case, labels=case.labels.take(keep, axis))
    circle = np.pi * (2 * 40 * left - left**2)
    expected = min(circle, circle - np.pi * (2 * (40 - left) * h - h**2))
    assert geometry._cut_mm2(cut.labels, SCHEME, cut.spacing_mm)[side] == pytest.approx(expected, rel=0.02)
    finding = geometry.check(cut, geometry.Config(ventricle_background_mm2=1e4))
    assert finding.value == 1
    assert f"the {side} edge of the grid cuts" in finding.detail


def test_a_cut_that_the_source_had_is_allowed_and_one_on_another_side_is_not() -> None:
    case = ball((1.0, 1.0, 1.0))
    source, other = case.labels[:, :, 10:], case.labels[10:, :, 10:]
    assert geometry.check(replace(case, labels=source, source_labels=source), geometry.Config()).passed
    finding = geometry.check(replace(case, labels=other, source_labels=source), geometry.Config())
    assert "left edge" in finding.detail
    assert "inferior" not in finding.detail


def test_a_single_slice_is_cut_on_both_sides() -> None:
    case = ball((2.0, 2.0, 2.0))
    finding = geometry.check(replace(case, labels=case.labels[:, :, 20:21]), geometry.Config())
    assert "inferior" in finding.detail
    assert "superior" in finding.detail


def test_what_is_outside_the_skull_may_be_cut() -> None:
    whole = ball((2.0, 2.0, 2.0), (60, 60, 60))
    labels = np.select([whole.labels == WHITE, whole.labels == VENTRICLE], [2, 4], 511).astype(np.uint16)
    case = replace(whole, labels=labels, scheme=load_scheme("synthsegfull"))
    assert geometry.check(case, geometry.Config()).passed
