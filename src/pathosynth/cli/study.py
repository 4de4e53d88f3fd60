"""The commands of whole studies."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pathosynth.cli import options as o
from pathosynth.cli.app import Talk, Work, app, command, show
from pathosynth.cli.running import run_options
from pathosynth.cli.understood import check_jobs

if TYPE_CHECKING:
    from pathosynth.workflow.plan import Plan, State
    from pathosynth.workflow.run import Notice

study = typer.Typer(
    name="study",
    help="Run a whole study, resumable, on this machine or a cluster: data, ingredients, segmenters, evaluation.",
    no_args_is_help=True,
)
app.add_typer(study, rich_help_panel="Stages")

StudyFile = Annotated[str, typer.Argument(metavar="STUDY", help="A shipped study (study list) or a .toml file.")]
Folder = Annotated[Path, typer.Argument(metavar="OUT", help="Folder of a study.")]


@command("run", "Stages", study)
def run(
    common: Talk,
    *,
    name: StudyFile,
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder to write; the same command again goes on.")],
    data: Annotated[
        Path | None, typer.Option("--data", help="Folder that the study's data folders lie in; by default the study's.")
    ] = None,
    cores: Annotated[int, typer.Option("--cores", min=1, help="Cores of this machine for all jobs together.")] = 1,
    executor: Annotated[str, typer.Option("--executor", metavar="local|slurm", help="Where the jobs run.")] = "local",
    jobs: Annotated[int, typer.Option("--jobs", min=1, help="Jobs at once on a cluster.")] = 100,
    status_command: Annotated[
        str,
        typer.Option("--status-command", metavar="squeue|sacct", help="How SLURM is asked; by default what works."),
    ] = "",
    first_look: Annotated[
        int, typer.Option("--first-look", min=1, help="Seconds after a submission until SLURM is first asked.")
    ] = 40,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check and list every job; write nothing.")] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Do again what was done with other commands, and what follows from it.")
    ] = False,
) -> None:
    """Run a study: every job that is not done yet; stopped or killed at any moment, the same command goes on."""
    from pathosynth.runs.errors import ConfigError
    from pathosynth.workflow.run import Executor, run_study

    if executor not in ("local", "slurm"):
        raise ConfigError(f"--executor {executor}: expected local or slurm.")
    plan = _planned(name, data, common.use)
    if dry_run or not output.exists():
        check_jobs(plan.jobs, [f"models/{model}" for model in plan.study["models"]])
    if dry_run:
        show([job.model_dump(mode="json") for job in plan.jobs], common, _told(plan))
        return
    where = Executor(executor, cores, jobs, status_command, first_look)
    run_study(output, plan, where, _notice(plan, common), overwrite=overwrite)
    show({"output": str(output), "jobs": len(plan.jobs)}, common, f"{output}: {len(plan.jobs)} jobs done")


@command("status", "Stages", study)
def status(common: Talk, *, folder: Folder) -> None:
    """Show how far a study is: jobs done, running, failed or waiting, with their logs."""
    from pathosynth.workflow.status import counts, study_status, table

    rows = study_status(folder)
    show({"counts": counts(rows), "jobs": [row.facts() for row in rows]}, common, table(rows))


@command("list", "Stages", study)
def listed(common: Talk) -> None:
    """Show the studies that ship."""
    from pathosynth.workflow.study import load_study, study_names

    found = {name: load_study(name)[0].about for name in study_names()}
    rows = [{"name": name, "about": about} for name, about in found.items()]
    show(rows, common, "\n".join(f"{name:<24} {about}" for name, about in found.items()))


@command("table", "Stages", study)
def table(
    common: Work,
    *,
    sources: o.Inputs,
    scheme: o.Scheme = "",
    layout: Annotated[str, typer.Option("--format", help="Layout of folders without a case table.")] = "auto",
    settings: Annotated[
        list[str], typer.Option("--set", metavar="KEY=VALUE", help="A setting of the format, e.g. labels_suffix=_seg.")
    ] = [],  # noqa: B006, typer needs the plain default
    split: Annotated[str, typer.Option("--split", help="Split that all cases are given.")] = "",
    max_failed: Annotated[
        float, typer.Option("--max-failed", min=0, max=1, help="Share of cases that may have failed before.")
    ] = 1.0,
    fold: Annotated[str, typer.Option("--fold", metavar="K/N", help="Only the K-th of N folds of the people.")] = "",
    without_fold: Annotated[str, typer.Option("--without-fold", metavar="K/N", help="All but that fold.")] = "",
) -> None:
    """Join case tables, e.g. of the parts of a stage, to one; the files stay where they are."""
    from pathosynth.stages.table import Joining, join

    joining = Joining(scheme, layout, settings, split, max_failed, fold, without_fold)
    if common.dry_run:
        facts = {"command": "table", "sources": [str(one) for one in sources], "config": joining.described()}
        show(facts, common, f"{json.dumps(facts, indent=2)}\nnothing was written (--dry-run)")
        return
    made = join(sources, joining, run_options(common))
    show(made, common, f"{common.output}: {made['cases']} cases, {made['failed']} had failed")


@command("phantoms", "Stages", study)
def phantoms(
    common: Work,
    *,
    train: Annotated[int, typer.Option("--train", min=1, help="Healthy heads.")] = 4,
    test: Annotated[int, typer.Option("--test", min=1, help="Heads with enlarged ventricles.")] = 2,
    spacing_mm: Annotated[float, typer.Option("--spacing-mm", min=0.3, max=1.6, help="Voxel edge.")] = 1.6,
) -> None:
    """Write phantoms as data to train and test on: label maps and T2w images of heads that never were."""
    from pathosynth.workflow.phantoms import write_phantoms

    if common.dry_run:
        facts = {"command": "phantoms", "train": train, "test": test, "spacing_mm": spacing_mm}
        show(facts, common, f"{json.dumps(facts, indent=2)}\nnothing was written (--dry-run)")
        return
    names = write_phantoms(common.output, train=train, test=test, spacing_mm=spacing_mm, seed=common.seed)
    show(names, common, f"{common.output}: {len(names)} heads")


@command("job", "Stages", study, hidden=True)
def job(common: Talk, *, folder: Folder, name: Annotated[str, typer.Argument(metavar="JOB")]) -> None:
    """Do one job of a study; Snakemake calls this."""
    from pathosynth.workflow.job import run_job

    done = run_job(folder, name)
    show(done.model_dump(mode="json"), common, f"{name}: {done.state}")


def _planned(name: str, data: Path | None, plugins: Sequence[Path]) -> "Plan":
    from pathosynth.runs.files import sha256
    from pathosynth.workflow.plan import Plan
    from pathosynth.workflow.planning import plan_jobs
    from pathosynth.workflow.study import load_study

    found, base = load_study(name)
    root = (data or base).absolute()
    use = tuple(word for file in plugins for word in ("--use", str(file.absolute())))
    loaded = tuple(sha256(file) for file in plugins)
    jobs = [
        job.model_copy(update={"how": (*job.how, *use), "contents": (*job.contents, *loaded)})
        for job in plan_jobs(found, base, root)
    ]
    return Plan(study=found.model_dump(mode="json"), source=name, data=str(root), jobs=tuple(jobs))


def _told(plan: "Plan") -> str:
    lines = []
    for job in plan.jobs:
        taken = job.resources
        lines.append(f"{job.name}  [{taken.threads} threads, {taken.memory_gib:g} GiB, {taken.minutes} min]")
        lines.append(f"    pathosynth {' '.join(job.words)}")
    return "\n".join([*lines, f"{len(plan.jobs)} jobs; nothing was written (--dry-run)"])


def _notice(plan: "Plan", common: Talk) -> "Notice":
    """What tells of a job's end: a line on standard error."""

    def notice(state: "State", done: int) -> None:
        if not common.quiet:
            line = f"study {done}/{len(plan.jobs)} {state.job} {state.state} [{state.seconds or 0:.0f} s]"
            typer.echo(line, err=True)

    return notice
