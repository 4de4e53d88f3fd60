"""Label models in use: what one can be asked for, how it samples, and maps drawn from it."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pydantic

from pathosynth.data.generated import Generated
from pathosynth.data.labels import LabelScheme, load_scheme, scheme_names
from pathosynth.label_generators import load
from pathosynth.runs.config import build_config
from pathosynth.runs.errors import ConfigError, ModelError
from pathosynth.stages.models import Found, device_for, find_label_model
from pathosynth.stages.wishes import Known, trained


@dataclass(frozen=True)
class Labelling:
    """A label model and how it samples.

    Attributes:
        found: the model folder.
        known: what it can be asked for, with trained ranges.
        scheme: legend of what it makes, under a name or path that a case table can keep.
        sampling: the generator's `Sampling`; has `guidance`, `closed_loop`, `tolerance` and `beyond`.
        device: where it computes.
    """

    found: Found
    known: Known
    scheme: str
    sampling: Any
    device: str = "cpu"

    @classmethod
    def of(cls, model: str, changes: Mapping[str, Any], device: str, scheme: str = "") -> "Labelling":
        """Build from the command line's words.

        Args:
            model: shipped name or model folder.
            changes: settings of `Sampling` that differ from those stored with the model.
            device: as the user gave it.
            scheme: the ``.toml`` file of the model's scheme, where that does not ship.

        Raises:
            ModelError: there is no such model, or its folder is damaged.
            ConfigError: a setting is wrong, or the scheme is another one.
        """
        found = find_label_model(model)
        stored = found.card.get("config", {}).get("sampling", {})
        sampling = build_config(load(found.generator).Sampling, {**stored, **changes}, "sampling of label maps")
        return cls(found, conditions(found), _scheme_name(found, scheme), sampling, device_for(found, device))

    def described(self) -> dict[str, Any]:
        """What goes into the run record; the people behind the training data are ancestors of every map."""
        return {
            "label_model": self.found.identity,
            "label_generator": self.found.generator,
            "sampling": self.sampling.model_dump(mode="json"),
            "scheme": self.scheme,
            "ancestors": subjects(self.found),
        }

    @property
    def voxels(self) -> int:
        """Number of voxels of one map."""
        return int(np.prod(self.found.card.get("shape", [0])))


def conditions(found: Found) -> Known:
    """What a model can be asked for.

    Raises:
        ModelError: its ``config.json`` is damaged.
    """
    try:
        stored = found.card["conditions"]
        return trained({name: (float(item["low"]), float(item["high"])) for name, item in stored.items()})
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise _damaged(found, error) from None


def subjects(found: Found) -> list[str]:
    """People a model was trained on.

    Raises:
        ModelError: its ``config.json`` is damaged.
    """
    try:
        return sorted(str(subject) for subject in found.card["facts"]["subjects"])
    except (KeyError, TypeError) as error:
        raise _damaged(found, error) from None


def draw(labelling: Labelling, asked: Mapping[str, float], seed: int) -> Generated:
    """Sample one label map; the model stays loaded for the next call.

    Raises:
        ModelError: the model folder is missing or damaged.
        ConfigError: the request is refused.
        MorphError: the map cannot be brought to what was asked.
    """
    found = labelling.found
    if found.folder is None:
        raise ModelError(f"{found.name}: expected a model folder. Give the folder `train` wrote.")
    model = _loaded(found.generator, found.folder, labelling.device)
    made: list[Generated] = load(found.generator).generate(model, [asked], [seed], labelling.sampling)
    return made[0]


@lru_cache(maxsize=1)
def _loaded(generator: str, folder: Path, device: str) -> Any:
    return load(generator).load_model(folder, device)


def _scheme_name(found: Found, given: str) -> str:
    """The name or path under which the model's legend can be read again."""
    try:
        own = LabelScheme.model_validate(found.card["scheme"])
    except (KeyError, pydantic.ValidationError) as error:
        raise _damaged(found, error) from None
    name = given or own.name
    if not given and own.name not in scheme_names():
        raise ConfigError(
            f"{found.name}: its label scheme '{own.name}' does not ship. Give its file: --scheme FILE.toml."
        )
    legend = load_scheme(name)
    if {label.value: label.name for label in legend.labels} != {label.value: label.name for label in own.labels}:
        raise ConfigError(
            f"--scheme {name}: expected the legend {found.name} was trained with ('{own.name}'), found other labels. "
            "Give the file it was trained with."
        )
    return name


def _damaged(found: Found, error: Exception) -> ModelError:
    return ModelError(
        f"{found.folder}/config.json: expected a label model's conditions, scheme and training facts "
        f"({type(error).__name__}: {error}). Copy or train it again."
    )
