"""Would the commands of a study be understood? Seen before hours are spent on what they wait for."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer.main

from pathosynth.cli.app import app
from pathosynth.cli.running import morphing_of
from pathosynth.runs.errors import ConfigError, PathosynthError

if TYPE_CHECKING:
    from pathosynth.workflow.jobs import Job


def check_jobs(jobs: "tuple[Job, ...]", made: list[str]) -> None:
    """Parse every command, and build the settings of those whose settings can be built without their input.

    Args:
        jobs: of a study.
        made: model folders that the study will make, which cannot be looked at yet.

    Raises:
        ConfigError: a command would not be understood, or carry images along where nothing has moved; the message names
            the job.
    """
    unmoved: dict[str, str] = {}
    tables: dict[str, dict[str, Any]] = {}
    for job in jobs:
        try:
            given = _parsed(list(job.words))
            if job.stage in _LOOKS and given.get("model") not in made:
                _LOOKS[job.stage](given)
            if job.stage == "table":
                tables[job.output] = given
            elif job.stage == "evaluate":
                _evaluate(given, tables[str(given["source"])])
            unmoved[job.output] = _why_unmoved(job.stage, given, unmoved)
            if job.stage == "generate-images" and given["model"] == "carried" and unmoved[job.output]:
                raise ConfigError(f"no image can be carried along: {unmoved[job.output]}. Use another generator.")
        except (typer.Exit, PathosynthError) as error:
            raise _not_understood(job, str(error)) from None
        except Exception as error:
            if not hasattr(error, "format_message"):
                raise
            raise _not_understood(job, error.format_message()) from None


def _not_understood(job: "Job", message: str) -> ConfigError:
    return ConfigError(f"job {job.name}: `pathosynth {' '.join(job.words)}` would fail: {message}")


def _why_unmoved(stage: str, given: dict[str, Any], before: dict[str, str]) -> str:
    """Why the cases that a job makes have no displacement; empty where they have one.

    Args:
        stage: of the job.
        given: its options.
        before: the same of what earlier jobs made, by folder.
    """
    if stage == "morph":
        from pathosynth.pathologies import PATHOLOGIES

        kinds = morphing_of(given["pathologies"], given["settings"], given["recipe"], given["per_case"]).recipe.kinds
        names = dict.fromkeys(part.name for kind in kinds for part in kind.pathologies)
        painting = [name for name in names if getattr(PATHOLOGIES[name], "REPAINTS", False)]
        return f"{', '.join(painting)} paint labels anew and move nothing" if painting else ""
    if stage == "prepare":
        return "prepare brings cases to another grid, without the displacements; carry images first"
    if stage == "generate-labels":
        return "generated labels have no parent"
    read = [str(one) for one in (*given.get("sources", ()), given.get("source", ""))]
    return next((before[folder] for folder in read if before.get(folder)), "")


def _parsed(words: list[str]) -> dict[str, Any]:
    """Options of a command by name, as it would be given them."""
    at: Any = typer.main.get_command(app)
    name = ""
    while hasattr(at, "commands"):
        name = words.pop(0)
        if name not in at.commands:
            raise ConfigError(f"there is no command '{name}'.")
        at = at.commands[name]
    return dict(at.make_context(name, words).params)


def _morph(given: dict[str, Any]) -> None:
    morphing_of(given["pathologies"], given["settings"], given["recipe"], given["per_case"])


def _check(given: dict[str, Any]) -> None:
    from pathosynth.stages.judging import Checking

    Checking.of(given["checks"])


def _train(given: dict[str, Any]) -> None:
    from pathosynth.stages.train import Training

    Training.of(
        given["generator"],
        given["preset"],
        given["settings"],
        max_steps=given["max_steps"],
        minutes=None,
        resume="auto",
    ).config()


def _generate_images(given: dict[str, Any]) -> None:
    from pathosynth.stages.generate_images import Rendering

    Rendering.of(given["model"], given["settings"], "cpu", given["contrast"])


def _generate_labels(given: dict[str, Any]) -> None:
    from pathosynth.stages.models import find_label_model

    find_label_model(given["model"])


def _prepare(given: dict[str, Any]) -> None:
    if Path(given["source"]).is_absolute():
        from pathosynth.runs.config import parse_settings
        from pathosynth.stages.inputs import read_input

        read_input(given["source"], given["scheme"], given["layout"], parse_settings(given["settings"]))


def _segment(given: dict[str, Any]) -> None:
    from pathosynth.runs.config import parse_settings
    from pathosynth.segmenters import SEGMENTERS

    module = SEGMENTERS.get(given["segmenter"])
    if module is None or not hasattr(module, "config_from_plan"):
        raise ConfigError(f"--segmenter {given['segmenter']}: expected one that learns, of {', '.join(SEGMENTERS)}.")
    module.config_from_plan(given["plan"], parse_settings(given["settings"]))


def _evaluate(given: dict[str, Any], table: dict[str, Any]) -> None:
    """Look at structures and subgroups: at their names, and at the cases where the study does not make them.

    Args:
        given: options of the job.
        table: options of the job that writes the table of its cases.
    """
    from pathosynth.data.labels import load_scheme
    from pathosynth.runs.config import parse_settings
    from pathosynth.stages import subgroups
    from pathosynth.stages.inputs import read_input

    scheme = load_scheme(table["scheme"])
    judged = given["structures"] or list(scheme.groups)
    wishes = subgroups.parse(given["subgroups"], given["above"])
    for name in [*judged, *(wish.name for wish in wishes if wish.volume)]:
        scheme.group(name)
    if all(Path(source).is_absolute() for source in table["sources"]):
        layout = table["scheme"], table["layout"], parse_settings(table["settings"])
        cases = [case for source in table["sources"] for case in read_input(source, *layout)]
        subgroups.members(wishes, cases, {name: {case.case: 0.0 for case in cases} for name in judged})


_LOOKS: dict[str, Callable[[dict[str, Any]], None]] = {
    "prepare": _prepare,
    "morph": _morph,
    "check": _check,
    "train": _train,
    "generate-images": _generate_images,
    "generate-labels": _generate_labels,
    "segment": _segment,
}
