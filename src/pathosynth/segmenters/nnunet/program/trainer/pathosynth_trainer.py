"""nnU-Net's trainer with the settings that stand in the plans; nnU-Net finds it through ``nnUNet_extTrainer``.

pathosynth never imports this file. It changes what nnU-Net offers no option for, at the points nnU-Net documents for
it: lengths, learning rate, seeds, axes of mirroring, whether there is augmentation, checkpoints that appear whole,
bfloat16 on a CPU, and no prediction of the training cases at the end.
"""

import os
import random
import types
from pathlib import Path
from typing import Any

import numpy as np
import torch
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer


class PathosynthTrainer(nnUNetTrainer):  # type: ignore[misc]
    """Reads its settings from ``plans["pathosynth"]``."""

    def __init__(
        self,
        plans: dict[str, Any],
        configuration: str,
        fold: int | str,
        dataset_json: dict[str, Any],
        device: torch.device = torch.device("cuda"),  # noqa: B008, the signature nnU-Net looks at
    ) -> None:
        super().__init__(plans, configuration, fold, dataset_json, device)
        settings = plans["pathosynth"]
        self.settings = settings
        self.num_epochs = settings["epochs"]
        self.num_iterations_per_epoch = settings["iterations"]
        self.num_val_iterations_per_epoch = settings["validation_iterations"]
        self.save_every = settings["save_every"]
        self.initial_lr = settings["learning_rate"]
        self.oversample_foreground_percent = settings["foreground"]
        if self.device.type == "cpu":
            torch.set_num_threads(int(os.environ["nnUNet_def_n_proc"]))  # noqa: SIM112, its name
        _seed(settings["seed"], 0)  # the first weights

    @staticmethod
    def build_network_architecture(
        plans_manager: Any,
        configuration_manager: Any,
        num_input_channels: int,
        num_output_channels: int,
        enable_deep_supervision: bool = True,
    ) -> torch.nn.Module:
        """nnU-Net's network; on a CPU it computes in bfloat16 where the plans say so."""
        network: torch.nn.Module = nnUNetTrainer.build_network_architecture(
            plans_manager, configuration_manager, num_input_channels, num_output_channels, enable_deep_supervision
        )
        if _in_bf16(plans_manager.plans["pathosynth"]["precision_on_cpu"]):
            network.forward = types.MethodType(_forward(type(network).forward), network)  # type: ignore[method-assign]
        return network

    def get_training_transforms(self, *args: Any, **kwargs: Any) -> Any:
        """nnU-Net's augmentation, or none.

        Blur does not choose its method by timing, which would draw random numbers.
        """
        if self.settings["augmentation"] == "none":
            names = ("is_cascaded", "foreground_labels", "regions", "ignore_label")
            return self.get_validation_transforms(args[2], **{name: kwargs[name] for name in names})
        transforms = nnUNetTrainer.get_training_transforms(*args, **kwargs)
        for one in transforms.transforms:
            if hasattr(getattr(one, "transform", None), "benchmark"):
                one.transform.benchmark = False
        return transforms

    def configure_rotation_dummyDA_mirroring_and_inital_patch_size(self) -> tuple[Any, ...]:  # noqa: N802
        """nnU-Net's, with the axes of mirroring that the labels allow."""
        rotation, dummy_2d, initial_patch_size, _ = super().configure_rotation_dummyDA_mirroring_and_inital_patch_size()
        axes = tuple(self.settings["mirror_axes"])
        self.inference_allowed_mirroring_axes = axes or None
        if self.settings["augmentation"] == "none":
            initial_patch_size = self.configuration_manager.patch_size  # nothing is rotated out of a larger one
        return rotation, dummy_2d, initial_patch_size, axes

    def configure_optimizers(self) -> tuple[Any, Any]:
        """nnU-Net's, or AdamW, which learns small structures in hundreds of steps instead of thousands."""
        optimizer, schedule = super().configure_optimizers()
        if self.settings["optimizer"] == "adamw":
            optimizer = torch.optim.AdamW(self.network.parameters(), self.initial_lr, weight_decay=self.weight_decay)
            schedule = type(schedule)(optimizer, self.initial_lr, self.num_epochs)
        return optimizer, schedule

    def on_train_epoch_start(self) -> None:
        """Seed by epoch, so that a training that was killed goes on as if it had not been."""
        _seed(self.settings["seed"], self.current_epoch + 1)
        super().on_train_epoch_start()

    def save_checkpoint(self, filename: str) -> None:
        """Write aside and rename, so that a kill never leaves half a checkpoint."""
        partial = f"{filename}.partial"
        super().save_checkpoint(partial)
        if Path(partial).is_file():
            Path(partial).replace(filename)

    def perform_actual_validation(self, save_probabilities: bool = False) -> None:
        """Nothing: test cases are predicted by a command of their own."""


def _seed(seed: int, epoch: int) -> None:
    """Seed everything nnU-Net draws from."""
    value = int(np.random.SeedSequence([seed, epoch]).generate_state(1)[0])
    random.seed(value)
    np.random.seed(value)  # noqa: NPY002, what nnU-Net draws from
    torch.manual_seed(value)


def _in_bf16(precision: str) -> bool:
    """Whether to compute in bfloat16 on a CPU: asked for, or `auto` on a processor that has it.

    The rule of `pathosynth.diffusion.precision.use_bf16`, which this program cannot import.
    """
    return precision == "bf16" or (precision == "auto" and bool(torch.ops.mkldnn._is_mkldnn_bf16_supported()))


def _forward(plain: Any) -> Any:
    """The network's forward in bfloat16 on a CPU, with float32 results."""

    def forward(self: torch.nn.Module, x: torch.Tensor) -> Any:
        if x.device.type != "cpu":
            return plain(self, x)
        with torch.autocast("cpu", torch.bfloat16):
            out = plain(self, x)
        return [one.float() for one in out] if isinstance(out, list | tuple) else out.float()

    return forward
