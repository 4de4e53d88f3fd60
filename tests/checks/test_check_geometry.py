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
