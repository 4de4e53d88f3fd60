"""Sets of cases measured one by one: what `histogram`, `violins` and `sets` are drawn from."""

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pathosynth.data.cases import Case
from pathosynth.data.labels import load_scheme
from pathosynth.data.measurements import check_names, measure
from pathosynth.runs.errors import InputError
from pathosynth.runs.record import RunRecord
from pathosynth.stages import inputs, outputs
from pathosynth.stages.batch import Plan, Result
from pathosynth.stages.report.source import Source, cases_of

BYTES_PER_VOXEL = 12
"""A label map as read, in RAS, and its histogram."""


@dataclass(frozen=True)
class Measuring:
    """One case of one set."""

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


@dataclass(frozen=True)
class MeasuredSet:
    """What was measured of one set.

    Attributes:
        name: of the set.
        cases: names.
        subjects: person of each case.
        values: measurement to an array (n,) in its unit, finite.
    """

    name: str
    cases: tuple[str, ...]
    subjects: tuple[str, ...]
    values: Mapping[str, np.ndarray]


Drawn = Callable[[Path, Sequence[MeasuredSet]], None]
"""Called at the end with the folder and the sets."""


def measuring_plan(
    figure: str, sources: Sequence[Source], names: Sequence[str], config: Mapping[str, Any], draw: Drawn
) -> Plan:
    """A plan that measures every case of every set, then draws.

    Args:
        figure: its name.
        sources: the sets.
        names: measurements, see `data.measurements`.
        config: resolved settings, JSON-able; ``scheme`` is the legend of folders without a case table.
        draw: what to make of the sets.

    Raises:
        InputError: a set has no cases.
        ConfigError: a measurement is not known in a scheme.
    """
    tasks = [Measuring(source.name, case) for source in sources for case in cases_of(source, config["scheme"])]
    for scheme in sorted({task.row.scheme for task in tasks}):
        check_names(names, load_scheme(scheme))
    return Plan(
        command=f"report {figure}",
        config={"sets": [source.name for source in sources], "measure": list(names), **config},
        inputs=[path for task in tasks if (path := task.row.labels) and path.is_file()],
        tasks=tasks,
        work=functools.partial(measure_case, names=tuple(names)),
        finish=functools.partial(_finish, tasks=tasks, names=tuple(names), draw=draw),
        memory_gib=outputs.memory_gib([task.row for task in tasks], BYTES_PER_VOXEL),
        makes=f"{figure}.png, .csv and .json of {len(tasks)} cases",
    )


def measure_case(task: Measuring, *, names: tuple[str, ...]) -> Result:
    """Measure one label map."""
    scheme = load_scheme(task.row.scheme)
    labels = inputs.read_brain(task.row, scheme).labels
    return Result("done", facts={"measured": measure(labels.array, scheme, labels.spacing_mm, names)})


def _finish(out: Path, record: RunRecord, *, tasks: Sequence[Measuring], names: tuple[str, ...], draw: Drawn) -> None:
    draw(out, measured_sets(record, tasks, names))


def measured_sets(record: RunRecord, tasks: Sequence[Measuring], names: Sequence[str]) -> list[MeasuredSet]:
    """The sets of a run, in the order they were given; cases that failed are left out.

    Raises:
        InputError: nothing of a set could be measured.
    """
    found: dict[str, list[tuple[Case, dict[str, float]]]] = {task.set_name: [] for task in tasks}
    for task in tasks:
        if record.done(task.case):
            found[task.set_name].append((task.row, record.facts(task.case)["measured"]))
    empty = [name for name, cases in found.items() if not cases]
    if empty:
        raise InputError(
            f"Set {', '.join(empty)}: expected at least one case that can be measured, found none. See {record.path}."
        )
    return [
        MeasuredSet(
            name,
            tuple(row.case for row, _ in cases),
            tuple(row.subject for row, _ in cases),
            {measurement: np.array([values[measurement] for _, values in cases]) for measurement in names},
        )
        for name, cases in found.items()
    ]
