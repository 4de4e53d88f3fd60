"""Is white matter wrapped in cortex, as in every brain? Generated maps lose the wrapping first."""

import numpy as np
import pydantic

from pathosynth.data.findings import CheckInput, Finding, rejected
from pathosynth.runs.config import Config as BaseConfig


class Config(BaseConfig):
    """How much may lie bare."""

    bare_share: float = pydantic.Field(0.1, ge=0, le=1)
    """Largest share of the white matter's surface that touches external CSF or background, beyond what it did in the
    source labels. Real maps: 0.002 to 0.012 (23 adults at 1 mm, 9 healthy fetal atlases), to 0.05 at 2 mm, to 0.08 in
    unrepaired spina bifida at 21 and 23 weeks."""


def check(case: CheckInput, config: Config) -> Finding:
    """Share of the white matter's surface that is bare, less that of the source labels where given."""
    reason = case.unusable(image=False, labels=True)
    if reason or case.labels is None:
        return rejected("nesting", config.bare_share, reason)
    if not (case.scheme.has("white_matter") and case.scheme.has("cortex")):
        return Finding(
            "nesting", 0.0, config.bare_share, True, "not judged: the scheme tells no cortex apart", judged=False
        )
    found = _bare_share(case.labels, case)
    before = 0.0 if case.source_labels is None else _bare_share(case.source_labels, case)
    value = max(0.0, found - before)
    detail = f"{found:.1%} of the white matter's surface touches CSF or background (source {before:.1%})"
    return Finding("nesting", value, config.bare_share, value <= config.bare_share, detail)


def _bare_share(labels: np.ndarray, case: CheckInput) -> float:
    """0 where there is no white matter."""
    padded = np.pad(labels, 1)
    white = case.scheme.mask(padded, "white_matter")
    outside = padded == 0
    if case.scheme.has("external_csf"):
        outside |= case.scheme.mask(padded, "external_csf")
    surface, bare = 0.0, 0.0
    for axis, edge in enumerate(case.spacing_mm):
        here, out = np.moveaxis(white, axis, 0), np.moveaxis(outside, axis, 0)
        surface += float((here[1:] != here[:-1]).sum()) / edge
        bare += float((here[1:] & out[:-1]).sum() + (here[:-1] & out[1:]).sum()) / edge
    return bare / surface if surface else 0.0
