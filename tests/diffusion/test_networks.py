"""The networks: exact rearrangement, normalisation per voxel, a condition that is computed once, the paper's size."""

import pytest
import torch
from torch import nn

from pathosynth.diffusion.networks.blocks import ChannelNorm, Conv3d, depth_to_space, parameter_count, space_to_depth
from pathosynth.diffusion.networks.concat_unet import ConcatUNet
from pathosynth.diffusion.networks.label_unet import LabelUNet


def small_network() -> LabelUNet:
    torch.manual_seed(0)
    network = LabelUNet(
        fine_channels=5, head_channels=3, coarse_channels=4, width=8, multipliers=(1, 2), blocks=1, head_width=4
    )
    for module in network.modules():  # the zero-initialised convolutions would hide what the blocks do
        if isinstance(module, nn.Conv3d):
            nn.init.normal_(module.weight, std=0.1)
    return network


@pytest.mark.parametrize("factor", [2, 4])
def test_every_voxel_of_a_block_becomes_the_channel_its_offset_names(factor: int) -> None:
    x = torch.arange(2 * 8 * 8 * 8, dtype=torch.float32).reshape(1, 2, 8, 8, 8)
    y = space_to_depth(x, factor)
    for channel, i, j, k in [(0, 0, 0, 0), (1, 1, 0, 1), (0, factor - 1, 1, 0), (1, 1, factor - 1, factor - 1)]:
        cell = ((channel * factor + i) * factor + j) * factor + k
        assert torch.equal(y[0, cell], x[0, channel, i::factor, j::factor, k::factor])
    assert torch.equal(depth_to_space(y, factor), x)


def test_channel_norm_gives_unit_mean_square_whatever_the_field_of_view() -> None:
    x = torch.randn(1, 6, 8, 8, 8) * 3 + 1
    norm = ChannelNorm(6)
    whole = norm(x)
    assert torch.allclose(whole.square().mean(dim=1), torch.ones(1, 8, 8, 8), atol=1e-5)
    assert torch.allclose(norm(x[..., 2:5]), whole[..., 2:5], atol=1e-6)


def test_the_two_stems_equal_one_convolution_of_everything_concatenated() -> None:
    network = small_network()
    image, fine, coarse = torch.randn(1, 1, 8, 8, 8), torch.rand(1, 5, 8, 8, 8), torch.rand(1, 4, 4, 4, 4)
    _, features = network.encode_condition(fine, coarse)
    split = network.stem_image(space_to_depth(image, 2)) + features
    weight = torch.cat([network.stem_image.weight, network.stem_condition.weight], dim=1)
    together = torch.cat([space_to_depth(image, 2), space_to_depth(fine, 2), coarse], dim=1)
    assert torch.allclose(split, nn.functional.conv3d(together, weight, network.stem_image.bias, padding=1), atol=1e-5)


def test_time_noise_and_labels_all_reach_the_prediction() -> None:
    network = small_network()
    image, fine, coarse = torch.randn(1, 1, 8, 8, 8), torch.rand(1, 5, 8, 8, 8), torch.rand(1, 4, 4, 4, 4)
    t = torch.tensor([0.5])

    def predict(x: torch.Tensor, fine: torch.Tensor, coarse: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        return network(x, t, network.encode_condition(fine, coarse))

    before = predict(image, fine, coarse, t)
    changed = {
        "image": predict(image + 1, fine, coarse, t),
        "fine": predict(image, 1 - fine, coarse, t),
        "coarse": predict(image, fine, 1 - coarse, t),
        "time": predict(image, fine, coarse, t + 0.3),
    }
    assert {name for name, after in changed.items() if (after - before).abs().max() > 1e-3} == set(changed)


def test_samples_of_a_batch_do_not_see_each_other() -> None:
    network = small_network()
    image, fine, coarse = torch.randn(2, 1, 8, 8, 8), torch.rand(2, 5, 8, 8, 8), torch.rand(2, 4, 4, 4, 4)
    t = torch.tensor([0.2, 0.9])
    both = network(image, t, network.encode_condition(fine, coarse))
    second = network(image[1:], t[1:], network.encode_condition(fine[1:], coarse[1:]))
    assert torch.allclose(both[1:], second, atol=1e-5)


def test_the_paper_network_has_the_papers_44_million_parameters() -> None:
    with torch.device("meta"):
        network = ConcatUNet(fine_channels=3, width=64, multipliers=(1, 1, 2, 2, 3, 4))
    assert parameter_count(network) == pytest.approx(44.4e6, rel=2e-3)


def test_the_paper_network_sees_labels_as_minus_and_plus_one() -> None:
    network = ConcatUNet(fine_channels=2, width=32, multipliers=(1,), blocks=1)
    one_hot = torch.tensor([0.0, 1.0]).reshape(1, 2, 1, 1, 1)
    assert network.encode_condition(one_hot, torch.empty(0)).flatten().tolist() == [-1.0, 1.0]


@pytest.mark.parametrize(
    ("geometry", "size"),
    [
        ({"kernel_size": 3, "padding": 1}, 6),
        ({"kernel_size": 3, "padding": 1}, 28),
        ({"kernel_size": 3}, 6),
        ({"kernel_size": 2, "stride": 2}, 6),
        ({"kernel_size": 1}, 5),
    ],
)
@pytest.mark.parametrize("batch", [1, 2])
def test_convolution_of_one_small_grid_is_torchs_forwards_and_backwards(
    geometry: dict[str, int], size: int, batch: int
) -> None:
    ours, theirs = Conv3d(5, 7, **geometry), torch.nn.Conv3d(5, 7, **geometry)
    theirs.load_state_dict(ours.state_dict())
    given = torch.randn(batch, 5, size, size, size)
    results = []
    for convolution in (ours, theirs):
        x = given.clone().requires_grad_()
        out = convolution(x)
        out.square().sum().backward()
        results.append((out, x.grad, convolution.weight.grad, convolution.bias.grad))
    for mine, expected in zip(*results, strict=True):
        torch.testing.assert_close(mine, expected, rtol=1e-4, atol=1e-4)
    with torch.autocast("cpu", torch.bfloat16):
        assert ours(given).dtype == theirs(given).dtype == torch.bfloat16
