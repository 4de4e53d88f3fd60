"""The contract of every pathology on every real label map: target met, no fold, nothing torn, lost or changed besides.

    python benchmarks/headline_pathologies.py DATA_ROOT [--sets fetal_healthy ...] [--cases GA28 ...]
        [--pathologies chiari2 ...] [--settings "fold 1.5" ...] [--jobs 1] [--json RUNS.json] [--again failed ...]

Every run is checked on the returned arrays (`contract_checks`), for the settings in `pathology_settings`. With --json a
run that is in the file is not repeated, unless its outcome is named by --again. Seconds are those of `morph` alone.
"""

import argparse
import csv
import json
import resource
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from contract_checks import Source, failures, inside_skull
from pathology_settings import (
    ADULT_BRAINS,
    ADULT_GYRI,
    ADULT_HEADS,
    FETAL_HEALTHY,
    FETAL_PATIENTS,
    Setting,
    Times,
)
from pathosynth.data.grid import to_ras
from pathosynth.data.labels import load_scheme
from pathosynth.data.nifti import read_labels
from pathosynth.morphing.plan import clean_source
from pathosynth.pathologies import PATHOLOGIES
from pathosynth.runs.errors import PathosynthError

OUTCOMES = ("passed", "refused", "failed", "broken")


@dataclass(frozen=True)
class MapSet:
    """Maps of one folder: which files, their scheme, what is asked of them."""

    folder: str
    files: str
    scheme: str
    settings: tuple[Setting, ...]
    most: int | None = None


SETS = {
    "fetal_healthy": MapSet("fetal_healthy", "*_dseg.nii.gz", "kcl8", FETAL_HEALTHY),
    "fetal_spinabifida_dev": MapSet("fetal_spinabifida_dev", "*_dseg.nii.gz", "kcl8", FETAL_PATIENTS),
    "adult_labels": MapSet("adult_labels", "*_dseg.nii.gz", "synthsegfull", ADULT_HEADS),
    "adult_t1w_small": MapSet("adult_t1w_small", "*_desc-h8_dseg.nii.gz", "kcl8", ADULT_BRAINS),
    "adult_t1w_enlarged_dev": MapSet("adult_t1w_enlarged_dev", "*_desc-h8_dseg.nii.gz", "kcl8", ADULT_BRAINS),
    "adult_t1w_neuromorph": MapSet("adult_t1w_small", "*_desc-neuromorph_dseg.nii.gz", "neuromorph", ADULT_GYRI, 3),
}


@dataclass(frozen=True)
class Run:
    """One setting on one map.

    Attributes:
        outcome: passed; refused (`reasons` has the message); failed (`reasons` has each broken term of the contract);
            broken (an exception that is no refusal).
        numbers: largest misses, smallest Jacobian, largest change of a kept label.
        peak_mib: peak memory of the process so far.
    """

    map_set: str
    case: str
    pathology: str
    setting: str
    outcome: str = ""
    reasons: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    targets: list[dict[str, Any]] = field(default_factory=list)
    numbers: dict[str, float] = field(default_factory=dict)
    wall_s: float = 0.0
    cpu_s: float = 0.0
    peak_mib: float = 0.0

    @property
    def key(self) -> tuple[str, str, str, str]:
        """What is the same when it is repeated."""
        return self.map_set, self.case, self.pathology, self.setting


