"""A toy study made once, copied for every test, and a server in this process for it."""

import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from client import Browser  # noqa: E402
from toy_study import write_toy  # noqa: E402

from pathosynth.reader.app import make_app  # noqa: E402
from pathosynth.reader.begin import begin_study  # noqa: E402
from pathosynth.reader.folder import Opened, open_study  # noqa: E402
from pathosynth.reader.invites import invite  # noqa: E402
from pathosynth.reader.site import Site  # noqa: E402
from pathosynth.reader.store import Store, sqlite_url  # noqa: E402
from pathosynth.reader.study import load_study  # noqa: E402

TOY = "training = {cases = 2}\nrepeats = {share = 0.2, distance = 2}\nblocks = 2\nwashout_days = 10\n"
"""6 images per arm: 2 to train with, and two blocks of 5 with one repeat each."""


@dataclass
class Served:
    """A study that is served in this process; its clock stands still unless it is turned."""

    opened: Opened
    store: Store
    app: Any
    now: datetime = datetime(2026, 1, 5, 9, tzinfo=UTC)
    browsers: dict[str, Browser] = field(default_factory=dict)

    def wait(self, days: float) -> None:
        self.now += timedelta(days=days)

    def browser(self, name: str, role: Any = "reader") -> Browser:
        if name not in self.browsers:
            self.browsers[name] = Browser(self.app, invite(self.opened, name, role))
        return self.browsers[name]


def begin(folder: Path, **settings: Any) -> Path:
    """Make a toy study; returns its folder."""
    study = load_study(write_toy(folder / "material", **settings))
    begin_study(study, folder / "study", truth=None, progress=lambda done, total: None)
    return folder / "study"


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
            opened = open_study(root)
            store = Store(sqlite_url(opened.folder.database), opened.folder.lock, opened.protocol_sha256)
            stack.callback(store.close)
            static = settings.pop("static", None)
            served = Served(opened, store, None)
            site = Site(opened, store, clock=lambda: served.now, **settings)
            served.app = make_app(site, static=static) if static else make_app(site)
            return served

        yield start


@pytest.fixture
def served(toy: Path, serve: Callable[..., Served]) -> Served:
    return serve(toy)
