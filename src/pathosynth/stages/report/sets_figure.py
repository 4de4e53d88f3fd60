"""The picture of sets compared: distances and medians per measurement, coverage, nearest real cases."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from pathosynth.drawing.style import (
    FAINT,
    INK,
    MARKERS,
    SMALL,
    axis_label,
    dress,
    new_figure,
    set_colors,
)
from pathosynth.stages.report.measured import MeasuredSet
from pathosynth.stages.report.sets_numbers import Compared


def draw(real: MeasuredSet, found: Sequence[Compared], chance: Mapping[str, float] | None) -> Figure:
    """Four panels; the measurements stand one below the other on the left.

    Args:
        real: first set.
        found: the others compared with it.
        chance: distances between halves of the real set, in its SDs.
    """
    names = list(found[0].distances)
    figure = new_figure(max(4.2, 1.6 + 0.2 * len(names)))
    grid = figure.add_gridspec(2, 3, width_ratios=(1.15, 1.0, 1.25))
    distance, median = figure.add_subplot(grid[:, 0]), figure.add_subplot(grid[:, 1])
    nearest, cover = figure.add_subplot(grid[0, 2]), figure.add_subplot(grid[1, 2])
    colors = set_colors([real.name, *(other.one.name for other in found)])
    _distances(distance, names, found, chance, colors)
    _medians(median, names, real, found, colors)
    _nearest(nearest, real, found, colors)
    _coverage(cover, found, colors)
    _legend(figure, real, found, chance is not None, colors)
    return figure


def _distances(
    ax: Axes,
    names: Sequence[str],
    found: Sequence[Compared],
    chance: Mapping[str, float] | None,
    colors: dict[str, str],
) -> None:
    """Wasserstein distance of each measurement; the grey bar is what chance makes of halves of the real set."""
    if chance:
        ax.barh([names.index(name) for name in chance], list(chance.values()), color="0.85", height=0.75)
    for number, other in enumerate(found):
        shown = [(sds, i) for i, name in enumerate(names) if (sds := other.distances[name][1]) is not None]
        _dots(ax, shown, number, len(found), colors[other.one.name])
    ax.set_xlim(left=0)
    ax.set_yticks(range(len(names)), [axis_label(name).removesuffix(" volume (mL)") for name in names])
    _rows(ax, len(names))
    dress(ax, x="Wasserstein distance\n(SD of the real set)", letter="a", title="volumes")


def _medians(
    ax: Axes, names: Sequence[str], real: MeasuredSet, found: Sequence[Compared], colors: dict[str, str]
) -> None:
    """Median of each measurement in per cent of the real one."""
    ax.axvline(100, color=INK, lw=0.9, ls=(0, (4, 2)), zorder=1)
    for number, other in enumerate(found):
        pairs = [(np.median(other.one.values[name]), np.median(real.values[name])) for name in names]
        shown = [(float(100 * own / true), i) for i, (own, true) in enumerate(pairs) if true > 0]
        _dots(ax, shown, number, len(found), colors[other.one.name])
    ax.set_yticks(range(len(names)), [""] * len(names))
    _rows(ax, len(names))
    dress(ax, x="median\n(% of the real median)", letter="b", title="medians")


def _dots(ax: Axes, shown: Sequence[tuple[float, int]], number: int, sets: int, color: str) -> None:
    """One dot per row, those of several sets above each other."""
    aside = 0.5 * ((number + 0.5) / sets - 0.5)
    ax.plot([value for value, _ in shown], [row + aside for _, row in shown], MARKERS[number % len(MARKERS)],
            color=color, ms=4, mew=0, alpha=0.9)  # fmt: skip


def _rows(ax: Axes, number: int) -> None:
    ax.set_ylim(number - 0.4, -0.6)
    ax.grid(axis="y", color="0.92", lw=0.6)
    ax.set_axisbelow(True)


def _nearest(ax: Axes, real: MeasuredSet, found: Sequence[Compared], colors: dict[str, str]) -> None:
    """Cumulative share of cases by the distance to the nearest real case of somebody else."""
    near = [(other, other.closeness) for other in found if other.closeness is not None]
    if not near:
        ax.text(0.5, 0.5, "one person in the real set:\nno distances to compare", fontsize=SMALL, color=INK,
                ha="center", va="center", transform=ax.transAxes)  # fmt: skip
    else:
        _steps(ax, near[0][1].real, colors[real.name], "-")
    for number, (other, closeness) in enumerate(near):
        _steps(ax, closeness.generated, colors[other.one.name], ("--", "-.", ":")[number % 3])
    ax.set_xlim(left=0)
    ax.set_ylim(0, 102)
    dress(ax, x="distance (SD)", y="cases (%)", letter="c", title="to the nearest real case")


def _steps(ax: Axes, distances: np.ndarray, color: str, style: str) -> None:
    at = np.concatenate([[0.0], np.sort(distances)])
    ax.step(at, 100 * np.arange(len(at)) / len(distances), where="post", color=color, lw=1.3, ls=style)


def _coverage(ax: Axes, found: Sequence[Compared], colors: dict[str, str]) -> None:
    """Share of real cases that are covered, with what two samples of one distribution would have."""
    for place, other in enumerate(found):
        if other.support is None:
            continue
        ax.bar(place, 100 * other.support.coverage, 0.55, color=colors[other.one.name])
        expected = 100 * other.support.expected_coverage
        ax.plot([place - 0.38, place + 0.38], [expected] * 2, color=INK, lw=1.2, ls=(0, (2, 1)))
        top = max(100 * other.support.coverage, expected) + 3
        ax.text(place, top, f"{other.support.coverage:.0%}", fontsize=SMALL, color=INK, ha="center")
    ax.set_xticks(range(len(found)), [other.one.name for other in found])
    ax.set_xlim(-0.7, len(found) - 0.3)
    ax.set_ylim(0, 116)
    ax.set_yticks(range(0, 101, 25))
    dress(ax, y="real cases covered (%)", letter="d", title="coverage")


def _legend(figure: Figure, real: MeasuredSet, found: Sequence[Compared], chance: bool, colors: dict[str, str]) -> None:
    handles = [Line2D([], [], color=colors[real.name], lw=1.3, label=f"{real.name} (n = {len(real.cases)})")]
    for number, other in enumerate(found):
        words = f"{other.one.name} (n = {len(other.one.cases)})"
        marker, style = MARKERS[number % len(MARKERS)], ("--", "-.", ":")[number % 3]
        handles.append(Line2D([], [], color=colors[other.one.name], marker=marker, ls=style, ms=4, mew=0, label=words))
    if chance:
        handles.append(Line2D([], [], color="0.85", lw=5, label="halves of the real set"))
    handles.append(Line2D([], [], color=INK, lw=1.2, ls=(0, (2, 1)), label="equal sets"))
    figure.legend(handles=handles, loc="outside lower center", ncols=5, fontsize=SMALL, frameon=False, labelcolor=INK,
                  edgecolor=FAINT)  # fmt: skip
