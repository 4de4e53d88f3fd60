"""What every check must do, tried on all of them: pass good cases, catch its planted defect, never pass nonsense."""

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache

import numpy as np
import pytest
from scipy import ndimage

from pathosynth.checks import CHECKS, copies, run_checks, score
from pathosynth.checks.learning import learn, measured
from pathosynth.data.findings import CheckInput, Finding
from pathosynth.data.labels import load_scheme
from pathosynth.data.pairs import Pair
from pathosynth.data.phantom import brain_phantom
from pathosynth.data.requests import Request
from pathosynth.image_generators import gaussian_mixture
from pathosynth.runs.errors import ConfigError

SCHEME = load_scheme("kcl8")


def rendered(seed: int) -> CheckInput:
    phantom = brain_phantom(seed)
    request = Request(phantom.array, SCHEME, phantom.spacing_mm)
    image = gaussian_mixture.generate(gaussian_mixture.Config(), [request], [seed])[0]
    return CheckInput(image, phantom.array, SCHEME, phantom.spacing_mm)


@lru_cache
def trained() -> list[CheckInput]:
    """Cases a model is said to have learnt from."""
    return [rendered(seed) for seed in range(20, 24)]


@pytest.fixture(scope="module")
def good() -> list[CheckInput]:
    pairs = [Pair(f"case{i}", f"subject{i}", c.labels, c.image, c.spacing_mm) for i, c in enumerate(trained())]
    known = copies.learn_copies(pairs, SCHEME, [pair.image for pair in pairs])
    yardstick = learn([measured(p.subject, p.labels, p.image, SCHEME, p.spacing_mm) for p in pairs])
    cases = [replace(rendered(seed), training_cases=known, yardstick=yardstick) for seed in range(5)]
    return [replace(case, predicted=case.labels) for case in cases]


def ventricle_open_to_the_background(case: CheckInput) -> CheckInput:
    labels = case.labels.copy()
    i, j, k = (np.argwhere(SCHEME.mask(labels, "ventricles")).mean(axis=0)).astype(int)
    labels[i - 2 : i + 2, j - 2 : j + 2, k:][labels[i - 2 : i + 2, j - 2 : j + 2, k:] > 0] = SCHEME.group("ventricles")[
        0
    ]
    return replace(case, labels=labels)


def floating_cerebellum(case: CheckInput) -> CheckInput:
    labels = case.labels.copy()
    labels[2:8, 2:8, 2:8] = SCHEME.group("cerebellum")[0]
    return replace(case, labels=labels)


