"""Cases -> the folder another program trains on: nnU-Net's raw layout, with splits that do not leak."""

import functools
import logging
import re
from collections.abc import Sequence
from pathlib import Path

from pathosynth.data.cases import CONTRASTS, Case, check_cases
from pathosynth.formats import nnunet
from pathosynth.runs.errors import ConfigError, InputError
from pathosynth.runs.record import RunRecord
from pathosynth.stages import inputs, outputs
from pathosynth.stages.audits import ABOVE, NONE, UNJUDGED, Audited, audits_behind
from pathosynth.stages.batch import OneCase, Options, Plan, Result

log = logging.getLogger(__name__)

BYTES_PER_VOXEL = 24
"""A stored volume, its float32 copy, the labels and their dense numbers, per voxel and contrast."""

SPLITS = "splits_final.json"


def plan(
    cases: Sequence[Case], contrasts: Sequence[str], folds: int, options: Options, *, allow_copies: bool = False
) -> Plan:
    """Every case becomes one task.

    Args:
        cases: real and synthetic ones, all in one scheme.
        contrasts: channels in order; those that all cases have where empty.
        folds: of ``splits_final.json``; 0 writes none.
        options: how to run; its seed deals the subjects into folds.
        allow_copies: hand on cases of a model whose audit is above the limit.

    Raises:
        ConfigError: nnU-Net would not take the folder's name, or the cases use several schemes.
        InputError: a name appears twice, there is no common contrast, the subjects do not suffice for the folds, or a
            case was made by a model whose audit is above the limit.
    """
    if not re.fullmatch(r"Dataset\d{3}_\w+", options.out.absolute().name):
        raise ConfigError(f"--output {options.out}: expected a name like Dataset501_Ventricles, as nnU-Net does.")
    check_cases(cases, "export")
    audits = audits_behind(cases)
    _judge_audits(audits, allow_copies)
    scheme = inputs.one_scheme(cases)
    present = {case.case: sorted(case.images) for case in cases}
    channels = list(contrasts) or [name for name in CONTRASTS if all(name in found for found in present.values())]
    if not channels or not set(channels) <= {name for found in present.values() for name in found}:
        wanted = ", ".join(contrasts) or "one contrast that all have"
        raise InputError(f"export: expected images of {wanted}, found {present}. Give cases with images.")
    if folds:
        nnunet.make_splits(cases, folds=folds, seed=options.seed)
    return Plan(
        command="export",
        config={"format": "nnunet", "scheme": scheme.name, "contrasts": channels, "folds": folds},
        facts={"audits": {one.model: one.status for one in audits}},
        inputs=inputs.files_of(cases),
        tasks=[OneCase(case) for case in cases],
        work=functools.partial(export_case, contrasts=channels, out=options.out),
        finish=functools.partial(_finish, cases=tuple(cases), contrasts=channels, folds=folds),
        memory_gib=outputs.memory_gib(cases, BYTES_PER_VOXEL * len(channels)),
        makes=f"{len(cases)} cases in nnU-Net's raw layout, channels {', '.join(channels)}",
    )


def _judge_audits(audits: Sequence[Audited], allow_copies: bool) -> None:
    """Warn of models nobody audited or whose audit judged nothing, and refuse to hand on cases of those that copy.

    Raises:
        InputError: a model is above the limit, and that is not allowed.
    """
    for one in audits:
        if one.status in (NONE, UNJUDGED):
            lacks = "no audit" if one.status == NONE else "an audit that could judge nothing"
            log.warning("%s made some of these cases and has %s: `pathosynth audit` looks for copies", one.model, lacks)
    above = [one for one in audits if one.status == ABOVE]
    if above and not allow_copies:
        reasons = "; ".join(above[0].reasons) or "its audit says so"
        raise InputError(
            f"export: cases were made by '{above[0].model}', whose memorisation audit is above the limit ({reasons}). "
            "They may show people of its training data. Leave them out, or hand them on with --allow-copies."
        )


def export_case(task: OneCase, *, contrasts: Sequence[str], out: Path) -> Result:
    """Read and write one case."""
    root = out.absolute()
    files = nnunet.write_case(root, task.row, contrasts)
    return Result("done", facts={"files": sorted(path.relative_to(root).as_posix() for path in files)})


def _finish(out: Path, record: RunRecord, *, cases: Sequence[Case], contrasts: Sequence[str], folds: int) -> None:
    written = [case for case in cases if record.content["cases"][case.case]["outcome"] == "done"]
    if not written:
        return
    nnunet.write_tables(out.absolute(), written, contrasts)
    if folds:
        nnunet.write_splits(out / SPLITS, nnunet.make_splits(written, folds=folds, seed=record.content["seed"]))
