"""The commands to begin with: from label maps, or from nothing, to a checked data set in one go."""

from pathlib import Path
from typing import Annotated

import typer

from pathosynth.cli import options as o
from pathosynth.cli.app import Work, command
from pathosynth.cli.running import morphing_of, ordering, rendering_of, run_options, run_plan, sampling_changes


@command("synthesize", "First steps")
def synthesize(
    common: Work,
    *,
    source: o.Source = None,
    scheme: o.Scheme = "",
    pathologies: o.Pathologies = [],  # noqa: B006, typer needs the plain default
    settings: o.AnySettings = [],  # noqa: B006
    recipe: o.Recipe = "",
    model: o.Model = "",
    per_case: o.Variants = None,
    label_model: o.FromLabelModel = "",
    number: o.NumberFromNothing = None,
    guidance: o.Guidance = None,
    open_loop: o.OpenLoop = False,
    beyond: o.Beyond = "",
) -> None:
    """Morph, render and check in one go: healthy label maps in, a labelled pathological data set out.

    With --label-model the label maps are made too, from nothing, with the measurements of --set.
    """
    given = {"INPUT": source, "--pathology": pathologies, "--recipe": recipe, "--per-case": per_case}
    changes = sampling_changes(guidance, None, open_loop, beyond)
    if label_model:
        _refuse_morphing(label_model, [name for name, value in given.items() if value])
        from pathosynth.stages import synthesize_generated

        wanted = ordering(common, label_model, settings, number or 1, changes=changes, scheme=scheme)
        generation = synthesize_generated.Generation.of(wanted, rendering_of(common, model, []))
        run_plan(synthesize_generated.plan(generation, run_options(common)), common)
        return
    from pathosynth.stages import inputs, synthesize

    sampling = [f"--{'open-loop' if name == 'closed_loop' else name}" for name in changes]
    found = inputs.read_input(_required(source, sampling if number is None else ["--n", *sampling]), scheme)
    morphing = morphing_of(pathologies, settings, recipe, per_case)
    run_plan(synthesize.plan(found, morphing, rendering_of(common, model, []), run_options(common)), common)


def _refuse_morphing(label_model: str, given: list[str]) -> None:
    """Refuse to reshape or read label maps in the run that makes them.

    Raises:
        ConfigError: naming the two commands that do it.
    """
    from pathosynth.runs.errors import ConfigError

    if given:
        raise ConfigError(
            f"--label-model makes its own label maps, and {', '.join(given)} cannot be given with it; --set says what "
            f"they measure. To make label maps sicker, take two commands: `pathosynth generate-labels -i {label_model} "
            "-o LABELS …`, then `pathosynth synthesize LABELS -o OUT --pathology …`."
        )


def _required(source: Path | None, misplaced: list[str]) -> Path:
    """The input of a run that morphs.

    Raises:
        ConfigError: there is none, or options are given that belong to `--label-model`.
    """
    from pathosynth.runs.errors import ConfigError

    if misplaced:
        raise ConfigError(f"{', '.join(misplaced)}: how label maps are made. Give --label-model too, or leave it out.")
    if source is None:
        raise ConfigError("expected INPUT, a label map, a folder of them or a cases.csv; or --label-model NAME.")
    return source


@command("demo", "First steps")
def demo(
    common: Work,
    *,
    phantoms: Annotated[int, typer.Option("--phantoms", min=1, help="Random brain phantoms to make sick.")] = 3,
    model: o.Model = "",
    label_model: Annotated[
        str, typer.Option("--label-model", help="Makes three heads from nothing; by default the shipped fetal-labels.")
    ] = "",
) -> None:
    """Synthesize from nothing but the package: heads with chosen ventricle volumes, and phantoms made sick."""
    from pathosynth.stages import demo

    options = run_options(common)
    run_plan(demo.plan(phantoms, rendering_of(common, model, []), options, label_model), common)
