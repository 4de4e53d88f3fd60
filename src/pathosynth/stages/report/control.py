"""Volume against the requested c for several strengths of guidance, inside and beyond the trained range."""

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pydantic

from pathosynth.checks import CHECKS
from pathosynth.data.cases import write_cases
from pathosynth.data.labels import load_scheme
from pathosynth.runs.config import Config as BaseConfig
from pathosynth.runs.errors import InputError
from pathosynth.runs.record import RunRecord
from pathosynth.stages import inputs
from pathosynth.stages.batch import Options, Plan, Result
from pathosynth.stages.report.control_figure import draw
from pathosynth.stages.report.control_numbers import summary
from pathosynth.stages.report.files import publish
from pathosynth.stages.report.made import LABEL_CHECKS, Making, Point, judged, kept_case, make_map, steered
from pathosynth.stages.report.measured import Measuring
from pathosynth.stages.report.numbers import Numbers
from pathosynth.stages.report.source import Source, cases_of

NAME = "control"


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
    check: tuple[str, ...] = LABEL_CHECKS
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
    labelling = steered(
        sources[0], config.sampling, options.device, closed_loop=config.closed_loop, scheme=config.scheme
    )
    making = Making(labelling, config.check, options.seed, options.out if config.keep else None)
    references = [Measuring(source.name, case) for source in sources[1:] for case in cases_of(source, config.scheme)]
    points = [
        Point(guidance, c, number, labelling.found.identity)
        for number in range(config.n)
        for c in config.c
        for guidance in config.guidance
    ]
    return Plan(
        command=f"report {NAME}",
        config={**making.described(), "references": [source.name for source in sources[1:]]},
        inputs=inputs.files_of([task.row for task in references]),
        tasks=[*references, *points],
        work=functools.partial(_work, making=making),
        finish=functools.partial(_finish, making=making),
        memory_gib=making.memory_gib,
        makes=f"{NAME}.png, .csv and .json of {len(points)} maps by {labelling.found.identity}",
        device=labelling.device,
    )


def _work(task: Point | Measuring, *, making: Making) -> Result:
    if isinstance(task, Point):
        return Result("done", facts=make_map(task, making))
    scheme = load_scheme(task.row.scheme)
    found = judged(inputs.read_brain(task.row, scheme).labels, scheme, making.checks)
    return Result("done", facts={"reference": {"set": task.set_name, **found}})


def _finish(out: Path, record: RunRecord, *, making: Making) -> None:
    """Draw every map the record knows, whatever grid it was asked for with.

    Raises:
        InputError: none could be made.
    """
    entries = {name: entry for name, entry in record.content["cases"].items() if record.done(name)}
    maps = [(name, entry["map"]) for name, entry in entries.items() if "map" in entry]
    maps.sort(key=lambda item: (item[1]["guidance"], item[1]["c"], item[1]["number"]))
    if not maps:
        raise InputError(f"report {NAME}: expected at least one map, found that all failed. See {record.path}.")
    rows = [{"case": name, **row} for name, row in maps]
    references = [entry["reference"] for entry in entries.values() if "reference" in entry]
    limit, failed = CHECKS["islands"].Config().stray_mm3, record.counts()["failed"]
    found = summary(rows, references, making.trained, failed=failed, stray_limit_mm3=limit)
    publish(out, NAME, draw(found), rows, found)
    if making.keep is not None:
        scheme = making.labelling.scheme
        kept = [kept_case(name, row, out / entries[name]["files"][0], scheme) for name, row in maps]
        write_cases(out / inputs.TABLE, kept)
