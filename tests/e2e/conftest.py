"""The command line on phantoms: every test sees what a user sees, exit code, standard output and error, files."""

from pathlib import Path

import pytest
from command_line import Run
from typer.testing import CliRunner, Result

from pathosynth.cli import app
from pathosynth.data.nifti import write_labels
from pathosynth.data.phantom import brain_phantom
from pathosynth.data.volume import Volume


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
