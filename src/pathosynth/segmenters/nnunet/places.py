"""nnU-Net's folders inside a segmenter folder, and its names."""

from dataclasses import dataclass
from pathlib import Path

DATASET_ID = 1
DATASET = f"Dataset{DATASET_ID:03d}_pathosynth"
PLANS = "pathosynthPlans"
"""Name of our copy of nnU-Net's plans."""
CONFIGURATION = "3d_fullres"
TRAINER = "PathosynthTrainer"
"""Class in ``program/trainer``."""
PROGRAM = Path(__file__).parent / "program"
"""Files that run inside nnU-Net's process; this package never imports them."""


@dataclass(frozen=True)
class Places:
    """Where nnU-Net's files lie.

    Attributes:
        root: the segmenter folder.
    """

    root: Path

    @property
    def base(self) -> Path:
        """Holds nnU-Net's three folders."""
        return self.root.absolute() / "nnunet"

    @property
    def raw(self) -> Path:
        """Exported data set."""
        return self.base / "raw" / DATASET

    @property
    def preprocessed(self) -> Path:
        """Plans, splits and preprocessed images."""
        return self.base / "preprocessed" / DATASET

    @property
    def model(self) -> Path:
        """What nnU-Net predicts from."""
        return self.base / "results" / DATASET / f"{TRAINER}__{PLANS}__{CONFIGURATION}"

    @property
    def plans(self) -> Path:
        """Our copy of the plans."""
        return self.preprocessed / f"{PLANS}.json"

    @property
    def ready(self) -> Path:
        """Exists once all training images are preprocessed."""
        return self.preprocessed / "preprocessed.json"

    @property
    def log(self) -> Path:
        """All nnU-Net said."""
        return self.base / "log.txt"

    def checkpoint(self, fold: str) -> Path:
        """Weights after the last epoch; exists once training is over."""
        return self.model / f"fold_{fold}" / "checkpoint_final.pth"
