"""Montage PNG: three planes through the ventricles of every case, with label outlines."""

import io
import math
import os
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from pathosynth.data.cases import Case
from pathosynth.data.grid import crop_box
from pathosynth.data.intensity import robust_scale
from pathosynth.data.labels import LabelScheme, load_scheme
from pathosynth.data.volume import Volume
from pathosynth.runs.errors import InputError
from pathosynth.stages import inputs

PLANES = ((1, 2), (0, 2), (0, 1))
"""Sagittal, coronal and axial: the array axes shown to the right and upwards."""
INCHES, DPI = 1.55, 110
MARGIN_VOXELS = 3
FEW_LABELS = 24
"""Schemes with more labels get no legend; it would be longer than the picture."""
NOTE = (
    "radiological view: the patient's left is on the right (coronal, axial); sagittal: anterior is on the right. "
    "Window: 0.5th to 99.5th percentile inside the labels."
)
LETTER_INCHES, LINE_INCHES, ENTRY_INCHES = 0.046, 0.12, 1.15
"""Room for a letter, a line and an entry of the legend."""


@dataclass(frozen=True)
class Panel:
    """One volume of a row, drawn in three planes.

    Attributes:
        title: what it is, e.g. "parent" or "synthetic T2w".
        labels: in RAS orientation.
        image: same grid, any unit; None to fill the labels with their colours instead.
        outlines: whether the labels' borders are drawn over the image.
    """

    title: str
    labels: Volume
    image: Volume | None = None
    outlines: bool = True


@dataclass(frozen=True)
class Row:
    """One case: panels side by side, cut at the same place where they share a grid.

    Attributes:
        title: name of the case.
        facts: what to know about it, e.g. "15.0 mm, 32.1 mL".
        scheme: legend of all labels in the row.
        panels: at least one; the last one's ventricles decide where to cut.
    """

    title: str
    facts: str
    scheme: LabelScheme
    panels: tuple[Panel, ...]


def preview(
    cases: Sequence[Case], out_png: Path, *, parents: Sequence[Case] = (), contrast: str = "", most: int = 8
) -> None:
    """Draw the first cases of a table; a case whose parent is at hand shows the parent's labels first.

    Args:
        cases: what is shown, each with a label map.
        out_png: written whole or not at all.
        parents: cases they may be made from.
        contrast: image to show, e.g. T2w; the first a case has where empty. Cases without one show their labels.
        most: how many cases are drawn at most.

    Raises:
        InputError: there is no case, or a file cannot be read.
    """
    known = {case.case: case for case in (*parents, *cases)}
    montage(out_png, [_row(case, known.get(case.parent), contrast) for case in cases[:most]])


def row_of(
    case: Case, labels: Volume, image: Volume | None, *, parent: Volume | None = None, contrast: str = ""
) -> Row:
    """The usual row of a case in memory: parent's labels, own labels, image, image with outlines.

    Args:
        case: its row of the table; gives name, scheme and severity.
        labels: in RAS orientation.
        image: same grid; None where there is none.
        parent: labels of the case it was made from.
        contrast: name of the image.
    """
    scheme = load_scheme(case.scheme)
    panels = [Panel("parent labels", parent)] if parent is not None else []
    panels.append(Panel("labels", labels))
    if image is not None:
        panels.append(Panel(contrast or "image", labels, image, outlines=False))
        panels.append(Panel(f"{contrast or 'image'} with outlines", labels, image))
    return Row(case.case, _facts(case.severity, labels, scheme), scheme, tuple(panels))


def montage(path_png: Path, rows: Sequence[Row]) -> None:
    """Draw rows of panels into one PNG; the same rows give the same bytes.

    All images share one window, the 0.5th to 99.5th percentile inside their labels, and all planes one scale. Planes go
    through the centre of the ventricles (of the head where a scheme names none).

    Raises:
        InputError: there are no rows, or a label map is empty.
    """
    if not rows:
        raise InputError("Montage: expected at least one case to draw, found none. Check the case table.")
    blocks = max(len(row.panels) for row in rows)
    figure = Figure(figsize=(3 * blocks * INCHES, len(rows) * (INCHES + 0.18) + 0.2), dpi=DPI, facecolor="black")
    FigureCanvasAgg(figure)
    grid = figure.subplots(len(rows), 3 * blocks, squeeze=False)
    extent_mm = max(_head_mm(panel.labels, row) for row in rows for panel in row.panels)
    for axes, row in zip(grid, rows, strict=True):
        for ax in axes:
            ax.set_axis_off()
        _draw_row(axes, row, extent_mm)
    _annotate(figure, rows)
    _write(path_png, figure)


def _row(case: Case, parent: Case | None, contrast: str) -> Row:
    contrast = contrast or next(iter(case.images), "")
    scheme = load_scheme(case.scheme)
    brain = inputs.read_brain(case, scheme, contrast)
    source = inputs.read_brain(parent, scheme).labels if parent is not None and parent.labels is not None else None
    return row_of(case, brain.labels, brain.image, parent=source, contrast=contrast)


def _facts(severity: Mapping[str, object], labels: Volume, scheme: LabelScheme) -> str:
    """Atrial width where it is known, and the volume of the ventricles."""
    width = severity.get("atrial_width_mm")
    facts = [f"{width:.1f} mm"] if isinstance(width, int | float) else []
    if scheme.has("ventricles"):
        facts.append(f"{scheme.mask(labels.array, 'ventricles').sum() * labels.voxel_ml:.1f} mL")
    return ", ".join(facts)


