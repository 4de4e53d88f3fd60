"""The tree of exceptions. Every message says: expected, found, where, next step.

Exit codes are those of the command line: 1 some cases failed, 2 wrong use or bad input.
"""


class PathosynthError(Exception):
    """Base of everything this package raises on purpose; shown to the user without a traceback."""

    exit_code = 2


class InputError(PathosynthError):
    """A file or a value given by the user cannot be used as it is."""


class ConfigError(PathosynthError):
    """A setting is unknown, out of range or contradicts another one."""


class MorphError(PathosynthError):
    """A requested reshaping cannot be met, or its result failed the validity report."""


class ModelError(PathosynthError):
    """A model folder or a checkpoint is missing, damaged or does not fit its use."""


class TrainingError(PathosynthError):
    """Training had to stop, for instance because the loss is no longer finite."""


class CasesFailed(PathosynthError):
    """Some cases of a batch failed while the others went on; the run record names them."""

    exit_code = 1


def unexpected(error: Exception) -> str:
    """One line for an error nobody foresaw; what the system refuses (rights, space, names) is told in its words."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename or 'a file'}: {error.strerror}. Check its name, its rights and the space on the disk."
    what = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    return f"unexpected error ({what}). Run again with --debug and report what it shows."
