"""Several pathologies in one case, on toys that move a cube by whole voxels, so that every number is known exactly."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from pathosynth.data.cases import Case
from pathosynth.data.labels import load_scheme
from pathosynth.data.volume import Volume
from pathosynth.morphing.morphed import Morphed
from pathosynth.morphing.warp import warp_labels
from pathosynth.pathologies import PATHOLOGIES
from pathosynth.runs.config import Config
from pathosynth.runs.errors import ConfigError, MorphError
from pathosynth.stages import composition
from pathosynth.stages.cohort import Asked, draw_cohort
from pathosynth.stages.composition import apply, steps_for
from pathosynth.stages.morph import Morphing, child, facts, make
from pathosynth.stages.recipes import Recipe

SCHEME = load_scheme("kcl8")
CASE = Case(case="head", subject="head", scheme="kcl8", age_weeks=28)


def cube() -> Volume:
    labels = np.zeros((40, 40, 40), np.uint8)
    labels[15:23, 14:20, 16:22] = 1
    return Volume(labels, np.diag([2.0, 2.0, 2.0, 1.0]))


def corner_mm(labels: np.ndarray) -> dict[str, float]:
    i, j, _ = (2.0 * index.min() for index in np.nonzero(labels))
    return {"i_mm": i, "j_mm": j}


def moved(labels: np.ndarray, i_mm: float, j_mm: float, asked: dict[str, float]) -> Morphed:
    """The cube moved so that its corner lies there, with the displacement that does it and a report."""
    now = corner_mm(labels)
    step = np.rint([(now["i_mm"] - i_mm) / 2, (now["j_mm"] - j_mm) / 2, 0]).astype(int)
    displacement = np.broadcast_to(step.reshape(3, 1, 1, 1), (3, *labels.shape)).astype(np.float32)
    out = warp_labels(labels, displacement)
    targets = [{"measure": k, "unit": "mm", "asked": v, "reached": corner_mm(out)[k]} for k, v in asked.items()]
    return Morphed(out, displacement, {"pathology": "toy", "targets": targets, "warnings": ["a toy"]})


class Shift(Config):
    """Moves along i, to a place or by a distance."""

    i_mm: float | None = None
    by_mm: float = 0.0
    drags_j_mm: float = 0.0


class Push(Config):
    """Moves along j, and drags the cube along i while doing so."""

    j_mm: float | None = None
    drags_i_mm: float = 4.0
    age_weeks: float | None = None


class Level(Config):
    """A number that must not exceed a limit."""

    level: float


def shift(labels: np.ndarray, scheme: Any, spacing: Any, config: Shift, rng: np.random.Generator) -> Morphed:
    now = corner_mm(labels)
    wanted = now["i_mm"] + config.by_mm if config.i_mm is None else config.i_mm
    return moved(labels, wanted, now["j_mm"] + config.drags_j_mm, {"i_mm": wanted})


def push(labels: np.ndarray, scheme: Any, spacing: Any, config: Push, rng: np.random.Generator) -> Morphed:
    now = corner_mm(labels)
    wanted = now["j_mm"] if config.j_mm is None else config.j_mm
    return moved(labels, now["i_mm"] + config.drags_i_mm, wanted, {"j_mm": wanted})


def picky(labels: np.ndarray, scheme: Any, spacing: Any, config: Level, rng: np.random.Generator) -> Morphed:
    if config.level > 0.25:
        raise MorphError("too high")
    return Morphed(labels, None, {"pathology": "picky", "targets": [], "warnings": []})


@pytest.fixture(autouse=True)
def toys(monkeypatch: pytest.MonkeyPatch) -> None:
    def measured(labels: np.ndarray, scheme: Any, spacing: Any) -> dict[str, float]:
        return corner_mm(labels) | {"nothing": np.nan}

    for name, model, morph in (
        ("shift", Shift, shift),
        ("pull", Shift, shift),
        ("push", Push, push),
        ("picky", Level, picky),
    ):
        module = SimpleNamespace(Config=model, morph=morph, severity=measured)
        monkeypatch.setitem(PATHOLOGIES, name, module)  # type: ignore[arg-type]


def done(*asked: tuple[str, dict[str, Any]]) -> Morphed:
    return apply(cube(), SCHEME, steps_for([Asked(*one) for one in asked], CASE), seed=1)


def test_both_targets_are_met_although_the_second_pathology_moved_the_first():
    morphed = done(("shift", {"by_mm": 6}), ("push", {"j_mm": 36, "drags_i_mm": 0}))
    assert corner_mm(morphed.labels) == {"i_mm": 36, "j_mm": 36}
    assert morphed.report["corrections"] == []
    morphed = done(("shift", {"by_mm": 6}), ("push", {"j_mm": 36}))
    assert corner_mm(morphed.labels) == {"i_mm": 36, "j_mm": 36}, "asked: 30 mm + 6 mm, not 6 mm twice"
    (correction,) = morphed.report["corrections"]
    assert (correction["round"], correction["pathology"], correction["done"]) == (1, "shift", True)
    assert correction["drifted"] == {"i_mm": 40}
    assert [step["targets"][0]["reached"] for step in morphed.report["steps"]] == [36, 36]
    assert morphed.report["targets"] == [
        {"pathology": "shift", "measure": "i_mm", "unit": "mm", "asked": 36, "reached": 36},
        {"pathology": "push", "measure": "j_mm", "unit": "mm", "asked": 36, "reached": 36},
    ]
    assert morphed.report["warnings"] == []


def test_the_displacement_leads_from_the_last_map_to_the_parent():
    morphed = done(("shift", {"by_mm": 6}), ("push", {"j_mm": 36}))
    assert morphed.displacement is not None
    np.testing.assert_array_equal(warp_labels(cube().array, morphed.displacement), morphed.labels)
    np.testing.assert_array_equal(np.unique(morphed.displacement[0]), [-3])
    np.testing.assert_array_equal(np.unique(morphed.displacement[1]), [-4])


def again_that_drags(monkeypatch: pytest.MonkeyPatch, drags: dict[str, tuple[str, float]]) -> None:
    """Let the corrections of some toys move the other target by so many mm."""
    for name, (setting, drag) in drags.items():

        def again(config: Config, asked: dict[str, float], setting: str = setting, drag: float = drag) -> Config:
            return type(config)(**asked, **{setting: drag})

        monkeypatch.setattr(PATHOLOGIES[name], "again", again, raising=False)


def test_a_correction_that_does_as_much_harm_is_taken_back(monkeypatch):
    again_that_drags(monkeypatch, {"shift": ("drags_j_mm", 4), "push": ("drags_i_mm", 4)})
    morphed = done(("shift", {"i_mm": 36}), ("push", {"j_mm": 36}))
    assert corner_mm(morphed.labels) == {"i_mm": 40, "j_mm": 36}
    assert [(c["round"], c["pathology"], c["done"]) for c in morphed.report["corrections"]] == [(1, "shift", False)]
    assert "13 tolerances" in morphed.report["corrections"][0]["why"]
    (warning,) = morphed.report["warnings"]
    assert "shift: i_mm ended at 40 mm, asked were 36" in warning
    assert morphed.report["targets"][0]["reached"] == 40


def test_pathologies_that_disturb_each_other_stop_after_two_rounds(monkeypatch):
    """Each correction drags the other target by 2 mm less than it had drifted, so all help and none ends it."""
    drags = iter((10.0, 8.0, 6.0, 4.0))

    def again(config: Config, asked: dict[str, float]) -> Config:
        return type(config)(**asked, **{"drags_j_mm" if isinstance(config, Shift) else "drags_i_mm": next(drags)})

    for name in ("shift", "push"):
        monkeypatch.setattr(PATHOLOGIES[name], "again", again, raising=False)
    morphed = done(("shift", {"i_mm": 36}), ("push", {"j_mm": 36, "drags_i_mm": 12}))
    assert [(c["round"], c["pathology"], c["done"]) for c in morphed.report["corrections"]] == [
        (1, "shift", True), (1, "push", True), (2, "shift", True), (2, "push", True),
    ]  # fmt: skip
    assert corner_mm(morphed.labels) == {"i_mm": 40, "j_mm": 36}
    assert len(morphed.report["warnings"]) == 1


def test_the_last_word_on_a_measure_counts():
    morphed = done(("shift", {"i_mm": 36}), ("push", {"j_mm": 36}), ("pull", {"i_mm": 20}))
    assert corner_mm(morphed.labels) == {"i_mm": 20, "j_mm": 36}
    assert [(t["pathology"], t["measure"], t["asked"]) for t in morphed.report["targets"]] == [
        ("push", "j_mm", 36),
        ("pull", "i_mm", 20),
    ]
    assert morphed.report["corrections"] == []


def test_a_target_without_a_setting_of_its_name_is_left_and_told(monkeypatch):
    class Renamed(Config):
        by_mm: float

    monkeypatch.setattr(PATHOLOGIES["shift"], "Config", Renamed)
    monkeypatch.setattr(
        PATHOLOGIES["shift"], "morph", lambda a, s, mm, c, rng: shift(a, s, mm, Shift(by_mm=c.by_mm), rng)
    )
    morphed = done(("shift", {"by_mm": 6}), ("push", {"j_mm": 36}))
    assert corner_mm(morphed.labels) == {"i_mm": 40, "j_mm": 36}
    assert [c["done"] for c in morphed.report["corrections"]] == [False]
    assert "no setting named like i_mm" in morphed.report["corrections"][0]["why"]
    assert len(morphed.report["warnings"]) == 1


def test_small_drifts_are_no_reason_to_morph_again():
    assert done(("shift", {"i_mm": 36}), ("push", {"drags_i_mm": 0.29})).report["corrections"] == []
    target = composition.Target(0, "p", "brain_ml", "mL", asked=200.0, reached=200.0)
    assert (target.off(201.0), target.off(199.5)) == (pytest.approx(1, rel=2e-3), pytest.approx(0.5, rel=2e-3))
    assert composition.Target(0, "p", "n", "voxels", 3, 3).off(300) == 0
    assert composition.Target(0, "p", "gone_ml", "mL", 0, 0).off(0) == 0


def test_sides_are_asked_of_the_setting_of_both():
    step = composition.Step("ventriculomegaly", PATHOLOGIES["ventriculomegaly"].Config(ventricle_fold=1.5))
    asked = {"atrial_width_left_mm": 12.0, "atrial_width_right_mm": 14.0}
    found = composition.in_absolute_numbers(step, asked).model_dump(exclude_defaults=True)
    assert found == {"atrial_width_mm": {"left": 12.0, "right": 14.0}}


def test_one_side_alone_and_who_pays_are_asked_again():
    model = PATHOLOGIES["cerebellar_hypoplasia"].Config
    step = composition.Step("cerebellar_hypoplasia", model(cerebellum_fold=0.6, pattern="left", skull_share=0.3))
    found = composition.in_absolute_numbers(step, {"cerebellum_left_ml": 2.5})
    assert found == model(cerebellum_ml=2.5, pattern="left", skull_share=0.3)


def test_without_a_displacement_of_every_step_there_is_none():
    morphed = done(("shift", {"by_mm": 6}), ("picky", {"level": 0}))
    assert morphed.displacement is None
    assert "no displacement" in morphed.report["warnings"][0]
    assert done(("picky", {"level": 0})).report["warnings"] == []


def test_the_age_of_the_case_is_used_unless_given():
    (from_case,) = steps_for([Asked("push", {})], CASE)
    (given,) = steps_for([Asked("push", {"age_weeks": 20})], CASE)
    (unknown,) = steps_for([Asked("push", {})], CASE.model_copy(update={"age_weeks": None}))
    assert [step.config.age_weeks for step in (from_case, given, unknown)] == [28, 20, None]
    assert steps_for([Asked("shift", {})], CASE)[0].config == Shift()


def recipe(high: float, draws: int = 40) -> Recipe:
    part = {"name": "picky", "settings": {"level": {"uniform": [0, high]}}}
    return Recipe.model_validate({"max_draws": draws, "kinds": [{"name": "k", "pathologies": [part]}]})


def test_refused_draws_are_replaced_and_counted():
    cases = [CASE.model_copy(update={"case": f"c{i}", "subject": f"c{i}"}) for i in range(60)]
    made = [make(variant, cube(), SCHEME, recipe(1.0)) for variant in draw_cohort(cases, recipe(1.0), 0)]
    refused = [len(one.refused) for one in made]
    assert refused.count(0) == 15, "a quarter of the strata lies below the limit"
    assert np.mean(refused) == pytest.approx(0.75 * 4, abs=1.2)  # then geometric with p = 1/4
    assert all(one.asked[0].settings["level"] <= 0.25 for one in made)
    assert facts(made[0])["refused"] == list(made[0].refused)


def test_a_case_no_draw_can_meet_fails_with_count_and_reason():
    part = {"name": "picky", "settings": {"level": {"uniform": [0.5, 1]}}}
    hopeless = Recipe.model_validate({"max_draws": 3, "kinds": [{"name": "k", "pathologies": [part]}]})
    (variant,) = draw_cohort([CASE], hopeless, 0)
    with pytest.raises(MorphError, match="None of 3 draws of 'k' could be met: 3 x too high"):
        make(variant, cube(), SCHEME, hopeless)


def test_the_row_names_all_pathologies_and_their_severities():
    morphing = Morphing.of(["shift", "push"], ["i_mm=36", "push.j_mm=36"])
    (variant,) = draw_cohort([CASE], morphing.recipe, 0)
    made = make(variant, cube(), SCHEME, morphing.recipe)
    row = child(variant, made)
    assert (row.case, row.pathology) == ("headShiftPush01", "shift+push")
    assert row.severity == {"i_mm": 36, "j_mm": 36}, "what is not a number is left out"
    assert facts(made)["warnings"] == 3  # two steps and one correction, each with the toy's warning


def test_severities_get_a_z_score_where_there_is_a_curve_for_the_age():
    found, warnings = composition.z_scores({"atrial_width_mm": 6.93, "ventricle_ml": 30.0, "i_mm": 3.0}, 28.0)
    mean, sd = 0.0078 * 28**2 - 0.5216 * 28 + 15.374, 0.0264 * 28 + 0.5152
    assert found == {"atrial_width_z": pytest.approx((6.93 - mean) / sd)}
    assert warnings == []
    assert composition.z_scores({"atrial_width_mm": 7.0}, None) == ({}, [])
    found, (warning,) = composition.z_scores({"atrial_width_mm": 7.0}, 12.0)
    assert (found, "12 weeks" in warning) == ({}, True)


@pytest.mark.parametrize(
    ("pathologies", "settings", "wanted"),
    [
        (["shift"], ["by_mm=2"], {"shift": {"by_mm": 2}}),
        (["shift"], ["shift.by_mm=2"], {"shift": {"by_mm": 2}}),
        (["shift", "push"], ["by_mm=2", "push.j_mm=3"], {"shift": {"by_mm": 2}, "push": {"j_mm": 3}}),
        (["ventriculomegaly", "shift"], ["atrial_width_mm.left=9", "atrial_width_mm.right=8"],
         {"ventriculomegaly": {"atrial_width_mm": {"left": 9, "right": 8}}, "shift": {}}),
    ],
)  # fmt: skip
def test_settings_reach_their_pathology(pathologies, settings, wanted):
    (kind,) = Morphing.of(pathologies, settings).recipe.kinds
    assert {part.name: part.settings for part in kind.pathologies} == wanted


@pytest.mark.parametrize(
    ("pathologies", "settings", "named"),
    [
        (["ventriculomegaly", "dilation"], ["ventricle_ml=20"],
         "ventriculomegaly.ventricle_ml=… or --set dilation.ventricle_ml"),
        (["shift", "push"], ["nosuch=2"], "--set nosuch: no pathology has"),
        (["shift"], ["nosuch=2"], "nosuch: Extra inputs"),
        (["shift", "push"], ["push.nosuch=2"], "nosuch: Extra inputs"),
        (["shift"], ["push.j_mm=2"], "Add --pathology push"),
        (["shift", "shift"], ["by_mm=2"], "each once"),
        (["shift", "nosuch"], [], "--pathology nosuch"),
        (["shift"], ["by_mm={uniform=[0, 1]}"], "by_mm"),
    ],
)  # fmt: skip
def test_settings_that_reach_none_or_several_are_refused(pathologies, settings, named):
    with pytest.raises(ConfigError, match=named):
        Morphing.of(pathologies, settings)
