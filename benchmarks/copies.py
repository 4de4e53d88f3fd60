"""Planted copies of real adults: how many are found, and how many strangers are taken for copies.

    python benchmarks/copies.py DATA_DIR [--sets adult_labels adult_t1w] [--spacing 2.0] [--splits 5]

DATA_DIR holds `adult_labels` (scheme synthsegfull, head outside the skull left out) and `adult_t1w_small` (kcl8 labels
and T1w). Subjects are split in half at random, 5 times over: one half is what the model learnt from, the other half are
strangers, each as it is, mirrored and elastically warped. Copies are planted as in tests/checks. Every subject counts
once per split; scans of one person are one subject. Overfit control: the rows "reconstructed", labels rounded and
slightly warped as an autoencoder gives them back, of trained subjects and of strangers.
"""

import argparse
import csv
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import scipy.ndimage as ndi
from scipy.spatial.transform import Rotation
from scipy.stats import beta

from pathosynth.checks import copies
from pathosynth.data.copy_reference import CopyReference
from pathosynth.data.findings import CheckInput
from pathosynth.data.grid import crop, crop_box, resample_image, resample_labels, to_ras
from pathosynth.data.labels import LabelScheme, load_scheme
from pathosynth.data.nifti import read_image, read_labels
from pathosynth.data.volume import Volume
from pathosynth.pathologies import ventriculomegaly
from pathosynth.runs.errors import MorphError

OUTSIDE_THE_SKULL = 500


@dataclass(frozen=True)
class Person:
    """One scan."""

    case: str
    subject: str
    labels: np.ndarray
    image: np.ndarray | None
    scheme: LabelScheme
    spacing_mm: float

    def judged(self, reference: CopyReference, part: str) -> tuple[bool, str]:
        image = self.image if part == "image" else None
        known = CheckInput(image, self.labels, self.scheme, (self.spacing_mm,) * 3, training_cases=reference)
        finding = copies.check(known, copies.Config.model_validate({"parts": [part]}))
        if np.isnan(finding.value):
            raise ValueError(f"{self.case}: {finding.detail}")
        return not finding.passed, finding.detail


def read_person(labels: Path, image: Path | None, subject: str, scheme: LabelScheme, spacing_mm: float) -> Person:
    volume = to_ras(read_labels(labels, scheme))
    inside = np.where(volume.array < OUTSIDE_THE_SKULL, volume.array, 0).astype(volume.array.dtype)
    resampled = resample_labels(Volume(inside, volume.affine), spacing_mm)
    box = crop_box(resampled.array > 0, 5)
    voxels = None if image is None else crop(resample_image(to_ras(read_image(image)), spacing_mm).array, box, 0)
    name = labels.name.split("_")[0]
    return Person(name, subject, crop(resampled.array, box, 0), voxels, scheme, spacing_mm)


def adult_labels(data: Path, spacing_mm: float) -> Iterator[Person]:
    scheme = load_scheme("synthsegfull")
    for path in sorted((data / "adult_labels").glob("*_dseg.nii.gz")):
        yield read_person(path, None, path.name, scheme, spacing_mm)


def adult_t1w(data: Path, spacing_mm: float) -> Iterator[Person]:
    scheme, folder = load_scheme("kcl8"), data / "adult_t1w_small"
    with (folder / "participants.tsv").open(encoding="utf-8", newline="") as file:
        subjects = {row["participant_id"]: row["oasis_id"] for row in csv.DictReader(file, delimiter="\t")}
    for path in sorted(folder.glob("*_desc-h8_dseg.nii.gz")):
        name = path.name.split("_")[0]
        yield read_person(path, folder / f"{name}_T1w.nii.gz", subjects[name], scheme, spacing_mm)


SETS: dict[str, Callable[[Path, float], Iterator[Person]]] = {"adult_labels": adult_labels, "adult_t1w": adult_t1w}


