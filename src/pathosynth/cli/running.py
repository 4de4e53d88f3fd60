"""From a command to its run: a plan is carried out or only told, and what came out is reported."""

import json
from typing import TYPE_CHECKING

from pathosynth.cli.app import Work, show
from pathosynth.cli.progress import progress
from pathosynth.runs.errors import CasesFailed

if TYPE_CHECKING:
    from pathosynth.runs.record import RunRecord
    from pathosynth.stages.batch import Options, Plan


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
    from pathosynth.stages.batch import execute

    if common.dry_run:
        show(plan.described(), common, _told(plan))
        return
    with progress(plan.command, len(plan.tasks), common.quiet) as notice:
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
