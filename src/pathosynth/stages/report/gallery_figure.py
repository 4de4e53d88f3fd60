"""The picture of a gallery: one row per case, labels and where there is one the image, all on one scale."""

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.figure import Figure

from pathosynth.drawing.style import FAINT, INK, SMALL, TYPE, WIDTH, new_figure
from pathosynth.stages.report.planes import PLANES, Head, cuts, draw_planes, extent_mm, legend_patches, scale_bar

WORDS, GAP, TOP, FOOT = 0.85, 0.06, 0.36, 0.16
"""Inches for the words beside a row, between planes and rows, above the rows, and for each line of the legend."""

TALLEST, PAGE = 1.6, 8.6
"""Inches of a row, and of all rows together, at most."""


@dataclass(frozen=True)
class Shown:
    """One row.

    Attributes:
        words: lines beside it.
        head: what is drawn.
        contrast: name of its image; empty without one.
    """

    words: tuple[str, ...]
    head: Head
    contrast: str = ""


def draw(rows: Sequence[Shown]) -> Figure:
    """Three planes of the labels of every case, and three of its image where any case has one."""
    box = extent_mm([row.head for row in rows])
    blocks = 2 if any(row.contrast for row in rows) else 1
    widths = [box[across] for across, _ in PLANES.values()] * blocks
    tallest = max(box[up] for _, up in PLANES.values())
    scale = min((WIDTH - WORDS - GAP * len(widths)) / sum(widths), min(TALLEST, PAGE / len(rows) - GAP) / tallest)
    patches = legend_patches([row.head for row in rows])
    wide = WORDS + sum(widths) * scale + GAP * len(widths)
    foot = FOOT * (1 + -(-len(patches) // _columns(wide))) if patches else FOOT
    pitch = tallest * scale + GAP
    tall = TOP + pitch * len(rows) + foot
    figure = new_figure(tall, width=wide, arranged=False)
    places = cuts([row.head for row in rows])
    for number, (row, place) in enumerate(zip(rows, places, strict=True)):
        bottom = tall - TOP - pitch * (number + 1) + GAP
        axes = []
        for column, width in enumerate(widths):
            up = list(PLANES.values())[column % 3][1]
            x = WORDS + sum(widths[:column]) * scale + GAP * column
            y = bottom + (tallest - box[up]) * scale / 2
            axes.append(figure.add_axes((x / wide, y / tall, width * scale / wide, box[up] * scale / tall)))
            axes[-1].set_axis_off()
        draw_planes(axes[:3], row.head, place, box, image=False)
        if row.contrast:
            draw_planes(axes[3:], row.head, place, box, image=True)
        middle = (bottom + tallest * scale / 2) / tall
        figure.text(0.06 / wide, middle, "\n".join(row.words), fontsize=SMALL, color=INK, va="center")
        if number == 0:
            scale_bar(axes[0], row.head.labels, box)
    _headings(figure, widths, scale, rows)
    if patches:
        figure.legend(handles=patches, loc="lower left", ncols=_columns(wide), fontsize=SMALL - 1, frameon=False,
                      handlelength=0.9, columnspacing=1.0, labelspacing=0.25, bbox_to_anchor=(0, 0))  # fmt: skip
    return figure


def _columns(wide: float) -> int:
    """Names that stand side by side in the legend."""
    return max(2, int(wide / 1.15))


def _headings(figure: Figure, widths: Sequence[float], scale: float, rows: Sequence[Shown]) -> None:
    wide, tall = figure.get_size_inches()
    contrasts = [row.contrast for row in rows if row.contrast]
    for column in range(len(widths)):
        name = list(PLANES)[column % 3]
        what = ("labels" if column < 3 else contrasts[0]) if contrasts and column % 3 == 0 else ""
        x = WORDS + sum(widths[:column]) * scale + GAP * column
        middle = x + widths[column] * scale / 2
        figure.text(middle / wide, 1 - (TOP - 0.04) / tall, name, fontsize=SMALL, color=INK, ha="center", va="bottom")
        if what:
            figure.text(x / wide, 1 - 0.03 / tall, what, fontsize=TYPE, color=INK, va="top", weight="bold")
        if name != "sagittal":
            for place, side in ((x, "R"), (x + widths[column] * scale, "L")):
                figure.text(place / wide, 1 - (TOP - 0.04) / tall, side, fontsize=SMALL - 1, color=FAINT,
                            ha="left" if side == "R" else "right", va="bottom")  # fmt: skip
