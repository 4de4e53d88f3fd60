"""Files of ratings: what is read as what, and what is refused with which words."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pathosynth.reader.analysis.analyse import analyse
from pathosynth.reader.analysis.distribution import distribution
from pathosynth.reader.analysis.kinds import infer_kind
from pathosynth.reader.analysis.ratings import Question, questions
from pathosynth.reader.analysis.rows import read_ratings
from pathosynth.reader.analysis.settings import Settings
from pathosynth.runs.errors import ConfigError, InputError

HEADER = "reader,case,arm,question,repeat,value\n"


def read(folder: Path, text: str, header: str = HEADER, truth: str = "", **kinds: str) -> list[Question]:
    path = folder / "ratings.csv"
    path.write_text(header + text, encoding="utf-8")
    return questions(path, read_ratings(path, truth=truth), kinds)


def test_long_rows_become_one_table_for_each_question(tmp_path: Path) -> None:
    text = (
        "b,c2,fake,quality,0,3\na,c1,real,quality,0,1\na,c2,fake,quality,0,2\nb,c1,real,quality,0,\na,c1,real,note,0,x"
    )
    quality, note = read(tmp_path, text)
    assert quality.readers == ("a", "b")
    assert quality.cases == (("c2", "fake"), ("c1", "real"))
    np.testing.assert_array_equal(quality.values, [[2, 3], [1, np.nan]])
    assert (quality.kind, quality.missing, note.kind) == ("graded", 1, "text")


def test_columns_in_any_order_more_columns_and_a_byte_order_mark(tmp_path: Path) -> None:
    path = tmp_path / "r.csv"
    path.write_bytes("\ufeffvalue,seconds,repeat,question,arm,case,reader\n2,9,0,q,,c,a\n3,9,0,q,,c,b\n".encode())
    (found,) = questions(path, read_ratings(path), {})
    np.testing.assert_array_equal(found.values, [[2, 3]])
    assert found.arms == ("",)


def test_only_first_readings_are_in_the_table_and_repeats_stand_beside_their_first(tmp_path: Path) -> None:
    (found,) = read(tmp_path, "a,c,real,q,1,3\na,c,real,q,0,2\na,d,real,q,0,1\nb,d,real,q,0,\nb,d,real,q,2,9\n")
    np.testing.assert_array_equal(found.values, [[2, np.nan], [1, np.nan]])
    np.testing.assert_array_equal(found.repeated, [[0, 0, 2, 3], [1, 1, np.nan, 9]])
    assert (found.missing, found.late) == (1, 0)


def test_the_first_reading_there_is_counts_and_what_was_before_it_is_told_of(tmp_path: Path) -> None:
    """One reader counts from 1, another's first reading of d is not there: every case has its answer."""
    (found,) = read(tmp_path, "a,c,real,q,0,1\na,d,real,q,1,2\nb,c,real,q,1,3\nb,d,real,q,1,4\nb,d,real,q,2,5\n")
    np.testing.assert_array_equal(found.values, [[1, 3], [2, 4]])
    np.testing.assert_array_equal(found.repeated, [[1, 1, 4, 5]])
    assert found.late == 3
    told = analyse([found], Settings())["caveats"]
    assert (
        "q: 3 answers are numbered as repeats, but the first reading is not there; they count as first readings."
        in told
    )


def test_answers_to_images_never_completed_are_told_of(tmp_path: Path) -> None:
    header = HEADER.strip() + ",complete\n"
    (found,) = read(tmp_path, "a,c,real,q,0,1,1\na,d,real,q,0,2,0\n", header)
    assert found.open == 1
    assert any("1 answers are to images" in text for text in analyse([found], Settings())["caveats"])


def test_numbers_of_many_digits_stay_apart(tmp_path: Path) -> None:
    (found,) = read(tmp_path, "a,1,r,q,0,1234567.1\na,2,r,q,0,1234567.2\na,3,r,q,0,0.1\n")
    counts = distribution(found)["r"]["counts"]
    assert counts == {"0.1": 1, "1234567.1": 1, "1234567.2": 1}


