"""Label maps, and images, from small to large ventricles: three planes of each, with the ventricles' outline."""

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pydantic

from pathosynth.data.cases import Case, write_cases
from pathosynth.data.labels import load_scheme
from pathosynth.data.measurements import AGES, RATIO, VENTRICLES, check_names, measure, unit
from pathosynth.runs.config import Config as BaseConfig
from pathosynth.runs.errors import ConfigError, InputError
from pathosynth.runs.record import RunRecord
from pathosynth.stages import inputs, outputs
from pathosynth.stages.batch import Options, Plan, Result
from pathosynth.stages.report.files import publish
from pathosynth.stages.report.gallery_figure import Shown, draw
from pathosynth.stages.report.made import LABEL_CHECKS, Making, Point, kept_case, make_map, steered
from pathosynth.stages.report.measured import BYTES_PER_VOXEL, Measuring
from pathosynth.stages.report.numbers import Numbers, parse_numbers
from pathosynth.stages.report.planes import Head
from pathosynth.stages.report.source import Source, cases_of, only

NAME = "gallery"


class Config(BaseConfig):
    """Settings of the gallery."""

    measure: tuple[str, ...] = pydantic.Field((RATIO,), min_length=1, max_length=1)
    """What the rows ascend in: a measurement, or an age of the case table."""
    rows: int = pydantic.Field(6, ge=1, le=30)
    """Cases shown at most, as evenly spread over the measurement as the cases are."""
    contrast: str = ""
    """Image shown; the first a case has by default."""
    scheme: str = ""
    """Legend of folders without a case table, or of a model whose scheme does not ship."""
    c: Numbers = (0.0, 0.25, 0.5, 0.75, 1.0, 1.25)
    """From a model: what is asked for, 0 to 1 being the trained range."""
    guidance: Annotated[tuple[float, ...], pydantic.BeforeValidator(parse_numbers)] = pydantic.Field((), max_length=1)
    """From a model: strength of guidance, one number; the model's own by default."""
    closed_loop: bool = False
    """From a model: correct every map, instead of guidance alone."""
    sampling: dict[str, Any] = pydantic.Field(default_factory=dict)
    """From a model: other settings of its sampling."""


def plan(sources: Sequence[Source], config: Config, options: Options) -> Plan:
    """From a folder of cases, measure all and draw some; from a model, make what is drawn, all from the same noise.

    Raises:
        InputError: there are no cases.
        ModelError: there is no such model.
    """
    source = only(sources, NAME)
    is_model = (source.path / "config.json").is_file() or not source.path.exists()
    return _model_plan(source, config, options) if is_model else _case_plan(source, config)


def _case_plan(source: Source, config: Config) -> Plan:
    cases, by = cases_of(source, config.scheme), config.measure[0]
    if by in AGES:
        without = [case.case for case in cases if getattr(case, by) is None]
        if without:
            raise ConfigError(f"--measure {by}: not known of {', '.join(without[:5])}. Choose another, or add it.")
    scheme = inputs.one_scheme(cases)
    names = tuple(dict.fromkeys(name for name in (by, VENTRICLES) if name not in AGES))
    check_names(names, scheme)
    return Plan(
        command=f"report {NAME}",
        config=config.model_dump(mode="json", include={"measure", "rows", "contrast", "scheme"}),
        inputs=[case.labels for case in cases if case.labels and case.labels.is_file()],
        tasks=[Measuring(source.name, case) for case in cases],
        work=functools.partial(_measure, by=by, names=names),
        finish=functools.partial(_finish_cases, cases=cases, config=config, source=source.name),
        memory_gib=outputs.memory_gib(cases, BYTES_PER_VOXEL),
        makes=f"{NAME}.png, .csv and .json of {min(config.rows, len(cases))} of {len(cases)} cases",
    )


def _model_plan(source: Source, config: Config, options: Options) -> Plan:
    labelling = steered(source, config.sampling, options.device, closed_loop=config.closed_loop, scheme=config.scheme)
    making = Making(labelling, LABEL_CHECKS, options.seed, options.out)
    strength = config.guidance[0] if config.guidance else labelling.sampling.guidance
    points = [Point(strength, c, 0, labelling.found.identity, same_noise=True) for c in config.c]
    return Plan(
        command=f"report {NAME}",
        config={**making.described(), "guidance": strength},
        inputs=[],
        tasks=points,
        work=functools.partial(_make, making=making),
        finish=functools.partial(_finish_maps, making=making),
        memory_gib=making.memory_gib,
        makes=f"{NAME}.png, .csv and .json of {len(points)} maps by {labelling.found.identity}",
        device=labelling.device,
    )


