"""Maps made for a figure: at a chosen c and strength of guidance, measured, checked and, where asked for, kept."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from pathosynth.checks import run_checks
from pathosynth.data.cases import Case
from pathosynth.data.findings import CheckInput, Finding
from pathosynth.data.labels import LabelScheme, load_scheme
from pathosynth.data.measurements import HEAD, RATIO, VENTRICLES, measure
from pathosynth.data.nifti import write_labels
from pathosynth.data.volume import Volume
from pathosynth.runs.config import build_config
from pathosynth.runs.errors import ConfigError, InputError, ModelError
from pathosynth.runs.seeds import case_seed
from pathosynth.stages import label_models, outputs
from pathosynth.stages.label_models import Labelling
from pathosynth.stages.report.source import Source
from pathosynth.stages.wishes import SCALED, Known

BYTES_PER_VOXEL = 900
"""Peak per voxel of the label map, dominated by decoding."""

OPEN_LOOP = {"closed_loop": False, "candidates": 1, "beyond": "guide", "tidy": False}
"""Settings of sampling under which a map is what guidance alone makes of the request."""

LABEL_CHECKS = ("geometry", "islands", "nesting", "sides")
"""What maps without an image are judged by, where nothing else is asked for."""

MEASURED = (RATIO, VENTRICLES, HEAD)


@dataclass(frozen=True)
class Point:
    """One map to be made.

    Attributes:
        guidance: G.
        c: requested.
        number: counts the maps of one G and c from 0.
        source: the model.
        same_noise: start all c and G of one number from the same noise, so that only the request differs.
    """

    guidance: float
    c: float
    number: int
    source: str
    same_noise: bool = False

    @property
    def case(self) -> str:
        """Name of the map."""
        return f"G{self.guidance:g}_c{self.c:.4g}_{self.number:02d}".replace("-", "m")

    def seed(self, run_seed: int) -> int:
        """Seed of the map."""
        return case_seed(run_seed, f"{self.number:02d}" if self.same_noise else self.case, "report")


@dataclass(frozen=True)
class Making:
    """How the maps of a figure are made.

    Attributes:
        labelling: model and sampling; the guidance comes from each point.
        checks: names of the checks.
        run_seed: seed of the run.
        keep: folder to write the maps into, under ``maps/``; None keeps none.
    """

    labelling: Labelling
    checks: tuple[str, ...]
    run_seed: int
    keep: Path | None

    @property
    def trained(self) -> tuple[float, float]:
        """Ventricle ratio at c = 0 and at c = 1."""
        return trained_ratio(self.labelling.known, self.labelling.found.name)

    @property
    def memory_gib(self) -> float:
        """Estimated peak of one worker."""
        return outputs.BASE_GIB + self.labelling.voxels * BYTES_PER_VOXEL / 2**30

    def described(self) -> dict[str, Any]:
        """What goes into the run record; c and G stand in the names of the maps, so that a run can grow."""
        described = self.labelling.described()
        described["sampling"].pop("guidance")
        return {**described, "check": list(self.checks), "keep": self.keep is not None}


def steered(source: Source, changes: Mapping[str, Any], device: str, *, closed_loop: bool, scheme: str) -> Labelling:
    """A model as it is to be sampled: by guidance alone, or with every map corrected.

    Args:
        source: shipped name or model folder.
        changes: other settings of sampling.
        device: as the user gave it.
        closed_loop: sample as the model does by default, which corrects every map.
        scheme: file of the model's legend, where that does not ship.

    Raises:
        ModelError: there is no such model, or it is not steered by the ventricle ratio.
        ConfigError: a setting of sampling is wrong.
    """
    labelling = Labelling.of(str(source.path), {}, device, scheme)
    trained_ratio(labelling.known, labelling.found.name)
    if "guidance" in changes:
        raise ConfigError("--set guidance: expected the strength of guidance as --guidance, e.g. --guidance 1,2,3.")
    known = type(labelling.sampling).model_fields
    forced = {"closed_loop": True} if closed_loop else OPEN_LOOP
    return with_sampling(labelling, {name: value for name, value in forced.items() if name in known} | dict(changes))


def trained_ratio(known: Known, model: str) -> tuple[float, float]:
    """Ventricle ratio at c = 0 and at c = 1, what a model was trained on.

    Raises:
        ModelError: it is not steered by the ratio, or was trained on one ratio only.
    """
    if RATIO not in known or known[RATIO].low >= known[RATIO].high:
        found = ", ".join(f"{name} ({trained})" for name, trained in known.items())
        raise ModelError(
            f"{model}: expected a model trained on a range of {RATIO}, found {found or 'none'}. Train one with {RATIO} "
            "among its conditions."
        )
    return known[RATIO].low, known[RATIO].high


def with_sampling(labelling: Labelling, changes: Mapping[str, Any]) -> Labelling:
    """The same model with some settings of sampling changed.

    Raises:
        ConfigError: an unknown setting, or a value out of range.
    """
    values = labelling.sampling.model_dump() | dict(changes)
    return replace(labelling, sampling=build_config(type(labelling.sampling), values, "sampling of label maps"))


def make_map(task: Point, making: Making) -> dict[str, Any]:
    """Make, measure, check and keep one map.

    Returns:
        Facts for the run record: `map`, the row of the table, and `files` where it was kept.

    Raises:
        InputError: the map is empty.
        MorphError: it could not be brought to what was asked.
    """
    low, high = making.trained
    labelling, seed = with_sampling(making.labelling, {"guidance": task.guidance}), task.seed(making.run_seed)
    made = label_models.draw(labelling, {SCALED: task.c}, seed)
    found = judged(made.labels, load_scheme(labelling.scheme), making.checks)
    asked = low + task.c * (high - low)
    row = {
        "guidance": task.guidance, "c": task.c, "number": task.number, "seed": seed, "beyond": not 0 <= task.c <= 1,
        "asked_ratio": asked, "c_got": (found[RATIO] - low) / (high - low),
        "error_ml": (found[RATIO] - asked) * found[HEAD], **found, "attempts": made.attempts,
    }  # fmt: skip
    if making.keep is None:
        return {"map": row}
    path = Path("maps") / f"{task.case}_dseg.nii.gz"
    write_labels(making.keep / path, made.labels)
    return {"map": row, "files": [path.as_posix()]}


def judged(labels: Volume, scheme: LabelScheme, checks: Sequence[str]) -> dict[str, Any]:
    """Measurements of a map, whether it passed the checks, and the volume of its islands, holes and loose parts.

    Raises:
        InputError: the map is empty, which leaves no ratio.
    """
    if not labels.array.any():
        raise InputError(
            "Expected a map of a head, found one without any label. Its model, or the guidance, is broken."
        )
    findings = run_checks(CheckInput(None, labels.array, scheme, labels.spacing_mm), checks)
    stray = next((finding for finding in findings if finding.name == "islands"), None)
    return {
        **measure(labels.array, scheme, labels.spacing_mm, MEASURED),
        "passed": all(finding.passed for finding in findings),
        "stray_mm3": _finite(stray),
        "failed_checks": " ".join(finding.name for finding in findings if not finding.passed),
    }


def kept_case(name: str, row: Mapping[str, Any], file: Path, scheme: str) -> Case:
    """Row of the case table of a map that was kept."""
    severity = {key: row[key] for key in ("guidance", "c", "asked_ratio", RATIO, VENTRICLES)}
    return Case(case=name, subject=name, origin="generated", severity=severity, scheme=scheme, seed=row["seed"],
                labels=file.absolute())  # fmt: skip


def _finite(finding: Finding | None) -> float | None:
    return float(finding.value) if finding is not None and np.isfinite(finding.value) else None
