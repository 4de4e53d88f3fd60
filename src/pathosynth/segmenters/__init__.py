"""Images -> labels: segmenters that are judged, one file or folder per kind, one line in the table below."""

from types import ModuleType

from pathosynth.segmenters import external, nnunet

SEGMENTERS: dict[str, ModuleType] = {"nnunet": nnunet, "external": external}
"""Name to module; each has `Config`, and those that learn have `train` and `predict`."""
