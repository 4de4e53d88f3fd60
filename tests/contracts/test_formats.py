"""Every data set format: what is written is read back with the same cases, affine, voxels and label names."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pathosynth.data.cases import Case
from pathosynth.data.labels import load_scheme
from pathosynth.data.nifti import read_field, read_image, read_labels, write_field, write_image, write_labels
from pathosynth.data.volume import Volume
from pathosynth.formats import FORMATS, bids, flat, nnunet
from pathosynth.runs.errors import ConfigError, InputError

Maker = Callable[..., tuple[Volume, Volume]]

LAS = np.array([[-0.8, 0, 0, 31.5], [0, 0.8, 0, -20], [0, 0, 0.8, 4], [0, 0, 0, 1]])


def three_cases(folder: Path, make: Maker, scheme: str = "kcl8") -> list[Case]:
    """Two real cases and a synthetic child of the first, with two contrasts, an LAS grid, ages and a displacement."""
    cases = []
    for name, subject in (("sub-a", "sub-a"), ("sub-b", "sub-b"), ("aVent01", "sub-a")):
        labels, image = make(affine=LAS)
        if scheme != "kcl8":
            table = {value: target for target, value in load_scheme(scheme).to["kcl8"].items()}
            labels = labels.with_array(np.vectorize({0: 0, **table}.get)(labels.array).astype(np.uint8))
        labels.array[0, 0, len(cases)] = labels.array.max()  # every case its own label map
        paths = {kind: folder / f"{name}_{kind}.nii.gz" for kind in ("dseg", "T1w", "T2w")}
        write_labels(paths["dseg"], labels)
        write_image(paths["T2w"], image)
        write_image(paths["T1w"], image.with_array(image.array.max() - image.array))
        images = {"T1w": paths["T1w"], "T2w": paths["T2w"]}
        cases.append(
            Case(case=name, subject=subject, scheme=scheme, labels=paths["dseg"], images=images, age_weeks=29.5)
        )
    field = np.random.default_rng(0).normal(size=(3, *labels.shape)).astype(np.float32)
    write_field(folder / "aVent01_xfm.nii.gz", field, labels.affine)
    synthetic = {"origin": "morphed", "parent": "sub-a", "pathology": "ventriculomegaly", "seed": 12345678901234567}
    synthetic |= {"severity": {"atrial_width_mm": 15.25}, "displacement": folder / "aVent01_xfm.nii.gz"}
    return [*cases[:2], cases[2].model_copy(update=synthetic)]


def assert_same_files(case: Case, other: Case) -> None:
    """Labels and images hold the same voxels on the same grid, to the bit."""
    ours, theirs = (read_labels(c.labels, load_scheme(c.scheme)) for c in (case, other))
    np.testing.assert_array_equal(ours.array, theirs.array)
    np.testing.assert_array_equal(ours.affine, theirs.affine)
    assert set(case.images) == set(other.images)
    for contrast, path in case.images.items():
        mine, yours = read_image(path), read_image(other.images[contrast])
        np.testing.assert_array_equal(mine.array, yours.array)
        np.testing.assert_array_equal(mine.affine, yours.affine)


def without_paths(case: Case) -> dict[str, object]:
    return case.model_dump(exclude={"labels", "images", "displacement"})


def test_table_of_formats() -> None:
    assert set(FORMATS) == {"bids", "flat", "nnunet"}
    for name, module in FORMATS.items():
        assert module.__name__.endswith(name)
        assert "scheme" in module.Config.model_fields
        with pytest.raises(InputError):
            module.read(Path("/nowhere"), module.Config(scheme="feta"))
        with pytest.raises(ConfigError):
            module.read(Path("/nowhere"), module.Config(scheme="nosuch"))


@pytest.mark.parametrize("scheme", ["kcl8", "synthseg"])
def test_bids_round_trip(scheme: str, small_brain: Maker, tmp_path: Path) -> None:
    cases = three_cases(tmp_path / "in", small_brain, scheme)
    written = bids.write(tmp_path / "out", cases)
    shutil.rmtree(tmp_path / "in") if scheme == "synthseg" else None
    back = {case.case: case for case in bids.read(tmp_path / "out", bids.Config(scheme=scheme))}
    assert {name: without_paths(case) for name, case in back.items()} == {c.case: without_paths(c) for c in cases}
    assert sorted(written, key=lambda c: c.case) == sorted(back.values(), key=lambda c: c.case)
    if scheme == "kcl8":
        for case in cases:
            assert_same_files(case, back[case.case])
        np.testing.assert_array_equal(read_field(cases[2].displacement)[0], read_field(back["aVent01"].displacement)[0])
    legend = (tmp_path / f"out/seg-{scheme}_dseg.tsv").read_text().splitlines()
    assert [row.split("\t")[1] for row in legend[2:]] == [label.name for label in load_scheme(scheme).labels]
    snap = [row for row in (tmp_path / f"out/seg-{scheme}_itksnap.txt").read_text().splitlines() if row[0] != "#"]
    rows = [(int(number), name.strip('"')) for number, *_, name in (row.split(maxsplit=7) for row in snap)]
    assert rows == [(0, "Clear Label"), *((label.value, label.name) for label in load_scheme(scheme).labels)]
    description = json.loads((tmp_path / "out/dataset_description.json").read_text())
    assert description["DatasetType"] == "derivative"
    assert description["GeneratedBy"][0]["Name"] == "pathosynth"


def test_written_bids_folder_passes_the_validator(small_brain: Maker, tmp_path: Path) -> None:
    found = shutil.which("bids-validator-deno", path=str(Path(sys.executable).parent)) or shutil.which(
        "bids-validator-deno"
    )
    if found is None:
        pytest.skip("bids-validator-deno is not installed; pip install bids-validator-deno to run this test")
    root = tmp_path / "out"
    bids.write(root, three_cases(tmp_path / "in", small_brain))
    for name in ("run.json", "checks.csv", "montage.png"):
        (root / name).write_text("{}")
    assert validator_errors(found, root) == set()
    (root / "sub-a/anat/sub-a_dseg_wrong.nii.gz").write_bytes(b"x")
    (root / "dataset_description.json").unlink()
    assert {"MISSING_DATASET_DESCRIPTION"} <= validator_errors(found, root), "the validator must be able to object"


def validator_errors(program: str, root: Path) -> set[str]:
    call = [program, str(root), "--format", "json", "--ignoreWarnings"]
    report = json.loads(subprocess.run(call, capture_output=True, text=True, timeout=120, check=False).stdout)
    return {issue["code"] for issue in report["issues"]["issues"] if issue.get("severity", "error") == "error"}


def test_bids_prefers_its_segmentation_and_finds_sessions(small_brain: Maker, tmp_path: Path) -> None:
    labels, image = small_brain()
    for session in ("1", "2"):
        start = f"sub-x/ses-{session}/anat/sub-x_ses-{session}"
        write_labels(tmp_path / f"{start}_seg-kcl8_dseg.nii.gz", labels)
        write_labels(tmp_path / f"{start}_seg-other_dseg.nii.gz", labels)
        write_image(tmp_path / f"{start}_T2w.nii.gz", image)
        write_image(tmp_path / f"{start}_desc-synth_T2w.nii.gz", image)
    (tmp_path / "participants.tsv").write_text("participant_id\tage\nsub-x\t33.5\n")
    cases = bids.read(tmp_path, bids.Config(scheme="kcl8"))
    assert [case.case for case in cases] == ["sub-x_ses-1", "sub-x_ses-2"]
    assert {case.subject for case in cases} == {"sub-x"}
    assert cases[0].labels == tmp_path / "sub-x/ses-1/anat/sub-x_ses-1_seg-kcl8_dseg.nii.gz"
    assert cases[1].images["T2w"].name == "sub-x_ses-2_desc-synth_T2w.nii.gz"
    assert cases[0].age_years == 33.5
    with pytest.raises(InputError, match="seg-feta_dseg"):
        bids.read(tmp_path, bids.Config(scheme="feta"))


def test_bids_names_never_collide(small_brain: Maker, tmp_path: Path) -> None:
    cases = three_cases(tmp_path / "in", small_brain)
    twins = [cases[0], cases[1].model_copy(update={"case": "a"})]
    with pytest.raises(InputError, match="share one BIDS subject name"):
        bids.write(tmp_path / "out", twins)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("scheme", ["kcl8", "synthseg"])
def test_nnunet_round_trip_with_consecutive_labels(scheme: str, small_brain: Maker, tmp_path: Path) -> None:
    cases = three_cases(tmp_path / "in", small_brain, scheme)
    root = tmp_path / "Dataset501_Ventricles"
    nnunet.write(root, cases, ["T2w", "T1w"])
    description = json.loads((root / "dataset.json").read_text())
    assert description["channel_names"] == {"0": "T2w", "1": "T1w"}
    assert sorted(description["labels"].values()) == list(range(len(load_scheme(scheme).labels) + 1))
    assert description["numTraining"] == len(list((root / "imagesTr").glob("*_0000.nii.gz"))) == 3
    stored = read_labels(root / "labelsTr/sub-a.nii.gz", None).array
    original = read_labels(cases[0].labels, load_scheme(scheme)).array
    for label in load_scheme(scheme).labels:
        np.testing.assert_array_equal(stored == description["labels"][label.name], original == label.value)
    back = nnunet.read(root, nnunet.Config(scheme=scheme, remapped=tmp_path / "remapped"))
    assert {c.case: without_paths(c) for c in back} == {c.case: without_paths(c) for c in cases}
    for case in cases:
        assert_same_files(case, next(c for c in back if c.case == case.case))


def test_nnunet_never_guesses_numbers(small_brain: Maker, tmp_path: Path) -> None:
    root = tmp_path / "Dataset502_X"
    nnunet.write(root, three_cases(tmp_path / "in", small_brain), ["T2w"])
    with pytest.raises(InputError, match=r"label names .*'ventricular_csf'.* are not in scheme 'synthseg'"):
        nnunet.read(root, nnunet.Config(scheme="synthseg"))
    with pytest.raises(InputError, match="numbers differ from scheme 'feta'"):
        nnunet.read(root, nnunet.Config(scheme="feta", names={"corpus_callosum": "white_matter"}))
    merged = nnunet.Config(scheme="feta", names={"corpus_callosum": "white_matter"}, remapped=tmp_path / "r")
    stored = read_labels(root / "labelsTr/sub-a.nii.gz", None).array
    ours = read_labels(nnunet.read(root, merged)[1].labels, load_scheme("feta")).array
    np.testing.assert_array_equal(ours == 4, stored == 2)  # ventricles: 2 in kcl8, 4 in FeTA
    description = json.loads((root / "dataset.json").read_text())
    (root / "dataset.json").write_text(json.dumps(description | {"labels": {"background": 0, "brain": [1, 2]}}))
    with pytest.raises(InputError, match="no regions"):
        nnunet.read(root, nnunet.Config(scheme="kcl8"))


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"channel_names": ["T2w"]}', '{"channel_names": {"x": "T2w"}}',
                                  '{"channel_names": {"0": "CT"}, "labels": {"background": 0, "cerebellum": 3}}',
                                  '{"channel_names": {"0": "T2w"}, "labels": ["background"]}'])  # fmt: skip
def test_broken_nnunet_descriptions_are_named(text: str, tmp_path: Path) -> None:
    (tmp_path / "dataset.json").write_text(text)
    with pytest.raises(InputError, match=r"dataset\.json"):
        nnunet.read(tmp_path, nnunet.Config(scheme="kcl8"))


def test_nnunet_keeps_test_cases_apart_and_refuses_gaps(small_brain: Maker, tmp_path: Path) -> None:
    cases = three_cases(tmp_path / "in", small_brain)
    apart = [cases[0], cases[1].model_copy(update={"split": "test"})]
    nnunet.write(tmp_path / "d", apart, ["T2w"])
    assert [path.name for path in (tmp_path / "d/labelsTs").iterdir()] == ["sub-b.nii.gz"]
    assert json.loads((tmp_path / "d/dataset.json").read_text())["numTraining"] == 1
    assert [c.split for c in nnunet.read(tmp_path / "d", nnunet.Config(scheme="kcl8"))] == ["", "test"]
    with pytest.raises(InputError, match=r"lacks contrasts \['FLAIR'\]"):
        nnunet.write(tmp_path / "e", cases, ["T2w", "FLAIR"])
    moved = read_image(cases[0].images["T1w"])
    write_image(cases[0].images["T1w"], Volume(moved.array, moved.affine + np.outer([0.1, 0, 0, 0], [0, 0, 0, 1])))
    with pytest.raises(InputError, match="case 'sub-a', labels and T1w"):
        nnunet.write(tmp_path / "f", cases, ["T1w"])


def population(subjects: int, children: int) -> list[Case]:
    real = [Case(case=f"r{i}", subject=f"s{i}", scheme="kcl8") for i in range(subjects)]
    made = [
        Case(case=f"m{i}-{j}", subject=f"s{i}", scheme="kcl8", origin="morphed", parent=f"r{i}")
        for i in range(subjects)
        for j in range(children)
    ]
    return real + made


@pytest.mark.parametrize(("subjects", "children", "folds"), [(5, 3, 5), (11, 2, 5), (4, 0, 2)])
def test_splits_never_leak(subjects: int, children: int, folds: int) -> None:
    cases = population(subjects, children)
    by_name = {case.case: case for case in cases}
    splits = nnunet.make_splits(cases, folds=folds, seed=3)
    assert len(splits) == folds
    for split in splits:
        assert all(by_name[name].origin == "real" for name in split["val"])
        sides = [{by_name[name].subject for name in split[side]} for side in ("train", "val")]
        assert not sides[0] & sides[1]
        assert len(split["train"]) == sum(case.subject in sides[0] for case in cases)
    assert sorted(name for split in splits for name in split["val"]) == sorted(f"r{i}" for i in range(subjects))
    again = nnunet.make_splits(cases[::-1], folds=folds, seed=3)
    assert [set(split["val"]) for split in splits] == [set(split["val"]) for split in again]
    assert any(splits != nnunet.make_splits(cases, folds=folds, seed=seed) for seed in range(4, 12))


def test_given_splits_are_kept_and_test_cases_left_out(tmp_path: Path) -> None:
    sides = {0: "train", 1: "train", 2: "val", 3: "test"}
    cases = [case.model_copy(update={"split": sides[int(case.subject[1:])]}) for case in population(4, 1)]
    nnunet.write_splits(tmp_path / "splits_final.json", nnunet.make_splits(cases))
    splits = json.loads((tmp_path / "splits_final.json").read_text())
    assert splits == [{"train": ["r0", "r1", "m0-0", "m1-0"], "val": ["r2"]}]
    with pytest.raises(InputError, match="5 folds need at least"):
        nnunet.make_splits(population(4, 1))


def test_flat_pairs_by_name_and_reads_ages(small_brain: Maker, tmp_path: Path) -> None:
    labels, image = small_brain()
    for stem in ("sub-1", "sub-2_ses-b"):
        write_labels(tmp_path / f"{stem}_dseg.nii.gz", labels)
    for name in ("sub-1_T2w", "sub-1_FLAIR", "sub-1_mask", "sub-2_T2w"):
        write_image(tmp_path / f"{name}.nii.gz", image)
    (tmp_path / "participants.tsv").write_text("participant_id\tga_weeks\tage\tperson\nsub-1\t24.5\tn/a\tp\n")
    cases = flat.read(tmp_path, flat.Config(scheme="kcl8", subject_column="person"))
    assert [(c.case, c.subject, c.age_weeks, c.age_years) for c in cases] == [
        ("sub-1", "p", 24.5, None), ("sub-2_ses-b", "sub-2", None, None),
    ]  # fmt: skip
    assert cases[0].images == {c: tmp_path / f"sub-1_{c}.nii.gz" for c in ("T2w", "FLAIR")}
    assert cases[1].images == {}, "an image of another stem must not be taken"
    assert cases[0].labels == tmp_path / "sub-1_dseg.nii.gz"


@pytest.mark.parametrize("layout", ["flat", "nnunet"])
def test_sessions_and_runs_are_one_person(layout: str, small_brain: Maker, tmp_path: Path) -> None:
    labels, image = small_brain()
    names = ("sub-01_ses-1", "sub-01_ses-2", "sub-01_run-1", "sub-010", "sub-x-1_a", "brain_1")
    if layout == "flat":
        for name in names:
            write_labels(tmp_path / f"{name}_dseg.nii.gz", labels)
        table = "participant_id\tage\nsub-01\t30\nsub-01_ses-2\t31\nsub-010\t50\nbrain_1\t60\n"
        (tmp_path / "participants.tsv").write_text(table)
        cases = flat.read(tmp_path, flat.Config(scheme="kcl8"))
        ages = {case.case: case.age_years for case in cases}
        assert ages == dict(zip(names, (30, 31, 30, 50, None, 60), strict=True)), "a row of the very name comes first"
    else:
        write_labels(tmp_path / "labels.nii.gz", labels)
        write_image(tmp_path / "image.nii.gz", image)
        files = {"labels": tmp_path / "labels.nii.gz", "images": {"T2w": tmp_path / "image.nii.gz"}}
        nnunet.write(tmp_path, [Case(case=name, subject=name, scheme="kcl8", **files) for name in names], ["T2w"])
        (tmp_path / nnunet.MAPPING).unlink()
        cases = nnunet.read(tmp_path, nnunet.Config(scheme="kcl8", remapped=tmp_path / "remapped"))
    people = ("sub-01", "sub-01", "sub-01", "sub-010", "sub-x-1_a", "brain_1")
    assert {case.case: case.subject for case in cases} == dict(zip(names, people, strict=True))


@pytest.mark.parametrize("kind", ["dseg", "T2w"])
def test_flat_refuses_a_volume_with_two_extensions(kind: str, tmp_path: Path) -> None:
    for name in ("a_dseg.nii.gz", "a_T2w.nii.gz", "b_dseg.nii", "unused_mask.nii", "unused_mask.nii.gz"):
        (tmp_path / name).touch()
    config = flat.Config(scheme="kcl8")
    assert [case.case for case in flat.read(tmp_path, config)] == ["a", "b"]
    (tmp_path / f"a_{kind}.nii").touch()
    with pytest.raises(InputError, match=rf"found a_{kind}\.nii(\.gz)? and a_{kind}\.nii(\.gz)?\. Move"):
        flat.read(tmp_path, config)


def test_bids_pairs_a_label_map_with_the_image_of_its_own_run(small_brain: Maker, tmp_path: Path) -> None:
    labels, image = small_brain()
    anat = tmp_path / "sub-01" / "anat"
    anat.mkdir(parents=True)
    write_labels(anat / "sub-01_run-2_seg-kcl8_dseg.nii.gz", labels)
    for run in ("1", "2"):
        write_image(anat / f"sub-01_run-{run}_T2w.nii.gz", image)
    write_image(anat / "sub-01_run-1_T1w.nii.gz", image)
    (case,) = bids.read(tmp_path, bids.Config(scheme="kcl8"))
    assert {contrast: path.name for contrast, path in case.images.items()} == {"T2w": "sub-01_run-2_T2w.nii.gz"}


def test_bids_takes_the_age_of_the_session_and_its_unit(small_brain: Maker, tmp_path: Path) -> None:
    for session in ("a", "b"):
        anat = tmp_path / "sub-01" / f"ses-{session}" / "anat"
        anat.mkdir(parents=True)
        write_labels(anat / f"sub-01_ses-{session}_seg-kcl8_dseg.nii.gz", small_brain()[0])
    (tmp_path / "participants.tsv").write_text("participant_id\tage\nsub-01\t28\n")
    config = bids.Config(scheme="kcl8")
    assert [case.age_years for case in bids.read(tmp_path, config)] == [28, 28]
    (tmp_path / "participants.json").write_text('{"age": {"Units": "weeks"}}')
    assert [(case.age_weeks, case.age_years) for case in bids.read(tmp_path, config)] == [(28, None)] * 2
    (tmp_path / "sub-01" / "sub-01_sessions.tsv").write_text("session_id\tga_weeks\nses-a\t24\nses-b\t33\n")
    (tmp_path / "participants.tsv").write_text("participant_id\tga_weeks\nsub-01\t24\n")
    assert [case.age_weeks for case in bids.read(tmp_path, config)] == [24, 33]
    (tmp_path / "participants.tsv").write_text("participant_id\tage\nsub-01\t196\n")
    (tmp_path / "participants.json").write_text('{"age": {"Units": "days"}}')
    with pytest.raises(InputError, match="expected age in years or weeks, found 'days'"):
        bids.read(tmp_path, config)


def test_flat_reads_pathology_and_severity(small_brain: Maker, tmp_path: Path) -> None:
    for name in ("sub-1", "sub-2"):
        write_labels(tmp_path / f"{name}_dseg.nii.gz", small_brain()[0])
    table = 'participant_id\tpathology\tseverity\nsub-1\tvm\t{"atrial_width_mm": 15.5}\nsub-2\tn/a\t\n'
    (tmp_path / "participants.tsv").write_text(table)
    cases = flat.read(tmp_path, flat.Config(scheme="kcl8"))
    assert [(case.pathology, case.severity) for case in cases] == [("vm", {"atrial_width_mm": 15.5}), ("", {})]
    (tmp_path / "participants.tsv").write_text("participant_id\tseverity\nsub-1\tmild\nsub-2\t2\n")
    cases = flat.read(tmp_path, flat.Config(scheme="kcl8"))
    assert [case.severity for case in cases] == [{"severity": "mild"}, {"severity": 2.0}]
    (tmp_path / "participants.tsv").write_text("participant_id\tseverity\nsub-1\t{mild\n")
    with pytest.raises(InputError, match=r"sub-1_dseg.*severity: .*expected a JSON object.*found '{mild'"):
        flat.read(tmp_path, flat.Config(scheme="kcl8"))


def test_flat_takes_plain_label_maps(small_brain: Maker, tmp_path: Path) -> None:
    labels, image = small_brain()
    write_labels(tmp_path / "brain7.nii.gz", labels)
    write_image(tmp_path / "brain7_T1w.nii.gz", image)
    (case,) = flat.read(tmp_path, flat.Config(scheme="kcl8"))
    assert (case.case, case.labels, case.images) == (
        "brain7", tmp_path / "brain7.nii.gz", {"T1w": tmp_path / "brain7_T1w.nii.gz"},
    )  # fmt: skip


def test_flat_refuses_what_is_ambiguous(small_brain: Maker, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="found none among 0 volumes"):
        flat.read(tmp_path, flat.Config(scheme="kcl8"))
    labels, image = small_brain()
    for desc in ("h8", "manual"):
        write_labels(tmp_path / f"sub-1_desc-{desc}_dseg.nii.gz", labels)
    write_image(tmp_path / "sub-1_T1w.nii.gz", image)
    with pytest.raises(InputError, match="labels_suffix=_desc-h8_dseg"):
        flat.read(tmp_path, flat.Config(scheme="kcl8"))
    (case,) = flat.read(tmp_path, flat.Config(scheme="kcl8", labels_suffix="_desc-manual_dseg"))
    assert (case.case, set(case.images)) == ("sub-1", {"T1w"})
    for bad, fragment in {"participant_id\tage\nsub-1\told\n": "age 'old'", "name\nx\n": "participant_id"}.items():
        (tmp_path / "participants.tsv").write_text(bad)
        with pytest.raises(InputError, match=fragment):
            flat.read(tmp_path, flat.Config(scheme="kcl8", labels_suffix="_desc-h8_dseg"))


@pytest.mark.real_data
def test_flat_reads_the_fetal_and_adult_sets(real_data: Path) -> None:
    fetal = flat.read(real_data / "fetal_healthy", flat.Config(scheme="kcl8"))
    assert sorted(case.age_weeks for case in fetal) == [float(week) for week in range(21, 39)]
    assert all(set(case.images) == {"T2w"} for case in fetal)
    config = flat.Config(scheme="kcl8", labels_suffix="_desc-h8_dseg", subject_column="oasis_id")
    adult = flat.read(real_data / "adult_t1w_small", config)
    assert (len(adult), len({case.subject for case in adult})) == (26, 22)
