"""Case -> value, limit, passed; one file per check.

A check is a module with `Config` and `check(case, config) -> Finding`. A NaN, constant or empty case passes none.
"""

from collections.abc import Mapping, Sequence
from types import ModuleType

import numpy as np

from pathosynth.checks import (
    copies,
    geometry,
    intensity,
    islands,
    label_agreement,
    nesting,
    quality,
    sides,
    slice_order,
    slice_steps,
    unusual,
)
from pathosynth.data.findings import CheckInput, Finding
from pathosynth.runs.config import Config
from pathosynth.runs.errors import ConfigError

CHECKS: dict[str, ModuleType] = {
    "geometry": geometry,
    "islands": islands,
    "nesting": nesting,
    "sides": sides,
    "slice_steps": slice_steps,
    "slice_order": slice_order,
    "intensity": intensity,
    "quality": quality,
    "unusual": unusual,
    "label_agreement": label_agreement,
    "copies": copies,
}
"""Name to module, in the order they run."""

NORM = 8
"""Of `score`: large enough that the worst check decides."""


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


def score(findings: Sequence[Finding]) -> float:
    """How good a case is, 1 best: 1 / (1 + s), s the 8-norm of the strains of all checks that judged and do not advise.

    At the limit of one check it is 0.5, beyond it less, and 0 where something could not be measured or nothing was. The
    norm is nearly the worst strain, so that nothing makes up for a defect; of cases with the same worst the others
    decide.
    The rule is fixed: `generate-images --best-of` selects by it, and it knows nothing of any test set.
    """
    strains = np.array([finding.strain for finding in findings if finding.judged and not finding.advice], np.float64)
    if not strains.size:
        return 0.0
    most = float(strains.max())
    if not np.isfinite(most) or most == 0:
        return 0.0 if most else 1.0
    return float(1 / (1 + most * ((strains / most) ** NORM).sum() ** (1 / NORM)))
