"""Checkpoints that are either whole or not there.

`folder/step-00001234/` holds one safetensors file per part (model, ema, optimizer), state.json, and MANIFEST.json with
size and SHA-256 of each, written last. All of it is written to a hidden folder beside it and flushed to disk before
one rename makes it appear. No pickle on any path.
"""

import hashlib
import json
import logging
import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from pathosynth.runs.errors import ModelError, TrainingError

log = logging.getLogger(__name__)

Parts = dict[str, dict[str, Tensor]]
STEP_FOLDER = re.compile(r"step-(\d{8,})")
UNFINISHED = ".unfinished-"
HEADER_BYTES = 1 << 20  # allowance per file for headers and JSON in the free-space check


@dataclass(frozen=True)
class Checkpoint:
    """A verified checkpoint in memory (CPU tensors)."""

    path: Path
    step: int
    tensors: Parts
    state: dict[str, Any]


def save(folder: Path, step: int, tensors: Parts, state: dict[str, Any], keep: int = 2) -> Path:
    """Write one checkpoint and remove those before it, all but the newest `keep` in total.

    Args:
        folder: created where missing; holds the checkpoints of one training.
        step: number of finished steps.
        tensors: part name to named tensors, e.g. {"model": ..., "ema": ..., "optimizer": ...}.
        state: anything JSON can hold exactly.
        keep: how many to leave; at least 1.

    Returns:
        The checkpoint's folder.

    Raises:
        TrainingError: the disk is full or cannot be written; earlier checkpoints are as they were.
    """
    folder.mkdir(parents=True, exist_ok=True)
    _clear_unfinished(folder)
    final = folder / f"step-{step:08d}"
    unfinished = folder / f"{UNFINISHED}{final.name}"
    try:
        _require_space(folder, tensors)
        unfinished.mkdir()
        _write_parts(unfinished, step, tensors, state)
        _publish(unfinished, final)
    except (OSError, safetensors.SafetensorError) as error:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise TrainingError(
            f"{final}: the checkpoint could not be written ({error}). Earlier checkpoints are intact. "
            "Free disk space or choose another output folder; the same command then resumes."
        ) from None
    # Later steps can only be damaged ones that were stepped back over; they must not push out what was just written.
    for old in [path for path in _step_folders(folder) if _step_of(path) <= step][max(keep, 1) :]:
        _remove(old)
    return final


def load_latest(folder: Path) -> Checkpoint | None:
    """Newest checkpoint that verifies; None where there is none at all.

    A damaged one is named in a logged warning and the one before it is used.

    Raises:
        ModelError: there are checkpoints and every one of them is damaged.
    """
    problems = []
    for path in _step_folders(folder):
        try:
            return load(path)
        except ModelError as error:
            problems.append(str(error))
            log.warning("%s Trying the checkpoint before it.", error)
    if problems:
        raise ModelError(f"{folder}: no checkpoint is intact. {' '.join(problems)} Restore one, or start a new folder.")
    return None


def load(path: Path) -> Checkpoint:
    """Verify and read one checkpoint folder.

    Raises:
        ModelError: a file is missing or damaged.
    """
    step, files = verify(path)
    parts = {name.removesuffix(".safetensors"): path / name for name in files if name.endswith(".safetensors")}
    tensors = {part: safetensors.torch.load_file(file) for part, file in parts.items()}
    return Checkpoint(path, step, tensors, json.loads((path / "state.json").read_text(encoding="utf-8")))


