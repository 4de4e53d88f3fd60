"""Numbers -> tables and figures, one file per figure: the picture, the CSV behind it and a JSON summary.

A figure is a module with `Config` and `plan(sources, config, options)`; the plan measures case by case, so an
interrupted report goes on where it stopped, and draws at the end.
"""

from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import Any

from pathosynth.runs.config import build_config
from pathosynth.runs.errors import ConfigError
from pathosynth.stages.batch import Options, Plan
from pathosynth.stages.report import asked, control, evaluation, gallery, histogram, rejections, sets, violins
from pathosynth.stages.report.source import parse_sources

FIGURES: dict[str, ModuleType] = {
    "histogram": histogram,
    "control": control,
    "gallery": gallery,
    "violins": violins,
    "asked": asked,
    "sets": sets,
    "evaluation": evaluation,
    "rejections": rejections,
}
"""Name to module."""


def plan(figure: str, sources: Sequence[str], settings: Mapping[str, Any], options: Options) -> Plan:
    """What one figure takes to be drawn.

    Args:
        figure: key of `FIGURES`.
        sources: ``NAME=FOLDER`` or ``FOLDER``.
        settings: fields of the figure's `Config`.
        options: how to run.

    Raises:
        ConfigError: no such figure, no source, or a setting the figure does not have.
        InputError: a source cannot be used.
    """
    if figure not in FIGURES:
        raise ConfigError(f"report {figure}: expected one of {', '.join(FIGURES)}.")
    module = FIGURES[figure]
    config = build_config(module.Config, dict(settings), f"report {figure}")
    made: Plan = module.plan(parse_sources(sources), config, options)
    return made
