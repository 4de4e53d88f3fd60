"""SPADE with its label-only part kept: MONAI's own modules are the oracle."""

import copy
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F  # noqa: N812 the name every torch user expects
from monai.networks.nets.spade_autoencoderkl import SPADEAutoencoderKL
from monai.networks.nets.spade_diffusion_model_unet import SPADEDiffusionModelUNet
from torch import Tensor, nn

from pathosynth.diffusion.networks.blocks import depth_to_space
from pathosynth.diffusion.networks.spade import LabelMaps, SpadeNorm, with_label_maps
from pathosynth.diffusion.networks.spade_unet import SpadeUNet
from pathosynth.runs.errors import InputError

LABELS = 5
SHAPE = (16, 16, 8)


def randomised(network: nn.Module, seed: int = 0) -> nn.Module:
    """Weights that are nowhere zero, so that no layer is silent."""
    draws = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=draws) * 0.1)
    return network.eval()


def unet(**changes: object) -> SPADEDiffusionModelUNet:
    settings = {"channels": (32, 64), "attention_levels": (False, True), "num_res_blocks": 1, "num_head_channels": 32}
    network = SPADEDiffusionModelUNet(3, 3, 3, LABELS, spade_intermediate_channels=16, **settings | changes)
    randomised(network)
    return network


def autoencoder() -> SPADEAutoencoderKL:
    no_attention = {"with_encoder_nonlocal_attn": False, "with_decoder_nonlocal_attn": False}
    network = SPADEAutoencoderKL(
        3, LABELS, channels=(32, 32, 32), num_res_blocks=1, attention_levels=(False,) * 3, latent_channels=3,
        spade_intermediate_channels=8, **no_attention,
    )  # fmt: skip
    randomised(network)
    return network


def one_hot(batch: int, seed: int = 0, shape: tuple[int, int, int] = SHAPE) -> Tensor:
    classes = torch.randint(0, LABELS, (batch, *shape), generator=torch.Generator().manual_seed(seed))
    return F.one_hot(classes, LABELS).permute(0, 4, 1, 2, 3).float()


def noise(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(9))


def small_unet(**changes: object) -> SpadeUNet:
    network = SpadeUNet(latent_channels=3, label_channels=LABELS, width=8, blocks=1, hidden=4, head_width=4, **changes)
    randomised(network)
    return network


def shared_calls(network: nn.Module) -> list[nn.Module]:
    """Every call of a label-only convolution is noted in the list that comes back."""
    calls: list[nn.Module] = []
    for module in network.modules():
        if isinstance(module, SpadeNorm):
            module.mlp_shared.register_forward_hook(lambda layer, *_: calls.append(layer))
    return calls


@pytest.mark.parametrize("batch", [1, 2])
def test_unet_with_kept_labels_equals_monai_at_every_time(batch: int) -> None:
    theirs = unet()
    ours = with_label_maps(copy.deepcopy(theirs))
    assert list(ours.state_dict()) == list(theirs.state_dict())
    labels, x = one_hot(batch), noise(batch, 3, 8, 8, 4)
    maps, calls = LabelMaps(labels, "nearest"), shared_calls(ours)
    with torch.inference_mode():
        for time in (0.0, 17.0, 999.0):
            t = torch.full((batch,), time)
            assert (ours(x, t, maps) - theirs(x, t, labels)).abs().max() < 1e-5
    assert len(calls) == len(set(calls)) > 4


@pytest.mark.parametrize("batch", [1, 2])
def test_decoder_with_kept_labels_equals_monai(batch: int) -> None:
    theirs = autoencoder()
    ours = with_label_maps(copy.deepcopy(theirs))
    labels, calls = one_hot(batch), shared_calls(ours)
    maps = LabelMaps(labels, "nearest")
    with torch.no_grad():
        for scale in (1.0, 2.0):
            z = noise(batch, 3, 4, 4, 2) * scale
            assert (ours.decode(z, maps) - theirs.decode(z, labels)).abs().max() < 1e-5
    assert len(calls) == len(set(calls)) > 4


