"""Healthy fetal brains turned into spina bifida by age alone, against real patients of the same age.

    python benchmarks/headline_spina_bifida.py HEALTHY_DIR PATIENTS_DIR [--cases GA21nonop] [--arms chiari2 ...]
        [--json OUT.json] [--merge SHARD.json ...]

Both folders hold `*_dseg.nii.gz` in scheme kcl8 and a participants.tsv (participant_id, ga_weeks; patients: surgery).
An arm is a function of the healthy map, the age in weeks and whether the spine was repaired before birth; the patient
is out of its reach. Bounds (marked) are told the patient's volumes: how well a method could do if its volumes were
right. Random arms are drawn several times, and the mean distance of the draws counts. The patients are averages of an
atlas; ratios that a pathology holds for an age and that were measured on this atlas are not independent of them.
"""

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from comparison import attempt, self_check
from comparison_tables import Record, case_tables, load, refusals, save, summary
from head import Head, participants, read_head
from pathosynth.data.labels import LabelScheme, load_scheme
from pathosynth.data.volume import Spacing
from pathosynth.pathologies import PATHOLOGIES, chiari2, dilation, profile, ventriculomegaly
from pathosynth.runs.seeds import numpy_generator

_REPAIR = {"not_operated": "none", "operated_in_utero": "fetal"}

Make = Callable[[np.ndarray, LabelScheme, Spacing, float, str, np.random.Generator], np.ndarray]


@dataclass(frozen=True)
class Arm:
    """How a patient is made, and how often where that is random."""

    make: Make
    draws: int = 1


def untouched(
    labels: np.ndarray, scheme: LabelScheme, spacing: Spacing, age: float, repair: str, rng: np.random.Generator
) -> np.ndarray:
    return labels


def chiari(
    labels: np.ndarray, scheme: LabelScheme, spacing: Spacing, age: float, repair: str, rng: np.random.Generator
) -> np.ndarray:
    config = chiari2.Config.model_validate({"age_weeks": age, "repair": repair})
    return chiari2.morph(labels, scheme, spacing, config, rng).labels


def ventricles_by_age(
    labels: np.ndarray, scheme: LabelScheme, spacing: Spacing, age: float, repair: str, rng: np.random.Generator
) -> np.ndarray:
    """Ventriculomegaly alone, in a rigid skull, to the ventricle fold that is typical of Chiari II at that age."""
    now = float(scheme.mask(labels, "ventricles").sum() * np.prod(spacing)) / 1000.0
    config = ventriculomegaly.Config(ventricle_fold=chiari2.typical(age, repair, now)["ventricles"])
    return ventriculomegaly.morph(labels, scheme, spacing, config, rng).labels


def random_dilation(
    labels: np.ndarray, scheme: LabelScheme, spacing: Spacing, age: float, repair: str, rng: np.random.Generator
) -> np.ndarray:
    return dilation.morph(labels, scheme, spacing, dilation.Config(), rng).labels


def paper_recipe(
    labels: np.ndarray, scheme: LabelScheme, spacing: Spacing, age: float, repair: str, rng: np.random.Generator
) -> np.ndarray:
    """The first paper's combination, each pathology at its own random severity, in the paper's order."""
    for name in paper_combination(rng):
        module = PATHOLOGIES[name]
        labels = module.morph(labels, scheme, spacing, module.Config(), rng).labels
    return labels


def paper_combination(rng: np.random.Generator) -> list[str]:
    """One pathology, with p = 0.5 a second, with p = 0.25 a third; never both hypoplasias; microcephaly with dilation.

    Whether the paper's 0.25 is the share of all variants or of those with two is not known; here it is of all.
    """
    order = ["dilation", "paper_cerebellar_hypoplasia", "paper_pontocerebellar_hypoplasia", "paper_microcephaly"]
    draw = rng.uniform()
    chosen: set[str] = set()
    for _ in range(1 + (draw < 0.5) + (draw < 0.25)):
        hypoplasia = chosen & set(order[1:3])
        chosen.add(str(rng.choice([n for n in order if n not in chosen and not (hypoplasia and n in order[1:3])])))
    if "paper_microcephaly" in chosen:
        chosen.add("dilation")
    return [name for name in order if name in chosen]


