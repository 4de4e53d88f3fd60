"""Adult label maps: every value is known, and volumes by group equal those that come with the data."""

import csv
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from pathosynth.data.labels import LabelScheme, check_values, load_scheme, remap_labels
from pathosynth.data.nifti import read_labels

pytestmark = [pytest.mark.real_data, pytest.mark.slow]

SETS = {
    "adult_labels": ("synthsegfull", "{}_dseg.nii.gz"),
    "adult_t1w_small": ("neuromorph", "{}_desc-neuromorph_dseg.nii.gz"),
    "adult_t1w_enlarged_dev": ("neuromorph", "{}_desc-neuromorph_dseg.nii.gz"),
}
COLUMNS = {
    "ml_lateral_left": ("left_lateral_ventricle", "left_inferior_horn"),
    "ml_lateral_right": ("right_lateral_ventricle", "right_inferior_horn"),
    "ml_lateral_total": ("lateral_ventricles", "inferior_horns"),
    "ml_third": ("third_ventricle", None),
    "ml_fourth": ("fourth_ventricle", None),
    "ml_inferior_horns": ("inferior_horns", None),
    "ml_ventricular_csf": ("ventricles", None),
    "ml_cerebellum": ("cerebellum", None),
    "ml_brainstem": ("brainstem", None),
}
"""Columns of participants.tsv: the group whose volume each holds, and the group that it leaves out."""


def maps(root: Path, folder: str) -> Iterator[tuple[dict[str, str], np.ndarray, float]]:
    """Row of participants.tsv, labels and millilitres per voxel of every case."""
    if not (root / folder).is_dir():
        pytest.skip(f"no folder {folder} in {root}")
    for row in csv.DictReader((root / folder / "participants.tsv").open(), delimiter="\t"):
        name, pattern = SETS[folder]
        volume = read_labels(root / folder / pattern.format(row["participant_id"]), load_scheme(name))
        yield row, volume.array, float(np.prod(volume.spacing_mm)) / 1000


def legend(root: Path, folder: str) -> dict[int, dict[str, str]]:
    return {int(row["value"]): row for row in csv.DictReader((root / folder / "labels.tsv").open(), delimiter="\t")}


@pytest.mark.parametrize("folder", SETS)
def test_legends_agree_with_the_scheme(folder: str, real_data: Path) -> None:
    """Every value of the data's legend is in the scheme and goes to the same eight tissues and FreeSurfer numbers."""
    if not (real_data / folder).is_dir():
        pytest.skip(f"no folder {folder} in {real_data}")
    scheme, rows = load_scheme(SETS[folder][0]), legend(real_data, folder)
    assert set(scheme.values) == set(rows) - {0}
    assert scheme.to["kcl8"] == {value: int(row["h8"]) for value, row in rows.items() if value}
    if "freesurfer" in rows[max(rows)]:
        assert scheme.to["aseg"] == {value: int(row["freesurfer"]) for value, row in rows.items()}


@pytest.mark.parametrize("folder", SETS)
def test_volumes_equal_those_that_come_with_the_maps(folder: str, real_data: Path) -> None:
    scheme = load_scheme(SETS[folder][0])
    checked = 0
    for row, labels, voxel_ml in maps(real_data, folder):
        counts = dict(zip(*np.unique(labels, return_counts=True), strict=True))
        for column, (group, without) in COLUMNS.items():
            values = set(scheme.group(group)) - set(scheme.group(without) if without else ())
            found = voxel_ml * sum(int(counts.get(value, 0)) for value in values)
            assert found == pytest.approx(float(row[column]), rel=0.01, abs=0.006), (row["participant_id"], column)
        checked += 1
    assert checked >= 4


@pytest.mark.parametrize("folder", SETS)
def test_remapped_maps_keep_the_outline_of_the_brain(folder: str, real_data: Path) -> None:
    scheme = load_scheme(SETS[folder][0])
    _, labels, _ = next(maps(real_data, folder))
    for target, table in scheme.to.items():
        other: LabelScheme = load_scheme(target)
        mapped = remap_labels(labels, table, others="error")
        check_values(mapped, other, target)
        np.testing.assert_array_equal(mapped > 0, scheme.mask(labels, "intracranial"), err_msg=target)
