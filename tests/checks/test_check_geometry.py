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
    area = geometry._background_contact_mm2(labels, SCHEME, case.spacing_mm)
    assert area == pytest.approx(6 * 0.5 * 2.0)


def test_the_edge_of_the_grid_counts_as_background() -> None:
    labels = box_head().labels[20:40]
    assert geometry._background_contact_mm2(labels, SCHEME, (1.0, 1.0, 1.0)) == pytest.approx(2 * 400)


def test_contact_the_source_had_is_allowed() -> None:
    case = box_head()
    labels = case.labels.copy()
    labels[28:33, 28:33, 40:55] = VENTRICLE
    assert (
        "touch the background over 25.0 mm2" in geometry.check(replace(case, labels=labels), geometry.Config()).detail
    )
    assert geometry.check(replace(case, labels=labels, source_labels=labels), geometry.Config()).passed


def test_a_head_of_fluid_and_one_without_ventricles_are_refused() -> None:
    case = box_head()
    fluid = np.where(case.labels == WHITE, 4, case.labels).astype(np.uint8)
    dry = np.where(case.labels == VENTRICLE, WHITE, case.labels).astype(np.uint8)
    assert "tissue fill 0.0%" in geometry.check(replace(case, labels=fluid), geometry.Config()).detail
    assert "ventricles fill 0.0%" in geometry.check(replace(case, labels=dry), geometry.Config()).detail
