"""Commands that make files: one call of one stage each."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pathosynth.cli import options as o
from pathosynth.cli.app import Cases, Work, command, show
from pathosynth.cli.progress import step_progress
from pathosynth.cli.running import (
    MAX_DRAWS,
    morphing_of,
    ordering,
    rendering_of,
    run_options,
    run_plan,
    sampling_changes,
)

if TYPE_CHECKING:
    pass

PAUSED = 75
"""Exit code of a training that was asked to stop and will go on: EX_TEMPFAIL of sysexits.h."""


@command("prepare", "Stages")
def prepare(
    common: Cases,
    *,
    source: o.Input,
    scheme: o.Scheme = "",
    layout: Annotated[
        str, typer.Option("--format", help="Layout of the data set (list formats); auto looks at the files.")
    ] = "auto",
    settings: Annotated[
        list[str], typer.Option("--set", metavar="KEY=VALUE", help="A setting of the format, e.g. labels_suffix=_seg.")
    ] = [],  # noqa: B006, typer needs the plain default
    spacing_mm: Annotated[
        float | None, typer.Option("--spacing-mm", help="Voxel edge; by default each case keeps its own.")
    ] = None,
    margin_mm: Annotated[float, typer.Option("--margin-mm", help="Space kept around the labels.")] = 5.0,
    multiple: Annotated[int, typer.Option("--multiple", help="Round voxels per axis up to a multiple.")] = 1,
    to_scheme: Annotated[
        str, typer.Option("--to-scheme", help="Remap the labels to this scheme, by the table of their own.")
    ] = "",
) -> None:
    """Bring a data set onto one isotropic grid per case, at the real voxel size, one intensity scale per volume."""
    from pathosynth.runs.config import build_config, parse_settings
    from pathosynth.stages import inputs, prepare

    values = {"spacing_mm": spacing_mm, "margin_mm": margin_mm, "multiple": multiple, "to_scheme": to_scheme}
    preparation = build_config(prepare.Preparation, values, "prepare")
    found = inputs.read_input(source, scheme, layout, parse_settings(settings))
    run_plan(prepare.plan(found, preparation, run_options(common)), common)


@command("morph", "Stages")
def morph(
    common: Cases,
    *,
    source: o.Input,
    scheme: o.Scheme = "",
    pathologies: o.Pathologies = [],  # noqa: B006, typer needs the plain default
    settings: o.Settings = [],  # noqa: B006
    recipe: o.Recipe = "",
    per_case: o.Variants = None,
) -> None:
    """Reshape label maps: put pathologies of a chosen severity, or a cohort of patients, into healthy brains."""
    from pathosynth.stages import inputs, morph

    morphing = morphing_of(pathologies, settings, recipe, per_case)
    run_plan(morph.plan(inputs.read_input(source, scheme), morphing, run_options(common)), common)


@command("generate-labels", "Stages")
def generate_labels(
    common: Cases,
    *,
    model: o.LabelModel,
    number: o.Number = 1,
    settings: o.Wishes = [],  # noqa: B006, typer needs the plain default
    guidance: o.Guidance = None,
    steps: o.SamplingSteps = None,
    open_loop: o.OpenLoop = False,
    beyond: o.Beyond = "",
    max_draws: o.MaxDraws = MAX_DRAWS,
    scheme: o.Scheme = "",
) -> None:
    """Make label maps from nothing, each with the measurements asked for."""
    from pathosynth.stages import generate_labels

    changes = sampling_changes(guidance, steps, open_loop, beyond)
    wanted = ordering(common, model, settings, number, changes=changes, max_draws=max_draws, scheme=scheme)
    run_plan(generate_labels.plan(wanted, run_options(common)), common)


@command("generate-images", "Stages")
def generate_images(
    common: Cases,
    *,
    source: o.Input,
    scheme: o.Scheme = "",
    model: o.Model = "",
    settings: o.RenderingSettings = [],  # noqa: B006, typer needs the plain default
    parents: o.Parents = None,
    per_case: o.PerCase = 1,
    contrast: Annotated[
        str,
        typer.Option("--contrast", help="Image to make, e.g. T1w; by default the model's first, without weights T2w."),
    ] = "",
    best_of: Annotated[
        int, typer.Option("--best-of", min=1, help="Render so many seeds and keep the one that the checks score best.")
    ] = 1,
    bands: Annotated[
        Path | None,
        typer.Option("--bands", metavar="FOLDER", help="Yardstick of the score instead of the model's own."),
    ] = None,
) -> None:
    """Render an image for every label map."""
    from pathosynth.stages import generate_images, inputs
    from pathosynth.stages.seed_choice import Choosing

    found = inputs.read_input(source, scheme)
    known = inputs.read_input(parents, scheme) if parents else []
    rendering = rendering_of(common, model, settings, contrast)
    choosing = Choosing.of(best_of, rendering.found, bands) if best_of > 1 else None
    run_plan(generate_images.plan(found, known, rendering, per_case, run_options(common), choosing), common)


@command("check", "Stages")
def check(
    common: Cases,
    *,
    source: o.Input,
    scheme: o.Scheme = "",
    parents: o.Parents = None,
    checks: o.CheckNames = [],  # noqa: B006, typer needs the plain default
    model: Annotated[
        str, typer.Option("--model", help="Model that made images or label maps: its training cases are the yardstick.")
    ] = "",
    bands: Annotated[
        Path | None, typer.Option("--bands", metavar="FOLDER", help="Another yardstick: what `bands` wrote.")
    ] = None,
    predicted: o.Predicted = None,
) -> None:
    """Keep or reject cases, and say why: writes checks.csv with a score, and tables of kept and rejected cases."""
    from pathosynth.stages import check, inputs
    from pathosynth.stages.second_opinion import SecondOpinion

    known = inputs.read_input(parents, scheme) if parents else []
    cases = inputs.read_input(source, scheme)
    opinion = SecondOpinion.read(predicted, cases, scheme) if predicted else SecondOpinion()
    run_plan(check.plan(cases, known, check.Wanted(tuple(checks), model, bands, opinion), run_options(common)), common)


@command("bands", "Stages")
def bands(
    common: Work,
    *,
    source: o.Input,
    scheme: o.Scheme = "",
    contrast: Annotated[
        str, typer.Option("--contrast", help="Image to measure, e.g. T2w; by default the one all cases have.")
    ] = "",
    predicted: o.Predicted = None,
) -> None:
    """Learn from real cases what `check --bands` holds made ones against: intensities, quality, label agreement."""
    from pathosynth.stages import bands, inputs
    from pathosynth.stages.second_opinion import SecondOpinion

    cases = inputs.read_input(source, scheme)
    opinion = SecondOpinion.read(predicted, cases, scheme) if predicted else SecondOpinion()
    run_plan(bands.plan(cases, contrast, opinion, run_options(common)), common)


@command("export", "Stages")
def export(
    common: Work,
    *,
    sources: o.Inputs,
    scheme: o.Scheme = "",
    layout: Annotated[str, typer.Option("--format", help="Layout to write: nnunet.")] = "nnunet",
    contrasts: Annotated[
        list[str], typer.Option("--contrast", help="A channel, in order; by default all that every case has.")
    ] = [],  # noqa: B006, typer needs the plain default
    folds: Annotated[
        int,
        typer.Option("--folds", min=0, help="Write splits_final.json: synthetic cases train only, no subject leaks."),
    ] = 0,
    allow_copies: Annotated[
        bool, typer.Option("--allow-copies", help="Hand on cases of a model whose audit found copies of people.")
    ] = False,
) -> None:
    """Write real and synthetic cases as a data set that nnU-Net trains on."""
    from pathosynth.runs.errors import ConfigError
    from pathosynth.stages import export, inputs

    if layout != "nnunet":
        raise ConfigError(f"--format {layout}: expected nnunet. What synthesize and prepare write is BIDS already.")
    cases = [case for source in sources for case in inputs.read_input(source, scheme)]
    run_plan(export.plan(cases, contrasts, folds, run_options(common), allow_copies=allow_copies), common)


@command("train", "Stages")
def train(
    common: Work,
    *,
    sources: o.Inputs,
    generator: Annotated[str, typer.Option("--generator", help="What to train (list generators).")] = "pixel_diffusion",
    preset: Annotated[
        str, typer.Option("--preset", help="Settings to start from, e.g. paper; by default the generator's first.")
    ] = "",
    settings: o.GeneratorSettings = [],  # noqa: B006, typer needs the plain default
    scheme: o.Scheme = "",
    max_steps: Annotated[
        int | None, typer.Option("--max-steps", min=1, help="Length of the training, for generators of one network.")
    ] = None,
    minutes: Annotated[
        float | None, typer.Option("--minutes", min=0, help="Save and leave after this time; the same command goes on.")
    ] = None,
    resume: Annotated[
        str, typer.Option("--resume", metavar="auto|never", help="Go on from a checkpoint in OUT.")
    ] = "auto",
) -> None:
    """Train a generator of images or of label maps; stopped at any moment, the same command goes on."""
    from pathosynth.stages import inputs, train

    training = train.Training.of(generator, preset, settings, max_steps=max_steps, minutes=minutes, resume=resume)
    cases = [case for source in sources for case in inputs.read_input(source, scheme)]
    if common.dry_run:
        config = train.checked_config(cases, training)
        facts = {"command": "train", "cases": len(cases), "config": config.model_dump(mode="json")}
        show(facts, common, json.dumps(facts, indent=2) + "\nnothing was written (--dry-run)")
        return
    with step_progress(common.quiet) as notice:
        reached = train.train(cases, training, run_options(common), notice)
    show(
        {"output": str(common.output), "finished": reached},
        common,
        f"{common.output}: {'done' if reached else 'paused'}",
    )
    if not reached:
        raise typer.Exit(PAUSED)
