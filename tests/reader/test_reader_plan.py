"""Plans: who sees what, how often and how far apart; counted on the plan itself."""

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pathosynth.reader.plan import Plan, Shown, make_plan
from pathosynth.reader.study import Study
from pathosynth.runs.errors import ConfigError

ARM = {"source": "here", "contrast": "T2w"}


def a_study(**settings: object) -> Study:
    arms = {"scanner": {**ARM, "origin": "real"}, "model": {**ARM, "origin": "synthetic"}}
    return Study.model_validate({"title": "t", "readers": 3, "arms": arms, **settings})


def cases(each: int) -> list[Shown]:
    return [
        Shown(f"{arm}{n}", arm, f"subject{n}", origin)
        for arm, origin in (("scanner", "real"), ("model", "synthetic"))
        for n in range(each)
    ]


def shown(plan: Plan, reader: int, kind: str = "reading") -> list[list[str]]:
    return [[slot.file for slot in block.slots] for block in plan.readers[reader] if block.kind == kind]


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 5), st.integers(1, 3), st.integers(8, 14), st.sampled_from([0.0, 0.1, 0.2]), st.integers(1, 4))
def test_everybody_sees_all_once_and_repeats_far_enough_apart(
    readers: int, blocks: int, each: int, share: float, distance: int
) -> None:
    each *= blocks
    study = a_study(readers=readers, blocks=blocks, repeats={"share": share, "distance": distance})
    plan = make_plan(study, cases(each))
    for reader in range(readers):
        parts = shown(plan, reader)
        assert len(parts) == blocks
        assert {file for part in parts for file in part} == {case.file for case in cases(each)}
        for part in parts:
            counts = Counter(part)
            unique = len(counts)
            assert len(part) - unique == (round(share * unique) or int(share > 0))
            for file in (file for file, count in counts.items() if count > 1):
                first, second = (place for place, other in enumerate(part) if other == file)
                assert second - first > distance


def test_a_training_image_is_never_read_and_tells_what_it_was() -> None:
    plan = make_plan(a_study(training={"cases": 4}), cases(10))
    for reader in range(3):
        (taught,) = shown(plan, reader, "training")
        assert Counter(file.rstrip("0123456789") for file in taught) == {"scanner": 2, "model": 2}
        assert not set(taught) & {file for part in shown(plan, reader) for file in part}
    for block in plan.readers[0]:
        for slot in block.slots:
            word = "real" if slot.file.startswith("scanner") else "synthetic"
            assert slot.feedback == (f"This image is {word}." if block.kind == "training" else None)


@settings(deadline=None, max_examples=30)
@given(st.integers(2, 6), st.integers(1, 3), st.integers(0, 8), st.integers(12, 20))
def test_anchors_go_to_all_and_the_others_round(readers: int, of_each: int, anchors: int, each: int) -> None:
    of_each = min(of_each, readers)
    rule = {"kind": "anchor_and_rotate", "anchors": anchors, "readers_per_case": of_each}
    plan = make_plan(a_study(readers=readers, allocation=rule, repeats={"share": 0}), cases(each))
    read = [shown(plan, reader)[0] for reader in range(readers)]
    counts = Counter(file for part in read for file in part)
    assert sorted(counts.values()) == sorted([readers] * anchors + [of_each] * (2 * each - anchors))
    sizes = [len(part) for part in read]
    assert max(sizes) - min(sizes) <= 1
    for arm in ("scanner", "model"):
        loads = [sum(file.startswith(arm) for file in part) for part in read]
        assert max(loads) - min(loads) <= 1


def test_no_two_slots_share_a_name() -> None:
    """A repeat has another address than its first showing, and another reader's slots have others again."""
    plan = make_plan(a_study(readers=5), cases(12))
    slots = [slot for blocks in plan.readers for block in blocks for slot in block.slots]
    assert len({slot.slot for slot in slots} | {slot.volume for slot in slots}) == 2 * len(slots)


def test_the_seed_decides_all_but_the_random_names() -> None:
    orders = [shown(make_plan(a_study(seed=seed), cases(12)), 0) for seed in (1, 1, 2)]
    assert orders[0] == orders[1] != orders[2]


@pytest.mark.parametrize(
    ("settings", "each", "said"),
    [
        ({"repeats": {"share": 0.5, "distance": 10}}, 6, "Lower distance"),
        ({"training": {"cases": 4}}, 2, "Leave some"),
        ({"blocks": 9}, 4, "Lower it"),
        ({"allocation": {"kind": "anchor_and_rotate", "readers_per_case": 4}}, 6, "readers per case"),
    ],
)
def test_what_cannot_be_planned_is_told(settings: dict[str, object], each: int, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        make_plan(a_study(**settings), cases(each))
