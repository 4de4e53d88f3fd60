"""Copies among phantoms: recall of planted ones and false alarms of new ones, for rules that share one error rate.

    python benchmarks/copies_phantoms.py -o OUT [--known 20] [--new 200] [--warps 1]

`known` phantoms with rendered images are what a model learnt from; `new` ones have nothing to do with them; every known
one is planted once elastically warped (as in tests/checks/test_check_copies.py). Similarities are rows of
OUT/similarities.csv, so that the same command goes on, and rules are compared without computing them again: every part
by its own 99.5 % limit, and both parts sharing one error rate of 0.5 % (99.75 % each).
"""

import argparse
import csv
from pathlib import Path

import numpy as np
from scipy import ndimage

from pathosynth.checks import copies, likeness
from pathosynth.data.labels import load_scheme
from pathosynth.data.pairs import Pair
from pathosynth.data.phantom import brain_phantom
from pathosynth.data.requests import Request
from pathosynth.image_generators import gaussian_mixture

SCHEME = load_scheme("kcl8")
COLUMNS = ("kind", "seed", "labels", "image")
PERCENTILES = {"each part at 99.5 %": 99.5, "both parts share 0.5 %": 99.75}
KINDS = {"labels": "folds-labels-v1", "image": "folds-image-v1"}


def phantom(seed: int) -> Pair:
    volume = brain_phantom(seed, (78, 88, 80), 1.6)
    request = Request(volume.array, SCHEME, volume.spacing_mm)
    image = gaussian_mixture.generate(gaussian_mixture.Config(), [request], [seed])[0]
    return Pair(f"case{seed}", f"subject{seed}", volume.array, image, volume.spacing_mm)


def warped(pair: Pair, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    field = np.stack([ndimage.gaussian_filter(rng.normal(size=pair.labels.shape), 7, mode="wrap") for _ in range(3)])
    where = np.indices(pair.labels.shape) + field / field.std()
    labels = ndimage.map_coordinates(pair.labels, where, order=0, mode="nearest")
    return labels, ndimage.map_coordinates(pair.image, where, order=1, mode="nearest")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", "--out", type=Path, required=True)
    parser.add_argument("--known", type=int, default=20)
    parser.add_argument("--new", type=int, default=200)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    table = options.out / "similarities.csv"
    if not table.is_file():
        table.write_text(",".join(COLUMNS) + "\n")
    with table.open(newline="") as file:
        done = {(row["kind"], row["seed"]) for row in csv.DictReader(file)}
    known = [phantom(seed) for seed in range(options.known)]
    reference = copies.learn_copies(known, SCHEME, [pair.image for pair in known])
    wanted = [("elastic", seed) for seed in range(options.known)] + [("new", 1000 + i) for i in range(options.new)]
    for kind, seed in wanted:
        if (kind, str(seed)) in done:
            continue
        pair = known[seed] if kind == "elastic" else phantom(seed)
        rng = np.random.default_rng(seed)
        labels, image = warped(pair, rng) if kind == "elastic" else (pair.labels, pair.image)
        found = {row["part"]: row["similarity"] for row in copies.likeness_of(labels, image, SCHEME, reference)}
        with table.open("a", newline="") as file:
            csv.DictWriter(file, COLUMNS).writerow({"kind": kind, "seed": seed, **found})
    with table.open(newline="") as file:
        rows = list(csv.DictReader(file))
    for rule, percentile in PERCENTILES.items():
        limits = {part: likeness.limit(reference[kind].alike, percentile) for part, kind in KINDS.items()}
        told = []
        for kind in ("elastic", "new"):
            own = [row for row in rows if row["kind"] == kind]
            hits = sum(any(float(row[part]) > limit for part, limit in limits.items()) for row in own)
            told.append(f"{kind} {hits} of {len(own)}")
        print(
            f"{rule} (limits {', '.join(f'{part} {limit:.3f}' for part, limit in limits.items())}): {'; '.join(told)}"
        )


if __name__ == "__main__":
    main()
