"""Measurements of a label map by name, each with its unit: what label generators are asked for and judged by.

``ventricle_ratio`` is the second paper's condition before scaling (arXiv 2411.01351): all ventricles over all that lies
inside the skull. ``ventricle_ml`` and ``<group>_ml`` are volumes of the scheme's groups.
"""

from collections.abc import Sequence

import numpy as np

from pathosynth.data.labels import LabelScheme
from pathosynth.data.volume import Spacing
from pathosynth.runs.errors import ConfigError, InputError

RATIO, VENTRICLES, HEAD = "ventricle_ratio", "ventricle_ml", "intracranial_ml"
AGES = ("age_weeks", "age_years")
"""Conditions a case table states; nobody can measure them on a label map."""

_ALIASES = {VENTRICLES: "ventricles"}
_SUFFIX = "_ml"


def measurable(scheme: LabelScheme) -> tuple[str, ...]:
    """Names that `measure` knows for a scheme: the ratio, the ventricles' volume, then every group's volume."""
    groups = [f"{group}{_SUFFIX}" for group in sorted(scheme.groups)]
    has_ventricles = scheme.has("ventricles")
    ratio = [RATIO] if has_ventricles and scheme.has("intracranial") else []
    return (*ratio, *([VENTRICLES] if has_ventricles else []), *groups)


def unit(name: str) -> str:
    """Unit of a measurement or of an age: ratio, mL, weeks or years."""
    if name in AGES:
        return name.removeprefix("age_")
    return "mL" if name.endswith(_SUFFIX) else "ratio"


def group_of(name: str) -> str:
    """Group of labels a measurement is taken of; for the ratio, the ventricles."""
    return "ventricles" if name == RATIO else _ALIASES.get(name, name.removesuffix(_SUFFIX))


def check_names(names: Sequence[str], scheme: LabelScheme) -> None:
    """Refuse names that cannot be measured in a scheme.

    Raises:
        ConfigError: naming them and what can be measured.
    """
    unknown = sorted(set(names) - set(measurable(scheme)))
    if unknown:
        raise ConfigError(
            f"Measurements {', '.join(unknown)} are unknown in scheme '{scheme.name}'. Expected some of "
            f"{', '.join(measurable(scheme))}."
        )


def measure(labels: np.ndarray, scheme: LabelScheme, spacing_mm: Spacing, names: Sequence[str]) -> dict[str, float]:
    """Measure a label map.

    Args:
        labels: (I, J, K) unsigned integers.
        scheme: its legend.
        spacing_mm: voxel edge lengths.
        names: of `measurable(scheme)`.

    Returns:
        Name to millilitres, or to a number without unit for the ratio.

    Raises:
        ConfigError: a name is unknown.
        InputError: the ratio of a map without anything inside the skull.
    """
    check_names(names, scheme)
    counts = np.bincount(labels.ravel(), minlength=max(scheme.values) + 1)
    voxel_ml = float(np.prod(spacing_mm)) / 1000

    def volume_ml(group: str) -> float:
        return float(counts[list(scheme.group(group))].sum() * voxel_ml)

    found = {}
    for name in names:
        found[name] = volume_ml(group_of(name))
        if name == RATIO:
            inside = volume_ml("intracranial")
            if inside == 0:
                raise InputError("Ventricle ratio: expected labels inside the skull, found none. Check the label map.")
            found[name] /= inside
    return found
