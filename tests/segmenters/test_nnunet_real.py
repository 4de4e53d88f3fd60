"""nnU-Net itself, with a network of a few channels and a handful of steps: the whole path, a kill, the way on."""

import importlib.util
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import nibabel as nib
import numpy as np
import pytest
from typer.testing import CliRunner

from pathosynth.cli import app
from pathosynth.data.cases import Case, read_cases, write_cases
from pathosynth.data.nifti import write_image, write_labels
from pathosynth.data.volume import Volume
from pathosynth.segmenters.job import Machine
from pathosynth.segmenters.nnunet import config_from_plan, prepare, train
from pathosynth.segmenters.nnunet.places import PROGRAM, Places
from pathosynth.segmenters.record import read_segmenter
from pathosynth.stages.segment_training import Tables

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(importlib.util.find_spec("nnunetv2") is None, reason="nnU-Net is not installed: [segment]"),
]

Brain = Callable[..., tuple[Volume, Volume]]

TINY = {"epochs": 3, "iterations": 2, "patch_voxels": 16, "features": [4, 8, 16], "spacing_mm": 2.0, "threads": 1}


def make_table(folder: Path, brains: dict[str, tuple[Volume, Volume]]) -> Path:
    cases = []
    for name, (labels, image) in brains.items():
        write_labels(folder / f"{name}_dseg.nii.gz", labels)
        write_image(folder / f"{name}_T2w.nii.gz", image)
        values = {"case": name, "subject": name, "scheme": "kcl8", "labels": folder / f"{name}_dseg.nii.gz"}
        cases.append(Case.model_validate(values | {"images": {"T2w": folder / f"{name}_T2w.nii.gz"}}))
    write_cases(folder / "cases.csv", cases)
    return folder / "cases.csv"


@pytest.fixture
def training(tmp_path: Path, small_brain: Brain) -> Path:
    return make_table(tmp_path / "training", {f"t{i}": small_brain((24 + 2 * i, 28, 22)) for i in range(3)})


def test_trains_predicts_and_predicts_again_from_the_folder(tmp_path: Path, small_brain: Brain, training: Path) -> None:
    las = np.diag([-1.5, 1.5, 1.5, 1.0])
    las[:3, 3] = (30, -20, -10)
    tested = make_table(tmp_path / "tested", {"same": small_brain(), "finer": small_brain((30, 36, 28), affine=las)})
    sets = [word for key, value in TINY.items() for word in ("--set", f"{key}={value}")]
    out = tmp_path / "out"
    words = ["segment", "-i", str(tested), "--train", str(training), "-o", str(out), "--device", "cpu", "--seed", "5"]
    result = CliRunner().invoke(app, [*words, *sets, "--debug"])
    assert result.exit_code == 0, result.output
    assert "train 3/3" in result.stderr
    made = {case.case: nib.load(case.labels) for case in read_cases(out / "cases.csv")}
    for case in read_cases(tested):
        truth = nib.load(case.labels)
        assert made[case.case].shape == truth.shape
        np.testing.assert_allclose(made[case.case].affine, truth.affine, atol=1e-4)
        assert set(np.unique(np.asarray(made[case.case].dataobj))) <= set(range(9))
    record = read_segmenter(out)
    assert (record.seed, len(record.training), record.config["epochs"]) == (5, 3, 3)
    weights = Places(out / "segmenter").checkpoint("all")
    before = weights.stat().st_mtime_ns
    assert CliRunner().invoke(app, [*words, *sets]).exit_code == 0
    assert weights.stat().st_mtime_ns == before  # finished work is not done again
    words = ["segment", "-i", str(tested), "--model", str(out / "segmenter"), "-o", str(tmp_path / "again")]
    result = CliRunner().invoke(app, [*words, "--device", "cpu", "--set", "threads=1", "-q", "--debug"])
    assert result.exit_code == 0, result.output
    for case in read_cases(tmp_path / "again" / "cases.csv"):
        np.testing.assert_array_equal(np.asarray(nib.load(case.labels).dataobj), np.asarray(made[case.case].dataobj))
    assert read_segmenter(tmp_path / "again") == record


