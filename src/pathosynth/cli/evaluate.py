"""The command that judges predictions."""

from typing import Annotated

import typer

from pathosynth.cli import options as o
from pathosynth.cli.app import Work, command
from pathosynth.cli.running import run_options, run_plan


@command("evaluate", "Stages")
def evaluate(
    common: Work,
    *,
    source: o.Input,
    predicted: Annotated[
        list[str],
        typer.Option(
            "--predicted",
            metavar="NAME=FOLDER",
            help="Predictions of an arm; the same NAME again is another training of it, FOLDER,FOLDER… its folds.",
        ),
    ],
    scheme: Annotated[
        str, typer.Option("--scheme", help="Compare in this label scheme; by default that of the reference.")
    ] = "",
    structures: Annotated[
        list[str], typer.Option("--structure", metavar="GROUP", help="A group to judge; by default all of the scheme.")
    ] = [],  # noqa: B006, typer needs the plain default
    baseline: Annotated[str, typer.Option("--baseline", help="Arm the others are compared with; the first.")] = "",
    subgroups: Annotated[
        list[str],
        typer.Option(
            "--subgroup", metavar="age|severity|pathology[=EDGE,…]", help="Divide the cases, e.g. age_weeks=26,32."
        ),
    ] = [],  # noqa: B006
    above: Annotated[
        list[str], typer.Option("--above", metavar="GROUP=ML", help="Divide by reference volume, e.g. ventricles=50.")
    ] = [],  # noqa: B006
) -> None:
    """Judge predicted labels on reference labels: Dice, HD95, surface distances and volumes, with intervals.

    Test subjects that are among the ancestors of the training data are an error.
    """
    from pathosynth.runs.config import build_config
    from pathosynth.stages import evaluate

    values = {
        "scheme": scheme, "structures": structures, "baseline": baseline, "subgroups": subgroups, "above": above,
    }  # fmt: skip
    settings = build_config(evaluate.Evaluation, values, "evaluate")
    run_plan(evaluate.plan(source, predicted, settings, run_options(common)), common)
