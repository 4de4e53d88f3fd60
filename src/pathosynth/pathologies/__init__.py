"""Labels -> sicker labels, one file per pathology.

A pathology defines `Config`, `morph(labels, scheme, spacing_mm, config, rng) -> Morphed` and
`severity(labels, scheme, spacing_mm) -> dict[str, float]`. One that paints labels anew and moves nothing, so that no
image can be carried along, says `REPAINTS = True`. To add one, add its file and its line in the table.
"""

from types import ModuleType

from pathosynth.pathologies import (
    cerebellar_hypoplasia,
    chiari2,
    dilation,
    microcephaly,
    paper_cerebellar_hypoplasia,
    paper_microcephaly,
    paper_pontocerebellar_hypoplasia,
    pontocerebellar_hypoplasia,
    profile,
    ventriculomegaly,
)

PATHOLOGIES: dict[str, ModuleType] = {
    "ventriculomegaly": ventriculomegaly,
    "cerebellar_hypoplasia": cerebellar_hypoplasia,
    "pontocerebellar_hypoplasia": pontocerebellar_hypoplasia,
    "microcephaly": microcephaly,
    "chiari2": chiari2,
    "profile": profile,
    "dilation": dilation,
    "paper_cerebellar_hypoplasia": paper_cerebellar_hypoplasia,
    "paper_pontocerebellar_hypoplasia": paper_pontocerebellar_hypoplasia,
    "paper_microcephaly": paper_microcephaly,
}
