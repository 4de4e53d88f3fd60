"""What every pathology must refuse, and how: by name, with the numbers, before anything is solved."""

from functools import cache

import nibabel as nib
import numpy as np
import pytest

from pathosynth.data.labels import load_scheme, remap_labels
from pathosynth.data.phantom import brain_phantom
from pathosynth.data.volume import Volume
from pathosynth.morphing import Morphed, reach, reshape
from pathosynth.pathologies import PATHOLOGIES
from pathosynth.runs.config import build_config
from pathosynth.runs.errors import ConfigError, InputError, MorphError

SCHEME = load_scheme("kcl8")

USUAL = {
    "ventriculomegaly": {"ventricle_fold": 1.5},
    "dilation": {"iterations": 5},
    "paper_cerebellar_hypoplasia": {"divisor": 1.3},
    "paper_pontocerebellar_hypoplasia": {"scale": 0.8},
    "paper_microcephaly": {"divisor": 1.05},
    "cerebellar_hypoplasia": {"cerebellum_fold": 0.7},
    "pontocerebellar_hypoplasia": {"cerebellum_fold": 0.7, "pons_ap_fold": 0.9},
    "microcephaly": {"brain_fold": 0.9},
    "chiari2": {"age_weeks": 24.0},
    "profile": {"folds": {"cerebellum": 0.8}},
}
"""A request each pathology could carry out on a good map."""

NEEDED = {
    "ventriculomegaly": ["ventricles"],
    "dilation": ["ventricles"],
    "paper_cerebellar_hypoplasia": ["cerebellum"],
    "paper_pontocerebellar_hypoplasia": ["brainstem"],
    "paper_microcephaly": ["external_csf"],
    "cerebellar_hypoplasia": ["cerebellum"],
    "pontocerebellar_hypoplasia": ["cerebellum", "brainstem"],
    "microcephaly": ["tissue"],
    "chiari2": ["ventricles", "cerebellum", "brainstem", "external_csf"],
    "profile": ["cerebellum"],
}
"""Groups without which the pathology makes no sense; the four-class scheme `fetal4` has none of them but tissue."""

EXACT = set(NEEDED) - {name for name in NEEDED if name == "dilation" or name.startswith("paper_")}

needs = pytest.mark.parametrize(
    ("name", "group"), [(name, group) for name, groups in NEEDED.items() for group in groups]
)
every = pytest.mark.parametrize("name", sorted(PATHOLOGIES))


@cache
def brain() -> Volume:
    return brain_phantom(3, (64, 76, 68), 1.6)


def morph(name: str, labels: np.ndarray, scheme=SCHEME, spacing=(1.6, 1.6, 1.6), **values) -> Morphed:
    module = PATHOLOGIES[name]
    config = build_config(module.Config, values or USUAL[name], "test")
    return module.morph(labels, scheme, spacing, config, np.random.default_rng(0))


@pytest.fixture
def no_flow(monkeypatch):
    """Fails the test when a flow is set up or takes a step."""

    def started(*_, **__):
        raise AssertionError("the flow was started")

    monkeypatch.setattr(reshape, "prepare", started)
    monkeypatch.setattr(reach, "begin", started)
    monkeypatch.setattr(reach, "step", started)


def test_every_pathology_is_tried_here():
    assert set(USUAL) == set(NEEDED) == set(PATHOLOGIES)


@every
def test_maps_that_merge_structures_are_refused(name, no_flow):
    merged = remap_labels(brain().array, SCHEME.to["fetal4"], others="error")
    with pytest.raises(InputError, match=r"'fetal4'"):
        morph(name, merged, load_scheme("fetal4"))


@every
@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda a: a.astype(np.float32), "integers"),
        (lambda a: np.where(a == 3, np.nan, a), "integers"),
        (lambda a: a[..., None], "3D"),
        (lambda a: np.zeros_like(a), "empty"),
        (lambda a: np.where(a == 3, 77, a).astype(np.uint8), r"77 \(\d+ voxels\)"),
        (lambda a: np.where(a == 3, -1, a.astype(np.int16)), "-1"),
    ],
    ids=["float", "NaN", "4D", "empty", "unknown value", "negative"],
)
def test_bad_labels_are_refused_by_name(name, spoil, message, no_flow):
    with pytest.raises(InputError, match=message):
        morph(name, spoil(brain().array))


