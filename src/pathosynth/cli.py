"""Command line: arguments to one stage call, errors to exit codes."""
