"""Names of synthetic cases."""

import re

from pathosynth.runs.errors import InputError


def child_name(parent: str, what: str = "", number: int | None = None) -> str:
    """A BIDS subject label, letters and digits only.

    ``sub-01_ses-2``, ``ventriculomegaly`` and 1 give ``01Ses2Ventriculomegaly01``.
    """
    words = re.findall(r"[A-Za-z0-9]+", f"{parent.removeprefix('sub-')} {what}")
    name = words[0] + "".join(word[0].upper() + word[1:] for word in words[1:])
    return name if number is None else f"{name}{number:02d}"


def claim(taken: dict[str, str], name: str, case: str) -> None:
    """Take a name for what is made of a case; some disks do not tell upper from lower case.

    Args:
        taken: names so far, in lower case, with the case each is of; the new one is added.
        name: of what is made.
        case: it is made of.

    Raises:
        InputError: the name is taken.
    """
    if name.lower() in taken:
        raise InputError(f"Cases '{taken[name.lower()]}' and '{case}' would both become '{name}'. Rename one.")
    taken[name.lower()] = case
