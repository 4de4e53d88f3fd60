"""The command that makes label maps from nothing, and what `synthesize` shares with it."""

from typing import TYPE_CHECKING, Any

from pathosynth.cli import options as o
from pathosynth.cli.app import Work, command
from pathosynth.cli.running import run_options, run_plan

if TYPE_CHECKING:
    from pathosynth.stages.orders import Ordering

MAX_DRAWS = 4
"""Draws per case, unless the user says otherwise."""


@command("generate-labels", "Stages")
def generate_labels(
    common: Work,
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


def sampling_changes(guidance: float | None, steps: int | None, open_loop: bool, beyond: str) -> dict[str, Any]:
    """Settings of the sampler that the user gave; the model keeps the others."""
    closed_loop = False if open_loop else None
    given = {"guidance": guidance, "steps": steps, "closed_loop": closed_loop, "beyond": beyond or None}
    return {name: value for name, value in given.items() if value is not None}


def ordering(
    common: Work,
    model: str,
    settings: list[str],
    number: int,
    *,
    changes: dict[str, Any],
    max_draws: int = MAX_DRAWS,
    scheme: str = "",
) -> "Ordering":
    """Build the order from the command line's words."""
    from pathosynth.stages.label_models import Labelling
    from pathosynth.stages.orders import Ordering

    labelling = Labelling.of(model, changes, common.device, scheme)
    return Ordering.of(labelling, settings, number, max_draws)
