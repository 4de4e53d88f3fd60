"""A study small enough to be killed ten times: heads of 24 x 28 x 22 voxels, a toy pathology that takes its time."""

import hashlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from pathosynth.data.nifti import write_image, write_labels
from pathosynth.data.volume import Volume

GROW = '''"""Ventricles that grow into white matter, voxel by voxel, drawn at random."""

import time

import numpy as np
from scipy import ndimage

from pathosynth.morphing import Morphed
from pathosynth.runs.config import Config as BaseConfig


class Config(BaseConfig):
    chance: float
    """Of each voxel beside a ventricle."""


def morph(labels, scheme, spacing_mm, config, rng):
    time.sleep(0.15)
    ventricle, white = scheme.mask(labels, "ventricles"), scheme.mask(labels, "white_matter")
    grown = ndimage.binary_dilation(ventricle, iterations=2) & white & (rng.random(labels.shape) < config.chance)
    out = np.where(grown, scheme.group("ventricles")[0], labels).astype(labels.dtype)
    return Morphed(out, None, {"pathology": "grow", "targets": [], "warnings": []})


def severity(labels, scheme, spacing_mm):
    return {"ventricle_ml": float(scheme.mask(labels, "ventricles").sum() * np.prod(spacing_mm) / 1000)}
'''

RECIPE = """
variants_per_case = 3

[[kinds]]
name = "some"
[[kinds.pathologies]]
name = "grow"
settings = { chance = { uniform = [0.1, 0.5] } }

[[kinds]]
name = "many"
[[kinds.pathologies]]
name = "grow"
settings = { chance = { uniform = [0.5, 1] } }
"""

STUDY = """
about = "Toy"

[data]
scheme = "kcl8"
contrast = "T2w"
train = ["train"]
test = ["test"]

[ingredients.grown]
steps = [{{ stage = "morph", recipe = "cohort.toml", parts = {parts} }}]

[ingredients.rendered]
from = "grown"
steps = [
  {{ stage = "generate-images", model = "gaussian_mixture", parts = {parts} }},
  {{ stage = "check", checks = ["geometry"] }},
]

[resources.default]
memory_gib = 0.3
"""

TELLING = (".csv", ".nii.gz", ".tsv")
"""Ends of files that hold results; records and logs hold times."""

Heads = Callable[..., tuple[Volume, Volume]]


def write_toy(folder: Path, heads: Heads, *, parts: int = 2) -> Path:
    """Write data, plugin, recipe and study file; returns the study file."""
    for name, number in (("train", 4), ("test", 2)):
        (folder / name).mkdir(parents=True)
        for index in range(number):
            labels, image = heads((24 + 2 * index, 28, 22))
            write_labels(folder / name / f"{name}{index}_dseg.nii.gz", labels)
            write_image(folder / name / f"{name}{index}_T2w.nii.gz", image)
    (folder / "grow.py").write_text(GROW)
    (folder / "cohort.toml").write_text(RECIPE)
    study = folder / "toy.toml"
    study.write_text(STUDY.format(parts=parts))
    return study


def command(study: Path, out: Path, *more: str) -> list[str]:
    """The call that runs a toy study."""
    plugin = ["--use", str(study.parent / "grow.py")]
    return [sys.executable, "-m", "pathosynth", "study", "run", str(study), "-o", str(out), *plugin, *more]


def run(study: Path, out: Path, *more: str, environment: dict[str, str] | None = None, seconds: int = 1200) -> None:
    """Run a toy study to its end."""
    call = command(study, out, *(more or ("--cores", "2")))
    environment = environment or dict(os.environ)
    process = subprocess.Popen(call, stderr=subprocess.PIPE, text=True, env=environment, start_new_session=True)
    try:
        _, told = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)  # Snakemake and the jobs too
        raise
    assert process.returncode == 0, told


def results(out: Path) -> dict[str, str]:
    """SHA-256 of every file of results."""
    files = sorted(path for path in out.rglob("*") if path.name.endswith(TELLING))
    return {path.relative_to(out).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def finished(out: Path) -> dict[str, str]:
    """State files of jobs that are done, as they are on disk."""
    states = {path.name: path.read_text() for path in sorted((out / "jobs").glob("*.json"))}
    return {name: text for name, text in states.items() if json.loads(text)["state"] == "done"}


def most_at_once(out: Path) -> int:
    """Largest number of jobs that ran at one time; times are whole seconds, so ends that touch do not count."""
    states = [json.loads(text) for text in finished(out).values()]
    begins = [datetime.fromisoformat(state["started"]).timestamp() + 1 for state in states]
    ends = [begin + state["seconds"] - 1 for begin, state in zip(begins, states, strict=True)]
    return max(sum(begin <= at < end for begin, end in zip(begins, ends, strict=True)) for at in begins)


def written(out: Path) -> dict[str, int]:
    """When the volumes of finished cases were written, in ns: of those that a run record says are done.

    A kill between the last file of a case and its line in the record leaves it to be made again.
    """
    records = [path for path in sorted((out / "ingredients").rglob("run.json")) if ".partial" not in str(path)]
    made = [
        path.parent / name
        for path in records
        for entry in json.loads(path.read_text())["cases"].values()
        if entry["outcome"] == "done"
        for name in entry.get("files", [])
        if name.endswith(".nii.gz")
    ]
    return {path.relative_to(out).as_posix(): path.stat().st_mtime_ns for path in made}


def volumes(out: Path) -> int:
    """Number of volumes of finished cases; while a study runs too, when folders vanish under one's eyes."""
    found = [(Path(folder), names) for folder, _, names in os.walk(out / "ingredients") if ".partial" not in folder]
    return sum(name.endswith(".nii.gz") for folder, names in found if folder.name == "anat" for name in names)
