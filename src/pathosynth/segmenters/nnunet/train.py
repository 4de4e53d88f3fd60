"""Training: export, plan, preprocess, train. Every step is skipped when what it makes is complete."""

import os
import shutil
from pathlib import Path

from pathosynth.data.labels import LabelScheme
from pathosynth.runs.errors import ModelError, TrainingError
from pathosynth.runs.files import json_text, write_text
from pathosynth.segmenters.job import Machine, Notice, TrainingData
from pathosynth.segmenters.nnunet.config import Config
from pathosynth.segmenters.nnunet.edit import write_plans
from pathosynth.segmenters.nnunet.places import CONFIGURATION, DATASET_ID, PLANS, TRAINER, Places
from pathosynth.segmenters.nnunet.process import run, tail

_COPIES = "gt_segmentations"
"""Where nnU-Net copies the label maps to."""


def train(
    data: TrainingData,
    config: Config,
    folder: Path,
    *,
    seed: int,
    machine: Machine,
    notice: Notice,
    prepared: Path | None = None,
) -> None:
    """Train nnU-Net; the same call again goes on where it was stopped.

    Args:
        data: what to learn from.
        config: settings.
        folder: the segmenter folder; nnU-Net's own folders lie under it.
        seed: of weights, patches and augmentation.
        machine: device and processes.
        notice: called after every epoch.
        prepared: a folder in which `prepare` was called with the same data and settings; its files are used instead of
            being made again.

    Raises:
        InputError: a case cannot be used.
        ConfigError: nnU-Net is not installed.
        ModelError: nothing is ready in `prepared`.
        TrainingError: nnU-Net failed; the message ends with what it said last.
    """
    places, fold = Places(folder), "all" if data.splits is None else str(config.fold)
    if places.checkpoint(fold).is_file():
        return
    if prepared is not None and not places.ready.is_file():
        _take_over(Places(prepared), places)
    prepare(data, config, folder, machine=machine)
    _copy_plans(config, places, data.scheme, seed)
    words = [str(DATASET_ID), CONFIGURATION, fold, "-tr", TRAINER, "-p", PLANS, "-device", machine.kind, "--c"]
    _demand(run("train", words, places, config, machine, notice), "train", places)
    if not config.keep_data:
        for copies in (places.raw, *places.preprocessed.glob(f"*_{CONFIGURATION}"), places.preprocessed / _COPIES):
            shutil.rmtree(copies, ignore_errors=True)


def prepare(data: TrainingData, config: Config, folder: Path, *, machine: Machine) -> None:
    """Export, plan and preprocess: all that does not depend on the seed of a training.

    Raises:
        InputError: a case cannot be used.
        ConfigError: nnU-Net is not installed.
        TrainingError: nnU-Net failed; the message ends with what it said last.
    """
    places = Places(folder)
    if places.ready.is_file():
        return
    if not (places.raw / "dataset.json").is_file():
        data.write(places.raw)
    _plan(data, config, places, machine)
    jobs = str(machine.jobs)
    words = ["-d", str(DATASET_ID), "-plans_name", PLANS, "-c", CONFIGURATION, "-np", jobs, "--no_pbar"]
    _demand(run("preprocess", words, places, config, machine), "preprocess", places)
    write_text(places.ready, json_text({"plans": PLANS, "configuration": CONFIGURATION}))


def _take_over(source: Places, places: Places) -> None:
    """Link what was preprocessed elsewhere into these folders; files are never changed in place, only replaced.

    Raises:
        ModelError: the source is not complete.
    """
    if not source.ready.is_file():
        raise ModelError(f"{source.root}: expected data prepared for nnU-Net, found none or a part. Prepare it first.")
    partial = places.preprocessed.with_name(f"{places.preprocessed.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    shutil.rmtree(places.preprocessed, ignore_errors=True)
    shutil.copytree(source.preprocessed, partial, copy_function=_link)
    partial.rename(places.preprocessed)


def _link(source: str, target: str) -> None:
    """A second name for a file, or a copy where the file system has no such thing."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def _plan(data: TrainingData, config: Config, places: Places, machine: Machine) -> None:
    """Let nnU-Net look at the data and plan, then write our copy of the plans, and the splits where there are any."""
    if places.plans.is_file():
        return
    jobs = str(machine.jobs)
    words = ["-d", str(DATASET_ID), "-pl", config.planner, "-npfp", jobs, "--no_pp", "--clean", "--no_pbar"]
    _demand(run("plan", words, places, config, machine), "plan", places)
    if data.splits is not None:
        write_text(places.preprocessed / "splits_final.json", json_text([dict(split) for split in data.splits]))
    _copy_plans(config, places, data.scheme, seed=0)


def _copy_plans(config: Config, places: Places, scheme: LabelScheme, seed: int) -> None:
    """Nothing but plans has "Plans" in its name; planners call theirs nnUNetPlans, nnUNetResEncUNetMPlans…"""
    made = sorted(path for path in places.preprocessed.glob("*Plans.json") if path != places.plans)
    write_plans(made[0] if made else places.preprocessed / "nnUNetPlans.json", places.plans, config, scheme, seed)


def _demand(code: int, command: str, places: Places) -> None:
    if code != 0:
        raise TrainingError(
            f"nnU-Net's command '{command}' ended with exit code {code}. All it said is in {places.log}; "
            f"the same command goes on. The end:\n{tail(places.log)}"
        )
