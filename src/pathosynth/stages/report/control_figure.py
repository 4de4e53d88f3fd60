"""The picture of the control curves: ratio, volume, checks passed and loose tissue against the requested c."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from pathosynth.data.measurements import RATIO
from pathosynth.drawing.style import (
    INK,
    MARKERS,
    SHADE,
    SMALL,
    axis_label,
    dress,
    new_figure,
    ordered_colors,
)

Numbers = Mapping[str, Any]
REFERENCE = (":", "--", "-.")
"""Line styles of sets of real maps."""

LINEAR_MM3 = 100.0
"""Volume of loose tissue up to which its axis is linear; above it is logarithmic."""


DODGE = 0.012
"""Units of c between lines that would hide each other."""


def draw(found: Numbers) -> Figure:
    """Four panels over the requested c, one line per strength of guidance.

    Args:
        found: what `control_numbers.summary` returns.
    """
    figure = new_figure(5.2)
    panels = figure.subplots(2, 2, sharex=True)
    (ratio, volume), (passed, stray) = panels
    low, high = found["trained_ratio"]
    colors = ordered_colors(len(found["guidance"]))
    for number, (strength, color) in enumerate(zip(found["guidance"], colors, strict=True)):
        look = {"color": color, "marker": MARKERS[number % len(MARKERS)]}
        _band(ratio, strength["points"], RATIO, look)
        _band(volume, strength["points"], "ventricle_ml", look)
        aside = DODGE * (number - (len(colors) - 1) / 2)
        _line(passed, strength["points"], lambda point: 100 * point["passed"], look, aside)
        _line(stray, strength["points"], lambda point: (point["stray_mm3"] or {}).get("median", np.nan), look, aside)
    requested = np.array(sorted({point["c"] for strength in found["guidance"] for point in strength["points"]}))
    ratio.plot(requested, low + requested * (high - low), color=INK, lw=0.9, ls=(0, (4, 2)), zorder=1)
    stray.axhline(found["stray_limit_mm3"], color=INK, lw=0.7, ls=(0, (1, 2)))
    stray.text(1, found["stray_limit_mm3"], "limit of the check ", fontsize=SMALL, color=INK, ha="right", va="bottom",
               transform=stray.get_yaxis_transform())  # fmt: skip
    _references(passed, stray, found["references"])
    for ax in panels.ravel():
        ax.axvspan(0, 1, color=SHADE, lw=0, zorder=0)
        ax.margins(x=0.03)
    passed.set_ylim(-4, 104)
    stray.set_yscale("symlog", linthresh=LINEAR_MM3, linscale=0.7)
    stray.set_ylim(bottom=0)
    dress(ratio, y=axis_label(RATIO), letter="a", title="relative ventricle volume")
    dress(volume, y=axis_label("ventricle_ml"), letter="b", title="ventricle volume")
    dress(passed, x="requested c", y="maps that pass the checks (%)", letter="c", title="plausible maps")
    dress(stray, x="requested c", y="median per map (mm³)", letter="d", title="islands, holes and loose parts")
    _legend(figure, found, colors)
    return figure


def _band(ax: Axes, points: list[Numbers], name: str, look: Mapping[str, Any]) -> None:
    """Mean and one standard deviation on both sides, where there are two maps."""
    c, mean = np.array([(point["c"], point[name]["mean"]) for point in points]).T
    sd = np.array([point[name]["sd"] or 0.0 for point in points])
    ax.fill_between(c, mean - sd, mean + sd, color=look["color"], alpha=0.15, lw=0)
    ax.plot(c, mean, ms=3, lw=1.1, mew=0, **look)


def _line(
    ax: Axes, points: list[Numbers], value: Callable[[Numbers], float], look: Mapping[str, Any], aside: float
) -> None:
    """One value per point, moved aside by so many units of c so that equal values of several lines stay visible."""
    c = [point["c"] + aside for point in points]
    ax.plot(c, [value(point) for point in points], ms=3, lw=0.9, mew=0, alpha=0.9, **look)


def _references(passed: Axes, stray: Axes, references: Mapping[str, Numbers]) -> None:
    for (name, values), style in zip(references.items(), REFERENCE, strict=False):
        words = f"{name} (n = {values['n']})"
        passed.axhline(100 * values["passed"], color=INK, lw=1.0, ls=style, label=words)
        if values["stray_mm3"]:
            stray.axhline(values["stray_mm3"]["median"], color=INK, lw=1.0, ls=style)
    if references:
        passed.legend(fontsize=SMALL, frameon=False, loc="best")


def _legend(figure: Figure, found: Numbers, colors: list[str]) -> None:
    """Below the panels: G with its rank correlation, the band, the trained range."""
    handles: list[Any] = []
    for number, (strength, color) in enumerate(zip(found["guidance"], colors, strict=True)):
        rho = strength["spearman"]["all"][RATIO]
        words = f"G = {strength['G']:g}" + (f" (ρ = {rho:.3f})" if rho is not None else "")
        handles.append(Line2D([], [], color=color, marker=MARKERS[number % len(MARKERS)], ms=3, lw=1.1, label=words))
    handles.append(Line2D([], [], color=INK, lw=0.9, ls=(0, (4, 2)), label="requested"))
    legend = figure.legend(
        handles=handles,
        loc="outside lower center",
        ncols=min(len(handles), 6 if len(handles) < 5 else 3),
        fontsize=SMALL,
        frameon=False,
    )
    maps = [point["n"] for strength in found["guidance"] for point in strength["points"]]
    count = f"{min(maps)}" if min(maps) == max(maps) else f"{min(maps)} to {max(maps)}"
    legend.set_title(f"mean ± SD of {count} maps per point; grey: trained range; ρ: rank correlation of c and ratio")
    legend.get_title().set(fontsize=SMALL, color=INK)
