"""Pictures of an analysis: what was answered, how well readers agree, and who can tell real from synthetic."""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pathosynth.drawing.style import COLORS, FAINT, INK, SHADE, SMALL, TYPE, dress, new_figure, ordered_colors
from pathosynth.reader.analysis.agreement import NAMES
from pathosynth.reader.analysis.estimate import Estimate
from pathosynth.reader.analysis.words import NAMES as WORDS

Content = Mapping[str, Any]

ALL = "all"
ACROSS = 3
"""Arms side by side."""

LONGEST = 30
"""Letters of a name that fit."""


def figures(name: str, one: Content) -> dict[str, tuple[str, Figure]]:
    """Pictures of a question: what each shows to its caption and itself."""
    found: dict[str, tuple[str, Figure]] = {}
    arms = list(one.get("distribution", {}).values())
    counts = arms[0]["counts"] if arms else None
    if counts and one["kind"] != "ticks":
        caption = f"Answers to {name}, by arm and reader; in a bar the number of cases: what means and medians hide."
        found["answers"] = caption, answers(one)
    if any(one["agreement"][key].low is not None for key in NAMES):
        caption = "Agreement between readers with 95 % intervals; what is not defined is left out."
        found["agreement"] = caption, agreements(one["agreement"])
    if "pooled" in one.get("detection", {}):
        caption = (
            "Telling the two kinds of case apart, with 95 % intervals: every reader over cases, at the foot readers "
            "and cases like these. The line is chance."
        )
        found["detection"] = caption, detection(one["detection"])
    return found


def answers(one: Content) -> Figure:
    """One panel for each arm, one bar for each reader, divided by answer."""
    arms = list(one["distribution"])
    across = min(ACROSS, len(arms))
    down = -(-len(arms) // across)
    bars = len(one["readers"]) + 1
    figure = new_figure(down * (0.55 + 0.24 * bars) + 0.45, width=1.2 + 2.6 * across)
    grid = figure.subplots(down, across, squeeze=False, sharey=True).ravel()
    values = list(one["distribution"][arms[0]]["counts"])
    colors = ordered_colors(len(values)) if one["kind"] != "nominal" else [COLORS[i % 7] for i in range(len(values))]
    for place, (ax, arm) in enumerate(zip(grid, arms, strict=False)):
        found = one["distribution"][arm]
        _bars(ax, {ALL: found["counts"], **found["readers"]}, values, colors)
        dress(ax, x="share of cases (%)" if place >= len(arms) - across else "", title=_short(arm or ALL))
    for ax in grid[len(arms) :]:
        ax.set_visible(False)
    handles = [
        grid[0].barh([0], [0], color=color, label=_short(value)) for value, color in zip(values, colors, strict=True)
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=min(len(values), 6), fontsize=SMALL, frameon=False)
    return figure


def _bars(ax: Axes, counts: Mapping[str, Mapping[str, int]], values: Sequence[str], colors: Sequence[str]) -> None:
    for row, (_, own) in enumerate(counts.items()):
        total, left = sum(own.values()), 0.0
        for value, color in zip(values, colors, strict=True):
            if not own[value]:
                continue
            width = 100 * own[value] / total
            ax.barh([row], [width], left=left, height=0.78, color=color, edgecolor="white", linewidth=0.5)
            if width > 7:
                ax.text(left + width / 2, row, str(own[value]), fontsize=SMALL - 1, ha="center", va="center",
                        color=_ink_on(color))  # fmt: skip
            left += width
    ax.set_yticks(range(len(counts)), [_short(name) for name in counts])
    ax.set_ylim(len(counts) - 0.4, -0.6)
    ax.set_xlim(0, 100)
    ax.axhline(0.5, color=FAINT, lw=0.6)


def _ink_on(color: str) -> str:
    """Black or white, whichever is read better on a colour."""
    red, green, blue = (int(color[i : i + 2], 16) / 255 for i in (1, 3, 5))
    return "black" if 0.299 * red + 0.587 * green + 0.114 * blue > 0.55 else "white"


def agreements(found: Mapping[str, Estimate]) -> Figure:
    """Every measure of agreement with its interval, from -1 to 1."""
    shown = {key: found[key] for key in (*NAMES, "percent_agreement") if found[key].value is not None}
    figure = new_figure(0.5 + 0.21 * len(shown), width=5.6)
    ax = figure.subplots()
    lowest = min([0.0, *(one.low for one in shown.values() if one.low is not None)])
    _forest(ax, {WORDS[key]: one for key, one in shown.items()}, COLORS[0])
    ax.axvline(0, color=FAINT, lw=0.8)
    ax.set_xlim(max(-1.02, lowest - 0.05), 1.02)
    dress(ax, x="agreement")
    return figure


def detection(found: Content) -> Figure:
    """Accuracy and AUC of every reader, and pooled; grades without a limit have no accuracy."""
    readers = found["readers"]
    defined = [key for key in ("accuracy", "auc") if any(own[key].value is not None for own in readers.values())]
    keys = defined or ["auc"]
    figure = new_figure(0.75 + 0.24 * (len(readers) + 1), width=0.8 + 2.8 * len(keys))
    for ax, key in zip(figure.subplots(1, len(keys), sharey=True, squeeze=False)[0], keys, strict=True):
        rows = {name: own[key] for name, own in readers.items()}
        _forest(ax, {**rows, ALL: found["pooled"][key]}, COLORS[0])
        ax.axvline(0.5, color=FAINT, lw=0.8)
        ax.axhspan(len(rows) - 0.5, len(rows) + 0.5, color=SHADE, zorder=0)
        ax.set_xlim(-0.02, 1.02)
        dress(ax, x=WORDS[key])
    return figure


def _forest(ax: Axes, rows: Mapping[str, Estimate], color: str) -> None:
    """A point and a line for each row, the first on top."""
    for place, one in enumerate(rows.values()):
        if one.value is None:
            ax.text(0.5, place, "not defined", fontsize=SMALL - 1, color=FAINT, ha="center", va="center")
            continue
        if one.low is not None and one.high is not None:
            ax.plot([max(one.low, -1.2), one.high], [place, place], color=color, lw=1.4, solid_capstyle="butt")
        ax.plot([one.value], [place], "o", color=color, ms=4.2, mew=0)
    ax.set_yticks(range(len(rows)), [_short(name) for name in rows], fontsize=TYPE - 1, color=INK)
    ax.set_ylim(len(rows) - 0.4, -0.6)


def _short(text: str) -> str:
    plain = text.replace("$", r"\$")  # matplotlib would read mathematics
    return plain if len(plain) <= LONGEST else plain[: LONGEST - 1] + "…"
