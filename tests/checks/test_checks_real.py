"""Checks on real fetal MRI: few false alarms, planted faults caught."""

from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from pathosynth.checks import intensity, run_checks
from pathosynth.data.findings import CheckInput
from pathosynth.data.intensity import robust_scale
from pathosynth.data.labels import load_scheme
from pathosynth.data.pairs import Pair

pytestmark = pytest.mark.real_data
SCHEME = load_scheme("kcl8")


def read(path: Path) -> CheckInput:
    volume = nib.load(path)
    labels = np.asarray(volume.dataobj).astype(np.uint8)
    image = nib.load(str(path).replace("_dseg", "_T2w")).get_fdata(dtype=np.float32)
    return CheckInput(image, labels, SCHEME, tuple(float(z) for z in volume.header.get_zooms()[:3]))


def paths(root: Path, folder: str) -> list[Path]:
    found = sorted((root / folder).glob("*_dseg.nii.gz"))
    if not found:
        pytest.skip(f"no label maps in {root / folder}")
    return found


@pytest.fixture(scope="module")
def patients(real_data: Path) -> list[CheckInput]:
    return [read(path) for path in paths(real_data, "fetal_spinabifida_dev")]


def failures(cases: list[CheckInput], names: list[str] | None = None) -> int:
    return sum(not all(finding.passed for finding in run_checks(case, names)) for case in cases)


def test_patients_pass_but_the_youngest_with_its_real_slice_step(patients: list[CheckInput]) -> None:
    assert failures(patients, ["geometry", "islands", "intensity"]) == 0
    assert failures(patients, ["slice_steps"]) <= 1


@pytest.mark.slow
def test_healthy_atlas_passes(real_data: Path) -> None:
    assert failures([read(path) for path in paths(real_data, "fetal_healthy")]) == 0


@pytest.mark.parametrize("axis", range(3))
def test_a_slice_three_percent_brighter_is_caught(axis: int, patients: list[CheckInput]) -> None:
    for case in patients:
        low, high = np.percentile(case.image[case.labels > 0], [0.5, 99.5])
        middle = int(np.argwhere(SCHEME.mask(case.labels, "ventricles"))[:, axis].mean()) + 12
        image = np.moveaxis(case.image.copy(), axis, 0)
        image[middle] += 0.03 * (high - low)
        finding = run_checks(replace(case, image=np.moveaxis(image, 0, axis)), ["slice_steps"])[0]
        assert not finding.passed, finding.detail


def test_scaling_slice_by_slice_is_caught(patients: list[CheckInput]) -> None:
    for case in patients:
        image = case.image.copy()
        for k in range(image.shape[2]):
            inside = image[:, :, k][case.labels[:, :, k] > 0]
            if inside.size > 50:
                low, high = np.percentile(inside, [0.5, 99.5])
                image[:, :, k] = 1000 * (image[:, :, k] - low) / (high - low)
        finding = run_checks(replace(case, image=image), ["slice_steps"])[0]
        assert not finding.passed, finding.detail


def test_bands_of_the_others_hold_for_each_patient_and_swapped_tissue_does_not(patients: list[CheckInput]) -> None:
    pairs = [
        Pair(str(i), str(i), case.labels, robust_scale(case.image, case.labels > 0)[0], case.spacing_mm)
        for i, case in enumerate(patients)
    ]
    for i, case in enumerate(patients):
        judged = replace(case, bands=intensity.learn_bands(pairs[:i] + pairs[i + 1 :], SCHEME))
        assert run_checks(judged, ["intensity"])[0].passed
        # The image of another label map: cerebellum rendered as fluid.
        image = case.image.copy()
        image[case.labels == 3] = np.median(case.image[case.labels == 2])
        assert not run_checks(replace(judged, image=image), ["intensity"])[0].passed
