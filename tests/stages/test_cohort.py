"""Cohorts: exact shares, even coverage, the same for any order of the cases, never what a recipe forbids."""

from collections import Counter

import numpy as np
import pytest

from pathosynth.data.cases import Case
from pathosynth.runs.errors import InputError
from pathosynth.runs.seeds import numpy_generator
from pathosynth.stages.cohort import Variant, draw_again, draw_cohort, shares, spread
from pathosynth.stages.recipes import Recipe

HYPOPLASIAS = {"small_cerebellum", "small_hindbrain"}
POOL = {
    "at_least": [1, 0.5, 0.25],
    "exclusive": [sorted(HYPOPLASIAS)],
    "requires": {"small_brain": ["wide"]},
}
PAPER = Recipe.model_validate(
    {
        "variants_per_case": 6,
        "kinds": [
            {
                "name": "paper",
                "pool": POOL,
                "pathologies": [{"name": n} for n in ("wide", "small_cerebellum", "small_hindbrain", "small_brain")],
            }
        ],
    }
)
MIXED = Recipe.model_validate(
    {
        "variants_per_case": 6,
        "kinds": [
            {
                "name": "one",
                "weight": 2,
                "pathologies": [{"name": "wide", "settings": {"mm": {"uniform": [10, 20]}, "share": 0.5}}],
            },
            {
                "name": "two",
                "weight": 1,
                "pathologies": [
                    {"name": "wide", "settings": {"mm": {"left": {"uniform": [0, 1]}, "right": 3}}},
                    {"name": "small", "probability": 0.4, "settings": {"fold": {"log_uniform": [0.25, 1]}}},
                ],
            },
        ],
    }
)


def healthy(number: int, **values: object) -> list[Case]:
    return [Case(case=f"c{i:02d}", subject=f"c{i:02d}", scheme="kcl8", **values) for i in range(number)]


def strata(values: list[float]) -> list[int]:
    """Which of n equal bins of [0, 1) each of n values falls into."""
    return sorted(int(value * len(values)) for value in values)


def settings(cohort: list[Variant], kind: str, pathology: str) -> list[tuple[str, dict]]:
    return [
        (v.source, asked.settings)
        for v in cohort
        if v.kind == kind
        for asked in v.asked
        if asked.pathology == pathology
    ]


@pytest.mark.parametrize("total", [1, 7, 100, 198])
def test_shares_add_up_and_are_off_by_less_than_one(total):
    rng = np.random.default_rng(total)
    for _ in range(50):
        weights = rng.uniform(0.01, 3, rng.integers(1, 9))
        counts = shares(total, list(weights))
        assert sum(counts) == total
        assert np.all(np.abs(counts - total * weights / weights.sum()) < 1)


def test_thirds_of_198_are_exact():
    assert shares(198, [1 / 3, 1 / 3, 1 / 3]) == [66, 66, 66]
    assert shares(10, [0.45, 0.45, 0.1]) == [5, 4, 1]


@pytest.mark.parametrize(("cases", "each"), [(33, 6), (5, 1), (1, 12)])
def test_every_stratum_is_hit_once_and_every_case_covers_the_range(cases, each):
    parents = [f"p{i % cases}" for i in range(cases * each)]
    for seed in range(20):
        found = spread(parents, numpy_generator(seed))
        assert strata(list(found)) == list(range(cases * each))
        for parent in set(parents):
            own = [u for p, u in zip(parents, found, strict=True) if p == parent]
            assert strata(own) == list(range(each))


def test_kinds_have_exact_shares_of_the_cohort_and_even_ones_of_every_case():
    for seed in range(20):
        cohort = draw_cohort(healthy(33), MIXED, seed)
        assert Counter(v.kind for v in cohort) == {"one": 132, "two": 66}
        each = Counter((v.source, v.kind) for v in cohort)
        assert set(each.values()) == {2, 4}
        odd = draw_cohort(healthy(7), MIXED.model_copy(update={"variants_per_case": None, "total": 17}), seed)
        assert Counter(v.kind for v in odd) == {"one": 11, "two": 6}
        assert set(Counter(v.source for v in odd).values()) == {2, 3}


def test_severities_cover_their_range_evenly():
    for seed in range(10):
        cohort = draw_cohort(healthy(33), MIXED, seed)
        widths = [(s["mm"] - 10) / 10 for _, s in settings(cohort, "one", "wide")]
        assert strata(widths) == list(range(132))
        assert strata([s["mm"]["left"] for _, s in settings(cohort, "two", "wide")]) == list(range(66))
        folds = [s["fold"] for _, s in settings(cohort, "two", "small")]
        assert strata([float(np.log(f / 0.25) / np.log(4)) for f in folds]) == list(range(len(folds)))
        assert len(folds) in (26, 27)  # 0.4 of 66
        parents = {source for source, _ in settings(cohort, "one", "wide")}
        for parent in parents:
            own = [(s["mm"] - 10) / 10 for source, s in settings(cohort, "one", "wide") if source == parent]
            assert strata(own) == [0, 1, 2, 3]


def test_columns_are_independent():
    """Stratified together, but no setting follows another one: rank correlations like those of random orders."""
    recipe = Recipe.model_validate(
        {
            "variants_per_case": 4,
            "kinds": [
                {
                    "name": "k",
                    "pathologies": [{"name": "p", "settings": {n: {"uniform": [0, 1]} for n in ("x", "y")}}],
                }
            ],
        }
    )
    found = []
    for seed in range(40):
        drawn = [s for _, s in settings(draw_cohort(healthy(25), recipe, seed), "k", "p")]
        found.append(np.corrcoef([s["x"] for s in drawn], [s["y"] for s in drawn])[0, 1])
    assert abs(np.mean(found)) < 4 / np.sqrt(99 * 40)
    assert np.std(found) == pytest.approx(1 / np.sqrt(99), rel=0.3)


