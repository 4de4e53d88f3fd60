"""The volumes of another brain, tables, groups, and tables nobody can follow."""

import nibabel as nib
import numpy as np
import pytest

from pathosynth.data.labels import load_scheme
from pathosynth.data.phantom import brain_phantom
from pathosynth.morphing import measure
from pathosynth.pathologies import profile
from pathosynth.runs.config import build_config
from pathosynth.runs.errors import InputError

KCL8 = load_scheme("kcl8")
H = (1.6, 1.6, 1.6)


@pytest.fixture(scope="module")
def brain():
    return brain_phantom(3, (64, 76, 68), 1.6)


def morph(brain, **values):
    config = build_config(profile.Config, values, "test")
    return profile.morph(brain.array, KCL8, brain.spacing_mm, config, np.random.default_rng(0))


def save(path, labels, spacing=1.6):
    nib.save(nib.Nifti1Image(labels, np.diag([spacing, spacing, spacing, 1.0])), path)
    return str(path)


@pytest.mark.parametrize(("source", "other"), [(3, 1), pytest.param(2, 5, marks=pytest.mark.slow)])
def test_every_label_takes_the_volume_it_has_in_the_other_brain(source, other, tmp_path):
    shape, h = (88, 104, 96), 1.2
    brain, other = (brain_phantom(seed, shape, h) for seed in (source, other))
    wanted, now = (measure.volumes_ml(volume.array, (h, h, h)) for volume in (other, brain))
    assert max(abs(wanted[v] / now[v] - 1) for v in now) > 0.08
    morphed = morph(brain, like=save(tmp_path / "other.nii.gz", other.array, h))
    assert measure.volumes_ml(morphed.labels, (h, h, h)) == pytest.approx(wanted, rel=0.005)
    assert {t["measure"] for t in morphed.report["targets"]} == {f"{KCL8[v].name}_ml" for v in wanted}


def test_the_other_brain_may_have_other_voxels(brain, tmp_path):
    fine = np.kron(brain.array, np.ones((2, 2, 2), np.uint8))
    morphed = morph(brain, like=save(tmp_path / "fine.nii.gz", fine, 0.8))
    assert measure.volumes_ml(morphed.labels, H) == pytest.approx(measure.volumes_ml(brain.array, H), rel=0.005)


@pytest.mark.parametrize(("name", "separator"), [("t.csv", ","), ("t.tsv", "\t")])
def test_tables_with_volumes_and_folds(brain, tmp_path, name, separator):
    rows = [("name", "volume_ml", "fold"), ("cerebellum", "7.5", ""), ("ventricles", "", "1.5")]
    path = tmp_path / name
    path.write_text("".join(separator.join(row) + "\n" for row in rows), encoding="utf-8-sig")
    morphed = morph(brain, table=str(path))
    before, after = (measure.volumes_ml(labels, H) for labels in (brain.array, morphed.labels))
    assert after[3] == pytest.approx(7.5, rel=0.005)
    assert after[2] == pytest.approx(1.5 * before[2], rel=0.005)
    for value in (1, 5, 6, 7, 8):
        assert after[value] == pytest.approx(before[value], rel=0.005)


def test_a_table_overrules_nothing_but_adds_to_settings(brain, tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("name,fold\ncerebellum,0.8\n")
    targets = morph(brain, table=str(path), folds={"ventricles": 1.2}).report["targets"]
    assert {t["measure"] for t in targets} == {"cerebellum_ml", "ventricles_ml"}


def test_labels_of_a_group_keep_their_proportions(brain):
    before = measure.volumes_ml(brain.array, H)
    after = measure.volumes_ml(morph(brain, folds={"tissue": 0.9}).labels, H)
    for value in (1, 3, 5, 6, 7, 8):
        assert after[value] == pytest.approx(0.9 * before[value], rel=0.005)
    assert after[2] == pytest.approx(before[2], rel=0.005)


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_skull_and_csf_share_what_the_labels_gain(brain, share):
    morphed = morph(brain, folds={"ventricles": 2.0}, skull_share=share)
    gain = int((brain.array == 2).sum())
    assert (morphed.labels > 0).sum() - (brain.array > 0).sum() == pytest.approx(share * gain, abs=3)
    assert (morphed.labels == 4).sum() - (brain.array == 4).sum() == pytest.approx(-(1 - share) * gain, abs=3)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "at least one row; found none"),
        ("name,volume_ml\n", "at least one row; found none"),
        ("label,volume_ml\ncerebellum,5\n", r"t\.csv, line 2: expected a new name"),
        ("name,ml\ncerebellum,5\n", r"line 2: expected a new name and one of volume_ml and fold"),
        ("name,volume_ml\ncerebellum,five\n", "line 2"),
        ("name,volume_ml\ncerebellum,-5\n", "line 2"),
        ("name,volume_ml\ncerebellum,nan\n", "line 2"),
        ("name,volume_ml\ncerebellum,inf\n", "line 2"),
        ("name,volume_ml,fold\ncortex,,1.1\ncerebellum,5,0.5\n", "line 3"),
        ("name,volume_ml\n,5\n", "line 2"),
        ("name,fold\ncerebelum,0.5\n", "'cerebelum' is neither a label nor a group.*cerebellum"),
        ("name,fold\ncerebellum,0.5\ncerebellum,0.7\n", "line 3: expected a new name"),
        ("name,fold\ntissue,0.9\ncerebellum,0.7\n", "cerebellum has two targets"),
    ],
)
def test_tables_nobody_can_follow_are_refused(brain, tmp_path, text, message):
    path = tmp_path / "t.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        morph(brain, table=str(path))


def test_a_target_both_in_volumes_and_in_folds_is_refused(brain):
    with pytest.raises(InputError, match="cerebellum has two targets"):
        morph(brain, folds={"cerebellum": 0.5}, volumes_ml={"cerebellum": 5.0})


def test_a_target_both_in_a_table_and_in_settings_is_refused(brain, tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("name,fold\ncerebellum,0.8\n")
    with pytest.raises(InputError, match="cerebellum has two targets"):
        morph(brain, table=str(path), folds={"cerebellum": 0.5})


def test_files_that_cannot_be_read_are_named(brain, tmp_path):
    with pytest.raises(InputError, match=r"missing\.csv"):
        morph(brain, table=str(tmp_path / "missing.csv"))
    (tmp_path / "binary.csv").write_bytes(b"\xff\xfe\x00name")
    with pytest.raises(InputError, match=r"binary\.csv.*UTF-8"):
        morph(brain, table=str(tmp_path / "binary.csv"))
    with pytest.raises(InputError, match=r"missing\.nii\.gz"):
        morph(brain, like=str(tmp_path / "missing.nii.gz"))


def test_another_brain_without_a_label_or_of_another_scheme_is_refused(brain, tmp_path):
    lacking = np.where(brain.array == 8, 1, brain.array).astype(np.uint8)
    with pytest.raises(InputError, match=r"lacking\.nii\.gz.*corpus_callosum"):
        morph(brain, like=save(tmp_path / "lacking.nii.gz", lacking))
    with pytest.raises(InputError, match=r"foreign\.nii\.gz.*41"):
        morph(brain, like=save(tmp_path / "foreign.nii.gz", np.where(lacking == 1, 41, lacking).astype(np.uint8)))
