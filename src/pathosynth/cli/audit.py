"""The command that asks whether a model has memorised what it learnt from."""

from pathlib import Path
from typing import Annotated

import typer

from pathosynth.cli import options as o
from pathosynth.cli.app import Work, command
from pathosynth.cli.running import run_options, run_plan


@command("audit", "Stages")
def audit(
    common: Work,
    *,
    model: Annotated[str, typer.Argument(metavar="MODEL", help="A model folder, or a shipped model.")],
    source: o.Input,
    scheme: o.Scheme = "",
    held_out: Annotated[
        Path | None, typer.Option("--held-out", metavar="CASES", help="Real cases of people it did not learn from.")
    ] = None,
    generated: Annotated[
        Path | None, typer.Option("--generated", metavar="CASES", help="Cases it made; without it, some are made.")
    ] = None,
    control: Annotated[
        str, typer.Option("--control", metavar="MODEL", help="A like model that did not learn from these cases.")
    ] = "",
    n: Annotated[int, typer.Option("--n", min=1, help="Label maps to draw, where none were given.")] = 20,
    canaries: Annotated[
        list[str], typer.Option("--canary", metavar="TEXT", help="A text that must not be found; may be repeated.")
    ] = [],  # noqa: B006, typer needs the plain default
    labels_only: Annotated[bool, typer.Option("--labels-only", help="Show label maps in the page, no images.")] = False,
) -> None:
    """Look for memorised training cases in a model: copies, membership, texts; into a page and the model card."""
    from pathosynth.stages import audit, inputs
    from pathosynth.stages.audit.asked import trained_model, with_labels
    from pathosynth.stages.models import device_for

    found = trained_model(model)
    contrast = "" if "conditions" in found.card else found.contrast
    training = with_labels(inputs.read_input(source, scheme), contrast)
    given = inputs.read_input(generated, scheme) if generated else []
    asked = audit.Audit(
        found=found,
        training=training,
        held_out=with_labels(inputs.read_input(held_out, scheme), contrast) if held_out else (),
        generated=tuple(given),
        control=trained_model(control) if control else None,
        device=device_for(found, common.device),
        seed=common.seed,
        drawn=n,
        canaries=tuple(canaries),
        generated_folder=generated if generated and generated.is_dir() else None,
        show=not labels_only,
    )
    run_plan(audit.plan(asked, run_options(common)), common)
