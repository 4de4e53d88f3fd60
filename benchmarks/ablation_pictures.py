"""One PNG per pathology: settings side by side, three planes each, in the colours of the label scheme.

Drawn of the CC0 spina bifida atlas at 30 weeks, its ventricles first shrunk to 0.4 so that their growth shows, or of
the phantom, whose hindbrain is normal. The outline is what the structure was before the morph.
"""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from PIL import Image

from ablation_settings import ABLATIONS, Settings
from head import Head
from pathosynth.data.grid import crop_box
from pathosynth.data.labels import load_scheme
from pathosynth.data.phantom import brain_phantom
from pathosynth.pathologies import PATHOLOGIES, ventriculomegaly
from pathosynth.stages.preview import PLANES

SHRUNK, AGE_WEEKS = 0.4, 30.0
INCHES, DPI, COLOURS = 1.9, 110, 64
_MARGIN_MM = 3.0


@dataclass(frozen=True)
class Picture:
    """What is shown of one pathology, after the map before and the base settings.

    Attributes:
        base: what is written above the base settings.
        changes: of the base settings, one column each, by what is written above it.
        facts: severities written under that, by their format.
        outlined: group whose outline before the morph is drawn into every column.
        cut: group through whose largest sections the planes go.
        midsagittal: whether the sagittal plane is that of the head instead.
        phantom: whether the phantom is shown instead of the atlas.
        zoom_mm: half-width of what is shown about the cut; None is the whole head.
    """

    base: str
    changes: Mapping[str, Settings]
    facts: Mapping[str, str]
    outlined: str
    cut: str = "ventricles"
    midsagittal: bool = False
    phantom: bool = False
    zoom_mm: float | None = None


_FOLDS = ABLATIONS["profile"].base["folds"]
PICTURES = {
    "ventriculomegaly": Picture(
        "base: fold 2",
        {
            "asymmetry 0.8": {"asymmetry": 0.8},
            "posterior_bias 2": {"posterior_bias": 2.0},
            "posterior_bias -2": {"posterior_bias": -2.0},
            "skull_share 1": {"skull_share": 1.0},
        },
        {"ventricle_left_ml": "L {:.1f}", "ventricle_right_ml": "R {:.1f} mL"},
        "ventricles",
    ),
    "cerebellar_hypoplasia": Picture(
        "base: fold 0.6",
        {
            "fold 0.25": {"cerebellum_fold": 0.25},
            "pattern vermian": {"pattern": "vermian"},
            "0.4, pattern left": {"cerebellum_fold": 0.4, "pattern": "left"},
        },
        {"cerebellum_ml": "{:.1f} mL", "transcerebellar_diameter_mm": "TCD {:.1f} mm"},
        "cerebellum",
        "cerebellum",
        midsagittal=True,
        phantom=True,
        zoom_mm=28.0,
    ),
    "pontocerebellar_hypoplasia": Picture(
        "base: 0.5, pons 0.75",
        {
            "pons_ap_fold 0.95": {"pons_ap_fold": 0.95},
            "vermis 0.1": {"vermis": 0.1},
            "vermis 1": {"vermis": 1.0},
        },
        {"pons_ap_mm": "pons {:.1f}", "vermis_height_mm": "vermis {:.1f} mm"},
        "cerebellum",
        "cerebellum",
        midsagittal=True,
        phantom=True,
        zoom_mm=28.0,
    ),
    "microcephaly": Picture(
        "base: fold 0.8",
        {
            "head_share 0.5": {"head_share": 0.5},
            "head_share 0": {"head_share": 0.0},
            "ventricles_fold 2": {"ventricles_fold": 2.0},
        },
        {"brain_ml": "brain {:.0f} mL", "head_circumference_mm": "HC {:.0f} mm"},
        "intracranial",
    ),
    "chiari2": Picture(
        "base: 30 weeks, repaired",
        {
            "posterior_bias -1": {"posterior_bias": -1.0},
            "repair none": {"repair": "none"},
            "repair none, herniation 0": {"repair": "none", "herniation": 0.0},
        },
        {"hindbrain_descent_mm": "descent {:.1f} mm", "external_csf_ml": "CSF {:.0f} mL"},
        "intracranial",
        midsagittal=True,
        phantom=True,
    ),
    "profile": Picture(
        "base",
        {
            "white_matter 0.7": {"folds": {**_FOLDS, "white_matter": 0.7}},
            "external_csf 0.2": {"folds": {**_FOLDS, "external_csf": 0.2}},
            "skull_share 0": {"skull_share": 0.0},
        },
        {"white_matter_ml": "WM {:.0f}", "intracranial_ml": "inside skull {:.0f} mL"},
        "intracranial",
    ),
}


