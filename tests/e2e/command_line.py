"""What tests of the command line share; named so that no other `conftest` can be imported in its place."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
from typer.testing import Result

from pathosynth.data.volume import Volume

Run = Callable[..., Result]
"""Calls the command line in this process: the fixture `run`."""


def digests(folder: Path) -> dict[str, str]:
    """SHA-256 of every file of an output folder but its run record, which holds times."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != "run.json")
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def turned(volume: Volume) -> Volume:
    """The same head stored differently: axes permuted, two of them flipped, the whole grid rotated by 20 degrees."""
    array = np.ascontiguousarray(volume.array.transpose(1, 2, 0)[::-1, :, ::-1])
    to_original = np.zeros((4, 4))
    to_original[1, 0], to_original[2, 1], to_original[0, 2], to_original[3, 3] = -1, 1, -1, 1
    to_original[1, 3], to_original[0, 3] = volume.shape[1] - 1, volume.shape[0] - 1
    angle = np.deg2rad(20)
    rotation = np.eye(4)
    rotation[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    return Volume(array, rotation @ volume.affine @ to_original)
