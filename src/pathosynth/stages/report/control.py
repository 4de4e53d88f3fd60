"""Volume against the requested c for several strengths of guidance, inside and beyond the trained range."""

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pydantic

from pathosynth.checks import CHECKS, run_checks
from pathosynth.data.cases import Case, write_cases
from pathosynth.data.findings import CheckInput, Finding
from pathosynth.data.labels import LabelScheme, load_scheme
from pathosynth.data.measurements import RATIO, measure
from pathosynth.data.nifti import write_labels
from pathosynth.data.volume import Volume
from pathosynth.runs.config import Config as BaseConfig
from pathosynth.runs.config import build_config
from pathosynth.runs.errors import ConfigError, InputError, ModelError
from pathosynth.runs.record import RunRecord
from pathosynth.runs.seeds import case_seed
from pathosynth.stages import inputs, label_models, outputs
from pathosynth.stages.batch import Options, Plan, Result
from pathosynth.stages.label_models import Labelling
from pathosynth.stages.report.control_figure import draw
from pathosynth.stages.report.control_numbers import summary
from pathosynth.stages.report.files import publish
from pathosynth.stages.report.numbers import Numbers
from pathosynth.stages.report.source import Source, cases_of
from pathosynth.stages.wishes import SCALED

NAME = "control"
BYTES_PER_VOXEL = 900
"""Peak per voxel of the label map, dominated by decoding."""

OPEN_LOOP = {"closed_loop": False, "candidates": 1, "beyond": "guide", "tidy": False}
"""Settings of sampling under which a map is what guidance alone makes of the request."""

MEASURED = (RATIO, "ventricle_ml", "intracranial_ml")


