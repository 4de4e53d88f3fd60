"""Measurements of several sets side by side: violins with every case as a point, and medians."""

import functools
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pydantic
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.stats import gaussian_kde

from pathosynth.data.measurements import unit
from pathosynth.drawing.style import INK, axis_label, dress, new_figure, set_colors
from pathosynth.runs.config import Config as BaseConfig
from pathosynth.stages.batch import Options, Plan
from pathosynth.stages.report.describe import constant, describe
from pathosynth.stages.report.files import publish
from pathosynth.stages.report.measured import MeasuredSet, measuring_plan
from pathosynth.stages.report.source import Source

NAME = "violins"
ACROSS = 3
HALF = 0.38
"""Half the width of a violin at its widest, where sets are 1 apart."""

FEWEST = 5
"""Below so many cases a density says nothing; only the points are drawn."""


class Config(BaseConfig):
    """Settings of the violins."""

    scheme: str = ""
    """Legend of folders without a case table."""
    measure: tuple[str, ...] = pydantic.Field(("ventricle_ml",), min_length=1)
    """What is measured, one panel each."""


def plan(sources: Sequence[Source], config: Config, options: Options) -> Plan:
    """Measure every case of every set, then draw."""
    settings = {"scheme": config.scheme}
    return measuring_plan(NAME, sources, config.measure, settings, functools.partial(_finish, names=config.measure))


def _finish(out: Path, sets: Sequence[MeasuredSet], *, names: Sequence[str]) -> None:
    rows = [
        {"set": one.name, "case": case, "subject": subject, **{name: float(one.values[name][i]) for name in names}}
        for one in sets
        for i, (case, subject) in enumerate(zip(one.cases, one.subjects, strict=True))
    ]
    measured = {
        name: {"unit": unit(name), "sets": {one.name: describe(one.values[name]) for one in sets}} for name in names
    }
    publish(out, NAME, draw(sets, names), rows, {"figure": NAME, "measured": measured})


def draw(sets: Sequence[MeasuredSet], names: Sequence[str]) -> Figure:
    """One panel for each measurement, one violin for each set."""
    across = min(ACROSS, len(names))
    down = -(-len(names) // across)
    figure = new_figure(2.6 * down, width=min(7.0, across * max(2.4, 0.9 + 0.75 * len(sets))))
    colors = set_colors([one.name for one in sets])
    grid = figure.subplots(down, across, squeeze=False).ravel()
    for ax, name in zip(grid, names, strict=False):
        for place, one in enumerate(sets):
            _violin(ax, place, one.values[name], colors[one.name])
        words = [f"{one.name}\nn = {len(one.cases)}\nmedian {np.median(one.values[name]):.3g}" for one in sets]
        ax.set_xticks(range(len(sets)), words)
        ax.set_xlim(-0.6, len(sets) - 0.4)
        ax.margins(y=0.06)
        dress(ax, y=axis_label(name))
        ax.tick_params(axis="x", length=0)
    for ax in grid[len(names) :]:
        ax.set_visible(False)
    return figure


def _violin(ax: Axes, place: int, values: np.ndarray, color: str) -> None:
    """Density between the extremes, each case as a point spread by it, the quartiles as a bar and the median."""
    widths = np.full(len(values), 0.4)
    if len(values) >= FEWEST and not constant(values):
        density = gaussian_kde(values)
        at = np.linspace(values.min(), values.max(), 200)
        height = density(at)
        ax.fill_betweenx(at, place - HALF * height / height.max(), place + HALF * height / height.max(),
                         color=color, alpha=0.22, lw=0)  # fmt: skip
        widths = density(values) / height.max()
    across = place + HALF * 0.9 * widths * (2 * _scattered(values) - 1)
    ax.plot(across, values, "o", color=color, ms=2.6, alpha=0.75, mew=0)
    low, median, high = np.quantile(values, [0.25, 0.5, 0.75])
    ax.plot([place, place], [low, high], color=INK, lw=1.6, solid_capstyle="butt")
    ax.plot([place - 0.17, place + 0.17], [median, median], color=INK, lw=1.4)


def _scattered(values: np.ndarray) -> np.ndarray:
    """Places in [0, 1), evenly spread over neighbours in value: van der Corput's sequence along the sorted values."""
    places = np.empty(len(values))
    places[np.argsort(values, kind="stable")] = [_reversed_binary(i + 1) for i in range(len(values))]
    return places


def _reversed_binary(number: int) -> float:
    """0.1, 0.01, 0.11 … in binary for 1, 2, 3 …"""
    text = f"{number:b}"[::-1]
    return float(int(text, 2) / 2 ** len(text))