def test_cells_may_stand_between_semicolons_or_tabs(tmp_path: Path) -> None:
    for sign in ";\t":
        path = tmp_path / "r.csv"
        path.write_text((HEADER + "a,c,real,q,0,1.5\n").replace(",", sign))
        assert [row.value for row in read_ratings(path)] == ["1.5"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (HEADER.encode("utf-16"), "found UTF-16. Save it as “CSV UTF-8”"),
        ((HEADER + "a,c,real,q,0,gut\na,d,real,q,0,m\xe4\xdfig\n").encode("latin-1"), "line 3: .* found the byte 0xe4"),
        (b"reader,case,arm,question,repeat,value,value\na,c,real,q,0,1,2\n", "expected every column once, found value"),
        ((HEADER + f'a,c,real,note,0,"{"x" * 200_000}"\n').encode(), "line 2: .*field larger than field limit"),
        ((HEADER + 'a,c,real,q,0,1\na,d,real,q,0,"2\na,e,real,q,0,3\n').encode(), "line 3: .*unexpected end of data"),
        ((HEADER + 'a,c,real,q,0,"1\na,d,real,q,0,2\na,e,real,q,0,3"\n').encode(), "line 4: .*whole rows in its"),
        ((HEADER + 'a,c,real,q,0,"1\na,d,real,q,0,"2"\n').encode(), "line 2: .*Pair its quotation marks"),
        ((HEADER + 'a,"c\nd",real,q,0,1\n').encode(), "line 3: expected a case in one line"),
        ((HEADER + 'a,c,real,q,0,"2,5"\na,d,real,q,0,3\n').encode(), r"line 2: .*found '2,5'. Write 2\.5"),
        ((HEADER.replace(",", ";") + "a;c;real;q;0;2,5\na;d;real;q;0;3,0\n").encode(), "Write 2.5"),
    ],
)  # fmt: skip
def test_a_file_from_a_spreadsheet_loses_nothing_in_silence(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "r.csv"
    path.write_bytes(content)
    with pytest.raises(InputError, match=said):
        questions(path, read_ratings(path), {})


def test_a_comment_may_have_several_lines_and_quotes(tmp_path: Path) -> None:
    (note,) = read(tmp_path, 'a,c,real,q,0,"odd, at ""slice 3"",\nb, and again"\nb,c,real,q,0,fine\n', q="text")
    assert note.readers == ("a", "b")


def test_files_that_count_readings_from_one_are_understood(tmp_path: Path) -> None:
    (found,) = read(tmp_path, "a,c,,q,1,3\na,c,,q,2,2\n")
    np.testing.assert_array_equal(found.values, [[3]])
    np.testing.assert_array_equal(found.repeated, [[0, 0, 3, 2]])


def test_the_same_case_name_in_two_arms_is_two_cases(tmp_path: Path) -> None:
    (found,) = read(tmp_path, "a,c,real,q,0,1\na,c,synthetic,q,0,2\n")
    assert found.cases == (("c", "real"), ("c", "synthetic"))


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (["0", "1", "2.5", ""], "graded"),
        (["", "NA"], "graded"),
        (["real", "Synthetic", "real"], "detection"),
        (["real-sure", "synthetic_unsure", "Real Unsure"], "detection"),
        (["motion;noise", "", "noise"], "ticks"),
        (['["motion", "noise"]', "[]"], "ticks"),
        (["good", "bad", "good", "bad"], "nominal"),
        (["looks odd, at slice 3", "fine", "the left ventricle is too large, perhaps"], "text"),
        (["one", "two", "three", "four"], "text"),
    ],
)
def test_kinds_are_seen_in_the_values(values: list[str], kind: str) -> None:
    assert infer_kind(values) == kind


