"""How the figures look: white, small type, thin lines, colours that colour-blind readers tell apart."""

import io
from collections.abc import Sequence

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from pathosynth.data.measurements import RATIO, group_of, unit

DPI = 300
WIDTH = 7.0
"""Inches; two columns of a journal page."""

TYPE, SMALL = 8.0, 7.0
"""Points: axis labels and titles; ticks, legends and notes."""

COLORS = ("#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377", "#bbbbbb")
"""Of sets, in the order they are given (Paul Tol's bright scheme)."""

MARKERS = ("o", "s", "^", "D", "v", "P", "X")
"""One per line of a figure besides its colour, for copies in black and white."""

INK, FAINT, SHADE = "0.15", "0.6", "0.94"
OUTLINE = "#e6007e"
"""Of the ventricles, on labels and on images alike."""


def new_figure(height: float, width: float = WIDTH, *, arranged: bool = True) -> Figure:
    """An empty figure of a size in inches; arranged, every part gets the room it needs."""
    figure = Figure(figsize=(width, height), dpi=DPI, facecolor="white", layout="constrained" if arranged else None)
    FigureCanvasAgg(figure)
    return figure


def dress(ax: Axes, *, x: str = "", y: str = "", title: str = "", letter: str = "") -> None:
    """Name the axes of a panel with their units, and take away what carries no information."""
    ax.set_xlabel(x, fontsize=TYPE, color=INK)
    ax.set_ylabel(y, fontsize=TYPE, color=INK)
    heading = f"$\\bf{{{letter}}}$  {title}" if letter else title
    ax.set_title(heading, fontsize=TYPE, color=INK, loc="left")
    ax.tick_params(labelsize=SMALL, color=FAINT, labelcolor=INK, length=3, width=0.6)
    ax.spines[["top", "right"]].set_visible(False)
    ax.spines[["left", "bottom"]].set(color=FAINT, linewidth=0.6)


def ordered_colors(number: int) -> list[str]:
    """Colours for an ordered quantity, dark to light, each of another lightness."""
    palette = matplotlib.colormaps["viridis"]
    return [matplotlib.colors.to_hex(palette(place)) for place in np.linspace(0.0, 0.88, max(number, 1))]


def set_colors(names: Sequence[str]) -> dict[str, str]:
    """A colour for each set."""
    return {name: COLORS[i % len(COLORS)] for i, name in enumerate(names)}


def axis_label(name: str) -> str:
    """A measurement with its unit as an axis says it: ``ventricle volume (mL)``."""
    if name == RATIO:
        return "ventricles / intracranial volume"
    if name.startswith("age_"):
        return f"age ({unit(name)})"
    group = "ventricle" if name == "ventricle_ml" else group_of(name).replace("_", " ")
    return f"{group} volume ({unit(name)})"


def signed(value: float, digits: int) -> str:
    """A number with its sign, the minus as long as a plus."""
    return f"{value:+.{digits}f}".replace("-", "\N{MINUS SIGN}")


def png(figure: Figure) -> bytes:
    """The picture; no time stamp or version in it, so the same figure gives the same bytes."""
    data = io.BytesIO()
    figure.savefig(data, format="png", metadata={"Software": None})
    return data.getvalue()
