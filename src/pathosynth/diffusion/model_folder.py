"""A model folder on disk, alike for all generators: ``model.safetensors``, ``config.json`` and the card; no pickle."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from pathosynth.runs.errors import ModelError
from pathosynth.runs.files import json_text, write_bytes, write_text

FORMAT_VERSION = 1

Weights = Mapping[str, Tensor]


def write_model(folder: Path, generator: str, weights: Weights, description: Mapping[str, Any], card: str) -> None:
    """Write a model folder; ``config.json`` comes last, because it is what is looked for first.

    Args:
        folder: made where missing.
        generator: its name, checked when the folder is read.
        weights: stored in float32.
        description: what the generator needs to build itself, JSON values only.
        card: text of the model card.
    """
    plain = {name: value.detach().to("cpu", torch.float32).contiguous() for name, value in weights.items()}
    write_bytes(folder / "model.safetensors", save(plain))
    write_text(folder / "README.md", card)
    described = {"format_version": FORMAT_VERSION, "generator": generator, **description}
    write_text(folder / "config.json", json_text(described))


def read_model(folder: Path, generator: str) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Description and weights of a model folder.

    Raises:
        ModelError: a file is missing, damaged, of an unknown format or of another generator.
    """
    try:
        description: dict[str, Any] = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        weights = load_file(folder / "model.safetensors")
    except FileNotFoundError as error:
        raise ModelError(
            f"{folder}: expected a model folder with config.json and model.safetensors, {error.filename} is missing. "
            "Give the folder `train` wrote, or a name from `pathosynth list models`."
        ) from None
    except (json.JSONDecodeError, UnicodeDecodeError, SafetensorError) as error:
        raise ModelError(f"{folder}: damaged model file ({error}). Copy or train the model again.") from None
    if description.get("format_version") != FORMAT_VERSION or description.get("generator") != generator:
        raise ModelError(
            f"{folder}/config.json: expected a {generator} model of format {FORMAT_VERSION}, found "
            f"{description.get('generator')!r} of format {description.get('format_version')!r}. Use a matching version."
        )
    return description, weights


def joined(parts: Mapping[str, Weights]) -> dict[str, Tensor]:
    """Weights of several networks under one name each: ``network.name``."""
    return {f"{part}.{name}": value for part, named in parts.items() for name, value in named.items()}


def part_of(weights: Weights, part: str) -> dict[str, Tensor]:
    """Weights of one network, the inverse of `joined`."""
    prefix = f"{part}."
    return {name.removeprefix(prefix): value for name, value in weights.items() if name.startswith(prefix)}
