"""Islands: planted volumes are measured to the voxel."""

import numpy as np
import pytest

from pathosynth.checks import islands
from pathosynth.data.findings import CheckInput
from pathosynth.data.labels import load_scheme

SCHEME = load_scheme("kcl8")


def box_head() -> np.ndarray:
    labels = np.zeros((40, 40, 40), np.uint8)
    labels[5:35, 5:35, 5:35] = 4
    labels[8:32, 8:32, 8:32] = 1
    return labels


def measure(labels: np.ndarray, spacing_mm: float = 1.0, source: np.ndarray | None = None) -> float:
    case = CheckInput(None, labels, SCHEME, (spacing_mm,) * 3, source_labels=source)
    return islands.check(case, islands.Config()).value


def test_clean_head_has_none() -> None:
    assert measure(box_head()) == 0


@pytest.mark.parametrize("spacing_mm", [0.5, 1.0, 2.0])
def test_each_kind_counts_its_volume_in_mm3(spacing_mm: float) -> None:
    island, outside, hole = box_head(), box_head(), box_head()
    island[20:23, 20:23, 20:23] = 4
    outside[0:2, 0:2, 0:2] = 1
    hole[20:24, 20:24, 20:24] = 0
    assert measure(island, spacing_mm) == pytest.approx(27 * spacing_mm**3)
    assert measure(outside, spacing_mm) == pytest.approx(8 * spacing_mm**3)
    assert measure(hole, spacing_mm) == pytest.approx(64 * spacing_mm**3)


def test_left_and_right_parts_are_no_islands() -> None:
    labels = box_head()
    labels[10:14, 15:25, 15:25] = 6
    labels[26:30, 15:25, 15:25] = 6
    assert measure(labels) == 0


@pytest.mark.parametrize(("label", "stray"), [(3, 9 * 10 * 10), (6, 0), (1, 0)])
def test_a_second_cerebellum_is_an_island_whatever_its_size_a_second_thalamus_is_none(label: int, stray: int) -> None:
    labels = np.zeros((40, 40, 40), np.uint8)
    labels[5:35, 5:35, 5:35] = 4
    labels[10:20, 10:20, 10:20] = label
    labels[21:30, 10:20, 10:20] = label
    assert measure(labels) == stray


def test_part_the_source_had_stays_a_part_when_its_neighbour_grows() -> None:
    source, grown = box_head(), box_head()
    for labels in (source, grown):
        labels[30, 30, 28:30] = 2
    source[18:22, 18:22, 18:22] = 2
    grown[14:26, 14:26, 14:26] = 2
    assert measure(grown) == 2
    assert measure(grown, source=source) == 0


def test_touching_at_a_corner_is_connected() -> None:
    labels = box_head()
    labels[20:24, 20:24, 20:24] = 6
    labels[24, 24, 24] = 6
    assert measure(labels) == 0


def test_what_the_source_had_is_not_counted_but_more_of_it_is() -> None:
    source = box_head()
    source[20:23, 20:23, 20:23] = 4
    worse = source.copy()
    worse[26, 26, 26] = 4
    assert measure(source, source=source) == 0
    assert measure(worse, source=source) == 1
    # A cleaner source elsewhere does not pay for a new kind of defect.
    hole = box_head()
    hole[20:23, 20:23, 20:23] = 0
    assert measure(hole, source=source) == 27


def shell() -> np.ndarray:
    """White matter with a layer of external CSF, label 4, on one face."""
    labels = np.zeros((60, 60, 60), np.uint8)
    labels[4:56, 4:56, 4:56] = 1
    labels[4:8, 4:56, 4:56] = 4
    return labels


@pytest.mark.parametrize("spacing_mm", [0.8, 1.5])
def test_external_csf_may_be_torn_and_pool_but_a_ball_of_it_in_the_brain_is_an_island(spacing_mm: float) -> None:
    torn, pools, ball = shell(), shell(), shell()
    torn[30:40, 10:40, 55] = 4
    pools[44:56, 10:40, 50:56] = 4
    ball[30:35, 30:35, 30:35] = 4
    assert measure(torn, spacing_mm) == measure(pools, spacing_mm) == 0
    assert measure(ball, spacing_mm) == pytest.approx(125 * spacing_mm**3)
    loose = islands.loose_parts(torn, SCHEME, (spacing_mm,) * 3)
    assert loose["second external_csf"] == loose["loose external_csf"] == 0
    assert islands.loose_parts(ball, SCHEME, (spacing_mm,) * 3)["second external_csf"] > 0


def test_torn_pieces_of_other_labels_are_islands() -> None:
    labels = shell()
    labels[20:30, 20:30, 40:50] = 2
    assert measure(labels) == 0
    labels[30:36, 50, 20] = 2
    assert measure(labels) == 6