def flipped(person: Person, rng: np.random.Generator) -> Person:
    partner = np.arange(int(person.labels.max()) + 1, dtype=person.labels.dtype)
    for label in person.scheme.labels:
        if label.partner is not None and label.value < partner.size:
            partner[label.value] = label.partner
    return replace(person, labels=partner[person.labels[::-1]], image=moved(person, lambda a, order: a[::-1]))


def moved(person: Person, move: Callable[[np.ndarray, int], np.ndarray]) -> np.ndarray | None:
    return None if person.image is None else move(person.image, 1)


def both(person: Person, move: Callable[[np.ndarray, int], np.ndarray]) -> Person:
    return replace(person, labels=move(person.labels, 0), image=moved(person, move))


def elastic(person: Person, rng: np.random.Generator, strength_mm: float = 2.0) -> Person:
    """Standard deviation of the displacement along each axis, in mm; smooth over 14 mm."""
    width = 14.0 / person.spacing_mm
    field = np.stack([ndi.gaussian_filter(rng.normal(size=person.labels.shape), width, mode="wrap") for _ in range(3)])
    where = np.indices(person.labels.shape) + field * (strength_mm / person.spacing_mm / field.std())
    return both(person, lambda a, order: ndi.map_coordinates(a, where, order=order, mode="nearest"))


def rotated(person: Person, rng: np.random.Generator, degrees: float) -> Person:
    axis = rng.normal(size=3)
    matrix = Rotation.from_rotvec(axis / np.linalg.norm(axis) * np.deg2rad(degrees)).as_matrix()
    middle = (np.array(person.labels.shape) - 1) / 2
    return both(person, lambda a, order: ndi.affine_transform(a, matrix, middle - matrix @ middle, order=order))


def shifted(person: Person, rng: np.random.Generator) -> Person:
    offset = tuple(int(n) for n in rng.integers(-4, 5, 3))
    return both(person, lambda a, order: np.roll(a, offset, (0, 1, 2)))


def reconstructed(person: Person, rng: np.random.Generator) -> Person:
    """As an autoencoder gives it back: shares smoothed by one voxel, the largest wins; then warped by 1 mm."""
    values = np.unique(person.labels)
    shares = [ndi.gaussian_filter((person.labels == v).astype(np.float32), 1.0) for v in values]
    image = moved(person, lambda a, order: ndi.gaussian_filter(a, 1.0))
    return elastic(replace(person, labels=values[np.argmax(shares, axis=0)], image=image), rng, 1.0)


def intensity(person: Person, rng: np.random.Generator) -> Person:
    def curve(a: np.ndarray, order: int) -> np.ndarray:
        scaled = (a - a.min()) / np.ptp(a)
        return np.asarray(scaled ** rng.uniform(0.5, 2.0) * 900)

    return replace(person, image=moved(person, curve))


def noisy(person: Person, rng: np.random.Generator) -> Person:
    def add(a: np.ndarray, order: int) -> np.ndarray:
        return a + rng.normal(0, 0.3 * a[person.labels > 0].std(), a.shape)

    return replace(person, image=moved(person, add))


def morphed(person: Person, rng: np.random.Generator) -> Person:
    """Ventricles three times as large, by the flow; labels only."""
    config = ventriculomegaly.Config(ventricle_fold=3.0)
    spacing = (person.spacing_mm,) * 3
    labels = ventriculomegaly.morph(person.labels, person.scheme, spacing, config, rng).labels
    return replace(person, labels=labels, image=None)


COPIES: dict[str, Callable[[Person, np.random.Generator], Person]] = {
    "exact": lambda person, rng: person,
    "flipped": flipped,
    "shifted": shifted,
    "intensity": intensity,
    "noisy": noisy,
    "elastic 1 mm": lambda person, rng: elastic(person, rng, 1.0),
    "elastic 2 mm": elastic,
    "elastic 3 mm": lambda person, rng: elastic(person, rng, 3.0),
    "rotated 5": lambda person, rng: rotated(person, rng, 5.0),
    "rotated 10": lambda person, rng: rotated(person, rng, 10.0),
    "reconstructed": reconstructed,
    "ventricles x 3": morphed,
}
STRANGERS = ("exact", "flipped", "elastic 2 mm", "reconstructed")
IMAGE_ONLY, LABELS_ONLY = ("intensity", "noisy"), ("ventricles x 3",)


