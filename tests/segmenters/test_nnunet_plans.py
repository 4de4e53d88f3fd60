import copy
import importlib.util
import io
import types
from pathlib import Path

import numpy as np
import pytest

from pathosynth.data.labels import load_scheme
from pathosynth.runs.errors import ConfigError, ModelError
from pathosynth.segmenters import nnunet
from pathosynth.segmenters.job import Machine
from pathosynth.segmenters.nnunet import config_from_plan, plans
from pathosynth.segmenters.nnunet.edit import SETTINGS, edited, mirror_axes, trainer_settings, write_plans
from pathosynth.segmenters.nnunet.places import Places
from pathosynth.segmenters.nnunet.process import cores, environment, epochs

MADE = {
    "plans_name": "nnUNetPlans",
    "transpose_forward": [0, 1, 2],
    "configurations": {
        "2d": {"batch_size": 12},
        "3d_fullres": {
            "batch_size": 2, "patch_size": [128, 112, 96], "spacing": [0.8, 0.8, 0.8], "batch_dice": False,
            "use_mask_for_norm": [False],
            "architecture": {"arch_kwargs": {
                "n_stages": 6, "features_per_stage": [32, 64, 128, 256, 320, 320],
                "kernel_sizes": [[3, 3, 3]] * 6, "strides": [[1, 1, 1]] + [[2, 2, 2]] * 4 + [[1, 2, 2]],
                "n_conv_per_stage": [2] * 6, "n_conv_per_stage_decoder": [2] * 5,
            }},
        },
    },
}  # fmt: skip
"""What nnU-Net 2.8 writes, without what we leave alone."""

TRAINER = Path(nnunet.__file__).parent / "program" / "trainer" / "pathosynth_trainer.py"
FETAL, SIDED = load_scheme("kcl8"), load_scheme("aseg")

LOG = """
This is the configuration used by this training:
2026-11-20 20:39:14.095046: Epoch 0
2026-11-20 20:39:14.100000: Current learning rate: 0.01
2026-11-20 20:39:16.910000: train_loss 2.3373
2026-11-20 20:39:16.910001: val_loss 2.1
2026-11-20 20:39:16.916174: Epoch time: 2.83 s
2026-11-20 20:39:20.907042: Epoch 1
2026-11-20 20:39:23.440000: train_loss -0.1311
2026-11-20 20:39:24.907042: Epoch 2
2026-11-20 20:39:25.440000: train_loss nan
"""


def own(plan: dict) -> dict:
    return plan["configurations"]["3d_fullres"]


def test_the_default_plan_leaves_nnunets_own_as_it_is() -> None:
    before = copy.deepcopy(MADE)
    made = edited(MADE, config_from_plan("default", {}), FETAL, 0)
    assert before == MADE
    assert made["configurations"] == MADE["configurations"]
    assert made["plans_name"] != MADE["plans_name"]
    assert made[SETTINGS]["epochs"] == 1000


def test_a_smaller_network_is_consistent_in_every_list() -> None:
    made = own(edited(MADE, config_from_plan("small", {"features": (8, 16, 32), "patch_voxels": 32}), FETAL, 3))
    network = made["architecture"]["arch_kwargs"]
    assert network["n_stages"] == 3 == len(network["features_per_stage"]) == len(network["strides"])
    assert len(network["kernel_sizes"]) == len(network["n_conv_per_stage"]) == 3
    assert len(network["n_conv_per_stage_decoder"]) == 2
    shrinks = np.prod(network["strides"], axis=0)
    assert (np.array(made["patch_size"]) % shrinks == 0).all()


def test_a_deeper_network_than_planned_gets_its_convolutions_too() -> None:
    deep = {"features": (4,) * 8, "patch_voxels": 128}
    network = own(edited(MADE, config_from_plan("small", deep), FETAL, 3))["architecture"]["arch_kwargs"]
    assert len(network["n_conv_per_stage"]) == 8
    assert len(network["n_conv_per_stage_decoder"]) == 7


def test_labels_with_sides_are_never_mirrored_and_others_along_the_right_axis() -> None:
    everywhere, one = config_from_plan("default", {}), config_from_plan("small", {})
    assert mirror_axes(everywhere, FETAL, [0, 1, 2]) == [0, 1, 2]
    assert mirror_axes(everywhere, SIDED, [0, 1, 2]) == [] == mirror_axes(one, SIDED, [2, 0, 1])
    assert mirror_axes(config_from_plan("small", {"augmentation": "none"}), FETAL, [0, 1, 2]) == []
    for transpose in ([0, 1, 2], [2, 0, 1], [1, 2, 0]):
        (axis,) = mirror_axes(one, FETAL, transpose)
        array_xyz = np.arange(2 * 3 * 4).reshape(2, 3, 4)
        as_nnunet_holds_it = array_xyz.transpose(2, 1, 0).transpose(transpose)
        flipped = np.flip(as_nnunet_holds_it, axis)
        back = flipped.transpose(np.argsort(transpose)).transpose(2, 1, 0)
        np.testing.assert_array_equal(back, array_xyz[::-1])


