"""Histogram of c: how often each relative ventricle size occurs in one or several sets, and how skewed they are."""

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pydantic
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from pathosynth.data.measurements import RATIO
from pathosynth.drawing.style import (
    FAINT,
    INK,
    SHADE,
    SMALL,
    TYPE,
    axis_label,
    dress,
    new_figure,
    set_colors,
    signed,
)
from pathosynth.runs.config import Config as BaseConfig
from pathosynth.stages import label_models
from pathosynth.stages.batch import Options, Plan
from pathosynth.stages.models import find_label_model
from pathosynth.stages.report.describe import constant, describe
from pathosynth.stages.report.files import publish
from pathosynth.stages.report.made import trained_ratio
from pathosynth.stages.report.measured import MeasuredSet, measuring_plan
from pathosynth.stages.report.source import Source

NAME = "histogram"


class Config(BaseConfig):
    """Settings of the histogram."""

    scheme: str = ""
    """Legend of folders without a case table."""
    model: str = ""
    """Label model whose trained range is c = 0 to 1; by default the range of the first set."""
    bins: int = pydantic.Field(20, ge=1, le=200)
    """Bins between c = 0 and c = 1; as many more of the same width as the sets need."""


@dataclass(frozen=True)
class Scale:
    """What c = 0 and c = 1 mean.

    Attributes:
        low: ventricle ratio at c = 0.
        high: ventricle ratio at c = 1, above `low`.
        source: whose range it is.
    """

    low: float
    high: float
    source: str

    def c(self, ratio: np.ndarray) -> np.ndarray:
        """The second paper's scaled ratio."""
        return (ratio - self.low) / (self.high - self.low)

    def ratio(self, c: np.ndarray) -> np.ndarray:
        """The ratio back from c."""
        return self.low + (self.high - self.low) * c


def plan(sources: Sequence[Source], config: Config, options: Options) -> Plan:
    """Measure every case of every set, then draw."""
    scale = trained_scale(config.model) if config.model else None
    draw = functools.partial(_finish, scale=scale, bins=config.bins)
    return measuring_plan(NAME, sources, (RATIO,), config.model_dump(), draw)


def _finish(out: Path, sets: Sequence[MeasuredSet], *, scale: Scale | None, bins: int) -> None:
    scale = scale or first_scale(sets[0])
    edges = bin_edges(sets, scale, bins)
    rows: list[dict[str, Any]] = []
    for one in sets:
        ratio = one.values[RATIO]
        c = scale.c(ratio) if scale else [None] * len(ratio)
        rows += [
            {"set": one.name, "case": case, "subject": subject, RATIO: float(r), "c": None if s is None else float(s)}
            for case, subject, r, s in zip(one.cases, one.subjects, ratio, c, strict=True)
        ]
    publish(out, NAME, draw(sets, scale, edges), rows, summary(sets, scale, edges))


def trained_scale(model: str) -> Scale:
    """The trained range of a label model.

    Raises:
        ModelError: there is no such model, or it was not trained on a range of ventricle ratios.
    """
    found = find_label_model(model)
    low, high = trained_ratio(label_models.conditions(found), found.name)
    return Scale(low, high, f"model {found.name}")


def first_scale(one: MeasuredSet) -> Scale | None:
    """The range of a set; None where all its ratios are the same, for instance of one case."""
    ratio = one.values[RATIO]
    if constant(ratio):
        return None
    return Scale(float(ratio.min()), float(ratio.max()), f"set {one.name}")


def bin_edges(sets: Sequence[MeasuredSet], scale: Scale | None, bins: int) -> np.ndarray:
    """Edges of ratio: `bins` over the scale, and more of the same width on both sides up to the extremes of all."""
    ratio = np.concatenate([one.values[RATIO] for one in sets])
    if scale is None:
        return np.linspace(0.9 * ratio.min(), max(1.1 * ratio.max(), 1e-6), bins + 1)
    # The extremes may lie on an edge: allow for rounding, so that no empty bin is added there.
    steps = scale.c(np.array([ratio.min(), ratio.max()])) * bins
    below, above = int(np.floor(steps[0] + 1e-9)), int(np.ceil(steps[1] - 1e-9))
    number = np.arange(min(below, 0), max(above, bins) + 1)
    edges = scale.ratio(number / bins)
    edges[number == bins] = np.nextafter(scale.high, np.inf)  # c = 1 lies inside the range
    edges[0], edges[-1] = min(edges[0], ratio.min()), max(edges[-1], ratio.max())
    return edges


