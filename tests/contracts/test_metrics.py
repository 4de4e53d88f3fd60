"""What every metric must do, tried on all of them: perfect on equal masks, one rule for empty ones, millimetres."""

from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from pathosynth.metrics import METRICS
from pathosynth.metrics.mask_pair import mask_pairs
from pathosynth.runs.errors import InputError
from pathosynth.stages.plugins import use_plugins

PERFECT = {"higher": 1.0, "lower": 0.0, "zero": 0.0}
EMPTY = np.zeros((12, 10, 9), bool)
CUBE = EMPTY.copy()
CUBE[3:8, 2:7, 2:6] = True
MOVED = np.roll(CUBE, 1, axis=0)
EDGES = (1.0, 0.8, 2.5)

OUTSIDE = Path(__file__).parents[1] / "plugins" / "jaccard.py"
use_plugins([OUTSIDE])
ALL = [*METRICS.values()]
METRICS.pop(OUTSIDE.stem)

every = pytest.mark.parametrize("metric", ALL, ids=[module.__name__.rpartition(".")[2] for module in ALL])


@every
def test_names_unit_and_direction(metric: ModuleType) -> None:
    assert metric.UNIT in ("", "mm", "mL")
    assert metric.BETTER in PERFECT
    assert metric.compute.__doc__


@every
def test_equal_masks_are_perfect_and_different_ones_are_not(metric: ModuleType) -> None:
    best = PERFECT[metric.BETTER]
    assert metric.compute(CUBE, CUBE, EDGES) == best
    grown = CUBE | np.roll(CUBE, 2, axis=1)
    assert metric.compute(CUBE, grown, EDGES) != best


@every
def test_empty_masks_follow_the_written_rule(metric: ModuleType) -> None:
    assert np.isnan(metric.compute(EMPTY, EMPTY, EDGES))
    volume = CUBE.sum() * np.prod(EDGES) / 1000
    worst = {"higher": (0.0, 0.0), "lower": (np.inf, np.inf), "zero": (-volume, volume)}[metric.BETTER]
    found = (metric.compute(CUBE, EMPTY, EDGES), metric.compute(EMPTY, CUBE, EDGES))
    assert found == pytest.approx(worst)


@every
def test_voxel_size_counts_where_the_metric_has_a_unit(metric: ModuleType) -> None:
    one, double = (metric.compute(CUBE, CUBE | MOVED, (edge, edge, edge)) for edge in (1.5, 3.0))
    power = {"mm": 1, "mL": 3}.get(metric.UNIT)
    if power is not None:
        assert double == pytest.approx(one * 2**power)
        assert one != 0


@every
def test_position_mirror_and_what_lies_around_do_not_matter(metric: ModuleType) -> None:
    expected = metric.compute(CUBE, MOVED, EDGES)
    assert metric.compute(np.roll(CUBE, 1, 1), np.roll(MOVED, 1, 1), EDGES) == pytest.approx(expected)
    assert metric.compute(CUBE[::-1], MOVED[::-1], EDGES) == pytest.approx(expected)
    wide = [np.pad(mask, 5) for mask in (CUBE, MOVED)]
    assert metric.compute(*wide, EDGES) == pytest.approx(expected)
    tight = [mask[3:9, 2:7, 2:6] for mask in (CUBE, MOVED)]
    assert metric.compute(*tight, EDGES) == pytest.approx(expected)


@every
def test_symmetry(metric: ModuleType) -> None:
    grown = CUBE | np.roll(CUBE, 2, axis=1)
    there, back = metric.compute(CUBE, grown, EDGES), metric.compute(grown, CUBE, EDGES)
    assert back == pytest.approx(-there if metric.BETTER == "zero" else there)


@every
def test_masks_that_are_none_are_refused(metric: ModuleType) -> None:
    for reference, prediction, edges in (
        (CUBE, CUBE[:-1], EDGES),
        (CUBE.astype(np.uint8), CUBE, EDGES),
        (CUBE[0], CUBE[0], EDGES),
        (CUBE, CUBE, (1.0, 0.0, 1.0)),
        (CUBE, CUBE, (1.0, float("nan"), 1.0)),
    ):
        with pytest.raises(InputError, match="expected"):
            metric.compute(reference, prediction, edges)


@every
def test_one_pass_over_label_maps_gives_the_same(metric: ModuleType, rng: np.random.Generator) -> None:
    reference = rng.integers(0, 4, (9, 8, 7)).astype(np.uint16) * 100  # labels above 255, sparse numbers
    prediction = np.where(rng.random(reference.shape) < 0.2, 300, reference).astype(np.uint16)
    prediction[prediction == 200] = 7  # a value nobody asked for
    structures = {"one": (100,), "two": (200,), "several": (100, 300), "absent": (900,)}
    for name, pair in mask_pairs(reference, prediction, structures, EDGES):
        masks = [np.isin(labels, structures[name]) for labels in (reference, prediction)]
        np.testing.assert_equal(metric.measure(pair), metric.compute(*masks, EDGES))
