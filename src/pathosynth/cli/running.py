"""From the command line's words to what stages take, and from a plan to its run and a report of what came out."""

import json
from typing import TYPE_CHECKING, Any

from pathosynth.cli.app import Cases, Work, show
from pathosynth.cli.progress import progress
from pathosynth.runs.errors import CasesFailed

if TYPE_CHECKING:
    from pathosynth.runs.record import RunRecord
    from pathosynth.stages.batch import Options, Plan
    from pathosynth.stages.generate_images import Rendering
    from pathosynth.stages.morph import Morphing
    from pathosynth.stages.orders import Ordering

MAX_DRAWS = 4
"""Label maps drawn per case, unless the user says otherwise."""


def run_options(common: Work) -> "Options":
    """The options of a run, as stages take them."""
    from pathosynth.stages.batch import Options

    return Options(
        out=common.output, seed=common.seed, device=common.device, jobs=common.jobs,
        overwrite=common.overwrite, debug=common.debug, plugins=tuple(common.use),
    )  # fmt: skip


def run_plan(plan: "Plan", common: Work) -> None:
    """Run a plan, or only tell it, and report.

    Raises:
        CasesFailed: some cases failed; the record names them.
    """
    from pathosynth.stages.batch import execute, part_of

    plan = part_of(plan, common.part if isinstance(common, Cases) else "")
    if common.dry_run:
        show(plan.described(), common, _told(plan))
        return
    with progress(plan.command, len(plan.tasks), common.quiet, lines=plan.prepare is not None) as notice:
        record = execute(plan, run_options(common), notice)
    counts = record.counts()
    show({"output": str(common.output), "command": plan.command, "counts": counts, "cases": record.content["cases"]},
         common, f"{common.output}: {_counted(record)}")  # fmt: skip
    if counts["failed"]:
        names = [name for name, entry in record.content["cases"].items() if entry["outcome"] == "failed"]
        raise CasesFailed(
            f"{counts['failed']} of {len(plan.tasks)} cases failed ({', '.join(names[:5])}); see {record.path}."
        )


def _told(plan: "Plan") -> str:
    lines = [f"{plan.command}: {plan.makes}", f"memory: about {plan.memory_gib:.1f} GiB per worker", "settings:"]
    lines += [f"  {line}" for line in json.dumps(plan.config, indent=2, default=str).splitlines()]
    lines += [f"tasks ({len(plan.tasks)}):", *(f"  {task.case}  from {task.source}" for task in plan.tasks[:20])]
    return "\n".join(lines + (["  …"] if len(plan.tasks) > 20 else []) + ["nothing was written (--dry-run)"])


def _counted(record: "RunRecord") -> str:
    words = {"done": "kept", "rejected": "rejected", "failed": "failed"}
    return ", ".join(f"{number} {words[outcome]}" for outcome, number in record.counts().items())


def morphing_of(pathologies: list[str], settings: list[str], recipe: str, per_case: int | None) -> "Morphing":
    """Pathologies for all, or a recipe.

    Raises:
        ConfigError: both are given, or one of them is wrong.
    """
    from pathosynth.runs.errors import ConfigError
    from pathosynth.stages.morph import Morphing

    if not recipe:
        return Morphing.of(pathologies or ["ventriculomegaly"], settings, per_case)
    if pathologies or settings:
        raise ConfigError(f"--recipe {recipe} says what to put in; leave out --pathology and --set, or the recipe.")
    return Morphing.from_recipe(recipe, per_case)


def rendering_of(common: Work, model: str, settings: list[str], contrast: str = "") -> "Rendering":
    """An image model and its settings.

    Raises:
        ModelError: there is no such model.
        ConfigError: a setting is malformed.
    """
    from pathosynth.stages.generate_images import Rendering

    return Rendering.of(model, settings, common.device, contrast)


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
