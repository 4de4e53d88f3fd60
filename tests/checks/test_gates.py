"""Limits learnt from real cases hold what they promise, and nothing broken ever passes."""

from dataclasses import replace
from functools import lru_cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pathosynth.checks import islands, label_agreement, limits, quality, run_checks, score, unusual
from pathosynth.checks.learning import Measured, learn, measured
from pathosynth.data.findings import CheckInput
from pathosynth.data.labels import load_scheme
from pathosynth.data.yardstick import AgreementBands
from pathosynth.runs.errors import InputError

SCHEME = load_scheme("kcl8")
WHITE, VENTRICLES, CSF, CORTEX = 1, 2, 4, 5
MEANS = np.array([0, 0.55, 0.95, 0.6, 0.9, 0.35, 0.45, 0.5, 0.55])


@lru_cache
def head(seed: int) -> CheckInput:
    """A small ball of a head, 2 mm voxels, with noise and a size of its own."""
    rng = np.random.default_rng(seed)
    i, j, k = np.indices((40, 44, 40))
    far = np.sqrt((i - 20) ** 2 + ((j - 22) / 1.1) ** 2 + (k - 20) ** 2) / (1 + 0.05 * rng.normal())
    labels = np.zeros(far.shape, np.uint8)
    for value, radius in ((CSF, 17.5), (CORTEX, 15.5), (WHITE, 13), (VENTRICLES, 4.5)):
        labels[far < radius] = value
    image = MEANS[labels] + rng.normal(0, 0.03 * np.exp(0.1 * rng.normal()), labels.shape)
    return CheckInput(np.where(labels > 0, image, 0).astype(np.float32), labels, SCHEME, (2.0, 2.0, 2.0))


@pytest.fixture(scope="module")
def known() -> CheckInput:
    """A case with a yardstick of twelve others."""
    rows = [measured(f"s{i}", head(i).labels, head(i).image, SCHEME, (2.0, 2.0, 2.0)) for i in range(12)]
    return replace(head(100), yardstick=learn(rows))


def test_an_interval_holds_new_values_as_often_as_it_says(rng: np.random.Generator) -> None:
    for count in (6, 20):
        outside = 0
        for _ in range(3000):
            values = rng.normal(5, 2, count + 1)
            _, low, high = limits.interval(values[:-1], 95.0)
            outside += not low <= values[-1] <= high
        assert outside / 3000 <= 0.06
    assert all(np.isnan(end) for end in limits.interval(np.array([1.0, np.nan, 2.0]), 95.0))
    assert limits.interval(np.full(5, 3.0), 99.0, least=0.5) == (3.0, 2.5, 3.5)


def test_few_cases_allow_more() -> None:
    assert [round(limits.for_few(count, 99.95), 1) for count in (1, 4, 6, 18, 100000)] == [np.inf, 4.7, 2.3, 1.2, 1.0]


@pytest.mark.parametrize("times", [2.0, 3.0])
def test_more_noise_than_real_images_have_is_found_and_less_too(times: float, known: CheckInput) -> None:
    spread = 0.03 * np.sqrt(times**2 - 1)
    noisy = known.image + np.random.default_rng(0).normal(0, spread, known.image.shape).astype(np.float32)
    finding = quality.check(replace(known, image=noisy), quality.Config())
    assert not finding.passed
    clean = np.where(known.labels > 0, MEANS[known.labels], 0).astype(np.float32)
    clean += np.random.default_rng(1).normal(0, 0.005, clean.shape).astype(np.float32)
    assert not quality.check(replace(known, image=clean), quality.Config()).passed


def test_new_heads_pass_and_those_of_another_voxel_size_are_judged_by_their_place_alone(known: CheckInput) -> None:
    for seed in range(200, 208):
        case = replace(head(seed), yardstick=known.yardstick)
        assert quality.check(case, quality.Config()).passed
        assert unusual.check(case, unusual.Config()).value <= 1
    other = replace(known, spacing_mm=(1.0, 1.0, 1.0))
    assert "real cases of 2 mm" in quality.check(other, quality.Config()).detail
    assert not unusual.check(other, unusual.Config()).judged


def with_plexus(seed: int) -> CheckInput:
    """A head with a ball as dark as white matter inside its ventricle, as choroid plexus is."""
    case = head(seed)
    i, j, k = np.indices(case.labels.shape)
    plexus = (i - 20) ** 2 + (j - 22) ** 2 + (k - 20) ** 2 < 2.5**2
    return replace(case, image=np.where(plexus, case.image - 0.4, case.image).astype(np.float32))


def test_white_matter_called_ventricle_is_found_by_the_border_it_does_not_have() -> None:
    rows = [measured(f"s{i}", with_plexus(i).labels, with_plexus(i).image, SCHEME, (2.0, 2.0, 2.0)) for i in range(12)]
    case = replace(with_plexus(100), yardstick=learn(rows))
    assert quality.check(case, quality.Config()).passed
    i, j, k = np.indices(case.labels.shape)
    ball = ((i - 20) ** 2 + (j - 29) ** 2 + (k - 20) ** 2 < 3**2) & (case.labels == WHITE)  # touches the ventricle
    wrong = replace(case, labels=np.where(ball, VENTRICLES, case.labels).astype(np.uint8))
    finding = quality.check(wrong, quality.Config())
    assert not finding.passed
    assert "edgeless white_matter|ventricular_csf" in finding.detail
    assert quality.check(wrong, quality.Config(edgeless_mm2=1000)).passed  # no other measure sees it


