"""Training: export, plan, preprocess, train. Every step is skipped when what it makes is complete."""

import shutil
from pathlib import Path

from pathosynth.data.labels import LabelScheme
from pathosynth.runs.errors import TrainingError
from pathosynth.runs.files import json_text, write_text
from pathosynth.segmenters.job import Machine, Notice, TrainingData
from pathosynth.segmenters.nnunet.config import Config
from pathosynth.segmenters.nnunet.edit import write_plans
from pathosynth.segmenters.nnunet.places import CONFIGURATION, DATASET_ID, PLANS, TRAINER, Places
from pathosynth.segmenters.nnunet.process import run, tail

_COPIES = "gt_segmentations"
"""Where nnU-Net copies the label maps to."""


def train(data: TrainingData, config: Config, folder: Path, *, seed: int, machine: Machine, notice: Notice) -> None:
    """Train nnU-Net; the same call again goes on where it was stopped.

    Args:
        data: what to learn from.
        config: settings.
        folder: the segmenter folder; nnU-Net's own folders lie under it.
        seed: of weights, patches and augmentation.
        machine: device and processes.
        notice: called after every epoch.

    Raises:
        InputError: a case cannot be used.
        ConfigError: nnU-Net is not installed.
        TrainingError: nnU-Net failed; the message ends with what it said last.
    """
    places, fold = Places(folder), "all" if data.splits is None else str(config.fold)
    if places.checkpoint(fold).is_file():
        return
    if not (places.raw / "dataset.json").is_file() and not places.ready.is_file():
        data.write(places.raw)
    _plan(data, config, places, seed, machine)
    _preprocess(places, config, machine)
    words = [str(DATASET_ID), CONFIGURATION, fold, "-tr", TRAINER, "-p", PLANS, "-device", machine.kind, "--c"]
    _demand(run("train", words, places, config, machine, notice), "train", places)
    if not config.keep_data:
        for copies in (places.raw, *places.preprocessed.glob(f"*_{CONFIGURATION}"), places.preprocessed / _COPIES):
            shutil.rmtree(copies, ignore_errors=True)


def _plan(data: TrainingData, config: Config, places: Places, seed: int, machine: Machine) -> None:
    """Let nnU-Net look at the data and plan, then write our copy of the plans, and the splits where there are any."""
    if places.plans.is_file():
        return
    words = [
        "-d",
        str(DATASET_ID),
        "-pl",
        config.planner,
        "-npfp",
        str(machine.jobs),
        "--no_pp",
        "--clean",
        "--no_pbar",
    ]
    _demand(run("plan", words, places, config, machine), "plan", places)
    if data.splits is not None:
        write_text(places.preprocessed / "splits_final.json", json_text([dict(split) for split in data.splits]))
    _copy_plans(config, places, data.scheme, seed)


def _copy_plans(config: Config, places: Places, scheme: LabelScheme, seed: int) -> None:
    """Nothing but plans has "Plans" in its name; planners call theirs nnUNetPlans, nnUNetResEncUNetMPlans…"""
    made = sorted(path for path in places.preprocessed.glob("*Plans.json") if path != places.plans)
    write_plans(made[0] if made else places.preprocessed / "nnUNetPlans.json", places.plans, config, scheme, seed)


def _preprocess(places: Places, config: Config, machine: Machine) -> None:
    if places.ready.is_file():
        return
    jobs = str(machine.jobs)
    words = ["-d", str(DATASET_ID), "-plans_name", PLANS, "-c", CONFIGURATION, "-np", jobs, "--no_pbar"]
    _demand(run("preprocess", words, places, config, machine), "preprocess", places)
    write_text(places.ready, json_text({"plans": PLANS, "configuration": CONFIGURATION}))


def _demand(code: int, command: str, places: Places) -> None:
    if code != 0:
        raise TrainingError(
            f"nnU-Net's command '{command}' ended with exit code {code}. All it said is in {places.log}; "
            f"the same command goes on. The end:\n{tail(places.log)}"
        )
