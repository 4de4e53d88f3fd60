"""The routes of readers and admins. None of them knows which image is which."""

from typing import Annotated, Any

import pydantic
from fastapi import APIRouter, Request, Response
from sqlalchemy import Connection
from starlette.concurrency import run_in_threadpool

from pathosynth.reader import ratings
from pathosynth.reader.invites import find_invite
from pathosynth.reader.refusals import Refused
from pathosynth.reader.sessions import SESSION_DAYS, Person, csrf_token, log_in, log_out, not_accepted
from pathosynth.reader.site import Checked, as_person, as_reader, cookie_of, site_of

router = APIRouter(prefix="/api")

DAY_MS = 86_400_000
"""Longest time that an answer can have taken."""

Key = Annotated[str, pydantic.Field(pattern=r"^[A-Za-z0-9-]{8,64}$")]
"""What makes a request that is sent twice count once, e.g. a UUID."""
Elapsed = Annotated[int, pydantic.Field(ge=0, le=DAY_MS)]


class _Body(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid", strict=True)


class LogIn(_Body):
    """An invitation's token."""

    token: Annotated[str, pydantic.Field(max_length=200)]


class Answer(_Body):
    """One answer."""

    value: str | list[str]
    key: Key
    elapsed_ms: Elapsed


class Undo(_Body):
    """Taking the last answer back."""

    key: Key


class Complete(_Body):
    """Closing a slot."""

    key: Key
    elapsed_ms: Elapsed


class View(_Body):
    """Where the reader looks; the server only keeps it."""

    view: dict[str, Any]


@router.post("/session")
async def begin_session(request: Request, body: LogIn, response: Response) -> dict[str, str]:
    """Log in with an invitation, which then is used up.

    Who fails too often is kept out, with a good token too. Where all together fail too often, wrong tokens alone are
    refused by the brake, so that nobody can keep others out; with 256 random bits, none is found by trying.
    """
    site = site_of(request)
    address = request.client.host if request.client else ""
    if wait := site.brake.wait(address):
        raise _braked(wait)
    invite = find_invite(site.opened.folder.invites, body.token)
    try:
        if invite is None:
            raise not_accepted()
        request.state.person = invite.name
        given = cookie_of(request)
        cookie = await site.run(lambda connection: log_in(connection, invite, body.token, site.clock(), given))
    except Refused:
        wait = site.brake.wait_to_fail(address)
        site.brake.failed(address)
        if wait:
            raise _braked(wait) from None
        raise
    response.set_cookie(
        site.cookie, cookie, max_age=SESSION_DAYS * 86_400, httponly=True, samesite="strict", secure=site.https
    )
    return {"name": invite.name, "role": invite.role}


def _braked(wait: int) -> Refused:
    return Refused(429, f"Too many failed log-ins. Try again in {wait} s.", wait)


@router.delete("/session", status_code=204, dependencies=[Checked])
async def end_session(request: Request, response: Response) -> None:
    """Log out."""
    site, cookie = site_of(request), cookie_of(request)
    await site.run(lambda connection: log_out(connection, cookie))
    response.delete_cookie(site.cookie, httponly=True, samesite="strict", secure=site.https)


@router.get("/me")
async def me(request: Request) -> dict[str, Any]:
    """Who is logged in, and what the study tells and asks."""
    who = await as_person(request, lambda connection, who: who)
    protocol = site_of(request).opened.protocol
    told = {"title", "instructions", "convention", "questions", "windows"}
    return {
        "name": who.name,
        "role": who.role,
        "csrf": csrf_token(cookie_of(request)),
        "study": protocol.model_dump(mode="json", include=told),
    }


@router.get("/progress")
async def progress(request: Request) -> dict[str, Any]:
    """How far the reader is, and what is open now."""
    return await as_reader(request, ratings.progress)


@router.get("/slots/{slot}")
async def slot(request: Request, slot: str) -> dict[str, Any]:
    """One image to rate: where it is and what was answered."""
    return await as_reader(request, ratings.slot, slot)


@router.put("/slots/{slot}/answers/{question}", dependencies=[Checked])
async def answer(request: Request, slot: str, question: str, body: Answer) -> dict[str, Any]:
    """Keep an answer."""
    given = (slot, question, body.value, body.key, body.elapsed_ms)
    return {"answers": await as_reader(request, ratings.answer, *given)}


@router.post("/slots/{slot}/undo", dependencies=[Checked])
async def undo(request: Request, slot: str, body: Undo) -> dict[str, Any]:
    """Take the last answer of a slot back."""
    return {"answers": await as_reader(request, ratings.undo, slot, body.key)}


@router.put("/slots/{slot}/view", status_code=204, dependencies=[Checked])
async def view(request: Request, slot: str, body: View) -> None:
    """Remember where the reader looks."""
    await as_reader(request, ratings.keep_view, slot, body.view)


@router.post("/slots/{slot}/complete", dependencies=[Checked])
async def complete(request: Request, slot: str, body: Complete) -> dict[str, Any]:
    """Close a slot and go on."""
    return await as_reader(request, ratings.complete, slot, body.key, body.elapsed_ms)


@router.get("/volumes/{volume}")
async def volume(request: Request, volume: str) -> Response:
    """The image of a slot; the same length and headers for every one, and no time or tag of the file."""
    file = await as_reader(request, ratings.volume, volume)
    path = site_of(request).opened.folder.volumes / f"{file}.nii"
    return Response(await run_in_threadpool(path.read_bytes), media_type="application/octet-stream")


@router.get("/admin/progress")
async def all_progress(request: Request) -> dict[str, Any]:
    """How far all readers are; no answers."""
    site = site_of(request)

    def counted(connection: Connection, who: Person) -> list[dict[str, Any]]:
        if who.role != "admin":
            raise Refused(403, "Only admins see the progress of others.")
        return ratings.everybody(connection, [len(places) for places in site.places])

    return {"readers": await as_person(request, counted)}
