"""Adults with small ventricles grown to the ventricle volumes of real adults with large ones.

    python benchmarks/headline_adults.py SMALL_DIR ENLARGED_DIR [--parents 8] [--cases 1006 ...] [--arms ...]
        [--json OUT.json] [--merge SHARD.json ...]

Both folders hold `*_desc-h8_dseg.nii.gz` in scheme kcl8 and a participants.tsv (participant_id, session, age,
ml_ventricular_csf). Every parent (first scans only) takes the ventricle volume of the left and of the right side of
every patient; dilation, whose iterations are the same on both sides, takes their sum. Nothing else of the patient is
known to an arm. Adult heads differ in size, so the alignment has seven degrees of freedom: rigid and one isotropic
scale; volumes, widths and thicknesses are compared as they are, unscaled. With `--parents N` the N parents lie at
evenly spaced ranks of ventricle volume.
"""

import argparse
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np

from comparison import attempt, self_check
from comparison_tables import Record, case_tables, load, refusals, save, summary
from head import Head, participants, read_head
from pathosynth.data.labels import load_scheme
from pathosynth.morphing import measure
from pathosynth.pathologies import dilation, ventriculomegaly
from pathosynth.runs.seeds import numpy_generator

_SUFFIX = "_desc-h8_dseg.nii.gz"
_LEAVE_OUT = (
    "hindbrain_csf_ml",
    "hindbrain_csf_percent",
    "transcerebellar_diameter_mm",
    "cerebellum_lowest_mm",
    "brainstem_lowest_mm",
)

Make = Callable[[Head, dict[str, float], np.random.Generator], np.ndarray]


def flow(parent: Head, wanted_ml: dict[str, float], rng: np.random.Generator) -> np.ndarray:
    """Rigid skull; external CSF pays."""
    return _grow(parent, {"ventricle_ml": wanted_ml}, rng)


def flow_atrophy(parent: Head, wanted_ml: dict[str, float], rng: np.random.Generator) -> np.ndarray:
    """Rigid skull; white matter and cortex shrink by one fold that pays for the ventricles, so external CSF stays."""
    gain = sum(wanted_ml.values()) - volume_ml(parent, "ventricles")
    fold = 1.0 - gain / volume_ml(parent, "white_matter", "cortex")
    return _grow(parent, {"ventricle_ml": wanted_ml, "white_matter": fold, "cortex": fold}, rng)


def dilated(parent: Head, wanted_ml: dict[str, float], rng: np.random.Generator) -> np.ndarray:
    """White matter becomes ventricle, to the nearest whole iteration."""
    config = dilation.Config(ventricle_ml=sum(wanted_ml.values()))
    return dilation.morph(parent.labels, parent.scheme, parent.spacing_mm, config, rng).labels


def untouched(parent: Head, wanted_ml: dict[str, float], rng: np.random.Generator) -> np.ndarray:
    return parent.labels


ARMS: dict[str, Make] = {
    "flow": flow,
    "flow, tissue pays": flow_atrophy,
    "dilation": dilated,
    "untouched": untouched,
}


def _grow(parent: Head, settings: dict[str, object], rng: np.random.Generator) -> np.ndarray:
    config = ventriculomegaly.Config.model_validate(settings)
    return ventriculomegaly.morph(parent.labels, parent.scheme, parent.spacing_mm, config, rng).labels


def volume_ml(head: Head, *groups: str) -> float:
    return float(head.mask(*groups).sum() * np.prod(head.spacing_mm)) / 1000.0


def sides_ml(head: Head) -> dict[str, float]:
    """Ventricle volume left and right of the midsagittal plane."""
    masks = measure.side_masks(head.labels, head.scheme, "ventricles")
    return {side: float(mask.sum() * np.prod(head.spacing_mm)) / 1000.0 for side, mask in masks.items()}


def chosen_parents(folder: Path, count: int | None) -> list[str]:
    """First scans by ventricle volume; `count` of them at evenly spaced ranks, smallest and largest among them."""
    first = [row for row in participants(folder) if row["session"] != "2nd_Scan"]
    names = [row["participant_id"] for row in sorted(first, key=lambda row: float(row["ml_ventricular_csf"]))]
    if count is None or count >= len(names):
        return names
    return [names[round(rank)] for rank in np.linspace(0, len(names) - 1, count)]


def run(patient_name: str, patient: Head, small: Path, parents: list[str], arms: list[str]) -> Iterator[Record]:
    """Every arm on every parent, for one patient."""
    wanted = sides_ml(patient)
    for name in parents:
        parent = read_head(small / f"{name}{_SUFFIX}", patient.scheme)
        for arm in arms:
            rng = numpy_generator(0, patient_name, name, arm)
            blank = Record(patient_name, f"{patient_name} from {name}", arm, name)
            yield attempt(blank, partial(ARMS[arm], parent, wanted, rng), patient, scaled=True, leave_out=_LEAVE_OUT)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("small", type=Path)
    parser.add_argument("enlarged", type=Path)
    parser.add_argument("--parents", type=int, help="how many parents, spread in ventricle volume; all without it")
    parser.add_argument("--cases", nargs="*", help="patients whose name holds one of these; none: only merge")
    parser.add_argument("--arms", nargs="+", default=list(ARMS), choices=list(ARMS), metavar="ARM")
    parser.add_argument("--json", type=Path, help="write every record here, after each patient")
    parser.add_argument("--merge", type=Path, nargs="+", default=[], help="records of other shards, for the tables")
    options = parser.parse_args()
    records, scheme = load(options.merge), load_scheme("kcl8")
    parents = chosen_parents(options.small, options.parents)
    for row in participants(options.enlarged):
        name = row["participant_id"]
        if options.cases is not None and not any(text in name for text in options.cases):
            continue
        patient = read_head(options.enlarged / f"{name}{_SUFFIX}", scheme)
        print(self_check(patient, scaled=True), flush=True)
        records += run(f"{name}, {row['age']} years", patient, options.small, parents, options.arms)
        if options.json:
            save(records, options.json)
    if not records:
        parser.error("no patient was asked for, and no records were given")
    records.sort(key=lambda r: (r.case, list(ARMS).index(r.arm), r.draw))
    print("\n" + "\n\n".join([summary(records), case_tables(records), refusals(records)]))


if __name__ == "__main__":
    main()
