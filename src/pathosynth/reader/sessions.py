"""Who is asking: a log-in with a token that works once, then a cookie of which only the hash is kept."""

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, insert, select, update

from pathosynth.reader.invites import Invite, Role, hashed
from pathosynth.reader.log import people, redeemed, sessions
from pathosynth.reader.refusals import Refused

COOKIE = "pathosynth_session"
SESSION_DAYS = 90
"""A log-in lasts this long: two blocks with their washout between them, and time to read."""

_COOKIE_BYTES = 32


@dataclass(frozen=True)
class Person:
    """Who is logged in.

    Attributes:
        name: as invited.
        role: reader or admin.
        place: of a reader in the plan; -1 for an admin.
    """

    name: str
    role: Role
    place: int


def log_in(connection: Connection, invite: Invite, token: str, now: datetime) -> str:
    """Use an invitation up; returns the cookie. Older log-ins of the same person end.

    Raises:
        Refused: the token was used before.
    """
    used = connection.execute(select(redeemed.c.at).where(redeemed.c.token_sha256 == hashed(token))).first()
    if used is not None:
        raise not_accepted()
    if connection.execute(select(people.c.name).where(people.c.name == invite.name)).first() is None:
        connection.execute(insert(people).values(name=invite.name, role=invite.role, place=invite.index))
    at = now.isoformat(timespec="seconds")
    connection.execute(update(sessions).where(sessions.c.name == invite.name).values(ended=1))
    connection.execute(insert(redeemed).values(token_sha256=hashed(token), name=invite.name, at=at))
    cookie = secrets.token_urlsafe(_COOKIE_BYTES)
    connection.execute(insert(sessions).values(cookie_sha256=hashed(cookie), name=invite.name, at=at, ended=0))
    return cookie


def log_out(connection: Connection, cookie: str) -> None:
    """End a log-in."""
    connection.execute(update(sessions).where(sessions.c.cookie_sha256 == hashed(cookie)).values(ended=1))


def person(connection: Connection, cookie: str, now: datetime) -> Person:
    """Who a cookie belongs to.

    Raises:
        Refused: nobody, or the log-in has ended.
    """
    found = connection.execute(
        select(people.c.name, people.c.role, people.c.place, sessions.c.at)
        .join_from(sessions, people)
        .where(sessions.c.cookie_sha256 == hashed(cookie), sessions.c.ended == 0)
    ).first()
    if found is None or now - datetime.fromisoformat(found.at) > timedelta(days=SESSION_DAYS):
        raise not_logged_in()
    return Person(found.name, found.role, -1 if found.place is None else found.place)


def not_logged_in() -> Refused:
    """The refusal of whatever needs a log-in."""
    return Refused(401, "Log in first.")


def not_accepted() -> Refused:
    """The one refusal of a log-in, whatever its reason."""
    return Refused(401, "This invitation is not known or was used before. Ask for a new one.")


def csrf_token(cookie: str) -> str:
    """What a page of ours knows and a foreign page cannot: derived from the cookie, which scripts cannot read."""
    return hmac.new(cookie.encode("utf-8", "replace"), b"csrf", hashlib.sha256).hexdigest()
