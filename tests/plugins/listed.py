"""A format for tests: a file ``list.txt`` with a case, its label map and its T2w image per line."""

from pathlib import Path

from pathosynth.data.cases import Case
from pathosynth.data.labels import load_scheme
from pathosynth.runs.config import Config as BaseConfig
from pathosynth.runs.errors import InputError


class Config(BaseConfig):
    """Legend, and which file is read."""

    scheme: str
    """Label scheme of the label maps."""
    file: str = "list.txt"
    """Name of the list."""


def read(root: Path, config: Config) -> list[Case]:
    load_scheme(config.scheme)
    path = Path(root) / config.file
    if not path.is_file():
        raise InputError(f"{path}: expected a list of cases, found none.")
    rows = [line.split() for line in path.read_text().splitlines()]
    return [
        Case(
            case=name,
            subject=name,
            scheme=config.scheme,
            labels=path.parent / labels,
            images={"T2w": path.parent / t2w},
        )
        for name, labels, t2w in rows
    ]
