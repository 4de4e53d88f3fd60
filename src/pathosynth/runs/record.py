"""The run record ``run.json``: what was asked, with what, and how every case ended.

It is begun before the first case, rewritten whole after each one and completed at the end, so the same command
again finds what is finished. It is the only output that differs between two runs with the same seed.
"""

import hashlib
import json
import platform
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

from pathosynth.runs.errors import ConfigError, InputError
from pathosynth.runs.files import json_text, sha256, write_text

Outcome = Literal["done", "failed", "rejected"]


@dataclass(frozen=True)
class Source:
    """What a case is made from.

    Attributes:
        facts: what is known of it, JSON-able.
        files: what is read of it.
    """

    facts: Sequence[Any] = ()
    files: tuple[Path, ...] = ()


FILE_NAME = "run.json"
FORMAT = 1
PACKAGES = ("pathosynth", "numpy", "scipy", "nibabel", "torch", "monai")
"""Whose versions are recorded; read from their metadata, none is imported."""


@dataclass(frozen=True)
class RunRecord:
    """An open run record.

    Attributes:
        path: OUT/run.json.
        content: what stands in the file; `cases` maps a case to its outcome, message and facts.
        replaced: content of the older run that ``--overwrite`` replaces; its files go when this run is complete.
        made: folders that did not exist before, deepest first.
        origins: by case, a digest of what it is made from; empty where nobody said.
    """

    path: Path
    content: dict[str, Any]
    replaced: dict[str, Any] | None = None
    made: tuple[Path, ...] = ()
    origins: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def begin(
        cls, out: Path, command: str, config: dict[str, Any], seed: int, inputs: Sequence[Path], *,
        device: str = "cpu", overwrite: bool = False, sources: Mapping[str, Source] | None = None,
        redo: bool = False,
    ) -> "RunRecord":  # fmt: skip
        """Open the record of a folder: a new one, or the older one of the same command, config, seed and inputs.

        Args:
            out: output folder, made when missing.
            command: name of the stage.
            config: resolved settings, JSON-able.
            seed: seed of the run.
            inputs: files read; their SHA-256 is kept. One that changed since the older run is refused, a new one is
                not, because finished cases do not depend on it.
            device: where the run computes, as text.
            overwrite: replace an older run; the files it lists are removed once this one is complete.
            sources: what every case of the run is made from. A finished case that was made from something else is
                refused, and one that failed and is no case of the run any more is forgotten.
            redo: take such a finished case for not done instead.

        Raises:
            ConfigError: the folder holds another run, or files of unknown origin, and `overwrite` is false; or it
                holds inputs and `overwrite` is true; or it is no folder.
        """
        asked = json.loads(json_text({"command": command, "config": config, "seed": seed}))
        hashes = {str(path.resolve()): sha256(path) for path in inputs}
        origins = {case: _origin(source, hashes) for case, source in (sources or {}).items()}
        standing = next(folder for folder in (out, *out.absolute().parents) if folder.exists())
        if not standing.is_dir():
            raise ConfigError(f"{standing}: expected a folder to write into, found a file. {_ELSEWHERE}")
        older = read_record(out)
        if overwrite and any(path.resolve().is_relative_to(out.resolve()) for path in inputs):
            raise ConfigError(f"{out}: --overwrite would remove input of this run, which lies there. {_ELSEWHERE}")
        replaced = older if overwrite else None
        if overwrite:
            older = None
        elif older is None and out.is_dir() and any(out.iterdir()):
            raise ConfigError(
                f"{out}: expected an empty folder or one with a {FILE_NAME}, found other files. {_WAY_OUT}"
            )
        elif older is not None:
            _refuse_other_run(out, older, asked, hashes, {} if redo else origins)
        past = older or {}
        content = {
            "format": FORMAT,
            "status": "running",
            **asked,
            "device": device,
            "commit": _commit(),
            "versions": _versions(),
            "started": past.get("started", _now()),
            "ended": None,
            "resumed": past.get("resumed", 0) + (older is not None),
            "inputs": past.get("inputs", {}) | hashes,
            "cases": {
                case: entry for case, entry in past.get("cases", {}).items()
                if sources is None or case in sources or entry["outcome"] != "failed"
            },
        }  # fmt: skip
        made = tuple(folder for folder in (out, *out.parents) if not folder.exists())
        record = cls(out / FILE_NAME, content, replaced, made, origins)
        record._write()
        return record

    def done(self, case: str) -> bool:
        """Whether a case is finished, kept or rejected, of what it is made from now, and its files are still there."""
        entry = self.content["cases"].get(case, {})
        there = all((self.path.parent / name).is_file() for name in entry.get("files", []))
        return entry.get("outcome") in ("done", "rejected") and there and _same_origin(case, entry, self.origins)

    def finish_case(self, case: str, outcome: Outcome = "done", message: str = "", **facts: Any) -> None:
        """Write down how a case ended; call it after the case's files are complete.

        Args:
            case: identifier in the case table.
            outcome: done, failed or rejected.
            message: why, for failed and rejected ones.
            **facts: anything JSON-able; `files` (paths relative to OUT) lets ``--overwrite`` remove them later.
        """
        made_from = {"made_from": self.origins[case]} if case in self.origins else {}
        entry = {"outcome": outcome, "message": message, "ended": _now(), **made_from, **facts}
        self.content["cases"][case] = entry
        self._write()

    def facts(self, case: str) -> dict[str, Any]:
        """What was written down for a finished case.

        Raises:
            KeyError: the case has no entry.
        """
        return dict(self.content["cases"][case])

    def counts(self) -> dict[str, int]:
        """Number of cases per outcome; all three outcomes are present."""
        found = Counter(entry["outcome"] for entry in self.content["cases"].values())
        return {outcome: found[outcome] for outcome in ("done", "rejected", "failed")}

    def complete(self, **facts: Any) -> None:
        """Close the record: status "complete", or "some failed" when a case did; remove what the run replaced."""
        if self.replaced is not None:
            _remove_files(self.path.parent, _files(self.replaced) - _files(self.content))
        status = "some failed" if self.counts()["failed"] else "complete"
        self.content.update(status=status, ended=_now(), **facts)
        self._write()

    def discard(self) -> None:
        """Take the record back because nothing was made: put back the one it replaced, or leave no trace."""
        if self.replaced is not None:
            write_text(self.path, json_text(self.replaced))
            return
        self.path.unlink(missing_ok=True)
        for folder in self.made:
            if any(folder.iterdir()):
                return
            folder.rmdir()

    def _write(self) -> None:
        write_text(self.path, json_text(self.content))


