"""Texts of the training data that must not turn up in a model or in what it makes: a canary for every place."""

import gzip
import io
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pathosynth.data.cases import Case

SHORTEST = 8
"""Shorter texts are found by chance."""
_HEADER = {
    "descrip": (148, 80),
    "aux_file": (228, 24),
    "intent_name": (328, 16),
    "data_type": (4, 10),
    "db_name": (14, 18),
}
"""Text fields of a NIfTI-1 header: first byte and length."""
_HEADER_BYTES = 348
_OWN = ("run.json", "train.csv", "checkpoints")
"""Files of a training run that are not part of the model: they name the training files on purpose."""
_DESCRIBES = re.compile(r"(seg|desc|space|res|den|label|hemi|split|chunk|echo|part)-[A-Za-z0-9]+")
"""BIDS entities that say what a file is, not whose: made files carry the same."""
_LOUD = re.compile(r"[0-9A-Z^@ ._-]")
MOST_BYTES = 512 * 2**20


@dataclass(frozen=True)
class Spotted:
    """A text of the training data found where it should not be.

    Attributes:
        text: the text.
        planted: where it comes from.
        found: file it was found in, relative to the folder searched.
        shared: whether that file is part of what is shared.
    """

    text: str
    planted: str
    found: str
    shared: bool


def canaries_of(cases: Sequence[Case], extra: Sequence[str] = ()) -> dict[str, str]:
    """Every telling text of the files of some cases, and where it stands.

    Read are the text fields and extensions of NIfTI headers, the name inside gzip, the values of sidecars, the
    participants table, and the names of files and folders. Names of cases and subjects are left out: a model keeps
    them, so that nobody is tested on their own child.

    Args:
        cases: of the training set.
        extra: texts to look for besides, whatever they are.
    """
    kept = {name for case in cases for name in (case.case, case.subject)}
    kept |= {f"sub-{name}" for name in kept} | {name.removeprefix("sub-") for name in kept}
    found: dict[str, str] = dict.fromkeys(extra, "given")
    for case in cases:
        for path in (case.labels, *case.images.values(), case.displacement):
            for text, where in _texts_of(path) if path is not None and path.is_file() else ():
                cleaned = text.strip()
                if _tells(cleaned) and not any(cleaned in (name, f"{name}.json") for name in kept):
                    found.setdefault(cleaned, where)
    return {text: where for text, where in found.items() if text in extra or not any(text in name for name in kept)}


def spotted(canaries: Mapping[str, str], folder: Path, skip: Sequence[Path] = ()) -> list[Spotted]:
    """Every canary in every file of a folder, compressed ones also unpacked, and in the names of files."""
    wanted = {text: text.encode() for text in canaries}
    found = []
    for path in sorted(one for one in folder.rglob("*") if one.is_file() and one not in skip):
        name = path.relative_to(folder).as_posix()
        shared = not any(part in _OWN for part in Path(name).parts)
        contents = [name.encode(), *_contents(path)]
        found += [
            Spotted(text, canaries[text], name, shared)
            for text, encoded in wanted.items()
            if any(encoded in content for content in contents)
        ]
    return found


def _tells(text: str) -> bool:
    """Long enough and not an ordinary lower-case word, which any file may have."""
    return len(text) >= SHORTEST and bool(_LOUD.search(text)) and bool(re.search(r"[A-Za-z]", text))


def _contents(path: Path) -> Iterator[bytes]:
    if path.stat().st_size > MOST_BYTES:
        return
    raw = path.read_bytes()
    yield raw
    if raw[:2] == b"\x1f\x8b":
        try:
            with gzip.open(io.BytesIO(raw)) as stream:
                yield stream.read(MOST_BYTES)
        except (OSError, EOFError):
            return


def _texts_of(path: Path) -> Iterator[tuple[str, str]]:
    """Texts and places of one volume, its sidecar, its table of people, and its path."""
    raw = path.read_bytes()
    content = raw
    if raw[:2] == b"\x1f\x8b":
        yield from ((text, f"gzip name in {path.name}") for text in _gzip_name(raw))
        with gzip.open(io.BytesIO(raw)) as stream:
            content = stream.read(2**20)
    for field, (start, length) in _HEADER.items():
        yield from ((text, f"{field} of {path.name}") for text in _printable(content[start : start + length]))
    offset = int.from_bytes(content[_HEADER_BYTES : _HEADER_BYTES + 4], "little")
    if offset:  # an extension follows the header
        yield from ((text, f"extension of {path.name}") for text in _printable(content[_HEADER_BYTES : 2**16]))
    sidecar = path.with_name(re.sub(r"\.nii(\.gz)?$", ".json", path.name))
    if sidecar.is_file():
        yield from ((text, sidecar.name) for text in _json_texts(sidecar))
    table = path.parent / "participants.tsv"
    if table.is_file():
        cells = re.split(r"[\t\r\n]+", table.read_text(encoding="utf-8", errors="replace"))
        yield from ((cell, table.name) for cell in cells)
    stem = re.sub(r"\.nii(\.gz)?$", "", path.name)
    entities = [part for part in stem.split("_") if not _DESCRIBES.fullmatch(part)]
    parts = [path.name, stem, *entities, *path.parent.parts[-3:]]
    yield from ((part, "a name of a file or folder") for part in parts)


def _gzip_name(raw: bytes) -> Iterator[str]:
    """File name stored in a gzip header (RFC 1952), where there is one."""
    if raw[3] & 8 and not raw[3] & 4:
        name = raw[10 : raw.index(b"\0", 10)].decode("latin-1")
        yield from (name, name.partition(".")[0])


def _printable(content: bytes) -> Iterator[str]:
    yield from (match.decode("ascii") for match in re.findall(rb"[\x20-\x7e]{%d,}" % SHORTEST, content))


def _json_texts(path: Path) -> Iterator[str]:
    try:
        yield from _strings(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return


def _strings(value: Any) -> Iterable[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        return [text for one in value.values() for text in _strings(one)]
    return [text for one in value for text in _strings(one)] if isinstance(value, list) else []
