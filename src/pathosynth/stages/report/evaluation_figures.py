"""Pictures of an evaluation: scores by structure, volumes against the truth, and the spread of trainings."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.stats import gaussian_kde

from pathosynth.drawing.style import FAINT, INK, MARKERS, SHADE, SMALL, TYPE, dress, new_figure, signed
from pathosynth.stages.report.describe import constant
from pathosynth.stages.report.evaluated import Evaluated

PANELS = 4
"""Structures side by side."""

HALF = 0.36
FEWEST = 5
"""Below so many subjects a density says nothing."""

_LINES = (("bias", "-", 0, "bottom"), ("limit_low", "--", 1, "top"), ("limit_high", "--", 1, "bottom"))
"""Of Bland and Altman: key, line, and where its number stands, so that none covers another."""

TITLES = {"dice": "Dice", "hd95_mm": "HD95 (mm)", "surface_dice": "surface Dice", "assd_mm": "ASSD (mm)"}


def words(structure: str) -> str:
    """A structure's name as people write it."""
    return structure.replace("_", " ")


def violins(found: Evaluated, metric: str) -> Figure:
    """A metric of every structure and arm: each subject a point, the same subject joined by a line.

    Missed structures, whose distance is infinite, lie on a shaded strip above all finite values.
    """
    figure, panels = _panels(found, height=2.1)
    for ax, structure in zip(panels, found.structures, strict=True):
        values = {arm: found.values(arm, structure, metric) for arm in found.arms}
        everything = np.array([value for one in values.values() for value in one.values()])
        finite = everything[np.isfinite(everything)]
        top = float(finite.max(initial=0.0)) * 1.12 or 1.0
        shown = {arm: {name: min(value, top) for name, value in one.items()} for arm, one in values.items()}
        _lines(ax, found.arms, shown)
        for place, arm in enumerate(found.arms):
            _violin(ax, place, np.array(list(shown[arm].values())), found.colors[arm], ceiling=top)
        if np.isinf(everything).any():
            ax.axhspan(top * 0.97, top * 1.03, color=SHADE, zorder=0)
            ax.text(len(found.arms) - 0.45, top, "missed", fontsize=SMALL - 1, color=INK, va="center", ha="right")
        highest = 1.0 if metric in ("dice", "surface_dice") else top
        ax.set_ylim(-0.03 * highest, 1.05 * highest)
        _name_arms(ax, found)
        dress(ax, y=TITLES[metric] if ax in panels[::PANELS] else "", title=words(structure))
    _legend(figure, found)
    return figure


