"""bfloat16 on this machine: right where we use it, and refused where torch computes it wrongly."""

import pytest
import torch
from torch import nn

from pathosynth.diffusion.precision import use_bf16
from pathosynth.diffusion.sizes import check_lowest_level

CPU = torch.device("cpu")


def gradient_error(side: int) -> float:
    """Relative error of a convolution's bfloat16 weight gradient on a map of this side."""
    torch.manual_seed(0)
    conv = nn.Conv3d(32, 32, 3, padding=1)
    conv.weight.data = conv.weight.data.contiguous(memory_format=torch.channels_last_3d)
    x, weight = torch.randn(2, 32, side, side, side), torch.randn(2, 32, side, side, side)
    gradients = []
    for enabled in (False, True):
        conv.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            out = conv(x)
        (out.float() * weight).sum().backward()
        assert conv.weight.grad is not None
        gradients.append(conv.weight.grad.clone())
    return float((gradients[1] - gradients[0]).norm() / gradients[0].norm())


@pytest.mark.skipif(not use_bf16("auto", CPU), reason="this CPU does not compute in bfloat16")
@pytest.mark.parametrize("side", [1, 3, 4, 5])
def test_bfloat16_gradients_are_right_on_the_maps_we_allow(side: int) -> None:
    assert gradient_error(side) < 0.02


ALLOWED = [((5, 6, 5), "auto", True), ((2, 4, 4), "auto", False), ((4, 2, 4), "bf16", False), ((2, 2, 2), "fp32", True)]


@pytest.mark.parametrize(("cells", "precision", "allowed"), ALLOWED)
def test_a_side_of_two_cells_is_refused_in_bfloat16(cells: tuple[int, ...], precision: str, allowed: bool) -> None:
    if allowed:
        check_lowest_level("grid.shape", cells, precision)
    else:
        with pytest.raises(ValueError, match="a side of 2 gives wrong"):
            check_lowest_level("grid.shape", cells, precision)
