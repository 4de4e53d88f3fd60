"""When a loose piece of a label is an island: shares that label generators remove and the check `islands` rejects."""

from pathosynth.data.labels import LabelScheme

ISLAND_SHARE = 0.02
"""A piece smaller than this share of its label's largest piece is an island."""

COMPACT_SHARE = 0.3
"""The same for structures that are in one piece, or in one on each side: a second cerebellum is no cerebellum. In all 24
real fetal maps the second piece of such a structure has at most 0.001 of the first."""

_COMPACT_GROUPS = ("cerebellum", "brainstem", "deep_grey_matter", "corpus_callosum")


def compact_values(scheme: LabelScheme) -> frozenset[int]:
    """Label values of the structures `COMPACT_SHARE` is for."""
    return frozenset(value for group in _COMPACT_GROUPS if scheme.has(group) for value in scheme.group(group))
