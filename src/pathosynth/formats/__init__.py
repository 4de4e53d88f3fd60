"""Data sets on disk to cases and back; one file per layout, one line in the table below."""

from types import ModuleType

from pathosynth.formats import bids, flat, nnunet

FORMATS: dict[str, ModuleType] = {"bids": bids, "flat": flat, "nnunet": nnunet}
"""Name to module; each has `Config` and `read(root, config)`, and `write` where it makes sense."""
