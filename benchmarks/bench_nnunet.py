"""What one step of nnU-Net costs on a CPU, per plan: processor seconds, memory, and the length of a training.

Processor time is counted, not the clock, so that other programs on the machine do not matter much: every plan is
trained for one epoch and for two on one thread, and the difference is the second epoch.

    python benchmarks/bench_nnunet.py CASES WORK [--contrast T2w] [--iterations 10]
"""

import argparse
import resource
import shutil
from pathlib import Path

from pathosynth.segmenters.job import Machine, TrainingData
from pathosynth.segmenters.nnunet import config_from_plan, train
from pathosynth.segmenters.nnunet.edit import write_plans
from pathosynth.segmenters.nnunet.places import CONFIGURATION, DATASET_ID, PLANS, TRAINER, Places
from pathosynth.segmenters.nnunet.process import run
from pathosynth.stages.segment_training import Tables

PLANS_COMPARED = {
    "small": {},
    "patch 64": {"patch_voxels": 64},
    "one decoder convolution": {"decoder_convolutions": 1},
    "width 32": {"features": [32, 64, 128, 256]},
    "float32": {"precision": "fp32"},
}


def cpu_seconds(epochs: int, places: Places, data: TrainingData, changes: dict, iterations: int) -> float:
    """Processor seconds of a training of `epochs` epochs, with all it starts."""
    lengths = {"epochs": epochs, "iterations": iterations, "threads": 1, "keep_data": True}
    config = config_from_plan("small", {**changes, **lengths})
    write_plans(places.preprocessed / "nnUNetPlans.json", places.plans, config, data.scheme, 0)
    shutil.rmtree(places.model, ignore_errors=True)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    words = [str(DATASET_ID), CONFIGURATION, "all", "-tr", TRAINER, "-p", PLANS, "-device", "cpu"]
    if run("train", words, places, config, Machine()) != 0:
        raise SystemExit(f"nnU-Net failed, see {places.log}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cases", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--contrast", default="T2w")
    parser.add_argument("--iterations", type=int, default=10)
    parser.add_argument("--plans", nargs="*", default=list(PLANS_COMPARED))
    given = parser.parse_args()
    tables, places = Tables.read([given.cases], "", given.contrast), Places(given.work)
    data = tables.data({}, 0)
    if not places.ready.is_file():
        first = config_from_plan("small", {"epochs": 1, "iterations": 1, "threads": 1, "keep_data": True})
        train(data, first, given.work, seed=0, machine=Machine(), notice=lambda epoch, total, loss: None)
    length = config_from_plan("small", {})
    steps = length.epochs * length.iterations
    print("| plan | processor s per step | of a training of", steps, "steps | start, s |\n|---|---|---|---|")
    for name in given.plans:
        short = cpu_seconds(1, places, data, PLANS_COMPARED[name], given.iterations)
        long = cpu_seconds(2, places, data, PLANS_COMPARED[name], given.iterations)
        step = (long - short) / given.iterations
        start = short - step * given.iterations
        print(f"| {name} | {step:.3f} | {step * steps:.0f} s | {start:.0f} |", flush=True)
    print(f"largest process: {resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20:.2f} GiB")


if __name__ == "__main__":
    main()
