"""What a segmenter learns from: the cases of several tables, as one nnU-Net data set and as rows of its record."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pathosynth.data.cases import CONTRASTS, Case
from pathosynth.data.labels import LabelScheme
from pathosynth.formats import nnunet as raw_layout
from pathosynth.runs.errors import ConfigError, InputError
from pathosynth.segmenters.job import TrainingData
from pathosynth.segmenters.record import TrainingRow
from pathosynth.stages import inputs
from pathosynth.stages.provenance import training_row


@dataclass(frozen=True)
class Tables:
    """Training cases and where they were read from.

    Attributes:
        cases: names differ, whatever the tables say; those of split "test" are left out.
        rows: the same cases under their own names, with everything in their past.
        scheme: legend of all labels.
        contrast: image all of them have.
        sources: the tables.
        left_out: number of cases of split "test".
    """

    cases: tuple[Case, ...]
    rows: tuple[TrainingRow, ...]
    scheme: LabelScheme
    contrast: str
    sources: tuple[Path, ...]
    left_out: int

    @classmethod
    def read(cls, paths: Sequence[Path], scheme: str, contrast: str) -> "Tables":
        """Read training tables.

        Args:
            paths: as for ``--train``.
            scheme: legend, where a table names none.
            contrast: image to learn from; empty takes the only one all cases have.

        Raises:
            InputError: a table cannot be read, nothing is left to train on, or a case lacks labels or the image.
            ConfigError: the cases use several schemes, or have several contrasts and none was chosen.
        """
        found = [(path, case) for path in paths for case in inputs.read_input(path, scheme)]
        used = [(path, case) for path, case in found if case.split != "test"]
        if not used:
            raise InputError(f"--train {', '.join(map(str, paths))}: every case is of split 'test'. Give other cases.")
        cases = [case for _, case in used]
        legend, chosen = inputs.one_scheme(cases), contrast or only_contrast(cases)
        lacking = [case.case for case in cases if chosen not in case.images]
        if lacking:
            raise InputError(
                f"--train: {len(lacking)} of {len(cases)} cases have no {chosen} image ({', '.join(lacking[:3])} …). "
                "Leave them out, or choose another --contrast."
            )
        rows = tuple(training_row(case, _table(path)) for path, case in used)
        named = tuple(with_own_names(cases))
        return cls(named, rows, legend, chosen, tuple(paths), len(found) - len(used))

    def data(self, settings: Mapping[str, Any], seed: int) -> TrainingData:
        """What a segmenter is given; `settings` may ask for `folds`.

        Raises:
            InputError: the subjects do not suffice for the folds.
        """
        folds = int(settings.get("folds", 0))
        validated = folds or any(case.split == "val" for case in self.cases)
        splits = raw_layout.make_splits(self.cases, folds=folds, seed=seed) if validated else None
        return TrainingData(self.scheme, self.write, splits)

    def write(self, root: Path) -> None:
        """Write all cases in nnU-Net's raw layout, arrays in RAS orientation; the tables last, when all is there.

        Raises:
            InputError: a file is damaged, or labels and image do not share a grid.
        """
        for case in self.cases:
            raw_layout.write_case(root, case, [self.contrast], canonical=True)
        raw_layout.write_tables(root, [case.model_copy(update={"split": ""}) for case in self.cases], [self.contrast])


def _table(path: Path) -> Path:
    """The case table of a folder, where it has one."""
    return path / inputs.TABLE if (path / inputs.TABLE).is_file() else path


def only_contrast(cases: Sequence[Case]) -> str:
    """The one contrast all cases have.

    Raises:
        ConfigError: they have none in common, or several.
    """
    common = [name for name in CONTRASTS if all(name in case.images for case in cases)]
    if len(common) != 1:
        counts = Counter(name for case in cases for name in case.images)
        raise ConfigError(
            f"--contrast: expected one, because {'several' if common else 'none'} of {dict(counts)} is in all "
            f"{len(cases)} cases. Choose, e.g. --contrast T2w."
        )
    return common[0]


def with_own_names(cases: Sequence[Case]) -> list[Case]:
    """The cases with names that differ: one morphed case may have an image in several tables."""
    names, seen = Counter(case.case.lower() for case in cases), Counter[str]()
    out = []
    for case in cases:
        key = case.case.lower()
        seen[key] += 1
        name = case.case if names[key] == 1 else f"{case.case}_copy{seen[key]}"
        out.append(case.model_copy(update={"case": name}))
    return out
