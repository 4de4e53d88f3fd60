"""Reference and predicted labels -> numbers with intervals: per case and structure first, then over subjects."""

import functools
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pydantic

from pathosynth.data.cases import Case
from pathosynth.data.grid import to_ras
from pathosynth.data.labels import LabelScheme, in_scheme, load_scheme, table_to
from pathosynth.data.nifti import check_same_grid, read_labels
from pathosynth.data.volume import Volume
from pathosynth.metrics import METRICS
from pathosynth.metrics.mask_pair import MaskPair, mask_pairs
from pathosynth.metrics.statistics import DRAWS, FEWEST
from pathosynth.runs.config import Config
from pathosynth.runs.errors import ConfigError, InputError
from pathosynth.runs.files import json_text, write_text
from pathosynth.runs.record import RunRecord
from pathosynth.stages import outputs, score_tables, subgroups
from pathosynth.stages.batch import Options, Plan, Result
from pathosynth.stages.leaks import Origin, check_leaks
from pathosynth.stages.predictions import Run, read_reference, read_runs

UNIONS = ("tissue", "intracranial")
"""Groups that are judged only when asked for: they hold nearly everything."""

BYTES_PER_VOXEL = 30
NO_PREDICTION = "no prediction file: every structure counts as missed"


class Evaluation(Config):
    """What is judged and how it is told."""

    scheme: str = ""
    """Label scheme in which the maps are compared; by default that of the reference."""
    structures: tuple[str, ...] = ()
    """Groups of that scheme; by default all but tissue and intracranial."""
    baseline: str = ""
    """Arm the others are compared with; by default the first."""
    subgroups: tuple[str, ...] = ()
    """Divisions of the cases: age, pathology, a severity; with edges as NAME=10,15."""
    above: tuple[str, ...] = pydantic.Field((), description="Divisions by reference volume: STRUCTURE=ML.")


@dataclass(frozen=True)
class Scored:
    """One prediction to be judged: of which run, against which reference; None where there is no prediction."""

    run: Run
    reference: Case
    prediction: Case | None

    @property
    def case(self) -> str:
        """Name in the run record."""
        return f"{self.run.arm}/{self.run.number}/{self.reference.case}"

    @property
    def source(self) -> str:
        """The reference case."""
        return self.reference.case


def plan(source: Path, predicted: Sequence[str], evaluation: Evaluation, options: Options) -> Plan:
    """Every prediction becomes one task; nothing starts where a test subject has leaked into training.

    Args:
        source: reference cases.
        predicted: ``NAME=FOLDER``; the same name again is another training of the arm.
        evaluation: settings.
        options: how to run.

    Raises:
        InputError: files are missing, or there is a leak.
        ConfigError: schemes, structures, arms or subgroups do not fit.
    """
    reference = read_reference(source, evaluation.scheme)
    runs = read_runs(predicted, reference, evaluation.scheme)
    arms = list(dict.fromkeys(run.arm for run in runs))
    baseline = evaluation.baseline or arms[0]
    if baseline not in arms:
        raise ConfigError(f"--baseline {baseline}: expected one of the arms {', '.join(arms)}.")
    tasks = [Scored(run, case, run.prediction(case.case)) for run in runs for case in reference]
    legend = evaluation.scheme or _only_scheme(reference)
    scheme = load_scheme(legend)
    for name in dict.fromkeys(case.scheme for task in tasks for case in (task.reference, task.prediction) if case):
        table_to(load_scheme(name), scheme, "evaluate --scheme")
    structures = {name: scheme.group(name) for name in evaluation.structures or _groups(scheme)}
    wishes = subgroups.parse(evaluation.subgroups, evaluation.above)
    subgroups.members(wishes, reference, {name: {case.case: 0.0 for case in reference} for name in structures})
    origins = check_leaks(runs, reference)
    judged = [*(case.labels for case in reference), *(task.prediction.labels for task in tasks if task.prediction)]
    settings = evaluation.model_dump(mode="json") | {
        "reference": str(source), "scheme": legend, "structures": list(structures), "baseline": baseline,
        "metrics": list(METRICS),
        "arms": [{"arm": run.arm, "run": run.number, "folders": [str(p.folder) for p in run.parts]} for run in runs],
    }  # fmt: skip
    return Plan(
        command="evaluate",
        config=settings,
        inputs=list(dict.fromkeys(path for path in judged if path and path.is_file())),
        tasks=tasks,
        work=functools.partial(score, scheme=scheme, structures=structures),
        finish=functools.partial(_finish, tasks=tasks, wishes=wishes, origins=origins),
        memory_gib=outputs.memory_gib(reference, BYTES_PER_VOXEL),
        makes=f"scores of {len(structures)} structures in {len(tasks)} predictions of {len(arms)} arms",
        redo=True,
    )


