"""The command line on phantoms: every test sees what a user sees, exit code, standard output and error, files."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from pathosynth.cli import app
from pathosynth.data.nifti import write_labels
from pathosynth.data.phantom import brain_phantom
from pathosynth.data.volume import Volume

Run = Callable[..., Result]


@pytest.fixture
def run() -> Run:
    """Call the command line in this process."""

    def call(*arguments: object) -> Result:
        return CliRunner().invoke(app, [str(argument) for argument in arguments])

    return call


@pytest.fixture(scope="session")
def phantom() -> Volume:
    """A small head: coarse enough to be quick, fine enough to have all its parts."""
    return brain_phantom(1, (76, 92, 76), 1.6)


@pytest.fixture(scope="session")
def phantom_file(phantom: Volume, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small head as a file."""
    path = tmp_path_factory.mktemp("phantom") / "head_dseg.nii.gz"
    write_labels(path, phantom)
    return path


@pytest.fixture(scope="session")
def fine_phantom() -> Volume:
    """A head on the grid the demo uses, for tests in which the flow must meet a width."""
    return brain_phantom(1)


@pytest.fixture(scope="session")
def fine_file(fine_phantom: Volume, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The fine head as a file."""
    path = tmp_path_factory.mktemp("fine") / "head_dseg.nii.gz"
    write_labels(path, fine_phantom)
    return path


def digests(folder: Path) -> dict[str, str]:
    """SHA-256 of every file of an output folder but its run record, which holds times."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != "run.json")
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def turned(volume: Volume) -> Volume:
    """The same head stored differently: axes permuted, two of them flipped, the whole grid rotated by 20 degrees."""
    array = np.ascontiguousarray(volume.array.transpose(1, 2, 0)[::-1, :, ::-1])
    to_original = np.zeros((4, 4))
    to_original[1, 0], to_original[2, 1], to_original[0, 2], to_original[3, 3] = -1, 1, -1, 1
    to_original[1, 3], to_original[0, 3] = volume.shape[1] - 1, volume.shape[0] - 1
    angle = np.deg2rad(20)
    rotation = np.eye(4)
    rotation[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    return Volume(array, rotation @ volume.affine @ to_original)
