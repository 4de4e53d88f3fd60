"""What cases are judged by, and the judgement of one: shared by `check` and by the stages that make cases."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from pathosynth.checks import CHECKS, run_checks
from pathosynth.data.copy_reference import CopyReference
from pathosynth.data.findings import Bands, CheckInput, Finding
from pathosynth.data.labels import LabelScheme
from pathosynth.data.volume import Volume
from pathosynth.data.yardstick import (
    AGREEMENT_FILE,
    QUALITY_FILE,
    AgreementBands,
    Yardstick,
    load_agreement,
    load_yardstick,
)
from pathosynth.runs.errors import ConfigError, ModelError
from pathosynth.stages.models import BANDS_FILE, Found, read_bands


@dataclass(frozen=True)
class Checking:
    """Which checks run, and what they compare with.

    Attributes:
        names: keys of `CHECKS`.
        bands: tissue intensities of real cases.
        training_cases: fingerprints of cases that must not be copied.
        yardstick: measures of real cases.
        agreement: of a segmenter with real cases it did not learn from.
    """

    names: tuple[str, ...]
    bands: Bands | None = None
    training_cases: CopyReference | None = None
    yardstick: Yardstick | None = None
    agreement: AgreementBands | None = None

    @classmethod
    def of(
        cls, names: Sequence[str] = (), found: Found | None = None, training_cases: CopyReference | None = None
    ) -> "Checking":
        """The named checks, all of them where none is named, with what a model knows of its training cases.

        Args:
            names: checks.
            found: model; None for none.
            training_cases: which cases must not be copied; by default none.

        Raises:
            ConfigError: no such check.
            ModelError: a file of the model is damaged.
        """
        unknown = sorted(set(names) - set(CHECKS))
        if unknown:
            raise ConfigError(f"--check {', '.join(unknown)}: expected some of {', '.join(CHECKS)}.")
        checking = cls(tuple(names) or tuple(CHECKS), training_cases=training_cases)
        return checking if found is None or found.folder is None else checking.compared_with(found.folder)

    def compared_with(self, folder: Path) -> "Checking":
        """The same with what a model folder or a folder of `pathosynth bands` knows of real cases.

        Raises:
            ModelError: a file is damaged.
        """
        return replace(
            self, bands=read_bands(folder), yardstick=load_yardstick(folder), agreement=load_agreement(folder)
        )


def bands_folder(folder: Path) -> Path:
    """A folder given with ``--bands``.

    Raises:
        ModelError: it holds no measures of real cases.
    """
    known = (BANDS_FILE, QUALITY_FILE, AGREEMENT_FILE)
    if not any((folder / name).is_file() for name in known):
        raise ModelError(
            f"--bands {folder}: expected a folder with {', '.join(known)}, found none of them. Give what "
            "`pathosynth bands` wrote, or the folder of a model."
        )
    return folder


def judge(
    checking: Checking,
    labels: Volume,
    image: Volume | None,
    scheme: LabelScheme,
    source_labels: np.ndarray | None = None,
    predicted: np.ndarray | None = None,
) -> list[Finding]:
    """Apply every check to one case in RAS orientation.

    Args:
        checking: which checks, and what they compare with.
        labels: of the case.
        image: same grid; None where there are only labels.
        scheme: legend.
        source_labels: (I, J, K) of the case it was made from.
        predicted: (I, J, K) of `scheme` that an independent segmenter found in the image.
    """
    case = CheckInput(
        image=None if image is None else image.array,
        labels=labels.array,
        scheme=scheme,
        spacing_mm=labels.spacing_mm,
        source_labels=source_labels,
        bands=checking.bands,
        training_cases=checking.training_cases,
        yardstick=checking.yardstick,
        predicted=predicted,
        agreement=checking.agreement,
    )
    return run_checks(case, checking.names)


def verdict(findings: Sequence[Finding]) -> str:
    """Why a case is turned down; an empty text when it is kept."""
    return "; ".join(f"{finding.name}: {finding.detail}" for finding in findings if not finding.passed)