def ages_weeks(folder: Path) -> dict[str, float]:
    """Gestational age of each participant, where the table has it."""
    with (folder / "participants.tsv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    return {row["participant_id"]: float(row["ga_weeks"]) for row in rows if row.get("ga_weeks")}


def run_case(path: Path, name: str, settings: Sequence[Setting], age: float | None) -> Iterator[Run]:
    """Every setting on one map."""
    scheme = load_scheme(SETS[name].scheme)
    volume = to_ras(read_labels(path, scheme))
    cleaned = clean_source(inside_skull(volume.array, scheme))
    source = Source(volume.array, cleaned, scheme, volume.spacing_mm)
    for setting in settings:
        yield run_setting(source, setting, age, Run(name, path.name.split("_")[0], setting.pathology, setting.name))


def run_setting(source: Source, setting: Setting, age: float | None, blank: Run) -> Run:
    """Morph and check; what it raises is an outcome too."""
    module = PATHOLOGIES[setting.pathology]
    given, told = (source.labels, source.scheme, source.spacing_mm), asdict(blank)
    try:
        values = present_values(setting, module.severity(*given) if relative(setting) else {})
        if age is not None and "age_weeks" in module.Config.model_fields:
            values["age_weeks"] = age
        config, untouched = module.Config.model_validate(values), source.labels.copy()
        wall, cpu = time.perf_counter(), time.process_time()
        try:
            morphed = module.morph(*given, config, np.random.default_rng(0))
        finally:
            told["wall_s"], told["cpu_s"] = time.perf_counter() - wall, time.process_time() - cpu
            told["peak_mib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        severity = module.severity(morphed.labels, source.scheme, source.spacing_mm)
        targets = morphed.report["targets"]
        told |= {"targets": targets, "warnings": morphed.report.get("warnings", [])}
        checked = (source, morphed.labels, morphed.displacement, targets, severity, setting.promise)
        told["reasons"], told["numbers"] = failures(*checked)
        if not np.array_equal(untouched, source.labels):
            told["reasons"].append("input: the given labels were changed")
        told["outcome"] = "failed" if told["reasons"] else "passed"
    except PathosynthError as error:
        told |= {"outcome": "refused", "reasons": [str(error)]}
    except Exception as error:  # the table names it and goes on
        told |= {"outcome": "broken", "reasons": [f"{type(error).__name__}: {error}"]}
    return Run(**told)


def relative(setting: Setting) -> bool:
    return any(isinstance(value, Times) for value in setting.values.values())


def present_values(setting: Setting, present: dict[str, float]) -> dict[str, Any]:
    """The setting's values with `Times` replaced."""
    return {
        name: present[name] * value.factor if isinstance(value, Times) else value
        for name, value in setting.values.items()
    }


def run_all(root: Path, options: argparse.Namespace, done: dict[tuple[str, str, str, str], Run]) -> Iterator[list[Run]]:
    """Runs that are not done yet, a list per case."""
    tasks = []
    for name in options.sets:
        maps = SETS[name]
        folder = root / maps.folder
        ages = ages_weeks(folder)
        for path in sorted(folder.glob(maps.files))[: maps.most]:
            case = path.name.split("_")[0]
            if options.cases and not any(text in case for text in options.cases):
                continue
            wanted = [s for s in maps.settings if fits(s, ages.get(case), options)]
            wanted = [s for s in wanted if (name, case, s.pathology, s.name) not in done]
            if wanted:
                tasks.append((path, name, wanted, ages.get(case)))
    if options.jobs == 1:
        for task in tasks:
            for run in run_case(*task):
                yield [run]
        return
    with ProcessPoolExecutor(options.jobs) as pool:
        yield from pool.map(_listed, tasks)


def _listed(task: tuple[Path, str, list[Setting], float | None]) -> list[Run]:
    return list(run_case(*task))


def fits(setting: Setting, age: float | None, options: argparse.Namespace) -> bool:
    if options.pathologies and setting.pathology not in options.pathologies:
        return False
    if options.settings and setting.name not in options.settings:
        return False
    return setting.ages is None or (age is not None and setting.ages[0] <= age <= setting.ages[1])


def summary(runs: Iterable[Run]) -> str:
    """One row per set, pathology and setting."""
    groups: dict[tuple[str, str, str], list[Run]] = {}
    for run in runs:
        groups.setdefault((run.map_set, run.pathology, run.setting), []).append(run)
    lines = [
        "| set | pathology | setting | passed | refused | failed | largest miss % | mm | kept % | min J "
        "| s wall | s CPU | peak MiB |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    lines += [f"| {' | '.join(key)} | {_cells(members)} |" for key, members in groups.items()]
    everything = [run for members in groups.values() for run in members]
    for name in dict.fromkeys(key[0] for key in groups):
        lines.append(f"| **{name}** | all | | {_cells([run for run in everything if run.map_set == name])} |")
    return "\n".join([*lines, f"| **all** | | | {_cells(everything)} |"])


def _cells(runs: list[Run]) -> str:
    def largest(name: str, form: str) -> str:
        values = [run.numbers[name] for run in runs if name in run.numbers]
        return format(max(values), form) if values else ""

    counts = {name: sum(run.outcome == name for run in runs) for name in OUTCOMES}
    lowest = [run.numbers["jacobian_min"] for run in runs if "jacobian_min" in run.numbers]
    solved = [run for run in runs if run.numbers]
    seconds = [f"{np.mean([getattr(run, n) for run in solved]):.1f}" if solved else "" for n in ("wall_s", "cpu_s")]
    cells = [f"{counts['passed']} of {len(runs)}", str(counts["refused"]), str(counts["failed"] + counts["broken"])]
    cells += [largest("miss_percent", ".3f"), largest("miss_mm", ".2f"), largest("kept_percent", ".2f")]
    cells += [f"{min(lowest):.3f}" if lowest else "", *seconds, f"{max(run.peak_mib for run in runs):.0f}"]
    return " | ".join(cells)


def exceptions(runs: Iterable[Run], length: int = 230) -> str:
    """What did not pass, one line each."""
    return "\n".join(
        f"- {run.outcome}: {run.map_set} {run.case}, {run.pathology}, {run.setting}: {'; '.join(run.reasons)[:length]}"
        for run in runs
        if run.outcome != "passed"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("root", type=Path)
    parser.add_argument("--sets", nargs="+", default=[*SETS], choices=[*SETS], metavar="SET")
    parser.add_argument("--cases", nargs="+", help="maps whose name holds one of these")
    parser.add_argument("--pathologies", nargs="+", choices=[*PATHOLOGIES], metavar="PATHOLOGY")
    parser.add_argument("--settings", nargs="+", help="names of settings")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--json", type=Path, help="all runs; those that are in it are not repeated")
    parser.add_argument("--again", nargs="+", default=["broken"], choices=OUTCOMES, help="outcomes to repeat")
    options = parser.parse_args()
    known = json.loads(options.json.read_text(encoding="utf-8")) if options.json and options.json.exists() else []
    runs = {run.key: run for run in (Run(**record) for record in known)}
    done = {key: run for key, run in runs.items() if run.outcome not in options.again}
    for new in run_all(options.root, options, done):
        for run in new:
            runs[run.key] = run
            print(f"{' / '.join(run.key)}: {run.outcome} {run.wall_s:.1f} s {'; '.join(run.reasons)[:160]}", flush=True)
        if options.json:
            records = json.dumps([asdict(run) for run in runs.values()], indent=1)
            options.json.write_text(records, encoding="utf-8")
    print(f"\n{summary(runs.values())}\n\n{exceptions(runs.values())}")


if __name__ == "__main__":
    main()
