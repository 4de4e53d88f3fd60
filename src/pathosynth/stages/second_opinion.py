"""Predictions of a segmenter that had no part in making the cases: what the check of label agreement compares with."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from pathosynth.data.cases import Case, read_cases
from pathosynth.data.grid import to_ras
from pathosynth.data.labels import LabelScheme, load_scheme, remap_labels
from pathosynth.data.nifti import check_same_grid, read_labels
from pathosynth.runs.errors import ConfigError, InputError
from pathosynth.runs.files import sha256
from pathosynth.segmenters.record import SegmenterRecord, read_segmenter, record_path
from pathosynth.stages import inputs

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class SecondOpinion:
    """What one segmenter found in the images of some cases.

    Attributes:
        cases: judged case to its prediction.
        segmenter: SHA-256 of the segmenter's record; empty where there is none.
        contrast: image it reads; empty where that is unknown.
        told: what is known of its training, for people.
    """

    cases: Mapping[str, Case] = field(default_factory=dict)
    segmenter: str = ""
    contrast: str = ""
    told: str = ""

    @classmethod
    def read(cls, folder: Path, judged: Sequence[Case], scheme: str) -> "SecondOpinion":
        """Read what `pathosynth segment` wrote, or any folder of label maps under the names of the cases.

        Raises:
            InputError: no case was predicted.
            ConfigError: the segmenter learnt from synthetic cases, so that its opinion is not independent.
        """
        table = folder / inputs.TABLE if folder.is_dir() else folder
        found = read_cases(table) if table.suffix == ".csv" and table.is_file() else inputs.read_input(folder, scheme)
        by_name = {case.case: case for case in found if case.labels is not None}
        cases = {case.case: by_name[case.case] for case in judged if case.case in by_name}
        if not cases:
            raise InputError(
                f"--predicted {folder}: expected predictions of the cases ({', '.join(c.case for c in judged[:3])} …), "
                f"found {', '.join(list(by_name)[:3]) or 'none'}. Predict them with `pathosynth segment -i`."
            )
        missing = len(judged) - len(cases)
        if missing:
            log.warning(
                "--predicted %s: %d of %d cases have no prediction and are not judged", folder, missing, len(judged)
            )
        path = record_path(folder if folder.is_dir() else folder.parent)
        if path is None:
            log.warning("--predicted %s: no segmenter.json, so nothing says what the segmenter learnt from", folder)
            return cls(cases)
        record = read_segmenter(path.parent)
        return cls(cases, sha256(path), record.contrast, _independent(record, folder))

    def described(self) -> dict[str, Any]:
        """What goes into the run record."""
        return {"predicted_by": self.segmenter or "unknown", "segmenter_learnt": self.told} if self.cases else {}

    def refuse_other(self, segmenter: str) -> None:
        """Refuse to compare with bands that another segmenter set.

        Raises:
            ConfigError: both are known and differ.
        """
        if self.segmenter and segmenter and self.segmenter != segmenter:
            raise ConfigError(
                f"--bands: its agreement.json was learnt with segmenter {segmenter[:12]}, the predictions were made by "
                f"{self.segmenter[:12]}. Predict real held-out cases with the same one, and learn bands from them."
            )

    def labels_on(self, predicted: Case, case: Case, scheme: LabelScheme) -> np.ndarray:
        """Predicted labels of a case in its scheme, (I, J, K) in RAS orientation.

        Raises:
            InputError: a file is damaged, the grids differ, or there is no table between the schemes.
        """
        own = load_scheme(predicted.scheme)
        if predicted.labels is None or case.labels is None:
            raise InputError(f"Case '{case.case}': expected labels and a prediction. Predict it again.")
        volume = read_labels(predicted.labels, own, may_be_empty=True)
        check_same_grid(read_labels(case.labels, scheme), volume, f"case '{case.case}' and {predicted.labels}")
        array = to_ras(volume).array
        if own.name == scheme.name:
            return array
        if scheme.name not in own.to:
            raise InputError(
                f"{predicted.labels}: in scheme '{own.name}', the case is in '{scheme.name}', and there is no table "
                f"between them. Add [to.{scheme.name}] to the scheme, or train a segmenter on '{scheme.name}'."
            )
        return remap_labels(array, own.to[scheme.name], others="error")


def _independent(record: SegmenterRecord, folder: Path) -> str:
    """What is known of the training, for people.

    Raises:
        ConfigError: a training case is not real.
    """
    made = [row.case for row in record.training if row.origin != "real" or row.models]
    if made:
        raise ConfigError(
            f"--predicted {folder}: its segmenter learnt from {len(made)} synthetic cases ({', '.join(made[:3])} …), "
            "so its opinion is not independent. Train one on real cases: `pathosynth segment --train REAL`."
        )
    if not record.training:
        log.warning("--predicted %s: segmenter.json lists no training case, so independence is not known", folder)
        return f"predictions by '{record.kind}', whose training cases are not known"
    people = len({row.subject for row in record.training})
    return f"the segmenter learnt from {len(record.training)} real cases of {people} people only"
