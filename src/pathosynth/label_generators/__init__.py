"""Measurements -> labels, one module per generator.

A generator is a module with `Config`, `train`, `load_model` and `generate(model, wanted, seeds)`. It is imported when
asked for, because it needs torch.
"""

import importlib
from types import ModuleType

from pathosynth.runs.errors import ConfigError

LABEL_GENERATORS: dict[str, str] = {"latent_diffusion": "pathosynth.label_generators.latent_diffusion"}
"""Name to module path."""


def load(name: str) -> ModuleType:
    """Import a label generator.

    Raises:
        ConfigError: no generator of that name.
    """
    if name not in LABEL_GENERATORS:
        raise ConfigError(
            f"Label generator '{name}' is unknown. Expected one of {', '.join(sorted(LABEL_GENERATORS))}."
        )
    return importlib.import_module(LABEL_GENERATORS[name])