@every
@pytest.mark.parametrize("spacing", [(1.6, 1.6, 0.0), (1.6, -1.6, 1.6), (1.6, 1.6, float("nan")), (1.6, 1.6)])
def test_impossible_voxel_sizes_are_refused(name, spacing, no_flow):
    with pytest.raises(InputError, match="Voxel size"):
        morph(name, brain().array, spacing=spacing)


@needs
def test_a_map_without_the_structure_is_refused_by_name(name, group, no_flow):
    other = 4 if group == "tissue" else 1
    without = np.where(SCHEME.mask(brain().array, group), other, brain().array).astype(np.uint8)
    with pytest.raises(InputError, match=rf"(No|no voxel of|needs) '?{group}"):
        morph(name, without)


@pytest.mark.parametrize(("name", "group"), [(n, g) for n in sorted(EXACT) for g in NEEDED[n]])
def test_a_structure_of_one_voxel_is_refused_with_its_size(name, group, no_flow):
    other, member = (4, 1) if group == "tissue" else (1, SCHEME.group(group)[0])
    labels = brain().array.copy()
    mask = SCHEME.mask(labels, group)
    at = tuple(np.argwhere(mask)[len(np.argwhere(mask)) // 2])
    labels[mask] = other
    labels[at] = member
    with pytest.raises(InputError, match=rf"{group}.*1 voxel"):
        morph(name, labels)


WITHOUT_SLACK = {
    "ventriculomegaly": USUAL["ventriculomegaly"],
    "cerebellar_hypoplasia": USUAL["cerebellar_hypoplasia"],
    "pontocerebellar_hypoplasia": USUAL["pontocerebellar_hypoplasia"],
    "microcephaly": {"brain_fold": 0.9, "head_share": 0.0},
    "profile": {"folds": {"cerebellum": 0.8}, "skull_share": 0.0},
}
"""Requests that only external CSF could pay."""


@pytest.mark.parametrize(("name", "values"), WITHOUT_SLACK.items())
def test_without_external_csf_and_with_a_rigid_skull_the_way_out_is_named(name, values, no_flow):
    labels = np.where(brain().array == 4, 5, brain().array).astype(np.uint8)
    with pytest.raises(MorphError, match=r"No slack.*skull_share=1"):
        morph(name, labels, **values)


TOO_MUCH = {
    "ventriculomegaly": {"ventricle_ml": 150.0},
    "cerebellar_hypoplasia": {"cerebellum_ml": 150.0},
    "pontocerebellar_hypoplasia": {"cerebellum_ml": 150.0, "pons_ap_fold": 0.9},
    "microcephaly": {"brain_fold": 2.0, "head_share": 0.1},
    "profile": {"volumes_ml": {"cerebellum": 150.0}, "skull_share": 0.2},
}
"""Requests beyond what external CSF and skull can pay."""


@pytest.mark.parametrize(("name", "values"), TOO_MUCH.items())
def test_a_target_beyond_the_slack_is_refused_before_solving_with_the_budget(name, values, no_flow):
    budget = r"needs \d+\.\d mL.*external CSF can give \d+\.\d of \d+\.\d mL.*skull gives.*\d+\.\d mL are missing"
    with pytest.raises(MorphError, match=budget):
        morph(name, brain().array, **values)


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("cerebellar_hypoplasia", {"cerebellum_z": -2.0}),
        ("cerebellar_hypoplasia", {"transcerebellar_diameter_z": -2.0}),
        ("pontocerebellar_hypoplasia", {"cerebellum_fold": 0.8, "pons_ap_z": -2.0}),
        ("pontocerebellar_hypoplasia", {"cerebellum_z": -2.0, "pons_ap_fold": 0.8}),
        ("microcephaly", {"brain_z": -2.0}),
        ("microcephaly", {"head_circumference_z": -3.0}),
        ("chiari2", {"strength": 0.5}),
    ],
)
class TestAges:
    def test_a_z_score_without_an_age_is_refused(self, name, values, no_flow):
        with pytest.raises(InputError, match=r"age.*not known.*age_weeks"):
            morph(name, brain().array, **values)

    @pytest.mark.parametrize("age", [12.0, 45.0])
    def test_an_age_outside_the_norm_is_refused_with_its_range(self, name, values, age, no_flow):
        with pytest.raises(InputError, match=rf"{age:g}.*weeks"):
            morph(name, brain().array, age_weeks=age, **values)


