"""What every request needs: the study, the store, the clock, and who is asking."""

import asyncio
import hmac
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, TypeVar

from fastapi import Depends, Header, Request
from sqlalchemy import Connection

from pathosynth.reader.folder import Opened
from pathosynth.reader.plan import Place, places_of
from pathosynth.reader.ratings import Asking
from pathosynth.reader.refusals import Refused
from pathosynth.reader.security import Brake
from pathosynth.reader.sessions import COOKIE, SESSION_DAYS, Person, csrf_token, not_logged_in, person
from pathosynth.reader.store import Store

ResultT = TypeVar("ResultT")


def utc_now() -> datetime:
    """The time."""
    return datetime.now(UTC)


@dataclass(frozen=True)
class Site:
    """A study that is served.

    Attributes:
        opened: the study.
        store: its answers.
        clock: tells the time; tests turn it forward.
        https: whether browsers reach the server through https.
        idle: how long a log-in lasts without a request.
        brake: on guessing tokens.
        places: slots of every reader.
    """

    opened: Opened
    store: Store
    clock: Callable[[], datetime] = utc_now
    https: bool = False
    idle: timedelta = timedelta(days=SESSION_DAYS)
    brake: Brake = field(default_factory=Brake)
    places: list[list[Place]] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "places", places_of(self.opened.plan))

    @property
    def cookie(self) -> str:
        """Name of the cookie; browsers keep one that begins with ``__Host-`` to this very host and to https."""
        return f"__Host-{COOKIE}" if self.https else COOKIE

    async def run(self, job: Callable[[Connection], ResultT]) -> ResultT:
        """Have a job done by the store's thread."""
        return await asyncio.wrap_future(self.store.run(job))


def site_of(request: Request) -> Site:
    """The site a request is for."""
    site: Site = request.app.state.site
    return site


def cookie_of(request: Request) -> str:
    """The cookie of a log-in; empty where there is none."""
    return request.cookies.get(site_of(request).cookie, "")


async def as_person(request: Request, job: Callable[[Connection, Person], ResultT]) -> ResultT:
    """Do a job for whoever is logged in; a refusal is logged with his name.

    Raises:
        Refused: nobody is.
    """
    site, cookie = site_of(request), cookie_of(request)

    def known(connection: Connection) -> ResultT:
        who = person(connection, cookie, site.clock(), idle=site.idle, invites=site.opened.folder.invites)
        request.state.person = who.name
        return job(connection, who)

    return await site.run(known)


async def as_reader(request: Request, job: Callable[..., ResultT], *values: Any) -> ResultT:
    """Do a job of `ratings` for the reader who is logged in.

    Raises:
        Refused: nobody is, or an admin, or the job refuses.
    """
    site = site_of(request)

    def asked(connection: Connection, who: Person) -> ResultT:
        if who.role != "reader":
            raise Refused(403, "Only readers have images.")
        asking = Asking(connection, who.name, site.clock(), site.places[who.place], site.opened.protocol)
        return job(asking, *values)

    return await as_person(request, asked)


async def check_csrf(request: Request, x_csrf_token: Annotated[str, Header()] = "") -> None:
    """Refuse a change that a foreign page could have sent.

    Raises:
        Refused: there is no cookie, or the token is not the one that belongs to it.
    """
    cookie = cookie_of(request)
    if not cookie:
        raise not_logged_in()
    if not hmac.compare_digest(x_csrf_token.encode(), csrf_token(cookie).encode()):
        raise Refused(403, "The X-CSRF-Token header is missing or wrong. Load the page again.")


Checked = Depends(check_csrf)
