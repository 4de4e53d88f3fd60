"""Which cases were turned down, why, and what they look like: one page that needs no network."""

import functools
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pydantic
from matplotlib.figure import Figure

from pathosynth.drawing.page import Picture
from pathosynth.drawing.sections import Section, Table, sections_page
from pathosynth.drawing.style import png
from pathosynth.runs.config import Config as BaseConfig
from pathosynth.runs.files import json_text, write_bytes, write_table, write_text
from pathosynth.runs.record import FILE_NAME, RunRecord
from pathosynth.stages.batch import Options, Plan, Result
from pathosynth.stages.report import rejections_figures as figures
from pathosynth.stages.report.judged import Judged, read_judged
from pathosynth.stages.report.source import Source, only

NAME = "rejections"
DPI = 200
MOST_NAMED = 20
CAPTIONS = {
    "shares": "Share of all cases that each check turned down, with their number.",
    "strains": "Every case as a point, from 0 (best) to the limit of the check at 1; red: turned down. Points at 4 lie "
    "beyond, or could not be measured.",
    "worst": "The rejected cases with the lowest scores.",
    "kept": "Kept cases, from the lowest score to the highest.",
}


class Config(BaseConfig):
    """Settings of the page."""

    rows: int = pydantic.Field(6, ge=1)
    """Cases shown at most, of the rejected and of the kept."""
    images: bool = False
    """Show images of real cases too, not only their label maps; mind who may see the page."""


@dataclass(frozen=True)
class Drawn:
    """One picture to be drawn."""

    case: str
    source: str = NAME


def plan(sources: tuple[Source, ...], config: Config, options: Options) -> Plan:
    """Draw every picture, then write the page.

    Raises:
        ConfigError: several sources.
        InputError: the source is no run that judged.
    """
    source = only(sources, NAME)
    found = read_judged(source.path)
    return Plan(
        command=f"report {NAME}",
        config=config.model_dump(mode="json"),
        inputs=[source.path / FILE_NAME],
        tasks=[Drawn(name) for name in CAPTIONS],
        work=functools.partial(_draw, found=found, config=config, out=options.out),
        finish=functools.partial(_finish, found=found),
        memory_gib=1.0,
        makes=f"{NAME}.html of {len(found.cases)} judged cases; PNG, CSV and JSON beside it",
    )


def _figure(name: str, found: Judged, config: Config) -> Figure | None:
    if name == "shares":
        return figures.shares(found)
    if name == "strains":
        return figures.strains(found)
    if name == "worst":
        return figures.montage(found.rejected[: config.rows], images=config.images)
    kept = sorted((one for one in found.cases if one.kept), key=lambda one: (one.score or 0.0, one.name))
    places = np.unique(np.linspace(0, len(kept) - 1, min(config.rows, len(kept))).round().astype(int))
    return figures.montage([kept[place] for place in places] if kept else [], images=config.images)


def _draw(task: Drawn, *, found: Judged, config: Config, out: Path) -> Result:
    figure = _figure(task.case, found, config)
    if figure is None:
        return Result("done", "no such case, or its files are no longer where they were", {"shown": False})
    figure.set_dpi(DPI)
    write_bytes(out / f"{task.case}.png", png(figure))
    return Result("done", facts={"shown": True, "files": [f"{task.case}.png"]})


def _finish(out: Path, record: RunRecord, *, found: Judged) -> None:
    """Write the page and the numbers in it."""
    entries = record.content["cases"]
    pictures = {
        name: Picture(name, caption, (out / f"{name}.png").read_bytes())
        for name, caption in CAPTIONS.items()
        if entries[name].get("shown")
    }
    write_text(out / f"{NAME}.html", _page(found, pictures))
    rows = [
        {"case": one.name, "kept": one.kept, "score": one.score, "failed": " ".join(one.failed), "why": one.why}
        for one in found.cases
    ]
    write_table(out / f"{NAME}.csv", rows)
    told = {"figure": NAME, "cases": len(found.cases), "rejected": len(found.rejected), "checks": _counted(found)}
    write_text(out / f"{NAME}.json", json_text(told))


def _counted(found: Judged) -> list[dict[str, object]]:
    """One row for each check: cases judged, turned down, turned down by it alone, median share of the limit used."""
    alone = Counter(one.failed[0] for one in found.cases if len(one.failed) == 1)
    rows = []
    for name in found.checks:
        own = [row for one in found.cases for row in one.findings if row["check"] == name]
        strains = [row["strain"] for row in own if row["judged"] and row["strain"] is not None]
        rejected = sum(name in one.failed for one in found.cases)
        rows.append(
            {"check": name, "judged": sum(bool(row["judged"]) for row in own), "rejected": rejected,
             "share": rejected / len(found.cases), "alone": alone[name],
             "median_strain": float(np.median(strains)) if strains else None}
        )  # fmt: skip
    return rows


def _page(found: Judged, pictures: dict[str, Picture]) -> str:
    rejected, number = found.rejected, len(found.cases)
    share = len(rejected) / number
    lead = f"{len(rejected)} of {number} cases of a run of {found.command} were turned down ({share:.1%})."
    unjudged = [row["check"] for row in _counted(found) if not row["judged"]]
    notes = ["A check that passes shows the absence of the faults it knows; look at kept cases too."]
    if unjudged:
        notes.append(f"Without anything to compare with, these judged no case: {', '.join(map(str, unjudged))}.")
    for name in found.checks:
        beyond = [one.name for one in found.cases if one.kept and name in one.advised]
        if beyond:
            more = f" and {len(beyond) - MOST_NAMED} more" if len(beyond) > MOST_NAMED else ""
            notes.append(f"Look at these too, to which {name} points: {', '.join(beyond[:MOST_NAMED])}{more}.")
    checks = Table(
        ("check", "judged", "rejected", "share", "by this check alone", "median share of the limit used"),
        tuple(
            (str(row["check"]), str(row["judged"]), str(row["rejected"]), f"{row['share']:.1%}", str(row["alone"]),
             "–" if row["median_strain"] is None else f"{row['median_strain']:.2f}")
            for row in _counted(found)
        ),
    )  # fmt: skip
    reasons = Table(
        ("case", "score", "why"),
        tuple((one.name, "–" if one.score is None else f"{one.score:.3f}", one.why) for one in rejected[:40]),
        "The lowest scores first, 40 at most; all in rejections.csv.",
    )
    shown = {name: (pictures[name],) if name in pictures else () for name in CAPTIONS}
    sections = (
        Section("Rejected by check", "", (checks,), shown["shares"]),
        Section("Distance from the limits", "", (), shown["strains"]),
        Section("Worst cases", "" if rejected else "No case was turned down.", (), shown["worst"]),
        Section("Kept cases", "", (), shown["kept"]),
        *((Section("Reasons", "", (reasons,)),) if rejected else ()),
    )
    return sections_page("Rejected cases", lead, notes, sections)
