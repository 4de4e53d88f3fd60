"""Cases -> keep or reject, and why: applies what is in ``checks/``."""

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pathosynth.checks import CHECKS, run_checks
from pathosynth.data.cases import Case, write_cases
from pathosynth.data.copy_reference import CopyReference
from pathosynth.data.findings import Bands, CheckInput, Finding
from pathosynth.data.labels import LabelScheme
from pathosynth.data.volume import Volume
from pathosynth.runs.errors import ConfigError
from pathosynth.runs.record import RunRecord
from pathosynth.stages import inputs, outputs
from pathosynth.stages.batch import OneCase, Options, Plan, Result
from pathosynth.stages.models import find_model

BYTES_PER_VOXEL = 40
"""Peak of the checks per voxel of the label map: 0.09 GiB for 4.0 million voxels, and room for an image."""


@dataclass(frozen=True)
class Checking:
    """Which checks run, and the intensities and training cases they may compare with."""

    names: tuple[str, ...]
    bands: Bands | None = None
    training_cases: CopyReference | None = None

    @classmethod
    def of(
        cls, names: Sequence[str] = (), bands: Bands | None = None, training_cases: CopyReference | None = None
    ) -> "Checking":
        """The named checks, all of them where none is named.

        Raises:
            ConfigError: no such check.
        """
        unknown = sorted(set(names) - set(CHECKS))
        if unknown:
            raise ConfigError(f"--check {', '.join(unknown)}: expected some of {', '.join(CHECKS)}.")
        return cls(tuple(names) or tuple(CHECKS), bands, training_cases)


@dataclass(frozen=True)
class Checked(OneCase):
    """One case to be judged, and the case it was made from where that is known."""

    parent: Case | None = None


def plan(cases: Sequence[Case], parents: Sequence[Case], names: Sequence[str], model: str, options: Options) -> Plan:
    """Every case becomes one task.

    Args:
        cases: what is judged.
        parents: cases they may be made from; what was wrong with a parent's labels is not held against its child.
        names: checks to run; all of them when empty.
        model: where the intensity bands come from; empty for none.
        options: how to run.

    Raises:
        ConfigError: no such check.
        ModelError: no such model.
    """
    found = find_model(model) if model else None
    checking = Checking.of(names, found.bands if found else None, found.training_cases if found else None)
    known = {case.case: case for case in (*parents, *cases)}
    return Plan(
        command="check",
        config={"checks": list(checking.names), "model": model},
        inputs=inputs.files_of([*cases, *parents]),
        tasks=[Checked(case, known.get(case.parent)) for case in cases],
        work=functools.partial(check_case, checking=checking),
        finish=functools.partial(_finish, cases=tuple(cases)),
        memory_gib=outputs.memory_gib(cases, BYTES_PER_VOXEL),
        makes=f"checks.csv for {len(cases)} cases and a cases.csv of those kept",
    )


def judge(
    checking: Checking,
    labels: Volume,
    image: Volume | None,
    scheme: LabelScheme,
    source_labels: np.ndarray | None = None,
) -> list[Finding]:
    """Apply every check to one case in RAS orientation."""
    case = CheckInput(
        image=None if image is None else image.array,
        labels=labels.array,
        scheme=scheme,
        spacing_mm=labels.spacing_mm,
        source_labels=source_labels,
        bands=checking.bands,
        training_cases=checking.training_cases,
    )
    return run_checks(case, checking.names)


def verdict(findings: Sequence[Finding]) -> str:
    """Why a case is turned down; an empty text when it is kept."""
    return "; ".join(f"{finding.name}: {finding.detail}" for finding in findings if not finding.passed)


def check_case(task: Checked, *, checking: Checking) -> Result:
    """Read and judge one case: its labels once with every image it has, or alone where it has none."""
    scheme = inputs.one_scheme([task.row])
    source = inputs.read_brain(task.parent, scheme).labels.array if task.parent else None
    found: list[tuple[str, Finding]] = []
    for contrast in [*task.row.images] or [""]:
        brain = inputs.read_brain(task.row, scheme, contrast)
        found += [(contrast, finding) for finding in judge(checking, brain.labels, brain.image, scheme, source)]
    why = verdict([finding for _, finding in found])
    return Result("rejected" if why else "done", why, {"findings": outputs.finding_facts(found)})


def _finish(out: Path, record: RunRecord, *, cases: Sequence[Case]) -> None:
    """Write the table of kept cases, which stay where they are, and the table of checks."""
    kept = [case for case in cases if record.content["cases"].get(case.case, {}).get("outcome") == "done"]
    write_cases(out / inputs.TABLE, kept)
    outputs.write_checks(out, record, [case.case for case in cases])
