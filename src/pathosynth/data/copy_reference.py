"""What a model keeps of its training cases, so that a copy of one can be recognised: ``copies.safetensors``."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from pathosynth.runs.errors import ModelError
from pathosynth.runs.files import write_bytes

FILE = "copies.safetensors"
"""Name of the file beside ``model.safetensors``."""
FORMAT_VERSION = 1


@dataclass(frozen=True)
class KnownCases:
    """Training cases as one embedding sees them. The voxels cannot be had back from it, but folds can be recognised:
    it is as private as the training data.

    Attributes:
        cases: (n) names.
        subjects: (n) person (or atlas) of every case.
        vectors: (n, d) int8 fingerprints, each scaled to its own largest value.
        alike: (subjects) similarity of every subject to the most similar other one, which the limits come from.
        suspect: limit of the 95 % rule; NaN where there are too few subjects for one.
        copy: limit of the 99.5 % rule.
    """

    cases: tuple[str, ...]
    subjects: tuple[str, ...]
    vectors: np.ndarray
    alike: np.ndarray
    suspect: float
    copy: float


CopyReference = Mapping[str, KnownCases]
"""Name of the embedding, version included, to the training cases seen by it."""


def save_reference(folder: Path, reference: CopyReference) -> None:
    """Write `FILE` into a model folder; 28 kB per case with an image, 17 kB without: 2 MB hold 70 cases."""
    arrays, facts = {}, {}
    for kind, known in reference.items():
        arrays[kind] = np.ascontiguousarray(known.vectors, dtype=np.int8)
        arrays[f"{kind}.alike"] = np.ascontiguousarray(known.alike, dtype=np.float32)
        limits = [None if np.isnan(limit) else limit for limit in (known.suspect, known.copy)]
        facts[kind] = {"cases": list(known.cases), "subjects": list(known.subjects), "limits": limits}
    header = {"format_version": str(FORMAT_VERSION), "known": json.dumps(facts)}
    write_bytes(folder / FILE, save(arrays, metadata=header))


def load_reference(folder: Path) -> CopyReference | None:
    """Read `FILE` of a model folder; None where the model has none.

    Raises:
        ModelError: the file is damaged or of an unknown format.
    """
    path = folder / FILE
    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="np") as file:
            header = file.metadata() or {}
            if header.get("format_version") != str(FORMAT_VERSION):
                raise ModelError(
                    f"{path}: expected format {FORMAT_VERSION}, found {header.get('format_version')!r}. "
                    "Use a matching version of pathosynth."
                )
            facts = json.loads(header["known"])
            return {kind: _known(file, kind, facts[kind]) for kind in facts}
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise ModelError(f"{path}: damaged file ({error}). Copy the model again, or train it again.") from None


def _known(file: Any, kind: str, facts: dict[str, Any]) -> KnownCases:
    """One embedding of the file; a count that does not fit is a ValueError."""
    vectors, alike = file.get_tensor(kind), file.get_tensor(f"{kind}.alike")
    cases, subjects = tuple(facts["cases"]), tuple(facts["subjects"])
    if vectors.ndim != 2 or not len(vectors) == len(cases) == len(subjects):
        raise ValueError(f"{kind}: {vectors.shape} fingerprints for {len(cases)} cases of {len(subjects)} subjects")
    suspect, copy = (float("nan") if limit is None else float(limit) for limit in facts["limits"])
    return KnownCases(cases, subjects, vectors, alike, suspect, copy)