def test_an_image_unlike_the_real_ones_is_told_and_changes_neither_verdict_nor_score(known: CheckInput) -> None:
    rim = np.random.default_rng(0).normal(0, 0.2, known.image.shape).astype(np.float32)
    case = replace(known, image=known.image + np.where(known.labels == CSF, rim, 0))
    told = unusual.check(case, unusual.Config())
    assert told.value > 1
    assert "look at it" in told.detail
    assert told.passed
    others = run_checks(case, ["geometry", "slice_steps"])
    assert score([*others, told]) == score(others)


def test_loose_pieces_are_held_against_what_real_maps_have(known: CheckInput) -> None:
    labels = known.labels.copy()
    labels[20:23, 8:11, 20:23] = VENTRICLES  # 27 voxels, 216 mm3, in the cortex
    finding = islands.check(replace(known, labels=labels), islands.Config())
    assert not finding.passed
    assert "second ventricular_csf, 216 mm3" in finding.detail
    assert islands.check(replace(known, labels=labels), islands.Config(beyond_mm3=300)).passed
    assert islands.check(known, islands.Config()).value == 0


def test_loose_pieces_on_another_grid_are_judged_as_without_real_cases(known: CheckInput) -> None:
    labels = known.labels.copy()
    labels[18:24, 8:11, 18:22] = VENTRICLES  # 72 mm3 at 1 mm; real heads at 2 mm have no second piece
    case = replace(known, labels=labels, spacing_mm=(1.0, 1.0, 1.0))
    finding = islands.check(case, islands.Config())
    alone = islands.check(replace(case, yardstick=None), islands.Config())
    assert finding.passed
    assert (finding.value, finding.limit) == (alone.value, alone.limit) == (0, islands.Config().stray_mm3)
    assert finding.detail == f"{alone.detail}; not held against real cases: voxels of 1 x 1 x 1 mm, real cases of 2 mm"
    nearly = replace(case, spacing_mm=(2.0, 2.05, 2.0))
    assert not islands.check(nearly, islands.Config()).passed


def test_hemispheres_apart_are_no_loose_pieces_and_a_cap_of_one_is(known: CheckInput) -> None:
    apart = known.labels.copy()  # white matter is one piece in every known head
    apart[20][apart[20] == WHITE] = CORTEX
    assert islands.check(replace(known, labels=apart), islands.Config()).passed
    apart[:, 31][apart[:, 31] == WHITE] = CORTEX  # a cap of a twentieth
    finding = islands.check(replace(known, labels=apart), islands.Config())
    assert not finding.passed
    assert "white_matter" in finding.detail


def test_agreement_is_held_against_the_same_segmenter_on_real_cases(known: CheckInput) -> None:
    worse = known.labels.copy()
    worse[(known.labels == VENTRICLES) & (np.indices(worse.shape)[0] > 20)] = WHITE
    case = replace(known, predicted=worse)
    dice = label_agreement.agreement(case)["ventricles"]
    shared = int(((known.labels == VENTRICLES) & (worse == VENTRICLES)).sum())
    assert dice == pytest.approx(2 * shared / ((known.labels == VENTRICLES).sum() + (worse == VENTRICLES).sum()))
    strict = AgreementBands("", {"ventricles": np.array([0.95, 0.96, 0.94, 0.95])})
    loose = AgreementBands("", {"ventricles": np.array([0.7, 0.8, 0.75, 0.72])})
    assert not label_agreement.check(replace(case, agreement=strict), label_agreement.Config()).passed
    assert label_agreement.check(replace(case, agreement=loose), label_agreement.Config()).passed


def test_a_yardstick_needs_one_voxel_size() -> None:
    with pytest.raises(InputError, match="one voxel size"):
        learn([Measured("a", 1.0, {}), Measured("b", 2.0, {})])
    with pytest.raises(InputError, match="at least one"):
        learn([])


BREAKS = ("nan", "inf", "constant", "no labels", "empty labels", "no image", "other grid", "constant in the head")


@settings(max_examples=24, deadline=None)
@given(kind=st.sampled_from(BREAKS), place=st.integers(0, 10**6), with_yardstick=st.booleans())
def test_nothing_broken_ever_passes(kind: str, place: int, with_yardstick: bool) -> None:
    case = head(3) if not with_yardstick else replace(head(3), yardstick=_yardstick())
    image, inside = case.image.copy(), np.flatnonzero(case.labels > 0)
    if kind in ("nan", "inf"):
        image.ravel()[inside[place % inside.size]] = np.nan if kind == "nan" else np.inf
    elif kind.startswith("constant"):
        image[case.labels > 0] = 0.5
        image[case.labels == 0] = 0.5 if kind == "constant" else np.linspace(0, 1, int((case.labels == 0).sum()))
    elif kind == "other grid":
        image = image[:-1]
    broken = {"no labels": None, "empty labels": np.zeros_like(case.labels)}.get(kind, case.labels)
    findings = run_checks(replace(case, image=None if kind == "no image" else image, labels=broken))
    assert not all(finding.passed for finding in findings)
    assert score(findings) == 0


@lru_cache
def _yardstick() -> object:
    return learn([measured(f"s{i}", head(i).labels, head(i).image, SCHEME, (2.0, 2.0, 2.0)) for i in range(4)])
