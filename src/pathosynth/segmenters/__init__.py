"""Images -> labels: segmenters that are judged, one file or folder per kind, one line in the table below."""

from types import ModuleType

from pathosynth.segmenters import external, nnunet

SEGMENTERS: dict[str, ModuleType] = {"nnunet": nnunet, "external": external}
"""Name to module; each has `Config` and `labels_of`. Those that learn have `plans`, `config_from_plan`, `train`,
`predict`, `image_path` and `CHANGEABLE`, the settings that may differ after the training, and `prepare` where some of
their work is the same for every seed; the others have `check`."""
