"""Runs one of nnU-Net's own commands: ``python launch.py MODULE:FUNCTION ARGUMENTS…``.

A script of its own, never imported by pathosynth: worker processes start from it again. It mends one thing and adds
one:

- a torchvision built for another torch fails when it is imported ("operator torchvision::nms does not exist"), and
  nnU-Net's search for trainers imports it, though it uses none of these operators; empty ones let it load;
- when the program that started it is killed, nnU-Net and its workers end too. A second run would otherwise write into
  the same folder.
"""

import contextlib
import importlib
import os
import signal
import sys
import threading
import time
from typing import Any


def load_torchvision() -> Any:
    """Import torchvision, with empty operators where it cannot load its own; they last as long as what is returned."""
    try:
        importlib.import_module("torchvision")
    except ImportError:
        return None
    except RuntimeError:
        import torch

        for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
            del sys.modules[name]
        library = torch.library.Library("torchvision", "FRAGMENT")
        library.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        library.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        with contextlib.suppress(Exception):
            importlib.import_module("torchvision")
        return library
    return None


def end_with_parent() -> None:
    """End this process, and the group it leads, once its parent is gone."""
    parent = os.getppid()
    while os.getppid() == parent:
        time.sleep(1.0)
    if hasattr(os, "killpg") and os.getpgid(0) == os.getpid():
        os.killpg(os.getpid(), signal.SIGKILL)
    os._exit(1)


threading.Thread(target=end_with_parent, daemon=True).start()
OPERATORS = load_torchvision()

if __name__ == "__main__":
    module, function = sys.argv[1].split(":")
    sys.argv = [function, *sys.argv[2:]]
    getattr(importlib.import_module(module), function)()
