from pathlib import Path

import numpy as np
import pytest

from pathosynth.data.cases import Case
from pathosynth.data.grid import to_orientation_of
from pathosynth.data.labels import load_scheme
from pathosynth.data.nifti import write_labels
from pathosynth.data.volume import Volume
from pathosynth.runs.errors import ConfigError, InputError
from pathosynth.segmenters.external import Config, check, find, labels_of, nearest
from pathosynth.segmenters.job import Prediction


def grid(shape: tuple[int, int, int], spacing: float, origin: tuple[float, float, float] = (0, 0, 0)) -> Volume:
    affine = np.diag([spacing, spacing, spacing, 1.0])
    affine[:3, 3] = origin
    return Volume(np.zeros(shape, dtype=np.uint8), affine)


def case(name: str = "sub-01", subject: str = "sub-01") -> Case:
    return Case(case=name, subject=subject, scheme="kcl8")


def asked(config: Config) -> Prediction:
    return Prediction(config, load_scheme(check(config)), Path("unused"))


def test_each_voxel_gets_the_value_of_the_voxel_its_centre_lies_in(rng: np.random.Generator) -> None:
    coarse = Volume(rng.integers(0, 9, (6, 7, 5)).astype(np.uint8), grid((6, 7, 5), 3.0, (-4, 2, 1)).affine)
    fine = grid((25, 20, 19), 0.71, (-7.0, 1.0, -0.3))
    found = nearest(coarse, fine).array
    for i, j, k in rng.integers(0, (25, 20, 19), (300, 3)):
        world = fine.affine @ (i, j, k, 1)
        voxel = np.linalg.inv(coarse.affine) @ world
        distances = [abs(np.arange(n) - voxel[axis]) for axis, n in enumerate(coarse.shape)]
        at = tuple(int(one.argmin()) for one in distances)
        inside = all(one.min() <= 0.5 for one in distances)
        assert found[i, j, k] == (coarse.array[at] if inside else 0)


def test_orientation_does_not_matter_and_one_grid_is_taken_as_it_is(rng: np.random.Generator) -> None:
    like = grid((9, 8, 7), 1.3, (3, -5, 2))
    labels = like.with_array(rng.integers(0, 9, like.shape).astype(np.uint8))
    flipped_affine = np.diag([-1.3, -1.3, 1.3, 1.0])
    flipped = to_orientation_of(labels, Volume(np.zeros(like.shape, dtype=np.uint8), flipped_affine))
    assert not np.array_equal(flipped.array, labels.array)
    np.testing.assert_array_equal(nearest(flipped, like).array, labels.array)
    np.testing.assert_array_equal(nearest(labels, like).array, labels.array)


def test_oblique_predictions_lie_where_they_should() -> None:
    turn = np.eye(4)
    turn[:2, :2] = [[np.cos(0.5), -np.sin(0.5)], [np.sin(0.5), np.cos(0.5)]]
    source = grid((60, 60, 20), 1.0, (-30, -30, -10))
    points = np.moveaxis(np.indices(source.shape), 0, -1) @ np.eye(3) + (-30, -30, -10)
    ball_at = np.array([8.0, -3.0, 1.0])
    placed = Volume(source.array, turn @ source.affine)
    world = points @ turn[:3, :3].T
    placed = placed.with_array((np.linalg.norm(world - ball_at, axis=-1) < 6).astype(np.uint8))
    found = nearest(placed, grid((60, 60, 20), 1.0, (-30, -30, -10))).array
    centre = np.argwhere(found).mean(axis=0) + np.array([-30, -30, -10])
    assert np.linalg.norm(centre - ball_at) < 0.1
    assert abs(found.sum() / (4 / 3 * np.pi * 6**3) - 1) < 0.02


@pytest.mark.parametrize(
    ("files", "settings", "wanted"),
    [
        (["sub-01.nii.gz", "sub-01_T1w.nii.gz"], {}, "sub-01.nii.gz"),
        (["sub-01_synthseg.nii.gz", "sub-010_synthseg.nii.gz"], {}, "sub-01_synthseg.nii.gz"),
        (["deep/er/sub-01.mgz"], {}, "deep/er/sub-01.mgz"),
        (["sub-01/mri/aseg.mgz", "sub-01/mri/wm.mgz"], {"file": "{subject}/mri/aseg.mgz"}, "sub-01/mri/aseg.mgz"),
    ],
)
def test_the_file_of_a_case_is_found(tmp_path: Path, files: list[str], settings: dict, wanted: str) -> None:
    for name in files:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    config = Config(predictions=tmp_path, scheme="aseg", **settings)
    assert find(case(), config, {}) == tmp_path / wanted
    assert find(case("other", "sub-01"), config, {}) == tmp_path / wanted  # by the subject, where no case has that name


def test_no_file_and_two_files_are_refused(tmp_path: Path) -> None:
    config = Config(predictions=tmp_path, scheme="aseg")
    with pytest.raises(InputError, match="no prediction of case 'sub-01'"):
        find(case(), config, {})
    for name in ("sub-01_a.nii.gz", "sub-01_b.nii.gz"):
        (tmp_path / name).touch()
    with pytest.raises(InputError, match="found 2 predictions"):
        find(case(), config, {})


