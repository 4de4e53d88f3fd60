"""The command that trains segmenters and predicts labels."""

import functools
from pathlib import Path
from typing import Annotated

import typer

from pathosynth.cli import options as o
from pathosynth.cli.app import Cases, command
from pathosynth.cli.progress import step_progress
from pathosynth.cli.running import run_options, run_plan


@command("segment", "Stages")
def segment(
    common: Cases,
    *,
    source: Annotated[
        Path | None, typer.Option("-i", "--input", help="Cases to segment; without it, only train.")
    ] = None,
    train: Annotated[
        list[Path], typer.Option("--train", metavar="CASES", help="Cases to learn from; may be repeated.")
    ] = [],  # noqa: B006, typer needs the plain default
    model: Annotated[
        Path | None, typer.Option("--model", metavar="FOLDER", help="A segmenter trained before, instead of --train.")
    ] = None,
    segmenter: Annotated[
        str,
        typer.Option("--segmenter", help="What segments (list segmenters); external takes predictions made elsewhere."),
    ] = "nnunet",
    plan: Annotated[
        str,
        typer.Option("--plan", help="Preset of the segmenter; nnU-Net has small, minutes on one core, and default."),
    ] = "",
    settings: Annotated[
        list[str], typer.Option("--set", metavar="KEY=VALUE", help="A setting of the segmenter, e.g. epochs=50.")
    ] = [],  # noqa: B006
    contrast: Annotated[
        str, typer.Option("--contrast", help="Image to learn from, e.g. T2w; by default the one all cases have.")
    ] = "",
    scheme: o.Scheme = "",
    only_prepare: Annotated[
        bool, typer.Option("--only-prepare", help="Make the training data ready and stop, for trainings of many seeds.")
    ] = False,
    prepared: Annotated[
        Path | None,
        typer.Option("--prepared", metavar="FOLDER", help="Take what --only-prepare made of the same --train there."),
    ] = None,
) -> None:
    """Train a segmenter on cases and predict the labels of others, each on its own grid."""
    from pathosynth.runs.errors import ConfigError
    from pathosynth.stages import segment
    from pathosynth.stages.segment_training import Tables
    from pathosynth.stages.segmentation import Segmentation

    if train and model:
        raise ConfigError("--train and --model: expected one of them. A segmenter trained before learns no more.")
    if (only_prepare or prepared) and (not train or (only_prepare and (prepared or source))):
        raise ConfigError(
            "--only-prepare and --prepared: expected --train CASES, one of the two, and no -i to prepare."
        )
    if source is None and not train:
        raise ConfigError("expected -i CASES to segment, or --train CASES to learn from; found neither.")
    if train:
        tables = Tables.read(train, scheme, contrast)
        chosen = Segmentation.trained(segmenter, plan, settings, tables, common.output)
        chosen = chosen.only_prepared() if only_prepare else chosen.after(prepared) if prepared else chosen
    elif model:
        chosen = Segmentation.stored(model, settings)
    else:
        chosen = Segmentation.elsewhere(segmenter, settings)
    cases = segment.read_test(source, scheme) if source else []
    watch = functools.partial(step_progress, common.quiet)
    run_plan(segment.plan(cases, chosen, run_options(common), watch), common)
