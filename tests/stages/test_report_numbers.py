"""Numbers behind the figures against closed forms and second implementations."""

import numpy as np
import pandas as pd
import pydantic
import pytest

from pathosynth.runs.errors import ConfigError
from pathosynth.stages.report.describe import describe, spearman
from pathosynth.stages.report.errors import errors
from pathosynth.stages.report.numbers import Numbers, parse_numbers
from pathosynth.stages.report.source import parse_sources


def test_lists_of_numbers() -> None:
    assert parse_numbers("1,2,5") == (1, 2, 5)
    assert parse_numbers("0:1.5:0.1") == tuple(i / 10 for i in range(16))
    assert parse_numbers("0:1:0.3") == (0, 0.3, 0.6, 0.9)
    assert parse_numbers("-0.2, 0:0.2:0.1") == (-0.2, 0, 0.1, 0.2)
    assert parse_numbers((1.0,)) == (1.0,)


@pytest.mark.parametrize("text", ["", "a", "1:2", "1:2:0", "2:1:0.1", "0:1:1e-9", "nan", "1,,2", "0:inf:1", "1:2:3:4"])
def test_what_is_no_list_of_numbers_is_refused(text: str) -> None:
    with pytest.raises(pydantic.ValidationError):
        pydantic.TypeAdapter(Numbers).validate_python(text)


def test_describe_agrees_with_pandas(rng: np.random.Generator) -> None:
    values = rng.lognormal(0, 0.7, 31)
    found, series = describe(values), pd.Series(values)
    assert found["n"] == 31
    for name, expected in {
        "mean": series.mean(), "sd": series.std(), "skewness": series.skew(), "median": series.median(),
        "q1": series.quantile(0.25), "q3": series.quantile(0.75), "min": series.min(), "max": series.max(),
    }.items():  # fmt: skip
        assert found[name] == pytest.approx(expected)


def test_what_a_small_sample_does_not_define_is_none() -> None:
    assert describe(np.array([2.0]))["sd"] is None
    assert describe(np.array([2.0, 3.0]))["skewness"] is None
    assert describe(np.full(9, 0.1))["skewness"] is None
    assert spearman(np.array([1.0, 2.0]), np.array([1.0, 2.0])) is None
    assert spearman(np.array([1.0, 2.0, 3.0]), np.full(3, 0.3)) is None
    assert errors(np.array([]), np.array([]))["bias"] is None
    one = errors(np.array([1.0]), np.array([3.0]))
    assert (one["bias"], one["mae"], one["sd"], one["limits"]) == (2.0, 2.0, None, None)


def test_rank_correlation_closed_form() -> None:
    # 1 - 6 sum(d^2) / (n (n^2 - 1)) with d = (0, 1, -1, 0)
    assert spearman(np.array([1.0, 2, 3, 4]), np.array([1.0, 30, 20, 99])) == pytest.approx(1 - 6 * 2 / (4 * 15))


def test_errors_closed_form() -> None:
    found = errors(np.array([10.0, 20, 30]), np.array([11.0, 19, 33]))
    assert found["bias"] == pytest.approx(1)
    assert found["mae"] == pytest.approx(5 / 3)
    assert found["sd"] == pytest.approx(2)
    assert found["limits"] == pytest.approx([1 - 1.96 * 2, 1 + 1.96 * 2])


def test_names_of_sources() -> None:
    found = parse_sources(["real=here/a", "b/c"])
    assert [(one.name, one.path.as_posix()) for one in found] == [("real", "here/a"), ("c", "b/c")]
    with pytest.raises(ConfigError, match="two called c"):
        parse_sources(["c=x", "b/c"])
    with pytest.raises(ConfigError, match="none"):
        parse_sources([])
    with pytest.raises(ConfigError, match="NAME=FOLDER"):
        parse_sources(["=x"])
