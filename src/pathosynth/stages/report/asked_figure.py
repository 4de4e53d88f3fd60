"""The picture of asked against got: identity on the left, errors with their bands on the right."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from pathosynth.drawing.style import (
    INK,
    MARKERS,
    SMALL,
    axis_label,
    dress,
    new_figure,
    set_colors,
    signed,
)
from pathosynth.stages.wishes import SCALED

Rows = Sequence[Mapping[str, Any]]


def draw(rows: Rows, found: Mapping[str, Any]) -> Figure:
    """Two panels for each condition.

    Args:
        rows: one for each case and condition.
        found: what `asked.summary` returns.
    """
    conditions = found["conditions"]
    sets = list(found["left_out"])
    colors = set_colors(sets)
    figure = new_figure(0.45 + 2.75 * len(conditions))
    grid = figure.subplots(len(conditions), 2, squeeze=False)
    letters = iter("abcdefghijklmnopqrstuvwxyz")
    for (name, condition), (left, right) in zip(conditions.items(), grid, strict=True):
        own = [row for row in rows if row["name"] == name]
        _identity(left, own)
        right.axhline(0, color=INK, lw=0.9, ls=(0, (4, 2)), zorder=1)
        for number, one in enumerate(sets):
            look = {"color": colors[one], "marker": MARKERS[number % len(MARKERS)]}
            _points(left, [row for row in own if row["set"] == one], "got", look)
            _points(right, [row for row in own if row["set"] == one], "error", look)
            _bands(right, condition["sets"].get(one, {"bins": []})["bins"], colors[one])
        label = "c" if name == SCALED else axis_label(name)
        unit = "" if condition["unit"] == "ratio" else f" ({condition['unit']})"
        dress(left, x=f"asked: {label}", y=f"got{unit}", letter=next(letters, ""), title=_counted(own))
        dress(right, x=f"asked: {label}", y=f"got − asked{unit}", letter=next(letters, ""), title=_missed(condition))
    _legend(figure, rows, colors)
    return figure


def _identity(ax: Axes, rows: Rows) -> None:
    """The line on which got is asked, over all that is shown."""
    values = [row[end] for row in rows for end in ("asked", "got")]
    pad = 0.04 * (max(values) - min(values) or abs(max(values)) or 1.0)
    ends = (min(values) - pad, max(values) + pad)
    ax.plot(ends, ends, color=INK, lw=0.9, ls=(0, (4, 2)), zorder=1)
    ax.set_xlim(ends)
    ax.set_ylim(ends)
    ax.set_aspect("equal", "box")


def _points(ax: Axes, rows: Rows, value: str, look: Mapping[str, Any]) -> None:
    """Inside the trained range filled, beyond it open."""
    for beyond in (False, True):
        own = [row for row in rows if row["beyond"] is beyond]
        fill = {"mfc": "white", "mew": 0.8} if beyond else {"mew": 0}
        ax.plot([row["asked"] for row in own], [row[value] for row in own], ls="", ms=3.2, alpha=0.8, **fill, **look)


def _bands(ax: Axes, bins: Sequence[Mapping[str, Any]], color: str) -> None:
    """Mean error of each bin, and where 95 % of its errors lie if they are normal."""
    for one in bins:
        if not one["n"]:
            continue
        ends = np.array([one["from"], one["to"]])
        if one["limits"] is not None:
            ax.fill_between(ends, *one["limits"], color=color, alpha=0.18, lw=0, zorder=0)
        ax.plot(ends, [one["bias"]] * 2, color=color, lw=1.4, solid_capstyle="butt", zorder=3)


def _counted(rows: Rows) -> str:
    beyond = sum(row["beyond"] for row in rows)
    return f"n = {len(rows)}" + (f", {beyond} beyond the trained range" if beyond else "")


def _missed(condition: Mapping[str, Any]) -> str:
    """Bias and SD inside the range, in words, of each set."""
    words = []
    for name, found in condition["sets"].items():
        error = found["inside"] if found["inside"]["n"] else found["all"]
        if error["ml"] is not None and error["ml"]["n"]:
            error, unit = error["ml"], "mL"
        else:
            unit = {"ratio": ""}.get(condition["unit"], condition["unit"])
        spread = "" if error["sd"] is None else f" ± {error['sd']:.2g}"
        digits = 2 if unit else 4
        words.append(f"{name} {signed(error['bias'], digits)}{spread} {unit}".strip())
    return "error " + "; ".join(words)


def _legend(figure: Figure, rows: Rows, colors: Mapping[str, str]) -> None:
    handles = []
    for number, (name, color) in enumerate(colors.items()):
        marker = MARKERS[number % len(MARKERS)]
        handles.append(Line2D([], [], ls="", marker=marker, color=color, ms=3.5, mew=0, label=name))
    if any(row["beyond"] for row in rows):
        handles.append(
            Line2D([], [], ls="", marker="o", color=INK, mfc="white", mew=0.8, ms=3.5, label="beyond trained range")
        )
    handles.append(Line2D([], [], color=INK, lw=0.9, ls=(0, (4, 2)), label="got = asked"))
    legend = figure.legend(handles=handles, loc="outside lower center", ncols=6, fontsize=SMALL, frameon=False)
    legend.set_title("bars: mean error of a bin; bands: mean ± 1.96 SD; headings: mean ± SD inside the trained range")
    legend.get_title().set(fontsize=SMALL, color=INK)