def _measure(task: Measuring, *, by: str, names: tuple[str, ...]) -> Result:
    scheme = load_scheme(task.row.scheme)
    labels = inputs.read_brain(task.row, scheme).labels
    if not labels.array.any():
        raise InputError(f"Case '{task.row.case}': expected a map of a head, found one without any label.")
    found = measure(labels.array, scheme, labels.spacing_mm, names)
    return Result("done", facts={"measured": found | ({by: getattr(task.row, by)} if by in AGES else {})})


def _make(task: Point, *, making: Making) -> Result:
    return Result("done", facts=make_map(task, making))


def _finish_cases(out: Path, record: RunRecord, *, cases: Sequence[Case], config: Config, source: str) -> None:
    by = config.measure[0]
    done = [case for case in cases if record.done(f"{source}/{case.case}")]
    if not done:
        raise InputError(f"report {NAME}: expected at least one case that can be measured. See {record.path}.")
    measured = {case.case: record.facts(f"{source}/{case.case}")["measured"] for case in done}
    done.sort(key=lambda case: (measured[case.case][by], case.case))
    chosen = spread([measured[case.case][by] for case in done], config.rows)
    shown = [_shown(done[i], _words(measured[done[i].case], by), config.contrast) for i in chosen]
    place = {i: row for row, i in enumerate(chosen, start=1)}
    rows = [{"case": case.case, **measured[case.case], "row": place.get(i)} for i, case in enumerate(done)]
    drawn = [{"case": case["case"], by: case[by]} for case in rows if case["row"]]
    found = {"figure": NAME, "by": by, "unit": unit(by), "cases": len(done), "rows": drawn}
    publish(out, NAME, draw(shown), rows, found)


def _finish_maps(out: Path, record: RunRecord, *, making: Making) -> None:
    entries = {name: entry for name, entry in record.content["cases"].items() if record.done(name)}
    maps = sorted(((name, entry["map"]) for name, entry in entries.items()), key=lambda item: item[1]["c"])
    if not maps:
        raise InputError(f"report {NAME}: expected at least one map, found that all failed. See {record.path}.")
    cases = [kept_case(name, row, out / entries[name]["files"][0], making.labelling.scheme) for name, row in maps]
    write_cases(out / inputs.TABLE, cases)
    words = [
        (f"c = {row['c']:g}", f"got {row['c_got']:.2f}", f"{row[VENTRICLES]:.1f} mL",
         *(["beyond range"] if row["beyond"] else []), *(["fails checks"] if not row["passed"] else []))
        for _, row in maps
    ]  # fmt: skip
    rows = [{"case": name, **row} for name, row in maps]
    drawn = [{key: row[key] for key in ("case", "c", "c_got", RATIO, VENTRICLES, "passed")} for row in rows]
    found = {"figure": NAME, "by": "c", "unit": "ratio", "guidance": rows[0]["guidance"], "rows": drawn}
    publish(out, NAME, draw([_shown(case, text, "") for case, text in zip(cases, words, strict=True)]), rows, found)


def spread(values: Sequence[float], number: int) -> list[int]:
    """Places of `number` of some ascending values, nearest to even steps from the smallest to the largest."""
    if number >= len(values):
        return list(range(len(values)))
    if number == 1:
        return [len(values) // 2]
    left, chosen = set(range(len(values))), []
    for wanted in np.linspace(values[0], values[-1], number):
        nearest = min(left, key=lambda i: (abs(values[i] - wanted), i))
        chosen.append(nearest)
        left.discard(nearest)
    return sorted(chosen)


def _words(measured: dict[str, float], by: str) -> tuple[str, ...]:
    names = dict.fromkeys((by, VENTRICLES))
    units = {name: "" if unit(name) == "ratio" else f" {unit(name)}" for name in names}
    titles = {RATIO: "ratio ", VENTRICLES: ""}
    return tuple(f"{titles.get(name, '')}{measured[name]:.3g}{units[name]}" for name in names)


def _shown(case: Case, words: tuple[str, ...], contrast: str) -> Shown:
    """Read what is drawn of a case."""
    scheme = load_scheme(case.scheme)
    wanted = contrast or next(iter(case.images), "")
    brain = inputs.read_brain(case, scheme, wanted)
    return Shown(words, Head(brain.labels, scheme, brain.image), wanted if brain.image is not None else "")
