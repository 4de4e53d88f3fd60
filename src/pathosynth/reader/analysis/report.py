"""From a file of ratings to a folder: one page that needs no network, the tables in it, and every number as JSON."""

import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pathosynth import __version__
from pathosynth.drawing.page import Picture, number, render
from pathosynth.drawing.style import png
from pathosynth.reader.analysis.agreement import NAMES
from pathosynth.reader.analysis.analyse import analyse, as_json
from pathosynth.reader.analysis.figures import figures
from pathosynth.reader.analysis.ratings import questions
from pathosynth.reader.analysis.rows import read_ratings
from pathosynth.reader.analysis.settings import Settings
from pathosynth.reader.analysis.tables import tables
from pathosynth.reader.analysis.words import NAMES as WORDS
from pathosynth.reader.analysis.words import against, band, interval, told
from pathosynth.runs.files import json_text, sha256, write_bytes, write_table, write_text
from pathosynth.runs.record import RunRecord

TEMPLATE = "analysis.html.jinja"
NAME = "analysis"
DPI = 200
"""Of pictures, which are in the page and beside it."""


@dataclass(frozen=True)
class Analysis:
    """An analysis and what it was made from.

    Attributes:
        content: of the ratings, with `Estimate` where a number has an interval.
        source: file, rows and hash of the ratings, settings and version.
    """

    content: Mapping[str, Any]
    source: Mapping[str, Any]

    def as_json(self) -> dict[str, Any]:
        """All of it; no number is NaN or infinite."""
        found: dict[str, Any] = as_json(self.content)
        rest = found.pop("questions")
        return {**found, "source": dict(self.source), "questions": rest}


def analyse_file(path: Path, settings: Settings) -> Analysis:
    """Analyse a file of ratings.

    Raises:
        ConfigError: a setting does not fit the file.
        InputError: the file or a row of it cannot be used.
    """
    rows = read_ratings(path, truth=settings.truth)
    found = analyse(questions(path, rows, settings.kinds, settings.scales, settings.real), settings)
    source = {
        "file": path.name, "sha256": sha256(path), "rows": len(rows), "settings": settings.model_dump(mode="json"),
        "pathosynth": __version__,
    }  # fmt: skip
    return Analysis(found, source)


def write_report(path: Path, settings: Settings, found: Analysis, out: Path, *, overwrite: bool) -> None:
    """Write page, pictures, tables, JSON and run record of an analysis.

    Args:
        path: file of ratings.
        settings: of the analysis.
        found: the analysis.
        out: folder; may hold an older run of the same command.
        overwrite: replace another run there.

    Raises:
        ConfigError: the folder holds something else.
    """
    config = settings.model_dump(mode="json")
    record = RunRecord.begin(out, "reader analyse", config, settings.seed, [path], overwrite=overwrite)
    pictures = _draw(out, found.content)
    told_tables = tables(found.content)
    for name, rows in told_tables.items():
        write_table(out / f"{name}.csv", rows)
    write_text(out / f"{NAME}.json", json_text(found.as_json()))
    write_text(out / f"{NAME}.html", page(found, pictures, list(told_tables), _command(path, settings)))
    names = [f"{picture.name}.png" for one in pictures.values() for picture in one.values()]
    files = [*(f"{name}.csv" for name in told_tables), f"{NAME}.json", f"{NAME}.html", *names]
    record.finish_case(NAME, files=files)
    record.complete()


def _draw(out: Path, content: Mapping[str, Any]) -> dict[str, dict[str, Picture]]:
    """Draw and write the pictures of every question; question to what is shown to the picture."""
    drawn: dict[str, dict[str, Picture]] = {}
    for place, (name, one) in enumerate(content["questions"].items(), start=1):
        drawn[name] = {}
        for what, (caption, figure) in figures(name, one).items():
            figure.set_dpi(DPI)
            picture = Picture(f"question{place}_{what}", caption, png(figure))
            write_bytes(out / f"{picture.name}.png", picture.png)
            drawn[name][what] = picture
    return drawn


def page(found: Analysis, pictures: Mapping[str, Mapping[str, Picture]], written: list[str], command: str) -> str:
    """The page as text.

    Args:
        found: the analysis.
        pictures: of every question.
        written: tables beside the page.
        command: that makes it again.
    """
    filters: dict[str, Callable[..., str]] = {
        "told": told, "interval": interval, "band": band, "against": against,
        "percent": lambda value: number(100 * value, 0),
        "words": lambda name: WORDS.get(name, name.replace("_", " ")),
    }  # fmt: skip
    return render(
        __package__, TEMPLATE, filters,
        questions=found.content["questions"],
        pictures=pictures,
        agreements=(*NAMES, "percent_agreement"),
        caveats=found.content["caveats"],
        source=found.source,
        tables=written,
        command=command,
        version=__version__,
    )  # fmt: skip


def _command(path: Path, settings: Settings) -> str:
    """The command that gives these numbers again."""
    parts = ["pathosynth", "reader", "analyse", str(path), "-o", "OUT"]
    defaults = Settings()
    for option in ("weights", "truth", "seed"):
        if getattr(settings, option) != getattr(defaults, option):
            parts += [f"--{option}", str(getattr(settings, option))]
    if settings.positive_above is not None:
        parts += ["--positive-above", f"{settings.positive_above:.15g}"]
    if settings.margin is not None:
        parts += ["--margin", f"{settings.margin:.15g}"]
    for arm in settings.real:
        parts += ["--real", arm]
    for name, kind in settings.kinds.items():
        parts += ["--kind", f"{name}={kind}"]
    for name, scale in settings.scales.items():
        parts += ["--scale", f"{name}={','.join(scale)}"]
    return " ".join(shlex.quote(part) for part in parts)
