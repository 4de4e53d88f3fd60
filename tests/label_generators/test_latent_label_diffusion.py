"""Training and networks of the label generator: sizes, codings, exact resuming, what is stored with a model."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.distributions import Normal
from torch.distributions import kl_divergence as torch_kl

from pathosynth.data.labelled import LabelledBrain
from pathosynth.data.labels import load_scheme
from pathosynth.diffusion.distributed import Rank
from pathosynth.diffusion.latents import Latents, LatentScale, kl_divergence
from pathosynth.diffusion.networks.blocks import parameter_count
from pathosynth.diffusion.networks.label_autoencoder import LabelCoding
from pathosynth.diffusion.networks.latent_unet import LatentUNet
from pathosynth.label_generators.latent_diffusion import Config, config_from_preset, generate, load_model, train
from pathosynth.label_generators.latent_diffusion.generate import draw
from pathosynth.label_generators.latent_diffusion.model import build_autoencoder, build_denoiser
from pathosynth.runs.errors import ConfigError, InputError, ModelError

SCHEME = load_scheme("kcl8")
TINY: dict[str, Any] = {
    "conditions": ["ventricle_ratio", "ventricle_ml", "age_weeks"],
    "grid": {"shape": [16, 16, 16], "spacing_mm": [4.0, 4.0, 4.0]},
    "autoencoder": {"steps": 3, "precision": "fp32", "channels": [4], "crop_voxels": [8, 8, 8], "latent_channels": 2},
    "diffusion": {"steps": 3, "precision": "fp32", "width": 8, "multipliers": [1], "blocks": 1, "embedding": 8},
    "augmentation": {"copies": 2},
}


def brains() -> list[LabelledBrain]:
    """Balls of white matter around smaller and smaller ventricles, with CSF around."""
    place = np.linalg.norm(np.stack(np.meshgrid(*[np.arange(32) - 15.5] * 3, indexing="ij")), axis=0)
    made = []
    for number, radius in enumerate((7, 6, 5)):
        labels = np.select([place < radius, place < 11, place < 13], [2, 1, 4], 0).astype(np.uint16)
        made.append(LabelledBrain(f"c{number}", f"s{number}", labels, (2.0, 2.0, 2.0), age_weeks=25.0 + number))
    return made


def run(out: Path, config: Config, stop_after: int | None = None) -> list[float]:
    losses: list[float] = []
    asked = lambda: stop_after is not None and len(losses) + 1 >= stop_after  # noqa: E731
    for result in train(brains(), SCHEME, config, out, seed=3, rank=Rank(device=torch.device("cpu")), stop=asked):
        losses.append(result.loss)
        if len(losses) == stop_after:
            break
    return losses


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("tiny")
    run(out, config_from_preset("small", TINY))
    return out


@pytest.mark.parametrize("stop_after", [2, 3, 5])
def test_an_interrupted_training_ends_with_the_same_weights(tiny: Path, tmp_path: Path, stop_after: int) -> None:
    config = config_from_preset("small", TINY)
    first = run(tmp_path, config, stop_after)
    rest = run(tmp_path, config)
    assert len(first) + len(rest) == config.total_steps
    assert (tmp_path / "model.safetensors").read_bytes() == (tiny / "model.safetensors").read_bytes()


def test_other_settings_do_not_go_on_from_a_checkpoint(tiny: Path) -> None:
    with pytest.raises(ModelError, match="checkpoint of other settings"):
        run(tiny, config_from_preset("small", TINY | {"conditions": ["ventricle_ml"]}))


def test_a_model_folder_says_what_the_model_was_trained_on(tiny: Path) -> None:
    model = load_model(tiny)
    assert model.facts["subjects"] == ["s0", "s1", "s2"]
    assert (model.conditions["age_weeks"].low, model.conditions["age_weeks"].high) == (25.0, 27.0)
    assert model.shape == (16, 16, 16)
    assert model.scheme.values == SCHEME.values
    assert "ventricle_ml" in (tiny / "README.md").read_text(encoding="utf-8")


def test_a_head_larger_than_the_grid_is_refused_with_the_grid_it_needs(tmp_path: Path) -> None:
    small = TINY | {"grid": {"shape": [16, 16, 16], "spacing_mm": [2.5, 2.5, 2.5]}}
    with pytest.raises(InputError, match=r"Case 'c0': .*found \d+\.\d% of them outside. Set grid.shape=\[24, 24, 24\]"):
        run(tmp_path, config_from_preset("small", small))


def test_without_guidance_only_the_condition_counts_and_batch_does_not(tiny: Path) -> None:
    model = load_model(tiny)
    settings = model.config.sampling.model_copy(update={"steps": 3, "guidance": 3.0})
    asked = [{"ventricle_ml": 3.0}, {"age_weeks": 26.0}]
    together = draw(model, asked, [5, 6], settings)
    alone = [draw(model, [one], [seed], settings)[0] for one, seed in zip(asked, (5, 6), strict=True)]
    assert np.array_equal(together, np.stack(alone))


def test_a_request_beyond_the_range_is_refused_when_told_so(tiny: Path) -> None:
    model = load_model(tiny)
    settings = model.config.sampling.model_copy(update={"steps": 2, "beyond": "refuse"})
    with pytest.raises(InputError, match=r"ventricle_ml=9999 mL is beyond .* Ask for less"):
        generate(model, [{"ventricle_ml": 9999.0}], [0], settings)


def test_open_loop_maps_are_flagged_and_measured(tiny: Path) -> None:
    model = load_model(tiny)
    settings = model.config.sampling.model_copy(update={"steps": 2, "closed_loop": False, "tidy": False})
    made = generate(model, [{"c": 2.0}], [0], settings)[0]
    assert made.beyond == ("ventricle_ratio",)
    low, high = model.conditions["ventricle_ratio"].low, model.conditions["ventricle_ratio"].high
    assert made.asked["ventricle_ratio"] == pytest.approx(low + 2 * (high - low))
    ventricles, inside = SCHEME.mask(made.labels.array, "ventricles"), SCHEME.mask(made.labels.array, "intracranial")
    assert made.got["ventricle_ratio"] == pytest.approx(ventricles.sum() / inside.sum())


def test_the_papers_networks_have_the_papers_size() -> None:
    config = config_from_preset("paper", {})
    with torch.device("meta"):
        autoencoder, denoiser = build_autoencoder(config, load_scheme("synthseg")), build_denoiser(config)
    assert parameter_count(autoencoder) == pytest.approx(9.5e6, rel=5e-3)
    assert parameter_count(denoiser) == pytest.approx(553e6, rel=5e-3)


def test_impossible_grids_are_refused_with_the_nearest_possible_ones() -> None:
    with pytest.raises(ConfigError, match=r"\[80, 80, 80\] and \[80, 96, 80\]"):
        config_from_preset("small", {"grid": {"shape": [80, 90, 80]}})


@pytest.mark.parametrize("coding", ["embedding", "one_hot", "binary"])
def test_every_coding_tells_all_classes_apart(coding: Any) -> None:
    torch.manual_seed(0)
    coded = LabelCoding(33, coding, 8)(torch.arange(33).reshape(1, 33, 1, 1))
    vectors = coded.reshape(coded.shape[1], 33).T
    assert torch.pdist(vectors).min() > 0.1
    assert len(vectors[0]) == {"embedding": 8, "one_hot": 33, "binary": 6}[coding]


def test_the_kl_term_is_that_of_normal_distributions() -> None:
    mean, sigma = torch.randn(2, 3, 2, 2, 2), torch.rand(2, 3, 2, 2, 2) + 0.1
    expected = torch_kl(Normal(mean, sigma), Normal(0.0, 1.0)).flatten(1).sum(dim=1)
    assert torch.allclose(kl_divergence(mean, sigma), expected, rtol=1e-5)


def test_latents_have_unit_size_and_come_back() -> None:
    mean = torch.randn(20, 2, 4, 4, 4) * torch.tensor([3.0, 0.1]).reshape(1, 2, 1, 1, 1) + 5
    cached = Latents.of(mean, torch.full_like(mean, 0.5))
    drawn = cached.draw(list(range(20)), torch.randn_like(mean))
    assert torch.allclose(drawn.mean(dim=(0, 2, 3, 4)), torch.zeros(2), atol=0.1)
    assert torch.allclose(drawn.std(dim=(0, 2, 3, 4)), torch.ones(2), atol=0.05)
    scale = LatentScale.from_json(cached.scale.to_json())
    assert torch.allclose(scale.restored(scale.normalised(mean)), mean, atol=1e-4)
    noisy = cached.draw([0], torch.ones(1, 2, 4, 4, 4))
    assert torch.allclose(scale.restored(noisy) - mean[:1], torch.full_like(mean[:1], 0.5), atol=1e-4)


def test_a_channel_left_to_noise_keeps_its_size_and_latents_that_tell_nothing_are_an_error() -> None:
    mean = torch.randn(30, 2, 4, 4, 4) * torch.tensor([1.0, 1e-4]).reshape(1, 2, 1, 1, 1)
    drawn = Latents.of(mean, torch.ones_like(mean)).draw(list(range(30)), torch.randn_like(mean))
    assert drawn[:, 1].std() == pytest.approx(1, abs=0.05)
    with pytest.raises(ModelError, match="lower its KL weight"):
        LatentScale.of(mean[:, 1:], torch.ones_like(mean[:, 1:]))


def test_the_latent_network_knows_where_it_is() -> None:
    torch.manual_seed(0)
    network = LatentUNet(channels=2, embedding=8, width=8, multipliers=(1, 2), blocks=1, head_width=4)
    out = network(torch.zeros(1, 2, 8, 8, 8), torch.tensor([0.5]), torch.zeros(1, 8))
    inner = out[..., 2:-2, 2:-2, 2:-2]  # the same input everywhere: only positions can tell cells apart
    assert inner.std() > 1e-4
