"""Images of a latent model on label maps it has never seen, and sets of them against sets of real images.

    pathosynth prepare -i REAL --scheme kcl8 --spacing-mm 2 --set labels_suffix=_desc-h8_dseg -o CASES
    python benchmarks/headline_latent_images.py MODEL --train CASES --unseen CASES_OF_OTHER_PEOPLE --seeds 2

Per unseen map: correlation with the real image inside the labels and the other numbers of headline_generalisation.py,
for the model and for a Gaussian mixture with random intensities. Per set, on the training label maps:
Frechet distance in 6 dimensions and kernel distance of
`metrics.features.NET`, MS-SSIM between people, share of tissue medians inside the training bands; the same numbers
between two halves of the real set say what is small.
"""

import argparse
import json
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from headline_generalisation import compare
from pathosynth.checks import run_checks
from pathosynth.checks.intensity import learn_bands
from pathosynth.data.findings import CheckInput
from pathosynth.data.pairs import Pair
from pathosynth.data.requests import Request
from pathosynth.image_generators import gaussian_mixture
from pathosynth.metrics import features, sets, structure
from pathosynth.runs.seeds import numpy_generator
from pathosynth.stages import inputs
from pathosynth.stages.models import find_model, render
from pathosynth.stages.train import read_pair


def read(folder: Path, contrast: str) -> tuple[list[Pair], object]:
    cases = inputs.read_input(folder)
    scheme = inputs.one_scheme(cases)
    return [read_pair(case, scheme, contrast) for case in cases if contrast in case.images], scheme


def per_map(found, pairs: Sequence[Pair], scheme, seeds: int) -> dict[str, list[dict[str, float]]]:
    rows: dict[str, list[dict[str, float]]] = {found.name: [], "gaussian_mixture": []}
    for pair in pairs:
        request = Request(pair.labels, scheme, pair.spacing_mm)
        for seed in range(seeds):
            began = time.perf_counter()
            image = render(found, request, seed, "cpu", {})
            seconds = time.perf_counter() - began
            rows[found.name].append({"case": pair.case, "seconds": seconds, **compare(pair.image, image, pair.labels)})
            mixed = gaussian_mixture.generate(gaussian_mixture.Config(), [request], [seed])[0]
            rows["gaussian_mixture"].append({"case": pair.case, **compare(pair.image, mixed, pair.labels)})
    return rows


def same_box(image: np.ndarray, labels: np.ndarray, shape: tuple[int, int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Image and mask, the brain's bounding box in the middle of one box for all."""
    corners = [np.flatnonzero((labels > 0).any(axis=tuple({0, 1, 2} - {a})))[[0, -1]] for a in range(3)]
    out, mask = np.zeros(shape, np.float32), np.zeros(shape, bool)
    source = tuple(slice(int(lo), int(hi) + 1) for lo, hi in corners)
    cut = np.where(labels > 0, image, 0)[source]
    take = tuple(
        slice(max(0, (n - s) // 2), max(0, (n - s) // 2) + min(n, s)) for n, s in zip(cut.shape, shape, strict=True)
    )
    put = tuple(
        slice((s - min(n, s)) // 2, (s - min(n, s)) // 2 + min(n, s)) for n, s in zip(cut.shape, shape, strict=True)
    )
    out[put], mask[put] = cut[take], (labels > 0)[source][take]
    return out, mask


def set_numbers(real: np.ndarray, made: np.ndarray) -> dict[str, float]:
    a, b = features.standardised(real, made)
    return {
        "frechet_6d": sets.frechet(features.projected(a), features.projected(b)),
        "kernel_distance": sets.kernel_distance(a, b),
        "rbf_mmd": sets.rbf_mmd(a, b),
    }


def per_set(found, pairs: Sequence[Pair], scheme, shape: tuple[int, int, int]) -> dict[str, object]:
    rng = numpy_generator(0, "halves")
    bands = learn_bands(pairs, scheme)
    vectors: dict[str, list[np.ndarray]] = {"real": [], "made": [], "mixture": []}
    boxed: dict[str, list[np.ndarray]] = {"real": [], "made": [], "mixture": []}
    inside = []
    for pair in pairs:
        request = Request(pair.labels, scheme, pair.spacing_mm)
        images = {
            "real": pair.image,
            "made": render(found, request, 7, "cpu", {}),
            "mixture": gaussian_mixture.generate(gaussian_mixture.Config(), [request], [7])[0],
        }
        finding = run_checks(
            CheckInput(images["made"], pair.labels, scheme, pair.spacing_mm, bands=bands), ["intensity"]
        )[0]
        inside.append(finding.passed)
        for name, image in images.items():
            box, mask = same_box(image, pair.labels, shape)
            vectors[name].append(features.random_conv3d(box, mask))
            boxed[name].append(box)
    stacked = {name: np.stack(rows) for name, rows in vectors.items()}
    order = rng.permutation(len(pairs))
    half = len(pairs) // 2
    return {
        "cases": len(pairs),
        "made against real": set_numbers(stacked["real"], stacked["made"]),
        "mixture against real": set_numbers(stacked["real"], stacked["mixture"]),
        "real against real (halves)": set_numbers(stacked["real"][order[:half]], stacked["real"][order[half:]]),
        "ms_ssim": {
            name: structure.diversity(rows, 1.5, numpy_generator(0, "pairs"), 40) for name, rows in boxed.items()
        },
        "intensity check passed": float(np.mean(inside)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("model")
    parser.add_argument("--train", type=Path, required=True)
    parser.add_argument("--unseen", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--shape", type=int, nargs=3, default=(80, 96, 80))
    args = parser.parse_args()
    found = find_model(args.model)
    unseen, scheme = read(args.unseen, found.contrast)
    rows = per_map(found, unseen, scheme, args.seeds)
    numbers = ["ncc", "ssim", "median_error", "sharpness", "grain", "seconds"]
    for name, found_rows in rows.items():
        told = {key: (np.mean(v), np.std(v)) for key in numbers if (v := [r[key] for r in found_rows if key in r])}
        print(
            name,
            "on",
            len(unseen),
            "unseen maps:",
            ", ".join(f"{k} {m:.3f} (SD {s:.3f})" for k, (m, s) in told.items()),
        )
    train, scheme = read(args.train, found.contrast)
    print(json.dumps(per_set(found, train, scheme, tuple(args.shape)), indent=1))


if __name__ == "__main__":
    main()
