"""Invitations: a token that is shown once, kept as a hash only, and good for one log-in."""

import fcntl
import hashlib
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import pydantic

from pathosynth.reader.folder import Opened, read_model
from pathosynth.reader.study import Word
from pathosynth.runs.config import Config, build_config
from pathosynth.runs.errors import ConfigError
from pathosynth.runs.files import json_text, write_text

Role = Literal["reader", "admin"]
_TOKEN_BYTES = 32
_REVOKED = "revoked"


class Invite(Config):
    """What is kept of an invitation; its file is named by the token's hash."""

    name: Word
    role: Role
    index: int | None = pydantic.Field(None, ge=0)
    """Place in the plan; none for an admin."""
    made: str
    """Time, UTC."""


def hashed(token: str) -> str:
    """What is kept of a token. Tokens have 256 random bits, so that a plain hash cannot be turned round."""
    return hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()


def invite(opened: Opened, name: str, role: Role) -> str:
    """Invite somebody, or somebody again; returns the token, which is kept nowhere.

    A reader invited again goes on where he was; who logs in with the new token ends the older log-ins.

    Raises:
        ConfigError: the name is not plain, was given another role before, or the plan has no place left.
    """
    folder = opened.folder.invites
    with _locked(folder):
        known = invites(folder)
        before = next((one for one in known.values() if one.name == name), None)
        if before and before.role != role:
            raise ConfigError(f"--name {name}: was invited as {before.role} before. Choose another name.")
        index = before.index if before else _next_place(opened, known, role)
        made = datetime.now(UTC).isoformat(timespec="seconds")
        entry = build_config(Invite, {"name": name, "role": role, "index": index, "made": made}, "invite")
        token = secrets.token_urlsafe(_TOKEN_BYTES)
        write_text(folder / f"{hashed(token)}.json", json_text(entry.model_dump(mode="json")))
    return token


def revoke(opened: Opened, name: str) -> int:
    """Take all invitations of somebody back; returns how many there were.

    His links log nobody in any more, and a running server refuses the next request of a log-in that began with one. His
    answers stay, and so does his place in the plan: invited again, he goes on where he was.

    Raises:
        ConfigError: nobody of this name was ever invited.
    """
    folder = opened.folder.invites
    with _locked(folder):
        names = {one.name for one in invites(folder).values()}
        if name not in names:
            told = ", ".join(sorted(names)) or "nobody"
            raise ConfigError(f"--name {name}: was never invited to {opened.folder.root}. Choose of: {told}.")
        (folder / _REVOKED).mkdir(exist_ok=True)
        good = [path for path in _files(folder) if read_model(path, Invite).name == name]
        for path in good:
            path.rename(folder / _REVOKED / path.name)
    return len(good)


def invites(folder: Path) -> dict[str, Invite]:
    """All invitations by the hash of their token, those that were taken back among them."""
    return {path.stem: read_model(path, Invite) for path in [*_files(folder), *_files(folder / _REVOKED)]}


def is_good(folder: Path, token_sha256: str) -> bool:
    """Whether the invitation of a token's hash is there and was not taken back."""
    return (folder / f"{token_sha256}.json").is_file()


def find_invite(folder: Path, token: str) -> Invite | None:
    """The invitation of a token, or none where it was taken back."""
    return read_model(folder / f"{hashed(token)}.json", Invite) if is_good(folder, hashed(token)) else None


def _files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.json"))


def _next_place(opened: Opened, known: dict[str, Invite], role: Role) -> int | None:
    if role == "admin":
        return None
    place = len({one.name for one in known.values() if one.role == "reader"})
    if place >= len(opened.plan.readers):
        raise ConfigError(
            f"The plan has {len(opened.plan.readers)} readers and all are invited. Begin a study with more readers, "
            "or invite one of them again by name."
        )
    return place


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Two invitations at once take their places one after the other."""
    with (folder / ".lock").open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield
