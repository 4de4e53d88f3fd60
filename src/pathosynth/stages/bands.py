"""Real cases -> the bands that made ones are judged by: intensities, quality, features, agreement of a segmenter."""

import functools
import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from pathosynth.checks.intensity import bands_over, label_medians
from pathosynth.checks.label_agreement import agreement
from pathosynth.checks.learning import Measured, learn, measured
from pathosynth.data.cases import CONTRASTS, Case
from pathosynth.data.findings import CheckInput
from pathosynth.data.yardstick import AgreementBands, save_agreement, save_yardstick
from pathosynth.runs.errors import ConfigError, InputError
from pathosynth.runs.files import json_text, write_text
from pathosynth.runs.record import RunRecord
from pathosynth.stages import inputs, outputs
from pathosynth.stages.batch import OneCase, Options, Plan, Result
from pathosynth.stages.models import BANDS_FILE
from pathosynth.stages.second_opinion import SecondOpinion

BYTES_PER_VOXEL = 80
"""Peak of measuring per voxel of the label map."""


def plan(cases: Sequence[Case], contrast: str, opinion: SecondOpinion, options: Options) -> Plan:
    """Every real case is measured; the files are written at the end.

    Args:
        cases: real ones with labels; those made by the package are refused.
        contrast: image that is measured; empty takes the only one all cases have, or labels alone where there is none.
        opinion: what a segmenter found in the same cases, which it must not have learnt from.
        options: how to run.

    Raises:
        InputError: a case is synthetic.
        ConfigError: several contrasts and none chosen, or several schemes.
    """
    made = [case.case for case in cases if case.origin != "real"]
    if made:
        raise InputError(
            f"bands: expected real cases, found {len(made)} made ones ({', '.join(made[:3])} …). Give those they "
            "are to be compared with."
        )
    scheme, chosen = inputs.one_scheme(cases), contrast or _only_contrast(cases)
    return Plan(
        command="bands",
        config={"contrast": chosen, "scheme": scheme.name, **opinion.described(), "cases": _described(cases, opinion)},
        inputs=inputs.files_of([*cases, *opinion.cases.values()]),
        tasks=[OneCase(case) for case in cases],
        work=functools.partial(measure_case, contrast=chosen, opinion=opinion),
        finish=functools.partial(_finish, cases=tuple(cases), opinion=replace(opinion, cases={})),
        memory_gib=outputs.memory_gib(cases, BYTES_PER_VOXEL),
        makes=f"bands of {len(cases)} cases{f' with {chosen} images' if chosen else ', labels alone'}"
        + (f"; {opinion.told}" if opinion.told else ""),
    )


def _described(cases: Sequence[Case], opinion: SecondOpinion) -> dict[str, Any]:
    """What the run record keeps of the cases: other ones are another yardstick, which needs another folder."""
    predicted = [opinion.cases[case.case] for case in cases if case.case in opinion.cases]
    named = sorted(
        (case.case, [str(path.resolve()) for path in inputs.files_of([case])]) for case in [*cases, *predicted]
    )
    return {"number": len(cases), "sha256": hashlib.sha256(json_text(named).encode()).hexdigest()}


def measure_case(task: OneCase, *, contrast: str, opinion: SecondOpinion) -> Result:
    """Measure one case; the numbers are kept in the run record."""
    case, scheme = task.row, inputs.one_scheme([task.row])
    brain = inputs.read_brain(case, scheme, contrast)
    image = None if brain.image is None else brain.image.array
    found = measured(case.subject, brain.labels.array, image, scheme, brain.labels.spacing_mm)
    facts: dict[str, Any] = {"measures": found.measures, "features": found.features, "spacing_mm": found.spacing_mm}
    facts["medians"] = {} if image is None else label_medians(image, brain.labels.array, scheme)
    predicted = opinion.cases.get(case.case)
    if predicted is not None:
        labels = opinion.labels_on(predicted, case, scheme)
        judged = CheckInput(None, brain.labels.array, scheme, brain.labels.spacing_mm, predicted=labels)
        facts["dice"] = agreement(judged)
    return Result("done", facts=outputs.finite(facts))


def _finish(out: Path, record: RunRecord, *, cases: Sequence[Case], opinion: SecondOpinion) -> None:
    """Write what was learnt; a case that failed is left out."""
    kept = [(case, record.content["cases"].get(case.case, {})) for case in cases]
    kept = [(case, entry) for case, entry in kept if entry.get("outcome") == "done"]
    rows = [_row(case, entry) for case, entry in kept]
    if not rows:
        return
    save_yardstick(out, learn(rows))
    if any(entry["medians"] for _, entry in kept):
        bands = bands_over([entry["medians"] for _, entry in kept])
        write_text(out / BANDS_FILE, json_text({name: list(band) for name, band in bands.items()}))
    dice = [entry["dice"] for _, entry in kept if "dice" in entry]
    if dice:
        names = dict.fromkeys(name for one in dice for name in one)
        found = {name: np.array([one.get(name, np.nan) for one in dice], np.float64) for name in names}
        save_agreement(out, AgreementBands(opinion.segmenter, found))


def _row(case: Case, entry: dict[str, Any]) -> Measured:
    measures = {name: np.nan if value is None else float(value) for name, value in entry["measures"].items()}
    return Measured(case.subject, float(entry["spacing_mm"]), measures, tuple(entry["features"]))


def _only_contrast(cases: Sequence[Case]) -> str:
    common = [name for name in CONTRASTS if all(name in case.images for case in cases)]
    if len(common) > 1:
        raise ConfigError(f"--contrast: expected one, because all cases have {', '.join(common)}. Choose one.")
    if not common and any(case.images for case in cases):
        raise ConfigError("--contrast: expected one, because the cases have no image in common. Choose one.")
    return common[0] if common else ""
