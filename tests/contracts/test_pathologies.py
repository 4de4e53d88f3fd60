"""What every pathology must do, tried on all of them. A new one adds its settings to `SWEEPS`."""

import json
from types import ModuleType

import numpy as np
import pytest

from pathosynth.data.labels import load_scheme, remap_labels
from pathosynth.data.phantom import brain_phantom
from pathosynth.morphing import Morphed, measure
from pathosynth.pathologies import PATHOLOGIES
from pathosynth.runs.config import Config, build_config
from pathosynth.runs.errors import InputError

SCHEME = load_scheme("kcl8")

SWEEPS = {
    "ventriculomegaly": [{"ventricle_fold": fold} for fold in (1.3, 1.8, 2.6)],
    "dilation": [{"iterations": count} for count in (5, 7, 9)],
    "paper_cerebellar_hypoplasia": [{"divisor": divisor} for divisor in (1.15, 1.35, 1.7)],
    "paper_pontocerebellar_hypoplasia": [{"scale": scale} for scale in (0.85, 0.7, 0.55)],
    "paper_microcephaly": [{"divisor": divisor} for divisor in (1.03, 1.06, 1.1)],
}
"""Settings of each pathology, from mild to severe."""

GROWS, FALLS = 1, -1

MEASURED = {
    "ventriculomegaly": {"ventricle_ml": GROWS},
    "dilation": {"ventricle_ml": GROWS},
    "paper_cerebellar_hypoplasia": {"cerebellum_ml": FALLS},
    "paper_pontocerebellar_hypoplasia": {"brainstem_ml": FALLS, "cerebellum_ml": FALLS},
    "paper_microcephaly": {"brain_ml": FALLS},
}
"""The numbers in `severity` that grow or fall with the setting."""

NEEDED = {
    "ventriculomegaly": "ventricles",
    "dilation": "ventricles",
    "paper_cerebellar_hypoplasia": "cerebellum",
    "paper_pontocerebellar_hypoplasia": "brainstem",
    "paper_microcephaly": "external_csf",
}
"""A group without which the pathology makes no sense; the four-class scheme `fetal4` has none of them."""

COUNTED = {"ventricle_ml": (2,), "cerebellum_ml": (3,), "brainstem_ml": (7,), "brain_ml": (1, 3, 5, 6, 7, 8)}
"""Which values of `kcl8` a volume in `severity` counts."""


@pytest.fixture(scope="module")
def brain():
    return brain_phantom(3, (64, 76, 68), 1.6)


@pytest.fixture(scope="module", params=sorted(PATHOLOGIES))
def name(request) -> str:
    return request.param


def settings(module: ModuleType, values: dict) -> Config:
    return build_config(module.Config, values, "test")


@pytest.fixture(scope="module")
def sweep(name, brain) -> list[Morphed]:
    module = PATHOLOGIES[name]
    return [
        module.morph(brain.array, SCHEME, brain.spacing_mm, settings(module, values), np.random.default_rng(5))
        for values in SWEEPS[name]
    ]


def test_grid_dtype_and_input_are_kept(name, brain, sweep):
    again = brain_phantom(3, (64, 76, 68), 1.6)
    np.testing.assert_array_equal(brain.array, again.array, "the source was written to")
    for morphed in sweep:
        assert morphed.labels.shape == brain.array.shape
        assert morphed.labels.dtype == brain.array.dtype
        assert morphed.displacement is None or morphed.displacement.shape == (3, *brain.array.shape)


def test_something_changes_and_no_label_is_invented_or_lost(name, brain, sweep):
    for morphed in sweep:
        assert (morphed.labels != brain.array).sum() > 200
        np.testing.assert_array_equal(np.unique(morphed.labels), np.unique(brain.array))