class Killed(Exception):
    pass


def test_a_training_that_was_killed_ends_with_the_same_weights(tmp_path: Path, training: Path) -> None:
    import torch

    data = Tables.read([training], "", "T2w").data({}, 0)
    config = config_from_plan("small", {**TINY, "keep_data": True})
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    seen: list[int] = []

    def notice(epoch: int, total: int, loss: float) -> None:
        seen.append(epoch)
        if len(seen) == len(config_epochs) + 2:  # the second epoch of the second training: one checkpoint is there
            raise Killed

    config_epochs = range(config.epochs)
    prepare(data, config, tmp_path / "ready", machine=Machine())  # of no seed
    train(data, config, whole, seed=1, machine=Machine(), notice=notice, prepared=tmp_path / "ready")
    shutil.copytree(whole, killed)
    shutil.rmtree(Places(killed).model)
    shutil.rmtree(Places(killed).preprocessed)  # made anew, by the training itself
    with pytest.raises(Killed):
        train(data, config, killed, seed=1, machine=Machine(), notice=notice)
    assert (Places(killed).model / "fold_all" / "checkpoint_latest.pth").is_file()
    train(data, config, killed, seed=1, machine=Machine(), notice=notice)
    assert seen == [1, 2, 3, 1, 2, 2, 3]
    first, second = (
        torch.load(Places(folder).checkpoint("all"), map_location="cpu", weights_only=False)["network_weights"]
        for folder in (whole, killed)
    )
    assert first.keys() == second.keys()
    for name in first:
        torch.testing.assert_close(first[name], second[name], rtol=0, atol=0)


def test_augmentation_can_be_left_out(tmp_path: Path, training: Path) -> None:
    data = Tables.read([training], "", "T2w").data({}, 0)
    lengths = {"epochs": 2, "iterations": 1, "foreground": 0.0}
    losses: dict[str, list[float]] = {"none": [], "nnunet": []}
    prepare(data, config_from_plan("small", {**TINY, **lengths}), tmp_path / "ready", machine=Machine())
    for kind, seen in losses.items():
        config = config_from_plan("small", {**TINY, **lengths, "augmentation": kind})
        train(
            data, config, tmp_path / kind, seed=1, machine=Machine(), prepared=tmp_path / "ready",
            notice=lambda epoch, total, loss, seen=seen: seen.append(loss),
        )  # fmt: skip
    assert losses["none"][0] != losses["nnunet"][0], "augmentation changes what the first step sees"


@pytest.mark.parametrize("can", [True, False])
def test_bfloat16_only_where_the_processor_computes_in_it(can: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch
    from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

    place = PROGRAM / "trainer" / "pathosynth_trainer.py"
    spec = importlib.util.spec_from_file_location("pathosynth_trainer", place)
    assert spec is not None
    assert spec.loader is not None
    trainer = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(trainer)
    monkeypatch.setattr(trainer, "has_bf16", lambda: can)
    monkeypatch.setattr(nnUNetTrainer, "build_network_architecture", lambda *_: torch.nn.Linear(3, 2))
    plans = SimpleNamespace(plans={"pathosynth": {"bf16_on_cpu": True}})
    network = trainer.PathosynthTrainer.build_network_architecture(plans, None, 1, 2)
    x = torch.linspace(0.1, 1.7, 12).reshape(4, 3)
    out = network(x)
    rounded = torch.nn.functional.linear(x.bfloat16(), network.weight.bfloat16(), network.bias.bfloat16()).float()
    expected = rounded if can else torch.nn.functional.linear(x, network.weight, network.bias)
    torch.testing.assert_close(out, expected, rtol=0, atol=0)
    assert out.dtype == torch.float32