_ELSEWHERE = "Choose another --output."
_WAY_OUT = "Choose another --output, or give --overwrite to replace what an earlier run made there."


def read_record(folder: Path) -> dict[str, Any] | None:
    """Content of a folder's run record, or None where there is none.

    Raises:
        InputError: the file is not a run record.
    """
    path = folder / FILE_NAME
    if not path.is_file():
        return None
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["format"] == FORMAT and isinstance(content["cases"], dict):
            return dict(content)
        found = f"format {content['format']!r}"
    except (ValueError, KeyError, TypeError) as error:
        found = f"{type(error).__name__}: {error}"
    raise InputError(
        f"{path}: expected a run record of format {FORMAT}, found {found}. Move it away or choose another --output."
    )


def _origin(source: Source, hashes: Mapping[str, str]) -> str:
    """Digest of what a case is made from: a file counts by what is in it, wherever it lies."""
    read = [hashes.get(str(path.resolve()), "") for path in source.files]
    return hashlib.sha256(json_text([*source.facts, read]).encode()).hexdigest()[:16]


def _same_origin(case: str, entry: Mapping[str, Any], origins: Mapping[str, str]) -> bool:
    """Whether an entry was made from what its case is made from now; what nobody said is no difference."""
    now = origins.get(case)
    return now is None or entry.get("made_from", now) == now


def _refuse_other_run(
    out: Path, older: dict[str, Any], asked: dict[str, Any], hashes: dict[str, str], origins: Mapping[str, str]
) -> None:
    differences = list(_differences(older, asked))
    changed = [path for path, value in hashes.items() if older["inputs"].get(path, value) != value]
    differences += [f"{path} has changed since" for path in changed]
    if not changed:
        differences += [
            f"case '{case}' was made from other files, or from a row with another age, subject, split or severity"
            for case, entry in older["cases"].items()
            if entry["outcome"] != "failed" and not _same_origin(case, entry, origins)
        ]
    if older["command"] != asked["command"]:
        differences = differences[:1]
    if differences:
        raise ConfigError(f"{out} holds another run: {'; '.join(differences[:6])}. {_WAY_OUT}")


def _differences(older: Any, asked: Any, where: str = "") -> list[str]:
    if isinstance(older, dict) and isinstance(asked, dict):
        keys = sorted({*older, *asked} if where else asked)
        return [
            text
            for key in keys
            for text in _differences(older.get(key), asked.get(key), f"{where}.{key}" if where else key)
        ]
    return [] if older == asked else [f"{where} was {older!r}, now {asked!r}"]


def _files(content: dict[str, Any]) -> set[str]:
    return {name for entry in content["cases"].values() for name in entry.get("files", [])}


def _remove_files(out: Path, names: set[str]) -> None:
    """Remove files and folders they leave empty; never anything outside `out`."""
    root = out.resolve()
    for name in names:
        path = (root / name).resolve()
        if path.is_relative_to(root):
            path.unlink(missing_ok=True)
            _remove_empty_parents(path.parent, root)


def _remove_empty_parents(folder: Path, root: Path) -> None:
    while folder != root and folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()
        folder = folder.parent


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version(), "platform": platform.platform()}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def _commit() -> str | None:
    """Commit of the source this package runs from, where it runs from a checkout; None for a release."""
    git = Path(__file__).resolve().parents[3] / ".git"
    try:
        head = (git / "HEAD").read_text(encoding="utf-8").strip()
        reference = head.removeprefix("ref: ")
        if reference == head:
            return head
        if (git / reference).is_file():
            return (git / reference).read_text(encoding="utf-8").strip()
        packed = (git / "packed-refs").read_text(encoding="utf-8").splitlines()
        return next((line.split()[0] for line in packed if line.endswith(f" {reference}")), None)
    except OSError:
        return None
