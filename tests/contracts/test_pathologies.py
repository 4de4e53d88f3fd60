"""What every pathology must do, tried on all of them. A new one adds its settings to `SWEEPS`.

What each must refuse is in `test_pathologies_bad_input.py`.
"""

import json
from functools import cache
from types import ModuleType

import numpy as np
import pytest
import scipy.ndimage as ndi

from pathosynth.data.labels import load_scheme
from pathosynth.data.phantom import brain_phantom
from pathosynth.data.volume import Volume
from pathosynth.morphing import Morphed
from pathosynth.pathologies import PATHOLOGIES
from pathosynth.runs.config import Config, build_config

SCHEME = load_scheme("kcl8")

SWEEPS = {
    "ventriculomegaly": [{"ventricle_fold": fold} for fold in (1.3, 1.8, 2.6)],
    "dilation": [{"iterations": count} for count in (5, 7, 9)],
    "paper_cerebellar_hypoplasia": [{"divisor": divisor} for divisor in (1.15, 1.35, 1.7)],
    "paper_pontocerebellar_hypoplasia": [{"scale": scale} for scale in (0.85, 0.7, 0.55)],
    "paper_microcephaly": [{"divisor": divisor} for divisor in (1.03, 1.06, 1.1)],
    "cerebellar_hypoplasia": [{"cerebellum_fold": fold} for fold in (0.85, 0.7, 0.5)],
    "pontocerebellar_hypoplasia": [
        {"cerebellum_fold": fold, "pons_ap_fold": pons} for fold, pons in ((0.8, 0.9), (0.7, 0.8), (0.6, 0.75))
    ],
    "microcephaly": [{"brain_fold": fold} for fold in (0.9, 0.8, 0.7)],
    "chiari2": [{"age_weeks": 30.0, "repair": "fetal", "strength": strength} for strength in (0.4, 0.7, 1.0)],
    "profile": [
        {"folds": {"cerebellum": fold, "ventricles": 1 / fold, "cortex": 0.5 + 0.5 * fold}} for fold in (0.9, 0.8, 0.7)
    ],
}
"""Settings of each pathology, from mild to severe."""

GROWS, FALLS = 1, -1

MEASURED = {
    "ventriculomegaly": {"ventricle_ml": GROWS},
    "dilation": {"ventricle_ml": GROWS},
    "paper_cerebellar_hypoplasia": {"cerebellum_ml": FALLS},
    "paper_pontocerebellar_hypoplasia": {"brainstem_ml": FALLS, "cerebellum_ml": FALLS},
    "paper_microcephaly": {"brain_ml": FALLS},
    "cerebellar_hypoplasia": {"cerebellum_ml": FALLS, "transcerebellar_diameter_mm": FALLS},
    "pontocerebellar_hypoplasia": {"cerebellum_ml": FALLS, "brainstem_ml": FALLS, "pons_ap_mm": FALLS},
    "microcephaly": {"brain_ml": FALLS, "intracranial_ml": FALLS, "head_circumference_mm": FALLS},
    "chiari2": {
        "ventricle_ml": GROWS,
        "cerebellum_ml": FALLS,
        "brainstem_ml": FALLS,
        "external_csf_ml": FALLS,
        "hindbrain_csf_ml": FALLS,
    },
    "profile": {"cerebellum_ml": FALLS, "ventricles_ml": GROWS, "cortex_ml": FALLS},
}
"""The numbers in `severity` that grow or fall with the setting."""

COUNTED = {
    "ventricle_ml": (2,),
    "ventricles_ml": (2,),
    "cerebellum_ml": (3,),
    "external_csf_ml": (4,),
    "brainstem_ml": (7,),
    "brain_ml": (1, 3, 5, 6, 7, 8),
    "intracranial_ml": (1, 2, 3, 4, 5, 6, 7, 8),
}
"""Which values of `kcl8` a volume in `severity` counts."""

WHOLE_BRAIN = {1, 2, 3, 5, 6, 7, 8}

ASKED = {
    "ventriculomegaly": {2},
    "cerebellar_hypoplasia": {3},
    "pontocerebellar_hypoplasia": {3, 7},
    "microcephaly": WHOLE_BRAIN,
    "chiari2": {2, 3, 4, 7},
    "profile": {2, 3, 5},
}
"""Which values of `kcl8` an exact pathology is asked to change in its sweep; external CSF (4) may pay."""

SKULL_FOLLOWS = {"microcephaly", "chiari2", "profile"}
"""Pathologies whose head shrinks or grows by default. In all others it is rigid."""

EXACT = pytest.mark.parametrize("name", sorted(ASKED), indirect=True)

EFFACED = {"chiari2": {4}}
"""Labels that may fall apart."""


@pytest.fixture(scope="module")
def brain() -> Volume:
    return phantom()


@pytest.fixture(scope="module", params=sorted(PATHOLOGIES))
def name(request) -> str:
    return request.param


@pytest.fixture(scope="module")
def sweep(name) -> tuple[Morphed, ...]:
    return swept(name)


@cache
def phantom() -> Volume:
    return brain_phantom(3, (64, 76, 68), 1.6)


@cache
def swept(name: str) -> tuple[Morphed, ...]:
    module, brain = PATHOLOGIES[name], phantom()
    return tuple(
        module.morph(brain.array, SCHEME, brain.spacing_mm, settings(module, values), np.random.default_rng(5))
        for values in SWEEPS[name]
    )