def one_slice_brighter(case: CheckInput) -> CheckInput:
    image = case.image.copy()
    image[:, :, image.shape[2] // 2] += 0.03
    return replace(case, image=image)


def cortex_torn_off(case: CheckInput) -> CheckInput:
    labels = case.labels.copy()
    upper = np.arange(labels.shape[2]) > np.argwhere(SCHEME.mask(labels, "cortex"))[:, 2].mean()
    labels[SCHEME.mask(labels, "cortex") & upper] = SCHEME.group("external_csf")[0]
    return replace(case, labels=labels)


def left_and_right_exchanged(case: CheckInput) -> CheckInput:
    scheme = load_scheme("synthseg")
    sided = np.where(case.labels > 0, scheme.group("white_matter")[0], 0)
    sided[: sided.shape[0] // 2][case.labels[: sided.shape[0] // 2] > 0] = scheme.group("white_matter")[1]
    return replace(case, labels=sided.astype(case.labels.dtype), scheme=scheme)


def grey_and_fluid_alike(case: CheckInput) -> CheckInput:
    image = case.image.copy()
    fluid, white = SCHEME.mask(case.labels, "ventricles") | SCHEME.mask(case.labels, "external_csf"), case.labels == 1
    image[fluid] += np.median(image[white]) - np.median(image[fluid])
    return replace(case, image=image)


def two_slices_exchanged(case: CheckInput) -> CheckInput:
    image = case.image.copy()
    image[:, :, [38, 50]] = image[:, :, [50, 38]]
    return replace(case, image=image)


def labels_two_voxels_beside_the_image(case: CheckInput) -> CheckInput:
    return replace(case, labels=np.roll(case.labels, 2, axis=1))


def static(case: CheckInput) -> CheckInput:
    noise = np.random.default_rng(0).normal(size=case.image.shape).astype(np.float32)
    return replace(case, image=np.where(case.labels > 0, noise, 0).astype(np.float32))


def ventricles_that_the_segmenter_does_not_see(case: CheckInput) -> CheckInput:
    seen = ndimage.binary_erosion(SCHEME.mask(case.labels, "ventricles"), iterations=2)
    lost = SCHEME.mask(case.labels, "ventricles") & ~seen
    return replace(case, predicted=np.where(lost, SCHEME.group("white_matter")[0], case.labels))


LABELS_ONLY = ("islands", "nesting", "sides")
ADVISING = ("unusual",)


def training_case_mirrored(case: CheckInput) -> CheckInput:
    return replace(case, labels=trained()[0].labels[::-1], image=trained()[0].image[::-1] ** 2)


DEFECTS: dict[str, Callable[[CheckInput], CheckInput]] = {
    "geometry": ventricle_open_to_the_background,
    "islands": floating_cerebellum,
    "nesting": cortex_torn_off,
    "sides": left_and_right_exchanged,
    "slice_steps": one_slice_brighter,
    "slice_order": two_slices_exchanged,
    "intensity": grey_and_fluid_alike,
    "quality": labels_two_voxels_beside_the_image,
    "unusual": static,
    "label_agreement": ventricles_that_the_segmenter_does_not_see,
    "copies": training_case_mirrored,
}


def run(name: str, case: CheckInput) -> Finding:
    return run_checks(case, [name])[0]


def test_every_check_has_a_planted_defect() -> None:
    assert set(DEFECTS) == set(CHECKS)


@pytest.mark.parametrize("name", CHECKS)
def test_good_cases_pass(name: str, good: list[CheckInput]) -> None:
    for case in good:
        finding = run(name, case)
        assert finding.passed, finding.detail
        assert finding.name == name
        assert finding.value <= finding.limit


@pytest.mark.parametrize("name", CHECKS)
def test_planted_defect_is_caught_and_told(name: str, good: list[CheckInput]) -> None:
    for case in good:
        finding = run(name, DEFECTS[name](case))
        assert finding.passed == finding.advice == (name in ADVISING), finding.detail
        assert finding.value > finding.limit
        assert finding.detail


@pytest.mark.parametrize("name", CHECKS)
@pytest.mark.parametrize("nonsense", ["empty labels", "no labels", "nothing at all"])
def test_without_labels_nothing_passes(name: str, nonsense: str, good: list[CheckInput]) -> None:
    case = replace(good[0], labels=np.zeros_like(good[0].labels) if nonsense == "empty labels" else None)
    if nonsense == "nothing at all":
        case = replace(case, image=None)
    finding = run(name, case)
    assert not finding.passed
    assert np.isnan(finding.value)


@pytest.mark.parametrize("name", [name for name in CHECKS if name not in LABELS_ONLY])
@pytest.mark.parametrize("nonsense", [np.nan, np.inf, "constant", "other grid"])
def test_a_broken_image_never_passes(name: str, nonsense: float | str, good: list[CheckInput]) -> None:
    image = good[0].image.copy()
    if nonsense == "constant":
        image[:] = 0.5
    elif nonsense == "other grid":
        image = image[1:]
    else:
        image[tuple(np.argwhere(good[0].labels > 0)[0])] = nonsense
    finding = run(name, replace(good[0], image=image))
    assert not finding.passed
    assert np.isnan(finding.value)


@pytest.mark.parametrize("name", CHECKS)
def test_input_is_not_touched(name: str, good: list[CheckInput]) -> None:
    image, labels = good[0].image.copy(), good[0].labels.copy()
    run(name, good[0])
    np.testing.assert_array_equal(good[0].image, image)
    np.testing.assert_array_equal(good[0].labels, labels)


@pytest.mark.parametrize("name", CHECKS)
def test_unit_of_the_image_does_not_matter(name: str, good: list[CheckInput]) -> None:
    expected = run(name, good[1])
    finding = run(name, replace(good[1], image=good[1].image * 1000 + 300))
    assert finding.passed == expected.passed
    assert finding.value == pytest.approx(expected.value, abs=1e-3)


def test_a_finding_cannot_pass_without_a_value() -> None:
    with pytest.raises(ValueError, match="without a value"):
        Finding("geometry", float("nan"), 0.0, True, "")


def test_unknown_check_is_refused(good: list[CheckInput]) -> None:
    with pytest.raises(ConfigError, match="geometry"):
        run_checks(good[0], ["beauty"])


def test_all_checks_run_in_the_order_of_the_table(good: list[CheckInput]) -> None:
    assert [finding.name for finding in run_checks(good[0])] == list(CHECKS)


def test_labels_alone_can_be_judged(good: list[CheckInput]) -> None:
    case = replace(good[0], image=None)
    assert all(finding.passed for finding in run_checks(case, ["geometry", "islands", "copies"]))
    assert not any(finding.passed for finding in run_checks(case, ["slice_steps", "intensity"]))


def test_folds_are_not_mistaken_for_slice_steps_after_smoothing(good: list[CheckInput]) -> None:
    image = ndimage.gaussian_filter(good[0].image, 0.7)
    assert run("slice_steps", replace(good[0], image=image)).passed


def test_the_score_falls_with_every_planted_defect(good: list[CheckInput]) -> None:
    """1 is best and 0.5 the limit: a case that fails a check is below, one that passes all is not."""
    for name in [name for name in CHECKS if name not in ADVISING]:
        best = run_checks(good[2], [name])
        assert score(run_checks(DEFECTS[name](good[2]), [name])) < 0.5, name
        assert score(best) >= 0.5 or not best[0].judged, name
    assert score([]) == 0
    assert score(run_checks(replace(good[2], labels=None))) == 0


def test_what_was_not_judged_does_not_count(good: list[CheckInput]) -> None:
    alone = run_checks(replace(good[0], predicted=None), ["label_agreement", "islands"])
    assert not alone[0].judged
    assert score(alone) == score(alone[1:])