def test_the_order_of_the_cases_does_not_matter_and_the_seed_does():
    for recipe in (MIXED, PAPER):
        cases = healthy(12)
        one = {v.case: v for v in draw_cohort(cases, recipe, 3)}
        other = {v.case: v for v in draw_cohort(cases[::-1], recipe, 3)}
        assert one == other
        assert next(v.source for v in draw_cohort(cases[::-1], recipe, 3)) == "c11"
        assert [v.asked for v in one.values()] != [v.asked for v in draw_cohort(cases, recipe, 4)]


def test_the_pool_of_the_first_paper():
    """First pathology uniform of four, a second in half, a third in a quarter; checked against their own simulation."""
    number, sizes, having = Counter(), Counter(), Counter()
    for seed in range(20):
        for variant in draw_cohort(healthy(33), PAPER, seed):
            names = [asked.pathology for asked in variant.asked]
            assert len(set(names) & HYPOPLASIAS) <= 1
            assert "small_brain" not in names or "wide" in names
            order = ["wide", "small_cerebellum", "small_hindbrain", "small_brain"]
            assert names == sorted(names, key=order.index)
            number.update([1])
            sizes.update([len(names)])
            having.update(names)
    expected_sizes, expected_having = simulated_pool(20 * 198)
    for size in (1, 2, 3):
        assert sizes[size] / number[1] == pytest.approx(expected_sizes[size], abs=0.02)
    for name, share in expected_having.items():
        assert having[name] / number[1] == pytest.approx(share, abs=0.02)


def simulated_pool(n: int) -> tuple[dict[int, float], dict[str, float]]:
    """The same rules, drawn independently one patient at a time."""
    rng, sizes, having = np.random.default_rng(0), Counter(), Counter()
    for _ in range(n):
        wanted, found = 1 + (u := rng.random() < 0.5) + (u and rng.random() < 0.5), set()
        for _ in range(wanted):
            left = {"wide", "small_cerebellum", "small_hindbrain", "small_brain"} - found
            left -= HYPOPLASIAS if found & HYPOPLASIAS else set()
            if not left:
                break
            new = sorted(left)[rng.integers(len(left))]
            found.add(new)
        found |= {"wide"} if "small_brain" in found else set()
        sizes.update([len(found)])
        having.update(found)
    return {k: v / n for k, v in sizes.items()}, {k: v / n for k, v in having.items()}


def test_redraws_keep_the_pathologies_and_leave_the_range_to_chance():
    cohort = [v for v in draw_cohort(healthy(33), MIXED, 0) if v.kind == "one"]
    variant = cohort[0]
    assert draw_again(variant, MIXED, 1) == variant.asked
    again = [draw_again(variant, MIXED, number) for number in range(2, 402)]
    widths = [asked[0].settings["mm"] for asked in again]
    assert len(set(widths)) == 400
    assert np.mean(widths) == pytest.approx(15, abs=4 * 10 / np.sqrt(12 * 400))
    assert all([a.pathology for a in asked] == ["wide"] and asked[0].settings["share"] == 0.5 for asked in again)
    assert draw_again(variant, MIXED, 2) != draw_again(cohort[1], MIXED, 2)
    assert draw_again(variant, MIXED, 2) == again[0]


def test_kinds_take_only_the_ages_they_name():
    young = {"name": "young", "cases": {"age_weeks": [18, 25]}, "pathologies": [{"name": "p"}]}
    any_age = {"name": "any", "pathologies": [{"name": "p"}]}
    recipe = Recipe.model_validate(
        {"variants_per_case": 2, "cases": {"age_weeks": [20, 30]}, "kinds": [young, any_age]}
    )
    cases = [c.model_copy(update={"age_weeks": 17.0 + i}) for i, c in enumerate(healthy(16))]
    cohort = draw_cohort(cases, recipe, 0)
    assert {v.parent.age_weeks for v in cohort} == set(np.arange(20.0, 31.0))
    by_kind = Counter((v.kind, v.parent.age_weeks <= 25) for v in cohort)
    assert by_kind == {("young", True): 6, ("any", True): 6, ("any", False): 10}
    with pytest.raises(InputError, match="none of the 3 cases"):
        draw_cohort(cases[:3], recipe, 0)
    with pytest.raises(InputError, match="has no age_weeks"):
        draw_cohort(healthy(2), recipe, 0)


def test_cases_that_would_share_a_name_are_refused():
    cases = [Case(case=name, subject=name, scheme="kcl8") for name in ("a_b", "a-b")]
    with pytest.raises(InputError, match=r"'a_b' and 'a-b' would both become 'aBOne01'"):
        draw_cohort(cases, MIXED.model_copy(update={"kinds": MIXED.kinds[:1]}), 0)


def test_names_that_differ_in_upper_and_lower_case_alone_are_refused():
    cases = [Case(case=name, subject=name, scheme="kcl8") for name in ("a-b", "ab")]
    with pytest.raises(InputError, match=r"'a-b' and 'ab' would both become 'abOne01'"):
        draw_cohort(cases, MIXED.model_copy(update={"kinds": MIXED.kinds[:1]}), 0)
