"""Labels -> sicker labels, one file per pathology.

A pathology defines `Config`, `morph(labels, scheme, spacing_mm, config, rng) -> Morphed` and
`severity(labels, scheme, spacing_mm) -> dict[str, float]`. To add one, add its file and its line in the table.
"""

from types import ModuleType

from pathosynth.pathologies import dilation, ventriculomegaly

PATHOLOGIES: dict[str, ModuleType] = {
    "ventriculomegaly": ventriculomegaly,
    "dilation": dilation,
}