@pytest.mark.parametrize(
    ("name", "values", "named"),
    [
        ("cerebellar_hypoplasia", {}, "exactly one"),
        ("cerebellar_hypoplasia", {"cerebellum_ml": 3.0, "cerebellum_fold": 0.5}, "exactly one"),
        ("cerebellar_hypoplasia", {"transcerebellar_diameter_mm": 30.0, "pattern": "left"}, "pattern"),
        ("cerebellar_hypoplasia", {"transcerebellar_diameter_z": -2.0, "pattern": "vermian"}, "pattern"),
        ("cerebellar_hypoplasia", {"cerebellum_fold": 0.5, "pattern": "upper"}, "pattern"),
        ("cerebellar_hypoplasia", {"cerebellum_fold": -0.5}, "cerebellum_fold"),
        ("cerebellar_hypoplasia", {"cerebellum_z": float("nan"), "age_weeks": 28.0}, "cerebellum_z"),
        ("pontocerebellar_hypoplasia", {"cerebellum_fold": 0.7}, "exactly one of pons"),
        ("pontocerebellar_hypoplasia", {"pons_ap_fold": 0.7}, "exactly one of cerebellum"),
        ("pontocerebellar_hypoplasia", {"cerebellum_fold": 0.7, "pons_ap_fold": 0.7, "pons_ap_mm": 8.0}, "pons_ap_mm"),
        ("pontocerebellar_hypoplasia", {"cerebellum_fold": 0.7, "pons_ap_fold": 0.7, "pattern": "vermian"}, "pattern"),
        ("pontocerebellar_hypoplasia", {"cerebellum_fold": 0.7, "pons_ap_z": float("nan")}, "pons_ap_z"),
        ("microcephaly", {"brain_fold": 0.8, "brain_ml": 100.0}, "exactly one"),
        ("microcephaly", {"head_circumference_mm": 240.0, "head_share": 0.0}, "head_share"),
        ("microcephaly", {"brain_fold": 0.8, "skull_share": 0.5}, "head_share"),
        ("microcephaly", {"brain_fold": 0.8, "head_share": 1.5}, "head_share"),
        ("microcephaly", {"head_circumference_z": float("inf"), "age_weeks": 28.0}, "head_circumference_z"),
        ("chiari2", {"age_weeks": 24.0, "ventricle_ml": 9.0, "atrial_width_mm": 12.0}, "at most one"),
        ("chiari2", {"age_weeks": 24.0, "skull_share": 0.5}, "skull"),
        ("chiari2", {"age_weeks": 24.0, "repair": "birth"}, "repair"),
        ("chiari2", {"age_weeks": 24.0, "strength": 0.0}, "strength"),
        ("profile", {}, "volumes_ml, folds, like or table"),
        ("profile", {"like": "a.nii.gz", "folds": {"cortex": 0.9}}, "like"),
        ("profile", {"folds": {"cortex": 0.0}}, "cortex"),
        ("profile", {"volumes_ml": {"cortex": float("nan")}}, "cortex"),
    ],
)
def test_contradictory_or_senseless_settings_are_refused_by_name(name, values, named):
    with pytest.raises(ConfigError, match=named):
        build_config(PATHOLOGIES[name].Config, values, "test")


def test_a_sheared_file_is_refused_by_its_name(tmp_path):
    affine = np.diag([1.6, 1.6, 1.6, 1.0])
    affine[0, 1] = 0.5
    path = tmp_path / "sheared.nii.gz"
    nib.save(nib.Nifti1Image(brain().array, affine), path)
    with pytest.raises(InputError, match=r"sheared\.nii\.gz"):
        morph("profile", brain().array, like=str(path))
