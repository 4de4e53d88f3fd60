"""Dice, HD95, ASSD, surface Dice and volumes of a whole label map, ours beside MONAI and surface-distance, in one run.

A phantom of 160^3 voxels with seven labels against itself pulled about, a little and a lot. The programs take turns;
the median over the rounds is given, wall and processor seconds of one process. Then how far the numbers lie apart, and
what each says of empty masks.

    python benchmarks/bench_metrics.py [--size 160] [--rounds 5] [--threads 1]
"""

import argparse
import time
import warnings
from collections.abc import Callable

import numpy as np
from scipy import ndimage

EDGES = (0.8, 0.8, 0.8)
LABELS = range(1, 8)
PULLS = {"good (a voxel off)": 3.0, "poor (several voxels off)": 25.0}

Scores = dict[str, list[float]]


def pair(size: int, pull: float) -> tuple[np.ndarray, np.ndarray]:
    """A phantom's labels 1 to 7, and the same pulled about by a smooth random field of `pull` mm (largest)."""
    from pathosynth.data.phantom import brain_phantom

    reference = brain_phantom(1, (size,) * 3, 128 / size).array
    reference = np.where(reference > max(LABELS), 1, reference)
    rng = np.random.default_rng(0)
    fields = [ndimage.gaussian_filter(rng.normal(size=reference.shape), size / 20) for _ in range(3)]
    grid = np.meshgrid(*[np.arange(size)] * 3, indexing="ij")
    points = [axis + field / np.abs(field).max() * pull / EDGES[0] for axis, field in zip(grid, fields, strict=True)]
    return reference, ndimage.map_coordinates(reference, points, order=0, mode="nearest")


def ours(reference: np.ndarray, prediction: np.ndarray) -> Scores:
    from pathosynth.metrics import METRICS
    from pathosynth.metrics.mask_pair import mask_pairs

    structures = {str(label): (label,) for label in LABELS}
    pairs = [one for _, one in mask_pairs(reference, prediction, structures, EDGES)]
    return {name: [module.measure(one) for one in pairs] for name, module in METRICS.items()}


def monai(reference: np.ndarray, prediction: np.ndarray) -> Scores:
    import torch
    from monai import metrics

    hot = [
        torch.from_numpy(np.stack([labels == label for label in LABELS])[None]) for labels in (prediction, reference)
    ]
    options = {"include_background": True, "spacing": list(EDGES)}
    return {
        "dice": metrics.compute_dice(*hot, include_background=True)[0].tolist(),
        "hd95_mm": metrics.compute_hausdorff_distance(*hot, percentile=95, **options)[0].tolist(),
        "assd_mm": metrics.compute_average_surface_distance(*hot, symmetric=True, **options)[0].tolist(),
        "surface_dice": metrics.compute_surface_dice(*hot, [1.0] * len(LABELS), **options)[0].tolist(),
    }


def surface_distance(reference: np.ndarray, prediction: np.ndarray) -> Scores:
    from surface_distance import metrics

    found: Scores = {"dice": [], "hd95_mm": [], "assd_mm": [], "surface_dice": []}
    for label in LABELS:
        masks = (reference == label, prediction == label)
        distances = metrics.compute_surface_distances(*masks, EDGES)
        found["dice"].append(metrics.compute_dice_coefficient(*masks))
        found["hd95_mm"].append(metrics.compute_robust_hausdorff(distances, 95))
        found["assd_mm"].append(float(np.mean(metrics.compute_average_surface_distance(distances))))
        found["surface_dice"].append(metrics.compute_surface_dice_at_tolerance(distances, 1.0))
    return found


PROGRAMS: dict[str, Callable[[np.ndarray, np.ndarray], Scores]] = {
    "pathosynth": ours, "MONAI": monai, "surface-distance": surface_distance,
}  # fmt: skip


def timed(call: Callable[[np.ndarray, np.ndarray], Scores], maps: tuple[np.ndarray, np.ndarray]) -> tuple[float, float]:
    wall, cpu = time.perf_counter(), time.process_time()
    call(*maps)
    return time.perf_counter() - wall, time.process_time() - cpu


def told(call: Callable[[np.ndarray, np.ndarray], Scores], *maps: np.ndarray) -> str:
    """What a program says, in words."""
    try:
        found = call(*maps)
    except Exception as error:
        return f"{type(error).__name__}"
    return f"Dice {found['dice'][0]:g}, HD95 {found['hd95_mm'][0]:g}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=160)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    import torch

    torch.set_num_threads(arguments.threads)
    warnings.simplefilter("ignore")
    print("| prediction | program | wall s | CPU s | mean Dice | mean HD95 mm | mean ASSD mm | mean surface Dice |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for name, pull in PULLS.items():
        maps = pair(arguments.size, pull)
        scores = {program: call(*maps) for program, call in PROGRAMS.items()}  # also compiles and imports
        seconds: dict[str, list[tuple[float, float]]] = {program: [] for program in PROGRAMS}
        for _ in range(arguments.rounds):
            for program, call in PROGRAMS.items():
                seconds[program].append(timed(call, maps))
        for program, found in scores.items():
            wall, cpu = np.median(seconds[program], axis=0)
            means = " | ".join(f"{np.mean(found[key]):.4f}" for key in ("dice", "hd95_mm", "assd_mm", "surface_dice"))
            print(f"| {name} | {program} | {wall:.2f} | {cpu:.2f} | {means} |")
        apart = max(
            float(np.abs(np.array(scores["pathosynth"][key]) - scores["MONAI"][key]).max()) for key in scores["MONAI"]
        )
        print(f"\nLargest difference from MONAI in any metric and label: {apart:.1e}\n")
    full, empty = np.ones((9, 9, 9), np.uint8), np.zeros((9, 9, 9), np.uint8)
    for words, one, other in (("missed", full, empty), ("invented", empty, full), ("both empty", empty, empty)):
        print(f"{words}: " + "; ".join(f"{name}: {told(call, one, other)}" for name, call in PROGRAMS.items()))


if __name__ == "__main__":
    main()
