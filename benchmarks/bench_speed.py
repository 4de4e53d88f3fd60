"""How long a morph takes: cropped brain and filled head, growth with grid size, throughput of a cohort, memory.

Usage: python benchmarks/bench_speed.py [LABELS.nii.gz] [--scheme kcl8] [--folder FOLDER --total 198 --jobs 2]

Every timing is of a process of its own that first warms up on a small phantom, so that compilation and imports do not
count; the best of `--repeats` is told, and the peak memory of that process. The peer in the same run is dilation, which
solves nothing. The cohort runs the command line on a folder with the recipe `fetal-ventriculomegaly`.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import scipy.ndimage as ndi

from pathosynth.data.grid import to_ras
from pathosynth.data.labels import load_scheme
from pathosynth.data.nifti import read_labels
from pathosynth.data.phantom import brain_phantom
from pathosynth.data.volume import Volume
from pathosynth.morphing import measure
from pathosynth.pathologies import PATHOLOGIES

CASES = {
    "cropped brain, threefold": ("ventriculomegaly", {"ventricle_fold": 3.0}, 0),
    "cropped brain, 15 mm": ("ventriculomegaly", {"atrial_width_mm": 15.0}, 0),
    "cropped brain, dilation": ("dilation", {"iterations": 6}, 0),
    "cropped brain, cerebellum to half": ("cerebellar_hypoplasia", {"cerebellum_fold": 0.5}, 0),
    "cropped brain, chiari2": ("chiari2", {"age_weeks": 30, "repair": "fetal"}, 0),
    "filled 160^3 head, threefold": ("ventriculomegaly", {"ventricle_fold": 3.0}, 160),
    "filled 160^3 head, dilation": ("dilation", {"iterations": 6}, 160),
} | {f"filled {n}^3 head, threefold": ("ventriculomegaly", {"ventricle_fold": 3.0}, n) for n in (64, 96, 128, 192, 256)}
"""Name to pathology, settings, and the edge of the filled head in voxels (0: the map as it is)."""


def filled_head(volume: Volume, size: int) -> Volume:
    """The same head stretched until its bounding box fills size^3 voxels; its size in mm stays about the same."""
    head = volume.array[measure.bounding_box(volume.array > 0)]
    stretched = ndi.zoom(head, [size / n for n in head.shape], order=0)
    affine = volume.affine.copy()
    affine[:3, :3] *= np.mean(head.shape) / size
    return Volume(np.ascontiguousarray(stretched), affine)


def timed(name: str, path: Path | None, scheme_name: str, repeats: int) -> dict[str, float]:
    """Best wall and CPU seconds of one case in this process, and its peak memory."""
    scheme, (pathology, settings, size) = load_scheme(scheme_name), CASES[name]
    module, volume = PATHOLOGIES[pathology], to_ras(read_labels(path, scheme)) if path else brain_phantom(1)
    volume = filled_head(volume, size) if size else volume
    config, phantom = module.Config.model_validate(settings), brain_phantom(1, (68, 80, 74), 1.6)
    warm = PATHOLOGIES["ventriculomegaly"]
    warm.morph(phantom.array, load_scheme("kcl8"), phantom.spacing_mm, warm.Config(ventricle_fold=1.5),
               np.random.default_rng(0))  # fmt: skip
    walls, cpus = [], []
    for _ in range(repeats):
        wall, cpu = time.perf_counter(), time.process_time()
        module.morph(volume.array, scheme, volume.spacing_mm, config, np.random.default_rng(0))
        walls.append(time.perf_counter() - wall)
        cpus.append(time.process_time() - cpu)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2
    return {"wall_s": min(walls), "cpu_s": min(cpus), "peak_gib": peak, "voxels": float((volume.array > 0).sum())}


def in_process(name: str, options: argparse.Namespace) -> dict[str, float]:
    """`timed` in a fresh process."""
    labels = [str(options.labels)] if options.labels else []
    command = [sys.executable, __file__, *labels, "--scheme", options.scheme, "--one", name,
               "--repeats", str(options.repeats)]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{name}: {done.stderr.strip()[-500:]}")
    found: dict[str, float] = json.loads(done.stdout)
    return found


def cohort(folder: Path, scheme: str, total: int, jobs: int) -> str:
    """Wall seconds of a cohort through the command line, one line for people."""
    maps = len(list(folder.glob("*_dseg.nii.gz")))
    with tempfile.TemporaryDirectory() as scratch:
        command = [str(Path(sys.executable).with_name("pathosynth")), "morph", "-i", str(folder), "--scheme", scheme,
                   "-o", f"{scratch}/cohort", "--recipe", "fetal-ventriculomegaly", "--per-case", str(total // maps),
                   "--jobs", str(jobs), "--quiet"]  # fmt: skip
        wall = time.perf_counter()
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        seconds = time.perf_counter() - wall
        record = json.loads(Path(f"{scratch}/cohort/run.json").read_text())
    outcomes = [entry["outcome"] for entry in record["cases"].values()]
    made = outcomes.count("done")
    return (
        f"Cohort of {len(outcomes)} from {maps} maps, {jobs} workers on {os.cpu_count()} cores: {made} made, "
        f"{len(outcomes) - made} not, {seconds:.0f} s, {made / seconds * 60 / jobs:.1f} per minute and worker "
        f"(exit code {done.returncode})"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("labels", type=Path, nargs="?", help="a phantom without it")
    parser.add_argument("--scheme", default="kcl8")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--total", type=int, default=198)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--one", choices=sorted(CASES), help="time one case in this process and print JSON")
    options = parser.parse_args()
    if options.one:
        print(json.dumps(timed(options.one, options.labels, options.scheme, options.repeats)))
        return
    print("| case | head voxels | wall s | CPU s | peak GiB |\n| --- | --- | --- | --- | --- |")
    for name in CASES:
        found = in_process(name, options)
        numbers = (f"{found[key]:.2f}" for key in ("wall_s", "cpu_s", "peak_gib"))
        print(f"| {name} | {found['voxels']:.0f} | {' | '.join(numbers)} |", flush=True)
    if options.folder:
        print("\n" + cohort(options.folder, options.scheme, options.total, options.jobs))


if __name__ == "__main__":
    main()