def test_the_same_seed_gives_the_same_voxels(name, brain, sweep):
    module = PATHOLOGIES[name]
    config = settings(module, SWEEPS[name][0])
    again = module.morph(brain.array, SCHEME, brain.spacing_mm, config, np.random.default_rng(5))
    np.testing.assert_array_equal(again.labels, sweep[0].labels)
    if again.displacement is not None:
        np.testing.assert_array_equal(again.displacement, sweep[0].displacement)


def test_severity_grows_with_the_setting(name, brain, sweep):
    module = PATHOLOGIES[name]
    found = [module.severity(labels, SCHEME, brain.spacing_mm) for labels in (brain.array, *(m.labels for m in sweep))]
    for measured, direction in MEASURED[name].items():
        values = [severity[measured] for severity in found]
        assert np.all(direction * np.diff(values) > 0), (measured, values)


def test_severity_counts_voxels(name, brain):
    module = PATHOLOGIES[name]
    volumes = {
        measured: value
        for measured, value in module.severity(brain.array, SCHEME, brain.spacing_mm).items()
        if measured in COUNTED
    }
    assert volumes, "no severity that can be counted here; add it to COUNTED"
    for measured, value in volumes.items():
        assert value == pytest.approx(np.isin(brain.array, COUNTED[measured]).sum() * 1.6**3 / 1000), measured


def test_the_report_survives_json_and_names_the_request(name, sweep):
    for morphed, values in zip(sweep, SWEEPS[name], strict=True):
        report = json.loads(json.dumps(morphed.report))
        assert report["pathology"] == name
        for key, value in values.items():
            assert report["request"][key] == value
        assert isinstance(report["warnings"], list)
        for target in report["targets"]:
            assert set(target) == {"measure", "unit", "asked", "reached"}


def test_the_skull_and_what_lies_outside_stay(name, brain, sweep):
    for morphed in sweep:
        np.testing.assert_array_equal(morphed.labels > 0, brain.array > 0)


def test_where_voxels_are_moved_no_label_falls_apart(name, brain, sweep):
    before = measure.component_counts(brain.array)
    for morphed in sweep:
        if morphed.displacement is not None:
            after = measure.component_counts(morphed.labels)
            assert all(after[value] <= before[value] for value in before), (before, after)


def test_maps_that_merge_structures_are_refused(name, brain):
    module = PATHOLOGIES[name]
    merged = remap_labels(brain.array, SCHEME.to["fetal4"], others="error")
    with pytest.raises(InputError, match="fetal4.*no group"):
        module.morph(
            merged, load_scheme("fetal4"), brain.spacing_mm, settings(module, SWEEPS[name][0]), np.random.default_rng(0)
        )


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda a: a.astype(np.float32), "integers"),
        (lambda a: a[..., None], "3D"),
        (lambda a: np.zeros_like(a), "empty"),
        (lambda a: np.where(a == 3, 77, a).astype(np.uint8), "77"),
        (lambda a: np.where(a == 3, -1, a.astype(np.int16)), "-1"),
    ],
    ids=["float", "4D", "empty", "unknown value", "negative"],
)
def test_bad_input_is_refused_by_name(name, brain, spoil, message):
    module = PATHOLOGIES[name]
    with pytest.raises(InputError, match=message):
        module.morph(
            spoil(brain.array), SCHEME, brain.spacing_mm, settings(module, SWEEPS[name][0]), np.random.default_rng(0)
        )


def test_a_map_without_the_structure_is_refused_by_name(name, brain):
    module = PATHOLOGIES[name]
    without = np.where(SCHEME.mask(brain.array, NEEDED[name]), 1, brain.array).astype(np.uint8)
    with pytest.raises(InputError, match=NEEDED[name]):
        module.morph(without, SCHEME, brain.spacing_mm, settings(module, SWEEPS[name][0]), np.random.default_rng(0))


def test_every_pathology_has_settings_here():
    assert set(SWEEPS) == set(MEASURED) == set(NEEDED) == set(PATHOLOGIES)