def draw_all(atlas: Head, folder: Path, names: Sequence[str]) -> None:
    """Draw the pictures of some pathologies; the same settings give the same bytes.

    Args:
        atlas: map whose pictures may be shown, at 30 weeks.
        folder: gets one ``knobs-NAME.png`` each.
        names: of pathologies.
    """
    shrunk = ventriculomegaly.Config(ventricle_fold=SHRUNK)
    made = ventriculomegaly.morph(atlas.labels, atlas.scheme, atlas.spacing_mm, shrunk, np.random.default_rng(0))
    normal = Head(made.labels, atlas.scheme, atlas.spacing_mm)
    for name in names:
        source = _phantom() if PICTURES[name].phantom else normal
        _write(folder / f"knobs-{name}.png", draw(source, name, PICTURES[name]))
        print(f"{name}: drawn", flush=True)


def draw(source: Head, name: str, picture: Picture) -> Figure:
    """Columns are settings, rows the sagittal, coronal and axial plane."""
    changes = {picture.base: {}, **picture.changes}
    heads = {"before": source} | {title: _morphed(source, name, change) for title, change in changes.items()}
    cut = _cut(list(heads.values())[1], picture)
    window = _window(list(heads.values()), picture, cut)
    widths = [high - low for low, high in window]
    tall = [widths[up] / max(widths) for _, up in PLANES]
    figure = Figure(figsize=(len(heads) * INCHES, INCHES * sum(tall) + 0.85), dpi=DPI, facecolor="white")
    FigureCanvasAgg(figure)
    grid = figure.subplots(3, len(heads), squeeze=False, height_ratios=tall)
    for column, (title, head) in zip(grid.T, heads.items(), strict=True):
        measured = PATHOLOGIES[name].severity(head.labels, head.scheme, head.spacing_mm)
        facts = ", ".join(text.format(measured[key]) for key, text in picture.facts.items())
        column[0].set_title(f"{title}\n{facts}", fontsize=7.5, pad=3)
        for axis, ax in enumerate(column):
            _draw_plane(ax, head, source, picture.outlined, axis, cut[axis])
            _frame(ax, head, axis, window)
    _legend(figure, source, picture)
    return figure


def _morphed(source: Head, name: str, change: Settings) -> Head:
    module = PATHOLOGIES[name]
    settings = {**ABLATIONS[name].base, **change}
    if "age_weeks" in module.Config.model_fields:
        settings["age_weeks"] = AGE_WEEKS
    config = module.Config.model_validate(settings)
    made = module.morph(source.labels, source.scheme, source.spacing_mm, config, np.random.default_rng(0))
    return Head(made.labels, source.scheme, source.spacing_mm)


def _phantom() -> Head:
    volume = brain_phantom(seed=3, shape=(132, 154, 142), spacing_mm=0.8)
    return Head(volume.array, load_scheme("kcl8"), volume.spacing_mm)


