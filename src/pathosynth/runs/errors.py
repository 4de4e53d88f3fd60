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