def test_a_stated_kind_wins_and_is_checked(tmp_path: Path) -> None:
    (found,) = read(tmp_path, "a,c,real,q,0,1\nb,c,real,q,0,2\n", q="nominal")
    assert found.kind == "nominal"
    assert found.coded.names == ("1", "2")
    with pytest.raises(ConfigError, match="expected one of graded"):
        read(tmp_path, "a,c,real,q,0,1\n", q="numbers")
    with pytest.raises(ConfigError, match=r"no such question.*has q"):
        read(tmp_path, "a,c,real,q,0,1\n", other="graded")


ASKED = HEADER.strip() + ",question_kind,options\n"


def test_a_file_that_says_what_was_asked_is_believed(tmp_path: Path) -> None:
    """Words of a scale are grades, in its order; boxes are boxes, whoever ticked how many; numbers may be names."""
    grades = "scale,poor;fair;good;excellent"
    (found,) = read(tmp_path, f"a,1,r,q,0,good,{grades}\nb,1,r,q,0,poor,{grades}\na,2,r,q,0,,{grades}\n", ASKED)
    assert (found.kind, found.coded.names, found.missing) == ("graded", ("poor", "fair", "good", "excellent"), 1)
    np.testing.assert_array_equal(found.values, [[2, 0], [np.nan, np.nan]])
    boxes = "ticks,noise;blur"
    (found,) = read(tmp_path, f"a,1,r,q,0,noise,{boxes}\na,2,r,q,0,,{boxes}\na,3,r,q,0,,{boxes}\n", ASKED)
    assert (found.kind, found.coded.options, found.missing) == ("ticks", ("noise", "blur"), 0)
    np.testing.assert_array_equal(found.ticked[:, :, 0], [[1, 0, 0], [0, 0, 0]])
    numbered = "scale,1;2;3"
    (found,) = read(tmp_path, f"a,1,r,q,0,3,{numbered}\na,2,r,q,0,1,{numbered}\n", ASKED)
    np.testing.assert_array_equal(found.values, [[3], [1]])
    codes = "choice,1;2;3"
    (found,) = read(tmp_path, f"a,1,r,q,0,3,{codes}\na,2,r,q,0,1,{codes}\n", ASKED)
    assert found.kind == "nominal"
    origin = "choice,real;synthetic"
    (found,) = read(tmp_path, f"a,1,r,q,0,real,{origin}\na,2,r,q,0,real,{origin}\n", ASKED)
    assert found.kind == "detection"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a,1,r,q,0,2,grades,\n", "line 2: expected a question_kind of scale, choice, ticks, text or nothing"),
        ("a,1,r,q,0,2,scale,1;2\na,2,r,q,0,2,choice,1;2\n", "line 3: expected the question_kind and options of"),
        ("a,1,r,q,0,odd,scale,poor;good\n", "line 2: expected one of poor, good as answer to 'q', found 'odd'"),
    ],
)
def test_what_a_file_says_of_a_question_is_checked(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        read(tmp_path, text, ASKED)


def test_grades_in_words_can_be_put_in_order_by_hand(tmp_path: Path) -> None:
    path = tmp_path / "r.csv"
    path.write_text(HEADER + "a,1,r,q,0,good\nb,1,r,q,0,poor\na,2,r,q,0,fair\nb,2,r,q,0,n/a\n")
    (found,) = questions(path, read_ratings(path), {}, {"q": ("poor", "fair", "good", "excellent")})
    assert found.kind == "graded"
    np.testing.assert_array_equal(found.values, [[2, 0], [1, np.nan]])
    for scale in (("poor",), ("poor", "poor", "good")):
        with pytest.raises(ConfigError, match="two grades or more, each once"):
            questions(path, read_ratings(path), {}, {"q": scale})
    with pytest.raises(InputError, match=r"line 4: expected one of poor, good .* found 'fair'"):
        questions(path, read_ratings(path), {}, {"q": ("poor", "good")})
    with pytest.raises(ConfigError, match="expected graded, as it has a --scale"):
        questions(path, read_ratings(path), {"q": "ticks"}, {"q": ("poor", "fair", "good")})


def test_confidence_becomes_how_synthetic_a_case_seems(tmp_path: Path) -> None:
    (found,) = read(
        tmp_path, "a,1,r,q,0,real-sure\na,2,r,q,0,real-unsure\na,3,r,q,0,synthetic-unsure\na,4,r,q,0,synthetic-sure"
    )
    np.testing.assert_array_equal(found.values.ravel(), [0, 1, 2, 3])


def test_no_tick_is_an_answer(tmp_path: Path) -> None:
    (found,) = read(tmp_path, 'a,1,r,q,0,"motion,noise"\nb,1,r,q,0,\n', q="ticks")
    assert found.coded.options == ("motion", "noise")
    np.testing.assert_array_equal(found.ticked[:, 0], [[1, 0], [1, 0]])
    assert found.missing == 0


def test_a_truth_column_names_positive_cases(tmp_path: Path) -> None:
    header = HEADER.strip() + ",sick\n"
    (found,) = read(tmp_path, "a,c,mri,q,0,5,1\na,c,ct,q,0,4,yes\na,d,mri,q,0,1,0\n", header, truth="sick")
    assert found.positive.tolist() == [True, False, True]
    with pytest.raises(InputError, match="line 3: case 'c' has another truth"):
        read(tmp_path, "a,c,mri,q,0,5,1\na,c,ct,q,0,4,0\n", header, truth="sick")
    with pytest.raises(InputError, match="line 2: expected a truth of 1"):
        read(tmp_path, "a,c,mri,q,0,5,maybe\n", header, truth="sick")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "found a header alone"),
        ("a,c,real,q,0\n", "line 2: expected as many cells"),
        ("a,c,real,q,0,1,2\n", "line 2: expected as many cells"),
        (",c,real,q,0,1\n", "line 2: expected a reader, found an empty cell"),
        ("a,,real,q,0,1\n", "line 2: expected a case"),
        ("a,c,real,,0,1\n", "line 2: expected a question"),
        ("a,c,real,q,first,1\n", "line 2: expected repeat 0, 1, 2"),
        ("a,c,real,q,-1,1\n", "line 2: expected repeat"),
        (f"a,c,real,q,{'9' * 5000},1\n", "line 2: expected repeat"),
        ("a,c,real,q,0,1e200\na,d,real,q,0,2\n", "line 2: expected a number between 1e-50 and 1e.50 in size"),
        ("a,c,real,q,0,1\na,d,real,q,0,-1e-200\n", "line 3: expected a number between"),
        ("a,c,real,q,,1\n", "line 2: expected repeat"),
        ("a,c,real,q,0,1\na,c,real,q,0,2\n", "line 3: reader 'a' rated case 'c' on 'q' as repeat 0 in line 2 already"),
        ("a,c,real,q,0,1\na,d,real,q,0,good\nb,c,real,q,0,2\n", "line 3: expected a finite number"),
        ("a,c,real,q,0,1\na,d,real,q,0,inf\n", "line 3: expected a finite number"),
        ("a,c,r,q,0,real\na,d,r,q,0,real-sure\n", "line 2: expected one of real-sure"),
    ],
)
def test_what_cannot_be_used_is_named_with_its_line(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        read(tmp_path, text)


def test_a_missing_column_and_a_missing_file_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"arm, value is not among those found: reader,case,question,repeat"):
        read(tmp_path, "a,c,q,0\n", "reader,case,question,repeat\n")
    with pytest.raises(InputError, match="found none that can be read"):
        read_ratings(tmp_path / "none.csv")


@given(st.lists(st.text(max_size=30), max_size=12))
def test_every_value_has_a_kind(values: list[str]) -> None:
    assert infer_kind([value.strip() for value in values]) in ("graded", "detection", "nominal", "ticks", "text")
