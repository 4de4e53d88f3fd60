"""Phantoms as data: healthy heads to train on, and other heads with enlarged ventricles to test on."""

from pathlib import Path

import numpy as np

from pathosynth.data.labels import LabelScheme, load_scheme
from pathosynth.data.nifti import write_image, write_labels
from pathosynth.data.phantom import brain_phantom
from pathosynth.data.requests import Request
from pathosynth.data.volume import Volume
from pathosynth.image_generators import gaussian_mixture
from pathosynth.pathologies import ventriculomegaly
from pathosynth.runs.files import write_text
from pathosynth.runs.seeds import case_seed, numpy_generator

SCHEME = "kcl8"
EXTENT_MM = (121.6, 147.2, 121.6)
"""Of the grid; every head fits."""
FOLDS = (1.6, 2.2)
"""Least and largest ventricles of the test heads, as multiples of the head's own."""
AGE_WEEKS = 30
INTENSITY_SCALE = 1000


def write_phantoms(out: Path, *, train: int, test: int, spacing_mm: float, seed: int) -> list[str]:
    """Write ``train/`` and ``test/``, each a flat folder of ``NAME_dseg.nii.gz`` and ``NAME_T2w.nii.gz``.

    Args:
        out: folder to write.
        train: number of healthy heads.
        test: number of heads with enlarged ventricles.
        spacing_mm: voxel edge, up to 1.6.
        seed: decides everything.

    Returns:
        Names of the heads.
    """
    scheme = load_scheme(SCHEME)
    names = [f"healthy{number:02d}" for number in range(1, train + 1)]
    names += [f"sick{number:02d}" for number in range(1, test + 1)]
    for name in names:
        own = case_seed(seed, name, "phantom")
        labels = _head(name, own, spacing_mm, scheme)
        folder = out / ("train" if name.startswith("healthy") else "test")
        folder.mkdir(parents=True, exist_ok=True)
        write_image(folder / f"{name}_T2w.nii.gz", _image(labels, scheme, own))
        write_labels(folder / f"{name}_dseg.nii.gz", labels)
    for part in ("train", "test"):
        own_names = [name for name in names if (out / part / f"{name}_dseg.nii.gz").is_file()]
        rows = "".join(f"{name}\t{AGE_WEEKS}\n" for name in own_names)
        write_text(out / part / "participants.tsv", f"participant_id\tga_weeks\n{rows}")
    return names


def _head(name: str, seed: int, spacing_mm: float, scheme: LabelScheme) -> Volume:
    shape = tuple(round(extent / spacing_mm) for extent in EXTENT_MM)
    labels = brain_phantom(seed, (shape[0], shape[1], shape[2]), spacing_mm)
    if name.startswith("healthy"):
        return labels
    rng = numpy_generator(seed, "fold")
    config = ventriculomegaly.Config(ventricle_fold=rng.uniform(*FOLDS), skull_share=0.5)
    morphed = ventriculomegaly.morph(labels.array, scheme, labels.spacing_mm, config, rng)
    return labels.with_array(morphed.labels)


def _image(labels: Volume, scheme: LabelScheme, seed: int) -> Volume:
    request = Request(
        labels=labels.array, scheme=scheme, spacing_mm=labels.spacing_mm, parent_image=None, displacement=None
    )
    (image,) = gaussian_mixture.generate(gaussian_mixture.Config(), [request], [seed])
    return labels.with_array(np.rint(image * INTENSITY_SCALE).astype(np.int16))
