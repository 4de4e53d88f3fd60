"""Case -> value, limit, passed; one file per check.

A check is a module with `Config` and `check(case, config) -> Finding`. A NaN, constant or empty case passes none.
"""

from collections.abc import Mapping, Sequence
from types import ModuleType

from pathosynth.checks import copies, geometry, intensity, islands, nesting, sides, slice_steps
from pathosynth.data.findings import CheckInput, Finding
from pathosynth.runs.config import Config
from pathosynth.runs.errors import ConfigError

CHECKS: dict[str, ModuleType] = {
    "geometry": geometry,
    "islands": islands,
    "nesting": nesting,
    "sides": sides,
    "slice_steps": slice_steps,
    "intensity": intensity,
    "copies": copies,
}
"""Name to module, in the order they run."""


def run_checks(
    case: CheckInput, names: Sequence[str] | None = None, configs: Mapping[str, Config] | None = None
) -> list[Finding]:
    """Judge one case by several checks; the case is kept when all of them passed.

    Args:
        case: image, labels and what is known about them.
        names: checks to run, in this order; all of them where None.
        configs: settings by check name; defaults where a check is not named.

    Raises:
        ConfigError: a check is unknown.
    """
    findings = []
    for name in CHECKS if names is None else names:
        if name not in CHECKS:
            raise ConfigError(f"Check '{name}' is unknown. Expected some of {', '.join(CHECKS)}.")
        config = (configs or {}).get(name) or CHECKS[name].Config()
        finding: Finding = CHECKS[name].check(case, config)
        findings.append(finding)
    return findings
