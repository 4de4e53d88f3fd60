"""The `paper` network: MONAI's diffusion U-Net at voxel size, labels concatenated to the noisy image at every step.

Source: the first paper's configuration (arXiv 2501.19338): base 64, multipliers 1, 1, 2, 2, 3, 4, one residual block
per level, self-attention in the bottleneck only, 44.4 M parameters.
"""

from collections.abc import Sequence

import torch
from monai.networks.nets.diffusion_model_unet import DiffusionModelUNet
from torch import Tensor, nn


class ConcatUNet(nn.Module):
    """Noisy image + one-hot labels (as -1 and +1) + time -> prediction of the same size.

    Args:
        fine_channels: channels of the condition at voxel size; here one per label class.
        width: channels of the highest level, a multiple of 32 (GroupNorm 32).
        multipliers: channels of each level, in units of `width`.
        blocks: residual blocks per level.
        steps: length T of the discrete schedule; the time embedding sees t T.
    """

    def __init__(
        self, *, fine_channels: int, width: int, multipliers: Sequence[int], blocks: int = 1, steps: int = 1000
    ) -> None:
        super().__init__()
        self.multiple = 2 ** (len(multipliers) - 1)
        self.steps = steps
        channels = [width * m for m in multipliers]
        self.unet = DiffusionModelUNet(
            spatial_dims=3,
            in_channels=1 + fine_channels,
            out_channels=1,
            channels=channels,
            num_res_blocks=blocks,
            attention_levels=[False] * len(channels),
            num_head_channels=channels[-1],
            norm_num_groups=min(32, width),
        )

    def encode_condition(self, fine: Tensor, coarse: Tensor) -> Tensor:
        """(B, fine, I, J, K) one-hot -> the same in {-1, +1}; `coarse` is not used by this network."""
        return fine * 2 - 1

    def forward(self, x_t: Tensor, t: Tensor, condition: Tensor) -> Tensor:
        """(B, 1, I, J, K) at time t (B,) -> (B, 1, I, J, K); sides must be multiples of `self.multiple`."""
        out: Tensor = self.unet(torch.cat([x_t, condition], dim=1), timesteps=t * self.steps)
        return out
