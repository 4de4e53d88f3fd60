"""Three planes of a head on white paper: labels in their colours or an image, with the ventricles' outline."""

from collections.abc import Sequence
from dataclasses import dataclass

import cc3d
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.patches import Patch

from pathosynth.data.intensity import robust_scale
from pathosynth.data.labels import LabelScheme
from pathosynth.data.volume import Volume
from pathosynth.drawing.style import INK, OUTLINE, SMALL

PLANES = {"sagittal": (1, 2), "coronal": (0, 2), "axial": (0, 1)}
"""Name to the array axes shown to the right and upwards, in the order of the axis they are cut across."""

Cut = tuple[int, int, int]
"""Voxel through which the sagittal, the coronal and the axial plane go."""

BESIDE_MM = 6.0
"""Least distance of a sagittal plane from the middle of the head."""

MARGIN_MM = 4.0
MOST_LABELS = 24
"""Schemes with more colours get no legend; it would be longer than the picture."""


@dataclass(frozen=True)
class Head:
    """What is drawn of one case, in RAS orientation.

    Attributes:
        labels: integer map.
        scheme: its legend.
        image: same grid; None where there is none.
    """

    labels: Volume
    scheme: LabelScheme
    image: Volume | None = None

    @property
    def ventricles(self) -> np.ndarray:
        """Mask of the ventricles; empty where the scheme has no such group."""
        if not self.scheme.has("ventricles"):
            return np.zeros(self.labels.shape, bool)
        return self.scheme.mask(self.labels.array, "ventricles")


def cuts(heads: Sequence[Head]) -> list[Cut]:
    """Where to cut each head, see `cut`: all at one place where they share a grid, so that only the heads differ."""
    first = heads[0].labels
    shared = all(
        head.labels.shape == first.shape and np.allclose(head.labels.affine, first.affine, atol=1e-3) for head in heads
    )
    return [cut(heads)] * len(heads) if shared else [cut([head]) for head in heads]


def cut(heads: Sequence[Head]) -> Cut:
    """Voxel of the planes with most of the ventricles of some heads on one grid, the sagittal one on the left.

    Most of the head where there are no ventricles. The sagittal plane is sought on the left only, beside the third
    ventricle: two sides of equal size would let it jump from one to the other.
    """
    masks = [head.ventricles if head.ventricles.any() else head.labels.array > 0 for head in heads]
    along = [sum(mask.sum(axis=others, dtype=float) for mask in masks) for others in ((1, 2), (0, 2), (0, 1))]
    middle = float(np.mean([_box(head.labels)[:, 0].mean() for head in heads]))
    left = along[0][: max(0, round(middle - BESIDE_MM / heads[0].labels.spacing_mm[0]))]
    i = int(np.argmax(left if left.any() else along[0]))
    return i, int(np.argmax(along[1])), int(np.argmax(along[2]))


def extent_mm(heads: Sequence[Head]) -> tuple[float, float, float]:
    """Size along each axis of a box that holds any of the heads, with a margin; specks far from a head do not count."""
    sizes = [np.diff(_box(head.labels), axis=0)[0] * head.labels.spacing_mm for head in heads]
    x, y, z = (float(edge) + 2 * MARGIN_MM for edge in np.max(sizes, axis=0))
    return x, y, z


def draw_planes(axes: Sequence[Axes], head: Head, at: Cut, box_mm: tuple[float, float, float], *, image: bool) -> None:
    """Draw one head into three panels.

    Args:
        axes: sagittal, coronal, axial.
        head: what is drawn.
        at: where it is cut.
        box_mm: size of what is shown along each axis, about the middle of the head.
        image: the image instead of the labels' colours.
    """
    filled = _windowed(head) if image else head.scheme.indices(head.labels.array)
    for axis, (ax, (across, up)) in enumerate(zip(axes, PLANES.values(), strict=True)):
        _fill(ax, np.take(filled, at[axis], axis).T, head.scheme, image)
        outline = np.take(head.ventricles, at[axis], axis).T
        if outline.any():
            ax.contour(outline, levels=[0.5], colors=[OUTLINE], linewidths=0.8)
        frame(ax, head.labels, (across, up), box_mm)


def legend_patches(heads: Sequence[Head]) -> list[Patch]:
    """Colours with their names, both sides as one where they look the same; none where there are too many."""
    named: dict[str, str] = {}
    for scheme in {head.scheme.name: head.scheme for head in heads}.values():
        for label in scheme.labels:
            name = label.name.removeprefix("left_").removeprefix("right_").replace("_", " ")
            named[name if named.get(name, label.color) == label.color else label.name.replace("_", " ")] = label.color
    return [Patch(color=color, label=name) for name, color in named.items()] if len(named) <= MOST_LABELS else []


def scale_bar(ax: Axes, labels: Volume, box_mm: tuple[float, float, float]) -> None:
    """A bar of a round length in the lower corner of a sagittal panel."""
    length = 50 if box_mm[1] > 120 else 20
    voxels = length / labels.spacing_mm[1]
    low, bottom = ax.get_xlim()[0], ax.get_ylim()[0]
    ax.plot([low + 1, low + 1 + voxels], [bottom + 1] * 2, color=INK, lw=1.4, solid_capstyle="butt", clip_on=False)
    ax.text(low + 1 + voxels / 2, bottom, f"{length} mm", fontsize=SMALL - 1, color=INK, ha="center", va="top")


def _box(labels: Volume) -> np.ndarray:
    """(2, 3) first voxel and the one after the last of the largest piece of a head; the whole grid without any."""
    head = cc3d.largest_k(labels.array > 0, k=1, connectivity=26) > 0
    where = np.argwhere(head)
    return np.array([where.min(axis=0), where.max(axis=0) + 1]) if len(where) else np.array([(0, 0, 0), labels.shape])


def _windowed(head: Head) -> np.ndarray:
    """The image by the intensity rule; what lies outside the labels stays."""
    if head.image is None:
        raise ValueError("expected an image to draw")
    scaled, _, _ = robust_scale(head.image.array, head.labels.array > 0)
    return scaled


def _fill(ax: Axes, plane: np.ndarray, scheme: LabelScheme, image: bool) -> None:
    if image:
        ax.imshow(plane, origin="lower", cmap="gray", vmin=0, vmax=1, interpolation="bilinear")
        return
    colors = [scheme[value].color for value in scheme.values]
    palette = ListedColormap(["white", *colors])
    ax.imshow(plane, origin="lower", cmap=palette, vmin=0, vmax=len(colors), interpolation="nearest")


def frame(ax: Axes, labels: Volume, shown: tuple[int, int], box_mm: tuple[float, float, float]) -> None:
    """Show a box about the middle of the head in true proportions, the patient's left on the right."""
    across, up = shown
    middle = _box(labels).mean(axis=0) - 0.5
    half = [box_mm[axis] / labels.spacing_mm[axis] / 2 for axis in range(3)]
    ax.set_xlim(middle[across] - half[across], middle[across] + half[across])
    ax.set_ylim(middle[up] - half[up], middle[up] + half[up])
    ax.set_aspect(labels.spacing_mm[up] / labels.spacing_mm[across])
    if across == 0:
        ax.invert_xaxis()
    ax.set_axis_off()
