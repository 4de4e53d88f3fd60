"""A toy study made once, copied for every test, and a server in this process for it."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from reader_served import TOY, Served, begin, serve_study


@pytest.fixture(scope="session")
def toy_origin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return begin(tmp_path_factory.mktemp("toy"), each=6, size=12, readers=4, extra=TOY)


@pytest.fixture
def toy(toy_origin: Path, tmp_path: Path) -> Path:
    """Folder of a study nobody has read yet."""
    shutil.copytree(toy_origin, tmp_path / "study")
    return tmp_path / "study"


@pytest.fixture
def serve() -> Iterator[Callable[..., Served]]:
    """Maker of a server for a study's folder."""
    with ExitStack() as stack:

        def start(root: Path, **settings: Any) -> Served:
            served = serve_study(root, **settings)
            stack.callback(served.close)
            return served

        yield start


@pytest.fixture
def served(toy: Path, serve: Callable[..., Served]) -> Served:
    return serve(toy)