def _cut(head: Head, picture: Picture) -> tuple[int, ...]:
    """Where each plane goes: through the largest section, off the midline where it is sagittal."""
    mask = head.mask(picture.cut)
    cut = [int(mask.sum(axis=tuple(a for a in range(3) if a != axis)).argmax()) for axis in range(3)]
    if picture.midsagittal:
        cut[0] = round(float(np.argwhere(head.mask("intracranial"))[:, 0].mean()))
    return tuple(cut)


def _window(heads: Sequence[Head], picture: Picture, cut: tuple[int, ...]) -> list[tuple[float, float]]:
    """Millimetres that are shown along every axis, the same in all columns."""
    box = crop_box(np.any([head.labels > 0 for head in heads], axis=0), 0)
    spacing, window = heads[0].spacing_mm, []
    for axis, (start, n) in enumerate(zip(box.start, box.shape, strict=True)):
        low, high = start * spacing[axis] - _MARGIN_MM, (start + n) * spacing[axis] + _MARGIN_MM
        if picture.zoom_mm is not None:
            centre = cut[axis] * spacing[axis]
            low, high = max(low, centre - picture.zoom_mm), min(high, centre + picture.zoom_mm)
        window.append((low, high))
    return window


def _draw_plane(ax: Axes, head: Head, source: Head, outlined: str, axis: int, at: int) -> None:
    """One plane of the labels, with the outline of a structure before."""
    scheme = head.scheme
    colours = ListedColormap(["white", *(scheme[value].color for value in scheme.values)])
    edge_across, edge_up = (head.spacing_mm[a] for a in PLANES[axis])
    index = np.take(scheme.indices(head.labels), at, axis=axis).T
    before = np.take(source.mask(outlined), at, axis=axis).T
    rows, columns = index.shape
    extent = (-0.5 * edge_across, (columns - 0.5) * edge_across, -0.5 * edge_up, (rows - 0.5) * edge_up)
    ax.imshow(
        index, origin="lower", cmap=colours, vmin=0, vmax=len(scheme.values), interpolation="nearest", extent=extent
    )
    if before.any() and not before.all():
        x, y = np.arange(columns) * edge_across, np.arange(rows) * edge_up
        ax.contour(x, y, before, levels=[0.5], colors=["black"], linewidths=0.9)


def _frame(ax: Axes, head: Head, axis: int, window: Sequence[tuple[float, float]]) -> None:
    """True proportions, the patient's left on the right."""
    across, up = PLANES[axis]
    ax.set_axis_off()
    ax.set_aspect("equal")
    ax.set_xlim(window[across] if across else window[across][::-1])
    ax.set_ylim(window[up])


def _legend(figure: Figure, source: Head, picture: Picture) -> None:
    tall = figure.get_figheight()
    figure.subplots_adjust(0.005, 0.42 / tall, 0.995, 1 - 0.36 / tall, wspace=0.03, hspace=0.03)
    patches = [Patch(color=label.color, label=label.name.replace("_", " ")) for label in source.scheme.labels]
    figure.legend(handles=patches, loc="lower left", bbox_to_anchor=(0.0, 0.13 / tall), ncols=8, fontsize=6.5,
                  frameon=False, handlelength=1.0, columnspacing=1.0, borderaxespad=0.1)  # fmt: skip
    of = "phantom" if picture.phantom else f"CC0 spina bifida atlas, 30 weeks, ventricles first shrunk to {SHRUNK:g}"
    line = "inside of the skull" if picture.outlined == "intracranial" else picture.outlined
    note = f"{of}. Black line: {line} before. The patient's left is on the right; sagittal: anterior is on the right."
    figure.text(0.005, 0.03 / tall, note, fontsize=6.5, va="bottom", color="0.3")


def _write(path: Path, figure: Figure) -> None:
    """Save with a palette; no time stamp or version in the file."""
    data = io.BytesIO()
    figure.savefig(data, format="png", facecolor="white", metadata={"Software": None})
    picture = Image.open(data).convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE)
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.save(path, optimize=True)
