"""What a user may choose anew each time a trained model renders: its contrast, and how it samples."""

from collections.abc import Mapping
from typing import Any, Protocol, TypeVar

from pathosynth.runs.config import Config, build_config
from pathosynth.runs.errors import ConfigError


class Sampled(Protocol):
    """Settings of a trained generator."""

    @property
    def contrast(self) -> str:
        """Image column that is rendered."""

    @property
    def all_contrasts(self) -> tuple[str, ...]:
        """Every contrast the model knows."""

    @property
    def sampling(self) -> Config:
        """How images are drawn."""

    def model_copy(self, *, update: Mapping[str, Any]) -> Any:
        """These settings with some replaced."""


SettingsT = TypeVar("SettingsT", bound=Sampled)


def with_choices(config: SettingsT, choices: Mapping[str, Any]) -> SettingsT:
    """The model's settings with another contrast or another sampling.

    Args:
        config: settings stored with the weights.
        choices: `contrast`, or a field of the generator's `Sampling`, to its new value.

    Raises:
        ConfigError: a key that is neither, a value out of range, or a contrast the model has not learnt.
    """
    changes = dict(choices)
    contrast = changes.pop("contrast", config.contrast)
    if contrast not in config.all_contrasts:
        known = ", ".join(config.all_contrasts)
        raise ConfigError(f"contrast={contrast}: this model renders {known}. Choose one of them.")
    own = config.sampling
    sampling = build_config(type(own), own.model_dump() | changes, "--set of a trained model's sampling")
    copied: SettingsT = config.model_copy(update={"contrast": contrast, "sampling": sampling})
    return copied