def settings(module: ModuleType, values: dict) -> Config:
    return build_config(module.Config, values, "test")


def test_grid_dtype_and_input_are_kept(name, brain, sweep):
    again = brain_phantom(3, (64, 76, 68), 1.6)
    np.testing.assert_array_equal(brain.array, again.array, "the source was written to")
    for morphed in sweep:
        assert morphed.labels.shape == brain.array.shape
        assert morphed.labels.dtype == brain.array.dtype
        assert morphed.displacement is None or morphed.displacement.shape == (3, *brain.array.shape)
    still = all(morphed.displacement is None for morphed in sweep)
    assert still == getattr(PATHOLOGIES[name], "REPAINTS", False), "what moves nothing says so, and nothing else does"


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


def test_the_skull_stays_where_it_is_rigid_and_moves_where_it_follows(name, brain, sweep):
    for morphed in sweep:
        if name in SKULL_FOLLOWS:
            assert ((morphed.labels > 0) != (brain.array > 0)).sum() > 100
        else:
            np.testing.assert_array_equal(morphed.labels > 0, brain.array > 0)


def test_where_voxels_are_moved_no_label_falls_apart(name, brain, sweep):
    for morphed in sweep:
        if morphed.displacement is not None:
            for value in set(SCHEME.values) - EFFACED.get(name, set()):
                before, after = (pieces(labels == value) for labels in (brain.array, morphed.labels))
                assert after <= before, (value, before, after)


def pieces(mask: np.ndarray) -> int:
    """Number of pieces that do not touch, not even by a corner, by another implementation than the engine's."""
    return int(ndi.label(mask, np.ones((3, 3, 3)))[1])


def test_every_pathology_has_settings_here():
    assert set(SWEEPS) == set(MEASURED) == set(PATHOLOGIES)


@EXACT
def test_targets_are_met_and_are_what_severity_measures(name, brain, sweep):
    module = PATHOLOGIES[name]
    for morphed in sweep:
        measured = module.severity(morphed.labels, SCHEME, brain.spacing_mm)
        assert morphed.report["targets"]
        for target in morphed.report["targets"]:
            assert target["reached"] == measured[target["measure"]]
            if target["unit"] == "mL":
                assert target["reached"] == pytest.approx(target["asked"], rel=0.005), target
            else:
                assert (target["unit"], target["reached"]) == ("mm", pytest.approx(target["asked"], abs=0.3)), target


@EXACT
def test_what_is_not_asked_to_change_is_kept(name, brain, sweep):
    for morphed in sweep:
        for value in set(SCHEME.values) - ASKED[name] - {4}:
            assert (morphed.labels == value).sum() == pytest.approx((brain.array == value).sum(), rel=0.03), value


@EXACT
@pytest.mark.parametrize(("first", "second"), [(3, 7), (8, 2)], ids=["cerebellum-brainstem", "callosum-ventricles"])
def test_what_touched_still_touches(name, brain, sweep, first, second):
    before = faces(brain.array, first, second)
    assert before > 10
    for morphed in sweep:
        assert faces(morphed.labels, first, second) > 0.3 * before


def faces(labels: np.ndarray, first: int, second: int) -> int:
    """Number of faces that two labels share."""
    count = 0
    for axis in range(3):
        a, b = (np.moveaxis(labels, axis, 0)[part] for part in (slice(1, None), slice(None, -1)))
        count += int((((a == first) & (b == second)) | ((a == second) & (b == first))).sum())
    return count


@EXACT
def test_nothing_folds_inside_the_head(name, brain, sweep):
    for morphed in sweep:
        gradient = np.stack([np.stack(np.gradient(axis)) for axis in morphed.displacement.astype(np.float64)])
        determinant = np.linalg.det(np.moveaxis(gradient, (0, 1), (-2, -1)) + np.eye(3))
        assert determinant[(brain.array > 0) & (morphed.labels > 0)].min() > 0
        assert determinant[brain.array > 0].min() > -1e-6, "where a label is peeled off, space may close but not fold"


@EXACT
def test_the_displacement_carries_the_labels_up_to_the_voxels_that_were_flipped(name, brain, sweep):
    for morphed in sweep:
        at = np.indices(brain.array.shape) + morphed.displacement
        soft = [ndi.map_coordinates((brain.array == v) * 1.0, at, order=1, mode="nearest") for v in range(9)]
        if name not in SKULL_FOLLOWS:
            soft[0] = np.where(brain.array > 0, -1.0, 2.0)
        differ = int((np.argmax(soft, axis=0) != morphed.labels).sum())
        allowed = morphed.report["flipped_voxels"] + morphed.report["tidied_voxels"]
        assert differ <= allowed + 0.002 * (brain.array > 0).sum(), (differ, allowed)


@EXACT
def test_thick_slices_get_the_same_millilitres(name, brain, sweep):
    """The same head on voxels of half the height."""
    module, half = PATHOLOGIES[name], (1.6, 1.6, 0.8)
    config = settings(module, SWEEPS[name][1])
    morphed = module.morph(np.repeat(brain.array, 2, axis=2), SCHEME, half, config, np.random.default_rng(5))
    for found, wanted in zip(morphed.report["targets"], sweep[1].report["targets"], strict=True):
        tolerance = {"rel": 0.01} if found["unit"] == "mL" else {"abs": 0.8}
        assert found["asked"] == pytest.approx(wanted["asked"], **tolerance)
        assert found["reached"] == pytest.approx(wanted["reached"], **tolerance), found["measure"]
