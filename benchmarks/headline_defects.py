"""Ten kinds of planted defects x three strengths on real scans: how many do the checks find, at how many false alarms?

    python benchmarks/headline_defects.py DATA_DIR -o OUT [--sets fetal adult foreign] [--foreign CASES] [--every 2]

Bands are learnt on one set and judged on another: fetal on `fetal_healthy` (18) for `fetal_spinabifida_dev` (6), adult
on every other person of `adult_t1w_small` for the others and for `adult_t1w_enlarged_dev`, all at 1.5 mm. `foreign` are
T1w scans of another site in a case table with kcl8 labels, judged with the adult bands. `--development` uses halves of
the band sets alone, for work on the checks. Every judged case is a row of OUT/cases.csv; the same command goes on with
what is missing, and writes OUT/summary.json: AUC of the score, recall at 5 % false alarms, and recall of the verdict.
"""

import argparse
import csv
import functools
import json
import time
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from pathosynth.checks import run_checks, score
from pathosynth.checks.intensity import learn_bands
from pathosynth.checks.learning import learn, measured
from pathosynth.data.cases import read_cases
from pathosynth.data.findings import CheckInput, Finding
from pathosynth.data.grid import crop, crop_box, resample_image, resample_labels, to_ras
from pathosynth.data.intensity import robust_scale
from pathosynth.data.nifti import read_image, read_labels
from pathosynth.data.pairs import Pair
from pathosynth.metrics.separation import auc
from planted_defects import DEFECTS, SCHEME, STRENGTHS

CHECKS = ("geometry", "islands", "nesting", "slice_steps", "slice_order", "intensity", "quality", "unusual")
ADULT_MM = 1.5
MARGIN = 6


@dataclass(frozen=True)
class Scan:
    name: str
    subject: str
    case: CheckInput


def read_scan(labels: Path, image: Path, subject: str, spacing_mm: float | None) -> Scan:
    maps, voxels = to_ras(read_labels(labels, SCHEME)), to_ras(read_image(image))
    if spacing_mm:
        maps, voxels = resample_labels(maps, spacing_mm), resample_image(voxels, spacing_mm)
    box = crop_box(maps.array > 0, MARGIN)
    inner = crop(maps.array, box, 0)
    shown = np.where(inner > 0, crop(voxels.array, box, 0), 0).astype(np.float32)
    return Scan(labels.name.split("_")[0], subject, CheckInput(shown, inner, SCHEME, maps.spacing_mm))


def folder(data: Path, name: str, contrast: str, marks: str, spacing_mm: float | None) -> list[Scan]:
    people = {}
    if (data / name / "participants.tsv").is_file():
        with (data / name / "participants.tsv").open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file, delimiter="\t"))
        people = {row["participant_id"]: row.get("oasis_id") or row["participant_id"] for row in rows}
    scans = []
    for path in sorted((data / name).glob(f"*{marks}_dseg.nii.gz")):
        case = path.name.split("_")[0]
        scans.append(read_scan(path, data / name / f"{case}_{contrast}.nii.gz", people.get(case, case), spacing_mm))
    return scans


def halves(scans: Sequence[Scan]) -> tuple[list[Scan], list[Scan]]:
    """Every other person, all scans of a person on one side."""
    subjects = sorted({scan.subject for scan in scans})
    chosen = set(subjects[::2])
    return [s for s in scans if s.subject in chosen], [s for s in scans if s.subject not in chosen]


def with_bands(known: Sequence[Scan], judged: Sequence[Scan]) -> list[Scan]:
    rows = [measured(s.subject, s.case.labels, s.case.image, SCHEME, s.case.spacing_mm) for s in known]
    yardstick = learn(rows)
    pairs = [
        Pair(s.name, s.subject, s.case.labels, robust_scale(s.case.image, s.case.labels > 0)[0], s.case.spacing_mm)
        for s in known
    ]
    bands = learn_bands(pairs, SCHEME)
    return [replace(s, case=replace(s.case, yardstick=yardstick, bands=bands)) for s in judged]


def sets(data: Path, names: Sequence[str], foreign: Path | None, development: bool) -> Iterator[tuple[str, list[Scan]]]:
    if "fetal" in names:
        healthy = folder(data, "fetal_healthy", "T2w", "", None)
        known, judged = (
            halves(healthy) if development else (healthy, folder(data, "fetal_spinabifida_dev", "T2w", "", None))
        )
        yield "fetal", with_bands(known, judged)
    if "adult" in names or "foreign" in names:
        known, others = halves(folder(data, "adult_t1w_small", "T1w", "_desc-h8", ADULT_MM))
        if development:
            yield "adult", with_bands(*halves(known))
            return
        if "adult" in names:
            yield "adult", with_bands(known, others)
            yield "enlarged", with_bands(known, folder(data, "adult_t1w_enlarged_dev", "T1w", "_desc-h8", ADULT_MM))
        if "foreign" in names and foreign:
            table = [c for c in read_cases(foreign / "cases.csv" if foreign.is_dir() else foreign) if c.labels]
            scans = [read_scan(c.labels, c.images["T1w"], c.subject, ADULT_MM) for c in table]
            yield "foreign", with_bands(known, scans)


