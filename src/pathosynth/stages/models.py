"""Generators by name: shipped models, image generators that need no training, and model folders."""

import ast
import importlib.util
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from pathosynth import image_generators, label_generators
from pathosynth.data.copy_reference import CopyReference, load_reference
from pathosynth.data.findings import Bands
from pathosynth.data.requests import Request
from pathosynth.image_generators import IMAGE_GENERATORS, load
from pathosynth.label_generators import LABEL_GENERATORS
from pathosynth.runs.config import build_config
from pathosynth.runs.errors import ConfigError, ModelError
from pathosynth.runs.files import sha256

DEFAULT_MODEL = "fetal-t2w"
BANDS_FILE = "bands.json"


@dataclass(frozen=True)
class Found:
    """Where a model name leads.

    Attributes:
        name: what the user asked for, or the folder's name.
        generator: key of `IMAGE_GENERATORS` or `LABEL_GENERATORS`.
        folder: model folder; None for a generator that needs no training.
        card: content of the folder's ``config.json``; empty without a folder.
    """

    name: str
    generator: str
    folder: Path | None
    card: dict[str, Any]

    @property
    def contrast(self) -> str:
        """Image column of the case table, e.g. T2w."""
        return str(self.card.get("config", {}).get("contrast", "T2w"))

    @property
    def contrasts(self) -> tuple[str, ...]:
        """Every contrast the model makes."""
        return tuple(self.card.get("config", {}).get("contrasts") or (self.contrast,))

    @property
    def bands(self) -> Bands | None:
        """Lowest and highest median of each tissue among the training cases; None without a ``bands.json``.

        Raises:
            ModelError: the file is damaged.
        """
        return read_bands(self.folder) if self.folder else None

    @property
    def training_cases(self) -> CopyReference | None:
        """Fingerprints of the cases the model learnt from; None where it has none.

        Raises:
            ModelError: the file is damaged.
        """
        return _fingerprints(self.folder) if self.folder else None

    @property
    def identity(self) -> str:
        """Name and, for trained weights, the start of their SHA-256; goes into every sidecar."""
        weights = self.folder / "model.safetensors" if self.folder else None
        return f"{self.name}@{sha256(weights)[:16]}" if weights and weights.is_file() else self.name


def read_bands(folder: Path) -> Bands | None:
    """Intensity bands in a folder; None without a ``bands.json``.

    Raises:
        ModelError: the file is damaged.
    """
    path = folder / BANDS_FILE
    if not path.is_file():
        return None
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        return {tissue: (float(low), float(high)) for tissue, (low, high) in stored.items()}
    except (ValueError, TypeError, AttributeError) as error:
        raise ModelError(f"{path}: damaged ({error}). Copy or train the model again.") from None


def folders_of(*models: Found) -> dict[str, dict[str, str]]:
    """What a run record says of where trained models lie, so that their audits are found later."""
    return {"models": {found.identity: str(found.folder.resolve()) for found in models if found.folder}}


@lru_cache(maxsize=4)
def _fingerprints(folder: Path) -> CopyReference | None:
    return load_reference(folder)


def shipped_models() -> dict[str, Path]:
    """Model folders inside the package, by name."""
    root = Path(str(resources.files("pathosynth"))) / "models"
    return {path.parent.name: path.parent for path in sorted(root.glob("*/config.json"))}


def find_model(name_or_folder: str) -> Found:
    """Resolve ``--model``: what renders images.

    Raises:
        ModelError: there is no such model, its folder cannot be used, or it makes labels.
    """
    found = _find(name_or_folder)
    if found is not None:
        return _of_kind(found, IMAGE_GENERATORS, "images", f"generate-labels -i {name_or_folder}")
    if name_or_folder in IMAGE_GENERATORS:
        if _learns(name_or_folder):
            raise ModelError(
                f"--model {name_or_folder}: this generator must be trained first. Give the folder `train` wrote."
            )
        return Found(name_or_folder, name_or_folder, None, {})
    known = [*_shipped_of(IMAGE_GENERATORS), *IMAGE_GENERATORS]
    raise ModelError(
        f"--model {name_or_folder}: expected one of {', '.join(known)}, or a folder with config.json; found neither."
    )


def find_label_model(name_or_folder: str) -> Found:
    """Resolve ``--label-model`` and the input of `generate-labels`: what makes label maps.

    Raises:
        ModelError: there is no such model, its folder cannot be used, or it makes images.
    """
    found = _find(name_or_folder)
    if found is not None:
        return _of_kind(found, LABEL_GENERATORS, "label maps", f"--model {name_or_folder}")
    if name_or_folder in LABEL_GENERATORS:
        raise ModelError(f"{name_or_folder}: a label generator must be trained first. Give the folder `train` wrote.")
    known = ", ".join(_shipped_of(LABEL_GENERATORS)) or "a shipped one (there is none)"
    raise ModelError(
        f"Label model {name_or_folder}: expected {known}, or a folder with config.json; found neither. "
        "`pathosynth list models` shows what ships."
    )


