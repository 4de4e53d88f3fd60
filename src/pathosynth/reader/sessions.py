"""Who is asking: a log-in with a token that works once, then a cookie of which only the hash is kept.

A log-in ends by a log-out, by another log-in of the same person, when its invitation is taken back, after 90 days, or
when nothing was asked for so long as the server allows.
"""

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from sqlalchemy import Connection, and_, bindparam, insert, select, update

from pathosynth.reader.invites import Invite, Role, hashed, is_good
from pathosynth.reader.log import people, redeemed, seen, sessions
from pathosynth.reader.refusals import Refused

COOKIE = "pathosynth_session"
SESSION_DAYS = 90
"""A log-in lasts this long: two blocks with their washout between them, and time to read."""

_COOKIE_BYTES = 32

_PERSON = (
    select(people.c.name, people.c.role, people.c.place, sessions.c.at, seen.c.at, redeemed.c.token_sha256)
    .join_from(sessions, people)
    .join(redeemed, and_(redeemed.c.name == sessions.c.name, redeemed.c.at == sessions.c.at))
    .outerjoin(seen, seen.c.cookie_sha256 == sessions.c.cookie_sha256)
    .where(sessions.c.cookie_sha256 == bindparam("cookie"), sessions.c.ended == 0)
)


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


def log_in(connection: Connection, invite: Invite, token: str, now: datetime, cookie: str = "") -> str:
    """Use an invitation up; returns the new cookie. Older log-ins of the same person end.

    The browser that used the invitation may do so again with the `cookie` it was given, so that who was idle for too
    long goes on with the same link; the link without the cookie is worth nothing. The 90 days go on.

    Raises:
        Refused: the token was used before, and not by a log-in of this cookie that could go on.
    """
    used = connection.execute(select(redeemed.c.at).where(redeemed.c.token_sha256 == hashed(token))).scalar()
    if used is not None and (_is_over(used, now) or not _began(connection, cookie, invite.name, used)):
        raise not_accepted()
    if connection.execute(select(people.c.name).where(people.c.name == invite.name)).first() is None:
        connection.execute(insert(people).values(name=invite.name, role=invite.role, place=invite.index))
    connection.execute(update(sessions).where(sessions.c.name == invite.name).values(ended=1))
    at = used or _stamp(now)
    if used is None:
        connection.execute(insert(redeemed).values(token_sha256=hashed(token), name=invite.name, at=at))
    fresh = secrets.token_urlsafe(_COOKIE_BYTES)
    connection.execute(insert(sessions).values(cookie_sha256=hashed(fresh), name=invite.name, at=at, ended=0))
    connection.execute(insert(seen).values(cookie_sha256=hashed(fresh), at=_stamp(now)))
    return fresh


def _began(connection: Connection, cookie: str, name: str, at: str) -> bool:
    """Whether a cookie is of the log-in that somebody began at a time, and that neither he nor another log-in ended."""
    mine = (sessions.c.cookie_sha256 == hashed(cookie), sessions.c.name == name, sessions.c.at == at)
    return connection.execute(select(sessions.c.at).where(*mine, sessions.c.ended == 0)).first() is not None


def log_out(connection: Connection, cookie: str) -> None:
    """End a log-in."""
    connection.execute(update(sessions).where(sessions.c.cookie_sha256 == hashed(cookie)).values(ended=1))


def person(connection: Connection, cookie: str, now: datetime, *, idle: timedelta, invites: Path) -> Person:
    """Who a cookie belongs to; notes that he was seen.

    Args:
        connection: in a transaction.
        cookie: of the request.
        now: the time.
        idle: how long he may have asked for nothing.
        invites: folder of the invitations.

    Raises:
        Refused: nobody, or the log-in has ended.
    """
    # One row; more where several links of one person were used within a second.
    rows = connection.execute(_PERSON, {"cookie": hashed(cookie)}).all()
    if not any(is_good(invites, token_sha256) for *_, token_sha256 in rows):
        raise not_logged_in()
    name, role, place, began, last, _ = rows[0]
    silent = now - datetime.fromisoformat(last or began)
    if _is_over(began, now) or silent > idle:
        raise not_logged_in()
    if silent > idle / 100:
        _note_seen(connection, hashed(cookie), _stamp(now))
    return Person(name, role, -1 if place is None else place)


def _note_seen(connection: Connection, cookie_sha256: str, at: str) -> None:
    if not connection.execute(update(seen).where(seen.c.cookie_sha256 == cookie_sha256).values(at=at)).rowcount:
        connection.execute(insert(seen).values(cookie_sha256=cookie_sha256, at=at))


def _is_over(began: str, now: datetime) -> bool:
    return now - datetime.fromisoformat(began) > timedelta(days=SESSION_DAYS)


def _stamp(now: datetime) -> str:
    return now.isoformat(timespec="seconds")


def not_logged_in() -> Refused:
    """The refusal of whatever needs a log-in."""
    return Refused(401, "Log in first.")


def not_accepted() -> Refused:
    """The one refusal of a log-in, whatever its reason."""
    return Refused(401, "This invitation is not known or was used before. Ask for a new one.")


def csrf_token(cookie: str) -> str:
    """What a page of ours knows and a foreign page cannot: derived from the cookie, which scripts cannot read."""
    return hmac.new(cookie.encode("utf-8", "replace"), b"csrf", hashlib.sha256).hexdigest()