COLUMNS = ("set", "scan", "kind", "strength", "score", "failed", "strains", "seconds")


@dataclass(frozen=True, eq=False)
class Same:
    """A case that equals every other of the same label map."""

    case: CheckInput

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Same) and other.case.labels is self.case.labels

    def __hash__(self) -> int:
        return id(self.case.labels)


@functools.lru_cache(maxsize=8)
def _of_labels(case: Same, name: str) -> tuple[Finding, ...]:
    return tuple(run_checks(case.case, [name]))


def _findings(case: CheckInput, name: str) -> Sequence[Finding]:
    """Checks of labels alone are run once for each label map."""
    return _of_labels(Same(case), name) if name in ("islands", "nesting") else run_checks(case, [name])


def judged(scan: Scan, kind: str, strength: int) -> dict[str, object]:
    rng = np.random.default_rng((zlib.crc32(f"{scan.name}/{kind}".encode()), strength))
    case = DEFECTS[kind](scan.case, strength, rng) if kind != "clean" else scan.case
    began = time.perf_counter()
    findings = [finding for name in CHECKS for finding in _findings(case, name)]
    strains = {finding.name: round(min(finding.strain, 1e6), 4) for finding in findings}
    return {
        "scan": scan.name, "kind": kind, "strength": strength, "score": score(findings),
        "failed": " ".join(f.name for f in findings if not f.passed), "strains": json.dumps(strains),
        "seconds": round(time.perf_counter() - began, 2),
    }  # fmt: skip


def summarised(rows: Sequence[dict[str, str]]) -> dict[str, Any]:
    def values(chosen: Sequence[dict[str, str]]) -> np.ndarray:
        return np.array([float(row["score"]) for row in chosen])

    def fails(row: dict[str, str]) -> bool:
        return bool(row["failed"])

    clean, bad = [r for r in rows if r["kind"] == "clean"], [r for r in rows if r["kind"] != "clean"]
    told: dict[str, Any] = {
        "clean": len(clean), "defective": len(bad),
        "auc": round(auc(values(clean), values(bad)), 4),
        "rejected_clean": sum(map(fails, clean)),
        "recall_of_the_verdict": round(float(np.mean([fails(r) for r in bad])), 4),
    }  # fmt: skip
    threshold = float(np.quantile(values(clean), 0.05, method="lower"))
    told["recall_at_5_percent"] = round(float((values(bad) < threshold).mean()), 4)
    kinds = {}
    for kind in DEFECTS:
        own = [r for r in bad if r["kind"] == kind]
        if own:
            each = [[r for r in own if r["strength"] == str(s)] for s in range(3)]
            kinds[kind] = {
                "strengths": STRENGTHS[kind], "auc": round(auc(values(clean), values(own)), 4),
                "recall_at_5_percent": [round(float((values(some) < threshold).mean()), 3) for some in each],
                "recall_of_the_verdict": [round(float(np.mean([fails(r) for r in some])), 3) for some in each],
            }  # fmt: skip
    return told | {"kinds": kinds}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("-o", "--out", type=Path, required=True)
    parser.add_argument("--sets", nargs="+", default=["fetal", "adult", "foreign"])
    parser.add_argument("--foreign", type=Path, help="case table of T1w scans of another site with kcl8 labels")
    parser.add_argument("--development", action="store_true", help="halves of the band sets only")
    parser.add_argument("--every", type=int, default=1, help="judge only every n-th scan")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    table = options.out / "cases.csv"
    done = set()
    if table.is_file():
        with table.open(newline="") as file:
            done = {(r["set"], r["scan"], r["kind"], r["strength"]) for r in csv.DictReader(file)}
    else:
        table.write_text(",".join(COLUMNS) + "\n")
    for name, scans in sets(options.data, options.sets, options.foreign, options.development):
        for scan in scans[:: options.every]:
            for kind, strength in [("clean", 0), *((kind, s) for kind in DEFECTS for s in range(3))]:
                if (name, scan.name, kind, str(strength)) in done:
                    continue
                row = judged(scan, kind, strength)
                with table.open("a", newline="") as file:
                    csv.DictWriter(file, COLUMNS).writerow({"set": name} | row)
            print(name, scan.name, flush=True)
    with table.open(newline="") as file:
        rows = list(csv.DictReader(file))
    groups = {"all": rows} | {
        name: [r for r in rows if r["set"] == name] for name in dict.fromkeys(r["set"] for r in rows)
    }
    told = {name: summarised(own) for name, own in groups.items()}
    (options.out / "summary.json").write_text(json.dumps(told, indent=1))
    for name, found in told.items():
        print(f"{name}: " + ", ".join(f"{key} {value}" for key, value in found.items() if key != "kinds"))
        for kind, numbers in found["kinds"].items():
            print(f"  {kind}: {numbers}")


if __name__ == "__main__":
    main()
