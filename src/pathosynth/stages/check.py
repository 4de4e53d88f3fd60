"""Cases -> keep or reject, and why: applies what is in ``checks/``."""

import functools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from pathosynth.data.cases import Case, write_cases
from pathosynth.data.findings import Finding
from pathosynth.data.grid import resample_onto, same_grid
from pathosynth.data.labels import LabelScheme
from pathosynth.data.volume import Volume
from pathosynth.runs.record import RunRecord
from pathosynth.stages import inputs, outputs
from pathosynth.stages.batch import OneCase, Options, Plan, Result
from pathosynth.stages.judging import Checking, bands_folder, judge, verdict
from pathosynth.stages.models import find_any_model
from pathosynth.stages.second_opinion import SecondOpinion

BYTES_PER_VOXEL = 120
"""Peak of the checks per voxel of the label map: 0.41 GiB for 4.0 million voxels of an image with every check."""

REJECTED = "rejected.csv"
"""Case table of what was turned down, beside that of what was kept; the files stay where they are."""


@dataclass(frozen=True)
class Checked(OneCase):
    """One case to be judged.

    Attributes:
        parent: the case it was made from where that is known.
        predicted: what an independent segmenter found in its image.
    """

    parent: Case | None = None
    predicted: Case | None = None


@dataclass(frozen=True)
class Wanted:
    """What the user wants cases to be judged by.

    Attributes:
        names: checks to run; all of them when empty.
        model: what made the images or the label maps, whose training cases are the yardstick; empty for none.
        bands: folder of another yardstick; None takes that of the model.
        opinion: predictions of an independent segmenter.
    """

    names: tuple[str, ...] = ()
    model: str = ""
    bands: Path | None = None
    opinion: SecondOpinion = SecondOpinion()  # noqa: RUF009, frozen and empty

    def checking(self) -> Checking:
        """The checks with what they compare with.

        Raises:
            ConfigError: no such check, or the segmenter behind the predictions is not the one the bands know.
            ModelError: no such model, or a folder without what is asked of it.
        """
        found = find_any_model(self.model) if self.model else None
        checking = Checking.of(self.names, found, found.training_cases if found else None)
        if self.bands is not None:
            checking = checking.compared_with(bands_folder(self.bands))
        if checking.agreement is not None:
            self.opinion.refuse_other(checking.agreement.segmenter)
        return checking


def plan(cases: Sequence[Case], parents: Sequence[Case], wanted: Wanted, options: Options) -> Plan:
    """Every case becomes one task.

    Args:
        cases: what is judged.
        parents: cases they may be made from; what was wrong with a parent's labels is not held against its child.
        wanted: by what.
        options: how to run.

    Raises:
        ConfigError: no such check.
        ModelError: no such model.
    """
    checking, opinion = wanted.checking(), wanted.opinion
    known = {case.case: case for case in (*parents, *cases)}
    config = {"checks": list(checking.names), "model": wanted.model}
    config |= {"bands": str(wanted.bands)} if wanted.bands else {}
    return Plan(
        command="check",
        config=config | opinion.described(),
        inputs=inputs.files_of([*cases, *parents, *opinion.cases.values()]),
        tasks=[Checked(case, known.get(case.parent), opinion.cases.get(case.case)) for case in cases],
        work=functools.partial(check_case, checking=checking, opinion=replace(opinion, cases={})),
        finish=functools.partial(_finish, cases=tuple(cases)),
        memory_gib=outputs.memory_gib(cases, BYTES_PER_VOXEL),
        makes=f"checks.csv for {len(cases)} cases, a cases.csv of those kept and a {REJECTED} of the others"
        + (f"; {opinion.told}" if opinion.told else ""),
    )


def check_case(task: Checked, *, checking: Checking, opinion: SecondOpinion) -> Result:
    """Read and judge one case: its labels once with every image it has, or alone where it has none."""
    scheme = inputs.one_scheme([task.row])
    source = inputs.read_brain(task.parent, scheme).labels if task.parent else None
    found: list[tuple[str, Finding]] = []
    for contrast in [*task.row.images] or [""]:
        brain = inputs.read_brain(task.row, scheme, contrast)
        predicted = _predicted(task, opinion, contrast, scheme)
        known = _on_grid(source, brain.labels) if source else None
        findings = judge(checking, brain.labels, brain.image, scheme, known, predicted)
        found += [(contrast, finding) for finding in findings]
    why = verdict([finding for _, finding in found])
    return Result("rejected" if why else "done", why, outputs.judged_facts(found))


def _on_grid(source: Volume, labels: Volume) -> np.ndarray:
    """The parent's labels on the grid of the case, which may have been brought to another one since."""
    return source.array if same_grid(source, labels) else resample_onto(source, labels, labels=True).array


def _predicted(task: Checked, opinion: SecondOpinion, contrast: str, scheme: LabelScheme) -> np.ndarray | None:
    """What was found in this image; None where the segmenter reads another contrast."""
    if task.predicted is None or opinion.contrast not in ("", contrast):
        return None
    return opinion.labels_on(task.predicted, task.row, scheme)


def _finish(out: Path, record: RunRecord, *, cases: Sequence[Case]) -> None:
    """Write the tables of kept and of rejected cases, which stay where they are, and the table of checks."""
    outcome = {name: entry.get("outcome") for name, entry in record.content["cases"].items()}
    write_cases(out / inputs.TABLE, [case for case in cases if outcome.get(case.case) == "done"])
    write_cases(out / REJECTED, [case for case in cases if outcome.get(case.case) == "rejected"])
    outputs.write_checks(out, record, [case.case for case in cases])