def _head_mm(labels: Volume, row: Row) -> float:
    """Longest edge of the box around the head."""
    if not (labels.array > 0).any():
        raise InputError(f"Montage: the label map of case '{row.title}' is empty. Leave this case out.")
    shape = crop_box(labels.array > 0, MARGIN_VOXELS).shape
    return max(n * edge for n, edge in zip(shape, labels.spacing_mm, strict=True))


def _centre(labels: np.ndarray, scheme: LabelScheme) -> tuple[int, int, int]:
    """Voxel in the middle of the ventricles."""
    mask = scheme.mask(labels, "ventricles") if scheme.has("ventricles") else labels > 0
    i, j, k = np.argwhere(mask if mask.any() else labels > 0).mean(axis=0).round().astype(int)
    return int(i), int(j), int(k)


def _draw_row(axes: Sequence[Axes], row: Row, extent_mm: float) -> None:
    last = row.panels[-1].labels
    for block, panel in enumerate(row.panels):
        like = last if panel.labels.shape == last.shape else panel.labels
        centre = _centre(like.array, row.scheme)
        image = None if panel.image is None else _windowed(panel.image.array, panel.labels.array)
        index = row.scheme.indices(panel.labels.array)
        for axis in range(3):
            ax = axes[3 * block + axis]
            shown = None if image is None else _slice(image, axis, centre)
            _draw_plane(ax, _slice(index, axis, centre), shown, row.scheme, panel.outlines)
            _frame(ax, axis, like, centre, extent_mm)
        title = f"{row.title}   {row.facts}   {panel.title}" if block == 0 else panel.title
        axes[3 * block].set_title(title, color="white", fontsize=7, loc="left", pad=2)


def _frame(ax: Axes, axis: int, labels: Volume, centre: tuple[int, int, int], extent_mm: float) -> None:
    """Show a square of `extent_mm` about the head in true proportions, the patient's left on the right."""
    across, up = PLANES[axis]
    edge_up, edge_across = labels.spacing_mm[up], labels.spacing_mm[across]
    ax.set_aspect(edge_up / edge_across)
    rows, columns = _slice(labels.array > 0, axis, centre).nonzero()
    for set_limits, at, edge in ((ax.set_ylim, rows, edge_up), (ax.set_xlim, columns, edge_across)):
        about = (at.min() + at.max()) / 2 if at.size else 0.0
        set_limits(about - extent_mm / edge / 2, about + extent_mm / edge / 2)
    if across == 0:
        ax.invert_xaxis()


def _windowed(image: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The image by the intensity rule, with what lies outside the labels black."""
    scaled, _, _ = robust_scale(image, labels > 0)
    return np.where(labels > 0, scaled, 0.0)


def _slice(array: np.ndarray, axis: int, centre: tuple[int, int, int]) -> np.ndarray:
    """One plane with rows going up."""
    return np.asarray(np.take(array, centre[axis], axis=axis).T)


def _draw_plane(ax: Axes, index: np.ndarray, image: np.ndarray | None, scheme: LabelScheme, outlines: bool) -> None:
    """Labels filled with their colours where there is no image, else the image, with or without their borders."""
    colors = [scheme[value].color for value in scheme.values]
    if image is None:
        palette = ListedColormap(["black", *colors])
        ax.imshow(index, origin="lower", cmap=palette, vmin=0, vmax=len(colors), interpolation="nearest")
        return
    ax.imshow(image, origin="lower", cmap="gray", vmin=0, vmax=1, interpolation="bilinear")
    if outlines:
        for number in np.unique(index[index > 0]):
            ax.contour(index == number, levels=[0.5], colors=[colors[number - 1]], linewidths=0.5)


def _annotate(figure: Figure, rows: Sequence[Row]) -> None:
    """Legend, convention of sides, window; room for them above and below the planes, in as many lines as they need."""
    wide, tall = figure.get_figwidth(), figure.get_figheight()
    note = textwrap.wrap(NOTE, int(wide / LETTER_INCHES))
    labels = rows[0].scheme.labels if len(rows[0].scheme.values) <= FEW_LABELS else ()
    columns = max(1, int(wide / ENTRY_INCHES))
    note_top = 0.05 + LINE_INCHES * len(note)
    below = note_top + LINE_INCHES * math.ceil(len(labels) / columns) + 0.15
    figure.set_figheight(tall := tall + below)
    figure.subplots_adjust(0.005, below / tall, 0.995, 1 - 0.2 / tall, wspace=0.02, hspace=0.12)
    figure.text(0.005, 0.05 / tall, "\n".join(note), color="0.75", fontsize=6, va="bottom")
    if labels:
        patches = [Patch(color=label.color, label=label.name.replace("_", " ")) for label in labels]
        figure.legend(
            handles=patches, loc="lower left", bbox_to_anchor=(0.0, note_top / tall), ncols=columns, fontsize=6,
            frameon=False, labelcolor="white", handlelength=1.0, columnspacing=1.0, labelspacing=0.2,
        )  # fmt: skip


def _write(path: Path, figure: Figure) -> None:
    """Save under a temporary name beside `path`, then rename; no time stamp or version in the file."""
    data = io.BytesIO()
    figure.savefig(data, format="png", facecolor="black", metadata={"Software": None})
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        temporary.write_bytes(data.getvalue())
        os.replace(temporary, path)  # noqa: PTH105, one call for the atomic step
    finally:
        temporary.unlink(missing_ok=True)
