"""200 texts planted in every place of training files are found where they leak, and nowhere else."""

import gzip
import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from pathosynth.data.cases import Case
from pathosynth.stages.audit.canaries import canaries_of, spotted

FIELDS = ("descrip", "aux_file", "intent_name", "db_name")


def planted(folder: Path, number: int) -> tuple[Case, list[str]]:
    """A case with ten texts in its files: four header fields, an extension, the gzip name, the sidecar, names."""
    texts = [f"Kanari-{number:02d}-{place}" for place in range(10)]
    home = folder / texts[0]
    home.mkdir(parents=True)
    image = nib.Nifti1Image(np.ones((3, 3, 3), np.int16), np.eye(4))
    for field, text in zip(FIELDS, texts[1:5], strict=True):
        image.header[field] = text.encode()
    image.header.extensions.append(nib.nifti1.Nifti1Extension("comment", texts[5].encode()))
    path = home / f"{texts[6]}_T2w.nii.gz"
    with path.open("wb") as raw, gzip.GzipFile(f"{texts[7]}.nii", "wb", fileobj=raw) as stream:
        stream.write(image.to_bytes())
    path.with_name(f"{texts[6]}_T2w.json").write_text(json.dumps({"Scanner": {"Site": texts[8], "List": [texts[9]]}}))
    case = Case(case=f"case{number}", subject=f"person{number}", scheme="kcl8", labels=path, images={})
    return case, texts


@pytest.fixture
def training(tmp_path: Path) -> tuple[list[Case], list[str]]:
    made = [planted(tmp_path / "training", number) for number in range(20)]
    return [case for case, _ in made], [text for _, texts in made for text in texts]


def test_all_200_are_known(training: tuple[list[Case], list[str]]) -> None:
    cases, texts = training
    known = "\n".join(canaries_of(cases))
    assert [text for text in texts if text not in known] == []


def test_each_is_found_in_plain_and_in_compressed_files_and_in_names(
    training: tuple[list[Case], list[str]], tmp_path: Path
) -> None:
    cases, texts = training
    model = tmp_path / "model"
    model.mkdir()
    for place, text in enumerate(texts):
        if place % 3 == 0:
            (model / f"{place}.json").write_text(f'{{"note": "{text}"}}')
        elif place % 3 == 1:
            (model / f"{place}.nii.gz").write_bytes(gzip.compress(b"\0" * 1000 + text.encode() + b"\0"))
        else:
            (model / f"{text}.txt").write_text("")
    found = {one.text for one in spotted(canaries_of(cases), model)}
    assert [text for text in texts if not any(text in one for one in found)] == []


def test_a_clean_folder_and_names_that_are_kept_on_purpose_give_no_alarm(
    training: tuple[list[Case], list[str]], tmp_path: Path
) -> None:
    cases, _ = training
    model = tmp_path / "model"
    model.mkdir()
    (model / "config.json").write_text(json.dumps({"facts": {"subjects": [case.subject for case in cases]}}))
    assert spotted(canaries_of(cases), model) == []


def test_records_of_the_training_are_told_apart_from_what_is_shared(
    training: tuple[list[Case], list[str]], tmp_path: Path
) -> None:
    cases, texts = training
    (tmp_path / "model" / "checkpoints").mkdir(parents=True)
    (tmp_path / "model" / "run.json").write_text(texts[0])
    (tmp_path / "model" / "checkpoints" / "state.json").write_text(texts[1])
    found = spotted(canaries_of(cases), tmp_path / "model")
    assert len(found) == 2
    assert not any(one.shared for one in found)


def test_a_given_text_is_looked_for_too(tmp_path: Path) -> None:
    (tmp_path / "card.md").write_text("made at St. Elsewhere")
    (found,) = spotted(canaries_of([], ["St. Elsewhere"]), tmp_path)
    assert (found.planted, found.shared) == ("given", True)
    person = Case(case="sub-SMITHJOHN", subject="sub-SMITHJOHN", scheme="kcl8")
    assert canaries_of([person], ["SMITHJOHN"]) == {"SMITHJOHN": "given"}, "a name that is given is looked for"


def test_what_a_file_is_by_its_name_tells_of_nobody(tmp_path: Path) -> None:
    anat = tmp_path / "data" / "sub-keepme01" / "anat"
    anat.mkdir(parents=True)
    labels = anat / "sub-keepme01_acq-wardNine_seg-kcl8_desc-prepared_dseg.nii.gz"
    nib.save(nib.Nifti1Image(np.ones((4, 4, 4), np.uint8), np.eye(4)), labels)
    texts = canaries_of([Case(case="keepme01", subject="keepme01", scheme="kcl8", labels=labels)])
    assert "acq-wardNine" in texts
    assert not {"seg-kcl8", "desc-prepared"} & texts.keys()
