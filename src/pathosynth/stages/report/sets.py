"""Generated sets against a real one: volumes of every group, coverage, and distances to the nearest real case."""

import functools
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pydantic

from pathosynth.data.labels import load_scheme
from pathosynth.data.measurements import RATIO, measurable
from pathosynth.runs.config import Config as BaseConfig
from pathosynth.runs.errors import ConfigError
from pathosynth.runs.files import write_table
from pathosynth.stages.batch import Options, Plan
from pathosynth.stages.report.files import publish
from pathosynth.stages.report.measured import MeasuredSet, measuring_plan
from pathosynth.stages.report.sets_figure import draw
from pathosynth.stages.report.sets_numbers import Compared, compared, halves, nearest_rows, rows_of, summary
from pathosynth.stages.report.source import Source, cases_of

NAME = "sets"
NEAREST = "nearest.csv"
TWICE = ("ventricles_ml", RATIO)
"""Measurements that say again what ventricle_ml and intracranial_ml say."""


class Config(BaseConfig):
    """Settings of the comparison."""

    scheme: str = ""
    """Legend of folders without a case table."""
    measure: tuple[str, ...] = ()
    """Measurements compared; by default the volume of every group that the schemes of all sets have."""
    neighbours: int = pydantic.Field(5, ge=1)
    """A real case is covered by a generated one nearer than its neighbour of this rank among the real ones."""


def plan(sources: Sequence[Source], config: Config, options: Options) -> Plan:
    """Measure every case of every set, then compare each with the first.

    Raises:
        ConfigError: there is nothing to compare with, or nothing that can be measured in all schemes.
    """
    if len(sources) < 2:
        raise ConfigError(f"report {NAME}: expected the real set first and a generated one, -i real=A -i generated=B.")
    names = config.measure or common_volumes(sources, config.scheme)
    settings = {"scheme": config.scheme, "neighbours": config.neighbours}
    finish = functools.partial(_finish, names=names, neighbours=config.neighbours, seed=options.seed)
    return measuring_plan(NAME, sources, names, settings, finish)


def common_volumes(sources: Sequence[Source], scheme: str) -> tuple[str, ...]:
    """Volumes of the groups that all schemes have, in the order of the first.

    Raises:
        ConfigError: there are none.
    """
    schemes = [cases_of(source, scheme)[0].scheme for source in sources]
    known = [measurable(load_scheme(name)) for name in schemes]
    names = tuple(name for name in known[0] if name not in TWICE and all(name in others for others in known[1:]))
    if not names:
        raise ConfigError(
            f"report {NAME}: expected groups that all schemes have, found none in {', '.join(schemes)}. Bring the sets "
            "to one scheme with `pathosynth prepare`."
        )
    return names


def _finish(out: Path, sets: Sequence[MeasuredSet], *, names: Sequence[str], neighbours: int, seed: int) -> None:
    real, *generated = sets
    found: list[Compared] = [compared(real, one, names, neighbours) for one in generated]
    chance = halves(real, names, np.random.default_rng(seed))
    write_table(out / NEAREST, [row for one in found for row in nearest_rows(real, one)])
    publish(out, NAME, draw(real, found, chance), rows_of(real, found, chance), summary(real, found, chance))
