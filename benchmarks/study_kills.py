"""A study killed at random moments: does it go on without doing anything twice, and end with the same numbers?

Runs a study undisturbed, then again with SIGKILL to all of its processes at random moments, and compares. Prints JSON.
``python benchmarks/study_kills.py OUT [--study phantom] [--kills 10] [--cores 2] [--seed 0]``
"""

import argparse
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

RESULTS = (".csv", ".nii.gz", ".tsv", ".safetensors")
LEFT_OUT = ("segmenter", ".predicting", ".snakemake", "train.csv")
"""Folders and files of a training in progress; what counts is what it ends with."""


def call(study: str, out: Path, cores: int, data: str) -> list[str]:
    where = ["--data", data] if data else []
    return [sys.executable, "-m", "pathosynth", "study", "run", study, "-o", str(out), "--cores", str(cores), *where]


def results(out: Path) -> dict[str, str]:
    """SHA-256 of every file with results."""
    files = [path for path in sorted(out.rglob("*")) if path.name.endswith(RESULTS)]
    kept = [path for path in files if not set(path.relative_to(out).parts) & set(LEFT_OUT)]
    return {str(path.relative_to(out)): hashlib.sha256(path.read_bytes()).hexdigest() for path in kept}


def states(out: Path) -> dict[str, dict[str, Any]]:
    return {path.stem: json.loads(path.read_text()) for path in sorted((out / "jobs").glob("*.json"))}


def done(out: Path) -> dict[str, dict[str, Any]]:
    return {name: state for name, state in states(out).items() if state["state"] == "done"}


def cases(out: Path) -> dict[str, int]:
    """When the volumes of finished cases were written, in ns."""
    found = [*out.glob("ingredients/**/sub-*/anat/*.nii.gz"), *out.glob("arms/**/sub-*/anat/*.nii.gz")]
    return {str(path): path.stat().st_mtime_ns for path in found if ".partial" not in str(path)}


def changed(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    return sorted(name for name, value in before.items() if after.get(name) != value)


def killed_run(words: list[str], out: Path, kills: int, seconds: float, rng: random.Random) -> dict[str, Any]:
    """Run to the end, killed on the way; what was done twice is listed."""
    again_jobs: list[str] = []
    again_cases: list[str] = []
    moments: list[float] = []
    clock = time.monotonic()
    jobs: dict[str, Any] = {}
    files: dict[str, int] = {}
    while True:
        process = subprocess.Popen(words, start_new_session=True, stderr=subprocess.DEVNULL)
        limit = rng.uniform(0.05, 1.8 / kills) * seconds if len(moments) < kills else None
        try:
            process.wait(timeout=limit)
            ended = True
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            moments.append(round(time.monotonic() - clock, 1))
            ended = False
        again_jobs += changed(jobs, done(out))
        again_cases += changed(files, cases(out))
        jobs, files = done(out), cases(out)
        if ended:
            break
    return {
        "exit_code": process.returncode, "seconds": round(time.monotonic() - clock, 1), "killed_at": moments,
        "jobs_done_twice": again_jobs, "cases_made_twice": again_cases,
        "attempts": {name: state["attempts"] for name, state in states(out).items() if state["attempts"] > 1},
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--study", default="phantom")
    parser.add_argument("--data", default="")
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    whole, again = given.out / "whole", given.out / "killed"
    clock = time.monotonic()
    code = subprocess.run(call(given.study, whole, given.cores, given.data), check=False).returncode
    seconds = time.monotonic() - clock
    words = call(given.study, again, given.cores, given.data)
    told = killed_run(words, again, given.kills, seconds, random.Random(given.seed))
    a, b = results(whole), results(again)
    compared = {"files": len(a), "different": changed(a, b), "new": sorted(set(b) - set(a))}
    print(
        json.dumps(
            {"undisturbed": {"exit_code": code, "seconds": round(seconds, 1)}, "killed": told, **compared}, indent=2
        )
    )


if __name__ == "__main__":
    main()
