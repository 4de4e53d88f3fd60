"""The command that draws figures."""

from typing import Annotated, Any

import typer

from pathosynth.cli import options as o
from pathosynth.cli.app import Work, command
from pathosynth.cli.running import run_options, run_plan

FIGURES = "histogram|control|gallery|violins|asked|sets|evaluation|rejections"

Figure = Annotated[str, typer.Argument(metavar=FIGURES, help="What to draw.")]
Sources = Annotated[
    list[str],
    typer.Option(
        "-i",
        "--input",
        metavar="[NAME=]FOLDER",
        help="Cases, a label model (control, gallery), what evaluate wrote (evaluation), or a judged run (rejections).",
    ),
]


@command("report", "Stages")
def report(
    common: Work,
    *,
    figure: Figure,
    sources: Sources,
    scheme: o.Scheme = "",
    measures: Annotated[
        list[str], typer.Option("--measure", help="What is measured, e.g. ventricle_ml; may be repeated.")
    ] = [],  # noqa: B006, typer needs the plain default
    model: Annotated[str, typer.Option("--model", help="Label model whose trained range is c = 0 to 1.")] = "",
    guidance: Annotated[str, typer.Option("--guidance", metavar="1,2,…", help="Strengths of guidance G.")] = "",
    c: Annotated[str, typer.Option("--c", metavar="FROM:TO:STEP", help="Requested c, also as 0,0.5,1.")] = "",
    n: Annotated[int | None, typer.Option("--n", min=1, help="Maps for each c and G.")] = None,
    closed_loop: Annotated[
        bool, typer.Option("--closed-loop", help="Let the model correct its maps, instead of guidance alone.")
    ] = False,
    keep: Annotated[bool, typer.Option("--keep", help="Keep the maps that were made, with a case table.")] = False,
    checks: o.CheckNames = [],  # noqa: B006
    contrast: Annotated[str, typer.Option("--contrast", help="Image to show, e.g. T2w; the first by default.")] = "",
    neighbours: Annotated[
        int | None,
        typer.Option("--neighbours", min=1, help="Rank of the neighbour that bounds a real case's ball (sets)."),
    ] = None,
    images: Annotated[
        bool,
        typer.Option("--images", help="Show MRI of real people in the page, not only label maps; mind who may see it."),
    ] = False,
    structure: Annotated[
        str, typer.Option("--structure", help="Structure shown closely (evaluation); by default the ventricles.")
    ] = "",
    rows: Annotated[int | None, typer.Option("--rows", min=1, help="Rows of pictures at most.")] = None,
    bins: Annotated[int | None, typer.Option("--bins", min=1, help="Bins of a histogram or of error bands.")] = None,
    settings: Annotated[
        list[str], typer.Option("--set", metavar="KEY=VALUE", help="A setting of the model's sampling, e.g. steps=10.")
    ] = [],  # noqa: B006
) -> None:
    """Draw a figure, with the CSV and JSON behind it: control of volume, sets next to each other, asked against got."""
    from pathosynth.runs.config import parse_settings
    from pathosynth.stages import report

    given: dict[str, Any] = {
        "scheme": scheme, "measure": measures, "model": model, "guidance": guidance, "c": c, "n": n,
        "closed_loop": closed_loop, "keep": keep, "check": checks, "contrast": contrast, "rows": rows, "bins": bins,
        "neighbours": neighbours, "images": images, "structure": structure, "sampling": parse_settings(settings),
    }  # fmt: skip
    options = run_options(common)
    # What was not given is left to the figure; what it does not have is refused there.
    values = {name: value for name, value in given.items() if value not in ("", None, False, [], {})}
    run_plan(report.plan(figure, sources, values, options), common)
