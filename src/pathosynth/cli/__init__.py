"""Command line: arguments to one stage call, errors to exit codes.

Stages are imported inside the commands, so that ``pathosynth --help`` answers at once.
"""

from pathosynth.cli import begin, commands, look, report
from pathosynth.cli.app import app

__all__ = ["app", "begin", "commands", "look", "main", "report"]


def main() -> None:
    """Entry point of the `pathosynth` command."""
    app(prog_name="pathosynth")