def planted(people: list[Person]) -> dict[str, dict[str, Person]]:
    """Every variant of every case; a morph that cannot be made is left out."""
    made: dict[str, dict[str, Person]] = defaultdict(dict)
    for index, person in enumerate(people):
        for name, plant in COPIES.items():
            try:
                made[person.case][name] = plant(person, np.random.default_rng((index, len(name))))
            except MorphError as error:
                print(f"{person.case}, {name}: {error}", flush=True)
    return made


def measure(people: list[Person], part: str, splits: int) -> None:
    made, rng = planted(people), np.random.default_rng(0)
    found: dict[str, list[bool]] = defaultdict(list)
    right: dict[str, list[bool]] = defaultdict(list)
    seconds = []
    subjects = sorted({person.subject for person in people})
    for split in range(splits):
        trained = set(rng.permutation(subjects)[: len(subjects) // 2].tolist())
        known = [person for person in people if person.subject in trained]
        images = [p.image for p in known if p.image is not None] if part == "image" else None
        reference = copies.learn_copies(known, people[0].scheme, images)
        limits = reference["folds-labels-v1" if part == "labels" else "folds-image-v1"]
        print(f"split {split}: {len(trained)} subjects, limits {limits.suspect:.3f} (95), {limits.copy:.3f} (99.5)")
        for person in people:
            stranger = person.subject not in trained
            for name, variant in made[person.case].items():
                if (name in IMAGE_ONLY and part == "labels") or (name in LABELS_ONLY and part == "image"):
                    continue
                if stranger and name not in STRANGERS:
                    continue
                began = time.perf_counter()
                flagged, detail = variant.judged(reference, part)
                seconds.append(time.perf_counter() - began)
                found[f"{'stranger' if stranger else 'copy'}, {name}"].append(flagged)
                if not stranger:
                    same = [other.case for other in known if other.subject == person.subject]
                    right[f"copy, {name}"].append(any(f"training case {case}" in detail for case in same))
    print(f"| {part} | cases | flagged | 95 % interval | right case named |\n|---|---|---|---|---|")
    for name in sorted(found):
        low, high = interval(sum(found[name]), len(found[name]))
        named = f"{100 * np.mean(right[name]):.0f} %" if right[name] else ""
        flagged = f"{100 * np.mean(found[name]):.1f} %"
        print(f"| {name} | {len(found[name])} | {flagged} | {100 * low:.1f} to {100 * high:.1f} | {named} |")
    print(f"median {np.median(seconds):.3f} s per check\n", flush=True)


def interval(hits: int, count: int) -> tuple[float, float]:
    """Clopper-Pearson; too narrow here, because the splits share people."""
    low = beta.ppf(0.025, hits, count - hits + 1) if hits else 0.0
    high = beta.ppf(0.975, hits + 1, count - hits) if hits < count else 1.0
    return float(low), float(high)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--sets", nargs="+", choices=list(SETS), default=list(SETS))
    parser.add_argument("--spacing", type=float, default=2.0, help="voxel size in mm")
    parser.add_argument("--splits", type=int, default=5, help="random halves of the subjects")
    options = parser.parse_args()
    for name in options.sets:
        people = list(SETS[name](options.data, options.spacing))
        print(f"\n{name}: {len(people)} scans of {len({person.subject for person in people})} people", flush=True)
        for part in ["labels"] if people[0].image is None else ["labels", "image"]:
            measure(people, part, options.splits)


if __name__ == "__main__":
    main()