def summary(sets: Sequence[MeasuredSet], scale: Scale | None, edges: np.ndarray) -> dict[str, Any]:
    """Range of c, bins, and for each set the counts, the moments of the ratio and of c; skewness is that of both."""
    ends = None if scale is None else {"low": scale.low, "high": scale.high, "of": scale.source}
    found: dict[str, Any] = {}
    for one in sets:
        ratio = one.values[RATIO]
        found[one.name] = {
            "counts": np.histogram(ratio, edges)[0].tolist(),
            RATIO: describe(ratio),
            "c": None if scale is None else describe(scale.c(ratio)),
            "beyond": None if scale is None else int(((ratio < scale.low) | (ratio > scale.high)).sum()),
        }
    note = {} if scale else {"note": "all ratios of the first set are the same, so c is not defined; give --model"}
    return {"figure": NAME, "scale": ends, "edges": {RATIO: edges.tolist()}, "sets": found, **note}


def draw(sets: Sequence[MeasuredSet], scale: Scale | None, edges: np.ndarray) -> Figure:
    """One panel for each set, one above the other over the same axis of c; the ratio stands above them."""
    figure = new_figure(1.1 + 1.3 * len(sets), width=4.2)
    axes = figure.subplots(len(sets), 1, sharex=True, squeeze=False)[:, 0]
    colors = set_colors([one.name for one in sets])
    for ax, one in zip(axes, sets, strict=True):
        _panel(ax, one, scale, edges, colors[one.name])
    axes[-1].set_xlabel(f"c (0 to 1: range of {scale.source})" if scale else axis_label(RATIO), fontsize=TYPE)
    across = scale.c(edges) if scale else edges
    axes[-1].set_xlim(across[0] - 0.02 * np.ptp(across), across[-1] + 0.02 * np.ptp(across))
    if scale:
        above = axes[0].secondary_xaxis("top", functions=(scale.ratio, scale.c))
        above.set_xlabel(axis_label(RATIO), fontsize=TYPE, color=INK)
        above.tick_params(labelsize=SMALL, length=3, width=0.6, color=FAINT, labelcolor=INK)
        above.spines["top"].set(color=FAINT, linewidth=0.6)
    return figure


def _panel(ax: Axes, one: MeasuredSet, scale: Scale | None, edges: np.ndarray, color: str) -> None:
    """Counts as bars, each case as a tick under them, the median as a line, size and skewness in words."""
    ratio = one.values[RATIO]
    values, across = (scale.c(ratio), scale.c(edges)) if scale else (ratio, edges)
    if scale:
        ax.axvspan(0, 1, color=SHADE, lw=0, zorder=0)
    counts = np.histogram(ratio, edges)[0]
    ax.bar(across[:-1], counts, np.diff(across), align="edge", color=color, ec="white", lw=0.5)
    ax.plot(values, np.full(len(values), -0.035), "|", color=color, ms=4, mew=0.6, transform=ax.get_xaxis_transform(),
            clip_on=False)  # fmt: skip
    found = describe(values)
    ax.axvline(float(np.median(values)), color=INK, lw=0.9, ls=(0, (4, 2)))
    skewness = "skewness not defined" if found["skewness"] is None else f"skewness {signed(found['skewness'], 2)}"
    words = [one.name, f"n = {found['n']}", f"median {found['median']:.3g}", skewness]
    ax.text(0.985, 0.96, "\n".join(words), transform=ax.transAxes, ha="right", va="top", fontsize=SMALL, color=INK)
    ax.yaxis.set_major_locator(MaxNLocator(5, integer=True))
    ax.margins(y=0.12)
    dress(ax, y="cases")
