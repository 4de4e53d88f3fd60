"""``distributions.png``: what a recipe asked and what was reached, in one picture."""

import io
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import NullFormatter, StrMethodFormatter

from pathosynth.runs.files import write_bytes
from pathosynth.runs.record import RunRecord
from pathosynth.stages.cohort import Variant
from pathosynth.stages.composition import TOLERANCES
from pathosynth.stages.distributions import Choice, Distribution, LogUniform, distributions, extremes
from pathosynth.stages.morph_table import FIGURE
from pathosynth.stages.recipes import Recipe

ACROSS, DPI = 4, 110
CELL, AXES = (3.3, 2.6), (0.5, 0.45, 2.65, 1.7)
"""Width and height of the cell of a panel, and left, bottom, width and height of its axes inside, in inches."""

FOOT = 0.3
"""Inches for the legend."""

BINS = 12
MOST_BARS = 12
MOST = 24
"""Panels of one sort; what does not fit stands in the table."""

COLORS = ("#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377", "#bbbbbb")
"""Of the kinds, in the recipe's order; told apart by colour-blind readers too (Paul Tol's bright scheme)."""

OUTCOMES = (("done", "#a8d5b0"), ("rejected", "#ece29d"), ("failed", "#f6b6bd"))


@dataclass(frozen=True)
class Panel:
    """One setting, or one measure, of all variants that have it.

    Attributes:
        name: what is shown.
        kinds: kind of each variant.
        values: (n,) what was drawn or measured, or (n, 2) asked and reached.
        ends: the ends of what may be drawn; None where nothing is drawn.
        ratio: whether the axis is logarithmic.
        choice: whether some values are counted instead of a range divided into bins.
        unit: of a measure.
    """

    name: str
    kinds: tuple[str, ...]
    values: tuple[Any, ...]
    ends: tuple[Any, ...] | None = None
    ratio: bool = False
    choice: bool = False
    unit: str = ""


def draw(out: Path, record: RunRecord, tasks: Sequence[Variant], recipe: Recipe) -> None:
    """Write the picture of a run; the same outcomes give the same bytes."""
    entries = [(task, record.content["cases"].get(task.case, {})) for task in tasks]
    asked, reached = list(settings_drawn(entries, recipe))[:MOST], list(measures_met(entries))[:MOST]
    asked += list(severities(entries))[:MOST]
    colors = {kind.name: COLORS[i % len(COLORS)] for i, kind in enumerate(recipe.kinds)}
    figure, axes = _sheet(2 + len(asked) + len(reached))
    _count(axes[0], "variants of each kind", [(task.kind, entry) for task, entry in entries])
    _count(axes[1], "pathologies together", [(task.pathology, entry) for task, entry in entries])
    for ax, panel in zip(axes[2:], asked, strict=False):
        _distribution(ax, panel, colors)
    for ax, panel in zip(axes[2 + len(asked) :], reached, strict=True):
        _met(ax, panel, colors)
    if len(colors) > 1:
        handles = [Patch(color=color, label=kind) for kind, color in colors.items()]
        figure.legend(handles=handles, loc="lower center", ncols=len(colors), fontsize=7, frameon=False)
    data = io.BytesIO()
    figure.savefig(data, format="png", metadata={"Software": None})
    write_bytes(out / FIGURE, data.getvalue())


def settings_drawn(entries: Sequence[tuple[Variant, dict[str, Any]]], recipe: Recipe) -> Iterator[Panel]:
    """One panel for every setting that the recipe draws, with the values of the variants that were met."""
    found: dict[tuple[str, str], dict[str, Distribution]] = {}
    for kind in recipe.kinds:
        for part in kind.pathologies:
            for name, distribution in distributions(part.settings):
                found.setdefault((part.name, name), {})[kind.name] = distribution
    for (pathology, name), drawn in found.items():
        ends = tuple(value for distribution in drawn.values() for value in extremes(distribution))
        pairs = [
            (task.kind, _at(asked["settings"], name))
            for task, entry in entries
            for asked in entry.get("asked", [])
            if asked["pathology"] == pathology and task.kind in drawn
        ]
        kinds, values = zip(*pairs, strict=True) if pairs else ((), ())
        ratio = all(isinstance(distribution, LogUniform) for distribution in drawn.values())
        choice = any(isinstance(distribution, Choice) for distribution in drawn.values())
        yield Panel(f"{pathology}\n{name}", kinds, values, ends, ratio, choice)


def measures_met(entries: Sequence[tuple[Variant, dict[str, Any]]]) -> Iterator[Panel]:
    """One panel for every measure that was a target: asked and reached."""
    found: dict[tuple[str, str, str], list[tuple[str, tuple[float, float]]]] = {}
    for task, entry in entries:
        for target in entry.get("targets", []):
            key = (target["pathology"], target["measure"], target["unit"])
            found.setdefault(key, []).append((task.kind, (target["asked"], target["reached"])))
    for (pathology, measure, unit), pairs in found.items():
        kinds, values = zip(*pairs, strict=True)
        yield Panel(f"{pathology}\n{measure}", kinds, values, unit=unit)


def severities(entries: Sequence[tuple[Variant, dict[str, Any]]]) -> Iterator[Panel]:
    """One panel for every measure of severity, target or not; z-scores and single sides stand in the case table."""
    found: dict[str, list[tuple[str, float]]] = {}
    for task, entry in entries:
        for measure, value in entry.get("severity", {}).items():
            if not measure.endswith("_z") and "_left_" not in measure and "_right_" not in measure:
                found.setdefault(measure, []).append((task.kind, value))
    for measure, pairs in found.items():
        kinds, values = zip(*pairs, strict=True)
        yield Panel(f"measured\n{measure}", kinds, values)


