"""The commands that plan a reader study and analyse its ratings."""

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from pathosynth.cli.app import Speech, Talk, command, show
from pathosynth.cli.reader import reader_app
from pathosynth.runs.errors import ConfigError

PLANS = "icc|accuracy|auc|mrmc"


@command("analyse", "Stages", reader_app)
def analyse(
    common: Speech,
    *,
    ratings: Annotated[
        Path,
        typer.Argument(metavar="RATINGS.csv", help="Columns reader,case,arm,question,repeat,value; more are fine."),
    ],
    json_file: Annotated[
        str, typer.Option("--json", metavar="FILE", help="Write every number to this JSON file; - is standard output.")
    ] = "",
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Folder for a page (HTML), its tables (CSV) and the JSON.")
    ] = None,
    real: Annotated[
        list[str],
        typer.Option(
            "--real",
            metavar="ARM",
            help="Arm of real cases, several times for several; by default what image_origin says of each, or real.",
        ),
    ] = [],  # noqa: B006, typer needs the plain default
    kinds: Annotated[
        list[str],
        typer.Option(
            "--kind",
            metavar="QUESTION=KIND",
            help="Kind of a question where file and values do not show it: graded, detection, nominal, ticks or text.",
        ),
    ] = [],  # noqa: B006, typer needs the plain default
    scales: Annotated[
        list[str],
        typer.Option(
            "--scale",
            metavar="QUESTION=LOWEST,…,HIGHEST",
            help="Grades in words, in their order; an export says them itself.",
        ),
    ] = [],  # noqa: B006, typer needs the plain default
    weights: Annotated[
        str, typer.Option("--weights", metavar="linear|quadratic", help="Of the weighted kappa.")
    ] = "quadratic",
    truth: Annotated[
        str, typer.Option("--truth", metavar="COLUMN", help="Column with each case's truth; arms are then modalities.")
    ] = "",
    positive_above: Annotated[
        float | None,
        typer.Option("--positive-above", metavar="GRADE", help="With --truth: grades above it say positive."),
    ] = None,
    margin: Annotated[
        float | None,
        typer.Option(
            "--margin", metavar="GRADES", help="Are arms worse than the reference by so much, or the same within it?"
        ),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of bootstraps; same seed, same result.")] = 0,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what an earlier run made in OUT.")] = False,
) -> None:
    """Analyse ratings: agreement, real or synthetic, grades of the arms, repeats; every number with its interval.

    Ratings may come from any study. One row is one answer; an empty value is none; repeat 0 is the first reading.
    """
    from pathosynth.reader.analysis.report import analyse_file, write_report
    from pathosynth.reader.analysis.settings import Settings
    from pathosynth.reader.analysis.words import summary
    from pathosynth.runs.config import build_config
    from pathosynth.runs.files import json_text, write_text

    values = {
        "weights": weights,
        "truth": truth,
        "positive_above": positive_above,
        "margin": margin,
        "seed": seed,
        "kinds": _pairs("kind", kinds, "QUESTION=KIND, e.g. --kind artefacts=ticks"),
        "scales": {
            name: tuple(word.strip() for word in words.split(","))
            for name, words in _pairs("scale", scales, "QUESTION=GRADES, e.g. --scale quality=poor,fair,good").items()
        },
        "real": tuple(real),
    }
    settings = build_config(Settings, values, "reader analyse")
    found = analyse_file(ratings, settings)
    if output is not None:
        write_report(ratings, settings, found, output, overwrite=overwrite)
    if json_file == "-":
        sys.stdout.write(json_text(found.as_json()))
        return
    if json_file:
        write_text(Path(json_file), json_text(found.as_json()))
    if not common.quiet:
        typer.echo(summary(found.content))


@command("power", "Look", reader_app)
def power(
    common: Talk,
    *,
    what: Annotated[str, typer.Argument(metavar=PLANS, help="What the study is to show.")],
    readers: Annotated[int, typer.Option("--readers", min=1, help="Readers, each reading every case.")],
    cases: Annotated[int | None, typer.Option("--cases", min=4, help="Cases of a study whose power is asked.")] = None,
    wanted: Annotated[float, typer.Option("--power", help="Power for which the fewest cases are asked.")] = 0.8,
    expected: Annotated[
        float | None, typer.Option("--expected", help="ICC, accuracy or AUC that is expected (not for mrmc).")
    ] = None,
    least: Annotated[float | None, typer.Option("--least", help="icc: what its interval is to lie above.")] = None,
    half_width: Annotated[float | None, typer.Option("--half-width", help="icc: of its interval, at most.")] = None,
    reader_sd: Annotated[
        float | None,
        typer.Option("--reader-sd", min=0, help="accuracy, auc: SD of readers' true values; 0.05 if not given."),
    ] = None,
    correlation: Annotated[
        float | None,
        typer.Option("--correlation", help="accuracy, auc: of two readers on the same cases; 0.3 if not given."),
    ] = None,
    difference: Annotated[float | None, typer.Option("--difference", help="mrmc: of the AUCs of two arms.")] = None,
    pilot: Annotated[
        Path | None, typer.Option("--pilot", metavar="FILE", help="mrmc: JSON of an earlier analysis with two arms.")
    ] = None,
) -> None:
    """How many cases, or what power: an ICC above a limit, telling better than chance, or two arms compared.

    Against chance the test is that of the mean over readers at 0.5; half of the cases are of either origin.
    """
    from pathosynth.reader.analysis.plan import Question, plan

    given = {
        "expected": expected, "least": least, "half_width": half_width, "reader_sd": reader_sd,
        "correlation": correlation, "difference": difference, "pilot": pilot,
    }  # fmt: skip
    asked = {name: value for name, value in given.items() if value is not None}
    found = plan(what, Question(readers=readers, cases=cases, power=wanted, **asked))
    show(found.as_json(), common, found.words())


def _pairs(option: str, texts: list[str], expected: str) -> dict[str, Any]:
    """``NAME=VALUE`` pairs as a dictionary."""
    found = {}
    for text in texts:
        name, equals, value = text.rpartition("=")
        if not equals or not name:
            raise ConfigError(f"--{option} {text}: expected {expected}.")
        found[name] = value
    return found
