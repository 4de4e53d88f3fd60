"""Label schemes: what each number of a label map means, and which numbers form a named group.

Pathologies, checks and metrics ask for groups (``ventricles``, ``external_csf``), never for numbers, so that
one algorithm serves every scheme. A scheme is one TOML file in ``data/schemes/`` or anywhere else.
"""

import re
import tomllib
from collections.abc import Mapping
from functools import cached_property, lru_cache
from importlib import resources
from pathlib import Path
from typing import Literal

import numpy as np
import pydantic

from pathosynth.runs.errors import ConfigError, InputError

Tissue = Literal["csf", "grey_matter", "white_matter", "deep_grey_matter", "brainstem", "cerebellum", "other"]


class Label(pydantic.BaseModel):
    """One value of a scheme.

    `tissue` says what MRI shows there; `partner` is the value of the same structure on the other side; `mapping`
    is the BIDS standard label number, where there is one.
    """

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid")

    value: int = pydantic.Field(ge=0)
    name: str = pydantic.Field(pattern=r"^[a-z0-9_]+$")
    abbreviation: str
    color: str = pydantic.Field(pattern=r"^#[0-9a-f]{6}$")
    tissue: Tissue
    partner: int | None = None
    mapping: int | None = None


class LabelScheme(pydantic.BaseModel):
    """The legend of a label map. Background is always 0 and is not listed among the labels.

    `groups` name sets of values; `to` holds explicit remapping tables to other schemes, complete for every value.
    """

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid")

    name: str = pydantic.Field(pattern=r"^[A-Za-z0-9]+$")
    description: str
    source: str
    labels: tuple[Label, ...]
    groups: dict[str, tuple[int, ...]]
    to: dict[str, dict[int, int]] = {}
    path: str = ""

    @pydantic.model_validator(mode="after")
    def _consistent(self) -> "LabelScheme":
        values = [label.value for label in self.labels]
        names = [label.name for label in self.labels]
        if len(set(values)) != len(values) or len(set(names)) != len(names) or 0 in values:
            raise ValueError("label values and names must be unique, and 0 is kept for background")
        for group, members in self.groups.items():
            if not members or not set(members) <= set(values):
                raise ValueError(f"group '{group}' is empty or names values that are not labels: {members}")
        for label in self.labels:
            if label.partner is not None and self[label.partner].partner != label.value:
                raise ValueError(f"label {label.value} and its partner {label.partner} do not point at each other")
        for target, table in self.to.items():
            if set(table) != set(values):
                raise ValueError(f"remapping to '{target}' must list every value once")
        return self

    @cached_property
    def values(self) -> tuple[int, ...]:
        """All label values, ascending, without background."""
        return tuple(sorted(label.value for label in self.labels))

    def __getitem__(self, value: int) -> Label:
        for label in self.labels:
            if label.value == value:
                return label
        raise KeyError(f"scheme '{self.name}' has no label {value}")

    def has(self, group: str) -> bool:
        """Whether this scheme names that group."""
        return group in self.groups

    def group(self, name: str) -> tuple[int, ...]:
        """Values of a named group.

        Raises:
            InputError: the scheme has no such group.
        """
        if name not in self.groups:
            raise InputError(
                f"Scheme '{self.name}' has no group '{name}', which is needed here. It has: "
                f"{', '.join(sorted(self.groups))}. Add the group to {self.path or 'the scheme'} or use another scheme."
            )
        return self.groups[name]

    def mask(self, labels: np.ndarray, group: str) -> np.ndarray:
        """Boolean mask, same shape as `labels`, true where the label belongs to `group`."""
        return np.isin(labels, self.group(group))

    def indices(self, labels: np.ndarray) -> np.ndarray:
        """Dense class numbers: 0 background, then 1..n in the order of `values`. uint8, same shape as `labels`.

        Raises:
            InputError: a value is not in the scheme.
        """
        check_values(labels, self)
        table = np.zeros(max(self.values) + 1, dtype=np.uint8)
        table[list(self.values)] = np.arange(1, len(self.values) + 1)
        return np.asarray(table[labels])

    def partner_indices(self) -> np.ndarray:
        """Dense number of the structure on the other side, for each dense number from 0; a mirror image needs it."""
        index = {value: number for number, value in enumerate(self.values, start=1)}
        others = [(value, self[value].partner) for value in self.values]
        return np.array([0, *(index[v if other is None else other] for v, other in others)], dtype=np.uint8)