def _sheet(number: int) -> tuple[Figure, list[Axes]]:
    """A figure with so many axes, row by row; placed by hand, because layout engines are slow and shrink panels."""
    rows = -(-number // ACROSS)
    wide, tall = ACROSS * CELL[0], rows * CELL[1] + FOOT
    figure = Figure(figsize=(wide, tall), dpi=DPI)
    FigureCanvasAgg(figure)
    left, bottom, width, height = AXES
    corners = [(i % ACROSS * CELL[0] + left, tall - (i // ACROSS + 1) * CELL[1] + bottom) for i in range(number)]
    return figure, [figure.add_axes((x / wide, y / tall, width / wide, height / tall)) for x, y in corners]


def _at(settings: dict[str, Any], dotted: str) -> Any:
    value: Any = settings
    for key in dotted.split("."):
        value = value.get(key) if isinstance(value, dict) else None
    return value


def _count(ax: Axes, title: str, found: Sequence[tuple[str, dict[str, Any]]]) -> None:
    """Bars of the number of variants, kept, rejected and failed; the names stand on the bars."""
    frequent = [name for name, _ in Counter(name for name, _ in found).most_common(MOST_BARS)]
    names = [name for name in dict.fromkeys(name for name, _ in found) if name in frequent]
    left = np.zeros(len(names))
    for outcome, color in OUTCOMES:
        counts = Counter(name for name, entry in found if entry.get("outcome") == outcome)
        width = np.array([counts[name] for name in names])
        if width.any():
            ax.barh(range(len(names)), width, left=left, color=color)
        left += width
    for i, (name, number) in enumerate(zip(names, left, strict=True)):
        ax.text(0, i, f" {int(number)}  {name.replace('_', ' ').replace('+', ' + ')}", va="center", fontsize=6)
    ax.set_ylim(max(len(names), 4) - 0.4, -0.6)
    ax.set_yticks([])
    ax.set_xlim(0, 1.5 * max(1.0, left.max(initial=0)))
    totals = Counter(entry.get("outcome") for _, entry in found)
    title += ": " + ", ".join(f"{totals[outcome]} {outcome}" for outcome, _ in OUTCOMES if totals[outcome])
    more = len({name for name, _ in found}) - len(names)
    _title(ax, title + (f" ({more} rarer ones not shown)" if more else ""))


def _distribution(ax: Axes, panel: Panel, colors: dict[str, str]) -> None:
    """Values drawn, stacked by kind: a histogram over the range with every value as a tick, or bars of choices."""
    own = {kind: [v for k, v in zip(panel.kinds, panel.values, strict=True) if k == kind] for kind in colors}
    if panel.choice:
        _bars(ax, panel, own, colors)
        return
    ends = panel.ends or panel.values or (0, 1)
    low, high = min(ends), max(ends)
    edges = np.geomspace(low, high, BINS + 1) if panel.ratio else np.linspace(low, max(high, low + 1e-6), BINS + 1)
    if panel.ratio:
        ax.set_xscale("log")
        ax.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        ax.xaxis.set_minor_formatter(NullFormatter())
        ax.set_xticks([float(f"{value:.2g}") for value in np.geomspace(low, high, 5)])
    ax.hist([own[kind] for kind in colors], edges.tolist(), color=list(colors.values()), stacked=True)
    for kind, color in colors.items():
        ax.plot(own[kind], np.full(len(own[kind]), 0.97), "|", color=color, ms=5, transform=ax.get_xaxis_transform())
    ax.margins(y=0.12)
    for end in panel.ends or ():
        ax.axvline(end, color="0.6", lw=0.8, ls=":")
    _title(ax, f"{panel.name}: {'drawn, ' if panel.ends else ''}n = {len(panel.values)}")


def _bars(ax: Axes, panel: Panel, own: dict[str, list[Any]], colors: dict[str, str]) -> None:
    names = list(dict.fromkeys(str(value) for value in panel.ends or ()))
    bottom = np.zeros(len(names))
    for kind, color in colors.items():
        counts = Counter(str(value) for value in own[kind])
        heights = np.array([counts[name] for name in names])
        ax.bar(range(len(names)), heights, bottom=bottom, color=color)
        bottom += heights
    ax.set_xticks(range(len(names)), names, fontsize=6)
    _title(ax, f"{panel.name}: drawn, n = {len(panel.values)}")


def _met(ax: Axes, panel: Panel, colors: dict[str, str]) -> None:
    """Reached against asked, with the line of identity and the tolerance around it."""
    asked, reached = np.asarray(panel.values, float).T
    low, high = float(min(asked.min(), reached.min())), float(max(asked.max(), reached.max()))
    pad = 0.05 * max(high - low, 0.1 * abs(high), 1e-3)
    line = np.linspace(low - pad, high + pad, 50)
    ax.plot(line, line, color="0.6", lw=0.8)
    if panel.unit in TOLERANCES:
        amount, part = TOLERANCES[panel.unit]
        ax.fill_between(line, line - amount - part * abs(line), line + amount + part * abs(line), color="0.85", lw=0)
    for kind, color in colors.items():
        own = np.array([k == kind for k in panel.kinds])
        ax.plot(asked[own], reached[own], "o", color=color, ms=3, alpha=0.7, mew=0)
    ax.set_xlabel(f"asked, {panel.unit}", fontsize=6)
    ax.set_ylabel(f"reached, {panel.unit}", fontsize=6)
    _title(ax, f"{panel.name}: n = {len(asked)}, largest miss {np.abs(reached - asked).max():.2g} {panel.unit}")


def _title(ax: Axes, text: str) -> None:
    ax.set_title(text, fontsize=7, loc="left")
    ax.tick_params(labelsize=6)
    ax.spines[["top", "right"]].set_visible(False)