SCANS = {"sub-01_ses-1": "sub-01", "sub-01_ses-2": "sub-01"}


@pytest.mark.parametrize(
    ("file", "people", "name"),
    [
        ("p1_b_synthseg", {"p1": "p1", "p1_b": "p1_b"}, "p1"),
        ("p1_b_synthseg", {"p1": "p1", "x": "p1_b"}, "p1"),
        ("sub-01_ses-2_synthseg", SCANS, "sub-01_ses-1"),
        ("sub-01_ses-2_synthseg", {"sub-01_ses-1": "sub-01"}, "sub-01_ses-1"),
        ("sub-01_ses-2_synthseg", {"sub-01": "sub-01"}, "sub-01"),
        ("sub-01_run-2_synthseg", {"sub-01": "sub-01"}, "sub-01"),
        ("sub-01/ses-2/anat/sub-01_synthseg", {"sub-01_ses-1": "sub-01"}, "sub-01_ses-1"),
        ("sub-01_synthseg", SCANS, "sub-01_ses-1"),
        ("b_synthseg", {"a": "b", "b": "c"}, "a"),
    ],
)
def test_another_case_s_or_session_s_file_is_not_taken(
    tmp_path: Path, file: str, people: dict[str, str], name: str
) -> None:
    path = tmp_path / f"{file}.nii.gz"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    config = Config(predictions=tmp_path, scheme="aseg")
    with pytest.raises(InputError, match=f"no prediction of case '{name}'"):
        find(case(name, people[name]), config, people)


def test_every_scan_gets_its_own_file(tmp_path: Path) -> None:
    for name in ("sub-01_ses-1_seg", "sub-01_ses-2_seg", "sub-02_seg", "p1_seg", "p1_b_seg", "sub-01_ses-1_run-2_seg"):
        (tmp_path / f"{name}.nii.gz").touch()
    people = SCANS | {"sub-02_ses-1": "sub-02", "p1": "p1", "p1_b": "p1_b", "sub-01_ses-1_run-2": "sub-01"}
    config = Config(predictions=tmp_path, scheme="aseg")
    found = {name: find(case(name, subject), config, people).name for name, subject in people.items()}
    own = {name: f"{name}_seg.nii.gz" for name in people}
    assert found == own | {"sub-02_ses-1": "sub-02_seg.nii.gz"}, "by the person's name where it has one scan"


def test_a_template_that_gives_one_file_to_two_cases_is_refused(tmp_path: Path) -> None:
    (tmp_path / "sub-01.nii.gz").touch()
    config = Config(predictions=tmp_path, scheme="aseg", file="{subject}.nii.gz")
    with pytest.raises(InputError, match=r"sub-01_ses-1, sub-01_ses-2.*Use \{case\}"):
        find(case("sub-01_ses-1", "sub-01"), config, SCANS)
    assert find(case("sub-01_ses-1", "sub-01"), config, {"sub-01_ses-1": "sub-01"}).name == "sub-01.nii.gz"


def planted(tmp_path: Path, values: list[int]) -> Volume:
    like = grid((6, 6, 6), 1.0)
    labels = np.zeros(like.shape, dtype=np.uint16)
    labels[2, 2, : len(values)] = values
    write_labels(tmp_path / "sub-01.nii.gz", like.with_array(labels))
    return like


def test_a_value_the_scheme_does_not_know_is_named_with_its_file(tmp_path: Path) -> None:
    like = planted(tmp_path, [4, 43, 1234])
    with pytest.raises(InputError, match=r"sub-01\.nii\.gz.*1234"):
        labels_of(case(), like, asked(Config(predictions=tmp_path, scheme="aseg")))
    kept = labels_of(case(), like, asked(Config(predictions=tmp_path, scheme="aseg", remap={1234: 0})))
    assert set(np.unique(kept.array)) == {0, 4, 43}


def test_remapping_to_another_scheme_follows_its_table(tmp_path: Path) -> None:
    source = load_scheme("synthseg")
    target = next(iter(source.to))
    like = planted(tmp_path, [source.values[0], source.values[-1]])
    made = labels_of(case(), like, asked(Config(predictions=tmp_path, scheme="synthseg", to_scheme=target)))
    table = source.to[target]
    assert list(made.array[2, 2, :2]) == [table[source.values[0]], table[source.values[-1]]]
    with pytest.raises(ConfigError, match="has tables to"):
        check(Config(predictions=tmp_path, scheme="kcl8", to_scheme="aseg"))


def test_a_prediction_beside_the_image_is_refused_instead_of_counted_as_missed(tmp_path: Path) -> None:
    planted(tmp_path, [4])
    with pytest.raises(InputError, match="outside the image"):
        labels_of(case(), grid((6, 6, 6), 1.0, (100, 0, 0)), asked(Config(predictions=tmp_path, scheme="aseg")))


def test_braces_other_than_case_and_subject_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="session"):
        Config(predictions=tmp_path, scheme="aseg", file="{session}.nii.gz")
    with pytest.raises(InputError, match="expected a folder"):
        check(Config(predictions=tmp_path / "none", scheme="aseg"))