def check_values(labels: np.ndarray, scheme: LabelScheme, where: str = "label map") -> None:
    """Refuse values outside the scheme.

    Raises:
        InputError: naming the unknown values, their voxel counts and where they were found.
    """
    if labels.dtype.kind == "u" and labels.dtype.itemsize <= 2:
        counts = np.bincount(labels.ravel())
        found = np.flatnonzero(counts)
        counts = counts[found]
    else:
        found, counts = np.unique(labels, return_counts=True)
    known = {0, *scheme.values}
    unknown = {int(v): int(n) for v, n in zip(found, counts, strict=True) if int(v) not in known}
    if unknown:
        listed = ", ".join(f"{value} ({count} voxels)" for value, count in list(unknown.items())[:8])
        raise InputError(
            f"{where}: label values not in scheme '{scheme.name}': {listed}. Expected only {sorted(known)}. "
            f"Choose the right --scheme, add the values to {scheme.path or 'the scheme'}, or remap them first."
        )


def remap_labels(
    labels: np.ndarray, mapping: Mapping[int, int], *, others: Literal["error", "keep", "zero"]
) -> np.ndarray:
    """Replace label values by an explicit table.

    Args:
        labels: integer array of any shape.
        mapping: old value to new value, both >= 0.
        others: what to do with values (besides 0) the table does not list.

    Returns:
        Array of the smallest unsigned type that holds the result.

    Raises:
        InputError: `others` is "error" and an unlisted value occurs.
    """
    found = np.unique(labels)
    missing = [int(v) for v in found if int(v) not in mapping and v != 0]
    if missing and others == "error":
        raise InputError(f"Label values {missing} are not in the remapping table {dict(mapping)}. Add them to it.")
    table = np.zeros(int(found.max(initial=0)) + 1, dtype=np.int64)
    for value in found:
        table[int(value)] = mapping.get(int(value), int(value) if others == "keep" else 0)
    return np.asarray(table.astype(np.min_scalar_type(int(table.max(initial=0))))[labels])


def table_to(scheme: LabelScheme, wanted: LabelScheme, what_for: str) -> dict[int, int] | None:
    """The remapping table from one scheme to another: old value to new value; None where they are the same.

    Args:
        scheme: legend of the labels.
        wanted: legend they shall have.
        what_for: beginning of the message where there is no table.

    Raises:
        ConfigError: there is no table.
    """
    if scheme.name == wanted.name:
        return None
    if wanted.name not in scheme.to:
        raise ConfigError(
            f"{what_for}: expected labels in scheme '{wanted.name}' or with a table to it; scheme '{scheme.name}' has "
            f"tables to {', '.join(scheme.to) or 'no other'}. Use one of these, or add [to.{wanted.name}] to "
            f"{scheme.path or 'the scheme'}."
        )
    return scheme.to[wanted.name]


def in_scheme(labels: np.ndarray, scheme: LabelScheme, wanted: LabelScheme, what_for: str) -> np.ndarray:
    """Labels in another scheme, by `table_to`.

    Raises:
        ConfigError: there is no table.
        InputError: a value is not in the scheme.
    """
    table = table_to(scheme, wanted, what_for)
    return labels if table is None else remap_labels(labels, table, others="error")


def scheme_names() -> list[str]:
    """Names of the schemes that ship with the package."""
    folder = resources.files("pathosynth.data") / "schemes"
    return sorted(entry.name.removesuffix(".toml") for entry in folder.iterdir() if entry.name.endswith(".toml"))


@lru_cache
def load_scheme(name_or_path: str) -> LabelScheme:
    """Read a label scheme by the name of a shipped one or the path of a TOML file.

    Raises:
        ConfigError: no such scheme, or the file breaks a rule.
    """
    if name_or_path in scheme_names():
        path = Path(str(resources.files("pathosynth.data") / "schemes" / f"{name_or_path}.toml"))
    else:
        path = Path(name_or_path)
        if not re.search(r"\.toml$", name_or_path) or not path.is_file():
            raise ConfigError(
                f"--scheme {name_or_path}: expected one of {', '.join(scheme_names())} or the path of a .toml file."
            )
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
        return LabelScheme.model_validate(data | {"path": str(path)})
    except (tomllib.TOMLDecodeError, pydantic.ValidationError) as error:
        raise ConfigError(f"{path}: not a valid label scheme: {error}") from None