ARMS = {
    "chiari2": Arm(chiari),
    "ventriculomegaly": Arm(ventricles_by_age),
    "dilation": Arm(random_dilation, draws=5),
    "paper recipe": Arm(paper_recipe, draws=10),
    "untouched": Arm(untouched),
}


def told_dilation(real: Head, labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Dilation to the patient's ventricle volume."""
    wanted = sum(real.volumes_ml[v] for v in real.scheme.group("ventricles"))
    return dilation.morph(labels, real.scheme, real.spacing_mm, dilation.Config(ventricle_ml=wanted), rng).labels


def told_profile(real: Head, labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Flow to the patient's volume of every label."""
    config = profile.Config(volumes_ml={real.scheme[v].name: ml for v, ml in real.volumes_ml.items()})
    return profile.morph(labels, real.scheme, real.spacing_mm, config, rng).labels


BOUNDS = {"dilation, real volume": told_dilation, "profile, real volumes": told_profile}


@dataclass(frozen=True)
class Pair:
    """A healthy map and a patient of the same age."""

    name: str
    age_weeks: float
    repair: str
    healthy: Head
    patient: Head


def pairs(healthy: Path, patients: Path, scheme: LabelScheme, wanted: list[str] | None) -> Iterator[Pair]:
    """Every patient that has a healthy map of its age, read when it is its turn."""
    by_age = {float(row["ga_weeks"]): row["participant_id"] for row in participants(healthy)}
    for row in participants(patients):
        name, age = row["participant_id"], float(row["ga_weeks"])
        if age in by_age and (wanted is None or any(text in name for text in wanted)):
            repair = _REPAIR[row["surgery"]]
            files = (healthy / f"{by_age[age]}_dseg.nii.gz", patients / f"{name}_dseg.nii.gz")
            maps = [read_head(path, scheme) for path in files]
            yield Pair(f"{age:g} weeks, {'operated' if repair == 'fetal' else 'not operated'}", age, repair, *maps)


def run(pair: Pair, arms: list[str]) -> Iterator[Record]:
    """Every chosen arm and bound on one pair."""
    head = pair.healthy
    for name in arms:
        bound = name in BOUNDS
        for draw in range(1 if bound else ARMS[name].draws):
            rng = numpy_generator(0, pair.name, name, draw)
            if bound:
                make = partial(BOUNDS[name], pair.patient, head.labels, rng)
            else:
                given = (head.labels, head.scheme, head.spacing_mm, pair.age_weeks, pair.repair, rng)
                make = partial(ARMS[name].make, *given)
            blank = Record(pair.name, pair.name, name, str(draw), bound)
            yield attempt(blank, make, pair.patient, scaled=False, leave_out=("contact_faces",))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("healthy", type=Path)
    parser.add_argument("patients", type=Path)
    parser.add_argument("--cases", nargs="*", help="patients whose name holds one of these; none: only merge")
    parser.add_argument("--arms", nargs="+", default=[*ARMS, *BOUNDS], choices=[*ARMS, *BOUNDS], metavar="ARM")
    parser.add_argument("--json", type=Path, help="write every record here, after each case")
    parser.add_argument("--merge", type=Path, nargs="+", default=[], help="records of other shards, for the tables")
    options = parser.parse_args()
    records, checked = load(options.merge), False
    for pair in pairs(options.healthy, options.patients, load_scheme("kcl8"), options.cases):
        if not checked:
            print(self_check(pair.healthy, scaled=False), flush=True)
            checked = True
        records += run(pair, options.arms)
        if options.json:
            save(records, options.json)
    if not records:
        parser.error("no patient has a healthy map of its age, or none was asked for")
    order = {name: place for place, name in enumerate([*ARMS, *BOUNDS])}
    records.sort(key=lambda r: (r.case, order[r.arm], int(r.draw)))
    print("\n" + "\n\n".join([summary(records), case_tables(records), refusals(records)]))


if __name__ == "__main__":
    main()
