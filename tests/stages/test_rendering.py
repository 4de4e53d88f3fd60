"""The contrast of an image is asked for in one way, whatever renders it."""

import json
from pathlib import Path

import pytest

from pathosynth.runs.errors import ConfigError
from pathosynth.stages.generate_images import Rendering


@pytest.fixture
def folder(tmp_path: Path) -> str:
    """A trained model of two contrasts, as far as anyone looks at it before rendering."""
    card = {"generator": "spade_latent_diffusion", "config": {"contrast": "T1w", "contrasts": ["T1w", "T2w"]}}
    (tmp_path / "config.json").write_text(json.dumps(card))
    return str(tmp_path)


def test_a_trained_model_makes_the_contrast_asked_for(folder: str) -> None:
    own, same, other = (Rendering.of(folder, ["steps=3"], "cpu", contrast) for contrast in ("", "T1w", "T2w"))
    assert [one.contrast for one in (own, same, other)] == ["T1w", "T1w", "T2w"]
    assert own.settings == same.settings == {"steps": 3}
    assert other.settings == {"steps": 3, "contrast": "T2w"}


def test_a_contrast_it_does_not_make_and_the_other_way_are_refused(folder: str) -> None:
    with pytest.raises(ConfigError, match=r"--contrast FLAIR: .* makes T1w, T2w"):
        Rendering.of(folder, [], "cpu", "FLAIR")
    with pytest.raises(ConfigError, match="given --contrast instead"):
        Rendering.of(folder, ["contrast=T2w"], "cpu")
    with pytest.raises(ConfigError, match="--contrast T1w: fetal-t2w makes T2w"):
        Rendering.of("fetal-t2w", [], "cpu", "T1w")


def test_a_generator_without_weights_names_its_image_so_and_keeps_its_own_setting() -> None:
    with pytest.raises(
        ConfigError, match="--contrast T1w: gaussian_mixture makes images that look like T2w unless told"
    ):
        Rendering.of("gaussian_mixture", [], "cpu", "T1w")
    made = Rendering.of("gaussian_mixture", ["contrast=random"], "cpu", "T1w")
    assert (made.contrast, made.settings) == ("T1w", {"contrast": "random"})
    assert Rendering.of("carried", [], "cpu").contrast == "T2w"
