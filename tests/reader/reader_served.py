"""A study served in this process, for tests."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from reader_browser import Browser
from reader_toy import write_toy

from pathosynth.reader.app import STATIC, make_app
from pathosynth.reader.begin import begin_study
from pathosynth.reader.folder import Opened, open_study
from pathosynth.reader.invites import invite
from pathosynth.reader.site import Site
from pathosynth.reader.store import Store, sqlite_url
from pathosynth.reader.study import load_study

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

    def close(self) -> None:
        for browser in self.browsers.values():
            browser.close()
        self.store.close()


def serve_study(root: Path, *, static: Path = STATIC, **settings: Any) -> Served:
    """Open a study's folder and make the application for it."""
    opened = open_study(root)
    store = Store(sqlite_url(opened.folder.database), opened.folder.lock, opened.protocol_sha256)
    served = Served(opened, store, None)
    served.app = make_app(Site(opened, store, clock=lambda: served.now, **settings), static=static)
    return served


def begin(folder: Path, **settings: Any) -> Path:
    """Make a toy study; returns its folder."""
    study = load_study(write_toy(folder / "material", **settings))
    begin_study(study, folder / "study", truth=None, progress=lambda done, total: None)
    return folder / "study"
