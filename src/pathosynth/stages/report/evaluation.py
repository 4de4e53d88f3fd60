"""An evaluation as one page that needs no network: tables, pictures, provenance, and how it was done."""

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib.figure import Figure

from pathosynth.drawing.page import Picture
from pathosynth.drawing.style import png
from pathosynth.runs.config import Config as BaseConfig
from pathosynth.runs.files import json_text, write_bytes, write_table, write_text
from pathosynth.runs.record import RunRecord
from pathosynth.stages.batch import Options, Plan, Result
from pathosynth.stages.report import evaluation_figures as figures
from pathosynth.stages.report.evaluated import FILE_NAME, Evaluated, read_evaluation
from pathosynth.stages.report.evaluation_montage import montage
from pathosynth.stages.report.evaluation_page import headline, page
from pathosynth.stages.report.source import Source, only
from pathosynth.stages.score_tables import plain, write_rows

NAME = "evaluation"
DPI = 200
"""Of pictures, which are in the page and beside it."""


class Config(BaseConfig):
    """Settings of the page."""

    images: bool = False
    """Show the images of the best, median and worst cases; without, only their label maps. Mind who may see them."""
    structure: str = ""
    """Structure that volumes, examples and Bland-Altman are shown of; by default the ventricles."""


@dataclass(frozen=True)
class Drawn:
    """One picture to be drawn."""

    case: str
    source: str = NAME


def plan(sources: Sequence[Source], config: Config, options: Options) -> Plan:
    """Draw every picture, then write the page.

    Raises:
        ConfigError: several sources, or a structure that was not judged.
        InputError: the source is not what `evaluate` wrote.
    """
    source = only(sources, NAME)
    found = read_evaluation(source.path, config.structure)
    titles = _titles(found)
    return Plan(
        command=f"report {NAME}",
        config=config.model_dump(mode="json"),
        inputs=[source.path / FILE_NAME],
        tasks=[Drawn(name) for name in titles],
        work=functools.partial(_draw, found=found, config=config, out=options.out),
        finish=functools.partial(_finish, found=found, titles=titles),
        memory_gib=1.0,
        makes=f"{NAME}.html with {len(titles)} pictures; PNG, CSV and JSON beside it",
    )


def _titles(found: Evaluated) -> dict[str, str]:
    """Pictures and what stands under them, in the order of the page."""
    name = figures.words(found.primary)
    mean = "Averages over the runs of a case come first, so that every point is one subject."
    outlines = "White: reference. Colour: prediction. Planes with most of the reference structure."
    examples = {
        f"examples_{place}": f"{arm}: best, median and worst prediction by Dice of {name}. {outlines}"
        for place, arm in enumerate(found.arms, start=1)
    }
    return {
        "dice": f"Dice by structure; lines join the same subject. Bar: quartiles and median. {mean}",
        "hd95_mm": "HD95 by structure, as above. Subjects of whom a run missed the structure, so that the distance is "
        "infinite, lie on the strip at the top.",
        "volumes": f"Predicted against true volume of {name}; every prediction is a point.",
        "bland_altman": f"Volume error of {name} against the mean of both volumes. Solid: bias; dashed: limits of "
        "agreement (bias ± 1.96 SD of single predictions, every subject with the same weight).",
        "trainings": "Mean Dice of every single training (seed).",
    } | examples  # fmt: skip


def _figure(name: str, found: Evaluated, config: Config) -> Figure | None:
    if name.startswith("examples_"):
        return montage(found, found.arms[int(name.removeprefix("examples_")) - 1], image=config.images)
    if name in figures.TITLES:
        return figures.violins(found, name)
    draw = {"volumes": figures.volumes, "bland_altman": figures.bland_altman, "trainings": figures.trainings}
    return draw[name](found)


def _draw(task: Drawn, *, found: Evaluated, config: Config, out: Path) -> Result:
    figure = _figure(task.case, found, config)
    if figure is None:
        return Result("done", "the label maps or images are no longer where they were", {"shown": False})
    figure.set_dpi(DPI)
    write_bytes(out / f"{task.case}.png", png(figure))
    return Result("done", facts={"shown": True, "files": [f"{task.case}.png"]})


def _finish(out: Path, record: RunRecord, *, found: Evaluated, titles: dict[str, str]) -> None:
    """Write the page and the numbers in it."""
    entries = record.content["cases"]
    shown = [name for name in titles if entries[name].get("shown")]
    pictures = [Picture(name, titles[name], (out / f"{name}.png").read_bytes()) for name in shown]
    missing = [name for name in titles if name not in shown]
    write_text(out / f"{NAME}.html", page(found, pictures, missing))
    write_table(out / f"{NAME}.csv", headline(found))
    for name, rows in (
        ("scores", found.scores), ("summary", found.summary),
        ("comparisons", found.comparisons), ("agreement", found.agreement),
    ):  # fmt: skip
        write_rows(out / f"{name}.csv", rows, without=("order",))
    told = {"figure": NAME, "primary": found.primary, "arms": found.arms, "headline": headline(found)}
    write_text(out / f"{NAME}.json", json_text(plain(told | {"provenance": found.provenance})))