@pytest.mark.parametrize("checkpointing", [False, True])
def test_gradients_equal_monais_with_and_without_checkpointing(checkpointing: bool) -> None:
    theirs = unet()
    ours = with_label_maps(copy.deepcopy(theirs), checkpointing=checkpointing)
    labels, x, t = one_hot(2), noise(2, 3, 8, 8, 4), torch.tensor([3.0, 500.0])
    theirs(x, t, labels).square().mean().backward()
    maps = LabelMaps(labels, "nearest")
    ours(x, t, maps).square().mean().backward()
    expected = {name: p.grad for name, p in theirs.named_parameters()}
    found = {name: p.grad for name, p in ours.named_parameters()}
    assert found.keys() == expected.keys()
    for name, gradient in expected.items():
        torch.testing.assert_close(found[name], gradient, rtol=1e-4, atol=1e-6, msg=name)


def test_nothing_is_stale_when_weights_change() -> None:
    network = small_unet()
    maps, x, t = LabelMaps(one_hot(1)), noise(1, 3, 8, 8, 4), torch.tensor([0.5])
    with torch.no_grad():
        before = network(x, t, maps)
        for parameter in network.label_stem.parameters():
            parameter.mul_(2.0)
        after = network(x, t, maps)
        fresh = network(x, t, LabelMaps(one_hot(1)))
    assert torch.equal(after, fresh)
    assert not torch.equal(before, after)
    optimizer = torch.optim.SGD(network.parameters(), 0.1)
    network(x, t, maps).square().mean().backward()
    optimizer.step()
    with torch.inference_mode():
        assert torch.equal(network(x, t, maps), network(x, t, LabelMaps(one_hot(1))))


def test_what_is_kept_belongs_to_its_number_format() -> None:
    network, maps = small_unet(), LabelMaps(one_hot(1))
    x, t = noise(1, 3, 8, 8, 4), torch.tensor([0.5])
    with torch.inference_mode():
        with torch.autocast("cpu", torch.bfloat16):
            network(x, t, maps)
        assert torch.equal(network(x, t, maps), network(x, t, LabelMaps(one_hot(1))))


@pytest.mark.parametrize("shape", [(8, 8, 4), (4, 4, 2), (5, 3, 3)])
def test_area_pooling_preserves_label_volume(shape: tuple[int, int, int]) -> None:
    labels = one_hot(2)
    pooled = LabelMaps(labels).at(shape)
    torch.testing.assert_close(pooled.sum(dim=1), torch.ones(2, *shape))
    if all(n % m == 0 for n, m in zip(SHAPE, shape, strict=True)):
        torch.testing.assert_close(pooled.mean(dim=(2, 3, 4)), labels.mean(dim=(2, 3, 4)))


def test_a_thin_sheet_survives_area_pooling_and_not_the_nearest() -> None:
    labels = torch.zeros(1, 2, 8, 8, 8)
    labels[:, 0], labels[:, 0, :, :, 3], labels[:, 1, :, :, 3] = 1, 0, 1
    assert LabelMaps(labels).at((2, 2, 2))[0, 1].max() == 0.25
    assert LabelMaps(labels, "nearest").at((2, 2, 2))[0, 1].max() == 0


def test_cells_keep_every_position() -> None:
    labels = one_hot(1)
    cells = LabelMaps(labels).at((4, 4, 2), cells=2)
    assert cells.shape == (1, LABELS * 8, 4, 4, 2)
    torch.testing.assert_close(depth_to_space(cells, 2), LabelMaps(labels).at((8, 8, 4)))


def test_labels_coarser_than_a_layer_are_refused() -> None:
    with pytest.raises(InputError, match="at least as fine"):
        LabelMaps(one_hot(1)).at((32, 32, 32))


