"""Command line: arguments to one stage call, errors to exit codes.

Stages are imported inside the commands, so that ``pathosynth --help`` answers at once.
"""

from pathosynth.cli import begin, commands, evaluate, look, reader, report, segment, study
from pathosynth.cli.app import app

__all__ = ["app", "begin", "commands", "evaluate", "look", "main", "reader", "report", "segment", "study"]


def main() -> None:
    """Entry point of the `pathosynth` command."""
    app(prog_name="pathosynth")
