"""Pictures of an audit: likeness of generated and of real cases, losses, and the cases most like a training case."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from pathosynth.data.copy_reference import CopyReference
from pathosynth.drawing.style import COLORS, INK, SMALL, TYPE, dress, new_figure
from pathosynth.runs.errors import PathosynthError
from pathosynth.stages.audit.looking import volume_of
from pathosynth.stages.audit.numbers import PARTS, Row
from pathosynth.stages.report.planes import PLANES, Head, cut, draw_planes, extent_mm

MOST_PAIRS = 6
_KINDS = {"labels": "folds-labels-v1", "image": "folds-image-v1"}


def distances(rows: Sequence[Row], known: CopyReference) -> Figure | None:
    """Likeness of generated cases to the nearest training case against that of real people; None without any."""
    parts = [part for part in PARTS if any(row["part"] == part for row in rows)]
    if not parts:
        return None
    figure = new_figure(2.2, width=2.4 * max(len(parts), 2))
    panels = figure.subplots(1, len(parts), squeeze=False)[0]
    for ax, part in zip(panels, parts, strict=True):
        own = [row for row in rows if row["part"] == part]
        sets = {
            "generated": [row["similarity"] for row in own if row["role"] == "generated"],
            "held-out people": [row["similarity"] for row in own if row["role"] == "held-out"],
        }
        if part in _KINDS and _KINDS[part] in known:
            sets["training people among themselves"] = known[_KINDS[part]].alike.tolist()
        every = [value for values in sets.values() for value in values]
        bins = np.linspace(min(every) - 0.02, max([*every, own[0]["copy"] or 0.0]) + 0.03, 22).tolist()
        for color, (name, values) in zip((COLORS[1], COLORS[0], COLORS[6]), sets.items(), strict=False):
            if values:
                ax.hist(values, bins=bins, density=True, color=color, alpha=0.65, label=name)
        limit = own[0]["copy"]
        if limit is not None and np.isfinite(limit):
            ax.axvline(limit, color=INK, lw=0.9, ls="--", label="limit")
        dress(ax, x=f"likeness of {part}", y="density" if part == parts[0] else "", title=part)
    handles = {name: one for ax in panels for one, name in zip(*ax.get_legend_handles_labels(), strict=True)}
    figure.legend(handles.values(), handles, loc="outside lower center", ncols=4, fontsize=SMALL, frameon=False)
    return figure


def losses(record: dict[str, Any], levels: Sequence[float]) -> Figure | None:
    """Denoising loss of every training and held-out case at every noise level; None without losses."""
    found = {
        role: [entry["losses"] for entry in record["cases"].values() if entry.get("role") == role and "losses" in entry]
        for role in ("training", "held-out")
    }
    if not any(found.values()):
        return None
    figure = new_figure(2.2, width=3.6)
    ax = figure.subplots()
    for color, (role, values) in zip((COLORS[1], COLORS[0]), found.items(), strict=True):
        for place, one in enumerate(values):
            ax.plot(levels, one, "-", color=color, lw=0.7, alpha=0.6, label=role if place == 0 else None)
    ax.set_yscale("log")
    dress(ax, x="noise level (diffusion time)", y="denoising loss")
    ax.tick_params(which="minor", labelsize=SMALL - 1)
    figure.legend(loc="outside upper right", ncols=2, fontsize=SMALL, frameon=False)
    return figure


def pairs(record: dict[str, Any], rows: Sequence[Row], out: Path, contrast: str, *, image: bool) -> Figure | None:
    """The generated cases most like a training case, each above the limit first, beside that case; None without any."""
    by_name = {entry["name"]: entry for entry in record["cases"].values() if "name" in entry}
    worst = sorted(
        (row for row in rows if row["role"] == "generated"), key=lambda row: (not row["copied"], -row["similarity"])
    )
    shown: list[tuple[Row, Head, Head]] = []
    for row in worst:
        heads = _heads(by_name, row, out, contrast)
        if heads is not None and row["name"] not in [before["name"] for before, *_ in shown]:
            shown.append((row, *heads))
        if len(shown) == MOST_PAIRS:
            break
    if not shown:
        return None
    box = extent_mm([head for _, *both in shown for head in both])
    widths = [box[across] for across, _ in PLANES.values()]
    figure = new_figure(1.25 * len(shown) + 0.3)
    grid = figure.subplots(len(shown), 7, squeeze=False, width_ratios=[0.8 * max(widths), *widths, *widths])
    for axes, (row, made, real) in zip(grid, shown, strict=True):
        axes[0].set_axis_off()
        told = f"{row['part']} {row['similarity']:.2f}\n{'copy' if row['copied'] else 'no copy'}"
        axes[0].text(0, 0.5, told, fontsize=SMALL, color=INK, va="center", transform=axes[0].transAxes)
        for at, head in ((1, made), (4, real)):
            drawn = image and head.image is not None
            draw_planes(list(axes[at : at + 3]), head, cut([head]), box, image=drawn)
    grid[0][2].set_title("generated", fontsize=TYPE, color=INK)
    grid[0][5].set_title("training case", fontsize=TYPE, color=INK)
    return figure


def _heads(by_name: dict[str, Any], row: Row, out: Path, contrast: str) -> tuple[Head, Head] | None:
    """The generated case and the training case; None where files are gone."""
    made, real = by_name.get(row["name"]), by_name.get(row["case"])
    if made is None or real is None:
        return None
    try:
        first = volume_of(made.get("made") or made["row"], out, contrast)
        second = volume_of(real["row"], out, contrast)
    except (PathosynthError, OSError, KeyError):
        return None
    return Head(first[0], first[2], first[1]), Head(second[0], second[2], second[1])