def test_places_follow_the_labels_and_not_the_grid() -> None:
    labels = torch.zeros(1, 2, 20, 16, 12)
    labels[:, 1, 4:15, 2:13, 3:8] = 1
    labels[:, 0] = 1 - labels[:, 1]
    maps = LabelMaps(labels)
    place = maps.places((20, 16, 12), 1)
    assert place[0, :3, 9, 7, 5].tolist() == [0, 0, 0]
    assert place[0, :3, 14, 12, 7].tolist() == pytest.approx([1, 1, 1])
    assert float(place[0, -1].exp()[0, 0, 0] * 100_000) == pytest.approx(11 * 11 * 5, rel=1e-4)
    shifted = LabelMaps(labels.roll(2, dims=2)).places((20, 16, 12), 1)
    torch.testing.assert_close(shifted[:, :, 2:], place[:, :, :-2])
    assert not maps.dropped().places((20, 16, 12), 1).any()


@pytest.mark.parametrize("build", [small_unet, lambda: with_label_maps(unet())])
def test_each_sample_has_its_own_labels_or_none(build: Callable[[], nn.Module]) -> None:
    network, labels = build(), torch.cat([one_hot(1, 1), one_hot(1, 2)])
    x, t = noise(2, 3, 8, 8, 4), torch.tensor([0.3, 0.8])
    with torch.inference_mode():
        both = network(x, t, LabelMaps(labels))
        mixed = network(x, t, LabelMaps(labels).dropped(torch.tensor([False, True])))
        for one in (0, 1):
            part = slice(one, one + 1)
            alone = network(x[part], t[part], LabelMaps(labels[part]))
            torch.testing.assert_close(both[part], alone, rtol=1e-4, atol=1e-5)
        untold = network(x[1:], t[1:], LabelMaps(labels[1:]).dropped())
    torch.testing.assert_close(mixed[:1], both[:1], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(mixed[1:], untold, rtol=1e-4, atol=1e-5)
    assert (mixed[1:] - both[1:]).abs().max() > 1e-3


class Wrapper(nn.Module):
    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, *args: object, **kwargs: object) -> Tensor:
        out: Tensor = self.inner(*args, **kwargs)
        return out


@pytest.mark.parametrize("build", [small_unet, lambda: with_label_maps(unet())])
def test_wrapped_networks_get_their_labels(build: Callable[[], nn.Module]) -> None:
    network, maps = build(), LabelMaps(one_hot(2))
    x, t = noise(2, 3, 8, 8, 4), torch.tensor([0.3, 0.8])
    assert torch.equal(Wrapper(network)(x, t, maps), network(x, t, maps))


def test_networks_in_distributed_training_get_their_labels() -> None:
    """In a process of its own: a process group that hangs is then stopped with it."""
    script = Path(__file__).with_name("spade_rank.py")
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "1", str(script)]
    done = subprocess.run(
        command, env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True, timeout=240
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["small", "monai"]


@pytest.mark.slow
def test_a_compiled_network_gets_its_labels() -> None:
    network, maps = small_unet(), LabelMaps(one_hot(1))
    x, t = noise(1, 3, 8, 8, 4), torch.tensor([0.3])
    compiled = torch.compile(network, backend="eager")
    with torch.inference_mode():
        for seed in (1, 2):
            torch.testing.assert_close(compiled(x * seed, t, maps), network(x * seed, t, maps))


def test_checkpointing_changes_no_gradient() -> None:
    labels, x, t = one_hot(2), noise(2, 3, 8, 8, 4), torch.tensor([0.3, 0.8])
    gradients = []
    for checkpointing in (False, True):
        network = small_unet(checkpointing=checkpointing)
        network(x, t, LabelMaps(labels)).square().mean().backward()
        gradients.append([p.grad for p in network.parameters()])
    for plain, again in zip(*gradients, strict=True):
        assert torch.equal(plain, again)
