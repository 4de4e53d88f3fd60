"""Puts the built pages of the reader study into wheels and source archives: run by hatchling, never imported."""

import shutil
import subprocess
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

PAGES = "src/pathosynth/reader/static"
PROOF = "read.html"
"""Written last but for the notices, so it is there only when the rest is."""


class ViewerHook(BuildHookInterface):  # type: ignore[type-arg]
    """Builds the pages where they are missing; refuses a wheel without them, but never an editable install."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Called by hatchling before it packs.

        Raises:
            SystemExit: the pages are missing and cannot be built here.
        """
        if version == "editable":
            return
        root = Path(self.root)
        if not (root / PAGES / PROOF).is_file():
            _build(root / "viewer")


def _build(viewer: Path) -> None:
    npm = shutil.which("npm")
    if npm is None:
        raise SystemExit(
            f"{PAGES}: the pages of the reader study are not built, and npm, which builds them, is not installed. "
            "Install Node.js 20 or newer and try again, or install a released wheel, which has them. "
            "An editable install (pip install -e .) works without."
        )
    for arguments in (["ci", "--no-audit", "--no-fund"], ["run", "build"]):
        done = subprocess.run([npm, *arguments], cwd=viewer, check=False)  # noqa: S603, our own words
        if done.returncode:
            raise SystemExit(
                f"npm {arguments[0]} in {viewer} ended with code {done.returncode}; its words stand above."
            )
