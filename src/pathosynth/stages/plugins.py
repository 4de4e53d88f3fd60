"""Plugins from outside the package: ``--use ./mine.py`` adds a file to any of the plural folders."""

import importlib.util
import inspect
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from pathosynth.checks import CHECKS
from pathosynth.formats import FORMATS
from pathosynth.image_generators import IMAGE_GENERATORS
from pathosynth.label_generators import LABEL_GENERATORS
from pathosynth.metrics import METRICS
from pathosynth.pathologies import PATHOLOGIES
from pathosynth.runs.errors import ConfigError
from pathosynth.segmenters import SEGMENTERS


class Kind(NamedTuple):
    """One plural folder: the function that makes a file one of its kind, what else it must define, and its table."""

    name: str
    mark: str
    needs: tuple[str, ...]
    table: dict[str, Any]
    lazy: bool = False
    """The table holds module names, because importing one of its modules brings torch in."""


LEARNS = ("plans", "config_from_plan", "predict", "image_path", "CHANGEABLE")
"""What a segmenter with `train` has too."""
LABEL_GENERATOR = Kind("label generator", "generate", ("Config",), LABEL_GENERATORS, lazy=True)
KINDS = (
    Kind("segmenter", "labels_of", ("Config",), SEGMENTERS),
    Kind("pathology", "morph", ("Config",), PATHOLOGIES),
    Kind("check", "check", ("Config",), CHECKS),
    Kind("image generator", "generate", ("Config",), IMAGE_GENERATORS, lazy=True),
    Kind("format", "read", ("Config",), FORMATS),
    Kind("metric", "compute", ("measure", "UNIT", "BETTER"), METRICS),
)
"""In the order in which a file is asked: a segmenter may have a `check` too."""


def use_plugins(files: Sequence[Path]) -> list[str]:
    """Load plugin files and enter each in the table of its kind under the file's name; returns the names.

    What a file defines decides its kind: `labels_of` a segmenter, `morph` a pathology, `check` a check, `read` a
    format, `compute` a metric, `generate` a generator, of label maps where it takes measurements called `wanted`, else
    of images.

    Raises:
        ConfigError: a file is missing, cannot be imported, is of no kind or not complete, or takes a name in use.
    """
    return [_use(path) for path in files]


def _use(path: Path) -> str:
    name, module = path.stem, _load(path)
    kind = _kind_of(module, path)
    entry = module.__name__ if kind.lazy else module
    if kind.table.get(name) == entry:
        return name
    known = {taken for one in (*KINDS, LABEL_GENERATOR) for taken in one.table}
    if name in known:
        raise ConfigError(f"--use {path}: the name '{name}' is taken ({', '.join(sorted(known))}). Rename the file.")
    kind.table[name] = entry
    return name


def _kind_of(module: ModuleType, path: Path) -> Kind:
    """What a file is.

    Raises:
        ConfigError: it is of no kind, or lacks something that its kind needs.
    """
    kind = next((one for one in KINDS if hasattr(module, one.mark)), None)
    if kind is None:
        marks = ", ".join(f"'{one.mark}' ({one.name})" for one in KINDS)
        raise ConfigError(f"--use {path}: expected one of the functions {marks}; found none of them.")
    if kind.mark == LABEL_GENERATOR.mark and "wanted" in inspect.signature(module.generate).parameters:
        kind = LABEL_GENERATOR
    needs = kind.needs + (_of_segmenter(module) if kind.table is SEGMENTERS else ())
    lacking = [need for need in needs if not hasattr(module, need)]
    if lacking:
        raise ConfigError(f"--use {path}: a {kind.name} needs {', '.join(lacking)} too. See docs/how-to.md.")
    return kind


def _of_segmenter(module: ModuleType) -> tuple[str, ...]:
    return LEARNS if hasattr(module, "train") else ("check",)


def _load(path: Path) -> ModuleType:
    """Import a file, once."""
    if path.suffix != ".py" or not path.is_file():
        raise ConfigError(f"--use {path}: expected an existing .py file. Check the path.")
    name = f"pathosynth_plugin_{path.stem}"
    loaded = sys.modules.get(name)
    if loaded is not None and loaded.__file__ == str(path.resolve()):
        return loaded
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