def volumes(found: Evaluated) -> Figure:
    """Predicted against true volume of the primary structure, with the line on which both are equal."""
    figure = new_figure(3.6, width=5.6)
    ax = figure.subplots()
    highest = 0.0
    for place, arm in enumerate(found.arms):
        pairs = np.array([(true, got) for true, got in _volumes(found, arm)]).reshape(-1, 2)
        ax.plot(*pairs.T, MARKERS[place % len(MARKERS)], color=found.colors[arm], ms=4, alpha=0.8, mew=0,
                label=_short(arm, 40), clip_on=False)  # fmt: skip
        highest = max(highest, float(pairs.max(initial=0.0)))
    ax.plot([0, highest * 1.05], [0, highest * 1.05], color=FAINT, lw=0.8, zorder=0, label="equal")
    ax.set_xlim(0, highest * 1.05)
    ax.set_ylim(0, highest * 1.05)
    ax.set_aspect("equal")
    name = words(found.primary)
    dress(ax, x=f"true volume of {name} (mL)", y="predicted volume (mL)")
    ax.legend(fontsize=SMALL, frameon=False, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return figure


def bland_altman(found: Evaluated) -> Figure:
    """Volume error against the mean of both volumes for every arm, with bias and limits of agreement."""
    across = min(3, len(found.arms))
    down = -(-len(found.arms) // across)
    figure = new_figure(2.3 * down, width=max(3.4, 2.4 * across))
    grid = figure.subplots(down, across, squeeze=False, sharex=True, sharey=True).ravel()
    for place, (ax, arm) in enumerate(zip(grid, found.arms, strict=False)):
        pairs = np.array(_volumes(found, arm)).reshape(-1, 2)
        ax.axhline(0, color=FAINT, lw=0.6)
        ax.plot(pairs.mean(axis=1), pairs[:, 1] - pairs[:, 0], MARKERS[place % len(MARKERS)],
                color=found.colors[arm], ms=3.6, alpha=0.8, mew=0)  # fmt: skip
        agreed = found.agreed(arm, found.primary)
        for key, style, across_at, side in _LINES:
            if agreed[key] is not None:
                ax.axhline(agreed[key], color=INK, lw=0.9, ls=style)
                ax.annotate(signed(agreed[key], 1), (across_at, agreed[key]), xycoords=("axes fraction", "data"),
                            fontsize=SMALL - 1, color=INK, ha="right" if across_at else "left", va=side)  # fmt: skip
        first, last = place % across == 0, place >= len(found.arms) - across
        ax.margins(y=0.12)
        dress(ax, x="mean of both volumes (mL)" if last else "", y="error (mL)" if first else "", title=_short(arm, 30))
    for ax in grid[len(found.arms) :]:
        ax.set_visible(False)
    return figure


def trainings(found: Evaluated) -> Figure:
    """Mean Dice of every single training of every arm, one panel per structure."""
    figure, panels = _panels(found, height=1.9)
    for ax, structure in zip(panels, found.structures, strict=True):
        for place, arm in enumerate(found.arms):
            means = run_means(found, arm, structure, "dice")
            ax.plot([place] * len(means), means, "_", color=found.colors[arm], ms=12, mew=1.6)
            if means:
                ax.plot([place] * 2, [min(means), max(means)], color=found.colors[arm], lw=1.0, alpha=0.6)
        low, high = ax.get_ylim()
        ax.set_ylim(max(-0.02, low - 0.02), min(1.02, high + 0.02))
        _name_arms(ax, found)
        dress(ax, y="mean Dice" if ax in panels[::PANELS] else "", title=words(structure))
    _legend(figure, found)
    return figure


def run_means(found: Evaluated, arm: str, structure: str, metric: str) -> list[float]:
    """Mean over cases of every training of an arm."""
    rows = found.counted(arm, structure)
    runs = sorted({row["run"] for row in rows})
    return [float(np.mean([row[metric] for row in rows if row["run"] == run])) for run in runs]


def _volumes(found: Evaluated, arm: str) -> list[tuple[float, float]]:
    """True and predicted volume of every prediction."""
    return [(row["volume_reference_ml"], row["volume_predicted_ml"]) for row in found.counted(arm, found.primary)]


def _panels(found: Evaluated, height: float) -> tuple[Figure, list[Axes]]:
    """One panel per structure, and room for the legend."""
    across = min(PANELS, len(found.structures))
    down = -(-len(found.structures) // across)
    width = max(3.4, across * max(1.9, 0.5 + 0.28 * len(found.arms)))
    figure = new_figure(height * down + 0.3 * -(-len(found.arms) // 4), width=width)
    grid = figure.subplots(down, across, squeeze=False).ravel()
    for ax in grid[len(found.structures) :]:
        ax.set_visible(False)
    return figure, list(grid[: len(found.structures)])


def _name_arms(ax: Axes, found: Evaluated) -> None:
    ax.set_xlim(-0.6, len(found.arms) - 0.4)
    ax.set_xticks([])


def _legend(figure: Figure, found: Evaluated) -> None:
    handles = [
        figure.axes[0].plot([], [], "s", color=found.colors[arm], ms=5, label=_short(arm, 40))[0] for arm in found.arms
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=4, fontsize=TYPE - 1, frameon=False)


def _short(text: str, most: int) -> str:
    plain = text.replace("$", r"\$")  # matplotlib would read mathematics
    return plain if len(plain) <= most else plain[: most - 1] + "…"


def _lines(ax: Axes, arms: Sequence[str], shown: Mapping[str, Mapping[str, float]]) -> None:
    subjects = {name for one in shown.values() for name in one}
    for subject in sorted(subjects):
        points = [(place, shown[arm][subject]) for place, arm in enumerate(arms) if subject in shown[arm]]
        ax.plot(*zip(*points, strict=True), color=FAINT, lw=0.5, alpha=0.6, zorder=1)


def _violin(ax: Axes, place: int, values: np.ndarray, color: str, ceiling: float) -> None:
    """Density of the finite values, every subject as a point, the quartiles as a bar and the median."""
    below = values[values < ceiling]
    if len(below) >= FEWEST and not constant(below):
        at = np.linspace(below.min(), below.max(), 100)
        density = gaussian_kde(below)(at)
        half = HALF * density / density.max()
        ax.fill_betweenx(at, place - half, place + half, color=color, alpha=0.25, lw=0, zorder=2)
    ax.plot(np.full(len(values), place), values, "o", color=color, ms=3.2, alpha=0.85, mew=0, zorder=3)
    if len(values):
        low, median, high = np.quantile(values, [0.25, 0.5, 0.75])
        ax.plot([place, place], [low, high], color=INK, lw=1.4, solid_capstyle="butt", zorder=4)
        ax.plot([place - 0.2, place + 0.2], [median, median], color=INK, lw=1.2, zorder=4)