class Config(BaseConfig):
    """Settings of the control curves."""

    guidance: Numbers = (1.0, 2.0, 3.0, 4.0, 5.0)
    """Strengths of guidance G; 1 is the plain conditional model."""
    c: Numbers = tuple(i / 10 for i in range(16))
    """Requested ratios, 0 to 1 being the trained range."""
    n: int = pydantic.Field(5, ge=1)
    """Maps for each G and c."""
    closed_loop: bool = False
    """Sample as the model does by default, which corrects every map, instead of by guidance alone."""
    keep: bool = False
    """Keep the maps, with a case table."""
    check: tuple[str, ...] = ("geometry", "islands")
    """Checks of label maps; their share of passed maps is drawn."""
    scheme: str = ""
    """Legend of reference folders without a case table, or of a model whose scheme does not ship."""
    sampling: dict[str, Any] = pydantic.Field(default_factory=dict)
    """Other settings of the model's sampling."""

    @pydantic.field_validator("check")
    @classmethod
    def _known(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not value or not set(value) <= set(CHECKS):
            raise ValueError(f"expected some of {', '.join(CHECKS)}")
        return value


@dataclass(frozen=True)
class Point:
    """One map to be made.

    Attributes:
        guidance: G.
        c: requested.
        number: counts the maps of one G and c from 0.
        source: the model.
    """

    guidance: float
    c: float
    number: int
    source: str

    @property
    def case(self) -> str:
        """Name of the map."""
        return f"G{self.guidance:g}_c{self.c:.4g}_{self.number:02d}".replace("-", "m")


@dataclass(frozen=True)
class Reference:
    """One real map to be measured and checked like the made ones."""

    set_name: str
    row: Case

    @property
    def case(self) -> str:
        """Name of the case among the cases of all sets."""
        return f"{self.set_name}/{self.row.case}"

    @property
    def source(self) -> str:
        """The set it belongs to."""
        return self.set_name


def plan(sources: Sequence[Source], config: Config, options: Options) -> Plan:
    """Make and measure every map, then draw. A larger grid of c and G, or more maps, goes on with what is there.

    Args:
        sources: the model; then sets of real cases, whose maps are checked alike.
        config: settings.
        options: how to run.

    Raises:
        ModelError: there is no such model, or it is not steered by the ventricle ratio.
        ConfigError: a setting of sampling is wrong.
    """
    labelling = open_loop(sources[0], config, options.device)
    low, high = trained_range(labelling)
    references = [Reference(source.name, case) for source in sources[1:] for case in cases_of(source, config.scheme)]
    points = [
        Point(guidance, c, number, labelling.found.identity)
        for number in range(config.n)
        for c in config.c
        for guidance in config.guidance
    ]
    described = labelling.described()
    described["sampling"].pop("guidance")
    settings = config.model_dump(mode="json", include={"closed_loop", "keep", "check"})
    return Plan(
        command=f"report {NAME}",
        config={**described, **settings, "references": [source.name for source in sources[1:]]},
        inputs=inputs.files_of([task.row for task in references]),
        tasks=[*references, *points],
        work=functools.partial(_work, labelling=labelling, config=config, options=options),
        finish=functools.partial(_finish, trained=(low, high), scheme=labelling.scheme),
        memory_gib=outputs.BASE_GIB + labelling.voxels * BYTES_PER_VOXEL / 2**30,
        makes=f"{NAME}.png, .csv and .json of {len(points)} maps by {labelling.found.identity}",
        device=labelling.device,
    )


def open_loop(source: Source, config: Config, device: str) -> Labelling:
    """The model as it is to be sampled, still with its own guidance.

    Raises:
        ModelError: there is no such model.
        ConfigError: a setting of sampling is wrong.
    """
    labelling = Labelling.of(str(source.path), {}, device)
    known = type(labelling.sampling).model_fields
    forced = {"closed_loop": True} if config.closed_loop else OPEN_LOOP
    changes = {name: value for name, value in forced.items() if name in known} | config.sampling
    if "guidance" in changes:
        raise ConfigError("report control: expected the strengths of guidance as --guidance 1,2,3, not as --set.")
    return with_sampling(labelling, changes)


def with_sampling(labelling: Labelling, changes: Mapping[str, Any]) -> Labelling:
    """The same model with some settings of sampling changed.

    Raises:
        ConfigError: an unknown setting, or a value out of range.
    """
    values = labelling.sampling.model_dump() | dict(changes)
    return replace(labelling, sampling=build_config(type(labelling.sampling), values, "sampling of label maps"))


def trained_range(labelling: Labelling) -> tuple[float, float]:
    """Ventricle ratio at c = 0 and c = 1.

    Raises:
        ModelError: the model is not steered by it.
    """
    if RATIO not in labelling.known:
        raise ModelError(
            f"{labelling.found.name}: expected a model steered by {RATIO}, found {', '.join(labelling.known)}. "
            f"Train one with {RATIO} among its conditions."
        )
    return labelling.known[RATIO].low, labelling.known[RATIO].high


def _work(task: Point | Reference, *, labelling: Labelling, config: Config, options: Options) -> Result:
    if isinstance(task, Reference):
        scheme = load_scheme(task.row.scheme)
        labels = inputs.read_brain(task.row, scheme).labels
        return Result("done", facts={"reference": {"set": task.set_name, **judged(labels, scheme, config.check)}})
    return make_map(task, labelling=labelling, config=config, options=options)


def make_map(task: Point, *, labelling: Labelling, config: Config, options: Options) -> Result:
    """Make, measure, check and, where asked for, keep one map."""
    low, high = trained_range(labelling)
    seed = case_seed(options.seed, task.case, "control")
    made = label_models.draw(with_sampling(labelling, {"guidance": task.guidance}), {SCALED: task.c}, seed)
    scheme = load_scheme(labelling.scheme)
    found = judged(made.labels, scheme, config.check)
    asked = low + task.c * (high - low)
    row: dict[str, Any] = {
        "guidance": task.guidance, "c": task.c, "number": task.number, "seed": seed, "beyond": not 0 <= task.c <= 1,
        "asked_ratio": asked, "c_got": (found[RATIO] - low) / (high - low),
        "error_ml": (found[RATIO] - asked) * found["intracranial_ml"],
        **found, "attempts": made.attempts,
    }  # fmt: skip
    if not config.keep:
        return Result("done", facts={"map": row})
    path = Path("maps") / f"{task.case}_dseg.nii.gz"
    write_labels(options.out / path, made.labels)
    return Result("done", facts={"map": row, "files": [path.as_posix()]})


def judged(labels: Volume, scheme: LabelScheme, checks: Sequence[str]) -> dict[str, Any]:
    """Measurements of a map, whether it passed each check, and the volume of its islands, holes and loose parts.

    Raises:
        InputError: the map is empty, which leaves no ratio.
    """
    if not labels.array.any():
        raise InputError("The map is empty: the model made no tissue at all, so it has no ventricle ratio.")
    findings = run_checks(CheckInput(None, labels.array, scheme, labels.spacing_mm), checks)
    stray = next((finding for finding in findings if finding.name == "islands"), None)
    return {
        **measure(labels.array, scheme, labels.spacing_mm, MEASURED),
        "passed": all(finding.passed for finding in findings),
        "stray_mm3": _finite(stray),
        "failed_checks": " ".join(finding.name for finding in findings if not finding.passed),
    }


def _finite(finding: Finding | None) -> float | None:
    return float(finding.value) if finding is not None and np.isfinite(finding.value) else None


def _finish(out: Path, record: RunRecord, *, trained: tuple[float, float], scheme: str) -> None:
    """Draw every map the record knows, whatever grid it was asked for with."""
    entries = {name: entry for name, entry in record.content["cases"].items() if record.done(name)}
    maps = [(name, entry["map"]) for name, entry in entries.items() if "map" in entry]
    maps.sort(key=lambda item: (item[1]["guidance"], item[1]["c"], item[1]["number"]))
    if not maps:
        raise InputError(f"report {NAME}: expected at least one map, found that all failed. See {record.path}.")
    rows = [{"case": name, **row} for name, row in maps]
    references = [entry["reference"] for entry in entries.values() if "reference" in entry]
    found = summary(rows, references, trained, failed=record.counts()["failed"])
    publish(out, NAME, draw(found), rows, found)
    kept = [(name, row, entries[name]["files"][0]) for name, row in maps if entries[name].get("files")]
    if kept:
        write_cases(out / inputs.TABLE, [_kept(out, name, row, file, scheme) for name, row, file in kept])


def _kept(out: Path, name: str, row: Mapping[str, Any], file: str, scheme: str) -> Case:
    severity = {key: row[key] for key in ("guidance", "c", "asked_ratio", RATIO, "ventricle_ml")}
    return Case(case=name, subject=name, origin="generated", severity=severity, scheme=scheme, seed=row["seed"],
                labels=out.absolute() / file)  # fmt: skip