def find_any_model(name_or_folder: str) -> Found:
    """A model of either kind, for those who only look at it.

    Raises:
        ModelError: there is no such model, or its folder cannot be used.
    """
    found = _find(name_or_folder)
    if found is not None:
        return found
    if name_or_folder in IMAGE_GENERATORS:
        return find_model(name_or_folder)
    known = ", ".join([*shipped_models(), *IMAGE_GENERATORS])
    raise ModelError(f"Model {name_or_folder}: expected one of {known}, or a folder with config.json; found neither.")


def _find(name_or_folder: str) -> Found | None:
    shipped = shipped_models()
    if name_or_folder in shipped:
        return _from_folder(shipped[name_or_folder], name_or_folder)
    folder = Path(name_or_folder)
    return _from_folder(folder, folder.resolve().name) if folder.is_dir() else None


def _shipped_of(table: Mapping[str, str]) -> list[str]:
    return [name for name, folder in shipped_models().items() if _from_folder(folder, name).generator in table]


def _of_kind(found: Found, table: Mapping[str, str], wanted: str, use: str) -> Found:
    if found.generator not in table:
        raise ModelError(
            f"{found.name}: expected a model that makes {wanted}, found one of {found.generator}, which does not. "
            f"Use it with {use}, and see `pathosynth list models` for others."
        )
    return found


@lru_cache(maxsize=2)
def _loaded(generator: str, folder: Path | None, device: str, settings: str) -> Any:
    module, values = load(generator), json.loads(settings)
    if folder is None:
        return build_config(module.Config, values, f"settings of {generator}")
    return module.load_model(folder, device, values)


def render(found: Found, request: Request, seed: int, device: str, settings: Mapping[str, Any]) -> np.ndarray:
    """Render one image; the model stays loaded for the next call.

    Returns:
        (I, J, K) float32 on the request's grid: 0 background, about 0..1 inside.

    Raises:
        ModelError: the model folder is missing or damaged.
        InputError: the labels do not suit the model.
    """
    model = _loaded(found.generator, found.folder, device, json.dumps(dict(settings), sort_keys=True))
    images: Sequence[np.ndarray] = load(found.generator).generate(model, [request], [seed])
    return images[0]


def device_for(found: Found, device: str) -> str:
    """Resolve ``--device``: generators without weights compute on the CPU, the others where `auto` finds a GPU or not.

    Raises:
        ConfigError: the device is not there.
    """
    if found.folder is None:
        return "cpu"
    from pathosynth.diffusion.distributed import setup  # brings torch in

    return str(setup(None if device == "auto" else device).device)


def load_generator(name: str) -> ModuleType:
    """Import a generator of either kind.

    Raises:
        ConfigError: no generator of that name.
    """
    if name in LABEL_GENERATORS:
        return label_generators.load(name)
    if name in IMAGE_GENERATORS:
        return image_generators.load(name)
    raise ConfigError(
        f"Generator '{name}' is unknown. Expected one of {', '.join((*IMAGE_GENERATORS, *LABEL_GENERATORS))}."
    )


def first_line(generator: str) -> str:
    """First line of a generator's documentation."""
    return (ast.get_docstring(_source(generator)) or "").split("\n")[0]


def _learns(generator: str) -> bool:
    """Whether a generator has a function `train`, its own or imported."""
    names: set[str] = set()
    for node in _source(generator).body:
        if isinstance(node, ast.ImportFrom):
            names |= {alias.asname or alias.name for alias in node.names}
        elif isinstance(node, ast.FunctionDef):
            names.add(node.name)
    return "train" in names


def _source(generator: str) -> ast.Module:
    """Parsed source of a generator, read instead of imported, because importing it may bring torch in."""
    module = (IMAGE_GENERATORS | LABEL_GENERATORS)[generator]
    loaded = sys.modules.get(module)
    spec = None if loaded else importlib.util.find_spec(module)
    origin = loaded.__file__ if loaded else spec.origin if spec else None
    if origin is None:
        raise ModelError(f"Generator '{generator}': there is no module {module}. Reinstall pathosynth.")
    return ast.parse(Path(origin).read_text(encoding="utf-8"))


def _from_folder(folder: Path, name: str) -> Found:
    try:
        card = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        generator = card["generator"]
    except FileNotFoundError:
        raise ModelError(
            f"{folder}: expected a model folder, found no config.json. Give the folder `train` wrote."
        ) from None
    except (ValueError, KeyError, TypeError) as error:
        raise ModelError(
            f"{folder}/config.json: damaged ({type(error).__name__}: {error}). Copy or train it again."
        ) from None
    known = [*IMAGE_GENERATORS, *LABEL_GENERATORS]
    if generator not in known:
        raise ModelError(f"{folder}/config.json: unknown generator '{generator}'; known: {', '.join(known)}.")
    return Found(name, generator, folder, card)
