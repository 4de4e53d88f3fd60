"""Names of synthetic cases."""

import re


def child_name(parent: str, what: str = "", number: int | None = None) -> str:
    """A BIDS subject label, letters and digits only.

    ``sub-01_ses-2``, ``ventriculomegaly`` and 1 give ``01Ses2Ventriculomegaly01``.
    """
    words = re.findall(r"[A-Za-z0-9]+", f"{parent.removeprefix('sub-')} {what}")
    name = words[0] + "".join(word[0].upper() + word[1:] for word in words[1:])
    return name if number is None else f"{name}{number:02d}"
