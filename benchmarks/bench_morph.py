"""Flow against dilation on a folder of label maps (on phantoms without one); prints a markdown table.

Usage: python benchmarks/bench_morph.py [FOLDER] [--scheme kcl8] [--iterations 5] [--widths 12 15 20]

For every map, dilation grows the ventricles by a number of voxel layers; flow is asked for exactly the same volume.
Then flow is asked for each atrial width. Times are wall and CPU seconds of one process.
"""

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pathosynth.data.grid import to_ras
from pathosynth.data.labels import LabelScheme, load_scheme
from pathosynth.data.nifti import read_labels
from pathosynth.data.phantom import brain_phantom
from pathosynth.data.volume import Volume
from pathosynth.morphing import Morphed, measure
from pathosynth.pathologies import dilation, ventriculomegaly
from pathosynth.runs.errors import PathosynthError


@dataclass(frozen=True)
class Timed:
    """What a call returned, or why it was refused, and its seconds."""

    morphed: Morphed | None
    refusal: str
    wall_s: float
    cpu_s: float


def timed(call: Callable[[], Morphed]) -> Timed:
    wall, cpu = time.perf_counter(), time.process_time()
    morphed, refusal = None, ""
    try:
        morphed = call()
    except PathosynthError as error:
        refusal = str(error)
    return Timed(morphed, refusal, time.perf_counter() - wall, time.process_time() - cpu)


def flow(volume: Volume, scheme: LabelScheme, **settings: float) -> Timed:
    config = ventriculomegaly.Config.model_validate(settings)
    rng = np.random.default_rng(0)
    return timed(lambda: ventriculomegaly.morph(volume.array, scheme, volume.spacing_mm, config, rng))


def dilate(volume: Volume, scheme: LabelScheme, iterations: int) -> Timed:
    config, rng = dilation.Config(iterations=iterations), np.random.default_rng(0)
    return timed(lambda: dilation.morph(volume.array, scheme, volume.spacing_mm, config, rng))


def row(name: str, method: str, result: Timed, volume: Volume, scheme: LabelScheme) -> str:
    seconds = f"{result.wall_s:.1f} / {result.cpu_s:.1f}"
    if result.morphed is None:
        return f"| {name} | {method} | refused: {result.refusal[:160]} | | | | | {seconds} |"
    before, after = volume.array, result.morphed.labels
    masks = [
        (scheme.mask(m, "ventricles"), scheme.mask(m, "cortex"), scheme.mask(m, "white_matter"))
        for m in (before, after)
    ]
    white = 100.0 * (masks[1][2].sum() / masks[0][2].sum() - 1.0)
    severity = result.morphed.report["severity"]
    jacobian = result.morphed.report.get("validity", {}).get("jacobian", {}).get("min")
    widths = f"{severity['atrial_width_left_mm']:.2f} / {severity['atrial_width_right_mm']:.2f}"
    return (
        f"| {name} | {method} | {severity['ventricle_ml']:.2f} | {widths} | {measure.contact_faces(*masks[1][:2])} "
        f"| {white:+.2f} | {'-' if jacobian is None else f'{jacobian:.3f}'} | {seconds} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--scheme", default="kcl8")
    parser.add_argument("--iterations", type=int, default=5)
    parser.add_argument("--widths", type=float, nargs="*", default=[12.0, 15.0, 20.0])
    options = parser.parse_args()
    scheme = load_scheme(options.scheme)
    volumes = [(f"phantom {seed}", brain_phantom(seed)) for seed in (1, 2)]
    if options.folder:
        paths = sorted(options.folder.glob("*_dseg.nii.gz"))
        volumes = [(path.name.split("_")[0], to_ras(read_labels(path, scheme))) for path in paths]
    if not volumes:
        parser.error(f"{options.folder}: no *_dseg.nii.gz in it")
    print("| map | method | ventricles mL | left / right mm | ventricle-cortex faces | WM % | min J | s wall / CPU |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    met = dict.fromkeys(options.widths, 0)
    for name, volume in volumes:
        grown = dilate(volume, scheme, options.iterations)
        print(row(name, f"dilation x{options.iterations}", grown, volume, scheme), flush=True)
        if grown.morphed is not None:
            wanted = grown.morphed.report["severity"]["ventricle_ml"]
            print(row(name, "flow, same mL", flow(volume, scheme, ventricle_ml=wanted), volume, scheme), flush=True)
        for width in options.widths:
            result = flow(volume, scheme, atrial_width_mm=width)
            met[width] += result.morphed is not None
            print(row(name, f"flow {width:g} mm", result, volume, scheme), flush=True)
    print("\nWidths met: " + ", ".join(f"{width:g} mm {n} of {len(volumes)}" for width, n in met.items()))


if __name__ == "__main__":
    main()
