"""The folder of a study: what is served, what is stored, and the truth, which the server never opens.

``served/``  ``protocol.json``, ``plan.json`` and ``volumes/``: all the server reads.
``store/``   invitations and the database of answers.
``truth/``   ``truth.json``: which image is which; may lie anywhere else.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pydantic

from pathosynth.reader.plan import Plan
from pathosynth.reader.study import Question, Window
from pathosynth.runs.config import Config
from pathosynth.runs.errors import InputError
from pathosynth.runs.files import sha256

FORMAT = 1


@dataclass(frozen=True)
class StudyFolder:
    """Where the parts of a study lie.

    Attributes:
        root: the folder `reader init` made.
    """

    root: Path

    @property
    def protocol(self) -> Path:
        """What was fixed before the first rating."""
        return self.root / "served" / "protocol.json"

    @property
    def plan(self) -> Path:
        """Who sees what, in order."""
        return self.root / "served" / "plan.json"

    @property
    def volumes(self) -> Path:
        """Images as they are sent."""
        return self.root / "served" / "volumes"

    @property
    def invites(self) -> Path:
        """One file per invitation."""
        return self.root / "store" / "invites"

    @property
    def database(self) -> Path:
        """SQLite file of the answers."""
        return self.root / "store" / "ratings.sqlite"

    @property
    def lock(self) -> Path:
        """Held by the one process that writes answers."""
        return self.root / "store" / "writer.lock"

    @property
    def truth(self) -> Path:
        """Where the truth lies unless it was put elsewhere."""
        return self.root / "truth" / "truth.json"


class Protocol(Config):
    """What readers are told and asked, and hashes of what they must not see; fixed before the first rating."""

    format: int = FORMAT
    title: str
    instructions: str
    convention: str
    questions: tuple[Question, ...]
    windows: tuple[Window, ...]
    washout_days: float
    study_sha256: str
    """Of the study as it was resolved, with the analysis that was planned."""
    plan_sha256: str
    truth_sha256: str
    """Of the truth; it holds random names, so it cannot be guessed from this."""
    volumes_sha256: str
    """Of all images, in the order of their names."""


class Truth(Config):
    """What one image is."""

    case: str
    subject: str
    arm: str
    origin: str
    source: str
    """File it was made from."""
    sha256: str
    """Of the file that is sent."""


class TruthFile(Config):
    """The truth about a study."""

    study: dict[str, Any]
    """The study file as it was resolved."""
    images: dict[str, Truth]
    """By the name of the file that is sent."""


@dataclass(frozen=True)
class Opened:
    """What the server knows of a study.

    Attributes:
        folder: where it lies.
        protocol: what is told and asked.
        protocol_sha256: of its file; answers are bound to it.
        plan: who sees what.
    """

    folder: StudyFolder
    protocol: Protocol
    protocol_sha256: str
    plan: Plan


ModelT = TypeVar("ModelT", bound=Config)


def open_study(root: Path) -> Opened:
    """Read what the server needs of a study.

    Raises:
        InputError: the folder is not one of a reader study, or its plan is not the one that was fixed.
    """
    folder = StudyFolder(root)
    protocol = read_model(folder.protocol, Protocol)
    if protocol.format != FORMAT or sha256(folder.plan) != protocol.plan_sha256:
        raise InputError(f"{folder.plan}: is not the plan that was fixed in protocol.json. Restore both or init again.")
    return Opened(folder, protocol, sha256(folder.protocol), read_model(folder.plan, Plan))


def open_truth(opened: Opened, truth: Path | None) -> TruthFile:
    """Read the truth about a study.

    Raises:
        InputError: it is missing, or not the one that was fixed before the first rating.
    """
    path = truth or opened.folder.truth
    found = read_model(path, TruthFile)
    if sha256(path) != opened.protocol.truth_sha256:
        raise InputError(f"{path}: is not the truth that was fixed in protocol.json. Give the right one with --truth.")
    return found


def read_model(path: Path, model: type[ModelT]) -> ModelT:
    """Read a JSON file of the study.

    Raises:
        InputError: it is missing or not what it should be.
    """
    try:
        return model.model_validate_json(path.read_bytes())
    except OSError as error:
        raise InputError(
            f"{path}: cannot be read ({error.strerror}). Expected a folder made by `pathosynth reader init`."
        ) from None
    except (pydantic.ValidationError, json.JSONDecodeError) as error:
        raise InputError(f"{path}: is damaged ({str(error).splitlines()[0]}). Restore it or init again.") from None
