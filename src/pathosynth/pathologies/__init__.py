"""Labels -> sicker labels, one file per pathology.

A pathology defines `Config`, `morph(labels, scheme, spacing_mm, config, rng) -> Morphed` and
`severity(labels, scheme, spacing_mm) -> dict[str, float]`. To add one, add its file and its line in the table.
"""

from types import ModuleType

from pathosynth.pathologies import (
    dilation,
    paper_cerebellar_hypoplasia,
    paper_microcephaly,
    paper_pontocerebellar_hypoplasia,
    ventriculomegaly,
)

PATHOLOGIES: dict[str, ModuleType] = {
    "ventriculomegaly": ventriculomegaly,
    "dilation": dilation,
    "paper_cerebellar_hypoplasia": paper_cerebellar_hypoplasia,
    "paper_pontocerebellar_hypoplasia": paper_pontocerebellar_hypoplasia,
    "paper_microcephaly": paper_microcephaly,
}
