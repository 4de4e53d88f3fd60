"""Plugins from outside the package: ``--use ./mine.py`` adds a pathology, a check or a generator."""

import importlib.util
import inspect
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

from pathosynth.checks import CHECKS
from pathosynth.image_generators import IMAGE_GENERATORS
from pathosynth.label_generators import LABEL_GENERATORS
from pathosynth.pathologies import PATHOLOGIES
from pathosynth.runs.errors import ConfigError


def use_plugins(files: Sequence[Path]) -> list[str]:
    """Load plugin files and enter each in the table of its kind under the file's name; returns the names.

    What a file defines decides its kind: `morph` a pathology, `check` a check, `generate` a generator, of label maps
    where it takes measurements called `wanted`, else of images.

    Raises:
        ConfigError: a file is missing, cannot be imported, defines none of these, or takes a name in use.
    """
    return [_use(path) for path in files]


def _use(path: Path) -> str:
    name = path.stem
    if getattr(sys.modules.get(_module_name(path)), "__file__", None) == str(path.resolve()):
        return name
    module = _load(path)
    if not hasattr(module, "Config"):
        raise ConfigError(f"--use {path}: expected a class 'Config' for its settings, found none. See docs/how-to.md.")
    known = {*PATHOLOGIES, *CHECKS, *IMAGE_GENERATORS, *LABEL_GENERATORS}
    if name in known:
        raise ConfigError(f"--use {path}: the name '{name}' is taken ({', '.join(sorted(known))}). Rename the file.")
    if hasattr(module, "morph"):
        PATHOLOGIES[name] = module
    elif hasattr(module, "check"):
        CHECKS[name] = module
    elif hasattr(module, "generate") and "wanted" in inspect.signature(module.generate).parameters:
        LABEL_GENERATORS[name] = module.__name__
    elif hasattr(module, "generate"):
        IMAGE_GENERATORS[name] = module.__name__
    else:
        raise ConfigError(f"--use {path}: expected a function 'morph', 'check' or 'generate', found none of them.")
    return name


def _module_name(path: Path) -> str:
    return f"pathosynth_plugin_{path.stem}"


def _load(path: Path) -> ModuleType:
    if path.suffix != ".py" or not path.is_file():
        raise ConfigError(f"--use {path}: expected an existing .py file. Check the path.")
    name = _module_name(path)
    spec = importlib.util.spec_from_file_location(name, path.resolve())
    if spec is None or spec.loader is None:
        raise ConfigError(f"--use {path}: Python cannot import this file. Check the path.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[name]
        raise ConfigError(
            f"--use {path}: importing it failed ({type(error).__name__}: {error}). Correct it."
        ) from error
    return module
