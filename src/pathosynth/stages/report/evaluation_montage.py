"""The best, the middle and the worst prediction of an arm: three planes with both outlines."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

from pathosynth.data.grid import to_ras
from pathosynth.data.intensity import robust_scale
from pathosynth.data.labels import LabelScheme, in_scheme, load_scheme
from pathosynth.data.nifti import read_image, read_labels
from pathosynth.data.volume import Volume
from pathosynth.drawing.style import INK, SMALL, TYPE, new_figure
from pathosynth.runs.errors import PathosynthError
from pathosynth.stages.report.evaluated import Evaluated
from pathosynth.stages.report.planes import PLANES, Head, cut, extent_mm, frame
from pathosynth.stages.score_tables import Row

WORDS = 1.3
TALLEST = 1.7


@dataclass(frozen=True)
class Example:
    """One row.

    Attributes:
        words: lines beside it.
        reference: labels in the scheme of the evaluation, with the image where it is shown.
        prediction: mask of the primary structure on the same grid; None without a prediction.
    """

    words: tuple[str, ...]
    reference: Head
    prediction: np.ndarray | None


def montage(found: Evaluated, arm: str, *, image: bool) -> Figure | None:
    """Best, median and worst prediction of an arm by Dice of the primary structure; None where files are gone.

    Args:
        found: the evaluation.
        arm: whose predictions.
        image: the image behind the outlines, by its own intensity rule; else the reference labels in grey.
    """
    try:
        examples = [_example(found, name, row, image=image) for name, row in chosen(found, arm)]
    except (PathosynthError, OSError):
        return None
    if not examples:
        return None
    box = extent_mm([example.reference for example in examples])
    widths = [box[across] for across, _ in PLANES.values()]
    heights = [box[up] for _, up in PLANES.values()]
    scale = TALLEST / max(heights)
    figure = new_figure(TALLEST * len(examples) + 0.25, width=WORDS + sum(widths) * scale)
    grid = figure.subplots(len(examples), 4, squeeze=False, width_ratios=[WORDS / scale, *widths])
    for axes, example in zip(grid, examples, strict=True):
        axes[0].set_axis_off()
        axes[0].text(
            0, 0.5, "\n".join(example.words), fontsize=SMALL, color=INK, va="center", transform=axes[0].transAxes
        )
        _draw(list(axes[1:]), example, found, found.colors[arm], box)
    for ax, name in zip(grid[0][1:], PLANES, strict=True):
        ax.set_title(name, fontsize=TYPE, color=INK)
    return figure


def chosen(found: Evaluated, arm: str) -> list[tuple[str, Row]]:
    """Best, median and worst prediction by Dice, those equally bad by HD95; each once."""
    rows = [row for row in found.rows(arm, found.primary) if not np.isnan(row["dice"])]
    rows.sort(key=lambda row: (-row["dice"], row["hd95_mm"], row["case"], row["run"]))
    if not rows:
        return []
    places = {"best": 0, "median": (len(rows) - 1) // 2, "worst": len(rows) - 1}
    names: dict[int, str] = {}
    for name, place in places.items():
        names.setdefault(place, name)
    return [(name, rows[place]) for place, name in names.items()]


def _example(found: Evaluated, name: str, row: Row, *, image: bool) -> Example:
    scheme = found.scheme
    files = found.files["reference"][row["case"]]
    reference = _labels(found.folder, files, scheme)
    contrasts = [key for key in files if key not in ("scheme", "labels")]
    shown = to_ras(read_image(found.folder / files[contrasts[0]])) if image and contrasts else None
    predicted = found.files["predicted"][f"{row['arm']}/{row['run']}/{row['case']}"]
    mask = scheme.mask(_labels(found.folder, predicted, scheme).array, found.primary) if predicted else None
    far = "missed" if np.isinf(row["hd95_mm"]) else f"HD95 {row['hd95_mm']:.1f} mm"
    words = (name, f"{row['case']}, run {row['run']}"[:24], f"Dice {row['dice']:.3f}", far,
             f"{row['volume_reference_ml']:.1f} → {row['volume_predicted_ml']:.1f} mL")  # fmt: skip
    return Example(words, Head(reference, scheme, shown), mask)


def _labels(folder: Path, files: dict[str, Any], scheme: LabelScheme) -> Volume:
    own = load_scheme(files["scheme"])
    volume = to_ras(read_labels(folder / files["labels"], own, may_be_empty=True))
    return volume.with_array(in_scheme(volume.array, own, scheme, f"{folder / files['labels']}"))


def _draw(
    axes: Sequence[Axes], example: Example, found: Evaluated, color: str, box: tuple[float, float, float]
) -> None:
    head = example.reference
    truth = head.scheme.mask(head.labels.array, found.primary)
    background = _background(head)
    at = cut([head])
    for axis, (ax, (across, up)) in enumerate(zip(axes, PLANES.values(), strict=True)):
        ax.imshow(np.take(background, at[axis], axis).T, origin="lower", cmap="gray", vmin=0, vmax=1)
        white = [withStroke(linewidth=2.0, foreground="black")]
        _outline(ax, np.take(truth, at[axis], axis).T, "white", 1.1).set(path_effects=white)
        if example.prediction is not None:
            _outline(ax, np.take(example.prediction, at[axis], axis).T, color, 1.1)
        frame(ax, head.labels, (across, up), box)


def _outline(ax: Axes, plane: np.ndarray, color: str, width: float) -> Any:
    """Contour of a mask; nothing is drawn where it is not cut."""
    levels = [0.5] if plane.any() else []
    return ax.contour(plane.astype(float), levels=levels or [2.0], colors=[color], linewidths=width)


def _background(head: Head) -> np.ndarray:
    """Grey values 0 to 1 of what lies behind the outlines; white paper outside a head without image."""
    inside = head.labels.array > 0
    if head.image is not None:
        return robust_scale(head.image.array, inside)[0]
    dense = head.scheme.indices(head.labels.array).astype(np.float64)
    grey: np.ndarray = np.where(inside, 0.3 + 0.5 * dense / len(head.scheme.values), 1.0)
    return grey
