"""Files that appear whole or not at all."""

import hashlib
import json
import os
from pathlib import Path
from typing import Any


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text so that a reader, or a crash at any moment, sees the old file or the new one, never half of one.

    Missing parent folders are made. The text goes to a temporary name beside `path`, is flushed to disk, then renamed;
    what a killed run left under that name is written over.
    """
    write_bytes(path, text.encode("utf-8"))


def write_bytes(path: Path, data: bytes) -> None:
    """Write bytes as `write_text` writes text: whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.partial")
    try:
        with temporary.open("wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, path)  # noqa: PTH105, one call for the atomic step
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def json_text(content: Any) -> str:
    """Indented JSON with a final newline; NaN and infinity are refused because JSON has neither.

    Raises:
        ValueError: a number is not finite.
    """
    return json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def sha256(path: Path) -> str:
    """Hexadecimal SHA-256 of a file's bytes."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