def _groups(scheme: LabelScheme) -> list[str]:
    return [name for name in scheme.groups if name not in UNIONS]


def _only_scheme(reference: Sequence[Case]) -> str:
    names = sorted({case.scheme for case in reference})
    if len(names) != 1:
        raise ConfigError(f"The reference uses schemes {', '.join(names)}. Give --scheme, into which all are remapped.")
    return names[0]


def score(task: Scored, *, scheme: LabelScheme, structures: Mapping[str, tuple[int, ...]]) -> Result:
    """Judge one prediction.

    Raises:
        InputError: a file is damaged, or the two do not share a grid.
    """
    reference = _read(task.reference, scheme)
    if task.prediction is None:
        prediction = reference.with_array(np.zeros_like(reference.array))
    else:
        prediction = _read(task.prediction, scheme, may_be_empty=True)
        where = f"case '{task.source}': reference {task.reference.labels}, prediction {task.prediction.labels}"
        check_same_grid(reference, prediction, where)
    pairs = mask_pairs(reference.array, prediction.array, structures, reference.spacing_mm)
    facts = {
        "diagonal_mm": float(np.linalg.norm(np.array(reference.shape) * reference.spacing_mm)),
        "scores": {name: _scores(pair) for name, pair in pairs},
    }
    return Result("done" if task.prediction else "failed", "" if task.prediction else NO_PREDICTION, facts)


def _read(case: Case, scheme: LabelScheme, *, may_be_empty: bool = False) -> Volume:
    """A label map in RAS orientation and in the scheme of the evaluation."""
    if case.labels is None:
        raise InputError(f"Case '{case.case}' has no label map. Add it to the case table.")
    own = load_scheme(case.scheme)
    volume = to_ras(read_labels(case.labels, own, may_be_empty=may_be_empty))
    return volume.with_array(in_scheme(volume.array, own, scheme, f"case '{case.case}'"))


def _scores(pair: MaskPair) -> dict[str, Any]:
    """Counts and metrics of one structure; what is not finite is None and follows from the state."""
    values = {name: module.measure(pair) for name, module in METRICS.items()}
    return {
        "state": pair.state,
        "shared_voxels": pair.shared_voxels,
        "missed_voxels": pair.reference_voxels - pair.shared_voxels,
        "false_voxels": pair.predicted_voxels - pair.shared_voxels,
        "volume_reference_ml": pair.reference_voxels * pair.voxel_ml,
        "volume_predicted_ml": pair.predicted_voxels * pair.voxel_ml,
        **{name: value if np.isfinite(value) else None for name, value in values.items()},
    }


