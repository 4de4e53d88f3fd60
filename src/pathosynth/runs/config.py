"""Settings: frozen pydantic models, TOML on disk, unknown keys refused."""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import pydantic

from pathosynth.runs.errors import ConfigError


class Config(pydantic.BaseModel):
    """Base of every plugin's settings: immutable, checked when built, no unknown keys.

    Each field carries its unit and meaning as a description; the CLI shows it.
    """

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


ConfigT = TypeVar("ConfigT", bound=Config)


def build_config(model: type[ConfigT], values: dict[str, Any], where: str) -> ConfigT:
    """Build `model` from plain values.

    Args:
        model: the settings class.
        values: field names to values, as read from TOML or the command line.
        where: shown in the error message, e.g. a file name or "--set".

    Raises:
        ConfigError: a key is unknown, a value has the wrong type or a rule is broken.
    """
    try:
        return model.model_validate(values)
    except pydantic.ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(str(part) for part in item['loc']) or 'settings'}: {item['msg']} (found {item['input']!r})"
            for item in error.errors()
        )
        known = ", ".join(model.model_fields)
        raise ConfigError(f"{where}: {problems}. Known settings: {known}.") from None


def read_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file.

    Raises:
        ConfigError: the file is missing or not valid TOML.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such settings file. Check the path.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not valid TOML ({error}). Correct the file.") from None


def parse_settings(pairs: list[str]) -> dict[str, Any]:
    """Turn ``--set key=value`` pairs into a nested dictionary.

    Values are read as TOML (``18``, ``0.5``, ``true``, ``[1, 2]``, ``{left = 12, right = 18}``); what is not
    TOML is taken as text. ``a.b=1`` sets `b` inside `a`.

    Raises:
        ConfigError: a pair has no ``=`` or an empty key, or a key is given twice.
    """
    values: dict[str, Any] = {}
    for pair in pairs:
        key, equals, text = pair.partition("=")
        parts = key.strip().split(".")
        if not equals or not all(parts):
            raise ConfigError(f"--set {pair}: expected key=value, e.g. --set atrial_width_mm=18.")
        try:
            value = tomllib.loads(f"v = {text.strip()}")["v"]
        except tomllib.TOMLDecodeError:
            value = text.strip()
        table = values
        for part in parts[:-1]:
            table = table.setdefault(part, {})
            if not isinstance(table, dict):
                raise ConfigError(f"--set {pair}: '{part}' was already given a plain value.")
        if parts[-1] in table:
            raise ConfigError(f"--set {pair}: '{key.strip()}' was given twice. Keep one.")
        table[parts[-1]] = value
    return values


def preset_config(
    model: type[ConfigT], presets: Mapping[str, dict[str, Any]], name: str, changes: Mapping[str, Any]
) -> ConfigT:
    """Settings of a preset with some of them changed.

    Args:
        model: the settings; has a field `preset`.
        presets: nested plain values by name.
        name: which of them.
        changes: nested, e.g. ``{"training": {"steps": 100}}``.

    Raises:
        ConfigError: no such preset, an unknown key, or values that do not go together.
    """
    if name not in presets:
        raise ConfigError(f"--preset {name}: expected one of {', '.join(presets)}.")
    return build_config(model, _merged(presets[name], changes) | {"preset": name}, where=f"preset '{name}'")


def _merged(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in changes.items():
        old = merged.get(key)
        merged[key] = _merged(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return merged