def test_plans_of_another_program_are_refused(tmp_path: Path) -> None:
    (tmp_path / "p.json").write_text('{"configurations": {}}')
    with pytest.raises(ModelError, match="3d_fullres"):
        write_plans(tmp_path / "p.json", tmp_path / "q.json", config_from_plan("small", {}), FETAL, 0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"features": [8, 16, 32], "patch_voxels": 30}, "multiple of 4"),
        ({"folds": 1}, "2 and more"),
        ({"fold": 2}, "fold below"),
        ({"epoch": 3}, "epoch"),
    ],
)
def test_settings_that_do_not_go_together_are_refused(changes: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        config_from_plan("small", changes)


def test_an_unknown_plan_is_refused_by_name() -> None:
    with pytest.raises(ConfigError, match=f"expected one of {', '.join(plans())}"):
        config_from_plan("tiny", {})


def test_epochs_and_losses_are_read_from_the_log() -> None:
    found = list(epochs(line.rstrip("\n") for line in io.StringIO(LOG)))
    assert [(epoch, loss) for epoch, loss in found[:2]] == [(0, 2.3373), (1, -0.1311)]
    assert found[2][0] == 2
    assert np.isnan(found[2][1])


def test_nnunet_is_told_its_folders_and_keeps_the_rest_of_the_environment(tmp_path: Path) -> None:
    config = config_from_plan("small", {"threads": 1})
    told = environment("train", Places(tmp_path), config, Machine("cuda:3"), {"PATH": "p", "nnUNet_raw": "theirs"})
    assert told["PATH"] == "p"
    assert told["nnUNet_raw"].startswith(str(tmp_path))
    assert told["CUDA_VISIBLE_DEVICES"] == "3"
    assert told["nnUNet_n_proc_DA"] == "0"
    assert environment("plan", Places(tmp_path), config, Machine(), {})["nnUNet_n_proc_DA"] == "1"
    assert "nnUNet_n_proc_DA" not in environment(
        "train", Places(tmp_path), config_from_plan("default", {}), Machine(), {}
    )
    assert (Path(told["nnUNet_extTrainer"]) / "pathosynth_trainer.py").is_file()


@pytest.mark.parametrize(("device", "seen"), [("cuda:0", "4"), ("cuda:1", "GPU-b2")])
def test_a_gpu_is_counted_among_those_that_may_be_seen(device: str, seen: str, tmp_path: Path) -> None:
    given = {"CUDA_VISIBLE_DEVICES": "4, GPU-b2"}
    told = environment("train", Places(tmp_path), config_from_plan("small", {}), Machine(device), given)
    assert told["CUDA_VISIBLE_DEVICES"] == seen


def test_a_gpu_that_may_not_be_seen_is_refused(tmp_path: Path) -> None:
    given = {"CUDA_VISIBLE_DEVICES": "4,5"}
    with pytest.raises(ConfigError, match=r"cuda:2.*leaves 2 GPUs"):
        environment("train", Places(tmp_path), config_from_plan("small", {}), Machine("cuda:2"), given)


def test_no_more_cores_than_there_are() -> None:
    everything = cores(config_from_plan("small", {}))
    assert cores(config_from_plan("small", {"threads": 10_000})) == everything >= 1
    assert cores(config_from_plan("small", {"threads": 1})) == 1


@pytest.mark.parametrize(
    ("precision", "has_it", "expected"),
    [("auto", True, "bfloat16"), ("auto", False, "float32"), ("bf16", False, "bfloat16"), ("fp32", True, "float32")],
)
def test_by_itself_the_trainer_computes_in_bf16_only_where_the_processor_does(
    monkeypatch: pytest.MonkeyPatch, precision: str, has_it: bool, expected: str
) -> None:
    torch = pytest.importorskip("torch")
    pytest.importorskip("nnunetv2")
    found = importlib.util.spec_from_file_location("the_trainer", TRAINER)
    assert found is not None
    assert found.loader is not None
    trainer = importlib.util.module_from_spec(found)
    found.loader.exec_module(trainer)
    layer, seen = torch.nn.Linear(2, 2), []
    layer.register_forward_hook(lambda layer, given, result: seen.append(str(result.dtype)))
    network = torch.nn.Sequential(layer)
    monkeypatch.setattr(trainer.nnUNetTrainer, "build_network_architecture", staticmethod(lambda *given: network))
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: has_it)
    made = types.SimpleNamespace(
        plans={"pathosynth": trainer_settings(config_from_plan("small", {"precision": precision}), [], 0)}
    )
    result = trainer.PathosynthTrainer.build_network_architecture(made, None, 1, 2)(torch.ones(1, 2))
    assert (seen, result.dtype) == ([f"torch.{expected}"], torch.float32)
