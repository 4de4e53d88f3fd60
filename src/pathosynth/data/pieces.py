"""When a loose piece of a label is an island: what label generators remove and the check `islands` rejects."""

from pathosynth.data.labels import LabelScheme

ISLAND_SHARE = 0.02
"""A piece smaller than this share of its label's largest piece is an island."""

GROUP_SHARES = {"cerebellum": 1.0, "brainstem": 1.0, "deep_grey_matter": 0.3, "corpus_callosum": 0.3}
"""The same for compact structures, at 1 all but the largest piece: a second cerebellum is no cerebellum. In all real
maps, fetal and adult, every label of these groups is one piece with a second one of at most 0.012 of it. Deep grey
matter and corpus callosum are thin in places, and a coarse grid may part them."""


def island_shares(scheme: LabelScheme, ordinary: float = ISLAND_SHARE) -> dict[int, float]:
    """Label value to the share of its largest piece below which a piece is an island; `ordinary` where not compact."""
    shares = dict.fromkeys(scheme.values, ordinary)
    for group, share in GROUP_SHARES.items():
        if scheme.has(group):
            shares |= dict.fromkeys(scheme.group(group), share)
    return shares
