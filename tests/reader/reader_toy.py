"""A toy study to look at and to test with: ``python tests/reader/reader_toy.py FOLDER`` writes it."""

import sys
from pathlib import Path

import numpy as np

from pathosynth.data.nifti import write_image
from pathosynth.data.volume import Volume

SETTINGS = """
title = "Toy study"
instructions = "Look at every image in three planes, then answer all questions."
seed = 7
readers = {readers}

[arms.scanner]
source = "real"
contrast = "T2w"
origin = "real"

[arms.model]
source = "synthetic"
contrast = "T2w"
origin = "synthetic"
"""

WITH_ALL = "training = {cases = 4}\nrepeats = {share = 0.2, distance = 5}\n"
"""A training block with feedback, and hidden repeats."""


def write_toy(
    folder: Path, *, each: int = 10, readers: int = 3, size: int = 24, extra: str = "", rng_seed: int = 0
) -> Path:
    """Write `each` blobs of noise per arm and a study of them; returns the study file.

    Args:
        folder: to write.
        each: images per arm.
        readers: planned.
        size: voxels along an edge, about.
        extra: more TOML, put before the arms.
        rng_seed: of the voxels.
    """
    rng = np.random.default_rng(rng_seed)
    for arm in ("real", "synthetic"):
        (folder / arm).mkdir(parents=True)
        for number in range(each):
            image = blob((size, size + 4, size), rng)
            write_image(folder / arm / f"{arm}{number:03d}_T2w.nii.gz", Volume(image, np.diag([2.0, 2.0, 2.0, 1.0])))
    before, arms = SETTINGS.format(readers=readers).split("[arms", 1)
    path = folder / "study.toml"
    path.write_text(f"{before}{extra}\n[arms{arms}")
    return path


def blob(shape: tuple[int, int, int], rng: np.random.Generator) -> np.ndarray:
    """An ellipsoid with noise, brighter on the right; its place and width are drawn."""
    axes = [np.arange(n) - (n - 1) / 2 + rng.uniform(-1, 1) for n in shape]
    x, y, z = np.meshgrid(*axes, indexing="ij")
    radius = np.sqrt(sum((axis / (rng.uniform(0.3, 0.4) * n)) ** 2 for axis, n in zip((x, y, z), shape, strict=True)))
    inside = radius < 1
    image = np.where(inside, 500 + 8 * x + rng.normal(0, 60, shape), 0)
    return np.clip(image, 0, None).astype(np.float32)


if __name__ == "__main__":
    sys.stdout.write(f"{write_toy(Path(sys.argv[1]), size=64, each=12, extra=WITH_ALL)}\n")
