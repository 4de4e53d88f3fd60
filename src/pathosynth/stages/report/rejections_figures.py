"""Pictures of a judgement: how many cases each check turned down, how near the limits they lie, how they look."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from pathosynth.data.labels import load_scheme
from pathosynth.drawing.style import COLORS, FAINT, INK, SMALL, TYPE, dress, new_figure
from pathosynth.runs.errors import PathosynthError
from pathosynth.stages import inputs
from pathosynth.stages.report.judged import Judged, JudgedCase
from pathosynth.stages.report.planes import PLANES, Head, cut, draw_planes, extent_mm, legend_patches

KEPT, REJECTED = COLORS[0], COLORS[1]
HIGHEST = 4.0
"""Strain at which the axis ends; larger ones, and what could not be measured, lie on the edge."""


def shares(found: Judged) -> Figure:
    """Share of all cases that each check turned down; a case may be turned down by several."""
    names = found.checks
    counts = [sum(name in one.failed for one in found.cases) for name in names]
    figure = new_figure(0.28 * len(names) + 0.7, width=4.6)
    ax = figure.subplots()
    places = np.arange(len(names))
    ax.barh(places, [100 * count / len(found.cases) for count in counts], color=REJECTED, height=0.6)
    for place, count in zip(places, counts, strict=True):
        ax.annotate(f" {count}", (100 * count / len(found.cases), place), fontsize=SMALL, color=INK, va="center")
    ax.set_yticks(places, [name.replace("_", " ") for name in names])
    ax.set_ylim(len(names) - 0.5, -0.5)
    ax.set_xlim(0, max(5.0, 115 * max(counts) / len(found.cases)))
    dress(ax, x=f"rejected (% of {len(found.cases)} cases)")
    return figure


def strains(found: Judged) -> Figure:
    """Where every case lies between the best (0) and the limit (1) of every check."""
    names = found.checks
    figure = new_figure(0.34 * len(names) + 0.7, width=6.2)
    ax = figure.subplots()
    rng = np.random.default_rng(0)
    for place, name in enumerate(names):
        for one in found.cases:
            for row in one.findings:
                if row["check"] == name and row["judged"]:
                    value = HIGHEST if row["strain"] is None and not row["passed"] else row["strain"]
                    if value is not None:
                        color = KEPT if row["passed"] else REJECTED
                        y = place + rng.uniform(-0.22, 0.22)
                        ax.plot(min(value, HIGHEST), y, "o", ms=3, mew=0, color=color, alpha=0.7, clip_on=False)
    ax.axvline(1.0, color=INK, lw=0.9, ls="--")
    ax.set_yticks(range(len(names)), [name.replace("_", " ") for name in names])
    ax.set_ylim(len(names) - 0.5, -0.5)
    ax.set_xlim(0, HIGHEST)
    dress(ax, x="share of the limit used up (1 is the limit, 4 stands for all beyond)")
    ax.grid(axis="y", color=FAINT, lw=0.3, alpha=0.4)
    return figure


def montage(cases: Sequence[JudgedCase], *, images: bool) -> Figure | None:
    """Three planes of labels and image of some cases; None where no file can be read.

    Args:
        cases: one row each.
        images: show images of real cases too; those of synthetic ones always are.
    """
    rows = [(one, head) for one in cases if (head := _head(one, images)) is not None]
    if not rows:
        return None
    heads = [head for _, head in rows]
    box = extent_mm(heads)
    widths = [box[across] for across, _ in PLANES.values()]
    tallest = max(box[up] for _, up in PLANES.values())
    unit = 5.9 / (2 * sum(widths))
    figure = new_figure(len(rows) * tallest * unit + 0.6, width=7.4)
    grid = figure.subplots(len(rows), 7, squeeze=False, width_ratios=[1.35 / unit, *widths, *widths])
    for axes, (one, head) in zip(grid, rows, strict=True):
        axes[0].set_axis_off()
        axes[0].text(0, 0.5, _told(one), fontsize=SMALL - 1, color=INK, va="center", transform=axes[0].transAxes)
        draw_planes(list(axes[1:4]), head, cut([head]), box, image=False)
        if head.image is not None:
            draw_planes(list(axes[4:7]), head, cut([head]), box, image=True)
        else:
            for ax in axes[4:7]:
                ax.set_axis_off()
    for at, name in ((2, "labels"), (5, "image")):
        grid[0][at].set_title(name, fontsize=TYPE, color=INK)
    patches = legend_patches(heads)
    if patches:
        figure.legend(handles=patches, loc="outside lower center", ncols=5, fontsize=SMALL - 1, frameon=False)
    return figure


def _told(one: JudgedCase) -> str:
    score = "" if one.score is None else f"score {one.score:.2f}"
    return "\n".join([one.name[:26], score, *[f"fails {name.replace('_', ' ')}" for name in one.failed[:4]]])


def _head(one: JudgedCase, images: bool) -> Head | None:
    case = one.case
    if case is None:
        return None
    shown = images or case.origin != "real"
    contrast = next(iter(case.images), "") if shown else ""
    try:
        scheme = load_scheme(case.scheme)
        brain = inputs.read_brain(case, scheme, contrast)
    except (PathosynthError, OSError):
        return None
    if not (brain.labels.array > 0).any():
        return None
    usable = brain.image is not None and bool(np.isfinite(brain.image.array).all())
    return Head(brain.labels, scheme, brain.image if usable else None)
