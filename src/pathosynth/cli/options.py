"""Options that several commands share, each with its one help text."""

from pathlib import Path
from typing import Annotated

import typer

Input = Annotated[
    Path, typer.Option("-i", "--input", help="A cases.csv, a folder of label maps, or one label map (.nii.gz).")
]
Inputs = Annotated[
    list[Path], typer.Option("-i", "--input", help="A cases.csv or a folder of label maps and images; may be repeated.")
]
Source = Annotated[
    Path | None,
    typer.Argument(metavar="INPUT", help="One label map, a folder of them, or a cases.csv; none with --label-model."),
]
Scheme = Annotated[
    str, typer.Option("--scheme", help="Legend of the label maps: a shipped name (list schemes) or a .toml file.")
]
Pathologies = Annotated[
    list[str],
    typer.Option(
        "--pathology", help="What to put in (list pathologies), by default ventriculomegaly; repeat to put in several."
    ),
]
Settings = Annotated[
    list[str],
    typer.Option("--set", metavar="[PATHOLOGY.]KEY=VALUE", help="A setting of a pathology, e.g. atrial_width_mm=18."),
]
AnySettings = Annotated[
    list[str],
    typer.Option(
        "--set",
        metavar="[PATHOLOGY.]KEY=VALUE",
        help="A setting of a pathology, e.g. atrial_width_mm=18; with --label-model what a map shall measure, e.g. "
        "ventricle_ml=uniform:10:150.",
    ),
]
Recipe = Annotated[
    str,
    typer.Option("--recipe", help="A cohort instead of one pathology: a shipped name (list recipes) or a .toml file."),
]
GeneratorSettings = Annotated[list[str], typer.Option("--set", metavar="KEY=VALUE", help="A setting of the generator.")]
RenderingSettings = Annotated[
    list[str],
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="A setting of a generator without weights; of a trained model its sampling, e.g. steps=20.",
    ),
]
Parents = Annotated[
    Path | None, typer.Option("--parents", help="The cases these were made from: for --model carried, and for checks.")
]
PerCase = Annotated[int, typer.Option("--per-case", min=1, help="Variants made of each input.")]
Variants = Annotated[
    int | None,
    typer.Option("--per-case", min=1, help="Variants made of each input; by default 1, or what a recipe says."),
]
Model = Annotated[str, typer.Option("--model", help="A shipped model or generator (list models), or a model folder.")]
CheckNames = Annotated[
    list[str], typer.Option("--check", help="A check to apply (list checks); all of them by default.")
]
LabelModel = Annotated[
    str, typer.Option("-i", "--input", metavar="MODEL", help="A shipped label model (list models), or a model folder.")
]
FromLabelModel = Annotated[
    str, typer.Option("--label-model", help="Make the label maps too, with this model (list models): give no INPUT.")
]
Number = Annotated[int, typer.Option("--n", min=1, help="Label maps to make.")]
NumberFromNothing = Annotated[
    int | None, typer.Option("--n", min=1, help="Cases to make with --label-model; by default 1.")
]
Wishes = Annotated[
    list[str],
    typer.Option(
        "--set",
        metavar="NAME=VALUE",
        help="What a map shall measure (info MODEL), e.g. ventricle_ml=40, ventricle_ml=uniform:10:150, "
        "age_weeks=normal:28:2:22:34, c=choice:0.2:0.8.",
    ),
]
Guidance = Annotated[
    float | None, typer.Option("--guidance", min=0, help="How strongly the request steers; 1 is the plain model.")
]
SamplingSteps = Annotated[int | None, typer.Option("--steps", min=1, help="Steps of the sampler.")]
OpenLoop = Annotated[
    bool, typer.Option("--open-loop", help="Take what the model draws; do not correct it until it measures as asked.")
]
Beyond = Annotated[
    str,
    typer.Option(
        "--beyond",
        metavar="morph|guide|refuse",
        help="Requests outside the trained range: generate and reshape, leave to guidance, or refuse.",
    ),
]
MaxDraws = Annotated[
    int, typer.Option("--max-draws", min=1, help="Maps drawn per case until one passes; then it is rejected.")
]
Predicted = Annotated[
    Path | None,
    typer.Option(
        "--predicted",
        metavar="FOLDER",
        help="What a segmenter that learnt from real cases only found in these cases (`segment -i`), matched by name.",
    ),
]
