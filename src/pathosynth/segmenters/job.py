"""What every segmenter is given: training data it can ask for, what it may use of the machine, and whom to tell."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pathosynth.data.labels import LabelScheme

Notice = Callable[[int, int, float], None]
"""Called after every epoch with its number, the total and the loss."""


@dataclass(frozen=True)
class Machine:
    """What a segmenter may use.

    Attributes:
        device: cpu, cuda, cuda:N or mps.
        jobs: processes for reading and writing images.
    """

    device: str = "cpu"
    jobs: int = 1

    @property
    def kind(self) -> str:
        """The device without its number."""
        return self.device.partition(":")[0]


@dataclass(frozen=True)
class TrainingData:
    """Cases to learn from.

    Attributes:
        scheme: legend of the labels.
        write: writes an nnU-Net raw folder (version 2, RAS orientation, dense label numbers) of the given name.
        splits: ``{"train": [...], "val": [...]}`` per fold, by case name; None where every case trains.
    """

    scheme: LabelScheme
    write: Callable[[Path], None]
    splits: Sequence[Mapping[str, Sequence[str]]] | None = None


@dataclass(frozen=True)
class Prediction:
    """Where a segmenter and its predictions are.

    Attributes:
        config: its settings.
        scheme: legend of the result.
        work: for images on the way in and predictions on the way out.
        folder: of the trained segmenter; None for predictions made elsewhere.
        people: case to subject, of every case that is asked for: whose files may lie in one folder.
    """

    config: Any
    scheme: LabelScheme
    work: Path
    folder: Path | None = None
    people: Mapping[str, str] = field(default_factory=dict)