def rows_of(task: Scored, facts: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The rows of one prediction, one for each structure."""
    made = []
    for structure, scores in facts["scores"].items():
        undefined = float("nan") if scores["state"] == "both_empty" else float("inf")
        values = {name: undefined if scores[name] is None else scores[name] for name in METRICS}
        truth = scores["volume_reference_ml"]
        made.append(
            {
                "arm": task.run.arm, "run": task.run.number, "case": task.source, "subject": task.reference.subject,
                "structure": structure, "state": scores["state"], **values,
                "volume_reference_ml": truth, "volume_predicted_ml": scores["volume_predicted_ml"],
                "volume_absolute_error_ml": abs(values["volume_error_ml"]),
                "volume_relative_error": values["volume_error_ml"] / truth if truth else float("nan"),
                **{name: scores[name] for name in ("shared_voxels", "missed_voxels", "false_voxels")},
                "diagonal_mm": facts["diagonal_mm"], "predicted": task.prediction is not None,
                "age_weeks": task.reference.age_weeks, "age_years": task.reference.age_years,
                "severity": json.dumps(task.reference.severity, sort_keys=True) if task.reference.severity else "",
            }
        )  # fmt: skip
    return made


def _finish(
    out: Path, record: RunRecord, *, tasks: Sequence[Scored], wishes: Sequence[subgroups.Wish],
    origins: Mapping[Path, Origin],
) -> None:  # fmt: skip
    """Write the tables.

    Raises:
        InputError: a prediction that is there could not be judged; no table is written without it.
    """
    entries = record.content["cases"]
    unread = [f"{task.case}: {entries[task.case]['message']}" for task in tasks if "scores" not in entries[task.case]]
    if unread:
        more = f" ({len(unread) - 3} more)" if len(unread) > 3 else ""
        raise InputError(
            f"{len(unread)} predictions could not be judged, and none is left out of a mean: {'; '.join(unread[:3])}"
            f"{more}. Correct them and give the same command again."
        )
    rows = [row for task in tasks for row in rows_of(task, entries[task.case])]
    volumes = {
        name: {row["case"]: row["volume_reference_ml"] for row in rows if row["structure"] == name}
        for name in record.content["config"]["structures"]
    }
    reference = list({task.source: task.reference for task in tasks}.values())
    groups, seed = subgroups.members(wishes, reference, volumes), record.content["seed"]
    tables = {
        "scores": rows,
        "summary": score_tables.summary_rows(rows, groups, seed),
        "comparisons": score_tables.comparison_rows(rows, record.content["config"]["baseline"], seed),
        "agreement": score_tables.agreement_rows(rows, groups, seed),
    }
    for name, table in tables.items():
        score_tables.write_rows(out / f"{name}.csv", table, without=("order",))
    content = {**tables, "files": _files(tasks, out), "provenance": _provenance(record, tasks, origins, groups)}
    write_text(out / "evaluation.json", json_text(score_tables.plain(content)))


def _files(tasks: Sequence[Scored], out: Path) -> dict[str, Any]:
    """Where the volumes of every case are, relative to `out`, so that both can be moved together."""

    def told(case: Case | None) -> dict[str, Any] | None:
        paths = {} if case is None else {"labels": case.labels, **case.images}
        there = {name: os.path.relpath(path, out) for name, path in paths.items() if path}
        return None if case is None else {"scheme": case.scheme, **there}

    return {
        "reference": {task.source: told(task.reference) for task in tasks},
        "predicted": {task.case: told(task.prediction) for task in tasks},
    }


def _provenance(
    record: RunRecord, tasks: Sequence[Scored], origins: Mapping[Path, Origin], groups: score_tables.Groups
) -> dict[str, Any]:
    """What the numbers rest on; ``run.json`` also says when this ran, and hashes of what earlier calls judged."""
    cases = [case for task in tasks for case in (task.reference, task.prediction)]
    judged = dict.fromkeys(str(case.labels.resolve()) for case in cases if case and case.labels)
    runs = list({(task.run.arm, task.run.number): task.run for task in tasks}.values())
    content = record.content
    return {
        "versions": content["versions"], "commit": content["commit"], "seed": content["seed"],
        "settings": content["config"], "bootstrap_draws": DRAWS, "fewest_pairs": FEWEST,
        "inputs": {path: content["inputs"][path] for path in judged},
        "subgroups": {name: sorted(members) for name, members in groups.items()},
        "without_prediction": [task.case for task in tasks if task.prediction is None],
        "runs": [_run_told(run, origins) for run in runs],
    }  # fmt: skip


def _run_told(run: Run, origins: Mapping[Path, Origin]) -> dict[str, Any]:
    parts = []
    for part in run.parts:
        origin = origins[part.folder]
        known = {} if origin.record is None else origin.record.model_dump(mode="json", exclude={"training", "config"})
        training = origin.record.training if origin.record else ()
        parts.append(
            {
                "folder": str(part.folder), "segmenter": known, "training_cases": len(training),
                "training_tables": list(dict.fromkeys(row.source for row in training)),
                "generators": sorted({model.name for row in training for model in row.models}),
                "ancestors": list(origin.subjects), "unknown": list(origin.unknown),
            }
        )  # fmt: skip
    return {"arm": run.arm, "run": run.number, "parts": parts}
