"""Labels -> image, one file per generator.

A generator is a module with `Config` and `generate(model, requests, seeds)`, and `train` where it learns. It is
imported when asked for, because some need torch.
"""

import importlib
from types import ModuleType

from pathosynth.runs.errors import ConfigError

IMAGE_GENERATORS: dict[str, str] = {
    "carried": "pathosynth.image_generators.carried",
    "gaussian_mixture": "pathosynth.image_generators.gaussian_mixture",
    "pixel_diffusion": "pathosynth.image_generators.pixel_diffusion",
    "spade_latent_diffusion": "pathosynth.image_generators.spade_latent_diffusion",
}
"""Name to module path."""


def load(name: str) -> ModuleType:
    """Import an image generator.

    Raises:
        ConfigError: no generator of that name.
    """
    if name not in IMAGE_GENERATORS:
        raise ConfigError(
            f"Image generator '{name}' is unknown. Expected one of {', '.join(sorted(IMAGE_GENERATORS))}."
        )
    return importlib.import_module(IMAGE_GENERATORS[name])