def verify(path: Path) -> tuple[int, list[str]]:
    """Compare every file of a checkpoint with its manifest, and the manifest with itself.

    Returns:
        The step and the names of the files.

    Raises:
        ModelError: a file is missing, has another size or other contents; the message names it.
    """
    manifest = path / "MANIFEST.json"
    try:
        text = manifest.read_bytes()
        content = json.loads(text)["content"]
        if text != _manifest_bytes(content):
            raise ValueError("its own checksum does not fit")
        step, files = int(content["step"]), dict(content["files"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{manifest}: the checkpoint's manifest is missing or damaged ({error}).") from None
    for name, expected in files.items():
        _verify_file(path / name, expected)
    return step, list(files)


def optimizer_parts(optimizer: torch.optim.Optimizer) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Optimiser state as named tensors ("<parameter number>.<name>") and the rest as JSON."""
    saved = optimizer.state_dict()
    tensors: dict[str, Tensor] = {}
    values: dict[str, Any] = {}
    for number, entries in saved["state"].items():
        for name, value in entries.items():
            (tensors if isinstance(value, Tensor) else values)[f"{number}.{name}"] = value
    return tensors, {"param_groups": saved["param_groups"], "values": values}


def load_optimizer(optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor], state: dict[str, Any]) -> None:
    """Put back what `optimizer_parts` gave; training then goes on bitwise as if never stopped.

    Raises:
        ModelError: the saved state belongs to other parameters.
    """
    entries: dict[int, dict[str, Any]] = {}
    for key, value in (tensors | state["values"]).items():
        number, name = key.split(".", 1)
        entries.setdefault(int(number), {})[name] = value
    groups = [{k: tuple(v) if k == "betas" else v for k, v in group.items()} for group in state["param_groups"]]
    try:
        optimizer.load_state_dict({"state": entries, "param_groups": groups})
    except ValueError as error:
        raise ModelError(
            f"The saved optimiser does not fit this model ({error}). Use the model it was saved with."
        ) from None
    for parameter, values in optimizer.state.items():
        for name, value in values.items():
            if isinstance(value, Tensor) and value.shape == parameter.shape:
                # Same memory layout as the parameter (channels last), as the optimiser made it.
                values[name] = torch.empty_like(parameter, dtype=value.dtype).copy_(value)


def _write_parts(folder: Path, step: int, tensors: Parts, state: dict[str, Any]) -> None:
    """All files of a checkpoint, flushed to disk, the manifest last."""
    files = []
    for part, named in tensors.items():
        file = folder / f"{part}.safetensors"
        safetensors.torch.save_file(_storable(named), file)
        files.append(file)
    files.append(folder / "state.json")
    files[-1].write_text(json.dumps(state, indent=1, sort_keys=True), encoding="utf-8")
    content = {"step": step, "files": {f.name: {"bytes": f.stat().st_size, "sha256": _sha256(f)} for f in files}}
    (folder / "MANIFEST.json").write_bytes(_manifest_bytes(content))
    for file in [*files, folder / "MANIFEST.json", folder]:
        _flush(file)


def _storable(named: dict[str, Tensor]) -> dict[str, Tensor]:
    """CPU, contiguous, and no two names sharing memory, as the format wants it."""
    seen: set[int] = set()
    result = {}
    for name, value in named.items():
        plain = value.detach().cpu().contiguous()
        result[name] = plain.clone() if plain.data_ptr() in seen else plain
        seen.add(plain.data_ptr())
    return result


def _publish(unfinished: Path, final: Path) -> None:
    """Make the finished folder appear under its name in one rename, a former one of that name hidden first."""
    if not final.exists():
        unfinished.replace(final)
        _flush(final.parent)
        return
    replaced = final.with_name(f"{UNFINISHED}replaced-{final.name}")
    final.replace(replaced)
    unfinished.replace(final)
    _flush(final.parent)
    shutil.rmtree(replaced)


def _remove(path: Path) -> None:
    """Hide, then delete, so that an interruption never leaves half a checkpoint under a valid name."""
    hidden = path.with_name(f"{UNFINISHED}removed-{path.name}")
    path.replace(hidden)
    shutil.rmtree(hidden)


def _clear_unfinished(folder: Path) -> None:
    for leftover in folder.glob(f"{UNFINISHED}*"):
        shutil.rmtree(leftover, ignore_errors=True)


def _require_space(folder: Path, tensors: Parts) -> None:
    needed = sum(t.numel() * t.element_size() for part in tensors.values() for t in part.values())
    needed += HEADER_BYTES * (len(tensors) + 1)
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise OSError(f"it needs {needed / 1e6:.1f} MB, the disk has {free / 1e6:.1f} MB left")


def _step_folders(folder: Path) -> list[Path]:
    """Checkpoint folders by name, newest first."""
    found = [p for p in folder.glob("step-*") if p.is_dir() and STEP_FOLDER.fullmatch(p.name)]
    return sorted(found, key=_step_of, reverse=True)


def _step_of(path: Path) -> int:
    return int(path.name.removeprefix("step-"))


def _verify_file(file: Path, expected: dict[str, Any]) -> None:
    if not file.is_file():
        raise ModelError(f"{file}: this part of the checkpoint is missing.")
    size = file.stat().st_size
    if size != expected["bytes"]:
        raise ModelError(f"{file}: damaged, {size} bytes instead of {expected['bytes']}.")
    if _sha256(file) != expected["sha256"]:
        raise ModelError(f"{file}: damaged, its SHA-256 is not the one in MANIFEST.json.")


def _manifest_bytes(content: dict[str, Any]) -> bytes:
    """The manifest with the checksum of its own content; one content has exactly one text."""
    canonical = json.dumps(content, sort_keys=True)
    own = hashlib.sha256(canonical.encode()).hexdigest()
    return (json.dumps({"content": content, "sha256": own}, sort_keys=True, indent=1) + "\n").encode()


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _flush(path: Path) -> None:
    """Wait until a file or a folder's list of names is on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
