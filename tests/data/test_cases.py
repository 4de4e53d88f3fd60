"""The case table: what is written is read back, and what would leak or overwrite is refused."""

import csv
import shutil
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pathosynth.data.cases import Case, read_cases, write_cases
from pathosynth.runs.errors import InputError


def table(folder: Path) -> list[Case]:
    return [
        Case(case="a-1", subject="sub-01", split="train", scheme="kcl8", labels=folder / "x/a_dseg.nii.gz",
             images={"T2w": folder / "x/a_T2w.nii.gz"}, age_weeks=24.3),
        Case(case="a-1-v", subject="sub-01", split="train", origin="morphed", parent="a-1",
             pathology="ventriculomegaly", severity={"atrial_width_mm": {"left": 15.1, "right": 12.0}}, scheme="kcl8",
             labels=folder / "x/b.nii.gz", displacement=folder / "x/b_xfm.nii.gz", seed=2**62 + 1, age_weeks=24.3),
        Case(case="c", subject="sub-02", split="test", scheme="aseg", images={"FLAIR": folder / "c.nii.gz",
             "T1w": folder.parent / "elsewhere/c.nii.gz"}, age_years=0.1 + 0.2),
    ]  # fmt: skip


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    cases = table(tmp_path / "set")
    write_cases(tmp_path / "set/cases.csv", cases)
    assert read_cases(tmp_path / "set/cases.csv") == cases


def test_a_folder_can_be_moved(tmp_path: Path) -> None:
    write_cases(tmp_path / "old/cases.csv", table(tmp_path / "old"))
    shutil.move(tmp_path / "old", tmp_path / "new")
    moved = read_cases(tmp_path / "new/cases.csv")
    assert moved[0].labels == tmp_path / "new/x/a_dseg.nii.gz"
    text = (tmp_path / "new/cases.csv").read_text()
    assert str(tmp_path) not in text
    assert "../elsewhere/c.nii.gz" in text


def test_columns_are_those_of_the_contract(tmp_path: Path) -> None:
    write_cases(tmp_path / "cases.csv", table(tmp_path))
    header = next(csv.reader((tmp_path / "cases.csv").open()))
    assert header == [
        "case", "subject", "split", "origin", "parent", "pathology", "severity", "scheme", "labels",
        "T1w", "T2w", "FLAIR", "displacement", "seed", "age_weeks", "age_years",
    ]  # fmt: skip


@settings(max_examples=50, deadline=None)
@given(
    subject=st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), min_size=1),
    pathology=st.text(st.sampled_from('a,";é \u2028'), max_size=8),
    age=st.floats(0.001, 59.9),
    severity=st.dictionaries(st.text(max_size=4), st.floats(allow_nan=False, allow_infinity=False), max_size=3),
)
def test_any_text_and_number_survives(
    tmp_path_factory: pytest.TempPathFactory, subject: str, pathology: str, age: float, severity: dict[str, float]
) -> None:
    case = Case(case="x", subject=subject, pathology=pathology, age_weeks=age, severity=severity, scheme="feta")
    path = tmp_path_factory.mktemp("table") / "cases.csv"
    write_cases(path, [case])
    assert read_cases(path) == [case]


def test_scheme_files_are_relative_too(tmp_path: Path) -> None:
    write_cases(tmp_path / "cases.csv", [Case(case="x", subject="x", scheme=str(tmp_path / "my/scheme.toml"))])
    assert "my/scheme.toml" in (tmp_path / "cases.csv").read_text()
    assert str(tmp_path) not in (tmp_path / "cases.csv").read_text()
    assert read_cases(tmp_path / "cases.csv")[0].scheme == str(tmp_path / "my/scheme.toml")


def test_subject_in_two_splits_is_refused(tmp_path: Path) -> None:
    one, child, other = table(tmp_path)
    with pytest.raises(InputError, match="subject 'sub-01' is in split 'train' and, as case 'a-1-v', in split 'test'"):
        write_cases(tmp_path / "cases.csv", [one, child.model_copy(update={"split": "test"}), other])
    assert not (tmp_path / "cases.csv").exists()


def test_case_twice_is_refused_even_in_other_letters(tmp_path: Path) -> None:
    one, child, _ = table(tmp_path)
    with pytest.raises(InputError, match="appears twice"):
        write_cases(tmp_path / "cases.csv", [one, child.model_copy(update={"case": "A-1"})])


BAD = {
    "missing column": ("case,subject\na,b\n", "expected columns case, subject and scheme"),
    "unknown column": ("case,subject,scheme,notes\na,b,kcl8,hm\n", "Remove or rename notes"),
    "column twice": ("case,subject,scheme,scheme\na,b,kcl8,feta\n", "each once"),
    "empty file": ("", "found none"),
    "cells": ("case,subject,scheme\na,b\n", "line 2: found 2 cells, expected 3"),
    "bad split": ("case,subject,scheme,split\na,b,kcl8,training\n", "line 2: split"),
    "bad origin": ("case,subject,scheme,origin\na,b,kcl8,fake\n", "line 2: origin"),
    "bad age": ("case,subject,scheme,age_weeks\na,b,kcl8,old\n", "line 2: age_weeks"),
    "bad severity": ('case,subject,scheme,severity\na,b,kcl8,"{x"\n', "line 2: severity"),
    "severity list": ('case,subject,scheme,severity\na,b,kcl8,"[1]"\n', "line 2: severity"),
    "no case": ("case,subject,scheme\n,b,kcl8\n", "line 2: case"),
    "line break": ('case,subject,scheme\na,"b\nc",kcl8\n', "line 2: subject"),
    "tab": ("case,subject,scheme,pathology\na,b,kcl8,x\ty\n", "line 2: pathology"),
    "path as case": ("case,subject,scheme\n../x,b,kcl8\n", "line 2: case"),
    "open quote": ('case,subject,scheme\n"a,b,kcl8\n', "cannot be read"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_tables_are_named(name: str, tmp_path: Path) -> None:
    text, fragment = BAD[name]
    (tmp_path / "cases.csv").write_text(text)
    with pytest.raises(InputError) as caught:
        read_cases(tmp_path / "cases.csv")
    assert fragment in str(caught.value)
    assert "cases.csv" in str(caught.value)


def test_missing_and_binary_tables_are_named(tmp_path: Path) -> None:
    (tmp_path / "binary.csv").write_bytes(b"\xff\xfe\x00case")
    for name in ("absent.csv", "binary.csv", "."):
        with pytest.raises(InputError, match="cannot be read as a case table"):
            read_cases(tmp_path / name)


def test_table_written_by_a_spreadsheet_is_read(tmp_path: Path) -> None:
    (tmp_path / "cases.csv").write_bytes("\ufeffcase,subject,scheme,T2w\r\na,sub-é,kcl8,img.nii.gz\r\n".encode())
    (case,) = read_cases(tmp_path / "cases.csv")
    assert (case.subject, case.images) == ("sub-é", {"T2w": tmp_path / "img.nii.gz"})
