"""SPADE latent diffusion: training examples, resuming, tiles, contrasts, settings, model folders."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.ndimage as ndi
import torch

from pathosynth.data.labels import load_scheme
from pathosynth.data.pairs import Pair
from pathosynth.data.requests import Request
from pathosynth.diffusion.distributed import Rank
from pathosynth.diffusion.networks.blocks import parameter_count
from pathosynth.diffusion.networks.spade import LabelMaps
from pathosynth.diffusion.networks.spade_autoencoder import SpadeAutoencoder
from pathosynth.image_generators.sampling_choice import with_choices
from pathosynth.image_generators.spade_latent_diffusion import (
    Config,
    Model,
    config_from_preset,
    generate,
    load_model,
    presets,
    train,
)
from pathosynth.image_generators.spade_latent_diffusion.examples import (
    at_spacing,
    centred,
    crops_at,
    look,
    make_example,
    one_hot,
)
from pathosynth.image_generators.spade_latent_diffusion.generate import brain_box
from pathosynth.image_generators.spade_latent_diffusion.model import build_autoencoder, build_diffusion
from pathosynth.image_generators.spade_latent_diffusion.tiles import decode_tiled
from pathosynth.runs.errors import ConfigError, InputError, ModelError
from tiny_spade import SCHEME, config, pair, tiny_model


@pytest.fixture(scope="module")
def model() -> Model:
    return tiny_model()


def sampled(model: Model, choices: dict[str, Any]) -> Model:
    return replace(model, config=with_choices(model.config, choices))


def request(seed: int = 0) -> Request:
    one = pair(seed, 0.0)
    return Request(one.labels, SCHEME, one.spacing_mm)


def short(**changes: Any) -> Config:
    """A few steps of the tiny networks."""
    parts = {name: {"steps": 3, "warmup_steps": 1} | changes.pop(name, {}) for name in ("autoencoder", "diffusion")}
    return config(**parts, **changes)


def random_autoencoder(blocks: int, *, spade: bool = True) -> SpadeAutoencoder:
    torch.manual_seed(0)
    network = SpadeAutoencoder(
        label_channels=4, latent_channels=2, width=8, blocks=blocks, hidden=4, head_width=4, spade=spade
    )
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.normal_(0, 0.2)
    return network.eval()


@pytest.mark.parametrize("blocks", [1, 2])
def test_tiles_equal_the_whole(blocks: int) -> None:
    network = random_autoencoder(blocks)
    draws = torch.Generator().manual_seed(1)
    classes = torch.randint(0, 4, (1, 88, 12, 44), generator=draws)
    latents, maps = torch.randn((1, 2, 22, 3, 11), generator=draws), LabelMaps(one_hot(classes, 3))
    with torch.inference_mode():
        whole = network.decode(latents, maps)
        tiled = decode_tiled(network, latents, maps, 16)
    assert (whole - tiled).abs().max() < 1e-5 * max(1.0, float(whole.abs().max()))


def test_the_rim_of_a_tile_is_not_wider_than_needed() -> None:
    network = random_autoencoder(1)
    latents, maps = torch.zeros(1, 2, 16, 3, 3), LabelMaps(one_hot(torch.ones(1, 64, 12, 12, dtype=torch.long), 3))
    with torch.inference_mode():
        before = network.decode(latents, maps)
        latents[:, :, 8] = 5.0
        change = (network.decode(latents, maps) - before).abs().amax(dim=(0, 1, 3, 4))
    reached = torch.nonzero(change > 0).flatten()
    assert network.receptive_voxels() - 4 < 32 - int(reached.min()) <= network.receptive_voxels()


def test_a_plain_decoder_sees_no_labels() -> None:
    network, latents = random_autoencoder(1, spade=False), torch.randn(1, 2, 4, 4, 4)
    maps = [LabelMaps(one_hot(torch.full((1, 16, 16, 16), value), 3)) for value in (0, 2)]
    with torch.inference_mode():
        assert torch.equal(network.decode(latents, maps[0]), network.decode(latents, maps[1]))


def test_presets_have_the_papers_size_and_ours() -> None:
    scheme = load_scheme("synthseg")
    sizes = {}
    for name in presets():
        settings = config_from_preset(name, {})
        with torch.device("meta"):
            networks = build_autoencoder(settings, scheme), build_diffusion(settings, scheme)
        sizes[name] = [round(parameter_count(network) / 1e6, 1) for network in networks]
    assert len(scheme.values) == 32
    assert [round(n) for n in sizes["paper"]] == [20, 236]
    assert sizes["small"][0] < 1.5
    assert sizes["small"][1] < 8


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"grid": {"shape": [81, 96, 80]}}, r"multiples of 16 voxels; .* \[80, 96, 80\] and \[96, 96, 80\]"),
        ({"autoencoder": {"crop_voxels": [3, 56, 48]}}, r"nearest possible are \[4, 56, 48\]"),
        ({"autoencoder": {"channels": [32, 64]}}, "takes one number"),
        ({"diffusion": {"kind": "monai", "channels": [48, 64]}}, r"nearest are \[64, 64\]"),
        ({"contrast": "FLAIR", "contrasts": ["T1w", "T2w"]}, "not among"),
        ({"diffusion": {"widht": 3}}, "widht"),
    ],
)
def test_impossible_settings_are_refused_with_the_nearest_possible(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        config_from_preset("small", changes)


def test_a_brain_larger_than_the_grid_is_refused_with_a_grid_that_fits(tmp_path: Path) -> None:
    settings = config(grid={"shape": [16, 16, 16], "spacing_mm": [4.0, 4.0, 4.0]})
    with pytest.raises(InputError, match=r"Set grid.shape=\[24, 24, 24\]"):
        list(train([pair(0, 0.0)], SCHEME, settings, tmp_path, rank=Rank()))


def test_interrupted_in_both_phases_training_ends_with_the_same_bits(tmp_path: Path) -> None:
    pairs = [pair(0, 0.1), pair(1, -0.1)]
    whole = [result.loss for result in train(pairs, SCHEME, short(), tmp_path / "whole", rank=Rank())]
    pieces: list[float] = []
    for until in (2, 4, 6):
        last = until - 1  # a stop is asked for while the last step of a piece is under way, and a checkpoint written
        for result in train(
            pairs, SCHEME, short(), tmp_path / "cut", rank=Rank(), stop=lambda last=last: len(pieces) >= last
        ):
            pieces.append(result.loss)
            if len(pieces) == until and until < 6:
                break
    assert pieces == whole
    names = ("model.safetensors", "config.json")
    assert all((tmp_path / "whole" / n).read_bytes() == (tmp_path / "cut" / n).read_bytes() for n in names)


def test_examples_keep_image_and_labels_together_and_flips_exchange_sides() -> None:
    scheme = load_scheme("synthseg")
    value, other = next((label.value, label.partner) for label in scheme.labels if label.partner)
    labels = np.zeros((24, 20, 16), np.uint8)
    labels[3:21, 3:17, 3:13] = scheme.values[-1]
    labels[4:10, 5:15, 5:11] = value
    image = np.where(labels == value, 0.9, np.where(labels > 0, 0.3, 0)).astype(np.float32)
    changes = {"augmentation": {"flip": 1.0, "affine": 0.0}, "autoencoder": {"crop_voxels": [16, 16, 16]}}
    settings = config_from_preset("small", changes)
    examples = [make_example(Pair("a", "a", labels, image, (2.0, 2.0, 2.0)), scheme, settings)]
    number, swapped = (scheme.values.index(v) + 1 for v in (value, other or 0))
    seen = 0
    for step in range(6):
        crops = crops_at(examples, settings, scheme, 0, step, [0])
        classes, shown = crops.classes[0].numpy(), crops.image[0, 0].numpy()
        assert number not in classes
        inner = ndi.binary_erosion(classes == swapped)
        seen += int(inner.sum())
        assert np.abs(shown[inner] - 0.8).max(initial=0) < 1e-6
        assert (shown[classes == 0] == -1).all()
    assert seen > 100
    assert (scheme.partner_indices()[scheme.partner_indices()] == np.arange(33)).all()


def test_crops_depend_on_seed_step_and_slot_alone() -> None:
    settings = config()
    examples = [make_example(pair(seed, 0.0), SCHEME, settings) for seed in (0, 1)]
    both, second = (crops_at(examples, settings, SCHEME, 7, 3, slots) for slots in ([0, 1], [1]))
    assert torch.equal(both.image[1:], second.image)
    assert torch.equal(both.classes[1:], second.classes)
    assert not torch.equal(both.image[:1], second.image)


def test_other_voxels_keep_the_middle_and_the_volume_of_a_ball() -> None:
    grid = np.stack(np.meshgrid(*(np.arange(n) - (n - 1) / 2 for n in (41, 43, 45)), indexing="ij"))
    labels = (np.square(grid).sum(axis=0) < 15**2).astype(np.uint8)
    moved = at_spacing(Pair("a", "a", labels, labels.astype(np.float32), (1.0, 1.0, 1.0)), (1.667, 1.75, 1.667))
    centre = [(n - 1) / 2 for n in moved.labels.shape]
    assert np.abs(np.array(ndi.center_of_mass(moved.labels)) - centre).max() < 0.05
    assert moved.labels.sum() * np.prod(moved.spacing_mm) == pytest.approx(labels.sum(), rel=0.02)
    assert moved.image[moved.labels > 0].mean() > 0.9


@pytest.mark.parametrize("extent", [(9, 12, 10), (30, 12, 10)])
def test_the_rendered_box_has_the_brain_in_the_middle_and_sides_the_networks_take(extent: tuple[int, int, int]) -> None:
    labels = np.zeros((50, 50, 50), np.uint8)
    labels[5 : 5 + extent[0], 20 : 20 + extent[1], 3 : 3 + extent[2]] = 1
    box = brain_box(labels, (24, 32, 24), 8)
    assert box.shape == (24 if extent[0] == 9 else 40, 32, 24)
    middle = [low + (n - 1) / 2 for low, n in zip((5, 20, 3), extent, strict=True)]
    assert all(abs((a + b - 1) / 2 - m) <= 0.5 for a, b, m in zip(box.start, box.stop, middle, strict=True))


def test_guidance_one_is_no_guidance_and_two_exaggerates(model: Model) -> None:
    one = request()
    plain, same, strong = (generate(sampled(model, c), [one], [3])[0] for c in ({}, {"guidance": 1}, {"guidance": 3}))
    assert np.array_equal(plain, same)
    assert np.abs(strong - plain).mean() > 1e-4
    assert np.isfinite(strong).all()


def test_seeds_of_one_brain_share_its_label_maps_and_nothing_else(model: Model) -> None:
    first, second = request(0), request(1)
    together = generate(model, [first, first, second, first], [1, 2, 1, 1])
    alone = [generate(model, [one], [seed])[0] for one, seed in ((first, 1), (first, 2), (second, 1))]
    for made, expected in zip(together, [*alone, alone[0]], strict=True):
        assert np.array_equal(made, expected)


def test_a_user_chooses_the_sampling_and_no_other_setting(model: Model) -> None:
    few, many = sampled(model, {"steps": 1}), sampled(model, {"steps": 3, "method": "heun"})
    assert many.config.sampling.method == "heun"
    assert not np.array_equal(*(generate(one, [request()], [1])[0] for one in (few, many)))
    for choice in ({"steps": 0}, {"width": 4}, {"contrast": "FLAIR"}):
        with pytest.raises(ConfigError, match=next(iter(choice))):
            sampled(model, choice)


@pytest.mark.slow
def test_several_contrasts_are_told_apart_and_others_refused(tmp_path: Path) -> None:
    settings = short(contrasts=["T1w", "T2w"], diffusion={"steps": 12, "learning_rate": 2e-2})
    pairs = [pair(0, 0.2, "T1w"), pair(0, -0.1, "T2w")]
    list(train(pairs, SCHEME, settings, tmp_path, rank=Rank()))
    known = load_model(tmp_path)
    assert known.facts["cases"] == ["phantom0 T1w", "phantom0 T2w"]
    chosen = [{}, {"contrast": "T1w"}, {"contrast": "T2w"}]
    default, t1w, t2w = (generate(load_model(tmp_path, choices=c), [request()], [1])[0] for c in chosen)
    assert np.array_equal(default, t1w)
    assert not np.array_equal(t1w, t2w)
    with pytest.raises(ConfigError, match="renders T1w, T2w"):
        load_model(tmp_path, choices={"contrast": "FLAIR"})


@pytest.mark.slow
def test_a_discriminator_trains_along_and_stays_out_of_the_model(tmp_path: Path) -> None:
    settings = short(autoencoder={"adversarial_weight": 0.1})
    losses = [result.loss for result in train([pair(0, 0.0)], SCHEME, settings, tmp_path, rank=Rank())]
    assert np.isfinite(losses).all()
    assert generate(load_model(tmp_path), [request()], [1])[0].shape == request().labels.shape


@pytest.mark.slow
def test_monais_networks_train_and_generate(tmp_path: Path) -> None:
    small = {"kind": "monai", "channels": [32, 32], "hidden": 8}
    settings = short(autoencoder=small, diffusion=small | {"objective": "epsilon", "schedule": "scaled_linear"})
    losses = [result.loss for result in train([pair(0, 0.0)], SCHEME, settings, tmp_path, rank=Rank())]
    assert np.isfinite(losses).all()
    first, second = generate(load_model(tmp_path, choices={"steps": 2}), [request()] * 2, [1, 1])
    assert np.array_equal(first, second)


def test_folders_of_other_generators_and_damaged_ones_are_refused(tmp_path: Path, model: Model) -> None:
    with pytest.raises(ModelError, match="is missing"):
        load_model(tmp_path)
    list(train([pair(0, 0.0)], SCHEME, short(), tmp_path, rank=Rank()))
    text = (tmp_path / "config.json").read_text()
    (tmp_path / "config.json").write_text(text.replace('"width": 16', '"width": 24'))
    with pytest.raises(ModelError, match="do not fit"):
        load_model(tmp_path)
    (tmp_path / "config.json").write_text(text.replace("spade_latent_diffusion", "pixel_diffusion"))
    with pytest.raises(ModelError, match="found 'pixel_diffusion'"):
        load_model(tmp_path)
    assert "T1w" in (tmp_path / "README.md").read_text()


def test_looking_without_a_warp_gives_exact_voxels() -> None:
    settings = config()
    example = make_example(pair(0, 0.0), SCHEME, settings)
    image, classes = look(example, centred(example, np.eye(3), (24, 32, 24)), SCHEME.partner_indices())
    assert (classes > 0).sum() == (example.classes > 0).sum()
    assert np.array_equal(np.sort(image[classes > 0]), np.sort(example.image[example.classes > 0]))
