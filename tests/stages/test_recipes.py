"""Distributions against closed forms and scipy; recipes that are wrong name what is wrong."""

import numpy as np
import pytest
import scipy.stats

from pathosynth.data.cases import Case
from pathosynth.pathologies import PATHOLOGIES
from pathosynth.runs.errors import ConfigError, InputError
from pathosynth.stages.distributions import Choice, LogUniform, Normal, Uniform, distributions, fixed, parse
from pathosynth.stages.recipes import Ages, load_recipe, read_recipe, recipe_names

QUANTILES = np.linspace(0, 1, 41)


def test_uniform_and_log_uniform_are_straight_lines_in_their_scale():
    assert [Uniform(uniform=(2, 6)).at(u) for u in (0, 0.25, 1)] == [2, 3, 6]
    found = [LogUniform(log_uniform=(0.5, 8)).at(u) for u in (0, 0.25, 0.5, 1)]
    assert found == pytest.approx([0.5, 1, 2, 8])


def test_normal_is_the_truncated_normal_of_scipy():
    ours = [Normal(normal=(1, 0.3), within=(0.6, 1.9)).at(u) for u in QUANTILES]
    theirs = scipy.stats.truncnorm(-0.4 / 0.3, 0.9 / 0.3, loc=1, scale=0.3).ppf(QUANTILES)
    np.testing.assert_allclose(ours, theirs, atol=1e-9)
    assert (min(ours), max(ours)) == (0.6, 1.9)


def test_choice_gives_every_value_its_weight():
    choice = Choice(choice=["a", 7, {"left": 1}], weights=[1, 2, 1])
    assert [choice.at(u) for u in (0, 0.2499, 0.25, 0.7499, 0.75, 0.999)] == ["a", "a", 7, 7, {"left": 1}, {"left": 1}]
    assert [Choice(choice=[True, False]).at(u) for u in (0.49, 0.5, 1.0)] == [True, False, False]


def test_tables_of_settings_keep_their_shape():
    settings = parse({"a": {"left": {"uniform": [1, 2]}, "right": 3}, "b": [1, 2], "c": {"choice": ["x"]}})
    assert [name for name, _ in distributions(settings)] == ["a.left", "c"]
    assert fixed(settings, {"a.left": 1.5, "c": "x"}) == {"a": {"left": 1.5, "right": 3}, "b": [1, 2], "c": "x"}


def test_ages_are_inclusive_and_must_be_known():
    case = Case(case="a", subject="a", scheme="kcl8", age_weeks=28)
    assert [Ages(age_weeks=ends).take(case) for ends in ((28, 30), (20, 28), (28.1, 30))] == [True, True, False]
    with pytest.raises(InputError, match="'a' has no age_years"):
        Ages(age_years=(20, 80)).take(case)


GOOD = """
variants_per_case = 2
[[kinds]]
name = "wide"
[[kinds.pathologies]]
name = "dilation"
settings = { iterations = 3 }
"""


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (("variants_per_case", "variants_per_cas"), "variants_per_cas:"),
        (("variants_per_case = 2", "variants_per_case = 2\ntotal = 5"), "not both"),
        (("variants_per_case = 2", "variants_per_case = 0"), "variants_per_case"),
        (("variants_per_case = 2", "cases = {age_weeks = [30, 20]}"), "age_weeks: expected"),
        (('name = "wide"', 'name = "wide"\nwieght = 2'), "wieght"),
        (('name = "wide"', 'name = "wide"\nweight = 0'), "weight"),
        (("dilation", "dilatation"), "'wide', pathology 'dilatation'"),
        (("iterations = 3", "iteration = 3"), "'dilation': iteration:"),
        (("iterations = 3", "iterations = -3"), "iterations"),
        (("iterations = 3", "threshold = {uniform = [0.1, 1.5]}"), "threshold"),
        (("iterations = 3", "threshold = {uniform = [0.4, 0.1]}"), "threshold: .*smaller, larger"),
        (("iterations = 3", "threshold = {unifrom = [0.1, 0.4]}"), "threshold"),
        (("iterations = 3", "threshold = {uniform = [0.1, 0.4], weights = [1]}"), "threshold: weights"),
        (("iterations = 3", "threshold = {log_uniform = [0, 0.4]}"), "above 0"),
        (("iterations = 3", "threshold = {normal = [0.3, 0.1]}"), "threshold: within"),
        (("iterations = 3", "threshold = {normal = [0.3, 0.1], within = [0.4, 0.5]}"), "threshold: .*within"),
        (("iterations = 3", "iterations = {choice = []}"), "iterations: choice"),
        (("iterations = 3", "iterations = {choice = [1, 2], weights = [1]}"), "iterations: .*weights"),
        (("iterations = 3", "iterations = {choice = [1, 'two']}"), "iterations"),
        (('name = "dilation"', 'name = "dilation"\nprobability = 0.5'), "probability 1"),
        (('name = "dilation"', 'name = "dilation"\nprobability = 1.5'), "probability"),
        (('name = "wide"', 'name = "wide"\npool = {at_least = [0.5]}'), "at_least"),
        (('name = "wide"', 'name = "wide"\npool = {at_least = [1, 0.5]}'), "at_least"),
        (('name = "wide"', 'name = "wide"\npool = {at_least = [1], exclusive = [["x"]]}'), "x is not among"),
        (("variants_per_case = 2", "variants_per_case = = 2"), "not valid TOML"),
    ],
)  # fmt: skip
def test_wrong_recipe_names_file_and_key(tmp_path, change, named):
    path = tmp_path / "mine.toml"
    path.write_text(GOOD)
    load_recipe(str(path))
    assert GOOD.count(change[0]) == 1
    path.write_text(GOOD.replace(*change))
    with pytest.raises(ConfigError, match=named) as caught:
        load_recipe(str(path))
    assert "mine.toml" in str(caught.value)


def test_requiring_what_is_excluded_is_refused(tmp_path):
    pool = '{at_least = [1], requires = {a = ["b"]}, exclusive = [["a", "b"]]}'
    (tmp_path / "mine.toml").write_text(
        f'[[kinds]]\nname = "k"\npool = {pool}\npathologies = [{{name = "a"}}, {{name = "b"}}]\n'
    )
    with pytest.raises(ConfigError, match="a requires what it"):
        read_recipe(str(tmp_path / "mine.toml"))


def test_unknown_names_list_what_there_is():
    with pytest.raises(ConfigError, match="fetal-ventriculomegaly"):
        load_recipe("no-such-recipe")
    with pytest.raises(ConfigError, match="no such settings file"):
        load_recipe("no-such-recipe.toml")


@pytest.mark.parametrize("name", recipe_names())
def test_shipped_recipes_ask_only_for_what_the_pathologies_take(name):
    recipe = read_recipe(name)
    assert recipe.about
    missing = {part.name for kind in recipe.kinds for part in kind.pathologies} - set(PATHOLOGIES)
    assert not missing
    load_recipe(name)
